/* foreign: uploads at a rule's destination that the journal does not know: of other programs, or of
 * a journal that was lost. Reported, never touched. First the server is asked, then the journal
 * page by page. */
#include "daemon/admin/command.h"
#include "daemon/base/list.h"

struct foreign {
    struct later later;
    struct journal_call call;
    struct store_op op;
    bool *known;         /* of op.uploads */
    struct upload after; /* last row of the page before */
    bool has_after;
    bool more;
    const char *rule;
    const char *endpoint;
};

static void mark_known(struct foreign *p, const struct upload *row)
{
    for (size_t i = 0; i < p->op.upload_count; i++) {
        if (span_eq(p->op.uploads[i].upload_id, row->upload_id)) {
            p->known[i] = true;
        }
    }
}

static int run(struct backend *b, struct journal_call *call)
{
    struct foreign *p = CONTAINER_OF(call, struct foreign, call);
    struct upload *rows = NULL;
    size_t n = 0;
    struct arena page;
    arena_init(&page);
    int r = b->ops->upload_page(b, &page, -1, INT64_MAX, p->has_after ? &p->after : NULL,
                                BACKEND_PAGE_MAX, &rows, &n);
    for (size_t i = 0; i < n && r == 0; i++) {
        mark_known(p, &rows[i]);
    }
    p->more = r == 0 && n == BACKEND_PAGE_MAX;
    if (p->more) {
        p->has_after = true;
        p->after.rule = rows[n - 1].rule;
        p->after.key = arena_span(&p->later.arena, rows[n - 1].key);
        p->after.upload_id = arena_span(&p->later.arena, rows[n - 1].upload_id);
    }
    arena_done(&page);
    return r;
}

static void reply(struct foreign *p)
{
    struct buf body = {0};
    json_open(&body, NULL, '{');
    json_str(&body, "rule", p->rule);
    json_text(&body, "bucket", p->op.bucket);
    json_open(&body, "foreign", '[');
    for (size_t i = 0; i < p->op.upload_count; i++) {
        const struct store_upload *upload = &p->op.uploads[i];
        if (!p->known[i]) {
            json_open(&body, NULL, '{');
            json_key(&body, "key", upload->key);
            json_text(&body, "upload_id", upload->upload_id);
            json_time(&body, "initiated", upload->initiated_ms);
            json_close(&body, '}');
        }
    }
    json_close(&body, ']');
    json_close(&body, '}');
    later_reply(&p->later, &body);
}

static void page_done(struct journal_call *call)
{
    struct foreign *p = CONTAINER_OF(call, struct foreign, call);
    if (call->status != 0) {
        later_fail(&p->later, call->status, &call->fail);
    } else if (p->more) {
        journal_submit(engine_journal(p->later.admin->options.engine), &p->call);
    } else {
        reply(p);
    }
}

static void listed(struct store_op *op)
{
    struct foreign *p = CONTAINER_OF(op, struct foreign, op);
    if (op->fail.code != 0) {
        struct fail f = op->fail;
        fail_set(&f, op->fail.code, "endpoint %s, bucket %.*s: %s", p->endpoint,
                 SPAN_ARG(op->bucket), op->fail.text);
        f.http_status = op->fail.http_status;
        later_fail(&p->later, f.code, &f);
        return;
    }
    p->known = arena_alloc(&p->later.arena, op->upload_count + 1);
    p->call = (struct journal_call){.run = run, .done = page_done, .access = JOURNAL_READ};
    journal_submit(engine_journal(p->later.admin->options.engine), &p->call);
}

void command_foreign(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    if (rule == NULL) {
        return;
    }
    struct store *store = engine_store(a->options.engine, rule->destination.endpoint);
    if (store == NULL) {
        struct fail f = {0};
        engine_unknown_endpoint(a->options.engine, rule->destination.endpoint, &f);
        reply_fail(r, &f);
        return;
    }
    struct foreign *p = later_new(a, r, sizeof(*p));
    struct arena *arena = &p->later.arena;
    p->rule = arena_strdup(arena, rule->name);
    p->endpoint = arena_strdup(arena, rule->destination.endpoint);
    p->op.kind = STORE_LIST_UPLOADS;
    p->op.bucket = arena_span(arena, span_str(rule->destination.bucket));
    p->op.key = arena_span(arena, span_str(rule->destination.prefix));
    p->op.done = listed;
    p->op.arg = p;
    p->op.arena = arena;
    store_submit(store, &p->op);
}
