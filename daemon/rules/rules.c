#include "daemon/rules/rules.h"

static bool any_glob(const char *const *globs, size_t count, struct span text)
{
    for (size_t i = 0; i < count; i++) {
        if (rules_glob(span_str(globs[i]), text)) {
            return true;
        }
    }
    return false;
}

/* Also where only both parts together begin with it: what is ours at the destination is not to be
 * overwritten by an object that happens to be called so. */
static bool maps_to_reserved(struct span prefix, struct span rest)
{
    struct span reserved = span_str(RULES_RESERVED_PREFIX);
    size_t n = prefix.len < reserved.len ? prefix.len : reserved.len;
    return memcmp(prefix.ptr, reserved.ptr, n) == 0 &&
           span_starts_with(rest, span_skip(reserved, n));
}

bool rules_takes_key(const struct rule *rule, struct span key)
{
    struct span prefix = span_str(rule->source.prefix);
    if (!span_starts_with(key, prefix) || span_starts_with(key, span_str(RULES_RESERVED_PREFIX))) {
        return false;
    }
    struct span rest = span_skip(key, prefix.len);
    if (rest.len == 0 && rule->destination.prefix[0] == '\0') {
        return false; /* its destination key would be empty */
    }
    if (maps_to_reserved(span_str(rule->destination.prefix), rest)) {
        return false;
    }
    if (rule->include_count > 0 && !any_glob(rule->include, rule->include_count, rest)) {
        return false;
    }
    return !any_glob(rule->exclude, rule->exclude_count, rest);
}

/* Whether each of these patterns is among the others. */
static bool are_among(const char *const *these, size_t count, const char *const *others,
                      size_t other_count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < other_count && strcmp(these[i], others[at]) != 0) {
            at++;
        }
        if (at == other_count) {
            return false;
        }
    }
    return true;
}

bool rules_takes_more(const struct rule *now, const struct rule *before)
{
    bool took_all = before->include_count == 0;
    bool takes_all = now->include_count == 0;
    bool includes_less =
        took_all || (!takes_all && are_among(now->include, now->include_count, before->include,
                                             before->include_count));
    return !includes_less ||
           !are_among(before->exclude, before->exclude_count, now->exclude, now->exclude_count);
}

bool rules_has_source(const struct rule *rule, const struct change *change)
{
    if (change->endpoint.len > 0 && !span_eq_str(change->endpoint, rule->source.endpoint)) {
        return false;
    }
    return span_eq_str(change->bucket, rule->source.bucket);
}

bool rules_matches(const struct rule *rule, const struct change *change)
{
    return rules_has_source(rule, change) && rules_takes_key(rule, change->key);
}

struct span rules_map_key(const struct rule *rule, struct span key, struct arena *a)
{
    struct span prefix = span_str(rule->destination.prefix);
    struct span rest = span_skip(key, strlen(rule->source.prefix));
    char *to = arena_alloc(a, prefix.len + rest.len + 1);
    memcpy(to, prefix.ptr, prefix.len);
    if (rest.len > 0) {
        memcpy(to + prefix.len, rest.ptr, rest.len);
    }
    return span_of(to, prefix.len + rest.len);
}
