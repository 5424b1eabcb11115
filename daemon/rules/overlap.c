#include "daemon/rules/rules.h"

static bool same_bucket(const struct rule_place *a, const struct rule_place *b)
{
    return strcmp(a->endpoint, b->endpoint) == 0 && strcmp(a->bucket, b->bucket) == 0;
}

/* Whether a key can lie under both: one prefix begins with the other. */
static bool share_keys(const struct rule_place *a, const struct rule_place *b)
{
    size_t n = strlen(a->prefix);
    size_t m = strlen(b->prefix);
    return same_bucket(a, b) && strncmp(a->prefix, b->prefix, n < m ? n : m) == 0;
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
                        struct fail *f)
{
    if (share_keys(&rule->source, &rule->destination)) {
        return refuse_self(rule, f);
    }
    for (size_t i = 0; i < count; i++) {
        const struct rule *other = &others[i];
        if (strcmp(other->name, rule->name) == 0 ||
            !share_keys(&other->destination, &rule->destination)) {
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
