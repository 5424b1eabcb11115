#include "daemon/feeds/scan_split.h"

#define BYTE_CHAR 0x110000u /* a byte that is part of no character */
#define DIGITS    8         /* that are looked at behind what two keys share */
#define GAP_MIN   2         /* shared bytes from which on a cut by prefix is worth a try */

/* ---- characters ---- */

static uint32_t decode(const unsigned char *p, size_t len)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & masks[len];
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | (p[i] & 0x3f);
    }
    return c;
}

/* Cuts the first character off. */
static uint32_t take_char(struct span *s)
{
    const unsigned char *p = (const unsigned char *)s->ptr;
    size_t len = span_utf8(*s);
    uint32_t c = len == 0 ? BYTE_CHAR + p[0] : decode(p, len);
    *s = span_skip(*s, len == 0 ? 1 : len);
    return c;
}

static size_t put_char(uint32_t c, char to[4])
{
    if (c >= BYTE_CHAR || c < 0x80) {
        to[0] = (char)(c & 0xff);
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    to[0] = (char)(marks[len] | c);
    return len;
}

/* Place of the character, or of the first one behind it. */
static size_t rank(const struct split_alphabet *a, uint32_t c)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->chars[middle] < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void add_char(struct split_alphabet *a, uint32_t c)
{
    size_t at = rank(a, c);
    if (a->count == SPLIT_CHARS_MAX || (at < a->count && a->chars[at] == c)) {
        return;
    }
    memmove(&a->chars[at + 1], &a->chars[at], (a->count - at) * sizeof(a->chars[0]));
    a->chars[at] = c;
    a->count++;
}

void split_learn(struct split_alphabet *a, struct span key, size_t skip)
{
    struct span rest = span_skip(key, skip < key.len ? skip : key.len);
    while (rest.len > 0) {
        add_char(a, take_char(&rest));
    }
}

/* Length of what both begin with, in whole characters. */
static size_t common(struct span a, struct span b)
{
    size_t n = 0;
    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n]) {
        n++;
    }
    while (n > 0 && n < a.len && ((unsigned char)a.ptr[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

static bool is_between(const struct split *s, struct span key)
{
    return span_cmp(s->last, key) < 0 && (s->until.ptr == NULL || span_cmp(key, s->until) < 0);
}

/* ---- by prefix: behind all keys that begin as the page did, so far as half of it ---- */

static bool cut_by_prefix(const struct split *s, size_t shared, char *to, size_t *ret_len)
{
    size_t page = common(s->first, s->last);
    if (page < shared + GAP_MIN) {
        return false;
    }
    size_t len = shared + (page - shared + 1) / 2;
    unsigned char *bytes = (unsigned char *)to;
    memcpy(to, s->last.ptr, len);
    /* The next prefix: the last byte that is a character of its own, one higher. */
    while (len > shared && (bytes[len - 1] >= 0x7f)) {
        len--;
    }
    if (len == shared) {
        return false;
    }
    bytes[len - 1]++;
    *ret_len = len;
    return is_between(s, span_of(to, len));
}

/* ---- by digits: the middle of two numbers ---- */

static void read_digits(const struct split_alphabet *a, struct span key, size_t skip,
                        size_t to[DIGITS])
{
    struct span rest = span_skip(key, skip < key.len ? skip : key.len);
    for (size_t i = 0; i < DIGITS; i++) {
        to[i] = rest.len > 0 ? rank(a, take_char(&rest)) : 0;
    }
}

static void middle(const size_t low[DIGITS], const size_t high[DIGITS], size_t base,
                   size_t to[DIGITS])
{
    size_t rest = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        size_t sum = low[i] + high[i] + rest * base;
        to[i] = sum / 2;
        rest = sum % 2;
    }
    for (size_t i = DIGITS - 1; i > 0; i--) {
        to[i - 1] += to[i] / base;
        to[i] %= base;
    }
}

/* As few digits of it as lie between. */
static bool cut_by_digits(const struct split_alphabet *a, const struct split *s, size_t shared,
                          char *to, size_t *ret_len)
{
    size_t low[DIGITS], high[DIGITS] = {a->count}, mid[DIGITS];
    size_t len = shared;
    read_digits(a, s->last, shared, low);
    if (s->until.ptr != NULL) {
        read_digits(a, s->until, shared, high);
    }
    middle(low, high, a->count, mid);
    memcpy(to, s->last.ptr, shared);
    for (size_t i = 0; i < DIGITS && mid[i] < a->count && len + 4 <= CHANGE_KEY_MAX; i++) {
        len += put_char(a->chars[mid[i]], to + len);
        if (is_between(s, span_of(to, len))) {
            *ret_len = len;
            return true;
        }
    }
    return false;
}

bool split_pivot(const struct split_alphabet *a, const struct split *s, char to[CHANGE_KEY_MAX],
                 size_t *ret_len)
{
    size_t shared = s->until.ptr != NULL ? common(s->last, s->until) : s->prefix.len;
    if (a->count < 2 || s->last.len > CHANGE_KEY_MAX || shared > s->last.len) {
        return false;
    }
    if (s->by_digits) {
        return cut_by_digits(a, s, shared, to, ret_len) || cut_by_prefix(s, shared, to, ret_len);
    }
    return cut_by_prefix(s, shared, to, ret_len) || cut_by_digits(a, s, shared, to, ret_len);
}
