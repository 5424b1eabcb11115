/* A walk lists one range of keys, page by page: what was listed is compared, then handed over. */
#include "daemon/feeds/scan_impl.h"

#define ODD_MAX  3  /* pages in a row out of order: the server has none */
#define GOOD_MIN 20 /* listings after which one more at a time is tried */

static void step(struct walk *w, enum walk_step step)
{
    w->step = step;
    scan_kick(w->scan);
}

/* What came is of no use any more: the feed closes or the pass was dropped. */
bool walk_is_over(struct walk *w)
{
    struct scan *s = w->scan;
    w->busy = false;
    w->asking = NULL;
    if (s->drops != DROP_NOT) {
        scan_kick(s);
    }
    return scan_ended(s) || s->drops != DROP_NOT;
}

void walk_fail(struct walk *w, const struct fail *f)
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
    return s->asking < s->width && s->asking < (slots > 1 ? slots : 1) && scan_may_ask(s);
}

static void source_listed(struct store_op *op);

/* Versions go on behind a key, whose newest one is done with, or behind a version. */
static void list_source(struct walk *w)
{
    struct scan *s = w->scan;
    bool by_token = w->token.len > 0;
    arena_done(&w->arena);
    arena_init(&w->arena);
    w->op = (struct store_op){
        .kind = s->state.lists_versions ? STORE_LIST_VERSIONS : STORE_LIST,
        .bucket = s->bucket,
        .key = s->prefix,
        .start_after = buf_view(by_token && s->state.lists_versions ? &w->token_key : &w->after),
        .token = by_token ? buf_view(&w->token) : (struct span){0},
        .max_keys = SCAN_PAGE_KEYS,
        .done = source_listed,
        .arg = w,
        .arena = &w->arena};
    w->asked_ms = s->host.now_ms(s->host.arg);
    w->step = WALK_LISTING;
    w->busy = true;
    w->asking = s->from;
    s->asking++;
    scan_count_ask(s);
    store_submit(s->from, &w->op);
}

/* ---- LISTING: is the page what was asked for? ---- */

/* From here on there is one walk, and it follows the server's own tokens. */
static void give_order_up(struct walk *w)
{
    struct scan *s = w->scan;
    LOG_WARNING(
        s->log, SCAN_SUBJECT,
        "rule %s: %s does not list in the order of keys; the scan begins anew, one page after"
        " the other, and tells no deletes",
        s->rule_name, s->from->name);
    s->drops = DROP_UNORDERED;
}

static void tell_odd(struct walk *w)
{
    struct fail f;
    if (++w->odd >= ODD_MAX) {
        give_order_up(w);
        scan_kick(w->scan);
        return;
    }
    fail_set(&f, REPL_EPROTO, "%s: a page is not in order, or not behind the last one",
             store_op_name(w->op.kind));
    walk_fail(w, &f);
    w->step = WALK_START;
}

/* ---- COMPARING ---- */

static void compared(void *arg, int status, const struct fail *f, const struct span *missing,
                     size_t missing_count, struct span through);

void walk_compare(struct walk *w)
{
    struct scan *s = w->scan;
    struct span last = w->entry_count > 0 ? w->entries[w->entry_count - 1].key : (struct span){0};
    bool to_end = w->ends || w->entry_count == 0;
    struct scan_compare what = {.listed = w->listed,
                                .count = w->entry_count,
                                .versions = s->state.lists_versions,
                                .tell_missing = !s->state.is_unordered,
                                .after = w->compared.len > 0 ? buf_view(&w->compared)
                                                             : buf_view(&w->after),
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
                                            .version_id = w->entries[i].version_id,
                                            .mtime_ms = w->entries[i].mtime_ms};
    }
}

static void keep_token(struct walk *w, const struct store_op *op)
{
    buf_reset(&w->token);
    buf_span(&w->token, op->next_token);
    buf_reset(&w->token_key);
    buf_span(&w->token_key, op->next_key);
}

/* The whole page is of a key that is done with. */
static bool is_within_key(const struct walk *w)
{
    return w->scan->state.lists_versions && !w->scan->state.is_unordered && w->entry_count == 0 &&
           w->op.entry_count > 0 && !w->ends;
}

static void source_listed(struct store_op *op)
{
    struct walk *w = op->arg;
    struct scan *s = w->scan;
    s->asking--;
    if (walk_is_over(w)) {
        return;
    }
    w->step = WALK_START;
    scan_heard(s, s->from, op);
    scan_kick(s);
    if (op->fail.code != 0) {
        walk_fail(w, &op->fail);
        return;
    }
    w->entries = op->entries;
    w->entry_count = op->entry_count;
    w->ends = span_is_empty(s->state.lists_versions ? op->next_key : op->next_token);
    if (s->state.lists_versions) {
        page_fold(w);
    }
    if (is_within_key(w)) {
        keep_token(w, op);
        good_step(w);
        return;
    }
    if (!s->state.is_unordered && !page_is_in_order(w)) {
        tell_odd(w);
        return;
    }
    good_step(w);
    w->odd = 0;
    w->entry_at = w->change_count = w->gone_count = 0;
    w->counts = (struct walk_counts){0};
    w->is_counted = false;
    buf_reset(&w->compared);
    buf_reset(&w->token);
    if (s->state.is_unordered) {
        keep_token(w, op);
        page_sort(w);
    } else {
        page_trim(w);
        if (!w->ends && w->entry_count > 0) {
            page_cut_up(w);
        }
    }
    fill_listed(w);
    walk_compare(w);
}

static void compared(void *arg, int status, const struct fail *f, const struct span *missing,
                     size_t missing_count, struct span through)
{
    struct walk *w = arg;
    if (walk_is_over(w)) {
        return;
    }
    if (status != 0) {
        walk_fail(w, f); /* step stays COMPARING: asked again */
        return;
    }
    arena_done(&w->gone_arena);
    arena_init(&w->gone_arena);
    w->gone = arena_alloc(&w->gone_arena, (missing_count + 1) * sizeof(*w->gone));
    for (size_t i = 0; i < missing_count; i++) {
        w->gone[i] = arena_span(&w->gone_arena, missing[i]);
    }
    w->gone_count = w->scan->state.tells_missing ? missing_count : 0;
    for (size_t i = 0; i < missing_count; i++) {
        bool is_last = w->ends && through.ptr == NULL && i + 1 == missing_count;
        check_offer(w->scan, missing[i], is_last);
    }
    w->counts.offered += missing_count;
    buf_reset(&w->compared);
    buf_span(&w->compared, through);
    if (through.ptr != NULL && w->gone_count == 0) {
        walk_compare(w);
        return;
    }
    step(w, through.ptr != NULL ? WALK_NOTING : WALK_TARGET);
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
        walk_compare(w);
        return;
    case WALK_NOTING:
        walk_note(w);
        return;
    case WALK_TARGET:
        if (walk_sift(w) == 0) {
            w->step = WALK_READY;
            walk_hand_over(w);
        }
        return;
    case WALK_READY:
        walk_hand_over(w);
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
    buf_done(&w->token_key);
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
