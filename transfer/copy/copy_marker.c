/* What the destination gets besides the bytes: preserved metadata, and the marker by which an
 * object of ours is recognised: "instance;bucket;key;size;etag;version;mtime". It counts only if it
 * names exactly this bucket, key, size and ETag: users copy objects with their metadata. */
#include "transfer/copy/copy_impl.h"

#include "daemon/base/buf.h"

#include <openssl/evp.h>
#include <stdio.h>

#define MARKER_KEY_MAX 384 /* bytes, escaped; a longer key stands as its hash */

static bool is_plain_char(unsigned char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '/' || ch == '.' || ch == '-' || ch == '_' || ch == '=';
}

static void put_escaped(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (is_plain_char(ch)) {
            buf_char(b, (char)ch);
        } else {
            buf_printf(b, "%%%02X", ch);
        }
    }
}

static void put_hash(struct buf *b, struct span s)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(s.ptr, s.len, digest, &len, EVP_sha256(), NULL) == 1) {
        buf_str(b, "sha256:");
        buf_hex(b, digest, 16);
    }
}

static void put_key(struct buf *b, struct span key)
{
    struct buf escaped = {0};
    put_escaped(&escaped, key);
    if (escaped.len <= MARKER_KEY_MAX) {
        buf_span(b, buf_view(&escaped));
    } else {
        put_hash(b, key);
    }
    buf_done(&escaped);
}

/* The part that must agree, with its separators: from the bucket to the version. */
static void put_name(struct buf *b, const struct copy *c)
{
    buf_char(b, ';');
    put_escaped(b, c->job.from_bucket);
    buf_char(b, ';');
    put_key(b, c->job.from_key);
    buf_printf(b, ";%llu;", (unsigned long long)c->source.size);
    put_escaped(b, c->source.etag);
    buf_char(b, ';');
    put_escaped(b, c->source.version_id);
    buf_char(b, ';');
}

struct span copy_marker_make(struct copy *c)
{
    struct buf b = {0};
    put_escaped(&b, c->job.instance);
    put_name(&b, c);
    buf_printf(&b, "%lld", (long long)c->source.mtime_ms);
    struct span marker = arena_span(&c->arena, buf_view(&b));
    buf_done(&b);
    return marker;
}

bool copy_marker_is_ours(const struct copy *c, struct span found)
{
    (void)span_cut(&found, ';'); /* the instance: whoever wrote it, it is this version */
    struct buf name = {0};
    put_name(&name, c);
    if (c->source.mtime_ms != 0) { /* not known of an upload of an earlier life */
        buf_printf(&name, "%lld", (long long)c->source.mtime_ms);
    }
    struct span want = span_skip(buf_view(&name), 1);
    bool same = c->source.mtime_ms != 0 ? span_eq(found, want) : span_starts_with(found, want);
    buf_done(&name);
    return same;
}

/* ---- whose object it is ---- */

static struct span marker_of(const struct store_object *o)
{
    for (size_t i = 0; i < o->meta.user_count; i++) {
        if (span_eq_nocase(o->meta.user[i].name, COPY_MARKER_NAME)) {
            return o->meta.user[i].value;
        }
    }
    return (struct span){0};
}

static bool is_escaped(struct span escaped, struct span plain)
{
    struct buf b = {0};
    put_escaped(&b, plain);
    bool same = span_eq(buf_view(&b), escaped);
    buf_done(&b);
    return same;
}

/* Cuts "bucket;key;size;" off where it stands there. */
static bool cut_place(struct span *marker, struct span bucket, struct span key, uint64_t size)
{
    struct buf want = {0};
    put_escaped(&want, bucket);
    buf_char(&want, ';');
    put_key(&want, key);
    buf_printf(&want, ";%llu;", (unsigned long long)size);
    bool is_there = span_starts_with(*marker, buf_view(&want));
    if (is_there) {
        *marker = span_skip(*marker, want.len);
    }
    buf_done(&want);
    return is_there;
}

static bool may_be_copied(const struct copy *c, struct span from, struct span to)
{
    bool comparable = c->job.from->features.put_etag_is_md5 &&
                      c->job.to->features.put_etag_is_md5 && copy_etag_is_md5(from) &&
                      copy_etag_is_md5(to);
    return !comparable || span_eq(from, to);
}

bool copy_trace_read(const struct copy *c, const struct store_object *o, enum copy_side side,
                     struct copy_trace *ret)
{
    const struct copy_job *job = &c->job;
    struct span marker = marker_of(o);
    if (marker.len == 0) {
        return false;
    }
    (void)span_cut(&marker, ';'); /* the instance */
    bool named = side == COPY_SOURCE ? cut_place(&marker, job->to_bucket, job->to_key, o->size)
                                     : cut_place(&marker, job->from_bucket, job->from_key, o->size);
    ret->etag = span_cut(&marker, ';');
    (void)span_cut(&marker, ';'); /* the version */
    unsigned long long mtime_ms = 0;
    bool sound = marker.ptr != NULL && span_to_u64(marker, &mtime_ms) == 0;
    ret->mtime_ms = (int64_t)mtime_ms;
    return named && sound && may_be_copied(c, ret->etag, o->etag);
}

bool copy_trace_is_of(const struct copy_trace *trace, const struct store_object *o)
{
    return is_escaped(trace->etag, o->etag);
}

static size_t user_bytes(const struct store_meta *meta)
{
    size_t bytes = 0;
    for (size_t i = 0; i < meta->user_count; i++) {
        bytes += meta->user[i].name.len + meta->user[i].value.len;
    }
    return bytes;
}

static void add_user(struct store_pair *to, size_t *count, struct span name, struct span value)
{
    to[*count] = (struct store_pair){.name = name, .value = value};
    *count += 1;
}

bool copy_marker_fits(struct copy *c)
{
    const struct store_meta *from = &c->source.meta;
    struct span old = marker_of(&c->source);
    size_t bytes = user_bytes(from) + copy_marker_make(c).len;
    bytes -= old.ptr != NULL ? old.len : 0;
    bytes += old.ptr != NULL ? 0 : strlen(COPY_MARKER_NAME);
    return bytes <= COPY_USER_META_MAX;
}

/* User metadata of the source without a marker that came along, and ours where it fits. */
static void make_user(struct copy *c)
{
    const struct store_meta *from = &c->source.meta;
    struct store_pair *user =
        arena_alloc(&c->arena, (from->user_count + 1) * sizeof(struct store_pair));
    size_t count = 0;
    for (size_t i = 0; i < from->user_count; i++) {
        if (!span_eq_nocase(from->user[i].name, COPY_MARKER_NAME)) {
            add_user(user, &count, from->user[i].name, from->user[i].value);
        }
    }
    c->meta.user = user;
    c->meta.user_count = count;
    c->marker = (struct span){0};
    if (!c->job.marker) {
        return;
    }
    struct span marker = copy_marker_make(c);
    struct span name = span_str(COPY_MARKER_NAME);
    if (user_bytes(&c->meta) + name.len + marker.len > COPY_USER_META_MAX) {
        c->lost_meta++;
        return;
    }
    add_user(user, &count, name, marker);
    c->meta.user_count = count;
    c->marker = marker;
}

void copy_meta_make(struct copy *c)
{
    c->meta = c->source.meta;
    c->lost_meta += c->source.missing_meta;
    if (c->job.storage_class.len > 0) {
        c->meta.storage_class = c->job.storage_class;
    }
    c->meta.tags = c->tags;
    c->meta.tag_count = c->tag_count;
    c->meta_is_known = true;
    make_user(c);
}
