#include "daemon/rules/rules.h"

/* Where matching goes on after a mismatch: the last `*` and the last `**` seen. One of each is
 * enough: what an earlier one could give up, a later one can take. No recursion, so that no pattern
 * is slow: at most pattern x text steps for each kind. */
struct retry {
    bool set;
    bool whole_names; /* `**` with a '/' behind it: goes on at the start of names only */
    size_t pattern;   /* behind the star */
    size_t text;      /* what the star has taken ends here */
};

struct glob {
    struct span pattern;
    struct span text;
    size_t p;
    size_t t;
    struct retry star;
    struct retry stars;
};

/* The class that begins at pattern[p] == '[': its end behind ']', 0 when it has none. */
static size_t class_end(struct span pattern, size_t p)
{
    size_t at = p + 1;
    if (at < pattern.len && (pattern.ptr[at] == '!' || pattern.ptr[at] == '^')) {
        at++;
    }
    for (at++; at < pattern.len; at++) {
        if (pattern.ptr[at] == ']') {
            return at + 1;
        }
    }
    return 0;
}

/* set: what stands between the brackets. */
static bool class_holds(struct span set, unsigned char c)
{
    bool negated = set.len > 0 && (set.ptr[0] == '!' || set.ptr[0] == '^');
    bool found = false;
    for (size_t i = negated ? 1 : 0; i < set.len; i++) {
        unsigned char low = (unsigned char)set.ptr[i];
        unsigned char high = low;
        if (i + 2 < set.len && set.ptr[i + 1] == '-') {
            high = (unsigned char)set.ptr[i + 2];
            i += 2;
        }
        found = found || (c >= low && c <= high);
    }
    return found != negated && c != '/';
}

/* One element that is no star against one byte; moves both on. */
static bool take_one(struct glob *g)
{
    if (g->p >= g->pattern.len || g->t >= g->text.len) {
        return false;
    }
    char want = g->pattern.ptr[g->p];
    char got = g->text.ptr[g->t];
    size_t end = want == '[' ? class_end(g->pattern, g->p) : 0;
    bool good = want == got;
    size_t next = g->p + 1;
    if (want == '?') {
        good = got != '/';
    } else if (end != 0) {
        struct span set = span_of(g->pattern.ptr + g->p + 1, end - g->p - 2);
        good = class_holds(set, (unsigned char)got);
        next = end;
    } else if (want == '\\' && next < g->pattern.len) {
        good = g->pattern.ptr[next] == got;
        next++;
    }
    if (good) {
        g->p = next;
        g->t++;
    }
    return good;
}

static void enter_star(struct glob *g)
{
    size_t run = 0;
    while (g->p + run < g->pattern.len && g->pattern.ptr[g->p + run] == '*') {
        run++;
    }
    bool name_starts = g->p == 0 || g->pattern.ptr[g->p - 1] == '/';
    g->p += run;
    if (run == 1) {
        g->star = (struct retry){.set = true, .pattern = g->p, .text = g->t};
        return;
    }
    bool slash = g->p < g->pattern.len && g->pattern.ptr[g->p] == '/';
    bool whole = name_starts && slash;
    g->p += whole ? 1 : 0;
    g->star.set = false;
    g->stars = (struct retry){.set = true, .whole_names = whole, .pattern = g->p, .text = g->t};
}

static bool widen_star(struct glob *g)
{
    if (!g->star.set || g->star.text >= g->text.len || g->text.ptr[g->star.text] == '/') {
        return false;
    }
    g->p = g->star.pattern;
    g->t = ++g->star.text;
    return true;
}

static bool widen_stars(struct glob *g)
{
    if (!g->stars.set || g->stars.text >= g->text.len) {
        return false;
    }
    size_t at = g->stars.text;
    if (g->stars.whole_names) {
        const char *slash = memchr(g->text.ptr + at, '/', g->text.len - at);
        if (slash == NULL) {
            return false;
        }
        at = (size_t)(slash - g->text.ptr);
    }
    g->stars.text = at + 1;
    g->star.set = false;
    g->p = g->stars.pattern;
    g->t = g->stars.text;
    return true;
}

bool rules_glob(struct span pattern, struct span text)
{
    struct glob g = {.pattern = pattern, .text = text};
    while (g.p < pattern.len || g.t < text.len) {
        if (g.p < pattern.len && pattern.ptr[g.p] == '*') {
            enter_star(&g);
        } else if (!take_one(&g) && !widen_star(&g) && !widen_stars(&g)) {
            return false;
        }
    }
    return true;
}
