#include "tests/bucketd/store.h"

#include "daemon/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void upload_free(struct upload *upload)
{
    for (size_t i = 0; i < upload->part_count; i++) {
        body_unref(upload->parts[i].body);
    }
    object_unref(upload->object);
    mem_free(upload->parts);
    mem_free(upload->key);
    mem_free(upload);
}

/* The key of the map of uploads; mem_free() it. */
static struct span upload_name(struct span key, struct span id)
{
    struct buf name = {0};
    buf_span(&name, key);
    buf_char(&name, '\0');
    buf_span(&name, id);
    size_t len = name.len;
    return span_of(buf_take(&name), len);
}

static void free_name(struct span name)
{
    mem_free((void *)(uintptr_t)name.ptr);
}

struct upload *store_upload(struct bucket *bucket, struct span key, struct span id)
{
    struct span name = upload_name(key, id);
    struct upload *upload = map_find(&bucket->uploads, name);
    free_name(name);
    return upload;
}

static struct upload *take_upload(struct bucket *bucket, struct span key, struct span id)
{
    struct span name = upload_name(key, id);
    struct upload *upload = map_remove(&bucket->uploads, name);
    free_name(name);
    return upload;
}

enum s3_error store_begin_upload(struct store *store, struct span bucket_name, struct span key,
                                 struct object *object, char *ret_id)
{
    unsigned long long serial = atomic_fetch_add(&store->next_id, 1);
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    if (bucket != NULL) {
        struct upload *upload = MEM_NEW(struct upload);
        snprintf(upload->id, sizeof(upload->id), "%016llx%016llx",
                 (unsigned long long)object->mtime_ms, serial);
        upload->key = mem_dup_span(key);
        upload->key_len = key.len;
        upload->started_ms = object->mtime_ms;
        upload->object = object;
        struct span name = upload_name(key, span_str(upload->id));
        map_put(&bucket->uploads, name, upload);
        free_name(name);
        memcpy(ret_id, upload->id, sizeof(upload->id));
        atomic_fetch_add(&store->open_uploads, 1);
    }
    store_unlock(store);
    if (bucket == NULL) {
        object_unref(object);
        return S3_NoSuchBucket;
    }
    return S3_OK;
}

static size_t part_index(const struct upload *upload, unsigned number)
{
    size_t low = 0, high = upload->part_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (upload->parts[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct part *find_part(const struct upload *upload, unsigned number)
{
    size_t at = part_index(upload, number);
    bool is_found = at < upload->part_count && upload->parts[at].number == number;
    return is_found ? &upload->parts[at] : NULL;
}

static struct body *put_part(struct upload *upload, const struct part *part)
{
    struct part *old = find_part(upload, part->number);
    if (old != NULL) {
        struct body *body = old->body;
        *old = *part;
        return body;
    }
    if (upload->part_count == upload->part_cap) {
        upload->part_cap = upload->part_cap == 0 ? 16 : upload->part_cap * 2;
        upload->parts = mem_realloc(upload->parts, upload->part_cap * sizeof(struct part));
    }
    size_t at = part_index(upload, part->number);
    memmove(upload->parts + at + 1, upload->parts + at,
            (upload->part_count - at) * sizeof(struct part));
    upload->parts[at] = *part;
    upload->part_count++;
    return NULL;
}

enum s3_error store_put_part(struct store *store, struct span bucket_name, struct span key,
                             struct span id, const struct part *part)
{
    struct body *unwanted = part->body;
    enum s3_error error = S3_NoSuchUpload;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    struct upload *upload = bucket != NULL ? store_upload(bucket, key, id) : NULL;
    if (bucket == NULL) {
        error = S3_NoSuchBucket;
    } else if (upload != NULL) {
        unwanted = put_part(upload, part);
        error = S3_OK;
    }
    store_unlock(store);
    body_unref(unwanted);
    return error;
}

enum s3_error store_abort_upload(struct store *store, struct span bucket_name, struct span key,
                                 struct span id)
{
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    struct upload *upload = bucket != NULL ? take_upload(bucket, key, id) : NULL;
    store_unlock(store);
    if (bucket == NULL) {
        return S3_NoSuchBucket;
    }
    if (upload == NULL) {
        return S3_NoSuchUpload;
    }
    atomic_fetch_sub(&store->open_uploads, 1);
    upload_free(upload);
    return S3_OK;
}

static bool is_wanted(const struct part *part, const struct part *wanted)
{
    const struct checksum *checksum = &wanted->checksum;
    return part != NULL && strcmp(wanted->etag, part->etag) == 0 &&
           (checksum->alg == CHECKSUM_NONE || (checksum->alg == part->checksum.alg &&
                                               strcmp(checksum->text, part->checksum.text) == 0));
}

static enum s3_error check_parts(const struct store *store, const struct upload *upload,
                                 const struct completion *c)
{
    for (size_t i = 1; i < c->wanted_count; i++) {
        if (c->wanted[i].number <= c->wanted[i - 1].number) {
            return S3_InvalidPartOrder;
        }
    }
    for (size_t i = 0; i < c->wanted_count; i++) {
        if (!is_wanted(find_part(upload, c->wanted[i].number), &c->wanted[i])) {
            return S3_InvalidPart;
        }
    }
    for (size_t i = 0; i + 1 < c->wanted_count; i++) {
        if (find_part(upload, c->wanted[i].number)->size < store->min_part_bytes) {
            return S3_EntityTooSmall;
        }
    }
    return S3_OK;
}

static void hex_to_bytes(unsigned char *out, const char *hex, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (unsigned char)strtoul(two, NULL, 16);
    }
}

/* "md5 of the parts' md5"-N. */
static void join_etags(const struct store *store, struct part *const *parts, size_t count,
                       struct object *object)
{
    struct checksum_run run;
    unsigned char digest[16];
    checksum_start(&run, store->checksums, CHECKSUM_MD5);
    for (size_t i = 0; i < count; i++) {
        hex_to_bytes(digest, parts[i]->etag, sizeof(digest));
        checksum_update(&run, digest, sizeof(digest));
    }
    checksum_finish(&run, digest);
    struct buf text = {0};
    buf_hex(&text, digest, sizeof(digest));
    snprintf(object->etag, sizeof(object->etag), "%s-%zu", buf_cstr(&text), count);
    buf_done(&text);
}

/* False when a part has no checksum of the kind that the upload was begun with. */
static bool join_checksums(const struct store *store, struct part *const *parts, size_t count,
                           struct object *object)
{
    struct checksum *whole = &object->checksum;
    unsigned char digest[CHECKSUM_MAX_BYTES], sum[CHECKSUM_MAX_BYTES] = {0};
    size_t size = checksum_size(whole->alg);
    struct checksum_run run;
    checksum_start(&run, store->checksums, whole->is_composite ? whole->alg : CHECKSUM_CRC32);
    for (size_t i = 0; i < count; i++) {
        if (parts[i]->checksum.alg != whole->alg ||
            !checksum_from_base64(span_str(parts[i]->checksum.text), digest, size)) {
            checksum_abort(&run);
            return false;
        }
        if (whole->is_composite) {
            checksum_update(&run, digest, size);
        } else if (i == 0) {
            memcpy(sum, digest, size);
        } else {
            checksum_combine(whole->alg, sum, digest, parts[i]->size);
        }
    }
    if (whole->is_composite) {
        checksum_finish(&run, sum);
    }
    checksum_abort(&run);
    checksum_base64(whole->text, sum, size);
    if (whole->is_composite) {
        size_t len = strlen(whole->text);
        snprintf(whole->text + len, sizeof(whole->text) - len, "-%zu", count);
    }
    return true;
}

/* Makes the object from the parts that were chosen; the upload keeps references of its own. */
static enum s3_error build_object(const struct store *store, struct upload *upload,
                                  const struct completion *c, struct object *object)
{
    struct part **parts = mem_array(c->wanted_count, sizeof(struct part *));
    for (size_t i = 0; i < c->wanted_count; i++) {
        parts[i] = find_part(upload, c->wanted[i].number);
        struct body *body = parts[i]->body;
        object_add_segment(object, body != NULL ? body_ref(body) : NULL, parts[i]->size);
    }
    join_etags(store, parts, c->wanted_count, object);
    bool is_good = object->checksum.alg == CHECKSUM_NONE ||
                   join_checksums(store, parts, c->wanted_count, object);
    mem_free(parts);
    return is_good ? S3_OK : S3_InvalidRequest;
}

static struct object *begin_object(const struct upload *upload, int64_t now_ms)
{
    struct object *object = object_new();
    object->mtime_ms = now_ms;
    object->checksum = upload->object->checksum;
    bag_copy(&object->headers, &upload->object->headers);
    bag_copy(&object->tags, &upload->object->tags);
    return object;
}

static enum s3_error complete_locked(struct store *store, struct bucket *bucket,
                                     const struct completion *c, struct object **ret_object)
{
    struct upload *upload = store_upload(bucket, c->key, c->id);
    if (upload == NULL) {
        return S3_NoSuchUpload;
    }
    enum s3_error error = check_parts(store, upload, c);
    if (error == S3_OK) {
        error = store_check_condition(map_find(&bucket->objects, c->key), &c->condition);
    }
    if (error != S3_OK) {
        return error;
    }
    struct object *object = begin_object(upload, c->now_ms);
    error = build_object(store, upload, c, object);
    if (error == S3_OK &&
        !(folder_join(store, object) && folder_save(store, bucket->name, c->key, object))) {
        error = S3_InternalError;
    }
    if (error != S3_OK) {
        object_unref(object);
        return error;
    }
    struct object *old = map_put(&bucket->objects, c->key, object_ref(object));
    if (old != NULL) {
        folder_remove(store, bucket->name, old);
        object_unref(old);
    }
    upload_free(take_upload(bucket, c->key, c->id));
    atomic_fetch_sub(&store->open_uploads, 1);
    *ret_object = object;
    return S3_OK;
}

enum s3_error store_complete_upload(struct store *store, const struct completion *completion,
                                    struct object **ret_object)
{
    store_lock(store);
    struct bucket *bucket = store_bucket(store, completion->bucket);
    enum s3_error error = S3_NoSuchBucket;
    if (bucket != NULL) {
        error = complete_locked(store, bucket, completion, ret_object);
    }
    store_unlock(store);
    return error;
}
