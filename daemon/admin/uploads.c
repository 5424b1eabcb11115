#include "daemon/admin/ask.h"

#define PAGE 500

struct uploads {
    struct ask ask;
    struct upload after;
    bool has_after;
};

static const char *const states[] = {"intended", "open", "completing", "aborting"};

static void upload_row(const struct ask *q, const struct upload *u, struct buf *to)
{
    const char *rule = ask_rule_name(q, u->rule);
    json_open(to, NULL, '{');
    json_str(to, "rule", rule);
    json_key(to, "key", u->key);
    json_text(to, "upload_id", u->upload_id);
    json_str(to, "state", states[u->state]);
    /* Nobody works on it any more: it is only there to be aborted. */
    json_bool(to, "orphaned", u->state == UPLOAD_ABORTING || rule[0] == '\0');
    json_text(to, "endpoint", u->endpoint);
    json_text(to, "bucket", u->bucket);
    json_key(to, "destination_key", u->dest_key);
    json_int(to, "size_bytes", (int64_t)u->size);
    json_int(to, "done_bytes", (int64_t)u->bytes_done);
    json_time(to, "created", u->created_ms);
    json_int(to, "attempts", u->attempts);
    json_time(to, "next_try", u->next_try_ms);
    json_close(to, '}');
}

static void next_page(const struct upload *last, struct buf *to)
{
    struct buf query = {0};
    buf_printf(&query, "after_rule=%u&after_key=", (unsigned)last->rule);
    json_escape_query(&query, last->key);
    buf_str(&query, "&after_id=");
    json_escape_query(&query, last->upload_id);
    json_text(to, "next", buf_view(&query));
    buf_done(&query);
}

static int run(struct backend *b, struct journal_call *call)
{
    struct uploads *p = CONTAINER_OF(ASK_OF(call), struct uploads, ask);
    struct buf *to = &p->ask.body;
    struct upload *rows = NULL;
    size_t n = 0;
    int r = b->ops->upload_page(b, &p->ask.later.arena, -1, INT64_MAX,
                                p->has_after ? &p->after : NULL, PAGE, &rows, &n);
    if (r != 0) {
        return r;
    }
    json_open(to, NULL, '{');
    json_open(to, "uploads", '[');
    for (size_t i = 0; i < n; i++) {
        upload_row(&p->ask, &rows[i], to);
    }
    json_close(to, ']');
    if (n == PAGE) {
        next_page(&rows[n - 1], to);
    } else {
        json_str(to, "next", NULL);
    }
    json_close(to, '}');
    return 0;
}

void command_uploads(struct admin *a, struct httpd_request *r)
{
    uint64_t after_rule;
    const char *after_key = httpd_query(r, "after_key");
    const char *after_id = httpd_query(r, "after_id");
    if (!query_number(r, "after_rule", 0, &after_rule)) {
        return;
    }
    struct uploads *p = ask_new(a, r, sizeof(*p));
    p->has_after = after_key != NULL;
    p->after.rule = (uint32_t)after_rule;
    p->after.key = arena_span(&p->ask.later.arena, span_str(after_key));
    p->after.upload_id = arena_span(&p->ask.later.arena, span_str(after_id ? after_id : ""));
    ask_submit(&p->ask, run);
}
