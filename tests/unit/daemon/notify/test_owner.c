/* Hosts that agree on an owner: never two at a time, whatever their clocks, the network and their
 * deaths do; and soon another one when one is gone. */
#include "daemon/notify/owner.h"

#include "daemon/base/mem.h"
#include "daemon/notify/conditional.h"
#include "tests/unit/support/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS    1790000000000
#define TAKEOVER_MS 60000
#define HOSTS       3
#define KEY         "_repl/owner/pages"

struct bench;

struct host {
    struct bench *bench;
    char id[16];
    struct owner *owner;
    bool is_cut; /* from the store: reads and writes are lost, their effect as it happens */
    int closed;
};

struct bench {
    struct loop *loop;
    struct fake *fake;
    struct host hosts[HOSTS];
    unsigned news;
    unsigned found;
};

static struct store *store_now(void *arg)
{
    struct host *h = arg;
    return h->is_cut ? NULL : fake_store(h->bench->fake);
}

static void found(void *arg, const struct store *store)
{
    struct host *h = arg;
    assert_true(store_can_condition(store));
    h->bench->found++;
}

static void news(void *arg)
{
    struct host *h = arg;
    h->bench->news++;
}

static void start(struct bench *b, int i)
{
    struct host *h = &b->hosts[i];
    h->bench = b;
    snprintf(h->id, sizeof(h->id), "id-%d", i);
    h->owner = owner_new(&(struct owner_options){.loop = b->loop,
                                                 .rule = "pages",
                                                 .bucket = "dst",
                                                 .instance = h->id,
                                                 .id = h->id,
                                                 .takeover_ms = TAKEOVER_MS,
                                                 .host = {h, store_now, found, news}});
}

static void closed(void *arg)
{
    struct host *h = arg;
    h->closed = 1;
    h->owner = NULL;
}

/* In good order: what it holds is given up. */
static void stop(struct bench *b, int i)
{
    struct host *h = &b->hosts[i];
    h->closed = 0;
    owner_close(h->owner, closed, h);
    assert_int_equal(h->closed, 0);
    for (int t = 0; h->closed == 0; t++) {
        assert_in_range(t, 0, 100000);
        loop_run_for(b->loop, 1);
    }
}

/* As kill -9: nothing is written any more. */
static void kill(struct bench *b, int i)
{
    b->hosts[i].is_cut = true;
    stop(b, i);
    b->hosts[i].is_cut = false;
}

static int owners(const struct bench *b, int *ret_which)
{
    int n = 0;
    for (int i = 0; i < HOSTS; i++) {
        if (b->hosts[i].owner != NULL && owner_epoch(b->hosts[i].owner) != 0) {
            n++;
            *ret_which = i;
        }
    }
    return n;
}

static struct bench *make(uint64_t seed, const struct fake_options *options)
{
    struct bench *b = MEM_NEW(struct bench);
    struct fake_options o = options != NULL ? *options : (struct fake_options){0};
    b->loop = loop_new_virtual(seed, START_MS);
    o.loop = b->loop;
    o.latency_ms = 50;
    o.jitter_ms = 200;
    b->fake = fake_new(&o);
    fake_bucket(b->fake, "dst");
    return b;
}

static void drop(struct bench *b)
{
    for (int i = 0; i < HOSTS; i++) {
        if (b->hosts[i].owner != NULL) {
            stop(b, i);
        }
    }
    fake_free(b->fake);
    loop_free(b->loop);
    mem_free(b);
}

static int wait_for_owner(struct bench *b, uint64_t limit_ms)
{
    int which = -1;
    for (uint64_t t = 0; owners(b, &which) != 1; t += 100) {
        assert_in_range(t, 0, limit_ms);
        loop_run_for(b->loop, 100);
    }
    return which;
}

static void test_text(void **state)
{
    (void)state;
    struct buf text = {0};
    struct fail f;
    struct owner_doc in = {.instance = "a\"b",
                           .id = "x1",
                           .epoch = 7,
                           .beat = 3,
                           .takeover_ms = 60000,
                           .released = true};
    struct owner_doc out;
    owner_doc_print(&in, "pages", &text);
    assert_int_equal(owner_doc_parse(buf_view(&text), &out, &f), 0);
    assert_string_equal(out.instance, in.instance);
    assert_string_equal(out.id, in.id);
    assert_int_equal(out.epoch, 7);
    assert_int_equal(out.beat, 3);
    assert_int_equal(out.takeover_ms, 60000);
    assert_true(out.released);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"instance\": \"a\"",
                                      "{\"instance\": 3}",
                                      "{\"instance\": \"a\", \"id\": \"b\", \"epoch\": -1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(owner_doc_parse(span_str(bad[i]), &out, &f), REPL_EBADINPUT);
    }
    buf_done(&text);
}

static void test_one_of_three(void **state)
{
    (void)state;
    struct bench *b = make(1, NULL);
    for (int i = 0; i < HOSTS; i++) {
        start(b, i);
    }
    int which = wait_for_owner(b, 10000);
    uint64_t epoch = owner_epoch(b->hosts[which].owner);
    for (int t = 0; t < 600; t++) {
        int now = -1;
        loop_run_for(b->loop, 1000);
        assert_int_equal(owners(b, &now), 1);
        assert_int_equal(now, which);
    }
    assert_int_equal(owner_epoch(b->hosts[which].owner), epoch);
    assert_string_equal(owner_holder(b->hosts[(which + 1) % HOSTS].owner), b->hosts[which].id);
    assert_in_range(b->found, 1, HOSTS);
    assert_int_equal(fake_objects(b->fake, "dst"), 1); /* trials are gone */
    drop(b);
}

static void test_given_up_is_taken_at_once_and_a_dead_one_s_after_its_time(void **state)
{
    (void)state;
    struct bench *b = make(2, NULL);
    start(b, 0);
    assert_int_equal(wait_for_owner(b, 10000), 0);
    uint64_t first = owner_epoch(b->hosts[0].owner);
    start(b, 1);
    loop_run_for(b->loop, 120000);
    stop(b, 0);
    assert_int_equal(wait_for_owner(b, TAKEOVER_MS / 3 + 2000), 1);
    uint64_t second = owner_epoch(b->hosts[1].owner);
    assert_true(second > first);

    start(b, 0);
    loop_run_for(b->loop, 120000);
    uint64_t died = loop_now_ms(b->loop);
    kill(b, 1);
    assert_int_equal(wait_for_owner(b, 3 * TAKEOVER_MS), 0);
    assert_true(loop_now_ms(b->loop) - died >= TAKEOVER_MS / 2);
    assert_true(owner_epoch(b->hosts[0].owner) > second);
    drop(b);
}

/* The same journal knows that it was itself: nobody else can be it. */
static void test_a_restart_takes_it_back_at_once(void **state)
{
    (void)state;
    struct bench *b = make(3, NULL);
    start(b, 0);
    wait_for_owner(b, 10000);
    uint64_t epoch = owner_epoch(b->hosts[0].owner);
    kill(b, 0);
    start(b, 0);
    wait_for_owner(b, 2000);
    assert_true(owner_epoch(b->hosts[0].owner) > epoch); /* what was begun then is not ours now */
    drop(b);
}

static void test_who_cannot_write_stops_before_anybody_begins(void **state)
{
    (void)state;
    struct bench *b = make(4, NULL);
    start(b, 0);
    wait_for_owner(b, 10000);
    start(b, 1);
    loop_run_for(b->loop, 120000);
    b->hosts[0].is_cut = true;
    int which = 0;
    for (int t = 0; t < 1000 && which == 0; t++) {
        int n = owners(b, &which);
        assert_in_range(n, 0, 1);
        loop_run_for(b->loop, 200);
    }
    assert_int_equal(which, 1);
    b->hosts[0].is_cut = false;
    loop_run_for(b->loop, 120000);
    assert_int_equal(owners(b, &which), 1);
    assert_int_equal(which, 1);
    drop(b);
}

/* Wall clocks are nobody's business: ours jumps, the server's dates are its own. */
static void test_clock_jumps_change_nothing(void **state)
{
    (void)state;
    struct bench *b = make(5, NULL);
    start(b, 0);
    wait_for_owner(b, 10000);
    start(b, 1);
    loop_run_for(b->loop, 120000);
    loop_set_wall_ms(b->loop, START_MS + 86400000);
    for (int t = 0; t < 300; t++) {
        int which = -1;
        loop_run_for(b->loop, 1000);
        assert_int_equal(owners(b, &which), 1);
        assert_int_equal(which, 0);
    }
    drop(b);
}

static void test_server_without_conditions_has_no_owner(void **state)
{
    (void)state;
    struct bench *b = make(6, &(struct fake_options){.ignores_conditions = true});
    int which;
    start(b, 0);
    loop_run_for(b->loop, 3600000);
    assert_int_equal(owners(b, &which), 0);
    assert_non_null(strstr(owner_trouble(b->hosts[0].owner), "scan_host"));
    assert_int_equal(fake_objects(b->fake, "dst"), 0);
    assert_in_range(fake_count(b->fake, STORE_PUT), 2, 30); /* tried again, now and then */
    drop(b);
}

static void test_a_strange_object_is_not_overwritten(void **state)
{
    (void)state;
    struct bench *b = make(7, NULL);
    struct fake_object o;
    int which;
    fake_put(b->fake, "dst", span_str(KEY), span_str("mine!"), NULL);
    start(b, 0);
    loop_run_for(b->loop, 600000);
    assert_int_equal(owners(b, &which), 0);
    assert_non_null(strstr(owner_trouble(b->hosts[0].owner), "none that repld has written"));
    assert_true(fake_get(b->fake, "dst", span_str(KEY), &o));
    assert_true(span_eq_str(o.body, "mine!"));
    fake_remove(b->fake, "dst", span_str(KEY));
    wait_for_owner(b, TAKEOVER_MS);
    drop(b);
}

/* Hosts die, are cut off and come back, answers are lost, the object is removed by hand: at no
 * moment do two of them believe it, and no epoch is used by two. */
static void one_life(uint64_t seed)
{
    struct bench *b = make(seed, NULL);
    uint64_t epochs[HOSTS] = {0};
    unsigned owned = 0;
    fake_fault(b->fake, &(struct fake_fault){.kind = STORE_PUT, .permille = 100, .lost = true});
    fake_fault(b->fake, &(struct fake_fault){.kind = -1, .permille = 100, .code = REPL_ENET});
    for (int t = 0; t < 4000; t++) {
        int i = (int)loop_random(b->loop, HOSTS), which = -1;
        switch (loop_random(b->loop, 60)) {
        case 0:
            b->hosts[i].owner == NULL ? start(b, i) : kill(b, i);
            break;
        case 1:
            b->hosts[i].owner == NULL ? start(b, i) : stop(b, i);
            break;
        case 2:
            b->hosts[i].is_cut = !b->hosts[i].is_cut;
            break;
        default:
            break;
        }
        loop_run_for(b->loop, loop_random(b->loop, 4000));
        int n = owners(b, &which);
        if (n > 1) {
            fail_msg("seed %llu: %d owners at a time", (unsigned long long)seed, n);
        }
        owned += n == 1 ? 1 : 0;
        uint64_t epoch = n == 1 ? owner_epoch(b->hosts[which].owner) : 0;
        for (int k = 0; n == 1 && k < HOSTS; k++) {
            if (k != which && epochs[k] == epoch) {
                fail_msg("seed %llu: two hosts had epoch %llu", (unsigned long long)seed,
                         (unsigned long long)epoch);
            }
        }
        if (n == 1) {
            epochs[which] = epoch;
        }
    }
    assert_true(owned > 400); /* it is somebody's a fair part of the time */
    fake_clear_faults(b->fake);
    drop(b);
}

static void test_never_two(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 130; seed++) {
        one_life(seed);
    }
}

/* Of a life, not of every beat: what a host leaves behind is not known to the next one. */
static void test_versions_do_not_pile_up(void **state)
{
    (void)state;
    struct bench *b = make(11, &(struct fake_options){.versions = true});
    start(b, 0);
    wait_for_owner(b, 5000);
    loop_run_for(b->loop, 20ull * TAKEOVER_MS);
    assert_in_range(fake_count(b->fake, STORE_PUT), 50, 100);
    assert_in_range(fake_versions(b->fake, "dst", span_str(KEY)), 1, 2);
    drop(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_one_of_three),
        cmocka_unit_test(test_given_up_is_taken_at_once_and_a_dead_one_s_after_its_time),
        cmocka_unit_test(test_a_restart_takes_it_back_at_once),
        cmocka_unit_test(test_who_cannot_write_stops_before_anybody_begins),
        cmocka_unit_test(test_clock_jumps_change_nothing),
        cmocka_unit_test(test_server_without_conditions_has_no_owner),
        cmocka_unit_test(test_a_strange_object_is_not_overwritten),
        cmocka_unit_test(test_versions_do_not_pile_up),
        cmocka_unit_test(test_never_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
