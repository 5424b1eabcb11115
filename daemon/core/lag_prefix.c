/* Watermarks of prefixes: each goes as far as its rule's feeds and its own unfinished changes let
 * it, and never lies behind the rule's. */
#include "daemon/base/mem.h"
#include "daemon/core/engine_impl.h"

#include <stdio.h>

#define MARK_PAGE 20000 /* tasks that are told apart a refresh */

/* ---- the rule's list ---- */

void engine_prefixes_free(struct engine_rule *r)
{
    for (size_t i = 0; i < r->prefix_count; i++) {
        mem_free(r->prefixes[i].prefix);
    }
    mem_free(r->prefixes);
    r->prefixes = NULL;
    r->prefix_count = 0;
}

void engine_prefixes_make(struct engine_rule *r)
{
    engine_prefixes_free(r);
    r->prefixes = mem_array(r->rule.watermark_prefix_count + 1, sizeof(*r->prefixes));
    r->prefix_count = r->rule.watermark_prefix_count;
    for (size_t i = 0; i < r->prefix_count; i++) {
        r->prefixes[i].prefix = mem_strdup(r->rule.watermark_prefixes[i]);
    }
}

struct engine_prefix *engine_prefix_find(struct engine_rule *r, const char *prefix)
{
    for (size_t i = 0; i < r->prefix_count; i++) {
        if (strcmp(r->prefixes[i].prefix, prefix) == 0) {
            return &r->prefixes[i];
        }
    }
    return NULL;
}

size_t engine_prefixes_keys(const struct rule *rule, struct arena *a, struct span **ret)
{
    size_t n = 0;
    *ret = arena_alloc(a, (rule->watermark_prefix_count + 1) * sizeof(**ret));
    for (size_t i = 0; i < rule->watermark_prefix_count; i++) {
        const char *prefix = rule->watermark_prefixes[i];
        (*ret)[n++] = span_str(arena_printf(a, "%s%s", rule->source.prefix, prefix));
    }
    return n;
}

/* ---- refresh, on the journal's thread ---- */

/* In *p: where it stood. */
static void advance(const struct engine_reach *rule, const struct prefix_lag *now, bool sorting,
                    struct engine_prefix *p)
{
    int64_t through = rule->through_ms;
    p->watermark_ms = now->watermark_ms;
    p->proven_ms = now->proven_ms;
    if (rule->paused) {
        return;
    }
    if (now->any && now->oldest_ms <= through) {
        through = now->oldest_ms - 1;
    }
    bool all = !sorting && now->unfinished_ms > rule->scan_end_ms;
    int64_t proven = all && rule->scan_ms > rule->proven_ms ? rule->scan_ms : rule->proven_ms;
    int64_t reached = sorting || through < rule->watermark_ms ? rule->watermark_ms : through;
    reached = reached < proven ? proven : reached;
    p->proven_ms = proven > p->proven_ms ? proven : p->proven_ms;
    p->watermark_ms = reached > p->watermark_ms ? reached : p->watermark_ms;
}

static void copy_oldest(const struct prefix_lag *now, struct engine_oldest *to)
{
    to->any = now->any;
    to->ms = now->oldest_ms;
    to->state = now->state;
    engine_print_key(now->key, to->key, sizeof(to->key));
    engine_print_key(now->why, to->why, sizeof(to->why));
}

static int refresh_one(struct backend *b, const struct engine_reach *rule,
                       const struct prefix_lag *now, bool sorting, struct engine_prefix *p)
{
    advance(rule, now, sorting, p);
    copy_oldest(now, &p->oldest);
    p->known = !sorting;
    if (p->watermark_ms == now->watermark_ms && p->proven_ms == now->proven_ms) {
        return 0;
    }
    return b->ops->prefix_put(b, rule->rule, now->prefix, p->watermark_ms, p->proven_ms);
}

int engine_prefixes_refresh(struct backend *b, struct arena *a, const struct engine_reach *rule,
                            struct engine_prefix *prefixes, size_t count)
{
    struct prefix_list list = {0};
    int status = b->ops->prefixes_mark(b, rule->rule, MARK_PAGE);
    if (status == 0) {
        status = b->ops->prefixes_list(b, a, rule->rule, &list);
    }
    for (size_t i = 0; status == 0 && i < list.count; i++) {
        for (size_t k = 0; status == 0 && k < count; k++) {
            if (span_eq_str(list.prefixes[i].prefix, prefixes[k].prefix)) {
                status = refresh_one(b, rule, &list.prefixes[i], list.sorting, &prefixes[k]);
            }
        }
    }
    return status;
}

/* ---- on the loop ---- */

/* The rule may have other prefixes by now. */
void engine_prefixes_show(struct engine_rule *r, const struct engine_prefix *prefixes, size_t count)
{
    size_t skip = strlen(r->rule.source.prefix);
    for (size_t i = 0; i < count; i++) {
        struct engine_prefix *p = engine_prefix_find(r, prefixes[i].prefix + skip);
        if (p != NULL) {
            char *name = p->prefix;
            *p = prefixes[i];
            p->prefix = name;
        }
    }
}

bool engine_prefix_status(struct engine *e, const char *rule, size_t at, struct prefix_status *ret)
{
    struct engine_rule *r = engine_rule_by_name(e, rule);
    if (r == NULL || at >= r->prefix_count) {
        return false;
    }
    const struct engine_prefix *p = &r->prefixes[at];
    struct rule_lag lag = {.watermark_ms = p->watermark_ms, .proven_ms = p->proven_ms};
    *ret = (struct prefix_status){
        .prefix = p->prefix, .watermark_ms = p->watermark_ms, .proven_ms = p->proven_ms};
    ret->lag_ms = p->watermark_ms > 0 ? engine_now_ms(e) - p->watermark_ms : 0;
    engine_lag_text(r, &p->oldest, engine_lag_due(e, r), &lag);
    if (!p->known && r->rule.enabled) {
        lag.blocker = LAG_TASK;
        snprintf(
            lag.waits_for, sizeof(lag.waits_for),
            "pending changes are being told apart by prefixes; until then it follows its rule");
    }
    ret->blocker = lag.blocker;
    memcpy(ret->waits_for, lag.waits_for, sizeof(ret->waits_for));
    return true;
}
