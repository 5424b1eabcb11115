/* Conformance of a journal backend: bodies in quarantine. */
#include "tests/unit/support/backend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Of a feed that brings the changes of an endpoint of its own name, bucket "b". */
static void quarantine(struct world *w, const char *feed, int64_t received_ms, struct span body)
{
    struct quarantined q = {.feed = span_str(feed),
                            .received_ms = received_ms,
                            .endpoint = span_str(feed),
                            .bucket = span_str("b"),
                            .hold_ms = received_ms - 7,
                            .reason = span_str("no JSON"),
                            .body = body};
    assert_int_equal(w->ops->quarantine_put(w->b, &q), 0);
}

static struct quarantine_counts quarantine_counts(struct world *w, const char *feed)
{
    struct quarantine_counts c = {0};
    assert_int_equal(w->ops->quarantine_counts(w->b, span_str(feed), &c), 0);
    return c;
}

static struct quarantine_hold hold_at(struct world *w, const char *endpoint, const char *bucket,
                                      int64_t scan_ms)
{
    struct quarantine_hold hold;
    struct quarantine_place of = {
        .endpoint = span_str(endpoint), .bucket = span_str(bucket), .scan_ms = scan_ms};
    assert_int_equal(w->ops->quarantine_hold(w->b, &w->arena, &of, &hold), 0);
    return hold;
}

/* When the body came that holds the feed's own place. */
static int64_t quarantine_oldest(struct world *w, const char *feed)
{
    struct quarantine_hold hold = hold_at(w, feed, "b", 0);
    return hold.any ? hold.hold_ms + 7 : 0;
}

static uint64_t quarantine_drop(struct world *w, const char *feed, uint64_t id, int64_t before_ms)
{
    uint64_t n = 99;
    assert_int_equal(w->ops->quarantine_drop(w->b, span_str(feed), id, before_ms, &n), 0);
    return n;
}

static void a_body_in_quarantine_is_as_it_came(void **state)
{
    struct world *w = *state;
    struct quarantined *page, one;
    size_t n = 0;
    quarantine(w, "webhook:a", NOW + 5, span_of("a\0b", 3));
    quarantine(w, "webhook:b", NOW, span_str(""));
    assert_int_equal(w->ops->quarantine_page(w->b, &w->arena, (struct span){0}, 0, 10, &page, &n),
                     0);
    assert_int_equal(n, 2);
    assert_true(span_eq_str(page[0].feed, "webhook:a") && span_eq_str(page[0].reason, "no JSON"));
    assert_int_equal(page[0].size, 3);
    assert_int_equal(page[0].received_ms, NOW + 5);
    assert_null(page[0].body.ptr);
    assert_int_equal(w->ops->quarantine_get(w->b, &w->arena, page[0].id, &one), 0);
    assert_true(span_eq(one.body, span_of("a\0b", 3)));
    assert_int_equal(w->ops->quarantine_get(w->b, &w->arena, page[1].id, &one), 0);
    assert_true(one.body.ptr != NULL && one.body.len == 0);
    assert_int_equal(w->ops->quarantine_get(w->b, &w->arena, page[1].id + 1, &one), REPL_ENOTFOUND);
}

static void quarantine_pages_and_feeds(void **state)
{
    struct world *w = *state;
    struct quarantined *page;
    size_t n = 0;
    for (int i = 0; i < 5; i++) {
        quarantine(w, i % 2 == 0 ? "webhook:a" : "webhook:b", NOW + i, span_str("x"));
    }
    assert_int_equal(
        w->ops->quarantine_page(w->b, &w->arena, span_str("webhook:a"), 0, 2, &page, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(page[1].received_ms, NOW + 2);
    assert_int_equal(
        w->ops->quarantine_page(w->b, &w->arena, span_str("webhook:a"), page[1].id, 2, &page, &n),
        0);
    assert_int_equal(n, 1);
    assert_int_equal(page[0].received_ms, NOW + 4);
    assert_int_equal(quarantine_counts(w, "webhook:b").bodies, 2);
}

static void the_oldest_in_quarantine_goes_when_it_is_dropped(void **state)
{
    struct world *w = *state;
    struct quarantined *page;
    size_t n = 0;
    assert_int_equal(quarantine_oldest(w, "webhook:a"), 0);
    for (int i = 0; i < 4; i++) {
        quarantine(w, "webhook:a", NOW + i, span_str("x"));
    }
    quarantine(w, "webhook:b", NOW - 9, span_str("x"));
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW);
    assert_int_equal(hold_at(w, "webhook:a", "b", NOW + 2).hold_ms, NOW + 2 - 7);
    assert_false(hold_at(w, "webhook:a", "b", NOW + 4).any);
    assert_int_equal(
        w->ops->quarantine_page(w->b, &w->arena, span_str("webhook:a"), 0, 1, &page, &n), 0);
    assert_int_equal(quarantine_drop(w, "webhook:b", page[0].id, 0), 0); /* it is another's */
    assert_int_equal(quarantine_drop(w, "webhook:a", page[0].id, 0), 1);
    assert_int_equal(quarantine_drop(w, "webhook:a", page[0].id, 0), 0);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW + 1);
    assert_int_equal(quarantine_drop(w, "webhook:a", 0, NOW + 3), 2);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW + 3);
    assert_int_equal(quarantine_drop(w, "webhook:a", 0, INT64_MAX), 1);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), 0);
    assert_int_equal(quarantine_oldest(w, "webhook:b"), NOW - 9);
}

static void quarantine_is_bounded_and_says_what_it_lost(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < QUARANTINE_BODIES_MAX; i++) {
        quarantine(w, "webhook:a", NOW + i, span_str("x"));
    }
    quarantine(w, "webhook:a", NOW + 5000, span_str("x"));
    quarantine(w, "webhook:a", NOW + 6000, span_str("x"));
    struct quarantine_counts c = quarantine_counts(w, "webhook:a");
    assert_int_equal(c.bodies, QUARANTINE_BODIES_MAX);
    assert_int_equal(c.bytes, QUARANTINE_BODIES_MAX);
    assert_int_equal(c.lost, 2);
    quarantine(w, "webhook:b", NOW, span_str("x"));
    assert_int_equal(quarantine_counts(w, "webhook:b").bodies, 1);
    /* What was lost holds the watermark when all bodies are decided. */
    assert_int_equal(quarantine_drop(w, "webhook:a", 0, NOW + 5000), QUARANTINE_BODIES_MAX);
    assert_int_equal(quarantine_oldest(w, "webhook:a"), NOW + 5000);
}

static void quarantine_is_bounded_in_bytes(void **state)
{
    struct world *w = *state;
    size_t half = QUARANTINE_BYTES_MAX / 2;
    char *large = mem_alloc(half + 1);
    quarantine(w, "webhook:a", NOW, span_of(large, half));
    quarantine(w, "webhook:a", NOW + 1, span_of(large, half + 1));
    quarantine(w, "webhook:a", NOW + 2, span_of(large, half));
    mem_free(large);
    struct quarantine_counts c = quarantine_counts(w, "webhook:a");
    assert_int_equal(c.bodies, 2);
    assert_int_equal(c.bytes, QUARANTINE_BYTES_MAX);
    assert_int_equal(c.lost, 1);
}

/* Whatever has become of the feed: what counts is what it was when the body came. */
static void a_body_holds_its_place_and_no_other(void **state)
{
    struct world *w = *state;
    struct quarantine_feed *feeds;
    size_t n = 0;
    quarantine(w, "webhook:a", NOW, span_str("x"));
    struct quarantine_hold hold = hold_at(w, "webhook:a", "b", 0);
    assert_true(hold.any && span_eq_str(hold.feed, "webhook:a"));
    assert_false(hold_at(w, "webhook:a", "c", 0).any);
    assert_false(hold_at(w, "webhook:b", "b", 0).any);
    struct quarantined any = {.feed = span_str("queue:q"),
                              .received_ms = NOW + 1,
                              .reason = span_str("no JSON"),
                              .body = span_str("y")};
    assert_int_equal(w->ops->quarantine_put(w->b, &any), 0);
    hold = hold_at(w, "elsewhere", "c", 0);
    assert_true(hold.any && span_eq_str(hold.feed, "queue:q"));
    assert_int_equal(hold.hold_ms, 0); /* nobody knows how old what it tells of is */
    assert_int_equal(w->ops->quarantine_feeds(w->b, &w->arena, &feeds, &n), 0);
    assert_int_equal(n, 2);
    assert_true(span_eq_str(feeds[0].feed, "queue:q") && feeds[0].endpoint.ptr == NULL);
    assert_true(span_eq_str(feeds[1].feed, "webhook:a") && span_eq_str(feeds[1].bucket, "b"));
    assert_int_equal(feeds[1].counts.bodies, 1);
}

static void what_was_lost_holds_each_place(void **state)
{
    struct world *w = *state;
    struct quarantined q = {.feed = span_str("webhook:a"),
                            .received_ms = NOW,
                            .endpoint = span_str("old"),
                            .hold_ms = NOW,
                            .reason = span_str("no JSON"),
                            .body = span_str("x")};
    for (int i = 0; i < QUARANTINE_BODIES_MAX; i++) {
        assert_int_equal(w->ops->quarantine_put(w->b, &q), 0);
    }
    q.endpoint = span_str("new"); /* the source was given another one */
    assert_int_equal(w->ops->quarantine_put(w->b, &q), 0);
    q.hold_ms = NOW - 5;
    assert_int_equal(w->ops->quarantine_put(w->b, &q), 0);
    assert_int_equal(quarantine_counts(w, "webhook:a").lost, 2);
    assert_int_equal(hold_at(w, "new", "b", NOW + 1).hold_ms, NOW - 5); /* no scan covers it */
    assert_false(hold_at(w, "old", "b", NOW + 1).any);
}

static void the_word_of_an_operator_is_kept(void **state)
{
    struct world *w = *state;
    struct quarantine_word *words;
    size_t n = 0;
    for (int i = 1; i <= QUARANTINE_WORDS_MAX + 3; i++) {
        struct quarantine_word word = {.feed = span_str("webhook:a"),
                                       .id = (uint64_t)i,
                                       .bodies = 1,
                                       .at_ms = NOW + i,
                                       .who = span_str("anna (uid 7)"),
                                       .reason = span_str("a probe of ours")};
        assert_int_equal(w->ops->quarantine_word(w->b, &word), 0);
    }
    assert_int_equal(
        w->ops->quarantine_words(w->b, &w->arena, span_str("webhook:a"), 1000, &words, &n), 0);
    assert_int_equal(n, QUARANTINE_WORDS_MAX);
    assert_int_equal(words[0].id, QUARANTINE_WORDS_MAX + 3);
    assert_int_equal(words[0].at_ms, NOW + QUARANTINE_WORDS_MAX + 3);
    assert_true(span_eq_str(words[0].who, "anna (uid 7)"));
    assert_true(span_eq_str(words[0].reason, "a probe of ours"));
    assert_int_equal(words[n - 1].id, 4);
    assert_int_equal(
        w->ops->quarantine_words(w->b, &w->arena, span_str("webhook:b"), 10, &words, &n), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_body_in_quarantine_is_as_it_came),
        WORLD_TEST(quarantine_pages_and_feeds),
        WORLD_TEST(the_oldest_in_quarantine_goes_when_it_is_dropped),
        WORLD_TEST(quarantine_is_bounded_and_says_what_it_lost),
        WORLD_TEST(quarantine_is_bounded_in_bytes),
        WORLD_TEST(a_body_holds_its_place_and_no_other),
        WORLD_TEST(what_was_lost_holds_each_place),
        WORLD_TEST(the_word_of_an_operator_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
