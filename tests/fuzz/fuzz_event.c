/* Bodies of notifications: whatever is taken is a good change, and costs no more than it may. */
#include "daemon/feeds/event.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_normal(struct span sequencer)
{
    for (size_t i = 0; i < sequencer.len; i++) {
        if (memchr("0123456789ABCDEF", sequencer.ptr[i], 16) == NULL) {
            return false;
        }
    }
    return sequencer.len == 0 || sequencer.ptr[sequencer.len - 1] != '0';
}

static void check(const struct change *list, size_t count)
{
    struct fail f;
    for (size_t i = 0; i < count; i++) {
        if (change_check(&list[i], &f) != 0 || !is_normal(list[i].sequencer)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct event_list list;
    struct event_options options = {.endpoint = span_str("e"), .feed = span_str("webhook:w")};
    struct fail f = {0};
    arena_init(&a);
    int r = event_parse(span_of((const char *)data, size), &options, &a, &list, &f);
    if (r != 0 && (r != REPL_EBADINPUT || f.text[0] == '\0')) {
        abort();
    }
    check(list.changes, list.count);
    check(list.own, list.own_count);
    if (list.count + list.own_count + list.ignored > EVENT_VALUES_MAX) {
        abort();
    }
    arena_done(&a);
    return 0;
}
