/* The front: groups, order, failing calls, reads, and what kill -9 leaves. */
#include "journal/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/support/folder.h"

struct world {
    char folder[32];
    char path[64];
    struct loop *loop;
    struct journal *j;
    unsigned lost;
};

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void count_lost(void *arg)
{
    struct world *w = arg;
    w->lost++;
}

static struct journal *open_journal(struct world *w, enum journal_executor executor)
{
    struct journal_options o = {.loop = w->loop,
                                .executor = executor,
                                .path = w->path,
                                .owner = "test",
                                .lost = count_lost,
                                .lost_arg = w};
    struct journal *j = NULL;
    struct fail f;
    assert_int_equal(journal_open(&o, &j, &f), 0);
    return j;
}

static int set_up(void **state)
{
    struct world *w = MEM_NEW(struct world);
    test_folder(w->folder, sizeof(w->folder));
    snprintf(w->path, sizeof(w->path), "%s/journal.db", w->folder);
    *state = w;
    return 0;
}

static int set_up_thread(void **state)
{
    set_up(state);
    struct world *w = *state;
    w->loop = loop_new(1);
    w->j = open_journal(w, JOURNAL_THREAD);
    return 0;
}

static int set_up_inline(void **state)
{
    set_up(state);
    struct world *w = *state;
    w->loop = loop_new_virtual(1, 1700000000000);
    w->j = open_journal(w, JOURNAL_INLINE);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[96];
    if (w->j != NULL) {
        journal_close(w->j, stop_loop, w->loop);
        loop_run(w->loop);
    }
    loop_free(w->loop);
    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    mem_free(w);
    return 0;
}

struct value_call {
    struct journal_call call;
    struct loop *loop;
    char name[24];
    int fail_with;
    int found;
    unsigned *order; /* counter of the test */
    unsigned at;
    bool last;
};

static int run_put(struct backend *b, struct journal_call *call)
{
    struct value_call *c = CONTAINER_OF(call, struct value_call, call);
    int r = b->ops->value_put(b, span_str(c->name), span_str("x"));
    return r < 0 ? r : c->fail_with;
}

static int run_get(struct backend *b, struct journal_call *call)
{
    struct value_call *c = CONTAINER_OF(call, struct value_call, call);
    struct arena a;
    struct span v;
    arena_init(&a);
    c->found = b->ops->value_get(b, &a, span_str(c->name), &v);
    arena_done(&a);
    return 0;
}

static void on_done(struct journal_call *call)
{
    struct value_call *c = CONTAINER_OF(call, struct value_call, call);
    c->at = ++*c->order;
    if (c->last) {
        loop_stop(c->loop);
    }
}

static struct value_call value_call(struct world *w, unsigned *order, int number)
{
    struct value_call c = {.call = {.run = run_put, .done = on_done, .access = JOURNAL_WRITE},
                           .loop = w->loop,
                           .order = order};
    snprintf(c.name, sizeof(c.name), "v%d", number);
    return c;
}

static int lookup(struct world *w, const char *name)
{
    unsigned order = 0;
    struct value_call c = value_call(w, &order, 0);
    snprintf(c.name, sizeof(c.name), "%s", name);
    c.call.run = run_get;
    c.call.access = JOURNAL_READ;
    c.last = true;
    journal_submit(w->j, &c.call);
    loop_run(w->loop);
    assert_int_equal(order, 1);
    return c.found;
}

static void calls_end_in_order_and_failures_stay_alone(void **state)
{
    struct world *w = *state;
    struct value_call calls[50];
    unsigned order = 0;
    for (int i = 0; i < 50; i++) {
        calls[i] = value_call(w, &order, i);
        calls[i].fail_with = i % 10 == 3 ? REPL_ECONFLICT : 0;
        calls[i].last = i == 49;
        journal_submit(w->j, &calls[i].call);
    }
    assert_int_equal(order, 0); /* never inside the submit */
    loop_run(w->loop);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(calls[i].at, i + 1);
        assert_int_equal(calls[i].call.status, i % 10 == 3 ? REPL_ECONFLICT : 0);
    }
    assert_int_equal(lookup(w, "v2"), 0);
    assert_int_equal(lookup(w, "v3"), REPL_ENOTFOUND);
    assert_int_equal(lookup(w, "v4"), 0);
    assert_int_equal(journal_queue_length(w->j), 0);
}

static void a_single_call_that_fails_leaves_nothing(void **state)
{
    struct world *w = *state;
    unsigned order = 0;
    struct value_call c = value_call(w, &order, 1);
    c.fail_with = REPL_ECONFLICT;
    c.last = true;
    journal_submit(w->j, &c.call);
    loop_run(w->loop);
    assert_int_equal(c.call.status, REPL_ECONFLICT);
    assert_string_equal(c.call.fail.text, fail_text(REPL_ECONFLICT));
    assert_int_equal(lookup(w, "v1"), REPL_ENOTFOUND);
}

static void what_was_submitted_is_done_before_the_close(void **state)
{
    struct world *w = *state;
    unsigned order = 0;
    struct value_call calls[10];
    for (int i = 0; i < 10; i++) {
        calls[i] = value_call(w, &order, i);
        journal_submit(w->j, &calls[i].call);
    }
    journal_close(w->j, stop_loop, w->loop);
    loop_run(w->loop);
    assert_int_equal(order, 10);
    w->j = open_journal(w, loop_is_virtual(w->loop) ? JOURNAL_INLINE : JOURNAL_THREAD);
    assert_int_equal(lookup(w, "v9"), 0);
}

static void a_second_journal_on_the_file_is_refused(void **state)
{
    struct world *w = *state;
    struct journal_options o = {
        .loop = w->loop, .executor = JOURNAL_INLINE, .path = w->path, .owner = "other"};
    struct journal *j = NULL;
    struct fail f;
    char holder[32];
    assert_int_equal(journal_open(&o, &j, &f), REPL_EOWNED);
    assert_null(j);
    snprintf(holder, sizeof(holder), "process %d, instance test", (int)getpid());
    assert_non_null(strstr(f.text, holder));
    assert_true(f.hint[0] != '\0');
    journal_close(w->j, stop_loop, w->loop);
    loop_run(w->loop);
    w->j = open_journal(w, JOURNAL_INLINE);
}

/* By a program that does not see the lock, from another host for example. */
static int take_lease_away(struct world *w, int64_t now_ms)
{
    struct backend *b;
    struct fail f;
    uint64_t epoch;
    assert_int_equal(backend_open_sqlite(w->path, BACKEND_WRITER, 1 << 20, &b, &f), 0);
    assert_int_equal(b->ops->begin(b), 0);
    int r = b->ops->lease_take(b, span_str("other"), now_ms, 1000, &epoch, &f);
    assert_int_equal(r == 0 ? b->ops->commit(b) : 0, 0);
    b->ops->close(b);
    return r;
}

static void a_lost_lease_refuses_every_write(void **state)
{
    struct world *w = *state;
    unsigned order = 0;
    struct value_call calls[3];
    assert_int_equal(take_lease_away(w, loop_wall_ms(w->loop) + 31000), 0);
    for (int i = 0; i < 3; i++) {
        calls[i] = value_call(w, &order, i);
        calls[i].last = i == 2;
        journal_submit(w->j, &calls[i].call);
    }
    loop_run(w->loop);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].call.status, REPL_ESTALE);
        assert_non_null(strstr(calls[i].call.fail.text, "another program"));
        assert_int_equal(lookup(w, calls[i].name), REPL_ENOTFOUND);
    }
    calls[0] = value_call(w, &order, 3);
    calls[0].last = true;
    journal_submit(w->j, &calls[0].call);
    loop_run(w->loop);
    assert_int_equal(calls[0].call.status, REPL_ESTALE);
    assert_int_equal(w->lost, 1);
}

static void a_lost_lease_is_noticed_without_work(void **state)
{
    struct world *w = *state;
    assert_int_equal(take_lease_away(w, loop_wall_ms(w->loop) + 31000), 0);
    loop_run_for(w->loop, 10001);
    assert_int_equal(w->lost, 1);
}

/* A limit on the size of files stands for a full disk. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int run_big_put(struct backend *b, struct journal_call *call)
{
    struct value_call *c = CONTAINER_OF(call, struct value_call, call);
    char *big = mem_alloc(1 << 20);
    int r = b->ops->value_put(b, span_str(c->name), span_of(big, 1 << 20));
    mem_free(big);
    return r;
}

static void a_full_disk_fails_the_group_and_heals(void **state)
{
    struct world *w = *state;
    unsigned order = 0;
    struct value_call calls[2];
    signal(SIGXFSZ, SIG_IGN);
    limit_files(256 << 10);
    for (int i = 0; i < 2; i++) {
        calls[i] = value_call(w, &order, i);
        calls[i].call.run = i == 0 ? run_put : run_big_put;
        calls[i].last = i == 1;
        journal_submit(w->j, &calls[i].call);
    }
    loop_run(w->loop);
    limit_files(RLIM_INFINITY);
    assert_int_equal(calls[1].call.status, REPL_EJOURNAL);
    assert_true(calls[1].call.fail.hint[0] != '\0');
    struct value_call again = value_call(w, &order, 2);
    again.call.run = run_big_put;
    again.last = true;
    journal_submit(w->j, &again.call);
    loop_run(w->loop);
    assert_int_equal(again.call.status, 0);
    assert_false(journal_is_failing(w->j));
    assert_int_equal(lookup(w, "v1"), REPL_ENOTFOUND);
    assert_int_equal(lookup(w, "v2"), 0);
}

/* More than the cache holds, so that the disk is needed before the commit. */
static int run_huge_put(struct backend *b, struct journal_call *call)
{
    char name[24];
    char *big = mem_alloc(1 << 20);
    int r = 0;
    (void)call;
    for (int i = 0; r == 0 && i < 96; i++) {
        snprintf(name, sizeof(name), "huge%d", i);
        r = b->ops->value_put(b, span_str(name), span_of(big, 1 << 20));
    }
    mem_free(big);
    return r;
}

/* SQLite takes the whole transaction back when a write fails in its middle; what comes after it
 * in the group must not make a success of it. */
static void a_disk_that_fails_in_the_middle_fails_the_whole_group(void **state)
{
    struct world *w = *state;
    unsigned order = 0;
    struct value_call calls[3];
    signal(SIGXFSZ, SIG_IGN);
    limit_files(256 << 10);
    for (int i = 0; i < 3; i++) {
        calls[i] = value_call(w, &order, i);
        calls[i].call.run = i == 1 ? run_huge_put : run_put;
        calls[i].last = i == 2;
        journal_submit(w->j, &calls[i].call);
    }
    loop_run(w->loop);
    limit_files(RLIM_INFINITY);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].call.status, REPL_EJOURNAL);
        assert_int_equal(lookup(w, calls[i].name), REPL_ENOTFOUND);
    }
}

static void too_many_waiting_calls_are_refused(void **state)
{
    struct world *w = *state;
    unsigned order = 0;
    journal_close(w->j, stop_loop, w->loop);
    loop_run(w->loop);
    struct journal_options o = {.loop = w->loop,
                                .executor = JOURNAL_INLINE,
                                .path = w->path,
                                .owner = "test",
                                .queue_limit = 2};
    struct fail f;
    assert_int_equal(journal_open(&o, &w->j, &f), 0);
    struct value_call calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = value_call(w, &order, i);
        journal_submit(w->j, &calls[i].call);
    }
    loop_run_for(w->loop, 1);
    assert_int_equal(calls[0].call.status, 0);
    assert_int_equal(calls[1].call.status, 0);
    assert_int_equal(calls[2].call.status, REPL_ETOOBIG);
}

static void the_lease_is_renewed(void **state)
{
    struct world *w = *state;
    loop_run_for(w->loop, 10 * 60 * 1000);
    assert_int_equal(take_lease_away(w, loop_wall_ms(w->loop)), REPL_EOWNED);
}

/* ---- kill -9 ---- */

/* The child stores value after value and reports each that was acknowledged. */
static void child_stores(struct world *w, int report)
{
    unsigned order = 0;
    w->loop = loop_new(0);
    w->j = open_journal(w, JOURNAL_THREAD);
    for (uint32_t i = 0;; i++) {
        struct value_call c = value_call(w, &order, (int)i);
        c.last = true;
        journal_submit(w->j, &c.call);
        loop_run(w->loop);
        if (c.call.status != 0 || write(report, &i, sizeof(i)) != sizeof(i)) {
            _exit(1);
        }
    }
}

static void acknowledged_means_durable(void **state)
{
    struct world *w = *state;
    for (unsigned round = 0; round < 20; round++) {
        int fds[2];
        uint32_t last = 0;
        uint32_t seen = 0;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            child_stores(w, fds[1]);
        }
        close(fds[1]);
        while (seen < 5 + round * 3 && read(fds[0], &last, sizeof(last)) == sizeof(last)) {
            seen++;
        }
        assert_true(seen > 0);
        kill(child, SIGKILL);
        while (read(fds[0], &last, sizeof(last)) == sizeof(last)) {
        }
        waitpid(child, NULL, 0);
        close(fds[0]);
        w->loop = loop_new(0);
        w->j = open_journal(w, JOURNAL_THREAD);
        char name[24];
        for (uint32_t i = 0; i <= last; i++) {
            snprintf(name, sizeof(name), "v%u", i);
            assert_int_equal(lookup(w, name), 0);
        }
        journal_close(w->j, stop_loop, w->loop);
        loop_run(w->loop);
        loop_free(w->loop);
        w->loop = NULL;
        w->j = NULL;
        unlink(w->path);
        char other[80];
        snprintf(other, sizeof(other), "%s-wal", w->path);
        unlink(other);
    }
}

#define THREAD(name)                                                                               \
    {                                                                                              \
#name "@thread", name, set_up_thread, tear_down, NULL                                      \
    }
#define INLINE(name)                                                                               \
    {                                                                                              \
#name "@inline", name, set_up_inline, tear_down, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREAD(calls_end_in_order_and_failures_stay_alone),
        INLINE(calls_end_in_order_and_failures_stay_alone),
        THREAD(a_single_call_that_fails_leaves_nothing),
        INLINE(a_single_call_that_fails_leaves_nothing),
        THREAD(what_was_submitted_is_done_before_the_close),
        INLINE(what_was_submitted_is_done_before_the_close),
        INLINE(a_second_journal_on_the_file_is_refused),
        THREAD(a_full_disk_fails_the_group_and_heals),
        INLINE(a_disk_that_fails_in_the_middle_fails_the_whole_group),
        INLINE(too_many_waiting_calls_are_refused),
        INLINE(the_lease_is_renewed),
        THREAD(a_lost_lease_refuses_every_write),
        INLINE(a_lost_lease_refuses_every_write),
        INLINE(a_lost_lease_is_noticed_without_work),
        {"acknowledged_means_durable", acknowledged_means_durable, set_up, tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
