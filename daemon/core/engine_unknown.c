/* Names that are none: refused with the name that was meant, or where the names are shown. */
#include "daemon/core/engine_impl.h"

#include "daemon/base/near.h"

#include <inttypes.h>

int engine_unknown_rule(struct engine *e, const char *name, struct fail *f)
{
    const struct rule *const *rules;
    size_t n = engine_rules(e, &rules);
    struct near near;
    near_start(&near, name, NEAR_NAME);
    for (size_t i = 0; i < n; i++) {
        near_offer(&near, rules[i]->name);
    }
    fail_set(f, REPL_ENOTFOUND, "there is no rule \"%.64s\"", name);
    near_hint(&near, "replctl rule list shows what there is", f);
    return REPL_ENOTFOUND;
}

int engine_unknown_endpoint(struct engine *e, const char *name, struct fail *f)
{
    struct near near;
    near_start(&near, name, NEAR_NAME);
    for (size_t i = 0; i < e->conf->endpoint_count; i++) {
        near_offer(&near, e->conf->endpoints[i].name);
    }
    fail_set(f, REPL_ENOTFOUND, "there is no endpoint \"%.64s\"", name);
    near_hint(&near, "replctl status shows what there is", f);
    return REPL_ENOTFOUND;
}

int engine_unknown_feed(struct engine *e, const char *name, struct fail *f)
{
    struct feed_report report;
    struct near near;
    near_start(&near, name, NEAR_NAME);
    for (size_t i = 0; engine_feed_report(e, i, &report); i++) {
        const char *colon = strchr(report.name, ':');
        near_offer(&near, report.name);
        near_offer(&near, colon != NULL ? colon + 1 : report.name);
    }
    fail_set(f, REPL_ENOTFOUND, "there is no feed \"%.80s\"", name);
    near_hint(&near, "replctl feed list shows what there is", f);
    return REPL_ENOTFOUND;
}

int engine_unknown_body(struct span feed, uint64_t id, struct fail *f)
{
    if (id == 0) {
        fail_set(f, REPL_ENOTFOUND, "nothing is in the quarantine of %.*s", SPAN_ARG(feed));
        fail_hint(f, "replctl feed list shows how much each feed has");
        return REPL_ENOTFOUND;
    }
    fail_set(f, REPL_ENOTFOUND,
             "there is no body %" PRIu64 " in the quarantine of %.*s: it never was, or it was "
             "replayed or dropped",
             id, SPAN_ARG(feed));
    fail_hint(f,
              "replctl feed show %.*s lists those that are there and what was dropped; replctl "
              "feed list shows all feeds",
              SPAN_ARG(feed));
    return REPL_ENOTFOUND;
}
