/* Changes that came later than the watermark, by name. */
#include "daemon/admin/ask.h"

struct late {
    struct ask ask;
    uint32_t rule;
};

static void late_row(const struct late_change *l, struct buf *to)
{
    json_open(to, NULL, '{');
    json_key(to, "key", l->key);
    json_text(to, "feed", l->feed);
    json_time(to, "changed", l->event_time_ms);
    json_time(to, "accepted", l->accepted_ms);
    json_time(to, "watermark", l->watermark_ms);
    json_close(to, '}');
}

static int run(struct backend *b, struct journal_call *call)
{
    struct late *l = CONTAINER_OF(ASK_OF(call), struct late, ask);
    struct late_change *changes = NULL;
    size_t n = 0;
    struct buf *to = &l->ask.body;
    int r = b->ops->late_page(b, &l->ask.later.arena, l->rule, LATE_CHANGES_MAX, &changes, &n);
    if (r != 0) {
        return r;
    }
    json_open(to, NULL, '{');
    json_open(to, "late", '[');
    for (size_t i = 0; i < n; i++) {
        late_row(&changes[i], to);
    }
    json_close(to, ']');
    json_close(to, '}');
    return 0;
}

void command_late(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    if (rule == NULL) {
        return;
    }
    struct late *l = ask_new(a, r, sizeof(*l));
    l->rule = rule->number;
    ask_submit(&l->ask, run);
}
