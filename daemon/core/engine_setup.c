/* What a sender's side needs, done with the keys of the endpoint: a topic where the sender has
 * such (Ceph RGW), then the bucket's notification configuration is read, added to and written
 * back. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"
#include "daemon/feeds/setup.h"
#include "daemon/feeds/webhook_token.h"

struct setup_run {
    struct engine *engine;
    struct arena arena;
    char *rule;
    enum setup_sender sender;
    const char *arn;
    const char *hook_url;
    engine_done_fn *done;
    void *arg;
};

static const struct conf_source *source_of(const struct conf *conf, const struct rule *rule)
{
    for (size_t i = 0; i < conf->webhook.source_count; i++) {
        const struct conf_source *s = &conf->webhook.sources[i];
        if (strcmp(s->endpoint, rule->source.endpoint) == 0 &&
            (s->bucket == NULL || strcmp(s->bucket, rule->source.bucket) == 0)) {
            return s;
        }
    }
    return NULL;
}

int engine_setup_plan(struct engine *e, const char *rule, struct setup *ret, struct fail *f)
{
    const struct engine_rule *r = engine_rule_by_name(e, rule);
    if (r == NULL) {
        engine_unknown_rule(e, rule, f);
        return REPL_ENOTFOUND;
    }
    const struct conf_endpoint *endpoint = conf_endpoint_find(e->conf, r->rule.source.endpoint);
    const struct conf_source *source = source_of(e->conf, &r->rule);
    if (source == NULL || endpoint == NULL) {
        fail_set(f, REPL_ENOTFOUND, "the webhook has no source for %s/%s", r->rule.source.endpoint,
                 r->rule.source.bucket);
        fail_hint(f, "add one below webhook.sources in repld.yaml, then replctl reload");
        return REPL_ENOTFOUND;
    }
    *ret = (struct setup){.rule = &r->rule,
                          .endpoint = endpoint,
                          .source = source,
                          .sender = setup_sender_of(endpoint)};
    return 0;
}

static void free_run(struct setup_run *run)
{
    arena_done(&run->arena);
    mem_free(run->rule);
    mem_free(run);
}

static void end(struct setup_run *run, int status, const struct fail *f)
{
    run->done(run->arg, status, f);
    free_run(run);
}

/* As it is now: the configuration may have changed between two answers. */
static int plan(const struct setup_run *run, struct setup *ret, struct fail *f)
{
    int status = engine_setup_plan(run->engine, run->rule, ret, f);
    if (status == 0) {
        ret->sender = run->sender;
        ret->arn = run->arn;
        ret->hook_url = run->hook_url;
    }
    return status;
}

/* Ends the run where there is none any more. */
static bool plan_again(struct setup_run *run, struct setup *ret)
{
    struct fail f = {0};
    if (plan(run, ret, &f) != 0) {
        end(run, f.code, &f);
        return false;
    }
    return true;
}

static struct engine_op *new_op(struct setup_run *run, const struct setup *s,
                                enum store_op_kind kind)
{
    struct engine *e = run->engine;
    struct engine_endpoint *ep = engine_endpoint_find(e, s->endpoint->name);
    struct engine_op *o = engine_op_new(e, ep->store);
    o->owner = run;
    o->op.kind = kind;
    o->op.bucket = arena_span(&o->arena, span_str(s->rule->source.bucket));
    return o;
}

/* Ends the run when the operation failed. */
static bool has_failed(struct engine_op *o)
{
    struct setup_run *run = o->owner;
    if (o->op.fail.code == 0) {
        return false;
    }
    struct fail f = o->op.fail;
    engine_op_free(o);
    end(run, f.code, &f);
    return true;
}

static void is_put(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct setup_run *run = o->owner;
    struct setup s;
    struct fail gone;
    if (op->fail.code != 0 && plan(run, &s, &gone) == 0) {
        setup_explain(&s, &op->fail);
    }
    if (has_failed(o)) {
        return;
    }
    LOG_NOTICE(run->engine->log, ENGINE_SUBJECT,
               "rule %s: its source bucket sends notifications to the webhook", run->rule);
    engine_op_free(o);
    end(run, 0, NULL);
}

static void is_read(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct setup_run *run = o->owner;
    struct setup s;
    struct buf text = {0};
    struct fail f = {0};
    if (has_failed(o)) {
        return;
    }
    struct span now = arena_span(&run->arena, op->ret_text);
    engine_op_free(o);
    if (!plan_again(run, &s)) {
        return;
    }
    if (setup_merge(&s, now, &text, &f) != 0) {
        buf_done(&text);
        end(run, f.code, &f);
        return;
    }
    struct engine_op *put = new_op(run, &s, STORE_PUT_NOTIFICATION);
    put->op.body = arena_span(&put->arena, buf_view(&text));
    buf_done(&text);
    engine_op_submit(put, is_put, put);
}

static void read_configuration(struct setup_run *run, const struct setup *s)
{
    struct engine_op *o = new_op(run, s, STORE_GET_NOTIFICATION);
    engine_op_submit(o, is_read, o);
}

static void topic_is_made(struct store_op *op)
{
    struct engine_op *o = op->arg;
    struct setup_run *run = o->owner;
    struct setup s;
    struct span arn;
    struct fail f = {0};
    explicit_bzero((char *)(uintptr_t)op->body.ptr, op->body.len);
    if (has_failed(o)) {
        return;
    }
    int status = setup_topic_arn(op->ret_text, &run->arena, &arn, &f);
    engine_op_free(o);
    if (status != 0) {
        end(run, status, &f);
        return;
    }
    run->arn = arn.ptr;
    if (plan_again(run, &s)) {
        read_configuration(run, &s);
    }
}

static void make_topic(struct setup_run *run, const struct setup *s)
{
    struct buf form = {0};
    struct fail f = {0};
    char token[WEBHOOK_TOKEN_MAX + 1] = "";
    if (webhook_token_first(&s->source->token, token, &f) != 0) {
        engine_done_later(run->engine, run->done, run->arg, f.code, &f);
        free_run(run);
        return;
    }
    setup_topic_form(s, token[0] != '\0' ? token : NULL, &form);
    explicit_bzero(token, sizeof(token));
    struct engine_op *o = new_op(run, s, STORE_CREATE_TOPIC);
    o->op.bucket = span_of("", 0);
    o->op.body = arena_span(&o->arena, buf_view(&form));
    explicit_bzero(form.data, form.cap);
    buf_done(&form);
    engine_op_submit(o, topic_is_made, o);
}

static int check(const struct engine_setup *what, enum setup_sender sender, struct fail *f)
{
    if (sender == SETUP_UNKNOWN) {
        fail_set(f, REPL_EBADINPUT, "the endpoint does not tell whether it is MinIO or Ceph RGW");
        fail_hint(f, "say --for minio or --for rgw");
        return REPL_EBADINPUT;
    }
    if (sender == SETUP_OSS) {
        fail_set(f, REPL_EUNSUPPORTED, "OSS is set up in its own console");
        fail_hint(f, "without --apply the steps are shown");
        return REPL_EUNSUPPORTED;
    }
    if (sender == SETUP_AWS && what->arn == NULL) {
        fail_set(f, REPL_EBADINPUT, "where is the bucket to send to?");
        fail_hint(f, "name the topic with --arn; without --apply the steps are shown");
        return REPL_EBADINPUT;
    }
    return 0;
}

void engine_setup_apply(struct engine *e, const struct engine_setup *what, engine_done_fn *done,
                        void *arg)
{
    struct setup s = {0};
    struct buf url = {0};
    struct fail f = {0};
    int status = engine_setup_plan(e, what->rule, &s, &f);
    enum setup_sender sender = what->sender != SETUP_UNKNOWN ? what->sender : s.sender;
    bool has_topic = sender == SETUP_RGW && what->arn == NULL; /* which names the webhook */
    if (status == 0) {
        status = check(what, sender, &f);
    }
    if (status == 0 && has_topic) {
        status = setup_hook_url(&e->conf->webhook, engine_webhook_address(e), &url, &f);
    }
    if (status != 0) {
        engine_done_later(e, done, arg, status, &f);
        return;
    }
    struct setup_run *run = MEM_NEW(struct setup_run);
    arena_init(&run->arena);
    run->engine = e;
    run->rule = mem_strdup(what->rule);
    run->sender = sender;
    run->arn = arena_strdup_or_null(&run->arena, what->arn);
    run->hook_url = arena_strdup(&run->arena, buf_cstr(&url));
    buf_done(&url);
    run->done = done;
    run->arg = arg;
    s.sender = run->sender;
    s.arn = run->arn;
    s.hook_url = run->hook_url;
    if (has_topic) {
        make_topic(run, &s);
    } else {
        read_configuration(run, &s);
    }
}
