#include "tests/bench/sample.h"

/* splitmix64: no value comes twice within 2^64. */
static uint64_t next_random(struct sample_source *s)
{
    uint64_t x = s->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static char *put_hex(char *to, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        *to++ = "0123456789abcdef"[value >> shift & 15];
    }
    return to;
}

static char *put_text(char *to, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len + 1);
    return to + len;
}

struct append_entry sample_next(struct sample_source *s, uint32_t rule, int64_t now_ms,
                                struct sample *texts)
{
    uint64_t number = next_random(s);
    put_text(put_hex(put_text(texts->key, "raw/2026/"), number), "/page.html");
    *put_hex(put_hex(texts->etag, number), ~number) = '\0';
    return (struct append_entry){.rule = rule,
                                 .origin = TASK_LIVE,
                                 .change = {.kind = CHANGE_PUT,
                                            .key = span_str(texts->key),
                                            .etag = span_str(texts->etag),
                                            .feed = span_str("append"),
                                            .size = (int64_t)(number & 0xffff),
                                            .event_time_ms = now_ms}};
}
