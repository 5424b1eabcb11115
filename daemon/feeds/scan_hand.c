/* What a page has shown is sifted and handed over; what it has not is noted. */
#include "daemon/feeds/scan_impl.h"

#define ROOM_MS   50    /* until the next look whether changes may come */
#define SAVE_MS   2000  /* how far the stored cursor may be behind while nothing is handed over */
#define CLOCKS_MS 60000 /* by so much the source's clock may be behind ours */

/* ---- TARGET: what is left to hand over ---- */

/* Existing objects are not the rule's to copy, unless it says so; an older version is none where
 * newer ones were brought over: they are gone. */
static bool is_left_alone(const struct walk *w, const struct store_entry *entry)
{
    const struct scan_state *state = &w->scan->state;
    return !state->is_whole && entry->mtime_ms > 0 && !w->listed[w->entry_at].has_marks &&
           entry->mtime_ms + CLOCKS_MS < (int64_t)state->since_ms;
}

static void count_equal(struct walk *w, const struct store_entry *entry)
{
    w->counts.equal++;
    w->counts.equal_bytes += entry->size;
}

/* A marker on top of versions that are not there yet takes nothing away; and a rule that ignores
 * deletes wants what stands below. */
static enum change_kind kind_of(const struct walk *w, const struct store_entry *entry)
{
    const struct rule *rule = w->scan->host.rule(w->scan->host.arg);
    bool is_delete = entry->is_marker && w->listed[w->entry_at].has_marks && rule != NULL &&
                     rule->deletes != RULE_DELETES_IGNORE;
    return is_delete ? CHANGE_DELETE : CHANGE_PUT;
}

static void add_change(struct walk *w, const struct store_entry *entry)
{
    struct scan *s = w->scan;
    int64_t size = entry->is_marker ? CHANGE_SIZE_UNKNOWN : (int64_t)entry->size;
    w->counts.found++;
    w->changes[w->change_count++] = (struct change){.kind = kind_of(w, entry),
                                                    .endpoint = s->endpoint,
                                                    .bucket = s->bucket,
                                                    .key = entry->key,
                                                    .version_id = entry->version_id,
                                                    .etag = entry->etag,
                                                    .feed = span_str("scan"),
                                                    .size = size,
                                                    .event_time_ms = entry->mtime_ms};
}

int walk_sift(struct walk *w)
{
    for (; w->entry_at < w->entry_count; w->entry_at++) {
        const struct store_entry *entry = &w->entries[w->entry_at];
        bool known = w->listed[w->entry_at].known;
        if (!w->scan->host.takes(w->scan->host.arg, entry->key)) {
            continue;
        }
        if (is_left_alone(w, entry)) {
            w->counts.left += !known;
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
        state->left += c->left;
        state->offered += c->offered;
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
    if (walk_is_over(w)) {
        return;
    }
    if (status != 0) {
        w->step = WALK_READY;
        walk_fail(w, f);
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

void walk_hand_over(struct walk *w)
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
                                        .existing_until_ms = scan_existing_until(&s->state),
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
    if (walk_is_over(w)) {
        return;
    }
    if (status != 0) {
        walk_fail(w, f);
        return;
    }
    w->scan->state.missing += w->gone_count;
    w->gone_count = 0;
    scan_is_well(w->scan);
    walk_compare(w);
}

void walk_note(struct walk *w)
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
