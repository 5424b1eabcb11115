/* The front: calls wait in a queue, an executor runs them in groups, one transaction a group. */
#include "journal/journal.h"

#include "journal/group.h"
#include "journal/lock.h"

#include <pthread.h>
#include <unistd.h>

#define DEFAULT_LEASE_MS    30000
#define DEFAULT_QUEUE_LIMIT 65536
#define DEFAULT_CACHE       ((uint64_t)64 << 20)
#define GROUP_MAX           4096
#define RETRY_PAUSE_US      200000

/* A queue with its executor: the writer has one, the reader another. */
struct lane {
    struct journal *journal;
    struct backend *backend;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct list waiting; /* journal_call.link */
    struct list ended;   /* for the loop */
    bool posted;         /* deliver() is on its way */
    bool lost;           /* writer: the lease is another owner's */
    bool closing;
};

struct journal {
    struct loop *loop;
    struct log *log;
    enum journal_executor executor;
    int64_t lease_ms;
    size_t queue_limit;
    size_t queued; /* loop thread: submitted and not delivered */
    uint64_t epoch;
    int lock;
    bool lost; /* loop thread: told */
    loop_fn *lost_fn;
    void *lost_arg;
    bool failing; /* loop thread */
    bool closing;
    struct lane writer;
    struct lane reader;
    struct timer lease_timer;
    struct journal_call lease_call;
    int64_t lease_now_ms;
    bool lease_busy;
    struct deferred start; /* once a turn, for all that was submitted in it */
    struct deferred finish_close;
    loop_fn *closed;
    void *closed_arg;
};

/* REPL_ESTALE when the lease was lost. */
static int run_lane_group(struct lane *l, struct list *group)
{
    if (l == &l->journal->writer) {
        return group_write(l->backend, l->journal->epoch, group);
    }
    group_read(l->backend, group);
    return 0;
}

/* ---- delivering on the loop ---- */

static void watch_failing(struct journal *j, const struct journal_call *c)
{
    bool failing = c->status == REPL_EJOURNAL;
    if (c->access == JOURNAL_WRITE && failing != j->failing) {
        j->failing = failing;
        if (failing) {
            LOG_ERROR(j->log, "journal", "%s; changes are refused until it can be written again",
                      c->fail.text);
        } else {
            LOG_NOTICE(j->log, "journal", "the journal can be written again");
        }
    }
}

static void deliver_all(struct journal *j, struct list *ended)
{
    LIST_FOR_SAFE (node, ended) {
        struct journal_call *c = CONTAINER_OF(node, struct journal_call, link);
        list_remove(node);
        j->queued--;
        watch_failing(j, c);
        c->done(c);
    }
    if (j->closing && j->queued == 0) {
        deferred_call(&j->finish_close);
    }
}

static void move_all(struct list *from, struct list *to)
{
    LIST_FOR_SAFE (node, from) {
        list_remove(node);
        list_push_back(to, node);
    }
}

static void tell_lost(struct journal *j)
{
    if (j->lost) {
        return;
    }
    j->lost = true;
    timer_stop(&j->lease_timer);
    LOG_ERROR(j->log, "journal",
              "another owner has taken the journal's lease: nothing more is done");
    if (j->lost_fn != NULL) {
        j->lost_fn(j->lost_arg);
    }
}

static void deliver(void *arg)
{
    struct lane *l = arg;
    struct list ended;
    list_init(&ended);
    pthread_mutex_lock(&l->lock);
    l->posted = false;
    bool lost = l->lost;
    move_all(&l->ended, &ended);
    pthread_mutex_unlock(&l->lock);
    deliver_all(l->journal, &ended);
    if (lost) {
        tell_lost(l->journal);
    }
}

/* ---- the threads ---- */

/* Under the lock: up to GROUP_MAX calls into `group`. */
static void take_group(struct lane *l, struct list *group)
{
    for (unsigned n = 0; n < GROUP_MAX && !list_is_empty(&l->waiting); n++) {
        struct list *node = list_first(&l->waiting);
        list_remove(node);
        list_push_back(group, node);
    }
}

static void *run_lane(void *arg)
{
    struct lane *l = arg;
    bool writer = l == &l->journal->writer;
    struct list group;
    list_init(&group);
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (list_is_empty(&l->waiting) && !l->closing) {
            pthread_cond_wait(&l->wake, &l->lock);
        }
        if (list_is_empty(&l->waiting)) {
            break;
        }
        take_group(l, &group);
        pthread_mutex_unlock(&l->lock);
        int r = run_lane_group(l, &group);
        bool failed =
            writer && CONTAINER_OF(group.next, struct journal_call, link)->status == REPL_EJOURNAL;
        pthread_mutex_lock(&l->lock);
        l->lost = l->lost || r == REPL_ESTALE;
        move_all(&group, &l->ended);
        if (!l->posted) {
            l->posted = true;
            loop_post(l->journal->loop, deliver, l);
        }
        if (failed && !l->closing) {
            pthread_mutex_unlock(&l->lock);
            usleep(RETRY_PAUSE_US); /* a full disk must not become a busy loop */
            pthread_mutex_lock(&l->lock);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void run_lane_inline(struct journal *j, struct lane *l)
{
    struct list group;
    list_init(&group);
    take_group(l, &group);
    if (list_is_empty(&group)) {
        return;
    }
    int r = run_lane_group(l, &group);
    deliver_all(j, &group);
    if (r == REPL_ESTALE) {
        tell_lost(j);
    }
}

static void run_inline(void *arg)
{
    struct journal *j = arg;
    run_lane_inline(j, &j->writer);
    run_lane_inline(j, &j->reader);
    if (!list_is_empty(&j->writer.waiting) || !list_is_empty(&j->reader.waiting)) {
        deferred_call(&j->start);
    }
}

static void wake_lane(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    if (!list_is_empty(&l->waiting)) {
        pthread_cond_signal(&l->wake);
    }
    pthread_mutex_unlock(&l->lock);
}

static void wake_threads(void *arg)
{
    struct journal *j = arg;
    wake_lane(&j->writer);
    wake_lane(&j->reader);
}

static void lane_init(struct lane *l, struct journal *j, struct backend *b)
{
    l->journal = j;
    l->backend = b;
    list_init(&l->waiting);
    list_init(&l->ended);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
}

static void lane_stop(struct lane *l, bool thread)
{
    if (thread) {
        pthread_mutex_lock(&l->lock);
        l->closing = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    l->backend->ops->close(l->backend);
}

/* ---- the lease ---- */

static int renew_run(struct backend *b, struct journal_call *call)
{
    struct journal *j = CONTAINER_OF(call, struct journal, lease_call);
    return b->ops->lease_renew(b, j->epoch, j->lease_now_ms, j->lease_ms);
}

static void renew_done(struct journal_call *call)
{
    struct journal *j = CONTAINER_OF(call, struct journal, lease_call);
    j->lease_busy = false;
}

static void renew_lease(void *arg)
{
    struct journal *j = arg;
    timer_start(&j->lease_timer, (uint64_t)j->lease_ms / 3);
    if (!j->lease_busy && !j->closing) {
        j->lease_busy = true;
        j->lease_now_ms = loop_wall_ms(j->loop);
        j->lease_call =
            (struct journal_call){.run = renew_run, .done = renew_done, .access = JOURNAL_WRITE};
        journal_submit(j, &j->lease_call);
    }
}

static int take_lease(struct journal *j, struct backend *b, const char *owner, struct fail *f)
{
    int r = b->ops->begin(b);
    if (r < 0) {
        return b->ops->failure(b, f, "beginning to write");
    }
    r = b->ops->lease_take(b, span_str(owner), loop_wall_ms(j->loop), j->lease_ms, &j->epoch, f);
    if (r == 0 && b->ops->commit(b) < 0) {
        r = b->ops->failure(b, f, "writing its lease");
    }
    if (r < 0) {
        b->ops->rollback(b);
    }
    return r;
}

/* ---- open, submit, close ---- */

static int start_threads(struct journal *j, struct fail *f)
{
    int error = pthread_create(&j->writer.thread, NULL, run_lane, &j->writer);
    bool writer_runs = error == 0;
    if (writer_runs) {
        error = pthread_create(&j->reader.thread, NULL, run_lane, &j->reader);
    }
    if (error != 0) {
        lane_stop(&j->reader, false);
        lane_stop(&j->writer, writer_runs);
    }
    return error == 0 ? 0 : fail_set(f, -error, "a thread of the journal could not be started");
}

static void finish_close(void *arg);

/* Both connections, the writer with the lease. */
static int open_backends(struct journal *j, const struct journal_options *o, struct fail *f)
{
    uint64_t cache = o->cache_bytes != 0 ? o->cache_bytes : DEFAULT_CACHE;
    struct backend *writer = NULL;
    struct backend *reader = NULL;
    int r = backend_open_sqlite(o->path, BACKEND_WRITER, cache - cache / 8, &writer, f);
    if (r < 0) {
        return r;
    }
    if ((r = take_lease(j, writer, o->owner, f)) < 0 ||
        (r = backend_open_sqlite(o->path, BACKEND_READER, cache / 8, &reader, f)) < 0) {
        writer->ops->close(writer);
        return r;
    }
    lane_init(&j->writer, j, writer);
    lane_init(&j->reader, j, reader);
    return 0;
}

static struct journal *make(const struct journal_options *o)
{
    struct journal *j = MEM_NEW(struct journal);
    j->loop = o->loop;
    j->log = o->log;
    j->executor = o->executor;
    j->lost_fn = o->lost;
    j->lost_arg = o->lost_arg;
    j->lease_ms = o->lease_ms != 0 ? o->lease_ms : DEFAULT_LEASE_MS;
    j->queue_limit = o->queue_limit != 0 ? o->queue_limit : DEFAULT_QUEUE_LIMIT;
    timer_init(&j->lease_timer, j->loop, renew_lease, j);
    deferred_init(&j->start, j->loop, j->executor == JOURNAL_INLINE ? run_inline : wake_threads, j);
    deferred_init(&j->finish_close, j->loop, finish_close, j);
    return j;
}

int journal_open(const struct journal_options *o, struct journal **ret, struct fail *f)
{
    int lock;
    fail_clear(f);
    int r = backend_look_sqlite(o->path, f); /* before a lock file lies beside another's database */
    if (r < 0 || (r = lock_take(o->path, o->owner, &lock, f)) < 0) {
        return r;
    }
    struct journal *j = make(o);
    j->lock = lock;
    r = open_backends(j, o, f);
    if (r == 0 && j->executor == JOURNAL_THREAD) {
        r = start_threads(j, f);
    }
    if (r < 0) {
        lock_drop(lock);
        mem_free(j);
        return r;
    }
    timer_start(&j->lease_timer, (uint64_t)j->lease_ms / 3);
    *ret = j;
    return 0;
}

static void refuse(struct journal *j, struct journal_call *call);

void journal_submit(struct journal *j, struct journal_call *call)
{
    struct lane *l = call->access == JOURNAL_WRITE ? &j->writer : &j->reader;
    call->status = 0;
    fail_clear(&call->fail);
    if (j->queued >= j->queue_limit) {
        refuse(j, call);
        return;
    }
    j->queued++;
    pthread_mutex_lock(&l->lock);
    list_push_back(&l->waiting, &call->link);
    pthread_mutex_unlock(&l->lock);
    deferred_call(&j->start);
}

struct refusal {
    struct deferred deferred;
    struct journal *journal;
    struct journal_call *call;
};

static void deliver_refusal(void *arg)
{
    struct refusal *r = arg;
    struct journal_call *call = r->call;
    mem_free(r);
    call->done(call);
}

/* done() never comes from inside journal_submit(). */
static void refuse(struct journal *j, struct journal_call *call)
{
    struct refusal *r = MEM_NEW(struct refusal);
    call->status =
        fail_set(&call->fail, REPL_ETOOBIG, "%zu calls wait for the journal already", j->queued);
    r->journal = j;
    r->call = call;
    deferred_init(&r->deferred, j->loop, deliver_refusal, r);
    deferred_call(&r->deferred);
}

static void drop_lease(struct journal *j)
{
    struct backend *b = j->writer.backend;
    if (b->ops->begin(b) == 0) {
        b->ops->lease_drop(b, j->epoch);
        if (b->ops->commit(b) < 0) {
            b->ops->rollback(b);
        }
    }
}

static void finish_close(void *arg)
{
    struct journal *j = arg;
    bool threads = j->executor == JOURNAL_THREAD;
    if (j->queued > 0) {
        return; /* a done() has submitted again; it will come back here */
    }
    lane_stop(&j->reader, threads);
    if (threads) {
        pthread_mutex_lock(&j->writer.lock);
        j->writer.closing = true;
        pthread_cond_signal(&j->writer.wake);
        pthread_mutex_unlock(&j->writer.lock);
        pthread_join(j->writer.thread, NULL);
    }
    drop_lease(j);
    lane_stop(&j->writer, false);
    lock_drop(j->lock);
    deferred_cancel(&j->start);
    loop_fn *closed = j->closed;
    void *closed_arg = j->closed_arg;
    mem_free(j);
    closed(closed_arg);
}

void journal_close(struct journal *j, loop_fn *closed, void *arg)
{
    j->closing = true;
    j->closed = closed;
    j->closed_arg = arg;
    timer_stop(&j->lease_timer);
    if (j->queued == 0) {
        deferred_call(&j->finish_close);
    }
}

uint64_t journal_epoch(const struct journal *j)
{
    return j->epoch;
}

size_t journal_queue_length(const struct journal *j)
{
    return j->queued;
}

bool journal_is_failing(const struct journal *j)
{
    return j->failing;
}
