#include "tests/unit/support/versions_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void note(void *arg, struct fake *f, const struct store_op *op)
{
    struct versions_bench *w = arg;
    (void)f;
    if (!span_eq_str(op->key, VERSIONS_KEY)) {
        return;
    }
    if (op->kind == STORE_PUT) {
        buf_printf(&w->arrived, "%.*s ", SPAN_ARG(op->body));
    } else if (op->kind == STORE_DELETE && op->version_id.len > 0) {
        buf_str(&w->arrived, "+ ");
    } else if (op->kind == STORE_DELETE || op->kind == STORE_DELETE_MANY) {
        buf_str(&w->arrived, "- ");
    }
}

struct rule versions_rule(void)
{
    struct rule rule = engine_bench_rule(VERSIONS_RULE);
    rule.versions = RULE_VERSIONS_ALL;
    return rule;
}

void versions_put_rule(struct versions_bench *w, const struct rule *rule)
{
    assert_int_equal(engine_bench_put_rule(&w->bench, rule, true, NULL), 0);
}

int versions_set_up(void **state)
{
    struct versions_bench *w = MEM_NEW(struct versions_bench);
    struct rule rule = versions_rule();
    arena_init(&w->limits);
    engine_bench_init(&w->bench, 7, 10);
    engine_bench_keep_versions(&w->bench, 10);
    fake_hook(w->bench.far, note, w);
    engine_bench_start(&w->bench);
    versions_put_rule(w, &rule);
    *state = w;
    return 0;
}

int versions_tear_down(void **state)
{
    struct versions_bench *w = *state;
    engine_bench_done(&w->bench);
    arena_done(&w->limits);
    buf_done(&w->arrived);
    mem_free(w);
    return 0;
}

void versions_put(struct versions_bench *w, const char *body)
{
    fake_put(w->bench.near, "src", span_str(VERSIONS_KEY), span_str(body), NULL);
    loop_run_for(w->bench.loop, 1500); /* Last-Modified has seconds */
}

void versions_hide(struct versions_bench *w)
{
    fake_remove(w->bench.near, "src", span_str(VERSIONS_KEY));
}

void versions_announce(struct versions_bench *w)
{
    engine_bench_append(&w->bench, CHANGE_PUT, VERSIONS_KEY);
    assert_true(engine_bench_settle(&w->bench, VERSIONS_RULE, 600000));
}

void versions_assert_arrived(struct versions_bench *w, const char *want)
{
    assert_string_equal(buf_cstr(&w->arrived), want);
}

bool versions_shows(struct versions_bench *w, const char *body)
{
    struct fake_object o;
    bool is_there = fake_get(w->bench.far, "dst", span_str(VERSIONS_KEY), &o);
    return body == NULL ? !is_there : is_there && span_eq_str(o.body, body);
}
