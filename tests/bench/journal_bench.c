/* journal-bench: one measurement a run, for tests/bench/journal.
 *
 *   journal-bench append JOURNAL WRITERS SIZE CALLS SEED   through the journal's front, on threads
 *   journal-bench backlog JOURNAL CLAIMS LIMIT             open, claim, resident memory
 *   journal-bench sync FILE CALLS                          a small write and fdatasync()
 *   journal-bench bare JOURNAL SIZE CALLS SEED             plain SQLite, into a journal's tables
 *
 * With SYNC_MS in the environment every fdatasync() takes at least so many milliseconds.
 * CALLS are those of all writers together; each call appends SIZE changes, and a writer makes its
 * next one when the answer to the last is there. Prints one JSON object. */
#include "journal/journal.h"
#include "tests/bench/bare.h"
#include "tests/bench/sample.h"

#include <stdio.h>
#include <stdlib.h>

struct bench {
    struct loop *loop;
    struct journal *journal;
    struct sample_source source;
    size_t waiting; /* calls not answered yet */
    size_t left;    /* calls not made yet */
};

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void open_bench(struct bench *b, const char *path)
{
    struct fail f;
    struct journal_options o = {
        .loop = b->loop, .executor = JOURNAL_THREAD, .path = path, .owner = "bench"};
    if (journal_open(&o, &b->journal, &f) < 0) {
        fprintf(stderr, "%s\n", f.text);
        exit(1);
    }
}

static void close_bench(struct bench *b)
{
    journal_close(b->journal, stop_loop, b->loop);
    loop_run(b->loop);
    loop_free(b->loop);
}

static void must(const struct journal_call *call)
{
    if (call->status < 0) {
        fprintf(stderr, "%s\n", call->fail.text);
        exit(1);
    }
}

/* One call alone: submits it and waits for its answer. */
static void run_call(struct bench *b, struct journal_call *call)
{
    b->waiting = 1;
    journal_submit(b->journal, call);
    loop_run(b->loop);
    must(call);
}

static void answered(struct bench *b)
{
    if (--b->waiting == 0) {
        loop_stop(b->loop);
    }
}

/* ---- the rule that all tasks belong to ---- */

struct rule_call {
    struct journal_call call;
    struct bench *bench;
};

static int run_rule(struct backend *b, struct journal_call *call)
{
    struct rule_record r = {.name = span_str("bench"), .text = span_str("{}")};
    uint32_t rule = 0;
    (void)call;
    int status = b->ops->rule_put(b, &r, &rule);
    return status == REPL_EEXISTS ? 0 : status;
}

static void rule_done(struct journal_call *call)
{
    answered(CONTAINER_OF(call, struct rule_call, call)->bench);
}

/* The first rule of a journal has number 1. */
static void make_rule(struct bench *b)
{
    struct rule_call c = {.call = {.run = run_rule, .done = rule_done}, .bench = b};
    run_call(b, &c.call);
}

/* ---- append ---- */

struct writer {
    struct journal_call call;
    struct bench *bench;
    struct append_entry *entries;
    struct sample *texts;
    size_t size;
    int64_t now_ms;
    struct append_result result;
};

static int run_append(struct backend *b, struct journal_call *call)
{
    struct writer *w = CONTAINER_OF(call, struct writer, call);
    return b->ops->append(b, w->entries, w->size, w->now_ms, &w->result);
}

static void make_call(struct writer *w)
{
    struct bench *b = w->bench;
    b->left--;
    w->now_ms = loop_wall_ms(b->loop);
    for (size_t i = 0; i < w->size; i++) {
        w->entries[i] = sample_next(&b->source, 1, w->now_ms, &w->texts[i]);
    }
    journal_submit(b->journal, &w->call);
}

static void append_done(struct journal_call *call)
{
    struct writer *w = CONTAINER_OF(call, struct writer, call);
    struct bench *b = w->bench;
    must(call);
    if (b->left > 0) {
        make_call(w);
    } else {
        answered(b);
    }
}

static void init_writer(struct writer *w, struct bench *b, size_t size)
{
    w->call =
        (struct journal_call){.run = run_append, .done = append_done, .fails_with_group = true};
    w->bench = b;
    w->size = size;
    w->entries = mem_array(size, sizeof(*w->entries));
    w->texts = mem_array(size, sizeof(*w->texts));
}

static int append(char **args)
{
    size_t count = strtoul(args[1], NULL, 10);
    size_t size = strtoul(args[2], NULL, 10);
    size_t calls = strtoul(args[3], NULL, 10);
    struct bench b = {.loop = loop_new(0), .source = {.state = strtoul(args[4], NULL, 10)}};
    struct writer *writers = mem_array(count, sizeof(*writers));
    open_bench(&b, args[0]);
    make_rule(&b);
    b.left = calls;
    b.waiting = count;
    uint64_t start_us = loop_now_us(b.loop);
    for (size_t i = 0; i < count; i++) {
        init_writer(&writers[i], &b, size);
        make_call(&writers[i]);
    }
    loop_run(b.loop);
    double took = (double)(loop_now_us(b.loop) - start_us) / 1e6;
    printf("{\"per_s\": %.1f}\n", (double)(calls * size) / took);
    close_bench(&b);
    for (size_t i = 0; i < count; i++) {
        mem_free(writers[i].entries);
        mem_free(writers[i].texts);
    }
    mem_free(writers);
    return 0;
}

/* ---- backlog ---- */

struct claim_call {
    struct journal_call call;
    struct bench *bench;
    size_t limit;
    uint64_t epoch;
    int64_t now_ms;
    struct arena arena;
    struct task_list list;
};

static int run_claim(struct backend *b, struct journal_call *call)
{
    struct claim_call *c = CONTAINER_OF(call, struct claim_call, call);
    struct claim what = {.rule = 1,
                         .origin = TASK_LIVE,
                         .order = CLAIM_OLDEST,
                         .limit = c->limit,
                         .epoch = c->epoch,
                         .now_ms = c->now_ms};
    return b->ops->claim(b, &what, &c->arena, &c->list);
}

/* Ends the attempt of the list's last task. */
static int finish_last(struct backend *b, struct claim_call *c, enum finish_outcome outcome)
{
    const struct task *t = &c->list.tasks[--c->list.count];
    struct finish_result result;
    struct finish how = {.rule = t->rule,
                         .key = t->key,
                         .seq = t->seq,
                         .epoch = t->epoch,
                         .outcome = outcome,
                         .now_ms = c->now_ms,
                         .next_try_ms = c->now_ms,
                         .latency_ms = -1};
    return b->ops->finish(b, &how, &result);
}

static int run_retry(struct backend *b, struct journal_call *call)
{
    struct claim_call *c = CONTAINER_OF(call, struct claim_call, call);
    return c->list.count > 0 ? finish_last(b, c, FINISH_RETRY) : 0;
}

/* Gives the tasks back, so that the next run finds the journal as this one did. */
static int run_release(struct backend *b, struct journal_call *call)
{
    struct claim_call *c = CONTAINER_OF(call, struct claim_call, call);
    int status = 0;
    while (status == 0 && c->list.count > 0) {
        status = finish_last(b, c, FINISH_RELEASED);
    }
    return status;
}

static void claim_done(struct journal_call *call)
{
    answered(CONTAINER_OF(call, struct claim_call, call)->bench);
}

/* In KiB, as the kernel counts it. */
static unsigned long resident_kib(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtoul(line + 6, NULL, 10);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kib;
}

/* Between the claims one task is to be tried again at once: there are always some that wait. */
static void time_claims(struct bench *b, struct claim_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct claim_call *c = &calls[i];
        uint64_t start_us = loop_now_us(b->loop);
        run_call(b, &c->call);
        printf("%s%.3f", i > 0 ? ", " : "", (double)(loop_now_us(b->loop) - start_us) / 1e3);
        c->call.run = run_retry;
        run_call(b, &c->call);
    }
}

static int backlog(char **args)
{
    size_t count = strtoul(args[1], NULL, 10);
    struct bench b = {.loop = loop_new(0)};
    struct claim_call *calls = mem_array(count, sizeof(*calls));
    uint64_t start_us = loop_now_us(b.loop);
    open_bench(&b, args[0]);
    printf("{\"open_ms\": %.3f, \"claim_ms\": [", (double)(loop_now_us(b.loop) - start_us) / 1e3);
    for (size_t i = 0; i < count; i++) {
        calls[i] = (struct claim_call){.call = {.run = run_claim, .done = claim_done},
                                       .bench = &b,
                                       .limit = strtoul(args[2], NULL, 10),
                                       .epoch = journal_epoch(b.journal),
                                       .now_ms = loop_wall_ms(b.loop)};
    }
    time_claims(&b, calls, count);
    printf("], \"resident_kib\": %lu}\n", resident_kib());
    for (size_t i = 0; i < count; i++) {
        calls[i].call.run = run_release;
        run_call(&b, &calls[i].call);
        arena_done(&calls[i].arena);
    }
    close_bench(&b);
    mem_free(calls);
    return 0;
}

/* ---- references ---- */

static int syncs(char **args)
{
    size_t calls = strtoul(args[1], NULL, 10);
    printf("{\"per_s\": %.1f}\n", (double)calls / bare_syncs(args[0], calls));
    return 0;
}

static int bare(char **args)
{
    size_t size = strtoul(args[1], NULL, 10);
    size_t calls = strtoul(args[2], NULL, 10);
    double took = bare_inserts(args[0], calls, size, strtoul(args[3], NULL, 10));
    printf("{\"per_s\": %.1f}\n", (double)(calls * size) / took);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **args);
    } commands[] = {
        {"append", 5, append}, {"backlog", 3, backlog}, {"sync", 2, syncs}, {"bare", 4, bare}};
    const char *sync_ms = getenv("SYNC_MS");
    bare_slow_syncs(sync_ms != NULL ? strtod(sync_ms, NULL) / 1e3 : 0);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (argc == commands[i].args + 2 && strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argv + 2);
        }
    }
    fprintf(stderr, "usage: see the head of tests/bench/journal_bench.c\n");
    return 2;
}
