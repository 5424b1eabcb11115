/* A new configuration: what is the same goes on, what is not is opened anew. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

void engine_shares(const struct engine *e, unsigned to[COPY_CLASSES])
{
    to[COPY_FRESH] = e->conf->shares.fresh;
    to[COPY_LATE] = e->conf->shares.late;
    to[COPY_BACKFILL] = e->conf->shares.backfill;
}

void engine_sched_start(struct engine *e)
{
    struct sched_options options = {.loop = e->loop,
                                    .log = e->log,
                                    .stats = e->stats,
                                    .memory_bytes = conf_memory_bodies(e->conf),
                                    .copies = e->conf->copies,
                                    .sink = &engine_copy_sink,
                                    .sink_arg = e};
    engine_shares(e, options.shares);
    e->sched = sched_new(&options);
    e->sched_stopping = false;
    engine_limits_apply(e);
}

bool engine_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_paths(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
    bool is_same = a->path_count == b->path_count;
    for (size_t i = 0; is_same && i < a->path_count; i++) {
        const struct conf_path *x = &a->paths[i], *y = &b->paths[i];
        is_same = engine_same_text(x->name, y->name) && engine_same_text(x->url, y->url) &&
                  engine_same_text(x->cost, y->cost) && x->virtual_host == y->virtual_host &&
                  x->use == y->use;
    }
    return is_same;
}

static bool same_endpoint(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
    return engine_same_text(a->kind, b->kind) && engine_same_text(a->url, b->url) &&
           same_paths(a, b) && engine_same_text(a->region, b->region) &&
           engine_same_text(a->ca_file, b->ca_file) && a->tls_insecure == b->tls_insecure &&
           a->credentials == b->credentials &&
           engine_same_text(a->credentials_name, b->credentials_name) &&
           engine_same_text(a->credentials_file, b->credentials_file) &&
           a->connections == b->connections && engine_same_text(a->congestion, b->congestion) &&
           a->http == b->http && engine_same_text(a->check, b->check) &&
           a->reupload_safe == b->reupload_safe;
}

static bool same_outbox(const struct conf_outbox *a, const struct conf_outbox *b)
{
    return engine_same_text(a->path, b->path) && engine_same_text(a->endpoint, b->endpoint) &&
           engine_same_text(a->bucket, b->bucket) && a->create == b->create &&
           engine_same_text(a->group, b->group) && a->trim == b->trim;
}

static int check(struct engine *e, const struct conf *conf, struct fail *f)
{
    LIST_FOR (link, &e->rules) {
        const struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        const char *names[] = {r->rule.source.endpoint, r->rule.destination.endpoint};
        for (int i = 0; i < 2 && !r->deleting; i++) {
            if (conf_endpoint_find(conf, names[i]) == NULL) {
                fail_set(f, REPL_ECONFLICT, "rule %s needs endpoint %s, which is gone",
                         r->rule.name, names[i]);
                fail_hint(f, "keep the endpoint, or delete the rule first");
                return REPL_ECONFLICT;
            }
        }
    }
    if (!engine_same_text(e->conf->journal_path, conf->journal_path)) {
        return fail_set(f, REPL_ECONFLICT, "the journal's path cannot change without a restart");
    }
    return 0;
}

/* ---- endpoints ---- */

static void leave_store(struct engine *e, const struct engine_endpoint *ep)
{
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        if (r->from == ep || r->to == ep) {
            engine_scan_stop(r);
            r->from = NULL;
            r->to = NULL;
        }
    }
}

/* The new stores are all made before an old one is touched: a refusal changes nothing. */
static int open_changed(struct engine *e, const struct conf *conf, struct list *opened,
                        struct fail *f)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < conf->endpoint_count; i++) {
        const struct conf_endpoint *c = &conf->endpoints[i];
        const struct engine_endpoint *ep = engine_endpoint_find(e, c->name);
        if (ep == NULL || !same_endpoint(ep->conf, c)) {
            status = engine_endpoint_open(e, c, f);
            if (status == 0) {
                struct list *last = e->endpoints.prev;
                list_remove(last);
                list_push_back(opened, last);
            }
        }
    }
    return status;
}

static void retire_old(struct engine *e, const struct conf *conf)
{
    LIST_FOR_SAFE (link, &e->endpoints) {
        struct engine_endpoint *ep = CONTAINER_OF(link, struct engine_endpoint, link);
        const struct conf_endpoint *c = conf_endpoint_find(conf, ep->name);
        if (c != NULL && same_endpoint(ep->conf, c)) {
            struct fail ignored; /* a store without paths has none to free */
            (void)store_order(ep->store, NULL, NET_FREE, &ignored);
            ep->conf = c;
            continue;
        }
        leave_store(e, ep);
        list_remove(&ep->link);
        list_push_back(&e->retired, &ep->link);
    }
}

static void move_all(struct list *from, struct list *to)
{
    LIST_FOR_SAFE (link, from) {
        list_remove(link);
        list_push_back(to, link);
    }
}

/* ---- outboxes ---- */

static const struct conf_outbox *find_outbox(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->outbox_count; i++) {
        if (strcmp(conf->outboxes[i].name, name) == 0) {
            return &conf->outboxes[i];
        }
    }
    return NULL;
}

static void change_outboxes(struct engine *e, const struct conf *conf)
{
    LIST_FOR_SAFE (link, &e->feeds) {
        struct engine_feed *ef = CONTAINER_OF(link, struct engine_feed, link);
        if (ef->feed->kind != FEED_OUTBOX) {
            continue;
        }
        const struct conf_outbox *old = find_outbox(e->conf, ef->name);
        const struct conf_outbox *now = find_outbox(conf, ef->name);
        if (old == NULL || now == NULL || !same_outbox(old, now)) {
            engine_feed_stop(ef);
        }
    }
    for (size_t i = 0; e->run_feeds && i < conf->outbox_count; i++) {
        const struct conf_outbox *old = find_outbox(e->conf, conf->outboxes[i].name);
        if (old == NULL || !same_outbox(old, &conf->outboxes[i])) {
            engine_outbox_start(e, &conf->outboxes[i]);
        }
    }
}

/* ---- copies in work ---- */

/* Jobs that use a store that goes, or limits that changed: all copies are checkpointed and begin
 * again with a scheduler of the new limits. Their parts are in the journal. */
static void sched_is_stopped(void *arg)
{
    struct engine *e = arg;
    sched_free(e->sched);
    e->sched = NULL;
    if (e->stopping) {
        return;
    }
    LIST_FOR_SAFE (link, &e->retired) {
        engine_endpoint_close(CONTAINER_OF(link, struct engine_endpoint, link));
    }
    engine_sched_start(e);
    LIST_FOR (link, &e->rules) {
        struct engine_rule *r = CONTAINER_OF(link, struct engine_rule, link);
        engine_rule_resolve(r);
        engine_scan_start(r);
        r->ready = true;
    }
    engine_claim_soon(e);
}

static void restart_sched(struct engine *e)
{
    if (!e->sched_stopping) {
        e->sched_stopping = true;
        sched_stop(e->sched, 0, sched_is_stopped, e);
    }
}

static void drop_all(struct list *opened)
{
    LIST_FOR_SAFE (link, opened) {
        engine_endpoint_close(CONTAINER_OF(link, struct engine_endpoint, link));
    }
}

int engine_reload(struct engine *e, const struct conf *conf, struct fail *f)
{
    struct list opened;
    list_init(&opened);
    int status = check(e, conf, f);
    if (status == 0) {
        status = open_changed(e, conf, &opened, f);
    }
    if (status == 0) {
        status = engine_webhook_reload(e, conf, f);
    }
    if (status != 0) {
        drop_all(&opened);
        return status;
    }
    retire_old(e, conf);
    move_all(&opened, &e->endpoints);
    change_outboxes(e, conf);
    engine_queues_change(e, conf);
    bool limits = e->conf->memory_bytes != conf->memory_bytes || e->conf->copies != conf->copies;
    e->conf = conf;
    engine_events_stop(e);
    engine_events_start(e);
    if (e->sched != NULL) {
        unsigned shares[COPY_CLASSES];
        engine_shares(e, shares);
        sched_share(e->sched, shares);
    }
    LIST_FOR (link, &e->rules) {
        engine_rule_resolve(CONTAINER_OF(link, struct engine_rule, link));
    }
    if (limits || !list_is_empty(&e->retired)) {
        restart_sched(e);
    }
    engine_limits_apply(e);
    engine_leftovers_read(e);
    engine_lag_soon(e);
    return 0;
}
