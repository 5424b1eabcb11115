/* A walk lists one range of keys, page by page: what was listed is compared, then handed over. */
#include "daemon/feeds/scan_impl.h"

#include <stdlib.h>

#define ODD_MAX    3    /* pages in a row out of order: the server has none */
#define GOOD_MIN   20   /* listings after which one more at a time is tried */
#define ROOM_MS    200  /* until the next look whether changes may come */
#define SAVE_MS    2000 /* how far the stored cursor may be behind while nothing is handed over */
#define LEARN_KEYS 16   /* of a page */
#define CUTS_MAX   3    /* of one range after one page, while few are under way */
#define FEW_WALKS  8
#define CLOCKS_MS  60000 /* by so much the source's clock may be behind ours */

static void step(struct walk *w, enum walk_step step)
{
    w->step = step;
    scan_kick(w->scan);
}

/* What came is of no use any more: the feed closes or the pass was dropped. */
static bool is_over(struct walk *w)
{
    struct scan *s = w->scan;
    w->busy = false;
    w->asking = NULL;
    if (s->drops) {
        scan_kick(s);
    }
    return scan_ended(s) || s->drops;
}

static void fail_step(struct walk *w, const struct fail *f)
{
    struct scan *s = w->scan;
    uint64_t wait_ms = scan_retry_ms(s, w->failures++);
    if (fail_class(f->code) == FAIL_THROTTLE) {
        s->width = s->width > 1 ? s->width / 2 : 1;
        s->good = 0;
        wait_ms = wait_ms > (uint64_t)f->retry_after_ms ? wait_ms : (uint64_t)f->retry_after_ms;
    }
    scan_failed(s, f);
    timer_start(&w->timer, wait_ms);
}

static void good_step(struct walk *w)
{
    struct scan *s = w->scan;
    w->failures = 0;
    if (++s->good >= GOOD_MIN && s->width < SCAN_WIDTH) {
        s->width++;
        s->good = 0;
    }
    scan_is_well(s);
}

/* ---- START: may one more listing be asked for? ---- */

static bool may_ask(struct scan *s)
{
    unsigned slots = store_slots(s->from, STORE_SMALL);
    uint64_t now_ms = loop_now_ms(s->loop);
    if (s->asking >= s->width || s->asking >= (slots > 1 ? slots : 1)) {
        return false;
    }
    if (s->next_ask_ms > now_ms) {
        scan_wake_in(s, s->next_ask_ms - now_ms);
        return false;
    }
    return scan_may_go(s);
}

static void count_ask(struct scan *s)
{
    uint64_t rate = s->host.rate(s->host.arg);
    uint64_t now_ms = loop_now_ms(s->loop);
    s->asking++;
    s->state.requests++;
    if (rate > 0) {
        s->next_ask_ms = now_ms + (1000 + rate - 1) / rate;
    }
}

static void source_listed(struct store_op *op);

static void list_source(struct walk *w)
{
    struct scan *s = w->scan;
    bool by_token = s->state.is_unordered && w->token.len > 0;
    arena_done(&w->arena);
    arena_init(&w->arena);
    w->op = (struct store_op){.kind = STORE_LIST,
                              .bucket = s->bucket,
                              .key = s->prefix,
                              .start_after = buf_view(&w->after),
                              .token = by_token ? buf_view(&w->token) : (struct span){0},
                              .max_keys = SCAN_PAGE_KEYS,
                              .done = source_listed,
                              .arg = w,
                              .arena = &w->arena};
    w->asked_ms = s->host.now_ms(s->host.arg);
    w->step = WALK_LISTING;
    w->busy = true;
    w->asking = s->from;
    count_ask(s);
    store_submit(s->from, &w->op);
}

/* ---- LISTING: is the page what was asked for? ---- */

static bool is_in_order(const struct walk *w)
{
    struct span before = buf_view(&w->after);
    if (w->entry_count == 0 && !w->ends) {
        return false; /* only a token leads on */
    }
    for (size_t i = 0; i < w->entry_count; i++) {
        if (w->entries[i].key.len == 0 || span_cmp(before, w->entries[i].key) >= 0) {
            return false;
        }
        before = w->entries[i].key;
    }
    return true;
}

/* From here on there is one walk, and it follows the server's own tokens. */
static void give_order_up(struct walk *w)
{
    struct scan *s = w->scan;
    LOG_WARNING(
        s->log, SCAN_SUBJECT,
        "rule %s: %s does not list in the order of keys; the scan begins anew, one page after"
        " the other, and tells no deletes",
        s->rule_name, s->from->name);
    s->drops = s->restarts = true;
}

static void tell_odd(struct walk *w)
{
    struct fail f;
    if (++w->odd >= ODD_MAX) {
        give_order_up(w);
        scan_kick(w->scan);
        return;
    }
    fail_set(&f, REPL_EPROTO, "ListObjectsV2: a page is not in order, or not behind the last one");
    fail_step(w, &f);
    w->step = WALK_START;
}

static int by_key(const void *a, const void *b)
{
    return span_cmp(((const struct store_entry *)a)->key, ((const struct store_entry *)b)->key);
}

/* The journal is asked in the order of keys, and for none twice. */
static void sort_page(struct walk *w)
{
    size_t n = 0;
    qsort(w->entries, w->entry_count, sizeof(w->entries[0]), by_key);
    for (size_t i = 0; i < w->entry_count; i++) {
        if (n == 0 || !span_eq(w->entries[n - 1].key, w->entries[i].key)) {
            w->entries[n++] = w->entries[i];
        }
    }
    w->entry_count = n;
}

static void cut_off_at_end(struct walk *w)
{
    while (w->is_bounded && w->entry_count > 0 &&
           span_cmp(w->entries[w->entry_count - 1].key, buf_view(&w->until)) > 0) {
        w->entry_count--;
        w->ends = true;
    }
    if (w->is_bounded && w->entry_count > 0 &&
        span_eq(w->entries[w->entry_count - 1].key, buf_view(&w->until))) {
        w->ends = true;
    }
}

/* ---- cutting ---- */

static bool cut(struct walk *w)
{
    struct scan *s = w->scan;
    char pivot[CHANGE_KEY_MAX];
    size_t len;
    struct split split = {.prefix = s->prefix,
                          .first = w->entries[0].key,
                          .last = w->entries[w->entry_count - 1].key,
                          .until = w->is_bounded ? buf_view(&w->until) : (struct span){0},
                          .by_digits = w->by_digits};
    w->by_digits = !w->by_digits;
    if (s->walk_count >= SCAN_WIDTH || !split_pivot(&s->alphabet, &split, pivot, &len)) {
        return false;
    }
    walk_new(s, span_of(pivot, len), split.until);
    buf_reset(&w->until);
    buf_append(&w->until, pivot, len);
    w->is_bounded = true;
    return true;
}

/* Nobody knows how many keys are behind the page: as many halves as there is room for. */
static void cut_up(struct walk *w)
{
    struct scan *s = w->scan;
    size_t stride = w->entry_count / LEARN_KEYS + 1;
    for (size_t i = 0; i < w->entry_count; i += stride) {
        split_learn(&s->alphabet, w->entries[i].key, s->prefix.len);
    }
    split_learn(&s->alphabet, w->entries[w->entry_count - 1].key, s->prefix.len);
    int cuts = s->walk_count < FEW_WALKS ? CUTS_MAX : 1;
    while (cuts-- > 0 && s->walk_count < s->width) {
        (void)cut(w);
    }
}

/* ---- COMPARING ---- */

static void compared(void *arg, int status, const struct fail *f, const struct span *missing,
                     size_t missing_count, struct span through);

static void compare(struct walk *w)
{
    struct scan *s = w->scan;
    const struct rule *rule = s->host.rule(s->host.arg);
    struct span last = w->entry_count > 0 ? w->entries[w->entry_count - 1].key : (struct span){0};
    bool to_end = w->ends || w->entry_count == 0;
    struct scan_compare what = {
        .listed = w->listed,
        .count = w->entry_count,
        .tell_missing =
            rule != NULL && rule->deletes != RULE_DELETES_IGNORE && !s->state.is_unordered,
        .after = w->compared.len > 0 ? buf_view(&w->compared) : buf_view(&w->after),
        .until = !to_end         ? last
                 : w->is_bounded ? buf_view(&w->until)
                                 : (struct span){0},
        .before_ms = w->asked_ms};
    w->step = WALK_COMPARING;
    w->busy = true;
    s->host.compare(s->host.arg, &what, compared, w);
}

static void fill_listed(struct walk *w)
{
    w->listed = arena_alloc(&w->arena, (w->entry_count + 1) * sizeof(*w->listed));
    w->changes = arena_alloc(&w->arena, (w->entry_count + 1) * sizeof(*w->changes));
    for (size_t i = 0; i < w->entry_count; i++) {
        w->listed[i] = (struct scan_listed){.key = w->entries[i].key,
                                            .etag = w->entries[i].etag,
                                            .mtime_ms = w->entries[i].mtime_ms};
    }
}

static void source_listed(struct store_op *op)
{
    struct walk *w = op->arg;
    struct scan *s = w->scan;
    s->asking--;
    if (is_over(w)) {
        return;
    }
    w->step = WALK_START;
    scan_kick(s);
    if (op->fail.code != 0) {
        fail_step(w, &op->fail);
        return;
    }
    w->entries = op->entries;
    w->entry_count = op->entry_count;
    w->ends = span_is_empty(op->next_token);
    if (!s->state.is_unordered && !is_in_order(w)) {
        tell_odd(w);
        return;
    }
    good_step(w);
    w->odd = 0;
    w->entry_at = w->change_count = w->gone_count = 0;
    w->counts = (struct walk_counts){0};
    w->is_counted = false;
    buf_reset(&w->compared);
    if (s->state.is_unordered) {
        buf_reset(&w->token);
        buf_span(&w->token, op->next_token);
        sort_page(w);
    } else {
        cut_off_at_end(w);
        if (!w->ends && w->entry_count > 0) {
            cut_up(w);
        }
    }
    fill_listed(w);
    compare(w);
}

static void compared(void *arg, int status, const struct fail *f, const struct span *missing,
                     size_t missing_count, struct span through)
{
    struct walk *w = arg;
    if (is_over(w)) {
        return;
    }
    if (status != 0) {
        fail_step(w, f); /* step stays COMPARING: asked again */
        return;
    }
    arena_done(&w->gone_arena);
    arena_init(&w->gone_arena);
    w->gone = arena_alloc(&w->gone_arena, (missing_count + 1) * sizeof(*w->gone));
    for (size_t i = 0; i < missing_count; i++) {
        w->gone[i] = arena_span(&w->gone_arena, missing[i]);
    }
    w->gone_count = missing_count;
    buf_reset(&w->compared);
    buf_span(&w->compared, through);
    step(w, through.ptr != NULL ? WALK_NOTING : WALK_TARGET);
}

/* ---- TARGET: what is left to hand over ---- */

static bool is_passed_over(const struct walk *w, const struct store_entry *entry)
{
    const struct scan_state *state = &w->scan->state;
    return !w->scan->host.takes(w->scan->host.arg, entry->key) ||
           (!state->is_whole && entry->mtime_ms > 0 &&
            entry->mtime_ms + CLOCKS_MS < (int64_t)state->since_ms);
}

static void count_equal(struct walk *w, const struct store_entry *entry)
{
    w->counts.equal++;
    w->counts.equal_bytes += entry->size;
}

static void add_change(struct walk *w, const struct store_entry *entry)
{
    struct scan *s = w->scan;
    w->counts.found++;
    w->changes[w->change_count++] = (struct change){.kind = CHANGE_PUT,
                                                    .endpoint = s->endpoint,
                                                    .bucket = s->bucket,
                                                    .key = entry->key,
                                                    .etag = entry->etag,
                                                    .feed = span_str("scan"),
                                                    .size = (int64_t)entry->size,
                                                    .event_time_ms = entry->mtime_ms};
}

static int sift(struct walk *w)
{
    for (; w->entry_at < w->entry_count; w->entry_at++) {
        const struct store_entry *entry = &w->entries[w->entry_at];
        bool known = w->listed[w->entry_at].known;
        if (is_passed_over(w, entry)) {
            continue;
        }
        int equal = walk_merge(w);
        if (equal < 0) {
            return equal;
        }
        w->counts.listed++;
        w->counts.listed_bytes += entry->size;
        if (known || equal) {
            count_equal(w, entry);
        } else {
            add_change(w, entry);
        }
    }
    w->counts.seen = w->entry_count;
    return 0;
}

/* ---- READY and APPENDING ---- */

static void count_page(struct walk *w)
{
    struct scan_state *state = &w->scan->state;
    const struct walk_counts *c = &w->counts;
    if (!w->is_counted) {
        state->seen += c->seen;
        state->listed += c->listed;
        state->listed_bytes += c->listed_bytes;
        state->equal += c->equal;
        state->equal_bytes += c->equal_bytes;
        state->found += c->found;
        state->away += c->away;
        w->is_counted = true;
    }
}

/* The page is durable, or has nothing that needs to be. */
static void leave_page(struct walk *w)
{
    struct scan *s = w->scan;
    scan_show(s);
    scan_kick(s);
    if (w->ends) {
        walk_free(w);
        return;
    }
    if (w->entry_count > 0 && !s->state.is_unordered) {
        buf_reset(&w->after);
        buf_span(&w->after, w->entries[w->entry_count - 1].key);
    }
    w->step = WALK_START;
}

static void appended(void *arg, int status, const struct fail *f)
{
    struct walk *w = arg;
    struct scan *s = w->scan;
    s->is_appending = false;
    if (is_over(w)) {
        return;
    }
    if (status != 0) {
        w->step = WALK_READY;
        fail_step(w, f);
        return;
    }
    s->is_dirty = false;
    s->saved_ms = loop_now_ms(s->loop);
    scan_is_well(s);
    leave_page(w);
}

static bool needs_commit(const struct walk *w)
{
    return w->change_count > 0 || w->gone_count > 0 ||
           loop_now_ms(w->scan->loop) - w->scan->saved_ms >= SAVE_MS;
}

static void hand_over(struct walk *w)
{
    struct scan *s = w->scan;
    if (!needs_commit(w)) {
        count_page(w);
        s->is_dirty = true;
        leave_page(w);
        return;
    }
    if (s->is_appending || !scan_may_go(s)) {
        return;
    }
    if (w->change_count > 0 && s->host.room(s->host.arg) == 0) {
        scan_wake_in(s, ROOM_MS);
        return;
    }
    struct buf cursor = {0};
    count_page(w);
    s->state.missing += w->gone_count;
    scan_print_cursor(s, w, &cursor);
    w->step = WALK_APPENDING;
    w->busy = true;
    s->is_appending = true;
    s->host.append(s->host.arg,
                   &(struct scan_batch){.changes = w->changes,
                                        .change_count = w->change_count,
                                        .existing_until_ms = (int64_t)s->state.since_ms,
                                        .gone = w->gone,
                                        .gone_count = w->gone_count,
                                        .cursor = buf_view(&cursor)},
                   appended, w);
    buf_done(&cursor);
}

/* ---- NOTING: missing keys go to the journal before more of them are asked for ---- */

static void noted(void *arg, int status, const struct fail *f)
{
    struct walk *w = arg;
    w->scan->is_appending = false;
    if (is_over(w)) {
        return;
    }
    if (status != 0) {
        fail_step(w, f);
        return;
    }
    w->scan->state.missing += w->gone_count;
    w->gone_count = 0;
    scan_is_well(w->scan);
    compare(w);
}

static void note(struct walk *w)
{
    struct scan *s = w->scan;
    struct buf cursor = {0};
    if (s->is_appending || !scan_may_go(s)) {
        return;
    }
    scan_print_cursor(s, NULL, &cursor);
    w->busy = true;
    s->is_appending = true;
    s->host.append(s->host.arg,
                   &(struct scan_batch){
                       .gone = w->gone, .gone_count = w->gone_count, .cursor = buf_view(&cursor)},
                   noted, w);
    buf_done(&cursor);
}

/* ---- dispatch ---- */

void walk_go(struct walk *w)
{
    if (w->busy || timer_is_running(&w->timer)) {
        return;
    }
    switch (w->step) {
    case WALK_START:
        if (may_ask(w->scan)) {
            list_source(w);
        }
        return;
    case WALK_COMPARING:
        compare(w);
        return;
    case WALK_NOTING:
        note(w);
        return;
    case WALK_TARGET:
        if (sift(w) == 0) {
            w->step = WALK_READY;
            hand_over(w);
        }
        return;
    case WALK_READY:
        hand_over(w);
        return;
    case WALK_LISTING:
    case WALK_APPENDING:
        return;
    }
}

/* ---- life ---- */

static void retry(void *arg)
{
    struct walk *w = arg;
    scan_kick(w->scan);
}

struct walk *walk_new(struct scan *s, struct span after, struct span until)
{
    struct walk *w = MEM_NEW(struct walk);
    w->scan = s;
    arena_init(&w->arena);
    arena_init(&w->gone_arena);
    arena_init(&w->target.arena);
    timer_init(&w->timer, s->loop, retry, w);
    buf_span(&w->after, after);
    buf_span(&w->until, until);
    w->is_bounded = until.ptr != NULL;
    list_push_back(&s->walks, &w->link);
    s->walk_count++;
    return w;
}

void walk_free(struct walk *w)
{
    list_remove(&w->link);
    w->scan->walk_count--;
    timer_stop(&w->timer);
    walk_target_done(w);
    buf_done(&w->after);
    buf_done(&w->until);
    buf_done(&w->token);
    buf_done(&w->compared);
    arena_done(&w->gone_arena);
    arena_done(&w->arena);
    mem_free(w);
}

void walk_cancel(struct walk *w)
{
    timer_stop(&w->timer);
    if (w->asking != NULL) {
        store_cancel(w->asking, &w->op);
    }
}
