#include "tests/bucketd/store.h"

#include "daemon/base/mem.h"

struct object *object_new(void)
{
    struct object *object = MEM_NEW(struct object);
    atomic_init(&object->refs, 1);
    return object;
}

struct object *object_ref(struct object *object)
{
    atomic_fetch_add(&object->refs, 1);
    return object;
}

void object_unref(struct object *object)
{
    if (object == NULL || atomic_fetch_sub(&object->refs, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < object->segment_count; i++) {
        body_unref(object->segments[i].body);
    }
    mem_free(object->segments);
    bag_done(&object->headers);
    bag_done(&object->tags);
    mem_free(object);
}

void object_add_segment(struct object *object, struct body *body, size_t size)
{
    size_t count = object->segment_count;
    if ((count & (count - 1)) == 0) {
        size_t cap = count == 0 ? 1 : count * 2;
        object->segments = mem_realloc(object->segments, cap * sizeof(struct segment));
    }
    object->segments[object->segment_count++] = (struct segment){.body = body, .size = size};
    object->size += size;
}

static struct object *object_clone(const struct object *from)
{
    struct object *object = object_new();
    object->mtime_ms = from->mtime_ms;
    object->checksum = from->checksum;
    memcpy(object->etag, from->etag, sizeof(object->etag));
    bag_copy(&object->headers, &from->headers);
    for (size_t i = 0; i < from->segment_count; i++) {
        struct segment s = from->segments[i];
        object_add_segment(object, s.body != NULL ? body_ref(s.body) : NULL, s.size);
    }
    return object;
}

bool store_init(struct store *store, const char *folder, const struct checksum_env *checksums)
{
    *store = (struct store){.checksums = checksums};
    pthread_mutex_init(&store->lock, NULL);
    store->min_part_bytes = 5 << 20; /* S3: 5 MiB, but for the last part */
    atomic_init(&store->next_id, 1);
    if (folder == NULL) {
        return true;
    }
    store->folder = mem_strdup(folder);
    return folder_load(store);
}

static void free_bucket(struct bucket *bucket)
{
    for (struct map_node *n = bucket->objects.head[0]; n != NULL; n = map_next(n)) {
        object_unref(n->value);
    }
    for (struct map_node *n = bucket->uploads.head[0]; n != NULL; n = map_next(n)) {
        upload_free(n->value);
    }
    map_done(&bucket->objects);
    map_done(&bucket->uploads);
    mem_free(bucket->name);
    mem_free(bucket);
}

void store_done(struct store *store)
{
    for (struct map_node *n = store->buckets.head[0]; n != NULL; n = map_next(n)) {
        free_bucket(n->value);
    }
    map_done(&store->buckets);
    mem_free(store->folder);
    pthread_mutex_destroy(&store->lock);
}

struct body *store_new_body(struct store *store, size_t size)
{
    return store->folder != NULL ? folder_new_body(store, size) : body_new(size);
}

void store_lock(struct store *store)
{
    pthread_mutex_lock(&store->lock);
}

void store_unlock(struct store *store)
{
    pthread_mutex_unlock(&store->lock);
}

struct bucket *store_bucket(struct store *store, struct span name)
{
    return map_find(&store->buckets, name);
}

enum s3_error store_make_bucket(struct store *store, struct span name, int64_t now_ms)
{
    enum s3_error error = S3_BucketAlreadyOwnedByYou;
    store_lock(store);
    if (store_bucket(store, name) == NULL) {
        struct bucket *bucket = MEM_NEW(struct bucket);
        bucket->name = mem_dup_span(name);
        bucket->created_ms = now_ms;
        map_put(&store->buckets, name, bucket);
        folder_make_bucket(store, bucket->name);
        error = S3_OK;
    }
    store_unlock(store);
    return error;
}

enum s3_error store_drop_bucket(struct store *store, struct span name)
{
    enum s3_error error = S3_OK;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, name);
    if (bucket == NULL) {
        error = S3_NoSuchBucket;
    } else if (bucket->objects.count > 0) {
        error = S3_BucketNotEmpty;
    } else {
        map_remove(&store->buckets, name);
        atomic_fetch_sub(&store->open_uploads, bucket->uploads.count);
        folder_drop_bucket(store, bucket->name);
        free_bucket(bucket);
    }
    store_unlock(store);
    return error;
}

enum s3_error store_check_bucket(struct store *store, struct span name)
{
    store_lock(store);
    bool is_there = store_bucket(store, name) != NULL;
    store_unlock(store);
    return is_there ? S3_OK : S3_NoSuchBucket;
}

enum s3_error store_get(struct store *store, struct span bucket_name, struct span key,
                        struct object **ret_object)
{
    enum s3_error error = S3_OK;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    struct object *object = bucket != NULL ? map_find(&bucket->objects, key) : NULL;
    if (bucket == NULL) {
        error = S3_NoSuchBucket;
    } else if (object == NULL) {
        error = S3_NoSuchKey;
    } else {
        *ret_object = object_ref(object);
    }
    store_unlock(store);
    return error;
}

enum s3_error store_check_condition(struct object *current, const struct condition *condition)
{
    if (condition == NULL) {
        return S3_OK;
    }
    if (condition->must_be_new && current != NULL) {
        return S3_PreconditionFailed;
    }
    if (condition->if_match.ptr == NULL) {
        return S3_OK;
    }
    if (current == NULL) {
        return S3_NoSuchKey;
    }
    bool is_same =
        span_eq_str(condition->if_match, "*") || span_eq_str(condition->if_match, current->etag);
    return is_same ? S3_OK : S3_PreconditionFailed;
}

enum s3_error store_put(struct store *store, struct span bucket_name, struct span key,
                        struct object *object, const struct condition *condition)
{
    struct object *old = NULL;
    enum s3_error error = S3_NoSuchBucket;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    if (bucket != NULL) {
        error = store_check_condition(map_find(&bucket->objects, key), condition);
    }
    if (error == S3_OK && !folder_save(store, bucket->name, key, object)) {
        error = S3_InternalError;
    }
    if (error == S3_OK) {
        old = map_put(&bucket->objects, key, object);
        if (old != NULL) {
            folder_remove(store, bucket->name, old);
        }
    }
    store_unlock(store);
    object_unref(error == S3_OK ? old : object);
    return error;
}

enum s3_error store_delete(struct store *store, struct span bucket_name, struct span key)
{
    struct object *old = NULL;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    if (bucket != NULL) {
        old = map_remove(&bucket->objects, key);
        if (old != NULL) {
            folder_remove(store, bucket->name, old);
        }
    }
    store_unlock(store);
    object_unref(old);
    return bucket != NULL ? S3_OK : S3_NoSuchBucket;
}

enum s3_error store_retag(struct store *store, struct span bucket_name, struct span key,
                          const struct bag *tags)
{
    struct object *old = NULL;
    enum s3_error error = S3_NoSuchKey;
    store_lock(store);
    struct bucket *bucket = store_bucket(store, bucket_name);
    old = bucket != NULL ? map_find(&bucket->objects, key) : NULL;
    if (bucket == NULL) {
        error = S3_NoSuchBucket;
    } else if (old != NULL) {
        struct object *object = object_clone(old);
        bag_copy(&object->tags, tags);
        map_put(&bucket->objects, key, object);
        error = folder_save(store, bucket->name, key, object) ? S3_OK : S3_InternalError;
        if (error == S3_OK) {
            folder_remove(store, bucket->name, old);
        }
    }
    store_unlock(store);
    object_unref(old);
    return error;
}
