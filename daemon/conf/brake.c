#include "daemon/conf/brake.h"

#include "daemon/conf/conf.h"

#include <inttypes.h>

#define WINDOW_LEAST_MS 60000
#define WINDOW_MOST_MS  86400000
#define BRAKE_HINT      "write 1000 or 10% in 10min; 1000 in 1h; 10% in 10min; or off"

/* "1000" or "10%". */
static const char *add_measure(struct brake_limit *l, struct span text)
{
    unsigned long long n = 0;
    bool is_share = span_ends_with(text, span_str("%"));
    if (span_to_u64(span_of(text.ptr, text.len - is_share), &n) != 0 || n == 0) {
        return "has something that is neither a number of deletes nor a share in %";
    }
    if (is_share && n > 100) {
        return "has a share of more than 100%";
    }
    if (is_share ? l->percent != 0 : l->count != 0) {
        return "has two numbers of a kind";
    }
    if (is_share) {
        l->percent = (unsigned)n;
    } else {
        l->count = n;
    }
    return NULL;
}

/* What stands behind `word`, with *text cut before it; absent when it does not stand there. */
static struct span cut_word(struct span *text, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= text->len; i++) {
        if (memcmp(text->ptr + i, word, n) == 0) {
            struct span rest = span_skip(*text, i + n);
            text->len = i;
            return rest;
        }
    }
    return (struct span){0};
}

static const char *parse(struct span text, struct brake_limit *l)
{
    struct fail ignored = {0};
    struct span window = span_trim(cut_word(&text, " in "));
    struct span second = span_trim(cut_word(&text, " or "));
    if (window.len == 0 || conf_parse_duration(window, &l->window_ms, &ignored) != 0) {
        return "does not end with a window of time, like in 10min";
    }
    if (l->window_ms < WINDOW_LEAST_MS || l->window_ms > WINDOW_MOST_MS) {
        return "has a window of less than a minute or more than a day";
    }
    const char *wrong = add_measure(l, span_trim(text));
    return wrong == NULL && second.ptr != NULL ? add_measure(l, second) : wrong;
}

int brake_limit_parse(struct span text, struct arena *a, void *ret_limit, struct fail *f)
{
    struct brake_limit l = {0};
    struct span trimmed = span_trim(text);
    bool off = span_eq_str(trimmed, "off");
    const char *wrong = off ? NULL : parse(trimmed, &l);
    if (wrong != NULL) {
        struct span shown = span_of(trimmed.ptr, trimmed.len > 60 ? 60 : trimmed.len);
        fail_set(f, REPL_EBADINPUT, "\"%.*s\" %s", SPAN_ARG(shown), wrong);
        fail_hint(f, "%s", BRAKE_HINT);
        return REPL_EBADINPUT;
    }
    l.text = off ? NULL : arena_span(a, trimmed).ptr;
    *(struct brake_limit *)ret_limit = l;
    return 0;
}

void brake_limit_print(const void *limit, struct buf *to)
{
    const struct brake_limit *l = limit;
    buf_str(to, l->text != NULL ? l->text : "off");
}

bool brake_limit_is_passed(const struct brake_limit *l, uint64_t deletes, uint64_t objects,
                           struct buf *why)
{
    bool many = l->count > 0 && deletes > l->count;
    bool share = l->percent > 0 && deletes > BRAKE_SHARE_LEAST &&
                 (double)deletes * 100 > (double)objects * l->percent;
    if ((many || share) && why != NULL) {
        buf_printf(why, "%" PRIu64 " deletes", deletes);
        if (!many) {
            buf_printf(why, " of %" PRIu64 " objects", objects);
        }
        buf_printf(why, " are more than %s allows", l->text);
    }
    return many || share;
}
