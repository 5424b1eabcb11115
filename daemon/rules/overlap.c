#include "daemon/base/mem.h"
#include "daemon/rules/rules.h"

#include <strings.h>

/* Host and port of an URL, without what does not tell two servers apart. */
static struct span bare_url(const char *url)
{
    static const char *const defaults[] = {":443", ":80"};
    const char *host = strstr(url, "://");
    struct span s = span_str(host != NULL ? host + 3 : url);
    while (s.len > 0 && s.ptr[s.len - 1] == '/') {
        s.len--;
    }
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(defaults[i]);
        if (s.len > n && memcmp(s.ptr + s.len - n, defaults[i], n) == 0) {
            s.len -= n;
            break;
        }
    }
    return s;
}

static bool same_endpoint(const char *a, const char *b, const struct conf *conf)
{
    const struct conf_endpoint *x = conf_endpoint_find(conf, a);
    const struct conf_endpoint *y = conf_endpoint_find(conf, b);
    if (strcmp(a, b) == 0 || x == NULL || y == NULL) {
        return strcmp(a, b) == 0;
    }
    struct span s = bare_url(x->url);
    struct span t = bare_url(y->url);
    return s.len == t.len && strncasecmp(s.ptr, t.ptr, s.len) == 0;
}

/* Whether a key can lie under both: one prefix begins with the other. */
static bool share_keys(const struct rule_place *a, const struct rule_place *b,
                       const struct conf *conf)
{
    size_t n = strlen(a->prefix);
    size_t m = strlen(b->prefix);
    return strcmp(a->bucket, b->bucket) == 0 && same_endpoint(a->endpoint, b->endpoint, conf) &&
           strncmp(a->prefix, b->prefix, n < m ? n : m) == 0;
}

static int refuse_self(const struct rule *rule, struct fail *f)
{
    fail_set(
        f, REPL_ECONFLICT,
        "rule \"%s\": source and destination overlap in bucket %s/%s, it would copy its copies",
        rule->name, rule->source.endpoint, rule->source.bucket);
    fail_hint(f, "give source and destination prefixes of which none begins with the other");
    return REPL_ECONFLICT;
}

int rules_check_overlap(const struct rule *rule, const struct rule *others, size_t count,
                        const struct conf *conf, struct fail *f)
{
    if (share_keys(&rule->source, &rule->destination, conf)) {
        return refuse_self(rule, f);
    }
    for (size_t i = 0; i < count; i++) {
        const struct rule *other = &others[i];
        if (strcmp(other->name, rule->name) == 0 ||
            !share_keys(&other->destination, &rule->destination, conf)) {
            continue;
        }
        fail_set(f, REPL_ECONFLICT,
                 "rule \"%s\" writes to %s/%s/%s already: two rules may not write the same keys",
                 other->name, other->destination.endpoint, other->destination.bucket,
                 other->destination.prefix);
        fail_hint(f, "give each rule a destination prefix of its own");
        return REPL_ECONFLICT;
    }
    return 0;
}

/* ---- circles ---- */

static bool same_place(const struct rule_place *a, const struct rule_place *b,
                       const struct conf *conf)
{
    return strcmp(a->bucket, b->bucket) == 0 && same_endpoint(a->endpoint, b->endpoint, conf) &&
           strcmp(a->prefix, b->prefix) == 0;
}

bool rules_is_mirror(const struct rule *a, const struct rule *b, const struct conf *conf)
{
    return same_place(&a->source, &b->destination, conf) &&
           same_place(&a->destination, &b->source, conf);
}

struct circle {
    const struct rule *rule; /* where it would close */
    const struct rule *others;
    size_t count;
    const struct conf *conf;
    bool *seen;
};

/* Whether what lies at `place` comes to the rule's source in the end; *ret_last: by which rule. */
static bool comes_back(struct circle *c, const struct rule_place *place,
                       const struct rule **ret_last)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct rule *other = &c->others[i];
        if (c->seen[i] || strcmp(other->name, c->rule->name) == 0 ||
            rules_is_mirror(other, c->rule, c->conf) ||
            !share_keys(place, &other->source, c->conf)) {
            continue;
        }
        c->seen[i] = true;
        if (share_keys(&other->destination, &c->rule->source, c->conf)) {
            *ret_last = other;
            return true;
        }
        if (comes_back(c, &other->destination, ret_last)) {
            return true;
        }
    }
    return false;
}

static int check_mirror(const struct rule *rule, const struct rule *other, struct fail *f)
{
    if (rule->two_way && other->two_way) {
        return 0;
    }
    fail_set(f, REPL_ECONFLICT,
             "rule \"%s\" goes the other way: both must say two_way, and %s does not", other->name,
             rule->two_way ? other->name : rule->name);
    fail_hint(
        f, "replctl rule update NAME --two-way; what both sides write at once is decided by time");
    return REPL_ECONFLICT;
}

int rules_check_circle(const struct rule *rule, const struct rule *others, size_t count,
                       const struct conf *conf, struct fail *f)
{
    if (rule->two_way && rule->deletes_foreign) {
        fail_set(f, REPL_ECONFLICT, "rule \"%s\": two_way does not go with deletes_foreign",
                 rule->name);
        fail_hint(f, "what the other side has written is never this rule's to delete unasked");
        return REPL_ECONFLICT;
    }
    if (rule->two_way && !rule->marker) {
        fail_set(f, REPL_ECONFLICT, "rule \"%s\": two_way needs the marker, which is switched off",
                 rule->name);
        return REPL_ECONFLICT;
    }
    if (rule->two_way && rule->versions == RULE_VERSIONS_ALL) {
        fail_set(f, REPL_ECONFLICT, "rule \"%s\": two_way does not go with versions: all",
                 rule->name);
        fail_hint(f, "a delete marker does not say who made it, and would go round for ever");
        return REPL_ECONFLICT;
    }
    for (size_t i = 0; i < count; i++) {
        bool other_one = strcmp(others[i].name, rule->name) != 0;
        if (other_one && rules_is_mirror(rule, &others[i], conf) &&
            check_mirror(rule, &others[i], f) != 0) {
            return f->code;
        }
    }
    const struct rule *last = NULL;
    struct circle c = {.rule = rule, .others = others, .count = count, .conf = conf};
    c.seen = mem_array(count + 1, sizeof(*c.seen));
    bool closes = comes_back(&c, &rule->destination, &last);
    mem_free(c.seen);
    if (!closes) {
        return 0;
    }
    fail_set(
        f, REPL_ECONFLICT,
        "rule \"%s\" would bring back what rule \"%s\" takes away: rules must not lead in a circle",
        last->name, rule->name);
    fail_hint(f, "two rules that swap source and destination exactly may, with two_way");
    return REPL_ECONFLICT;
}
