/* What a queue of SQS takes from its endpoint and its URL. */
#include "daemon/conf/conf_schema.h"

#define REGION_OTHERWISE "us-east-1"

/* sqs.REGION.amazonaws.com, and the older REGION.queue.amazonaws.com. */
static const char *region_of(struct arena *a, const char *url)
{
    const char *host = strstr(url, "//") + 2;
    struct span rest = span_of(host, strcspn(host, ":/"));
    bool is_amazon = memmem(rest.ptr, rest.len, ".amazonaws.com", 14) != NULL;
    struct span before = {0};
    while (is_amazon && rest.len > 0) {
        struct span label = span_cut(&rest, '.');
        if (span_eq_str(before, "sqs") || span_eq_str(before, "sqs-fips")) {
            return arena_span(a, label).ptr;
        }
        if (span_eq_str(label, "queue") && before.len > 0) {
            return arena_span(a, before).ptr;
        }
        before = label;
    }
    return REGION_OTHERWISE;
}

static int resolve_keys(const struct schema_reader *r, const struct doc *node,
                        const struct conf_endpoint *e, struct conf_queue *q)
{
    const struct doc *written = doc_get(node, "credentials");
    struct conf_keys keys = {
        .kind = e->credentials, .name = e->credentials_name, .file = e->credentials_file};
    int status = written != NULL ? conf_resolve_keys(r, written, q->name, &q->written, &keys) : 0;
    q->credentials_line = written != NULL ? written->line : 0;
    q->credentials = keys.kind;
    q->credentials_name = keys.name;
    q->credentials_file = keys.file;
    return status;
}

/* Two readers of one queue would each see half of it. */
static int check_others(const struct schema_reader *r, const struct doc *node, const struct conf *c,
                        const struct conf_queue *q)
{
    for (const struct conf_queue *other = c->queues; other < q; other++) {
        if (strcmp(other->url, q->url) == 0) {
            return schema_refuse(r, doc_get(node, "url"), "url: queue \"%s\" reads it already",
                                 other->name);
        }
    }
    return 0;
}

int conf_check_queue(const struct schema_reader *r, const struct doc *node, const struct conf *c,
                     struct conf_queue *q)
{
    const struct conf_endpoint *e = conf_endpoint_find(c, q->endpoint);
    const struct doc *ca = doc_get(node, "ca_file");
    if (e == NULL) {
        schema_refuse(r, doc_get(node, "endpoint"), "endpoint: \"%s\" is not among the endpoints",
                      q->endpoint);
        fail_hint(r->f, "add it under endpoints:, or name one that is there");
        return REPL_EBADINPUT;
    }
    if (q->ca_file != NULL && strncmp(q->url, "http://", 7) == 0) {
        schema_refuse(r, ca, "ca_file: queue \"%s\" does not use TLS", q->name);
        fail_hint(r->f, "write https:// in its url, or leave ca_file out");
        return REPL_EBADINPUT;
    }
    if (q->region == NULL) {
        q->region = region_of(r->a, q->url);
    }
    int status = check_others(r, node, c, q);
    return status != 0 ? status : resolve_keys(r, node, e, q);
}
