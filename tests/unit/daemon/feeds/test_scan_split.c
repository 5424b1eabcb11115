/* Cuts of key ranges: always between, valid where the keys are, and near enough to the middle. */
#include "daemon/base/mem.h"
#include "daemon/feeds/scan_split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 4000
#define PAGE 20

static uint64_t dice_state;

static unsigned dice(unsigned below)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice_state >> 33) % below;
}

/* ---- key spaces ---- */

struct space {
    char keys[KEYS][CHANGE_KEY_MAX];
    size_t lens[KEYS];
    size_t count;
};

typedef void make_fn(struct buf *to, unsigned i);

static void numbers(struct buf *to, unsigned i)
{
    buf_printf(to, "pages/%08u", i);
}

static void hashes(struct buf *to, unsigned i)
{
    buf_printf(to, "%08x-%08x", i * 2654435761u, i * 40503u);
}

static void characters(struct buf *to, unsigned i)
{
    static const char *const some[] = {"é", "Ж", "中", "文", "😀", "a", "~", "ꙮ"};
    buf_str(to, "d/");
    for (unsigned n = 1 + i % 6; n > 0; n--) {
        buf_str(to, some[dice(8)]);
    }
    buf_printf(to, "%u", i);
}

static void bytes(struct buf *to, unsigned i)
{
    for (unsigned n = 1 + i % 9; n > 0; n--) {
        buf_char(to, (char)dice(256));
    }
}

static void long_prefixes(struct buf *to, unsigned i)
{
    for (int n = 0; n < 90; n++) {
        buf_str(to, "abcdefghi/");
    }
    buf_printf(to, "%x", i);
}

static void two_heaps(struct buf *to, unsigned i)
{
    buf_printf(to, i % 2 ? "a/very/deep/folder/of/the/first/%07u" : "z%07u", i);
}

static void one_each(struct buf *to, unsigned i)
{
    for (; i > 0; i /= 26) {
        buf_char(to, (char)('a' + i % 26));
    }
    buf_char(to, '.');
}

static void chains(struct buf *to, unsigned i)
{
    for (unsigned n = i % 1000; n > 0; n--) {
        buf_char(to, 'x');
    }
    buf_char(to, (char)('0' + i / 1000));
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, CHANGE_KEY_MAX);
}

/* Keys are padded with zero bytes and end with none of their own, so that memcmp is their order. */
static void fill(struct space *s, make_fn *make)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < KEYS; i++) {
        struct buf b = {0};
        make(&b, i);
        while (b.len > 0 && b.data[b.len - 1] == '\0') {
            b.data[b.len - 1] = 1;
        }
        memcpy(s->keys[i], b.data, b.len);
        buf_done(&b);
    }
    qsort(s->keys, KEYS, CHANGE_KEY_MAX, by_key);
    for (unsigned i = 0; i < KEYS; i++) {
        if (s->count == 0 || memcmp(s->keys[s->count - 1], s->keys[i], CHANGE_KEY_MAX) != 0) {
            memmove(s->keys[s->count++], s->keys[i], CHANGE_KEY_MAX);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        size_t len = CHANGE_KEY_MAX;
        while (len > 0 && s->keys[i][len - 1] == '\0') {
            len--;
        }
        s->lens[i] = len;
    }
}

static struct span key_at(const struct space *s, size_t i)
{
    return span_of(s->keys[i], s->lens[i]);
}

/* ---- a listing in ranges, as scan does it ---- */

struct range {
    char after[CHANGE_KEY_MAX], until[CHANGE_KEY_MAX];
    size_t after_len, until_len;
    bool is_bounded, by_digits, is_done;
};

static size_t first_behind(const struct space *s, struct span after)
{
    size_t i = 0;
    while (i < s->count && span_cmp(key_at(s, i), after) <= 0) {
        i++;
    }
    return i;
}

struct listing {
    const struct space *space;
    struct split_alphabet alphabet;
    struct range ranges[32];
    size_t count;
    unsigned seen[KEYS];
    bool are_utf8;
};

static void cut(struct listing *l, struct range *r, size_t first, size_t last)
{
    char pivot[CHANGE_KEY_MAX];
    size_t len;
    struct split split = {.first = key_at(l->space, first),
                          .last = key_at(l->space, last),
                          .until =
                              r->is_bounded ? span_of(r->until, r->until_len) : (struct span){0},
                          .by_digits = r->by_digits};
    r->by_digits = !r->by_digits;
    if (l->count == 32 || !split_pivot(&l->alphabet, &split, pivot, &len)) {
        return;
    }
    struct span p = span_of(pivot, len);
    assert_true(len > 0 && len <= CHANGE_KEY_MAX);
    assert_true(span_cmp(p, split.last) > 0);
    assert_true(!r->is_bounded || span_cmp(p, split.until) < 0);
    assert_true(!l->are_utf8 || span_is_utf8(p));
    struct range *n = &l->ranges[l->count++];
    *n = *r;
    memcpy(n->after, pivot, len);
    n->after_len = len;
    n->is_done = false;
    memcpy(r->until, pivot, len);
    r->until_len = len;
    r->is_bounded = true;
}

static void list_page(struct listing *l, size_t at)
{
    struct range *r = &l->ranges[at];
    size_t first = first_behind(l->space, span_of(r->after, r->after_len));
    size_t i = first;
    for (; i < l->space->count && i < first + PAGE; i++) {
        struct span key = key_at(l->space, i);
        if (r->is_bounded && span_cmp(key, span_of(r->until, r->until_len)) > 0) {
            break;
        }
        l->seen[i]++;
        split_learn(&l->alphabet, key, 0);
    }
    if (i < first + PAGE || i == l->space->count) {
        r->is_done = true;
        return;
    }
    struct span last = key_at(l->space, i - 1);
    cut(l, r, first, i - 1);
    memcpy(r->after, last.ptr, last.len);
    r->after_len = last.len;
}

/* Gives the number of requests; *ret_rounds: with up to 32 of them at a time. */
static size_t list_all(struct listing *l, size_t *ret_rounds)
{
    size_t requests = 0;
    l->count = 1;
    for (*ret_rounds = 0; l->count > 0; (*ret_rounds)++) {
        size_t n = l->count, kept = 0;
        for (size_t i = 0; i < n; i++, requests++) {
            list_page(l, i);
        }
        for (size_t i = 0; i < l->count; i++) {
            if (!l->ranges[i].is_done) {
                l->ranges[kept++] = l->ranges[i];
            }
        }
        l->count = kept;
    }
    return requests;
}

static void check(make_fn *make, bool are_utf8, uint64_t seed, size_t most_rounds)
{
    struct space *s = mem_alloc(sizeof(*s));
    struct listing *l = mem_alloc(sizeof(*l));
    size_t rounds;
    dice_state = seed;
    fill(s, make);
    l->space = s;
    l->are_utf8 = are_utf8;
    size_t requests = list_all(l, &rounds);
    for (size_t i = 0; i < s->count; i++) {
        if (l->seen[i] != 1) {
            fail_msg("seed %llu: key %zu was listed %u times", (unsigned long long)seed, i,
                     l->seen[i]);
        }
    }
    size_t pages = s->count / PAGE + 1;
    print_message("%zu keys: %zu requests in %zu rounds\n", s->count, requests, rounds);
    assert_true(rounds <= most_rounds);
    assert_true(requests <= 2 * pages + 64);
    mem_free(l);
    mem_free(s);
}

static void test_every_key_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        check(numbers, true, seed, 40);
        check(hashes, true, seed, 40);
        check(characters, true, seed, 60);
        check(bytes, false, seed, 100);
        check(long_prefixes, true, seed, 60);
        check(two_heaps, true, seed, 60);
        check(one_each, true, seed, 40);
        check(chains, true, seed, 250); /* each key begins with the one before */
    }
}

static void test_nothing_to_cut(void **state)
{
    (void)state;
    struct split_alphabet a = {.count = 0};
    struct split s = {.first = span_str("a"), .last = span_str("b"), .by_digits = true};
    char to[CHANGE_KEY_MAX];
    size_t len;
    assert_false(split_pivot(&a, &s, to, &len)); /* nothing was seen yet */
    split_learn(&a, span_str("ab"), 0);
    s.until = span_of("b\0", 2);
    assert_false(split_pivot(&a, &s, to, &len)); /* nothing lies between */
}

/* Pivots between random pairs of random bytes. */
static void test_pivots_lie_between(void **state)
{
    (void)state;
    char one[64], two[64], to[CHANGE_KEY_MAX];
    size_t found = 0;
    for (uint64_t seed = 1; seed < 20000; seed++) {
        dice_state = seed;
        struct split_alphabet a = {.count = 0};
        size_t one_len = dice(8), two_len = 1 + dice(8), len = 0;
        for (size_t i = 0; i < sizeof(one); i++) {
            one[i] = (char)dice(seed % 2 ? 3 : 256);
            two[i] = (char)dice(seed % 2 ? 3 : 256);
        }
        struct span low = span_of(one, one_len), high = span_of(two, two_len);
        if (span_cmp(low, high) >= 0) {
            continue;
        }
        split_learn(&a, low, 0);
        split_learn(&a, high, 0);
        struct split s = {.first = low, .last = low, .until = high, .by_digits = dice(2)};
        if (split_pivot(&a, &s, to, &len)) {
            found++;
            assert_true(span_cmp(low, span_of(to, len)) < 0);
            assert_true(span_cmp(span_of(to, len), high) < 0);
        }
    }
    assert_true(found > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_once),
        cmocka_unit_test(test_nothing_to_cut),
        cmocka_unit_test(test_pivots_lie_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
