/* admin over a real Unix socket: an engine between two fake stores on a real loop, asked by the
 * client of replctl from a thread of libuv's pool. */
#include "cli/http.h"
#include "daemon/admin/admin.h"
#include "daemon/admin/proto.h"
#include "tests/unit/support/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

struct fixture {
    struct engine_bench bench;
    struct admin *admin;
    int reloads;
    int reload_status;
};

struct question {
    struct fixture *fixture;
    enum proto_id id;
    const char *query;
    const char *body;
    struct http_answer answer;
    struct fail fail;
    int status;
};

static int reload(void *arg, struct admin_restart *ret_restart, struct fail *f)
{
    struct fixture *x = arg;
    x->reloads++;
    *ret_restart = (struct admin_restart){{"instance", "admin.socket"}, x->reloads > 1 ? 2 : 0};
    return x->reload_status == 0 ? 0 : fail_set(f, x->reload_status, "c.yaml:1: is wrong");
}

static int setup(void **state)
{
    struct fixture *x = MEM_NEW(struct fixture);
    struct engine_bench *b = &x->bench;
    struct fail f = {0};
    engine_bench_init_on(b, loop_new(0), 0);
    b->conf.admin_socket = arena_printf(&b->conf.arena, "%s/control.sock", b->dir);
    b->conf.metrics_listen = "127.0.0.1:0";
    engine_bench_start(b);
    struct admin_options options = {.loop = b->loop,
                                    .stats = b->stats,
                                    .engine = b->engine,
                                    .conf = &b->conf,
                                    .reload = reload,
                                    .reload_arg = x};
    if (admin_open(&options, &x->admin, &f) != 0) {
        fail_msg("%s", f.text);
    }
    *state = x;
    return 0;
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    struct engine_bench *b = &x->bench;
    admin_close(x->admin);
    engine_stop(b->engine, stop_loop, b->loop);
    loop_run(b->loop);
    engine_free(b->engine);
    stat_set_free(b->stats);
    b->engine = NULL;
    admin_free(x->admin);
    engine_bench_done(b);
    mem_free(x);
    return 0;
}

static void work(void *arg)
{
    struct question *q = arg;
    const struct proto_command *c = &proto_commands[q->id];
    q->status = http_call(q->fixture->bench.conf.admin_socket, c->method, c->path, q->query,
                          span_str(q->body), &q->answer, &q->fail);
}

static void worked(void *arg)
{
    struct question *q = arg;
    loop_stop(q->fixture->bench.loop);
}

/* The answer as JSON; the HTTP status must be as wanted. */
static json_t *ask(struct fixture *x, enum proto_id id, const char *query, const char *body,
                   unsigned wanted)
{
    struct question q = {.fixture = x, .id = id, .query = query, .body = body};
    loop_work(x->bench.loop, work, worked, &q);
    loop_run(x->bench.loop);
    if (q.status != 0 || q.answer.status != wanted) {
        fail_msg("%s: %d %s, status %u: %s", proto_commands[id].path, q.status, q.fail.text,
                 q.answer.status, buf_cstr(&q.answer.body));
    }
    json_t *root = json_loads(buf_cstr(&q.answer.body), 0, NULL);
    assert_non_null(root);
    buf_done(&q.answer.body);
    return root;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static void say(struct fixture *x, enum proto_id id, const char *query, const char *body)
{
    json_decref(ask(x, id, query, body, 200));
}

static void refused(struct fixture *x, enum proto_id id, const char *query, const char *body,
                    unsigned wanted, const char *says)
{
    json_t *root = ask(x, id, query, body, wanted);
    const json_t *error = json_object_get(root, "error");
    if (strstr(text_of(error, "text"), says) == NULL) {
        fail_msg("\"%s\" says nothing of %s", text_of(error, "text"), says);
    }
    json_decref(root);
}

#define RULE                                                                                       \
    "{\"name\":\"pages\",\"source\":\"near/src\",\"destination\":\"far/dst\","                     \
    "\"deletes\":\"propagate\"}"

static void test_socket_is_private(void **state)
{
    struct fixture *x = *state;
    struct stat st;
    assert_int_equal(stat(x->bench.conf.admin_socket, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_rules(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    refused(x, PROTO_RULE_PUT, "mode=add", RULE, 409, "exists already");
    refused(x, PROTO_RULE_PUT, "mode=update",
            "{\"name\":\"nope\",\"source\":\"near/src\",\"destination\":\"far/dst\"}", 404, "nope");
    refused(x, PROTO_RULE_PUT, "mode=add",
            "{\"name\":\"two\",\"source\":\"near/other\",\"destination\":\"far/dst/x\"}", 409,
            "two rules");
    refused(x, PROTO_RULE_PUT, NULL, "{\"name\":", 400, "not JSON");
    refused(x, PROTO_RULE_PUT, NULL,
            "{\"name\":\"x\",\"source\":\"gone/src\",\"destination\":\"far/q\"}", 400, "gone");
    say(x, PROTO_RULE_PAUSE, "rule=pages", "");
    json_t *root = ask(x, PROTO_RULES, "rule=pages", "", 200);
    json_t *row = json_array_get(json_object_get(root, "rules"), 0);
    assert_true(json_is_false(json_object_get(json_object_get(row, "rule"), "enabled")));
    assert_true(json_integer_value(json_object_get(row, "number")) > 0);
    json_decref(root);
    say(x, PROTO_RULE_RESUME, "rule=pages", "");
    say(x, PROTO_RULE_DELETE, "rule=pages", "");
    refused(x, PROTO_RULES, "rule=pages", "", 404, "no rule");
    refused(x, PROTO_RULE_PAUSE, NULL, "", 400, "\"rule\" is missing");
}

/* The main job: append, wait, the object is there, status and explain say so. */
static void test_append_wait_explain(void **state)
{
    struct fixture *x = *state;
    struct fake_object found;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    fake_put(x->bench.near, "src", span_str("a b/\xc3\xa4"), span_str("body"), NULL);
    json_t *root = ask(x, PROTO_APPEND, NULL,
                       "{\"bucket\":\"src\",\"key\":\"a b/\xc3\xa4\"}\n\n"
                       "{\"bucket\":\"other\",\"key\":\"k\"}\n",
                       200);
    assert_int_equal(json_integer_value(json_object_get(root, "accepted")), 1);
    assert_int_equal(json_integer_value(json_object_get(root, "unmatched")), 1);
    const json_t *first = json_object_get(root, "first_unmatched");
    assert_string_equal(text_of(first, "bucket"), "other");
    assert_string_equal(text_of(first, "key"), "k");
    json_decref(root);
    root = ask(x, PROTO_WAIT, "rule=pages&until_ms=0&timeout_ms=20000", "", 200);
    assert_true(json_is_true(json_object_get(root, "done")));
    json_decref(root);
    assert_true(fake_get(x->bench.far, "dst", span_str("a b/\xc3\xa4"), &found));
    root = ask(x, PROTO_EXPLAIN, "rule=pages&key=a%20b%2F%C3%A4", "", 200);
    json_t *row = json_array_get(json_object_get(root, "rules"), 0);
    assert_string_equal(text_of(row, "state"), "replicated");
    assert_string_equal(text_of(root, "key"), "a b/\xc3\xa4");
    json_decref(root);
    root = ask(x, PROTO_STATUS, NULL, "", 200);
    row = json_array_get(json_object_get(root, "rules"), 0);
    assert_int_equal(json_integer_value(json_object_get(row, "done_objects")), 1);
    assert_int_equal(json_integer_value(json_object_get(row, "pending_objects")), 0);
    json_decref(root);
}

static void explained(struct fixture *x, const char *key, const char *state, const char *words)
{
    char query[80];
    snprintf(query, sizeof(query), "rule=pages&key=%s", key);
    json_t *root = ask(x, PROTO_EXPLAIN, query, "", 200);
    json_t *row = json_array_get(json_object_get(root, "rules"), 0);
    assert_string_equal(text_of(row, "state"), state);
    assert_non_null(strstr(text_of(row, "sentence"), words));
    json_decref(root);
}

/* A key that feeds told of is not unknown, whatever became of it. */
static void test_explain_knows_what_became_of_a_key(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"absent\"}\n");
    json_decref(ask(x, PROTO_WAIT, "rule=pages&timeout_ms=20000", "", 200));
    explained(x, "absent", "skipped", "nothing is there to be deleted");
    fake_put(x->bench.near, "src", span_str("gone"), span_str("x"), NULL);
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"gone\"}\n");
    json_decref(ask(x, PROTO_WAIT, "rule=pages&timeout_ms=20000", "", 200));
    fake_remove(x->bench.near, "src", span_str("gone"));
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"gone\",\"kind\":\"delete\"}\n");
    json_decref(ask(x, PROTO_WAIT, "rule=pages&timeout_ms=20000", "", 200));
    explained(x, "gone", "deleted", "was deleted at the destination at ");
    say(x, PROTO_RULE_PUT, "mode=update",
        "{\"name\":\"pages\",\"source\":\"near/src/\",\"destination\":\"far/dst/\"}");
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"gone\"}\n");
    json_decref(ask(x, PROTO_WAIT, "rule=pages&timeout_ms=20000", "", 200));
    explained(x, "gone", "skipped", "object is not at the source any more");
    explained(x, "never", "unknown", "no feed has told of it");
}

static void test_explain_names_an_endpoint_that_is_down(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    fake_put(x->bench.near, "src", span_str("k"), span_str("body"), NULL);
    fake_deny(x->bench.far, true);
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"k\"}\n");
    refused(x, PROTO_WAIT, "rule=pages&timeout_ms=5000", "", 504, "far");
    explained(x, "k", "copying", "is accepted and waits: endpoint far takes no work now");
    fake_deny(x->bench.far, false);
}

static void test_append_is_all_or_nothing(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    say(x, PROTO_RULE_PAUSE, "rule=pages", "");
    refused(x, PROTO_APPEND, NULL,
            "{\"bucket\":\"src\",\"key\":\"k\"}\n{\"bucket\":\"src\",\"kay\":\"k\"}\n", 400,
            "line 2: ");
    json_t *root = ask(x, PROTO_LAG, "rule=pages", "", 200);
    json_t *row = json_array_get(json_object_get(root, "rules"), 0);
    assert_int_equal(json_integer_value(json_object_get(row, "pending_objects")), 0);
    json_decref(root);
}

static void test_paused_rule_makes_wait_time_out(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    say(x, PROTO_RULE_PAUSE, "rule=pages", "");
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"k\"}\n");
    refused(x, PROTO_WAIT, "rule=pages&timeout_ms=50", "", 504, "not there yet");
    json_t *root = ask(x, PROTO_EXPLAIN, "key=k", "", 200);
    json_t *row = json_array_get(json_object_get(root, "rules"), 0);
    assert_string_equal(text_of(row, "state"), "paused");
    json_decref(root);
    refused(x, PROTO_WAIT, "rule=pages&until_ms=x", "", 400, "not a number");
}

static void test_apply(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    const char *two =
        "{\"rules\":["
        "{\"name\":\"one\",\"source\":\"near/src/1/\",\"destination\":\"far/dst/1/\"},"
        "{\"name\":\"two\",\"source\":\"near/src/2/\",\"destination\":\"far/dst/2/\"}]}";
    json_t *root = ask(x, PROTO_APPLY, "dry_run=1", two, 409);
    json_t *errors = json_object_get(json_object_get(root, "error"), "errors");
    assert_int_equal(json_array_size(errors), 2);
    assert_string_equal(text_of(json_array_get(errors, 1), "rule"), "two");
    assert_non_null(strstr(text_of(json_array_get(errors, 1), "text"), "pages"));
    json_decref(root);
    refused(x, PROTO_APPLY, NULL, two, 409, "2 rules are refused, nothing was changed");
    root = ask(x, PROTO_APPLY, "prune=1&dry_run=1", two, 200);
    assert_int_equal(json_array_size(json_object_get(root, "changes")), 3);
    json_decref(root);
    json_decref(ask(x, PROTO_RULES, "rule=pages", "", 200));
    root = ask(x, PROTO_APPLY, "prune=1", two, 200);
    assert_int_equal(json_integer_value(json_object_get(root, "changed")), 3);
    json_decref(root);
    root = ask(x, PROTO_APPLY, "prune=1", two, 200);
    assert_int_equal(json_integer_value(json_object_get(root, "changed")), 0);
    json_decref(root);
    refused(x, PROTO_RULES, "rule=pages", "", 404, "no rule");
}

static long long tried_again(struct fixture *x, const char *query)
{
    json_t *root = ask(x, PROTO_FAILURES_RETRY, query, "", 200);
    long long count = json_integer_value(json_object_get(root, "count"));
    assert_true(json_is_true(json_object_get(root, "done")));
    json_decref(root);
    return count;
}

/* The engine tries three times, with seconds in between, before it gives up. */
static void wait_for_failure(struct fixture *x, const char *key)
{
    uint64_t limit_ms = loop_now_ms(x->bench.loop) + 60000;
    json_t *root = ask(x, PROTO_FAILURES, "rule=pages", "", 200);
    while (json_array_size(json_object_get(root, "failures")) == 0) {
        assert_true(loop_now_ms(x->bench.loop) < limit_ms);
        json_decref(root);
        root = ask(x, PROTO_FAILURES, "rule=pages", "", 200);
    }
    json_t *row = json_array_get(json_object_get(root, "failures"), 0);
    assert_string_equal(text_of(row, "key"), key);
    json_decref(root);
}

static void test_failures(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add", RULE);
    fake_put(x->bench.near, "src", span_str("bad"), span_str("body"), NULL);
    struct fake_fault fault = {
        .kind = STORE_PUT, .key = "bad", .code = REPL_EREFUSED, .http_status = 400};
    fake_fault(x->bench.far, &fault);
    say(x, PROTO_APPEND, NULL, "{\"bucket\":\"src\",\"key\":\"bad\"}\n");
    assert_int_equal(tried_again(x, "rule=pages"), 0);
    wait_for_failure(x, "bad");
    assert_int_equal(tried_again(x, "rule=pages"), 1);
    wait_for_failure(x, "bad");
    assert_int_equal(tried_again(x, "rule=pages&key=bad"), 1);
    wait_for_failure(x, "bad");
    refused(x, PROTO_FAILURES_DROP, "rule=pages&key=bad", "", 400, "reason");
    say(x, PROTO_FAILURES_DROP, "rule=pages&key=bad&reason=known", "");
    json_t *root = ask(x, PROTO_FAILURES, NULL, "", 200);
    assert_int_equal(json_array_size(json_object_get(root, "failures")), 0);
    json_decref(root);
    explained(x, "bad", "dropped", "dropped by an operator: known");
}

static void test_uploads(void **state)
{
    struct fixture *x = *state;
    say(x, PROTO_RULE_PUT, "mode=add&no_preflight=1", RULE);
    json_t *root = ask(x, PROTO_UPLOADS, NULL, "", 200);
    assert_int_equal(json_array_size(json_object_get(root, "uploads")), 0);
    json_decref(root);
    fake_create(x->bench.far, "dst", span_str("somebody's"));
    root = ask(x, PROTO_FOREIGN, "rule=pages", "", 200);
    json_t *row = json_array_get(json_object_get(root, "foreign"), 0);
    assert_string_equal(text_of(row, "key"), "somebody's");
    json_decref(root);
    assert_int_equal(fake_uploads(x->bench.far), 1);
}

/* How many options a reload says wait for a restart. */
static size_t restarts(struct fixture *x)
{
    json_t *root = ask(x, PROTO_RELOAD, NULL, "", 200);
    const json_t *names = json_object_get(root, "restart");
    size_t count = json_array_size(names);
    assert_true(json_is_array(names));
    assert_true(count < 2 ||
                strcmp(json_string_value(json_array_get(names, 1)), "admin.socket") == 0);
    json_decref(root);
    return count;
}

static void test_reload(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(restarts(x), 0);
    assert_int_equal(x->reloads, 1);
    assert_int_equal(restarts(x), 2);
    x->reload_status = REPL_EBADINPUT;
    refused(x, PROTO_RELOAD, NULL, "", 400, "c.yaml:1");
    x->reload_status = -ENOENT; /* nothing that is far away */
    refused(x, PROTO_RELOAD, NULL, "", 409, "c.yaml:1");
}

static void test_metrics_listener_follows_a_reload(void **state)
{
    struct fixture *x = *state;
    struct conf changed = x->bench.conf;
    changed.metrics_listen = NULL;
    assert_non_null(admin_metrics_address(x->admin));
    admin_set_conf(x->admin, &changed);
    assert_null(admin_metrics_address(x->admin));
    admin_set_conf(x->admin, &x->bench.conf);
    assert_non_null(admin_metrics_address(x->admin));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_socket_is_private),
        WITH(test_rules),
        WITH(test_append_wait_explain),
        WITH(test_explain_knows_what_became_of_a_key),
        WITH(test_explain_names_an_endpoint_that_is_down),
        WITH(test_append_is_all_or_nothing),
        WITH(test_paused_rule_makes_wait_time_out),
        WITH(test_apply),
        WITH(test_failures),
        WITH(test_uploads),
        WITH(test_reload),
        WITH(test_metrics_listener_follows_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
