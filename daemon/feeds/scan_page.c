/* A page of a listing: is it what was asked for, and where is the rest of its range to be cut? */
#include "daemon/feeds/scan_impl.h"

#include <stdlib.h>

#define LEARN_KEYS 16 /* of a page */
#define CUTS_MAX   3  /* of one range after one page, while few are under way */
#define FEW_WALKS  8

bool page_is_in_order(const struct walk *w)
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

static int by_key(const void *a, const void *b)
{
    return span_cmp(((const struct store_entry *)a)->key, ((const struct store_entry *)b)->key);
}

void page_sort(struct walk *w)
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

void page_fold(struct walk *w)
{
    bool is_unordered = w->scan->state.is_unordered;
    struct span before = buf_view(&w->after);
    size_t n = 0;
    for (size_t i = 0; i < w->entry_count; i++) {
        const struct store_entry *e = &w->entries[i];
        bool is_newest = is_unordered ? e->is_latest : !span_eq(before, e->key);
        before = e->key;
        if (is_newest) {
            w->entries[n++] = *e;
        }
    }
    w->entry_count = n;
}

void page_trim(struct walk *w)
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

void page_cut_up(struct walk *w)
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
