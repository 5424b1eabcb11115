/* The published watermark: what stands in it, how often it is written, and what happens when it
 * cannot be. */
#include "daemon/notify/watermark.h"

#include "daemon/base/mem.h"
#include "tests/unit/support/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS    1790000000000
#define INTERVAL_MS 10000
#define KEY         "_repl/watermark/pages/host-1.json"

struct bench {
    struct loop *loop;
    struct stat_set *stats;
    struct fake *fake;
    struct watermark *w;
    bool is_away;
    struct watermark_doc now;
    int closed;
};

static struct store *store_now(void *arg)
{
    struct bench *b = arg;
    return b->is_away ? NULL : fake_store(b->fake);
}

static void fill(void *arg, struct watermark_doc *ret)
{
    struct bench *b = arg;
    ret->watermark_ms = b->now.watermark_ms;
    ret->state = b->now.state;
    memcpy(ret->waits_for, b->now.waits_for, sizeof(ret->waits_for));
}

static int set_up_on(void **state, struct fake_options options)
{
    struct bench *b = MEM_NEW(struct bench);
    b->loop = loop_new_virtual(3, START_MS);
    b->stats = stat_set_new();
    options.loop = b->loop;
    options.latency_ms = 50;
    b->fake = fake_new(&options);
    fake_bucket(b->fake, "dst");
    b->now.state = "ok";
    b->w = watermark_new(
        &(struct watermark_options){.loop = b->loop,
                                    .stats = b->stats,
                                    .rule = "pages",
                                    .instance = "host-1",
                                    .pattern = "_repl/watermark/{rule}/{instance}.json",
                                    .bucket = "dst",
                                    .interval_ms = INTERVAL_MS,
                                    .host = {b, store_now, fill}});
    *state = b;
    return 0;
}

static int set_up(void **state)
{
    return set_up_on(state, (struct fake_options){0});
}

static int set_up_versions(void **state)
{
    return set_up_on(state, (struct fake_options){.versions = true});
}

static int set_up_suspended(void **state)
{
    return set_up_on(state, (struct fake_options){.suspended = true});
}

static void closed(void *arg)
{
    ((struct bench *)arg)->closed++;
}

static void close_it(struct bench *b, bool remove)
{
    watermark_close(b->w, remove, closed, b);
    assert_int_equal(b->closed, 0);
    loop_run_for(b->loop, 1000);
    assert_int_equal(b->closed, 1);
    b->w = NULL;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    if (b->w != NULL) {
        close_it(b, false);
    }
    fake_free(b->fake);
    stat_set_free(b->stats);
    loop_free(b->loop);
    mem_free(b);
    return 0;
}

static void advance(struct bench *b, int64_t to_ms)
{
    b->now.watermark_ms = to_ms;
    watermark_news(b->w);
}

static const char *published(struct bench *b)
{
    static char text[2048];
    struct fake_object o;
    assert_true(fake_get(b->fake, "dst", span_str(KEY), &o));
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(o.body));
    return text;
}

static void test_text(void **state)
{
    (void)state;
    struct buf text = {0};
    struct watermark_doc doc = {.rule = "a\"b",
                                .instance = "h",
                                .watermark_ms = START_MS + 999,
                                .state = "feed",
                                .waits_for = "outbox x",
                                .pending_objects = 3,
                                .published_ms = START_MS + 5000};
    watermark_print(&doc, &text);
    assert_string_equal(buf_cstr(&text), "{\n  \"rule\": \"a\\\"b\",\n"
                                         "  \"instance\": \"h\",\n"
                                         "  \"watermark\": \"2026-09-21T14:13:20Z\",\n"
                                         "  \"watermark_ms\": 1790000000999,\n"
                                         "  \"proven\": null,\n"
                                         "  \"state\": \"feed\",\n"
                                         "  \"waits_for\": \"outbox x\",\n"
                                         "  \"pending_objects\": 3,\n"
                                         "  \"pending_bytes\": 0,\n"
                                         "  \"failed_objects\": 0,\n"
                                         "  \"done_objects\": 0,\n"
                                         "  \"done_bytes\": 0,\n"
                                         "  \"published\": \"2026-09-21T14:13:25Z\"\n}\n");
    buf_reset(&text);
    watermark_key("_repl/{instance}/{rule}{x}", "r", "i", &text);
    assert_string_equal(buf_cstr(&text), "_repl/i/r{x}");
    buf_done(&text);
}

static void test_at_most_once_an_interval_and_the_newest(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 100; i++) {
        advance(b, START_MS + i * 1000);
        loop_run_for(b->loop, 1000);
    }
    assert_in_range(fake_count(b->fake, STORE_PUT), 9, 11);
    loop_run_for(b->loop, INTERVAL_MS);
    assert_non_null(strstr(published(b), "\"watermark_ms\": 1790000099000"));
    unsigned before = fake_count(b->fake, STORE_PUT);
    watermark_news(b->w); /* nothing else to say */
    loop_run_for(b->loop, 10 * INTERVAL_MS);
    assert_int_equal(fake_count(b->fake, STORE_PUT), before);
}

static void test_another_reason_is_published_too(void **state)
{
    struct bench *b = *state;
    advance(b, START_MS);
    loop_run_for(b->loop, INTERVAL_MS);
    b->now.state = "endpoint";
    snprintf(b->now.waits_for, sizeof(b->now.waits_for), "endpoint home does not take work");
    watermark_news(b->w);
    loop_run_for(b->loop, INTERVAL_MS);
    assert_non_null(strstr(published(b), "endpoint home does not take work"));
    assert_int_equal(fake_count(b->fake, STORE_PUT), 2);
}

static void test_failure_is_tried_again_with_what_holds_then(void **state)
{
    struct bench *b = *state;
    fake_outage(b->fake, loop_now_ms(b->loop), loop_now_ms(b->loop) + 120000);
    advance(b, START_MS);
    loop_run_for(b->loop, 60000);
    advance(b, START_MS + 60000);
    assert_int_equal(fake_objects(b->fake, "dst"), 0);
    unsigned tries = fake_count(b->fake, STORE_PUT);
    assert_in_range(tries, 4, 20);
    loop_run_for(b->loop, 180000);
    assert_non_null(strstr(published(b), "\"watermark_ms\": 1790000060000"));
}

static void test_no_endpoint_is_waited_for(void **state)
{
    struct bench *b = *state;
    b->is_away = true;
    advance(b, START_MS);
    loop_run_for(b->loop, INTERVAL_MS);
    assert_int_equal(fake_count(b->fake, STORE_PUT), 0);
    b->is_away = false;
    loop_run_for(b->loop, INTERVAL_MS);
    assert_int_equal(fake_objects(b->fake, "dst"), 1);
}

static void test_a_deleted_rule_leaves_nothing(void **state)
{
    struct bench *b = *state;
    advance(b, START_MS);
    loop_run_for(b->loop, INTERVAL_MS);
    assert_int_equal(fake_objects(b->fake, "dst"), 1);
    advance(b, START_MS + 1);
    loop_run_for(b->loop, 1); /* its PUT is under way */
    close_it(b, true);
    assert_int_equal(fake_objects(b->fake, "dst"), 0);
}

static void write_ten(struct bench *b)
{
    for (int i = 0; i < 10; i++) {
        advance(b, START_MS + i);
        loop_run_for(b->loop, INTERVAL_MS);
    }
    assert_int_equal(fake_count(b->fake, STORE_PUT), 10);
    assert_non_null(strstr(published(b), "\"watermark_ms\": 1790000000009"));
}

static void test_only_the_newest_version_is_kept(void **state)
{
    struct bench *b = *state;
    write_ten(b);
    assert_int_equal(fake_versions(b->fake, "dst", span_str(KEY)), 1);
    assert_int_equal(fake_count(b->fake, STORE_DELETE), 9);
}

static void test_version_is_not_deleted_before_a_newer_one_stands(void **state)
{
    struct bench *b = *state;
    write_ten(b);
    fake_outage(b->fake, loop_now_ms(b->loop), loop_now_ms(b->loop) + 60000);
    advance(b, START_MS + 11);
    loop_run_for(b->loop, 30000);
    assert_non_null(strstr(published(b), "\"watermark_ms\": 1790000000009"));
    loop_run_for(b->loop, 180000);
    assert_non_null(strstr(published(b), "\"watermark_ms\": 1790000000011"));
    assert_int_equal(fake_versions(b->fake, "dst", span_str(KEY)), 1);
}

/* "null" is overwritten, and deleting it would delete what was written last. */
static void test_null_version_is_never_deleted(void **state)
{
    struct bench *b = *state;
    write_ten(b);
    assert_int_equal(fake_count(b->fake, STORE_DELETE), 0);
}

static void test_closing_while_a_version_is_being_deleted(void **state)
{
    struct bench *b = *state;
    advance(b, START_MS);
    loop_run_for(b->loop, INTERVAL_MS);
    advance(b, START_MS + 1);
    while (fake_count(b->fake, STORE_DELETE) == 0) {
        loop_run_for(b->loop, 1);
    }
    close_it(b, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test_setup_teardown(test_at_most_once_an_interval_and_the_newest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_another_reason_is_published_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure_is_tried_again_with_what_holds_then, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_endpoint_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_deleted_rule_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_newest_version_is_kept, set_up_versions,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_version_is_not_deleted_before_a_newer_one_stands,
                                        set_up_versions, tear_down),
        cmocka_unit_test_setup_teardown(test_null_version_is_never_deleted, set_up_suspended,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_closing_while_a_version_is_being_deleted,
                                        set_up_versions, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
