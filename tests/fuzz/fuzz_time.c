/* fuzz_time: dates as servers write them, and the readers of spans. What is read must be the same
 * when it is printed and read again. */
#include "daemon/base/loop.h"
#include "daemon/base/span.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_time(struct span s)
{
    int64_t ms;
    int64_t again;
    char text[32];
    if (time_parse(s.ptr, s.len, &ms) != 0) {
        return;
    }
    int64_t whole = ms - (ms % 1000 + 1000) % 1000;
    time_iso(ms, text);
    /* A zone may lead out of the four digits of a year. */
    if (text[0] != '-' && text[4] == '-') {
        must(time_parse(text, strlen(text), &again) == 0 && again == whole);
        time_iso_basic(ms, text);
        must(time_parse(text, strlen(text), &again) == 0 && again == whole);
    }
}

static void check_number(struct span s)
{
    unsigned long long n = 0;
    if (span_to_u64(s, &n) == 0) {
        for (size_t i = s.len; i-- > 0; n /= 10) {
            must(n % 10 == (unsigned long long)(s.ptr[i] - '0'));
        }
        must(n == 0);
    }
}

/* The pieces and separators add up to the whole. */
static void check_cut(struct span s)
{
    struct span rest = s;
    size_t total = 0;
    while (rest.ptr != NULL) {
        struct span piece = span_cut(&rest, ',');
        struct span inner = span_trim(piece);
        must(inner.len <= piece.len &&
             memchr(piece.len > 0 ? piece.ptr : "", ',', piece.len) == NULL);
        check_number(inner);
        total += piece.len + (rest.ptr != NULL ? 1 : 0);
    }
    must(total == s.len);
}

static void check_utf8(struct span s)
{
    while (s.len > 0) {
        size_t n = span_utf8(s);
        must(n <= 4 && n <= s.len);
        s = span_skip(s, n > 0 ? n : 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span s = span_of((const char *)data, size);
    check_time(s);
    check_cut(s);
    check_utf8(s);
    return 0;
}
