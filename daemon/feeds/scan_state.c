#include "daemon/feeds/scan_state.h"

#include "daemon/base/fail.h"

#include <inttypes.h>

#define FEW 10 /* so few objects may come and go without a doubt */

#define VERSION 2 /* 1 had fewer numbers */

/* ---- "VERSION NUMBER … COUNT " and then spans: "LENGTH BYTES", or "- " for the absent one ---- */

static void print_span(struct span s, struct buf *to)
{
    if (s.ptr == NULL) {
        buf_str(to, "- ");
    } else {
        buf_printf(to, "%zu ", s.len);
        buf_span(to, s);
    }
}

void scan_state_print(const struct scan_state *s, const struct scan_piece *pieces, size_t count,
                      struct buf *to)
{
    buf_printf(to, "%d ", VERSION);
#define SCAN_NUMBER(member) buf_printf(to, "%" PRIu64 " ", s->member);
    SCAN_NUMBERS(SCAN_NUMBER)
    SCAN_NUMBERS_2(SCAN_NUMBER)
#undef SCAN_NUMBER
    buf_printf(to, "%zu ", count);
    for (size_t i = 0; i < count; i++) {
        print_span(pieces[i].after, to);
        print_span(pieces[i].until, to);
    }
}

struct reader {
    struct span rest;
    struct arena *a;
    int error; /* sticks */
};

static uint64_t read_number(struct reader *r)
{
    unsigned long long n = 0;
    if (span_to_u64(span_cut(&r->rest, ' '), &n) != 0 || r->rest.ptr == NULL) {
        r->error = REPL_EBADINPUT;
    }
    return n;
}

static struct span read_span(struct reader *r)
{
    if (span_starts_with(r->rest, span_str("- "))) {
        r->rest = span_skip(r->rest, 2);
        return (struct span){0};
    }
    uint64_t len = read_number(r);
    if (r->error != 0 || len > r->rest.len) {
        r->error = REPL_EBADINPUT;
        return (struct span){0};
    }
    struct span s = span_of(r->rest.ptr, (size_t)len);
    r->rest = span_skip(r->rest, (size_t)len);
    return arena_span(r->a, s);
}

int scan_state_parse(struct span text, struct arena *a, struct scan_state *ret,
                     struct scan_piece **ret_pieces, size_t *ret_count)
{
    struct reader r = {.rest = text, .a = a};
    struct scan_state s = {0};
    uint64_t version = read_number(&r);
    if (version < 1 || version > VERSION) {
        return REPL_EBADINPUT;
    }
#define SCAN_NUMBER(member) s.member = read_number(&r);
    SCAN_NUMBERS(SCAN_NUMBER)
    if (version > 1) {
        SCAN_NUMBERS_2(SCAN_NUMBER)
    }
#undef SCAN_NUMBER
    uint64_t count = read_number(&r);
    if (r.error != 0 || count > SCAN_PIECES_MAX || s.phase > SCAN_GONE) {
        return REPL_EBADINPUT;
    }
    struct scan_piece *pieces = arena_alloc(a, (count + 1) * sizeof(*pieces));
    for (size_t i = 0; i < count; i++) {
        pieces[i].after = read_span(&r);
        pieces[i].until = read_span(&r);
    }
    if (r.error == 0) {
        *ret = s;
        *ret_pieces = pieces;
        *ret_count = (size_t)count;
    }
    return r.error;
}

/* ---- passes ---- */

void scan_state_begin(struct scan_state *s, int64_t now_ms)
{
    s->phase = SCAN_CLEAR;
    s->started_ms = (uint64_t)now_ms;
    s->seen = s->listed = s->listed_bytes = s->equal = s->equal_bytes = 0;
    s->found = s->missing = s->away = s->requests = 0;
    s->left = s->unlisted = s->offered = 0;
}

static bool has_shrunk(uint64_t now, uint64_t before)
{
    return now < before / 2 && before > FEW;
}

static bool is_about(uint64_t now, uint64_t before)
{
    return !has_shrunk(now, before) && !has_shrunk(before, now);
}

const char *scan_state_doubt(const struct scan_state *s)
{
    if (s->is_unordered) {
        return "the server does not list in the order of keys";
    }
    if (s->unlisted > 0) { /* however often it says so */
        return "the listing is not complete, objects that it does not show are at the source";
    }
    if (s->doubted_seen != 0 && is_about(s->seen, s->doubted_seen - 1)) {
        return NULL;
    }
    if (s->seen == 0 && (s->proven_seen > 0 || s->missing > 0)) {
        return "the listing is empty";
    }
    if (has_shrunk(s->seen, s->proven_seen)) {
        return "less than half of the objects are left that the scan before has seen";
    }
    return NULL;
}

bool scan_state_may_delete(const struct scan_state *s)
{
    return s->seen > 0 && scan_state_doubt(s) == NULL;
}

void scan_state_end(struct scan_state *s, int64_t now_ms)
{
    /* Without an order nothing is told of deletes, but all was listed. */
    if (scan_state_doubt(s) != NULL && !s->is_unordered) {
        s->doubted_seen = s->seen + 1;
    } else {
        s->doubted_seen = 0;
        s->proven_ms = s->started_ms;
        s->proven_seen = s->seen;
        s->was_whole = s->was_whole || s->is_whole;
    }
    s->phase = SCAN_IDLE;
    s->ended_ms = (uint64_t)now_ms;
    s->is_asked = 0;
}
