#include "daemon/base/hash.h"
#include "daemon/base/mem.h"
#include "daemon/feeds/feeds.h"

#include <inttypes.h>
#include <stdio.h>

#define PAGE_KEYS    1000
#define ROOM_WAIT_MS 50
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

/*  LOAD ─► ROOM ─► SOURCE ─► MERGE ⇄ TARGET ─► APPEND ─► ROOM …  ─► ENDED
 *                                     (pages of the destination's listing, as far as needed)  */
enum listing_step { LISTING_LOAD, LISTING_ROOM, LISTING_SOURCE, LISTING_MERGE, LISTING_ENDED };

struct listing_feed {
    struct feed feed;
    struct loop *loop;
    struct log *log;
    struct store *from;
    struct store *to;
    struct feed_host host;
    struct arena arena;
    struct span endpoint, bucket, prefix, to_bucket, to_prefix;
    char *rule_name;
    enum listing_step step;
    struct timer timer;
    unsigned failures; /* in a row */
    bool busy;
    struct store_op op;

    struct buf last_key; /* all keys up to this one are durable with us */

    /* The source's page and the changes made of it so far. */
    struct arena page_arena;
    struct store_entry *entries;
    size_t entry_count, entry_at;
    bool last_page;
    struct change *changes;
    size_t change_count;
    struct feed_status page; /* counts of this page: added when it is durable */

    /* The destination's page that lies at the same keys. */
    struct arena target_arena;
    struct store_entry *targets;
    size_t target_count, target_at;
    struct buf target_after; /* last key of it */
    bool target_started, target_ended;

    loop_fn *closed;
    void *closed_arg;
    struct deferred closing;
};

static void advance(struct listing_feed *l);

static void advance_fn(void *arg)
{
    advance(arg);
}

static bool end_step(struct listing_feed *l)
{
    l->busy = false;
    l->op.done = NULL;
    if (l->closed != NULL) {
        deferred_call(&l->closing);
        return true;
    }
    return false;
}

static void fail_step(struct listing_feed *l, const struct fail *f)
{
    uint64_t wait = RETRY_MAX_MS;
    if (l->failures < 6) {
        wait = (uint64_t)RETRY_MIN_MS << l->failures;
    }
    l->failures++;
    if (l->feed.status.state != FEED_DOWN || l->feed.status.fail.code != f->code) {
        char text[400];
        LOG_WARNING(l->log, "listing", "rule %s: listing of existing objects waits: %s",
                    l->rule_name, fail_print(f, text, sizeof(text)));
    }
    l->feed.status.state = FEED_DOWN;
    l->feed.status.fail = *f;
    l->host.news(l->host.arg);
    timer_start(&l->timer, wait / 2 + loop_random(l->loop, wait / 2 + 1));
}

static void good_step(struct listing_feed *l)
{
    l->failures = 0;
    if (l->feed.status.state != FEED_UP) {
        l->feed.status.state = FEED_UP;
        fail_clear(&l->feed.status.fail);
        l->host.news(l->host.arg);
    }
}

/* ---- cursor: "LISTED BYTES EQUAL EQUALBYTES ENDED KEY", the key as raw bytes ---- */

static void print_cursor(const struct listing_feed *l, struct buf *to)
{
    const struct feed_status *done = &l->feed.status;
    struct span last = buf_view(&l->last_key);
    if (l->entry_count > 0) {
        last = l->entries[l->entry_count - 1].key;
    }
    buf_printf(to, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d ",
               done->listed + l->page.listed, done->listed_bytes + l->page.listed_bytes,
               done->equal + l->page.equal, done->equal_bytes + l->page.equal_bytes, l->last_page);
    buf_span(to, last);
}

static uint64_t cut_number(struct span *s)
{
    unsigned long long n = 0;
    (void)span_to_u64(span_cut(s, ' '), &n);
    return n;
}

static void parse_cursor(struct listing_feed *l, struct span value)
{
    if (span_is_empty(value)) {
        return;
    }
    l->feed.status.listed = cut_number(&value);
    l->feed.status.listed_bytes = cut_number(&value);
    l->feed.status.equal = cut_number(&value);
    l->feed.status.equal_bytes = cut_number(&value);
    bool ended = cut_number(&value) == 1;
    buf_span(&l->last_key, value);
    if (ended) {
        l->step = LISTING_ENDED;
        l->feed.status.state = FEED_ENDED;
        l->host.news(l->host.arg);
    }
}

static void cursor_loaded(void *arg, int status, struct span value)
{
    struct listing_feed *l = arg;
    if (end_step(l)) {
        return;
    }
    if (status != 0 && status != REPL_ENOTFOUND) {
        timer_start(&l->timer, RETRY_MIN_MS);
        return;
    }
    l->step = LISTING_ROOM;
    parse_cursor(l, value);
    advance(l);
}

/* ---- append ---- */

static void appended(void *arg, int status, const struct fail *f)
{
    struct listing_feed *l = arg;
    if (end_step(l)) {
        return;
    }
    if (status != 0) {
        fail_step(l, f); /* step stays MERGE with everything merged: appended again */
        return;
    }
    l->feed.status.listed += l->page.listed;
    l->feed.status.listed_bytes += l->page.listed_bytes;
    l->feed.status.equal += l->page.equal;
    l->feed.status.equal_bytes += l->page.equal_bytes;
    if (l->entry_count > 0) {
        buf_reset(&l->last_key);
        buf_span(&l->last_key, l->entries[l->entry_count - 1].key);
    }
    good_step(l);
    if (l->last_page) {
        LOG_NOTICE(l->log, "listing",
                   "rule %s: existing objects are listed objects=%" PRIu64 " equal=%" PRIu64,
                   l->rule_name, l->feed.status.listed, l->feed.status.equal);
        l->feed.status.state = FEED_ENDED;
    }
    l->step = l->last_page ? LISTING_ENDED : LISTING_ROOM;
    l->host.news(l->host.arg);
    advance(l);
}

static void append_page(struct listing_feed *l)
{
    struct buf cursor;
    buf_init(&cursor, 4096);
    print_cursor(l, &cursor);
    l->busy = true;
    l->host.append(l->host.arg, l->changes, l->change_count, span_str(l->feed.name),
                   buf_view(&cursor), appended, l);
    buf_done(&cursor);
}

/* ---- listings ---- */

static void submit_list(struct listing_feed *l, struct store *store, struct store_op op)
{
    l->op = op;
    l->op.kind = STORE_LIST;
    l->op.max_keys = PAGE_KEYS;
    l->op.arg = l;
    l->busy = true;
    store_submit(store, &l->op);
}

static void source_listed(struct store_op *op)
{
    struct listing_feed *l = op->arg;
    if (end_step(l)) {
        return;
    }
    if (op->fail.code != 0) {
        fail_step(l, &op->fail);
        return;
    }
    good_step(l);
    l->entries = op->entries;
    l->entry_count = op->entry_count;
    l->entry_at = 0;
    l->last_page = span_is_empty(op->next_token);
    l->changes = arena_alloc(&l->page_arena, (op->entry_count + 1) * sizeof(*l->changes));
    l->change_count = 0;
    memset(&l->page, 0, sizeof(l->page));
    l->step = LISTING_MERGE;
    advance(l);
}

static void list_source(struct listing_feed *l)
{
    arena_done(&l->page_arena);
    arena_init(&l->page_arena);
    submit_list(l, l->from,
                (struct store_op){.bucket = l->bucket,
                                  .key = l->prefix,
                                  .start_after = buf_view(&l->last_key),
                                  .done = source_listed,
                                  .arena = &l->page_arena});
}

static void target_listed(struct store_op *op)
{
    struct listing_feed *l = op->arg;
    if (end_step(l)) {
        return;
    }
    if (fail_class(op->fail.code) == FAIL_AUTH) {
        LOG_NOTICE(l->log, "listing",
                   "rule %s: destination may not be listed, everything is copied: %s", l->rule_name,
                   op->fail.text);
        l->to = NULL;
    } else if (op->fail.code != 0) {
        fail_step(l, &op->fail);
        return;
    } else {
        good_step(l);
        l->targets = op->entries;
        l->target_count = op->entry_count;
        l->target_at = 0;
        l->target_ended = span_is_empty(op->next_token);
        if (op->entry_count > 0) {
            buf_reset(&l->target_after);
            buf_span(&l->target_after, op->entries[op->entry_count - 1].key);
        }
    }
    advance(l);
}

static void list_target(struct listing_feed *l)
{
    arena_done(&l->target_arena);
    arena_init(&l->target_arena);
    l->target_count = 0;
    l->target_at = 0;
    submit_list(l, l->to,
                (struct store_op){.bucket = l->to_bucket,
                                  .key = l->to_prefix,
                                  .start_after = buf_view(&l->target_after),
                                  .done = target_listed,
                                  .arena = &l->target_arena});
}

/* ---- merge: both listings go by the bytes of the keys ---- */

/* Where the destination's listing begins after a restart: at what the source's last key became. */
static void start_target(struct listing_feed *l)
{
    l->target_started = true;
    if (l->last_key.len > 0) {
        buf_span(&l->target_after,
                 l->host.map(l->host.arg, buf_view(&l->last_key), &l->page_arena));
    }
}

/* 1 = equal, 0 = not, REPL_EDONE = another page of the destination is needed. */
static int compare_target(struct listing_feed *l, const struct store_entry *entry)
{
    struct span key = l->host.map(l->host.arg, entry->key, &l->page_arena);
    while (l->target_at < l->target_count && span_cmp(l->targets[l->target_at].key, key) < 0) {
        l->target_at++;
    }
    if (l->target_at == l->target_count) {
        return l->target_ended ? 0 : REPL_EDONE;
    }
    const struct store_entry *t = &l->targets[l->target_at];
    return span_eq(t->key, key) && t->size == entry->size && !span_is_empty(entry->etag) &&
           span_eq(t->etag, entry->etag);
}

static void add_change(struct listing_feed *l, const struct store_entry *entry)
{
    l->changes[l->change_count++] = (struct change){.kind = CHANGE_PUT,
                                                    .endpoint = l->endpoint,
                                                    .bucket = l->bucket,
                                                    .key = entry->key,
                                                    .etag = entry->etag,
                                                    .feed = span_str("existing"),
                                                    .size = (int64_t)entry->size,
                                                    .event_time_ms = entry->mtime_ms};
}

/* 0, or REPL_EDONE when it must go on with another page of the destination. */
static int merge(struct listing_feed *l)
{
    if (l->to != NULL && !l->target_started) {
        start_target(l);
    }
    for (; l->entry_at < l->entry_count; l->entry_at++) {
        const struct store_entry *entry = &l->entries[l->entry_at];
        if (!l->host.takes(l->host.arg, entry->key)) {
            continue;
        }
        int equal = l->to != NULL ? compare_target(l, entry) : 0;
        if (equal < 0) {
            return equal;
        }
        l->page.listed++;
        l->page.listed_bytes += entry->size;
        if (equal) {
            l->page.equal++;
            l->page.equal_bytes += entry->size;
        } else {
            add_change(l, entry);
        }
    }
    return 0;
}

static void load(struct listing_feed *l)
{
    l->busy = true;
    l->host.load(l->host.arg, span_str(l->feed.name), cursor_loaded, l);
}

static void advance(struct listing_feed *l)
{
    switch (l->step) {
    case LISTING_LOAD:
        load(l);
        return;
    case LISTING_ROOM:
        if (l->host.room(l->host.arg) == 0) {
            timer_start(&l->timer, ROOM_WAIT_MS);
            return;
        }
        l->step = LISTING_SOURCE;
        list_source(l);
        return;
    case LISTING_SOURCE:
        list_source(l);
        return;
    case LISTING_MERGE:
        if (merge(l) == 0) {
            append_page(l);
        } else {
            list_target(l);
        }
        return;
    case LISTING_ENDED:
        return;
    }
}

/* ---- life ---- */

static void close_now(void *arg)
{
    struct listing_feed *l = arg;
    loop_fn *closed = l->closed;
    void *closed_arg = l->closed_arg;
    timer_stop(&l->timer);
    buf_done(&l->last_key);
    buf_done(&l->target_after);
    arena_done(&l->page_arena);
    arena_done(&l->target_arena);
    arena_done(&l->arena);
    mem_free(l->feed.name);
    mem_free(l);
    closed(closed_arg);
}

static void listing_feed_close(struct feed *feed, loop_fn *closed, void *arg)
{
    struct listing_feed *l = CONTAINER_OF(feed, struct listing_feed, feed);
    l->closed = closed;
    l->closed_arg = arg;
    timer_stop(&l->timer);
    if (!l->busy) {
        deferred_call(&l->closing);
    } else if (l->op.done == source_listed) {
        store_cancel(l->from, &l->op);
    } else if (l->op.done == target_listed) {
        store_cancel(l->to, &l->op);
    }
}

static const struct feed_ops listing_feed_ops = {.close = listing_feed_close};

static void copy_places(struct listing_feed *l, const struct rule *rule)
{
    struct arena *a = &l->arena;
    l->endpoint = span_str(arena_strdup(a, rule->source.endpoint));
    l->bucket = span_str(arena_strdup(a, rule->source.bucket));
    l->prefix = span_str(arena_strdup(a, rule->source.prefix));
    l->to_bucket = span_str(arena_strdup(a, rule->destination.bucket));
    l->to_prefix = span_str(arena_strdup(a, rule->destination.prefix));
    l->rule_name = arena_strdup(a, rule->name);
}

struct feed *listing_feed_new(const struct listing_feed_options *options)
{
    struct listing_feed *l = MEM_NEW(struct listing_feed);
    l->feed.ops = &listing_feed_ops;
    l->feed.kind = FEED_LISTING;
    l->feed.name = mem_printf("listing:%" PRIu32, options->rule->number);
    l->loop = options->loop;
    l->log = options->log;
    l->from = options->from;
    l->to = options->to;
    l->host = options->host;
    arena_init(&l->arena);
    arena_init(&l->page_arena);
    arena_init(&l->target_arena);
    buf_init(&l->last_key, 2048);
    buf_init(&l->target_after, 4096);
    copy_places(l, options->rule);
    deferred_init(&l->closing, l->loop, close_now, l);
    timer_init(&l->timer, l->loop, advance_fn, l);
    timer_start(&l->timer, 0);
    return &l->feed;
}
