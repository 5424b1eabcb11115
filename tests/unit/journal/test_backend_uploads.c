/* Conformance of a journal backend: multipart uploads on record. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void an_upload_and_its_parts(void **state)
{
    struct world *w = *state;
    struct upload u = {.rule = w->rule,
                       .key = span_str("a"),
                       .endpoint = span_str("home"),
                       .bucket = span_str("b"),
                       .dest_key = span_str("x/a"),
                       .source_etag = span_str("e"),
                       .size = 30,
                       .part_size = 10,
                       .created_ms = NOW};
    struct upload_part part = {.number = 2, .size = 10, .etag = span_str("p2"), .bytes_sent = 12};
    world_append_put(w, "a", NOW);
    assert_int_equal(w->ops->upload_intend(w->b, &u), 0);
    struct task t;
    assert_int_equal(w->ops->task_get(w->b, &w->arena, w->rule, span_str("a"), &t), 0);
    assert_int_equal(t.upload->state, UPLOAD_INTENDED);
    assert_int_equal(t.upload->upload_id.len, 0);
    u.upload_id = span_str("id");
    assert_int_equal(w->ops->part_done(w->b, w->rule, u.key, u.upload_id, &part), REPL_ENOTFOUND);
    assert_int_equal(w->ops->upload_open(w->b, &u), 0);
    assert_int_equal(w->ops->part_done(w->b, w->rule, u.key, u.upload_id, &part), 0);
    assert_int_equal(world_counts(w).sent_bytes, 12);
    part.number = 1;
    part.etag = span_str("p1");
    assert_int_equal(w->ops->part_done(w->b, w->rule, u.key, u.upload_id, &part), 0);
    part.etag = span_str("p1 again");
    assert_int_equal(w->ops->part_done(w->b, w->rule, u.key, u.upload_id, &part), 0);
    assert_int_equal(world_counts(w).sent_bytes, 36); /* what is sent again is sent */
    t = world_claim(w, TASK_LIVE, 1).tasks[0];
    assert_int_equal(t.upload->state, UPLOAD_OPEN);
    assert_int_equal(t.upload->part_count, 2);
    assert_int_equal(t.upload->bytes_done, 20);
    assert_true(span_eq_str(t.upload->parts[0].etag, "p1 again"));
    assert_true(span_eq_str(t.upload->dest_key, "x/a"));
    assert_int_equal(
        w->ops->upload_set(w->b, w->rule, u.key, u.upload_id, UPLOAD_ABORTING, NOW + 100, 3), 0);
    struct upload *list;
    size_t n;
    assert_int_equal(
        w->ops->upload_page(w->b, &w->arena, UPLOAD_ABORTING, NOW, NULL, 10, &list, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(w->ops->upload_page(w->b, &w->arena, -1, NOW + 100, NULL, 10, &list, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].attempts, 3);
    assert_int_equal(w->ops->upload_page(w->b, &w->arena, -1, INT64_MAX, &list[0], 10, &list, &n),
                     0);
    assert_int_equal(n, 0);
    assert_int_equal(w->ops->upload_end(w->b, w->rule, u.key, u.upload_id), 0);
    assert_int_equal(w->ops->upload_end(w->b, w->rule, u.key, u.upload_id), 0);
    assert_int_equal(w->ops->task_get(w->b, &w->arena, w->rule, span_str("a"), &t), 0);
    assert_null(t.upload);
}

static void a_recorded_upload_is_found_at_its_place(void **state)
{
    struct world *w = *state;
    struct upload u = {.rule = w->rule,
                       .key = span_str("k1"),
                       .upload_id = span_str("id"),
                       .endpoint = span_str("far"),
                       .bucket = span_str("dst")};
    struct span id = u.upload_id, other = span_str("other");
    assert_int_equal(w->ops->upload_open(w->b, &u), 0);
    assert_int_equal(w->ops->upload_find(w->b, u.endpoint, u.bucket, id), 0);
    assert_int_equal(w->ops->upload_find(w->b, other, u.bucket, id), REPL_ENOTFOUND);
    assert_int_equal(w->ops->upload_find(w->b, u.endpoint, other, id), REPL_ENOTFOUND);
    assert_int_equal(w->ops->upload_find(w->b, u.endpoint, u.bucket, other), REPL_ENOTFOUND);
}

static void a_deleted_rule_goes_when_its_uploads_are_gone(void **state)
{
    struct world *w = *state;
    struct upload u = {.rule = w->rule, .key = span_str("k1"), .upload_id = span_str("id")};
    char key[16];
    uint32_t number;
    struct upload *list;
    size_t n;
    for (int i = 0; i < 25; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        world_append_put(w, key, NOW);
    }
    assert_int_equal(w->ops->upload_open(w->b, &u), 0);
    assert_int_equal(w->ops->rule_delete(w->b, w->rule, NOW), 0);
    assert_int_equal(w->ops->upload_page(w->b, &w->arena, UPLOAD_ABORTING, NOW, NULL, 9, &list, &n),
                     0);
    assert_int_equal(n, 1);
    struct upload late = {.rule = w->rule, .key = span_str("k1"), .upload_id = span_str("late")};
    assert_int_equal(w->ops->upload_open(w->b, &late), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(w->ops->rule_purge(w->b, w->rule, 10), 0);
    }
    assert_int_equal(w->ops->upload_page(w->b, &w->arena, UPLOAD_ABORTING, NOW, NULL, 9, &list, &n),
                     0);
    assert_int_equal(n, 2);
    assert_int_equal(w->ops->upload_end(w->b, w->rule, late.key, late.upload_id), 0);
    assert_int_equal(w->ops->upload_end(w->b, w->rule, u.key, u.upload_id), 0);
    assert_int_equal(w->ops->rule_purge(w->b, w->rule, 10), REPL_EDONE);
    struct rule_record r = {.name = span_str("pages"), .text = span_str("{}")};
    assert_int_equal(w->ops->rule_put(w->b, &r, &number), 0);
    assert_true(number > w->rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(an_upload_and_its_parts),
        WORLD_TEST(a_recorded_upload_is_found_at_its_place),
        WORLD_TEST(a_deleted_rule_goes_when_its_uploads_are_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
