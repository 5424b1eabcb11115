#include "tests/unit/support/fake_impl.h"

#include <stdio.h>

/* ---- answers ---- */

void fake_describe(struct fake *f, struct store_op *op, const struct version *v)
{
    struct store_object *o = &op->object;
    o->etag = arena_span(op->arena, v->etag);
    o->version_id = fake_dup(op->arena, v->id);
    o->size = v->body.len;
    o->mtime_ms = v->mtime_ms;
    o->read_ms = loop_wall_ms(f->o.loop) / 1000 * 1000;
    o->parts = v->parts;
}

void fake_describe_all(struct fake *f, struct store_op *op, const struct version *v)
{
    fake_describe(f, op, v);
    op->object.meta = fake_copy_meta(op->arena, &v->meta);
    op->object.tag_count = (unsigned)v->meta.tag_count;
    op->object.meta.tags = NULL;
    op->object.meta.tag_count = 0;
}

void fake_refuse(struct store_op *op, int code, int status, const char *server_code)
{
    fail_set(&op->fail, code, "%s", fail_text(code));
    op->fail.http_status = status;
    snprintf(op->fail.server_code, sizeof(op->fail.server_code), "%s", server_code);
}

struct version *fake_read_version(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct version *v = fake_version_find(b, op->key, op->version_id);
    if (v == NULL || v->is_marker) {
        fake_refuse(op, REPL_ENOKEY, 404, op->kind == STORE_HEAD ? "" : "NoSuchKey");
        return NULL;
    }
    if (op->if_match.len > 0 && !f->o.ignores_pins && !span_eq(op->if_match, v->etag)) {
        fake_refuse(op, REPL_ECHANGED, 412, "PreconditionFailed");
        return NULL;
    }
    return v;
}

static void do_get(struct fake *f, struct bucket *b, struct store_op *op, bool shorten)
{
    struct version *v = fake_read_version(f, b, op);
    if (v == NULL) {
        return;
    }
    uint64_t from = op->ranged ? op->offset : 0;
    if (op->ranged && from >= v->body.len) {
        fake_refuse(op, REPL_EREFUSED, 416, "InvalidRange");
        return;
    }
    uint64_t len = v->body.len - from;
    len = op->ranged && op->length < len ? op->length : len;
    if (len > op->into_size) {
        fake_refuse(op, REPL_ETOOBIG, 200, "");
        return;
    }
    len -= shorten && len > 0 ? 1 : 0;
    if (len > 0) {
        memcpy(op->into, v->body.ptr + from, len);
    }
    op->received = len;
    fake_describe_all(f, op, v);
}

static bool condition_holds(struct bucket *b, struct store_op *op)
{
    const struct version *v = fake_version_latest(b, op->key);
    if (op->if_none_match && v != NULL) {
        fake_refuse(op, REPL_EEXISTS, 412, "PreconditionFailed");
    } else if (op->if_match.len > 0 && v == NULL) {
        fake_refuse(op, REPL_ENOKEY, 404, "NoSuchKey");
    } else if (op->if_match.len > 0 && !span_eq(op->if_match, v->etag)) {
        fake_refuse(op, REPL_ECHANGED, 412, "PreconditionFailed");
    }
    return op->fail.code == 0;
}

static void do_put(struct fake *f, struct bucket *b, struct store_op *op)
{
    char md5[16];
    fake_md5_raw(op->body, md5);
    if (op->content_md5.len > 0 && memcmp(md5, op->content_md5.ptr, 16) != 0) {
        fake_refuse(op, REPL_ECHECKSUM, 400, "BadDigest");
        return;
    }
    if (!f->o.ignores_conditions && !condition_holds(b, op)) {
        return;
    }
    f->body_bytes += op->body.len;
    fake_describe(f, op, fake_version_put(f, b, op->key, op->body, &op->meta));
}

/* ---- listings, tags, deletes ---- */

/* Whether the key comes behind this one in the order of the fake's listings. */
static bool is_listed_behind(const struct fake *f, struct span key, struct span after)
{
    int order = span_cmp(key, after);
    return after.len == 0 || (f->unordered ? order < 0 : order > 0);
}

/* They have shown so many keys of the prefix. */
static bool is_cut(const struct fake *f, size_t keys)
{
    return f->cut > 0 && keys == f->cut;
}

static void do_list(const struct fake *f, struct bucket *b, struct store_op *op)
{
    size_t most = op->max_keys == 0 ? 1000 : op->max_keys;
    most = f->page > 0 && f->page < most ? f->page : most;
    struct span after = op->token.len > 0 ? op->token
                        : f->unordered    ? (struct span){0}
                                          : op->start_after;
    op->entries = arena_alloc(op->arena, most * sizeof(struct store_entry));
    struct list *node = f->unordered ? b->objects.prev : b->objects.next;
    size_t keys = 0;
    for (; node != &b->objects; node = f->unordered ? node->prev : node->next) {
        const struct object *o = CONTAINER_OF(node, struct object, link);
        const struct version *v = fake_version_latest(b, o->key);
        if (v == NULL || !span_starts_with(o->key, op->key)) {
            continue;
        }
        if (is_cut(f, keys++)) {
            return;
        }
        if (!is_listed_behind(f, o->key, after)) {
            continue;
        }
        if (op->entry_count == most) {
            op->next_token = op->entries[most - 1].key;
            return;
        }
        op->entries[op->entry_count++] =
            (struct store_entry){.key = arena_span(op->arena, o->key),
                                 .etag = arena_span(op->arena, v->etag),
                                 .storage_class = fake_dup(op->arena, v->meta.storage_class),
                                 .size = v->body.len,
                                 .mtime_ms = v->mtime_ms};
    }
}

static bool is_behind(const struct store_op *op, struct span key, struct span id, bool *passed)
{
    int order = span_cmp(key, op->start_after);
    if (op->start_after.len == 0 || order > 0 || *passed) {
        return true;
    }
    *passed = order == 0 && op->token.len > 0 && span_eq(id, op->token);
    return false;
}

static void list_versions_of(const struct object *o, struct store_op *op, size_t most)
{
    bool passed = false;
    LIST_FOR (node, &o->versions) {
        const struct version *v = CONTAINER_OF(node, struct version, link);
        struct span id = v->id.len > 0 ? v->id : span_str("null");
        if (!is_behind(op, o->key, id, &passed) || op->next_key.len > 0) {
            continue;
        }
        if (op->entry_count == most) {
            op->next_key = op->entries[most - 1].key;
            op->next_token = op->entries[most - 1].version_id;
            return;
        }
        op->entries[op->entry_count++] = (struct store_entry){
            .key = arena_span(op->arena, o->key),
            .etag = v->is_marker ? (struct span){0} : arena_span(op->arena, v->etag),
            .size = v->body.len,
            .mtime_ms = v->mtime_ms,
            .version_id = arena_span(op->arena, id),
            .is_latest = node == o->versions.next,
            .is_marker = v->is_marker};
    }
}

static void do_list_versions(const struct fake *f, struct bucket *b, struct store_op *op)
{
    size_t most = op->max_keys == 0 ? 1000 : op->max_keys;
    most = f->page > 0 && f->page < most ? f->page : most;
    size_t keys = 0;
    op->entries = arena_alloc(op->arena, most * sizeof(struct store_entry));
    LIST_FOR (node, &b->objects) {
        const struct object *o = CONTAINER_OF(node, struct object, link);
        if (!span_starts_with(o->key, op->key) || op->next_key.len > 0) {
            continue;
        }
        if (is_cut(f, keys++)) {
            return;
        }
        list_versions_of(o, op, most);
    }
}

static struct span newest_id(const struct bucket *b, const struct store_op *op)
{
    const struct object *o = fake_object_find(b, op->key);
    return arena_span(op->arena, CONTAINER_OF(o->versions.next, struct version, link)->id);
}

static void do_delete(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct version *v = fake_version_find(b, op->key, op->version_id);
    if (op->if_match.len > 0 && (v == NULL || !span_eq(v->etag, op->if_match))) {
        fake_refuse(op, v == NULL ? REPL_ENOKEY : REPL_ECHANGED, v == NULL ? 404 : 412, "");
        return;
    }
    if (op->version_id.len > 0) {
        if (v != NULL) {
            fake_version_free(v);
        }
        return;
    }
    fake_remove_latest(f, b, op->key);
    op->object.delete_marker = f->o.versions;
    op->object.version_id = f->o.versions ? newest_id(b, op) : (struct span){0};
}

static void do_delete_many(struct fake *f, struct bucket *b, struct store_op *op)
{
    op->key_fails = arena_alloc(op->arena, (op->key_count + 1) * sizeof(struct fail));
    for (size_t i = 0; i < op->key_count; i++) {
        fake_remove_latest(f, b, op->keys[i]);
    }
}

static void do_tags(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct version *v = fake_read_version(f, b, op);
    if (v == NULL) {
        return;
    }
    if (op->kind == STORE_PUT_TAGS) {
        v->meta.tags = fake_copy_pairs(&v->arena, op->meta.tags, op->meta.tag_count);
        v->meta.tag_count = op->meta.tag_count;
        return;
    }
    struct store_pair *tags = arena_alloc(op->arena, (v->meta.tag_count + 1) * sizeof(*tags));
    for (size_t i = 0; i < v->meta.tag_count; i++) {
        tags[i].name = arena_span(op->arena, v->meta.tags[i].name);
        tags[i].value = fake_dup(op->arena, v->meta.tags[i].value);
    }
    op->tags = tags;
    op->tag_count = v->meta.tag_count;
}

void fake_take_effect(struct fake *f, struct store_op *op, bool shorten)
{
    struct bucket *b = fake_bucket_find(f, op->bucket);
    struct version *v;
    if (b == NULL) {
        fake_refuse(op, op->kind == STORE_HEAD ? REPL_ENOKEY : REPL_ENOBUCKET, 404, "");
        return;
    }
    switch (op->kind) {
    case STORE_GET:
        do_get(f, b, op, shorten);
        break;
    case STORE_HEAD:
        v = fake_read_version(f, b, op);
        if (v != NULL) {
            fake_describe_all(f, op, v);
        }
        break;
    case STORE_PUT:
        do_put(f, b, op);
        break;
    case STORE_CREATE:
        op->ret_upload_id = arena_span(op->arena, fake_upload_new(f, b, op->key, &op->meta)->id);
        break;
    case STORE_PART:
    case STORE_COMPLETE:
    case STORE_ABORT:
    case STORE_LIST_PARTS:
        fake_do_upload(f, b, op);
        break;
    case STORE_DELETE:
        do_delete(f, b, op);
        break;
    case STORE_DELETE_MANY:
        do_delete_many(f, b, op);
        break;
    case STORE_LIST:
        do_list(f, b, op);
        break;
    case STORE_LIST_VERSIONS:
        do_list_versions(f, b, op);
        break;
    case STORE_LIST_UPLOADS:
        fake_do_list_uploads(f, b, op);
        break;
    case STORE_GET_TAGS:
    case STORE_PUT_TAGS:
        do_tags(f, b, op);
        break;
    case STORE_GET_NOTIFICATION:
    case STORE_PUT_NOTIFICATION:
    case STORE_CREATE_TOPIC:
    case STORE_HEAD_BUCKET:
        break;
    case STORE_GET_VERSIONING:
        op->versioning = f->o.versions && !f->o.suspended;
        break;
    }
}
