#include "cli/text.h"

#include "daemon/conf/conf.h"

#include <stdio.h>

void text_bytes(unsigned long long bytes, struct buf *to)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    buf_printf(to, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void text_duration(long long ms, struct buf *to)
{
    long long s = ms / 1000;
    if (ms < 1000) {
        buf_printf(to, "%lld ms", ms);
    } else if (s < 60) {
        buf_printf(to, "%.1f s", (double)ms / 1000);
    } else if (s < 3600) {
        buf_printf(to, "%lld min %lld s", s / 60, s % 60);
    } else if (s < 86400) {
        buf_printf(to, "%lld h %lld min", s / 3600, s / 60 % 60);
    } else {
        buf_printf(to, "%lld d %lld h", s / 86400, s / 3600 % 24);
    }
}

void text_count(unsigned long long n, struct buf *to)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            buf_char(to, ',');
        }
        buf_char(to, digits[i]);
    }
}

int text_parse_timeout(const char *text, uint64_t *ret_ms)
{
    unsigned long long seconds = 0;
    struct fail f = {0};
    if (span_to_u64(span_str(text), &seconds) == 0 && seconds <= 1000000000) {
        *ret_ms = seconds * 1000;
        return 0;
    }
    return conf_parse_duration(span_str(text), ret_ms, &f);
}
