/* What a rule asks of a pass: which keys, existing objects, deletes. When it asks for more, what
 * was listed before is no proof any more: keys were passed over that are its own now. The pass
 * before is forgotten as a proof, and the one that goes on begins anew. That a rule asks for more
 * is seen by what the cursor says of the last pass, so that a crash in between loses nothing. */
#include "daemon/feeds/scan_impl.h"

static uint64_t mark_list(const char *const *patterns, size_t count, uint64_t mark)
{
    for (size_t i = 0; i < count; i++) {
        mark = hash_bytes(span_of(patterns[i], strlen(patterns[i]) + 1), mark);
    }
    return hash_bytes(span_of("", 1), mark);
}

uint64_t scope_mark(const struct rule *rule)
{
    uint64_t mark = mark_list(rule->include, rule->include_count, 1);
    return mark_list(rule->exclude, rule->exclude_count, mark) | 1;
}

bool scope_is_whole(const struct rule *rule)
{
    return rule->existing || rule->scan.mode == RULE_SCAN_ONCE;
}

bool scope_takes_versions(const struct rule *rule)
{
    return rule->versions == RULE_VERSIONS_ALL;
}

static bool tells_missing(const struct rule *rule)
{
    return rule->deletes != RULE_DELETES_IGNORE;
}

void scope_take(struct scan *s, const struct rule *rule)
{
    s->state.is_whole = scope_is_whole(rule);
    s->state.covers = scope_mark(rule);
    s->state.tells_missing = tells_missing(rule);
    s->state.lists_versions = scope_takes_versions(rule);
    s->state.is_changed = 0;
}

static bool asks_more(const struct scan_state *state, const struct rule *rule)
{
    return state->covers != scope_mark(rule) || (scope_is_whole(rule) && !state->is_whole) ||
           (tells_missing(rule) && !state->tells_missing) ||
           (scope_takes_versions(rule) && !state->lists_versions);
}

/* What is found of the time after the last proof is a change, as ever; what is older is existing:
 * the pass that proved it has seen all that was the rule's then. */
static void forget_proof(struct scan_state *state, bool other_keys)
{
    if (state->proven_ms != 0) {
        state->existing_ms = state->proven_ms;
    }
    state->proven_ms = 0;
    state->was_whole = state->was_whole && !other_keys;
}

void scope_look(struct scan *s, const struct rule *rule)
{
    struct scan_state *state = &s->state;
    if (state->covers == 0 || state->started_ms == 0) { /* no pass, or an older program's */
        scope_take(s, rule);
        return;
    }
    if (!asks_more(state, rule)) {
        return;
    }
    forget_proof(state, state->covers != scope_mark(rule));
    scope_take(s, rule);
    state->is_changed = 1;
    s->is_dirty = true;
    if (state->phase != SCAN_IDLE) {
        LOG_NOTICE(s->log, SCAN_SUBJECT,
                   "rule %s: scan begins anew, as the rule asks for more than before",
                   s->rule_name);
        s->drops = DROP_MORE;
    }
    scan_show(s);
}
