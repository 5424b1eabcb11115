#include "daemon/conf/conf.h"

#include "daemon/conf/check.h"
#include "daemon/conf/conf_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define JOURNAL_MEMORY_MAX ((uint64_t)64 << 20)
/* A connection with a small request on it: TLS, and curl's buffers for both directions. */
#define LANE_MEMORY     ((uint64_t)128 << 10)
#define CONNECTIONS_MAX 256

/* The first of a colon-separated list of directories that systemd made for us. */
static const char *in_directory(struct arena *a, const char *variable, const char *otherwise,
                                const char *name)
{
    const char *list = getenv(variable);
    if (list == NULL || list[0] != '/') {
        return arena_printf(a, "%s/%s", otherwise, name);
    }
    return arena_printf(a, "%.*s/%s", (int)strcspn(list, ":"), list, name);
}

static const char *host_instance(struct arena *a)
{
    char name[64] = "";
    if (gethostname(name, sizeof(name) - 1) != 0 || check_instance(name) != NULL) {
        return "repld";
    }
    return arena_strdup(a, name);
}

static void fill_defaults(struct conf *c, bool part_max_written)
{
    struct arena *a = &c->arena;
    if (c->instance == NULL) {
        c->instance = host_instance(a);
    }
    if (c->journal_path == NULL) {
        c->journal_path = in_directory(a, "STATE_DIRECTORY", "/var/lib/repld", "journal.db");
    }
    if (c->admin_socket == NULL) {
        c->admin_socket = in_directory(a, "RUNTIME_DIRECTORY", "/run/repld", "control.sock");
    }
    if (!part_max_written && c->part_max_bytes > c->memory_bytes / 4) {
        c->part_max_bytes = c->memory_bytes / 4;
    }
}

int conf_resolve_keys(const struct schema_reader *r, const struct doc *node, const char *name,
                      const struct conf_credentials_written *w, struct conf_keys *ret)
{
    int ways = (w->environment != NULL) + (w->systemd != NULL) + (w->anonymous ? 1 : 0) +
               (w->file != NULL || (w->profile != NULL && w->systemd == NULL));
    if (ways > 1) {
        schema_refuse(r, node, "\"%s\" names more than one source of credentials", name);
        fail_hint(r->f, "one of environment, profile, file (with profile), systemd, anonymous");
        return REPL_EBADINPUT;
    }
    *ret = (struct conf_keys){.kind = CONF_CREDS_ENV,
                              .name = w->environment != NULL ? w->environment : ""};
    if (w->anonymous) {
        ret->kind = CONF_CREDS_ANONYMOUS;
    } else if (w->systemd != NULL) {
        *ret = (struct conf_keys){.kind = CONF_CREDS_SYSTEMD, .name = w->systemd};
    } else if (w->file != NULL) {
        *ret = (struct conf_keys){.kind = CONF_CREDS_FILE, .name = w->profile, .file = w->file};
    } else if (w->profile != NULL) {
        *ret = (struct conf_keys){.kind = CONF_CREDS_PROFILE, .name = w->profile};
    }
    return 0;
}

static int refuse_path(const struct schema_reader *r, const struct doc *node, const char *path,
                       const char *why, const char *hint)
{
    schema_refuse(r, node, "path \"%s\" %s", path, why);
    fail_hint(r->f, "%s", hint);
    return REPL_EBADINPUT;
}

static int check_way(const struct schema_reader *r, const struct doc *node,
                     const struct conf_endpoint *e, const struct conf_path *p)
{
    bool is_own = strcmp(p->name, "direct") == 0;
    if (is_own && p->url != NULL) {
        return refuse_path(r, node, p->name, "has the endpoint's url", "leave url out of it");
    }
    if (!is_own && p->url == NULL) {
        return refuse_path(r, node, p->name, "has no url", "say where it leads");
    }
    if (!is_own && (strncmp(p->url, "https", 5) == 0) != (strncmp(e->url, "https", 5) == 0)) {
        return refuse_path(r, node, p->name, "differs from the endpoint in TLS",
                           "make all of them https://, or none");
    }
    return 0;
}

/* The endpoint's own URL is a path too, and stands first. */
static void make_paths(struct arena *a, struct conf_endpoint *e)
{
    size_t n = 1;
    e->paths = arena_alloc(a, (e->written_path_count + 1) * sizeof(*e->paths));
    e->paths[0] = (struct conf_path){.name = "direct", .use = CONF_USE_AUTO, .cost = "default"};
    for (size_t i = 0; i < e->written_path_count; i++) {
        const struct conf_path *p = &e->written_paths[i];
        e->paths[p->url == NULL ? 0 : n++] = *p;
    }
    e->paths[0].url = e->url;
    e->paths[0].virtual_host = e->virtual_host;
    e->path_count = n;
}

static int resolve_paths(const struct schema_reader *r, const struct doc *node,
                         struct conf_endpoint *e)
{
    const struct doc *written = doc_get(node, "paths");
    unsigned fixed = 0, usable = 0;
    for (size_t i = 0; i < e->written_path_count; i++) {
        const struct conf_path *p = &e->written_paths[i];
        if (check_way(r, doc_get(written, p->name), e, p) != 0) {
            return REPL_EBADINPUT;
        }
    }
    make_paths(r->a, e);
    for (size_t i = 0; i < e->path_count; i++) {
        fixed += e->paths[i].use == CONF_USE_ALWAYS ? 1 : 0;
        usable += e->paths[i].use != CONF_USE_NEVER ? 1 : 0;
    }
    if (e->path_count > CONF_PATHS_MAX) {
        return schema_refuse(r, written, "paths: more than %d, the endpoint's own url included",
                             CONF_PATHS_MAX);
    }
    if (fixed > 1) {
        return schema_refuse(r, written, "paths: more than one is to be used always");
    }
    return usable > 0 ? 0 : schema_refuse(r, written, "paths: none may be used");
}

static int check_endpoint(const struct schema_reader *r, const struct doc *node,
                          struct conf_endpoint *e)
{
    const struct doc *ca = doc_get(node, "ca_file");
    if (ca != NULL && e->ca_file != NULL && strncmp(e->url, "http://", 7) == 0) {
        schema_refuse(r, ca, "ca_file: endpoint \"%s\" does not use TLS", e->name);
        fail_hint(r->f, "write https:// in its url, or leave ca_file out");
        return REPL_EBADINPUT;
    }
    if (e->http == CONF_HTTP_2 && strncmp(e->url, "http://", 7) == 0) {
        schema_refuse(r, doc_get(node, "http"), "http: endpoint \"%s\" does not use TLS", e->name);
        fail_hint(r->f, "HTTP/2 needs https:// in its url");
        return REPL_EBADINPUT;
    }
    if (resolve_paths(r, node, e) != 0) {
        return REPL_EBADINPUT;
    }
    const struct doc *credentials = doc_get(node, "credentials");
    struct conf_keys keys;
    e->credentials_line = (credentials != NULL ? credentials : node)->line;
    int status =
        conf_resolve_keys(r, credentials != NULL ? credentials : node, e->name, &e->written, &keys);
    if (status == 0) {
        e->credentials = keys.kind;
        e->credentials_name = keys.name;
        e->credentials_file = keys.file;
    }
    return status;
}

static int check_outbox(const struct schema_reader *r, const struct doc *node, const struct conf *c,
                        const struct conf_outbox *o)
{
    if (o->endpoint != NULL && conf_endpoint_find(c, o->endpoint) == NULL) {
        schema_refuse(r, doc_get(node, "endpoint"), "endpoint: \"%s\" is not among the endpoints",
                      o->endpoint);
        fail_hint(r->f, "add it under endpoints:, or name one that is there");
        return REPL_EBADINPUT;
    }
    for (const struct conf_outbox *other = c->outboxes; other < o; other++) {
        if (strcmp(other->path, o->path) == 0) {
            return schema_refuse(r, doc_get(node, "path"),
                                 "path: outbox \"%s\" reads this file already", other->name);
        }
    }
    return 0;
}

/* "/a" and "/a/b": a request for the second could be one for the first with the token b. */
static bool paths_meet(const char *a, const char *b)
{
    size_t n = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    const char *longer = strlen(a) < strlen(b) ? b : a;
    return strncmp(a, b, n) == 0 && (longer[n] == '\0' || longer[n] == '/');
}

static int check_token(const struct schema_reader *r, const struct doc *node, const struct conf *c,
                       struct conf_source *s)
{
    const struct conf_token *t = &s->token;
    int ways = (t->environment != NULL) + (t->file != NULL) + (t->systemd != NULL);
    const struct doc *token = doc_get(node, "token");
    s->token_line = (token != NULL ? token : node)->line;
    if (ways > 1) {
        return schema_refuse(r, token, "token: source \"%s\" names more than one place", s->name);
    }
    if (ways == 0 && c->webhook.client_ca == NULL) {
        schema_refuse(r, token != NULL ? token : node, "token: source \"%s\" has none", s->name);
        fail_hint(r->f, "name its place: environment, file or systemd");
        return REPL_EBADINPUT;
    }
    return 0;
}

static int check_source(const struct schema_reader *r, const struct doc *node, const struct conf *c,
                        struct conf_source *s)
{
    if (conf_endpoint_find(c, s->endpoint) == NULL) {
        schema_refuse(r, doc_get(node, "endpoint"), "endpoint: \"%s\" is not among the endpoints",
                      s->endpoint);
        fail_hint(r->f, "add it under endpoints:, or name one that is there");
        return REPL_EBADINPUT;
    }
    if (s->path == NULL) {
        s->path = arena_printf(r->a, "/%s", s->name);
    }
    for (const struct conf_source *other = c->webhook.sources; other < s; other++) {
        if (paths_meet(other->path, s->path)) {
            const struct doc *path = doc_get(node, "path");
            return schema_refuse(r, path != NULL ? path : node,
                                 "path: cannot be told from the one of source \"%s\"", other->name);
        }
    }
    return check_token(r, node, c, s);
}

static int check_one_place(const struct schema_reader *r, const struct doc *node, const char *what,
                           const struct conf_token *t)
{
    int ways = (t->environment != NULL) + (t->file != NULL) + (t->systemd != NULL);
    return ways > 1 ? schema_refuse(r, doc_get(node, what), "%s: names more than one place", what)
                    : 0;
}

static int check_events(const struct schema_reader *r, const struct doc *node,
                        const struct conf_events *e)
{
    const struct doc *ca = doc_get(node, "ca_file");
    if (ca != NULL && strncmp(e->url, "http://", 7) == 0) {
        schema_refuse(r, ca, "ca_file: \"%s\" does not use TLS", e->name);
        fail_hint(r->f, "write https:// in its url, or leave ca_file out");
        return REPL_EBADINPUT;
    }
    int status = check_one_place(r, node, "token", &e->token);
    if (status == 0) {
        status = check_one_place(r, node, "headers", &e->headers);
    }
    return status == 0 ? check_one_place(r, node, "secret", &e->secret) : status;
}

static int check_webhook(const struct schema_reader *r, const struct doc *node, struct conf *c)
{
    struct conf_webhook *w = &c->webhook;
    const struct doc *sources = doc_get(node, "sources");
    if (w->listen == NULL && w->source_count > 0) {
        schema_refuse(r, sources, "webhook: has sources and no listen");
        fail_hint(r->f, "say where senders connect to, such as listen: 0.0.0.0:8443");
        return REPL_EBADINPUT;
    }
    if (w->certificate == NULL && (w->key != NULL || w->client_ca != NULL)) {
        const struct doc *key = doc_get(node, w->key != NULL ? "key" : "client_ca");
        return schema_refuse(r, key, "webhook: there is no TLS without certificate");
    }
    int status = 0;
    for (size_t i = 0; status == 0 && i < w->source_count; i++) {
        status = check_source(r, doc_get(sources, w->sources[i].name), c, &w->sources[i]);
    }
    return status;
}

static int check_parts(const struct schema_reader *r, const struct doc *root, const struct conf *c)
{
    const struct doc *written = doc_get(root, "part_max");
    if (c->part_max_bytes <= c->memory_bytes / 4) {
        return 0;
    }
    schema_refuse(r, written, "part_max: is more than a quarter of memory");
    fail_hint(r->f, "make memory at least four times as large");
    return REPL_EBADINPUT;
}

/* An eighth: it pays while the index pages of a backlog fit, and those of millions of objects do.
 */
uint64_t conf_memory_journal(const struct conf *c)
{
    uint64_t share = c->memory_bytes / 8;
    return share < JOURNAL_MEMORY_MAX ? share : JOURNAL_MEMORY_MAX;
}

uint64_t conf_memory_lanes(const struct conf *c)
{
    uint64_t share = c->memory_bytes / 8;
    uint64_t most = (uint64_t)2 * CONNECTIONS_MAX * LANE_MEMORY;
    return share < most ? share : most;
}

uint64_t conf_memory_bodies(const struct conf *c)
{
    return c->memory_bytes - conf_memory_journal(c) - conf_memory_lanes(c);
}

static void limit_connections(const struct conf *c, struct conf_endpoint *e)
{
    uint64_t most = conf_memory_lanes(c) / LANE_MEMORY / 2;
    e->connections = e->connections < most ? e->connections : (uint32_t)most;
}

/* What one key cannot see of the others. */
static int check_all(const struct schema_reader *r, const struct doc *root, struct conf *c)
{
    const struct doc *endpoints = doc_get(root, "endpoints");
    const struct doc *outboxes = doc_get(root, "outboxes");
    int status = check_parts(r, root, c);
    for (size_t i = 0; status == 0 && i < c->endpoint_count; i++) {
        struct conf_endpoint *e = &c->endpoints[i];
        status = check_endpoint(r, doc_get(endpoints, e->name), e);
        limit_connections(c, e);
    }
    for (size_t i = 0; status == 0 && i < c->outbox_count; i++) {
        const struct conf_outbox *o = &c->outboxes[i];
        status = check_outbox(r, doc_get(outboxes, o->name), c, o);
    }
    for (size_t i = 0; status == 0 && i < c->queue_count; i++) {
        struct conf_queue *q = &c->queues[i];
        status = conf_check_queue(r, doc_get(doc_get(root, "queues"), q->name), c, q);
    }
    if (status == 0) {
        status = check_webhook(r, doc_get(root, "webhook"), c);
    }
    const struct doc *events = doc_get(root, "events");
    for (size_t i = 0; status == 0 && i < c->event_count; i++) {
        const struct conf_events *e = &c->events[i];
        status = check_events(r, doc_get(events, e->name), e);
    }
    return status;
}

static int parse_into(struct conf *c, struct span text, struct fail *f)
{
    struct doc root = {0};
    struct schema_reader r = {.file = c->file, .a = &c->arena, .f = f};
    int status = doc_from_yaml(text, c->file, &c->arena, &root, f);
    if (status == 0) {
        status = schema_read(&r, conf_schema, &root, c);
    }
    if (status != 0) {
        return status;
    }
    fill_defaults(c, doc_get(&root, "part_max") != NULL);
    return check_all(&r, &root, c);
}

int conf_parse(struct span text, const char *file, struct conf **ret, struct fail *f)
{
    struct conf *c = MEM_NEW(struct conf);
    arena_init(&c->arena);
    c->file = arena_strdup(&c->arena, file);
    int status = parse_into(c, text, f);
    if (status != 0) {
        conf_free(c);
        return status;
    }
    *ret = c;
    return 0;
}

int conf_load(const char *path, struct conf **ret, struct fail *f)
{
    struct arena a;
    struct span text;
    arena_init(&a);
    int status = doc_read_file(path, &a, &text, f);
    if (status == 0) {
        status = conf_parse(text, path, ret, f);
    } else if (status == -ENOENT) {
        fail_hint(f, "name another file with --config");
    }
    arena_done(&a);
    return status;
}

void conf_free(struct conf *c)
{
    if (c != NULL) {
        arena_done(&c->arena);
        mem_free(c);
    }
}

const struct conf_endpoint *conf_endpoint_find(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->endpoint_count; i++) {
        if (strcmp(c->endpoints[i].name, name) == 0) {
            return &c->endpoints[i];
        }
    }
    return NULL;
}

const struct conf_source *conf_source_find(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->webhook.source_count; i++) {
        if (strcmp(c->webhook.sources[i].name, name) == 0) {
            return &c->webhook.sources[i];
        }
    }
    return NULL;
}

void conf_print(const struct conf *c, struct buf *to)
{
    schema_print_yaml(conf_schema, c, 0, to);
}
