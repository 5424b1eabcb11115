/* version_mark: a source version, or delete marker, of a key that a rule with `versions: all` is
 * done with. The journal keeps the newest ones of a key in the order in which they were done, which
 * is the order of the source's listing: what stands above all of them there is not done yet. */
#ifndef REPL_JOURNAL_VERSION_MARK_H
#define REPL_JOURNAL_VERSION_MARK_H

#include "daemon/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define VERSION_MARKS_MAX      64   /* kept of a key */
#define VERSION_MARKS_SLACK_MS 2000 /* a header's time has seconds, a listing's may have more */

struct version_mark {
    struct span version_id; /* "null" where it has none */
    struct span etag;       /* absent of a delete marker */
    int64_t mtime_ms;
    bool is_marker;
    struct span dest_version; /* what it became; absent: not known, or nothing */
};

/* "null" is the name of many versions in turn, which only time and bytes tell apart. */
static inline bool version_mark_is(const struct version_mark *m, struct span version_id,
                                   struct span etag, int64_t mtime_ms)
{
    bool is_named = !span_eq_str(version_id, "null");
    int64_t apart_ms = m->mtime_ms < mtime_ms ? mtime_ms - m->mtime_ms : m->mtime_ms - mtime_ms;
    return version_id.len > 0 && span_eq(m->version_id, version_id) &&
           (is_named || (apart_ms < VERSION_MARKS_SLACK_MS && span_eq(m->etag, etag)));
}

#endif
