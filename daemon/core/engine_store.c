#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"
#include "transfer/store/s3.h"

#include <stdio.h>

static enum store_check parse_check(const char *name)
{
    static const struct {
        const char *name;
        enum store_check check;
    } checks[] = {{"crc64nvme", STORE_CHECK_CRC64NVME},
                  {"crc32c", STORE_CHECK_CRC32C},
                  {"sha256", STORE_CHECK_SHA256},
                  {"md5", STORE_CHECK_MD5}};
    for (size_t i = 0; name != NULL && i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (strcmp(name, checks[i].name) == 0) {
            return checks[i].check;
        }
    }
    return STORE_CHECK_AUTO;
}

struct creds_source engine_creds(enum conf_credentials kind, const char *name, const char *file)
{
    static const enum creds_kind kinds[] = {[CONF_CREDS_ENV] = CREDS_ENV,
                                            [CONF_CREDS_PROFILE] = CREDS_PROFILE,
                                            [CONF_CREDS_FILE] = CREDS_FILE,
                                            [CONF_CREDS_SYSTEMD] = CREDS_SYSTEMD,
                                            [CONF_CREDS_ANONYMOUS] = CREDS_ANONYMOUS};
    return (struct creds_source){.kind = kinds[kind], .name = name, .path = file};
}

static int make_s3(struct engine *e, const struct conf_endpoint *conf, struct store **ret,
                   struct fail *f)
{
    static const enum net_use uses[] = {[CONF_USE_AUTO] = NET_USE_AUTO,
                                        [CONF_USE_ALWAYS] = NET_USE_ALWAYS,
                                        [CONF_USE_NEVER] = NET_USE_NEVER};
    static const enum net_http https[] = {
        [CONF_HTTP_AUTO] = NET_HTTP_AUTO, [CONF_HTTP_1] = NET_HTTP_1, [CONF_HTTP_2] = NET_HTTP_2};
    struct s3_path paths[CONF_PATHS_MAX];
    for (size_t i = 0; i < conf->path_count; i++) {
        const struct conf_path *p = &conf->paths[i];
        paths[i] = (struct s3_path){.name = p->name,
                                    .url = p->url,
                                    .virtual_host = p->virtual_host,
                                    .use = uses[p->use],
                                    .cost = p->cost};
    }
    struct creds_source creds =
        engine_creds(conf->credentials, conf->credentials_name, conf->credentials_file);
    struct s3_options options = {.name = conf->name,
                                 .paths = paths,
                                 .path_count = conf->path_count,
                                 .region = conf->region,
                                 .ca_file = conf->ca_file,
                                 .tls_insecure = conf->tls_insecure,
                                 .creds = &creds,
                                 .connections = conf->connections,
                                 .congestion = conf->congestion,
                                 .http = https[conf->http],
                                 .check = parse_check(conf->check),
                                 .reupload_safe = conf->reupload_safe};
    return s3_new(e->loop, e->log, e->stats, &options, ret, f);
}

int engine_endpoint_open(struct engine *e, const struct conf_endpoint *conf, struct fail *f)
{
    struct store *store;
    int status = e->make_store != NULL ? e->make_store(e->make_store_arg, conf, &store, f)
                                       : make_s3(e, conf, &store, f);
    if (status != 0) {
        return status;
    }
    struct engine_endpoint *ep = MEM_NEW(struct engine_endpoint);
    ep->engine = e;
    ep->name = mem_strdup(conf->name);
    ep->conf = conf;
    ep->store = store;
    list_push_back(&e->endpoints, &ep->link);
    return 0;
}

static void store_closed(void *arg)
{
    struct engine *e = arg;
    e->closing--;
}

void engine_endpoint_close(struct engine_endpoint *ep)
{
    struct engine *e = ep->engine;
    e->closing++;
    list_remove(&ep->link);
    store_close(ep->store, store_closed, e);
    mem_free(ep->name);
    mem_free(ep);
}

struct engine_endpoint *engine_endpoint_find(struct engine *e, const char *name)
{
    LIST_FOR (link, &e->endpoints) {
        struct engine_endpoint *ep = CONTAINER_OF(link, struct engine_endpoint, link);
        if (strcmp(ep->name, name) == 0) {
            return ep;
        }
    }
    return NULL;
}

/* ---- what the probe found, kept over restarts ---- */

void engine_features_name(const char *endpoint, char to[96])
{
    snprintf(to, 96, "endpoint:%s:features", endpoint);
}

static const char *check_name(enum store_check check)
{
    static const char *const names[] = {[STORE_CHECK_AUTO] = "auto",
                                        [STORE_CHECK_CRC64NVME] = "crc64nvme",
                                        [STORE_CHECK_CRC32C] = "crc32c",
                                        [STORE_CHECK_SHA256] = "sha256",
                                        [STORE_CHECK_MD5] = "md5"};
    return names[check];
}

/* What was found at another address says nothing of this one. */
void engine_features_apply(struct engine_endpoint *ep, struct span value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(value));
    text[strcspn(text, " ")] = 0;
    struct span url = value;
    (void)span_cut(&url, ' ');
    enum store_check check = parse_check(text);
    if (check != STORE_CHECK_AUTO && ep->store->features.check == STORE_CHECK_AUTO &&
        span_eq_str(url, ep->conf->url)) {
        ep->store->features.check = check;
    }
}

struct features_call {
    struct journal_call call;
    char name[96];
    char value[1100];
};

static int run_features(struct backend *b, struct journal_call *call)
{
    struct features_call *c = CONTAINER_OF(call, struct features_call, call);
    return b->ops->value_put(b, span_str(c->name), span_str(c->value));
}

static void features_done(struct journal_call *call)
{
    mem_free(CONTAINER_OF(call, struct features_call, call));
}

static void save(struct engine *e, struct features_call *c)
{
    c->call.run = run_features;
    c->call.done = features_done;
    journal_submit(e->journal, &c->call);
}

void engine_features_save(struct engine *e, const struct store *store)
{
    const struct engine_endpoint *ep = engine_endpoint_find(e, store->name);
    if (store->features.check == STORE_CHECK_AUTO || ep == NULL) {
        return;
    }
    struct features_call *c = MEM_NEW(struct features_call);
    engine_features_name(store->name, c->name);
    snprintf(c->value, sizeof(c->value), "%s %.1024s", check_name(store->features.check),
             ep->conf->url);
    save(e, c);
}

/* ---- conditional writes: only what is good is kept, the rest is tried again ---- */

void engine_conditional_name(const char *endpoint, char to[96])
{
    snprintf(to, 96, "endpoint:%s:conditional", endpoint);
}

void engine_conditional_apply(struct engine_endpoint *ep, struct span value)
{
    struct span url = value;
    struct span how = span_cut(&url, ' ');
    if (span_eq_str(url, ep->conf->url)) {
        ep->store->features.conditional = span_eq_str(how, "quoted") ? STORE_CONDITIONAL_QUOTED
                                          : span_eq_str(how, "bare") ? STORE_CONDITIONAL_BARE
                                                                     : STORE_CONDITIONAL_UNKNOWN;
    }
}

void engine_conditional_save(struct engine *e, const struct store *store)
{
    const struct engine_endpoint *ep = engine_endpoint_find(e, store->name);
    if (!store_can_condition(store) || ep == NULL) {
        return;
    }
    struct features_call *c = MEM_NEW(struct features_call);
    bool bare = store->features.conditional == STORE_CONDITIONAL_BARE;
    engine_conditional_name(store->name, c->name);
    snprintf(c->value, sizeof(c->value), "%s %.1024s", bare ? "bare" : "quoted", ep->conf->url);
    save(e, c);
}
