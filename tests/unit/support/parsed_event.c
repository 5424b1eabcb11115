#include "tests/unit/support/parsed_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

__attribute__((format(printf, 2, 0))) static void print_json(struct buf *to, const char *format,
                                                             va_list args)
{
    buf_vprintf(to, format, args);
    for (size_t i = 0; i < to->len; i++) {
        to->data[i] = to->data[i] == '\'' ? '"' : to->data[i];
    }
}

void parsed_json(struct buf *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_json(to, format, args);
    va_end(args);
}

struct parsed parsed_of_bytes(struct span body)
{
    struct parsed p = {0};
    struct event_options o = {.endpoint = span_str("near"), .feed = span_str("webhook:w")};
    arena_init(&p.arena);
    p.status = event_parse(body, &o, &p.arena, &p.list, &p.fail);
    return p;
}

struct parsed parsed_of(const char *format, ...)
{
    struct buf body = {0};
    va_list args;
    va_start(args, format);
    print_json(&body, format, args);
    va_end(args);
    struct parsed p = parsed_of_bytes(buf_view(&body));
    buf_done(&body);
    return p;
}

void parsed_expect_good(const struct parsed *p)
{
    if (p->status != 0) {
        fail_msg("%s", p->fail.text);
    }
}

void parsed_expect_refused(struct parsed p, const char *text)
{
    if (p.status != REPL_EBADINPUT || strstr(p.fail.text, text) != p.fail.text) {
        fail_msg("%d \"%s\" is not \"%s\"", p.status, p.fail.text, text);
    }
    arena_done(&p.arena);
}
