#include "daemon/base/hash.h"
#include "daemon/base/mem.h"
#include "daemon/feeds/feeds.h"
#include "journal/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <uv.h>

#define POLL_MS        100
#define BATCH_ROWS     1000
#define TRIM_ROWS      10000
#define TRIM_EVERY_MS  5000
#define APPEND_WAIT_MS 1000

struct outbox_feed {
    struct feed feed;
    struct loop *loop;
    struct log *log;
    struct feed_host host;
    struct conf_outbox conf; /* strings in the arena */
    struct arena arena;
    struct outbox *outbox; /* on a worker thread while busy */
    struct timer timer;
    struct stat *up;
    struct stat *bad;

    struct outbox_cursor cursor; /* what is durable with us */
    bool loaded;
    bool strays;  /* a row named another place than the configured one */
    bool busy;    /* a load, read, trim or append is under way */
    bool drained; /* the last read came to the end of the table */
    bool trim_wanted;
    uint64_t trimmed_at_ms;

    /* One read; the worker's while it runs. */
    struct arena batch_arena;
    struct outbox_batch batch;
    int64_t batch_started_ms; /* wall */
    int status;
    struct fail fail;

    loop_fn *closed;
    void *closed_arg;
    struct deferred closing;
};

static void start_timer(struct outbox_feed *o, uint64_t ms)
{
    if (o->closed == NULL) {
        timer_start(&o->timer, ms);
    }
}

/* True when the feed is being closed, which then happens. */
static bool end_step(struct outbox_feed *o)
{
    o->busy = false;
    if (o->closed != NULL) {
        deferred_call(&o->closing);
        return true;
    }
    return false;
}

/* ---- what the operator sees: once per change of state ---- */

static void report_down(struct outbox_feed *o, const struct fail *f)
{
    bool same = o->feed.status.state == FEED_DOWN && o->feed.status.fail.code == f->code;
    o->feed.status.state = FEED_DOWN;
    o->feed.status.fail = *f;
    stat_put(o->up, 0);
    if (!same) {
        char text[400];
        LOG_WARNING(o->log, "outbox", "outbox %s cannot be read, will go on trying: %s",
                    o->conf.name, fail_print(f, text, sizeof(text)));
        o->host.news(o->host.arg);
    }
}

static void report_up(struct outbox_feed *o)
{
    if (o->feed.status.state != FEED_UP) {
        o->feed.status.state = FEED_UP;
        fail_clear(&o->feed.status.fail);
        stat_put(o->up, 1);
        LOG_NOTICE(o->log, "outbox", "outbox %s is being read path=%s", o->conf.name, o->conf.path);
        o->host.news(o->host.arg);
    }
}

static void report_bad_rows(struct outbox_feed *o)
{
    const struct outbox_batch *b = &o->batch;
    for (size_t i = 0; i < b->bad_count && i < OUTBOX_BAD_MAX; i++) {
        LOG_WARNING(o->log, "outbox", "outbox %s: row %" PRId64 " is %s: %s", o->conf.name,
                    b->bad[i].id, b->bad[i].taken ? "taken without it" : "passed over",
                    b->bad[i].text);
    }
    o->feed.status.bad_rows += b->bad_count;
    stat_add(o->bad, (double)b->bad_count);
}

static void come_through(struct outbox_feed *o, int64_t ms)
{
    if (ms > o->feed.status.complete_through_ms) {
        o->feed.status.complete_through_ms = ms;
    }
}

/* ---- read, on a worker thread ---- */

static void read_work(void *arg)
{
    struct outbox_feed *o = arg;
    fail_clear(&o->fail);
    o->status =
        outbox_read(o->outbox, &o->cursor, BATCH_ROWS, &o->batch_arena, &o->batch, &o->fail);
}

static void appended(void *arg, int status, const struct fail *f)
{
    struct outbox_feed *o = arg;
    if (status == 0) {
        o->cursor = o->batch.cursor;
        o->drained = !o->batch.more;
        o->trim_wanted = o->conf.trim;
        report_bad_rows(o);
        report_up(o);
        if (o->drained) {
            come_through(o, o->batch_started_ms - 1);
        }
    } else {
        o->drained = false;
        report_down(o, f);
    }
    arena_done(&o->batch_arena);
    if (!end_step(o)) {
        start_timer(o, status != 0 ? APPEND_WAIT_MS : o->drained ? POLL_MS : 0);
    }
}

/* An outbox belongs to the rules of its configured place, until a row of it names another: from
 * then on, and while that is not known yet, to all. */
static void set_place(struct outbox_feed *o)
{
    bool keeps_to_it = o->loaded && !o->strays;
    o->feed.endpoint = keeps_to_it ? o->conf.endpoint : NULL;
    o->feed.bucket = keeps_to_it ? o->conf.bucket : NULL;
}

static bool is_named(const char *place, struct span by_row)
{
    return place == NULL || span_eq_str(by_row, place);
}

static void look_for_strays(struct outbox_feed *o)
{
    for (size_t i = 0; i < o->batch.count && !o->strays; i++) {
        const struct change *c = &o->batch.changes[i];
        if (!is_named(o->conf.endpoint, c->endpoint) || !is_named(o->conf.bucket, c->bucket)) {
            o->strays = true;
            LOG_WARNING(o->log, "outbox",
                        "outbox %s: a row names %.*s/%.*s, which is not its endpoint and bucket in "
                        "the configuration: all rules wait for it from now on",
                        o->conf.name, SPAN_ARG(c->endpoint), SPAN_ARG(c->bucket));
        }
    }
    set_place(o);
}

static void hand_over(struct outbox_feed *o)
{
    if (o->batch.begins_anew) {
        LOG_WARNING(o->log, "outbox", "outbox %s has begun anew, read from its start",
                    o->conf.name);
    }
    look_for_strays(o);
    for (size_t i = 0; i < o->batch.count; i++) {
        o->batch.changes[i].feed = span_str(o->feed.name);
    }
    char cursor[80];
    snprintf(cursor, sizeof(cursor), "%016" PRIx64 " %" PRId64 " %016" PRIx64 "%s",
             o->batch.cursor.identity, o->batch.cursor.id, o->batch.cursor.mark,
             o->strays ? " strays" : " keeps");
    o->host.append(o->host.arg, o->batch.changes, o->batch.count, span_str(o->feed.name),
                   span_str(cursor), appended, o);
}

static bool is_taken(const struct outbox_feed *o)
{
    const struct outbox_cursor *c = &o->batch.cursor;
    return c->identity == o->cursor.identity && c->id == o->cursor.id && c->mark == o->cursor.mark;
}

static void read_done(void *arg)
{
    struct outbox_feed *o = arg;
    if (o->status != 0) {
        o->drained = false;
        report_down(o, &o->fail);
    } else if (o->closed == NULL && !is_taken(o)) {
        hand_over(o);
        return;
    } else {
        o->drained = !o->batch.more;
        report_up(o);
        come_through(o, o->batch_started_ms - 1);
    }
    arena_done(&o->batch_arena);
    if (!end_step(o)) {
        start_timer(o, POLL_MS);
    }
}

/* ---- trim ---- */

static void trim_work(void *arg)
{
    struct outbox_feed *o = arg;
    fail_clear(&o->fail);
    o->status = outbox_trim(o->outbox, &o->cursor, TRIM_ROWS, &o->fail);
}

static void trim_done(void *arg)
{
    struct outbox_feed *o = arg;
    if (o->status != 0 && o->status != UV_EBUSY) {
        LOG_WARNING(o->log, "outbox", "outbox %s cannot be trimmed: %s", o->conf.name,
                    o->fail.text);
    }
    if (!end_step(o)) {
        start_timer(o, POLL_MS);
    }
}

/* ---- the poll ---- */

static void tick(void *arg)
{
    struct outbox_feed *o = arg;
    if (o->busy || !o->loaded) {
        return;
    }
    /* Before the look: what is written after it is no news yet. */
    int64_t now_ms = o->host.now_ms(o->host.arg);
    bool news = !o->drained || outbox_has_news(o->outbox);
    if (news && o->host.room(o->host.arg) == 0) {
        o->drained = false; /* what is there is not with us: no claim to completeness */
        start_timer(o, POLL_MS);
        return;
    }
    if (news) {
        o->busy = true;
        o->batch_started_ms = now_ms;
        loop_work(o->loop, read_work, read_done, o);
        return;
    }
    come_through(o, now_ms - 1);
    if (o->trim_wanted && loop_now_ms(o->loop) - o->trimmed_at_ms >= TRIM_EVERY_MS) {
        o->busy = true;
        o->trim_wanted = false;
        o->trimmed_at_ms = loop_now_ms(o->loop);
        loop_work(o->loop, trim_work, trim_done, o);
        return;
    }
    start_timer(o, POLL_MS);
}

static void parse_cursor(struct outbox_feed *o, struct span value)
{
    char text[80];
    struct outbox_cursor c = {0};
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(value));
    o->strays =
        !span_is_empty(value) && strstr(text, " keeps") == NULL; /* an older program's: open */
    if (sscanf(text, "%" SCNx64 " %" SCNd64 " %" SCNx64, &c.identity, &c.id, &c.mark) == 3) {
        o->cursor = c;
    } else if (!span_is_empty(value)) {
        LOG_ERROR(o->log, "outbox", "outbox %s: stored cursor is unreadable, read from the start",
                  o->conf.name);
    }
}

static void load(void *arg);

static void cursor_loaded(void *arg, int status, struct span value)
{
    struct outbox_feed *o = arg;
    if (status == 0 || status == REPL_ENOTFOUND) {
        parse_cursor(o, value);
        o->loaded = true;
        o->timer.fn = tick;
        set_place(o);
    }
    if (!end_step(o)) {
        start_timer(o, o->loaded ? 0 : APPEND_WAIT_MS);
    }
}

static void load(void *arg)
{
    struct outbox_feed *o = arg;
    o->busy = true;
    o->host.load(o->host.arg, span_str(o->feed.name), cursor_loaded, o);
}

/* ---- life ---- */

static void close_now(void *arg)
{
    struct outbox_feed *o = arg;
    loop_fn *closed = o->closed;
    void *closed_arg = o->closed_arg;
    timer_stop(&o->timer);
    outbox_free(o->outbox);
    arena_done(&o->batch_arena);
    arena_done(&o->arena);
    mem_free(o->feed.name);
    mem_free(o);
    closed(closed_arg);
}

static void outbox_feed_close(struct feed *feed, loop_fn *closed, void *arg)
{
    struct outbox_feed *o = CONTAINER_OF(feed, struct outbox_feed, feed);
    o->closed = closed;
    o->closed_arg = arg;
    timer_stop(&o->timer);
    if (!o->busy) {
        deferred_call(&o->closing);
    }
}

static const struct feed_ops outbox_feed_ops = {.close = outbox_feed_close};

static void copy_conf(struct outbox_feed *o, const struct conf_outbox *conf)
{
    o->conf = *conf;
    o->conf.name = arena_strdup(&o->arena, conf->name);
    o->conf.path = arena_strdup(&o->arena, conf->path);
    o->conf.endpoint = arena_strdup_or_null(&o->arena, conf->endpoint);
    o->conf.bucket = arena_strdup_or_null(&o->arena, conf->bucket);
    o->conf.group = arena_strdup_or_null(&o->arena, conf->group);
}

static void make_stats(struct outbox_feed *o, struct stat_set *stats)
{
    static const char *const labels[] = {"outbox", NULL};
    const char *values[] = {o->conf.name, NULL};
    o->up = stat_get(
        stat_family(stats, STAT_GAUGE, "repl_outbox_up", "1 while the outbox can be read.", labels),
        values);
    o->bad = stat_get(stat_family(stats, STAT_COUNTER, "repl_outbox_bad_rows_total",
                                  "Rows of the outbox that are malformed.", labels),
                      values);
}

struct feed *outbox_feed_new(const struct outbox_feed_options *options)
{
    struct outbox_feed *o = MEM_NEW(struct outbox_feed);
    o->feed.ops = &outbox_feed_ops;
    o->feed.kind = FEED_OUTBOX;
    o->loop = options->loop;
    o->log = options->log;
    o->host = options->host;
    arena_init(&o->arena);
    arena_init(&o->batch_arena);
    copy_conf(o, options->conf);
    o->feed.name = mem_printf("outbox:%s", o->conf.name);
    o->feed.home_endpoint = o->conf.endpoint;
    o->feed.home_bucket = o->conf.bucket;
    o->outbox = outbox_new(&(struct outbox_options){.path = o->conf.path,
                                                    .endpoint = span_str(o->conf.endpoint),
                                                    .bucket = span_str(o->conf.bucket),
                                                    .create = o->conf.create,
                                                    .group = o->conf.group});
    make_stats(o, options->stats);
    deferred_init(&o->closing, o->loop, close_now, o);
    timer_init(&o->timer, o->loop, load, o);
    timer_start(&o->timer, 0);
    return &o->feed;
}
