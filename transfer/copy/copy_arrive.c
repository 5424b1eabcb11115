/* Is what the destination shows the version that was, or would be, written? */
#include "transfer/copy/copy_impl.h"

#include "daemon/base/buf.h"

#include <openssl/evp.h>

/* Times are whole seconds: an object that was replaced in the second in which it was read looks
 * like the one that was read. The other second is for servers whose clocks differ. */
#define RACY_MS 2000

bool copy_is_settled(int64_t mtime_ms, int64_t read_ms)
{
    return mtime_ms != 0 && read_ms - mtime_ms >= RACY_MS;
}

/* ---- by its ETag ---- */

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }
    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }
    return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

bool copy_etag_is_md5(struct span etag)
{
    bool is = etag.len == 32;
    for (size_t i = 0; is && i < etag.len; i++) {
        is = hex_digit(etag.ptr[i]) >= 0;
    }
    return is;
}

static void put_digest(struct buf *b, struct span etag)
{
    for (size_t i = 0; i < 32; i += 2) {
        buf_char(b, (char)(hex_digit(etag.ptr[i]) * 16 + hex_digit(etag.ptr[i + 1])));
    }
}

/* The ETag that S3 gives a completed upload: MD5 of the parts' MD5s and their number. */
static bool is_etag_of_parts(const struct copy *c, struct span etag)
{
    struct buf digests = {0}, want = {0};
    bool known = c->parts != NULL;
    for (uint32_t i = 0; known && i < c->plan.part_count; i++) {
        known = copy_etag_is_md5(c->parts[i].etag);
        if (known) {
            put_digest(&digests, c->parts[i].etag);
        }
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    known = known && EVP_Digest(digests.data, digests.len, digest, &len, EVP_md5(), NULL) == 1;
    if (known) {
        buf_hex(&want, digest, len);
        buf_printf(&want, "-%u", c->plan.part_count);
        known = span_eq_nocase(etag, buf_cstr(&want));
    }
    buf_done(&digests);
    buf_done(&want);
    return known;
}

static bool is_etag_of_ours(const struct copy *c, struct span etag)
{
    if (c->upload_is_open) {
        return is_etag_of_parts(c, etag);
    }
    return copy_etag_is_md5(c->source.etag) && span_eq(c->source.etag, etag);
}

/* ---- by its metadata ---- */

static const struct span *find_user(const struct store_meta *meta, struct span name)
{
    for (size_t i = 0; i < meta->user_count; i++) {
        struct span other = meta->user[i].name;
        if (other.len == name.len && strncasecmp(other.ptr, name.ptr, name.len) == 0) {
            return &meta->user[i].value;
        }
    }
    return NULL;
}

static size_t count_user(const struct store_meta *meta)
{
    return meta->user_count - (find_user(meta, span_str(COPY_MARKER_NAME)) != NULL ? 1 : 0);
}

static bool is_same_user(const struct store_meta *ours, const struct store_meta *there)
{
    if (count_user(ours) != count_user(there)) {
        return false;
    }
    for (size_t i = 0; i < ours->user_count; i++) {
        const struct store_pair *pair = &ours->user[i];
        const struct span *value = find_user(there, pair->name);
        if (!span_eq_nocase(pair->name, COPY_MARKER_NAME) &&
            (value == NULL || !span_eq(*value, pair->value))) {
            return false;
        }
    }
    return true;
}

static struct span class_of(const struct store_meta *meta)
{
    return meta->storage_class.len > 0 ? meta->storage_class : span_str("STANDARD");
}

/* Servers put something of their own in the place of a type that is not given. */
static bool is_same_type(struct span ours, struct span there)
{
    return ours.len == 0 || span_eq(ours, there);
}

static bool is_same_meta(const struct store_meta *ours, const struct store_meta *there)
{
    return is_same_type(ours->content_type, there->content_type) &&
           span_eq(ours->cache_control, there->cache_control) &&
           span_eq(ours->content_disposition, there->content_disposition) &&
           span_eq(ours->content_encoding, there->content_encoding) &&
           span_eq(ours->content_language, there->content_language) &&
           span_eq(ours->expires, there->expires) &&
           span_eq(ours->website_redirect, there->website_redirect) &&
           span_eq(class_of(ours), class_of(there)) && is_same_user(ours, there);
}

bool copy_has_same_meta(const struct copy *c, const struct store_object *dest)
{
    return is_same_meta(&c->meta, &dest->meta);
}

/* A HEAD does not show tags. */
static bool has_certain_meta(const struct copy *c, const struct store_object *dest)
{
    return c->source.tag_count == 0 && copy_has_same_meta(c, dest);
}

/* ---- all together ---- */

static struct span marker_of(const struct store_object *dest)
{
    const struct span *found = find_user(&dest->meta, span_str(COPY_MARKER_NAME));
    return found != NULL ? *found : (struct span){0};
}

/* What an upload of an earlier life was given is not known: its owner compares with the source once
 * more. */
bool copy_is_arrived(const struct copy *c, const struct store_object *dest)
{
    struct span marker = marker_of(dest);
    bool same_meta = !c->meta_is_known || has_certain_meta(c, dest);
    if (dest->size != c->source.size) {
        return false;
    }
    if (marker.len > 0 || c->marker.len > 0) {
        bool is_settled = copy_is_settled(c->source.mtime_ms, c->source.read_ms);
        return copy_marker_is_ours(c, marker) && (is_settled || same_meta);
    }
    return is_etag_of_ours(c, dest->etag) && same_meta;
}

bool copy_is_same(const struct copy *c, const struct store_object *dest)
{
    struct span marker = marker_of(dest);
    return dest->size == c->source.size && (marker.len == 0 || copy_marker_is_ours(c, marker)) &&
           has_certain_meta(c, dest);
}
