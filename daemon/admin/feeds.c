/* Feeds as they are, and what the operator decides of their quarantine. */
#include "daemon/admin/ask.h"
#include "daemon/admin/peer.h"

#include <stdio.h>

#define PAGE 500

static void feed_members(const struct feed_report *r, struct buf *to)
{
    json_str(to, "feed", r->name);
    json_str(to, "kind", r->kind);
    json_str(to, "endpoint", r->endpoint);
    json_str(to, "bucket", r->bucket);
    json_str(to, "state", r->state);
    json_bool(to, "up", r->is_up);
    json_fail(to, "failure", &r->fail);
    json_int(to, "astray", (int64_t)r->astray);
    json_int(to, "quarantined", (int64_t)r->quarantined.bodies);
    json_int(to, "quarantined_bytes", (int64_t)r->quarantined.bytes);
    json_int(to, "lost", (int64_t)r->quarantined.lost);
}

void command_feeds(struct admin *a, struct httpd_request *r)
{
    struct buf body = {0};
    struct feed_report report;
    json_open(&body, NULL, '{');
    json_str(&body, "webhook", engine_webhook_address(a->options.engine));
    json_open(&body, "feeds", '[');
    for (size_t i = 0; engine_feed_report(a->options.engine, i, &report); i++) {
        json_open(&body, NULL, '{');
        feed_members(&report, &body);
        json_close(&body, '}');
    }
    json_close(&body, ']');
    json_close(&body, '}');
    reply_json(r, &body);
}

/* The feed named by the parameter, "NAME" or "KIND:NAME"; false after a 400 or 404. */
static bool need_feed(struct admin *a, struct httpd_request *r, struct feed_report *ret)
{
    const char *name = need_query(r, "feed");
    if (name == NULL) {
        return false;
    }
    for (size_t i = 0; engine_feed_report(a->options.engine, i, ret); i++) {
        const char *bare = strchr(ret->name, ':');
        if (strcmp(ret->name, name) == 0 || (bare != NULL && strcmp(bare + 1, name) == 0)) {
            return true;
        }
    }
    struct fail f = {0};
    engine_unknown_feed(a->options.engine, name, &f);
    reply_fail(r, &f);
    return false;
}

/* Of a body in its quarantine, 0 = none is named; false after a 400. */
static bool query_id(struct httpd_request *r, const struct feed_report *feed, uint64_t *ret)
{
    const char *text = httpd_query(r, "id");
    unsigned long long id = 0;
    struct fail f = {0};
    if (text != NULL && (span_to_u64(span_str(text), &id) != 0 || id == 0 || id > INT64_MAX)) {
        fail_set(&f, REPL_EBADINPUT, "\"%.40s\" is not the id of a body in quarantine", text);
        fail_hint(&f, "ids are numbers; replctl feed show %s lists them", feed->name);
        reply_fail(r, &f);
        return false;
    }
    *ret = id;
    return true;
}

/* ---- one feed and its quarantine ---- */

struct feed_ask {
    struct ask ask;
    struct span feed;
    uint64_t after;
    struct buf head; /* members of the feed */
};

static void quarantine_row(const struct quarantined *q, struct buf *to)
{
    json_open(to, NULL, '{');
    json_int(to, "id", (int64_t)q->id);
    json_time(to, "received", q->received_ms);
    json_text(to, "reason", q->reason);
    json_int(to, "size_bytes", (int64_t)q->size);
    json_int(to, "lost", (int64_t)q->lost);
    json_close(to, '}');
}

static int word_list(struct backend *b, struct feed_ask *p)
{
    struct buf *to = &p->ask.body;
    struct quarantine_word *words = NULL;
    size_t n = 0;
    int status =
        b->ops->quarantine_words(b, &p->ask.later.arena, p->feed, QUARANTINE_WORDS_MAX, &words, &n);
    json_open(to, "dropped", '[');
    for (size_t i = 0; i < n; i++) {
        json_open(to, NULL, '{');
        json_time(to, "at", words[i].at_ms);
        json_text(to, "who", words[i].who);
        json_int(to, "bodies", (int64_t)words[i].bodies);
        json_int(to, "id", (int64_t)words[i].id);
        json_text(to, "reason", words[i].reason);
        json_close(to, '}');
    }
    json_close(to, ']');
    return status;
}

static int run_show(struct backend *b, struct journal_call *call)
{
    struct feed_ask *p = CONTAINER_OF(ASK_OF(call), struct feed_ask, ask);
    struct buf *to = &p->ask.body;
    struct quarantined *rows = NULL;
    size_t n = 0;
    int status =
        b->ops->quarantine_page(b, &p->ask.later.arena, p->feed, p->after, PAGE, &rows, &n);
    if (status != 0) {
        return status;
    }
    json_open(to, NULL, '{');
    json_raw(to, "feed", buf_view(&p->head));
    json_open(to, "quarantine", '[');
    for (size_t i = 0; i < n; i++) {
        quarantine_row(&rows[i], to);
    }
    json_close(to, ']');
    status = p->after == 0 ? word_list(b, p) : 0;
    char next[48];
    snprintf(next, sizeof(next), "after=%llu", n > 0 ? (unsigned long long)rows[n - 1].id : 0);
    json_str(to, "next", n == PAGE ? next : NULL);
    json_close(to, '}');
    return status;
}

static int run_body(struct backend *b, struct journal_call *call)
{
    struct feed_ask *p = CONTAINER_OF(ASK_OF(call), struct feed_ask, ask);
    struct buf *to = &p->ask.body;
    struct quarantined q;
    int status = b->ops->quarantine_get(b, &p->ask.later.arena, p->after, &q);
    if (status == 0 && !span_eq(q.feed, p->feed)) {
        status = REPL_ENOTFOUND;
    }
    if (status == REPL_ENOTFOUND) {
        engine_unknown_body(p->feed, p->after, &call->fail);
    }
    if (status != 0) {
        return status;
    }
    json_open(to, NULL, '{');
    json_int(to, "id", (int64_t)q.id);
    json_time(to, "received", q.received_ms);
    json_text(to, "reason", q.reason);
    json_key(to, "body", q.body);
    json_close(to, '}');
    return 0;
}

static void drop_head(struct ask *q)
{
    buf_done(&CONTAINER_OF(q, struct feed_ask, ask)->head);
}

void command_feed_show(struct admin *a, struct httpd_request *r)
{
    struct feed_report report;
    uint64_t after, id;
    if (!need_feed(a, r, &report) || !query_number(r, "after", 0, &after) ||
        !query_id(r, &report, &id)) {
        return;
    }
    struct feed_ask *p = ask_new(a, r, sizeof(*p));
    p->feed = arena_span(&p->ask.later.arena, span_str(report.name));
    p->after = id != 0 ? id : after;
    p->ask.finish = drop_head;
    if (id == 0) {
        json_open(&p->head, NULL, '{');
        feed_members(&report, &p->head);
        json_close(&p->head, '}');
    }
    ask_submit(&p->ask, id != 0 ? run_body : run_show);
}

/* ---- decisions ---- */

void command_feed_replay(struct admin *a, struct httpd_request *r)
{
    struct feed_report report;
    uint64_t id;
    if (!need_feed(a, r, &report) || !query_id(r, &report, &id)) {
        return;
    }
    struct later *l = later_new(a, r, sizeof(*l));
    engine_quarantine_replay(a->options.engine, arena_strdup(&l->arena, report.name), id,
                             later_done, l);
}

void command_feed_drop(struct admin *a, struct httpd_request *r)
{
    struct feed_report report;
    uint64_t id;
    const char *reason = need_query(r, "reason");
    if (reason == NULL || !need_feed(a, r, &report) || !query_id(r, &report, &id)) {
        return;
    }
    if (id == 0 && !query_flag(r, "all")) {
        reply_error(r, REPL_EBADINPUT, "id=N, or all=1", "which body is to be dropped?");
        return;
    }
    char who[96];
    struct httpd_peer peer = {0};
    httpd_peer(r, &peer);
    peer_name(peer.uid, who, sizeof(who));
    struct quarantine_word word = {
        .feed = span_str(report.name), .id = id, .who = span_str(who), .reason = span_str(reason)};
    engine_quarantine_drop(a->options.engine, &word, later_done,
                           later_new(a, r, sizeof(struct later)));
}

/* ---- setup ---- */

/* False after a 400. */
static bool query_sender(struct httpd_request *r, enum setup_sender *ret)
{
    const char *name = httpd_query(r, "sender");
    *ret = SETUP_UNKNOWN;
    if (name != NULL && setup_sender_parse(name, ret) != 0) {
        reply_error(r, REPL_EBADINPUT, "one of: minio, rgw, aws, oss",
                    "there is no sender \"%.40s\"", name);
        return false;
    }
    return true;
}

void command_feed_setup(struct admin *a, struct httpd_request *r)
{
    struct engine *e = a->options.engine;
    const struct rule *rule = need_rule(a, r);
    enum setup_sender sender;
    struct setup s;
    struct fail f = {0};
    struct buf url = {0}, commands = {0}, body = {0};
    if (rule == NULL || !query_sender(r, &sender)) {
        return;
    }
    if (engine_setup_plan(e, rule->name, &s, &f) != 0) {
        reply_fail(r, &f);
        return;
    }
    s.sender = sender != SETUP_UNKNOWN ? sender : s.sender;
    if (setup_hook_url(&a->options.conf->webhook, engine_webhook_address(e), &url, &f) != 0) {
        reply_fail(r, &f);
        return;
    }
    s.hook_url = buf_cstr(&url);
    setup_commands(&s, &commands);
    json_open(&body, NULL, '{');
    json_str(&body, "rule", rule->name);
    json_str(&body, "source", s.source->name);
    json_str(&body, "sender", setup_sender_name(s.sender));
    json_str(&body, "url", s.hook_url);
    json_str(&body, "path", s.source->path);
    json_text(&body, "commands", buf_view(&commands));
    json_close(&body, '}');
    reply_json(r, &body);
    buf_done(&url);
    buf_done(&commands);
}

void command_feed_setup_apply(struct admin *a, struct httpd_request *r)
{
    const struct rule *rule = need_rule(a, r);
    struct engine_setup what = {0};
    if (rule == NULL || !query_sender(r, &what.sender)) {
        return;
    }
    struct later *l = later_new(a, r, sizeof(*l));
    what.rule = arena_strdup(&l->arena, rule->name);
    what.arn = arena_span(&l->arena, span_str(httpd_query(r, "arn"))).ptr;
    engine_setup_apply(a->options.engine, &what, later_done, l);
}
