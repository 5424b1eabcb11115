#include "tests/bucketd/store.h"

#include "daemon/base/mem.h"

#include <stdio.h>

static bool parse(struct span spec, struct span parts[4])
{
    /* COUNT and SIZE hold no colon, a prefix may. */
    for (size_t i = 3; i >= 2; i--) {
        size_t at = spec.len;
        while (at > 0 && spec.ptr[at - 1] != ':') {
            at--;
        }
        if (at == 0) {
            return false;
        }
        parts[i] = span_skip(spec, at);
        spec.len = at - 1;
    }
    parts[0] = span_cut(&spec, ':');
    parts[1] = spec;
    return spec.ptr != NULL;
}

static struct object *new_object(const struct store *store, struct body *body, size_t size)
{
    unsigned char digest[16];
    struct buf etag = {0};
    checksum_once(store->checksums, CHECKSUM_MD5, span_of(body->data, size), digest);
    buf_hex(&etag, digest, sizeof(digest));
    struct object *object = object_new();
    snprintf(object->etag, sizeof(object->etag), "%s", buf_cstr(&etag));
    buf_done(&etag);
    bag_add(&object->headers, span_str("content-type"), span_str("application/octet-stream"));
    object_add_segment(object, body, size);
    return object;
}

/* All objects of one bucket share one content, so that their ETag is computed once. */
bool synth_fill(struct store *store, const char *spec, int64_t now_ms)
{
    struct span parts[4];
    unsigned long long count, size;
    if (!parse(span_str(spec), parts) || span_to_u64(parts[2], &count) != 0 ||
        span_to_u64(parts[3], &size) != 0) {
        return false;
    }
    struct body *body = body_new_pattern(size);
    if (body == NULL) {
        return false;
    }
    store_make_bucket(store, parts[0], now_ms);
    struct object *object = new_object(store, body, size);
    object->mtime_ms = now_ms;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, parts[0]);
    for (unsigned long long i = 0; i < count; i++) {
        char *key = mem_printf("%.*s%08llu", SPAN_ARG(parts[1]), i);
        object_unref(map_put(&bucket->objects, span_str(key), object_ref(object)));
        mem_free(key);
    }
    store_unlock(store);
    object_unref(object);
    return true;
}
