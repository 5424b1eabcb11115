/* Sequencers of all senders brought to one form. */
#include "daemon/feeds/event.h"

#include <ctype.h>

#define DIGITS_MAX  64 /* AWS sends 16 and 18 */
#define TIME_DIGITS 16 /* of 64 bits */
#define HALF        (TIME_DIGITS / 2)

/* The digits into `to`; their number, 0 when there are none or something else is among. */
static size_t read_digits(struct span text, char to[DIGITS_MAX])
{
    if (text.len > DIGITS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        to[i] = text.ptr[i];
        if (isxdigit((unsigned char)to[i]) == 0) {
            return 0;
        }
    }
    return text.len;
}

/* MinIO: nanoseconds printed without leading zeros. */
static size_t pad_left(char digits[DIGITS_MAX], size_t n)
{
    if (n == 0 || n > TIME_DIGITS) {
        return 0;
    }
    memmove(digits + TIME_DIGITS - n, digits, n);
    memset(digits, '0', TIME_DIGITS - n);
    return TIME_DIGITS;
}

/* Ceph: memory of a utime_t, seconds and nanoseconds of four bytes each, lowest byte first. */
static size_t swap_halves(char digits[DIGITS_MAX], size_t n)
{
    if (n != TIME_DIGITS) {
        return 0;
    }
    char turned[TIME_DIGITS];
    for (size_t at = 0; at < TIME_DIGITS; at += 2) {
        size_t half = at / HALF * HALF;
        memcpy(turned + half + HALF - 2 - (at - half), digits + at, 2);
    }
    memcpy(digits, turned, TIME_DIGITS);
    return n;
}

struct span event_sequencer(enum event_source source, struct span text, struct arena *a)
{
    char digits[DIGITS_MAX];
    size_t n = read_digits(text, digits);
    switch (source) {
    case EVENT_AWS:
    case EVENT_BRIDGE: /* padded with zeros on the right to compare */
        break;
    case EVENT_MINIO:
        n = pad_left(digits, n);
        break;
    case EVENT_CEPH:
        n = swap_halves(digits, n);
        break;
    case EVENT_OSS:
    case EVENT_SOURCES:
        n = 0;
        break;
    }
    size_t zeros = 0;
    while (zeros < n && digits[zeros] == '0') {
        zeros++;
    }
    return change_sequencer(span_of(digits, zeros < n ? n : 0), a); /* all zeros: it has none */
}
