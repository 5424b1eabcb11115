/* The layout of a folder:
 *   _tmp/ID            bytes on their way in; emptied at start
 *   BUCKET/ID.data     bytes of an object
 *   BUCKET/ID.json     its sidecar; an object exists from the moment this name appears
 * Of two sidecars with one key the higher ID is the object: the older was about to be removed. */
#include "tests/bucketd/store.h"

#include "daemon/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct body *folder_new_body(struct store *store, size_t size)
{
    char *path = mem_printf("%s/_tmp/%llu", store->folder, atomic_fetch_add(&store->next_id, 1));
    struct body *body = body_create_file(path, size);
    mem_free(path);
    return body;
}

static char *object_path(const struct store *store, const char *bucket, uint64_t id,
                         const char *suffix)
{
    return mem_printf("%s/%s/%020" PRIu64 ".%s", store->folder, bucket, id, suffix);
}

static json_t *bag_to_json(const struct bag *bag)
{
    json_t *list = json_array();
    const char *name, *value;
    for (size_t pos = 0; bag_next(bag, &pos, &name, &value);) {
        json_array_append_new(list, json_pack("[s, s]", name, value));
    }
    return list;
}

static void bag_from_json(struct bag *bag, const json_t *list)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        bag_add(bag, span_str(json_string_value(json_array_get(item, 0))),
                span_str(json_string_value(json_array_get(item, 1))));
    }
}

static json_t *object_to_json(struct span key, const struct object *object)
{
    json_t *doc = json_pack("{s:I, s:I, s:s, s:s, s:s, s:b}", "size", (json_int_t)object->size,
                            "mtime_ms", (json_int_t)object->mtime_ms, "etag", object->etag,
                            "checksum_name", checksum_name(object->checksum.alg), "checksum",
                            object->checksum.text, "composite", object->checksum.is_composite);
    json_object_set_new(doc, "key", json_stringn(key.ptr, key.len));
    json_object_set_new(doc, "headers", bag_to_json(&object->headers));
    json_object_set_new(doc, "tags", bag_to_json(&object->tags));
    return doc;
}

bool folder_save(struct store *store, const char *bucket, struct span key, struct object *object)
{
    if (store->folder == NULL) {
        return true;
    }
    object->file_id = atomic_fetch_add(&store->next_id, 1);
    struct body *body = object->segment_count > 0 ? object->segments[0].body : NULL;
    char *data = object_path(store, bucket, object->file_id, "data");
    char *json = object_path(store, bucket, object->file_id, "json");
    char *half = object_path(store, bucket, object->file_id, "half");
    bool is_good = true;
    if (body != NULL) {
        is_good = link(body->path, data) == 0;
        if (is_good && atomic_load(&body->keep)) {
            mem_free(body->path); /* the old name is about to be removed */
            body->path = mem_strdup(data);
        }
    }
    json_t *doc = object_to_json(key, object);
    is_good = is_good && json_dump_file(doc, half, 0) == 0 && rename(half, json) == 0;
    if (!is_good) {
        fprintf(stderr, "bucketd: %s: %s\n", json, strerror(errno));
    }
    json_decref(doc);
    mem_free(data);
    mem_free(json);
    mem_free(half);
    return is_good;
}

void folder_remove(struct store *store, const char *bucket, struct object *object)
{
    if (store->folder == NULL || object->file_id == 0) {
        return;
    }
    char *data = object_path(store, bucket, object->file_id, "data");
    char *json = object_path(store, bucket, object->file_id, "json");
    unlink(json);
    unlink(data);
    mem_free(data);
    mem_free(json);
}

bool folder_join(struct store *store, struct object *object)
{
    if (store->folder == NULL || object->segment_count <= 1) {
        return true;
    }
    struct body *whole = folder_new_body(store, object->size);
    if (whole == NULL) {
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < object->segment_count; i++) {
        struct segment *s = &object->segments[i];
        memcpy(whole->data + at, s->body->data, s->size);
        at += s->size;
        body_unref(s->body);
    }
    object->segments[0] = (struct segment){.body = whole, .size = at};
    object->segment_count = 1;
    return true;
}

void folder_make_bucket(struct store *store, const char *name)
{
    if (store->folder != NULL) {
        char *path = mem_printf("%s/%s", store->folder, name);
        mkdir(path, 0700);
        mem_free(path);
    }
}

/* Removes what is in a folder, not the folders in it. */
static void empty_folder(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

void folder_drop_bucket(struct store *store, const char *name)
{
    if (store->folder != NULL) {
        char *path = mem_printf("%s/%s", store->folder, name);
        empty_folder(path);
        rmdir(path);
        mem_free(path);
    }
}

static struct object *object_from_json(const json_t *doc)
{
    struct object *object = object_new();
    object->mtime_ms = json_integer_value(json_object_get(doc, "mtime_ms"));
    snprintf(object->etag, sizeof(object->etag), "%s",
             json_string_value(json_object_get(doc, "etag")));
    snprintf(object->checksum.text, sizeof(object->checksum.text), "%s",
             json_string_value(json_object_get(doc, "checksum")));
    object->checksum.alg =
        checksum_by_name(span_str(json_string_value(json_object_get(doc, "checksum_name"))));
    object->checksum.is_composite = json_is_true(json_object_get(doc, "composite"));
    bag_from_json(&object->headers, json_object_get(doc, "headers"));
    bag_from_json(&object->tags, json_object_get(doc, "tags"));
    return object;
}

static void load_object(struct store *store, struct bucket *bucket, uint64_t id)
{
    char *path = object_path(store, bucket->name, id, "json");
    json_t *doc = json_load_file(path, JSON_ALLOW_NUL, NULL);
    mem_free(path);
    const json_t *key = json_object_get(doc, "key");
    size_t size = (size_t)json_integer_value(json_object_get(doc, "size"));
    path = object_path(store, bucket->name, id, "data");
    struct body *body = key != NULL ? body_open_file(path, size) : NULL;
    if (body == NULL) {
        fprintf(stderr, "bucketd: %s: not loaded\n", path);
    } else {
        struct object *object = object_from_json(doc);
        object_add_segment(object, body, size);
        object->file_id = id;
        struct span name = span_of(json_string_value(key), json_string_length(key));
        struct object *old = map_find(&bucket->objects, name);
        if (old == NULL || old->file_id < id) {
            map_put(&bucket->objects, name, object);
        } else {
            old = object;
        }
        if (old != NULL) {
            folder_remove(store, bucket->name, old);
            object_unref(old);
        }
    }
    mem_free(path);
    json_decref(doc);
}

static void load_bucket(struct store *store, const char *name)
{
    char *path = mem_printf("%s/%s", store->folder, name);
    DIR *dir = opendir(path);
    mem_free(path);
    if (dir == NULL) {
        return;
    }
    struct stat info;
    fstat(dirfd(dir), &info);
    store_make_bucket(store, span_str(name), (int64_t)info.st_mtim.tv_sec * 1000);
    struct bucket *bucket = store_bucket(store, span_str(name));
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char *end;
        unsigned long long id = strtoull(e->d_name, &end, 10);
        if (strcmp(end, ".json") == 0) {
            load_object(store, bucket, id);
        }
        if (id >= atomic_load(&store->next_id)) {
            atomic_store(&store->next_id, id + 1);
        }
    }
    closedir(dir);
}

bool folder_load(struct store *store)
{
    char *tmp = mem_printf("%s/_tmp", store->folder);
    mkdir(store->folder, 0700);
    if (mkdir(tmp, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "bucketd: %s: %s\n", tmp, strerror(errno));
        mem_free(tmp);
        return false;
    }
    empty_folder(tmp);
    mem_free(tmp);
    DIR *dir = opendir(store->folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.' && strcmp(e->d_name, "_tmp") != 0) {
            load_bucket(store, e->d_name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return dir != NULL;
}
