#include "tests/unit/support/fake_store.h"

#include "daemon/base/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>

/* ---- what is kept ---- */

struct version {
    struct list link; /* newest first */
    struct arena arena;
    struct span body;
    struct span etag;
    struct span id;
    int64_t mtime_ms;
    struct store_meta meta;
    unsigned parts;
    bool is_marker; /* delete marker */
};

struct object {
    struct list link; /* in the order of keys */
    struct hash_entry entry;
    struct span key;
    struct list versions;
};

struct bucket {
    struct list link;
    char *name;
    struct list objects;
    struct hash by_key;
};

struct part {
    struct list link;
    uint32_t number;
    struct span body;
    char etag[33];
};

struct upload {
    struct list link;
    struct arena arena;
    struct bucket *bucket;
    struct span key;
    struct span id;
    int64_t initiated_ms;
    struct store_meta meta;
    struct list parts;
};

struct fault {
    struct list link;
    struct fake_fault f;
    unsigned seen;
    unsigned hit;
};

struct job { /* an operation in flight */
    struct list link;
    struct fake *fake;
    struct store_op *op;
    struct timer timer;
    struct fault *fault;
    uint64_t begun_ms;
    bool is_cancelled;
};

struct fake {
    struct store store;
    struct fake_options o;
    unsigned slots;
    struct list buckets;
    struct list uploads;
    struct list faults;
    struct list jobs;
    unsigned in_flight;
    unsigned most_in_flight;
    uint64_t outage_from_ms, outage_to_ms;
    bool denied;
    fake_hook_fn *hook;
    void *hook_arg;
    uint64_t next_id;
    unsigned counts[FAKE_KINDS];
    uint64_t body_bytes;
    struct buf violations;
    void (*closed)(void *arg);
    void *closed_arg;
    struct deferred close_later;
};

static void violation(struct fake *f, const char *what, const struct store_op *op)
{
    buf_printf(&f->violations, "%s: %.*s part %u\n", what, SPAN_ARG(op->key), op->part_number);
}

/* ---- hashes ---- */

static void md5_hex(struct span s, char to[33])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(s.ptr == NULL ? "" : s.ptr, s.len, digest, &len, EVP_md5(), NULL);
    for (unsigned i = 0; i < 16; i++) {
        snprintf(to + 2 * i, 3, "%02x", digest[i]);
    }
}

static void md5_raw(struct span s, char to[16])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(s.ptr == NULL ? "" : s.ptr, s.len, digest, &len, EVP_md5(), NULL);
    memcpy(to, digest, 16);
}

/* ---- buckets and objects ---- */

static struct bucket *bucket_find(const struct fake *f, struct span name)
{
    LIST_FOR (node, &f->buckets) {
        struct bucket *b = CONTAINER_OF(node, struct bucket, link);
        if (span_eq_str(name, b->name)) {
            return b;
        }
    }
    return NULL;
}

static struct bucket *bucket_get(struct fake *f, const char *name)
{
    struct bucket *b = bucket_find(f, span_str(name));
    if (b == NULL) {
        b = MEM_NEW(struct bucket);
        b->name = mem_strdup(name);
        list_init(&b->objects);
        hash_init(&b->by_key, 1);
        list_push_back(&f->buckets, &b->link);
    }
    return b;
}

static struct object *object_find(const struct bucket *b, struct span key)
{
    struct hash_entry *e = hash_find(&b->by_key, key);
    return e == NULL ? NULL : CONTAINER_OF(e, struct object, entry);
}

static struct object *object_get(struct bucket *b, struct span key)
{
    struct object *o = object_find(b, key);
    if (o != NULL) {
        return o;
    }
    o = MEM_NEW(struct object);
    o->key = span_of(mem_dup_span(key), key.len);
    list_init(&o->versions);
    hash_put(&b->by_key, &o->entry, o->key);
    struct list *at = b->objects.prev;
    while (at != &b->objects && span_cmp(CONTAINER_OF(at, struct object, link)->key, key) > 0) {
        at = at->prev;
    }
    list_insert_before(at->next, &o->link);
    return o;
}

static void version_free(struct version *v)
{
    list_remove(&v->link);
    arena_done(&v->arena);
    mem_free(v);
}

static void object_free(struct bucket *b, struct object *o)
{
    while (!list_is_empty(&o->versions)) {
        version_free(CONTAINER_OF(list_first(&o->versions), struct version, link));
    }
    hash_remove(&b->by_key, &o->entry);
    list_remove(&o->link);
    mem_free((void *)(uintptr_t)o->key.ptr);
    mem_free(o);
}

static struct version *version_latest(const struct bucket *b, struct span key)
{
    struct object *o = object_find(b, key);
    struct list *first = o == NULL ? NULL : list_first(&o->versions);
    struct version *v = first == NULL ? NULL : CONTAINER_OF(first, struct version, link);
    return v == NULL || v->is_marker ? NULL : v;
}

static struct version *version_find(const struct bucket *b, struct span key, struct span id)
{
    struct object *o = id.len == 0 ? NULL : object_find(b, key);
    if (o == NULL) {
        return id.len == 0 ? version_latest(b, key) : NULL;
    }
    LIST_FOR (node, &o->versions) {
        struct version *v = CONTAINER_OF(node, struct version, link);
        if (span_eq(v->id, id)) {
            return v;
        }
    }
    return NULL;
}

static struct span dup_in(struct arena *a, struct span s)
{
    return s.ptr == NULL ? s : arena_span(a, s);
}

static const struct store_pair *copy_pairs(struct arena *a, const struct store_pair *in, size_t n)
{
    struct store_pair *out = arena_alloc(a, (n + 1) * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct store_pair){dup_in(a, in[i].name), dup_in(a, in[i].value)};
    }
    return out;
}

static struct store_meta copy_meta(struct arena *a, const struct store_meta *in)
{
    struct store_meta out = {.user_count = in->user_count, .tag_count = in->tag_count};
    out.content_type = dup_in(a, in->content_type);
    out.cache_control = dup_in(a, in->cache_control);
    out.content_disposition = dup_in(a, in->content_disposition);
    out.content_encoding = dup_in(a, in->content_encoding);
    out.content_language = dup_in(a, in->content_language);
    out.expires = dup_in(a, in->expires);
    out.website_redirect = dup_in(a, in->website_redirect);
    out.storage_class = dup_in(a, in->storage_class);
    out.user = copy_pairs(a, in->user, in->user_count);
    out.tags = copy_pairs(a, in->tags, in->tag_count);
    return out;
}

static struct version *version_add(struct fake *f, struct bucket *b, struct span key)
{
    struct object *o = object_get(b, key);
    while (!f->o.versions && !list_is_empty(&o->versions)) {
        version_free(CONTAINER_OF(list_first(&o->versions), struct version, link));
    }
    struct version *v = MEM_NEW(struct version);
    arena_init(&v->arena);
    if (f->o.versions) {
        v->id = span_str(arena_printf(&v->arena, "v%llu", (unsigned long long)++f->next_id));
    }
    v->mtime_ms = loop_wall_ms(f->o.loop) / 1000 * 1000;
    list_push_front(&o->versions, &v->link);
    return v;
}

static struct version *version_put(struct fake *f, struct bucket *b, struct span key,
                                   struct span body, const struct store_meta *meta)
{
    static const struct store_meta none;
    struct version *v = version_add(f, b, key);
    char etag[33];
    md5_hex(body, etag);
    if (f->o.odd_etags) {
        md5_hex(span_of(etag, 32), etag);
    }
    v->body = arena_span(&v->arena, body.ptr == NULL ? span_of("", 0) : body);
    v->etag = span_str(arena_strdup(&v->arena, etag));
    v->meta = copy_meta(&v->arena, meta == NULL ? &none : meta);
    return v;
}

static void remove_latest(struct fake *f, struct bucket *b, struct span key)
{
    struct object *o = object_find(b, key);
    if (f->o.versions) {
        version_add(f, b, key)->is_marker = true;
    } else if (o != NULL) {
        object_free(b, o);
    }
}

/* ---- answers ---- */

static void describe(struct store_op *op, const struct version *v)
{
    struct store_object *o = &op->object;
    o->etag = arena_span(op->arena, v->etag);
    o->version_id = dup_in(op->arena, v->id);
    o->size = v->body.len;
    o->mtime_ms = v->mtime_ms;
    o->parts = v->parts;
}

static void describe_all(struct store_op *op, const struct version *v)
{
    describe(op, v);
    op->object.meta = copy_meta(op->arena, &v->meta);
    op->object.tag_count = (unsigned)v->meta.tag_count;
    op->object.meta.tags = NULL;
    op->object.meta.tag_count = 0;
}

static void refuse(struct store_op *op, int code, int status, const char *server_code)
{
    fail_set(&op->fail, code, "%s", fail_text(code));
    op->fail.http_status = status;
    snprintf(op->fail.server_code, sizeof(op->fail.server_code), "%s", server_code);
}

static struct version *read_version(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct version *v = version_find(b, op->key, op->version_id);
    if (v == NULL || v->is_marker) {
        refuse(op, REPL_ENOKEY, 404, op->kind == STORE_HEAD ? "" : "NoSuchKey");
        return NULL;
    }
    if (op->if_match.len > 0 && !f->o.ignores_pins && !span_eq(op->if_match, v->etag)) {
        refuse(op, REPL_ECHANGED, 412, "PreconditionFailed");
        return NULL;
    }
    return v;
}

static void do_get(struct fake *f, struct bucket *b, struct store_op *op, bool shorten)
{
    struct version *v = read_version(f, b, op);
    if (v == NULL) {
        return;
    }
    uint64_t from = op->ranged ? op->offset : 0;
    if (op->ranged && from >= v->body.len) {
        refuse(op, REPL_EREFUSED, 416, "InvalidRange");
        return;
    }
    uint64_t len = v->body.len - from;
    len = op->ranged && op->length < len ? op->length : len;
    if (len > op->into_size) {
        refuse(op, REPL_ETOOBIG, 200, "");
        return;
    }
    len -= shorten && len > 0 ? 1 : 0;
    if (len > 0) {
        memcpy(op->into, v->body.ptr + from, len);
    }
    op->received = len;
    describe_all(op, v);
}

static void do_put(struct fake *f, struct bucket *b, struct store_op *op)
{
    char md5[16];
    md5_raw(op->body, md5);
    if (op->content_md5.len > 0 && memcmp(md5, op->content_md5.ptr, 16) != 0) {
        refuse(op, REPL_ECHECKSUM, 400, "BadDigest");
        return;
    }
    if (op->if_none_match && version_latest(b, op->key) != NULL) {
        refuse(op, REPL_EEXISTS, 412, "PreconditionFailed");
        return;
    }
    f->body_bytes += op->body.len;
    describe(op, version_put(f, b, op->key, op->body, &op->meta));
}

/* ---- uploads ---- */

static struct upload *upload_new(struct fake *f, struct bucket *b, struct span key,
                                 const struct store_meta *meta)
{
    struct upload *u = MEM_NEW(struct upload);
    arena_init(&u->arena);
    list_init(&u->parts);
    u->bucket = b;
    u->key = arena_span(&u->arena, key);
    u->id = span_str(arena_printf(&u->arena, "up%llu", (unsigned long long)++f->next_id));
    u->initiated_ms = loop_wall_ms(f->o.loop) / 1000 * 1000;
    u->meta = copy_meta(&u->arena, meta);
    list_push_back(&f->uploads, &u->link);
    return u;
}

static void upload_free(struct upload *u)
{
    list_remove(&u->link);
    while (!list_is_empty(&u->parts)) {
        struct part *p = CONTAINER_OF(list_first(&u->parts), struct part, link);
        list_remove(&p->link);
        mem_free((void *)(uintptr_t)p->body.ptr);
        mem_free(p);
    }
    arena_done(&u->arena);
    mem_free(u);
}

static struct upload *upload_of(struct fake *f, struct bucket *b, struct store_op *op)
{
    LIST_FOR (node, &f->uploads) {
        struct upload *u = CONTAINER_OF(node, struct upload, link);
        if (u->bucket == b && span_eq(u->id, op->upload_id) && span_eq(u->key, op->key)) {
            return u;
        }
    }
    refuse(op, REPL_ENOUPLOAD, 404, "NoSuchUpload");
    return NULL;
}

static struct part *part_get(struct upload *u, uint32_t number, bool make)
{
    struct list *at = u->parts.prev;
    while (at != &u->parts && CONTAINER_OF(at, struct part, link)->number > number) {
        at = at->prev;
    }
    if (at != &u->parts && CONTAINER_OF(at, struct part, link)->number == number) {
        return CONTAINER_OF(at, struct part, link);
    }
    if (!make) {
        return NULL;
    }
    struct part *p = MEM_NEW(struct part);
    p->number = number;
    list_insert_before(at->next, &p->link);
    return p;
}

static const struct part *part_put(struct upload *u, uint32_t number, struct span body)
{
    struct part *p = part_get(u, number, true);
    mem_free((void *)(uintptr_t)p->body.ptr);
    p->body = span_of(mem_dup_span(body), body.len);
    md5_hex(p->body, p->etag);
    return p;
}

static void do_part(struct fake *f, struct upload *u, struct store_op *op)
{
    const struct part *p = part_put(u, op->part_number, op->body);
    f->body_bytes += op->body.len;
    op->part = (struct store_part){
        .number = p->number, .size = p->body.len, .etag = arena_span(op->arena, span_str(p->etag))};
}

static bool parts_are_right(const struct fake *f, struct upload *u, const struct store_op *op)
{
    for (size_t i = 0; i < op->part_count; i++) {
        const struct part *p = part_get(u, op->parts[i].number, false);
        if (p == NULL || !span_eq_str(op->parts[i].etag, p->etag) ||
            (i > 0 && op->parts[i].number <= op->parts[i - 1].number) ||
            (i + 1 < op->part_count && p->body.len < f->store.features.part_min)) {
            return false;
        }
    }
    return op->part_count > 0;
}

static void do_complete(struct fake *f, struct upload *u, struct store_op *op)
{
    if (!parts_are_right(f, u, op)) {
        refuse(op, REPL_EREFUSED, 400, "InvalidPart");
        return;
    }
    struct buf body, digests = {0};
    buf_init(&body, (size_t)1 << 40);
    for (size_t i = 0; i < op->part_count; i++) {
        const struct part *p = part_get(u, op->parts[i].number, false);
        char raw[16];
        md5_raw(p->body, raw);
        buf_append(&digests, raw, sizeof(raw));
        buf_span(&body, p->body);
    }
    struct version *v = version_put(f, u->bucket, u->key, buf_view(&body), &u->meta);
    char etag[33];
    md5_hex(buf_view(&digests), etag);
    v->etag = span_str(arena_printf(&v->arena, "%s-%zu", etag, op->part_count));
    v->parts = (unsigned)op->part_count;
    describe(op, v);
    buf_done(&body);
    buf_done(&digests);
    upload_free(u);
}

static size_t list_length(const struct list *head)
{
    size_t n = 0;
    LIST_FOR (node, head) {
        n++;
    }
    return n;
}

static void do_list_parts(struct upload *u, struct store_op *op)
{
    size_t count = list_length(&u->parts);
    op->ret_parts = arena_alloc(op->arena, (count + 1) * sizeof(struct store_part));
    LIST_FOR (node, &u->parts) {
        const struct part *p = CONTAINER_OF(node, struct part, link);
        op->ret_parts[op->ret_part_count++] =
            (struct store_part){.number = p->number,
                                .size = p->body.len,
                                .etag = arena_span(op->arena, span_str(p->etag))};
    }
}

static void do_list_uploads(struct fake *f, struct bucket *b, struct store_op *op)
{
    size_t count = list_length(&f->uploads);
    op->uploads = arena_alloc(op->arena, (count + 1) * sizeof(struct store_upload));
    LIST_FOR (node, &f->uploads) {
        const struct upload *u = CONTAINER_OF(node, struct upload, link);
        if (u->bucket == b && span_starts_with(u->key, op->key) && op->upload_count < 1000) {
            op->uploads[op->upload_count++] =
                (struct store_upload){.key = arena_span(op->arena, u->key),
                                      .upload_id = arena_span(op->arena, u->id),
                                      .initiated_ms = u->initiated_ms};
        }
    }
}

static void do_upload(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct upload *u = upload_of(f, b, op);
    if (u == NULL) {
        return;
    }
    switch (op->kind) {
    case STORE_PART:
        do_part(f, u, op);
        break;
    case STORE_COMPLETE:
        do_complete(f, u, op);
        break;
    case STORE_ABORT:
        upload_free(u);
        break;
    default:
        do_list_parts(u, op);
        break;
    }
}

/* ---- listings, tags, deletes ---- */

static void do_list(struct bucket *b, struct store_op *op)
{
    size_t most = op->max_keys == 0 ? 1000 : op->max_keys;
    struct span after = op->token.len > 0 ? op->token : op->start_after;
    op->entries = arena_alloc(op->arena, most * sizeof(struct store_entry));
    LIST_FOR (node, &b->objects) {
        const struct object *o = CONTAINER_OF(node, struct object, link);
        const struct version *v = version_latest(b, o->key);
        if (v == NULL || !span_starts_with(o->key, op->key) ||
            (after.len > 0 && span_cmp(o->key, after) <= 0)) {
            continue;
        }
        if (op->entry_count == most) {
            op->next_token = op->entries[most - 1].key;
            return;
        }
        op->entries[op->entry_count++] =
            (struct store_entry){.key = arena_span(op->arena, o->key),
                                 .etag = arena_span(op->arena, v->etag),
                                 .storage_class = dup_in(op->arena, v->meta.storage_class),
                                 .size = v->body.len,
                                 .mtime_ms = v->mtime_ms};
    }
}

static void do_delete(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct version *v = version_find(b, op->key, op->version_id);
    if (op->if_match.len > 0 && (v == NULL || !span_eq(v->etag, op->if_match))) {
        refuse(op, v == NULL ? REPL_ENOKEY : REPL_ECHANGED, v == NULL ? 404 : 412, "");
        return;
    }
    if (op->version_id.len > 0) {
        if (v != NULL) {
            version_free(v);
        }
        return;
    }
    remove_latest(f, b, op->key);
    op->object.delete_marker = f->o.versions;
}

static void do_delete_many(struct fake *f, struct bucket *b, struct store_op *op)
{
    op->key_fails = arena_alloc(op->arena, (op->key_count + 1) * sizeof(struct fail));
    for (size_t i = 0; i < op->key_count; i++) {
        remove_latest(f, b, op->keys[i]);
    }
}

static void do_tags(struct fake *f, struct bucket *b, struct store_op *op)
{
    struct version *v = read_version(f, b, op);
    if (v == NULL) {
        return;
    }
    if (op->kind == STORE_PUT_TAGS) {
        v->meta.tags = copy_pairs(&v->arena, op->meta.tags, op->meta.tag_count);
        v->meta.tag_count = op->meta.tag_count;
        return;
    }
    struct store_pair *tags = arena_alloc(op->arena, (v->meta.tag_count + 1) * sizeof(*tags));
    for (size_t i = 0; i < v->meta.tag_count; i++) {
        tags[i].name = arena_span(op->arena, v->meta.tags[i].name);
        tags[i].value = dup_in(op->arena, v->meta.tags[i].value);
    }
    op->tags = tags;
    op->tag_count = v->meta.tag_count;
}

static void take_effect(struct fake *f, struct store_op *op, bool shorten)
{
    struct bucket *b = bucket_find(f, op->bucket);
    struct version *v;
    if (b == NULL) {
        refuse(op, op->kind == STORE_HEAD ? REPL_ENOKEY : REPL_ENOBUCKET, 404, "");
        return;
    }
    switch (op->kind) {
    case STORE_GET:
        do_get(f, b, op, shorten);
        break;
    case STORE_HEAD:
        v = read_version(f, b, op);
        if (v != NULL) {
            describe_all(op, v);
        }
        break;
    case STORE_PUT:
        do_put(f, b, op);
        break;
    case STORE_CREATE:
        op->ret_upload_id = arena_span(op->arena, upload_new(f, b, op->key, &op->meta)->id);
        break;
    case STORE_PART:
    case STORE_COMPLETE:
    case STORE_ABORT:
    case STORE_LIST_PARTS:
        do_upload(f, b, op);
        break;
    case STORE_DELETE:
        do_delete(f, b, op);
        break;
    case STORE_DELETE_MANY:
        do_delete_many(f, b, op);
        break;
    case STORE_LIST:
        do_list(b, op);
        break;
    case STORE_LIST_UPLOADS:
        do_list_uploads(f, b, op);
        break;
    case STORE_GET_TAGS:
    case STORE_PUT_TAGS:
        do_tags(f, b, op);
        break;
    case STORE_HEAD_BUCKET:
        break;
    }
}

/* ---- operations in flight ---- */

static bool is_write(enum store_op_kind kind)
{
    return kind == STORE_PUT || kind == STORE_CREATE || kind == STORE_PART ||
           kind == STORE_COMPLETE || kind == STORE_ABORT || kind == STORE_DELETE ||
           kind == STORE_DELETE_MANY || kind == STORE_PUT_TAGS;
}

static bool is_out(const struct fake *f, uint64_t at_ms)
{
    return at_ms >= f->outage_from_ms && at_ms < f->outage_to_ms;
}

static void lose_answer(struct store_op *op, int code)
{
    struct store_op kept = *op;
    op->object = (struct store_object){0};
    op->ret_upload_id = (struct span){0};
    op->part = (struct store_part){0};
    fail_set(&op->fail, code, "%s", fail_text(code));
    op->ambiguous = is_write(kept.kind);
}

static void run_fault(struct fake *f, struct job *j)
{
    const struct fake_fault *fault = &j->fault->f;
    if (fault->lost) {
        take_effect(f, j->op, false);
        lose_answer(j->op, fault->code != 0 ? fault->code : REPL_ENET);
    } else if (fault->code != 0) {
        fail_set(&j->op->fail, fault->code, "programmed: %s", fail_text(fault->code));
        j->op->fail.http_status = fault->http_status;
        j->op->fail.retry_after_ms = fault->retry_after_ms;
    } else {
        take_effect(f, j->op, fault->shorten);
    }
}

/* Half of what is cut off had arrived. */
static void cut_off(struct fake *f, struct job *j, int code)
{
    if (loop_random(f->o.loop, 2) == 0) {
        take_effect(f, j->op, false);
    }
    lose_answer(j->op, code);
}

static void decide(struct fake *f, struct job *j)
{
    uint64_t now_ms = loop_now_ms(f->o.loop);
    if (j->is_cancelled) {
        cut_off(f, j, REPL_ECANCELED);
    } else if (is_out(f, j->begun_ms)) {
        fail_set(&j->op->fail, REPL_EUNREACHABLE, "outage");
    } else if (is_out(f, now_ms)) {
        cut_off(f, j, REPL_ENET);
    } else if (f->denied) {
        refuse(j->op, REPL_EDENIED, 403, "AccessDenied");
    } else if (f->o.throttles && f->in_flight > (f->store.ops->slots(&f->store) + 1) / 2) {
        refuse(j->op, REPL_ETHROTTLED, 503, "SlowDown");
    } else if (j->fault != NULL) {
        run_fault(f, j);
    } else {
        take_effect(f, j->op, false);
    }
}

static void finish(void *arg)
{
    struct job *j = arg;
    struct fake *f = j->fake;
    struct store_op *op = j->op;
    if (f->hook != NULL && !j->is_cancelled) {
        f->hook(f->hook_arg, f, op);
    }
    decide(f, j);
    f->counts[op->kind]++;
    bool sent = op->fail.code != REPL_EUNREACHABLE;
    op->wire_sent = sent && (op->kind == STORE_PUT || op->kind == STORE_PART) ? op->body.len : 0;
    op->ended_us = loop_now_ms(f->o.loop) * 1000;
    list_remove(&j->link);
    timer_stop(&j->timer);
    f->in_flight--;
    mem_free(j);
    op->impl = NULL;
    op->done(op);
    if (f->closed != NULL && f->in_flight == 0) {
        deferred_call(&f->close_later);
    }
}

static struct fault *find_fault(struct fake *f, const struct store_op *op)
{
    LIST_FOR (node, &f->faults) {
        struct fault *x = CONTAINER_OF(node, struct fault, link);
        bool matches = (x->f.kind < 0 || x->f.kind == (int)op->kind) &&
                       (x->f.key == NULL || span_eq_str(op->key, x->f.key)) &&
                       (x->f.part == 0 || x->f.part == op->part_number);
        if (!matches || x->seen++ < x->f.skip || (x->f.count > 0 && x->hit >= x->f.count) ||
            (x->f.permille > 0 && loop_random(f->o.loop, 1000) >= x->f.permille)) {
            continue;
        }
        x->hit++;
        return x;
    }
    return NULL;
}

static bool is_same_upload(const struct store_op *a, const struct store_op *b)
{
    return a->upload_id.len > 0 && span_eq(a->upload_id, b->upload_id);
}

static void check_others(struct fake *f, const struct store_op *op)
{
    LIST_FOR (node, &f->jobs) {
        const struct store_op *x = CONTAINER_OF(node, struct job, link)->op;
        if (!is_same_upload(x, op)) {
            continue;
        }
        if (op->kind == STORE_PART && x->kind == STORE_PART && x->part_number == op->part_number) {
            violation(f, "same part twice in flight", op);
        }
        if ((op->kind == STORE_COMPLETE || op->kind == STORE_ABORT) && x->kind == STORE_PART) {
            violation(f, "upload ended with a part in flight", op);
        }
        if ((op->kind == STORE_ABORT || op->kind == STORE_PART || op->kind == STORE_COMPLETE) &&
            x->kind == STORE_COMPLETE) {
            violation(f, "upload touched while Complete is in flight", op);
        }
    }
}

static void check(struct fake *f, const struct store_op *op)
{
    check_others(f, op);
    if (f->in_flight >= f->store.ops->slots(&f->store)) {
        violation(f, "more operations than slots", op);
    }
    if (op->kind == STORE_GET && op->ranged && op->offset > 0 && op->if_match.len == 0 &&
        op->version_id.len == 0) {
        violation(f, "read without a pin", op);
    }
}

static uint64_t duration_ms(struct fake *f, const struct job *j)
{
    uint64_t ms = f->o.latency_ms;
    uint64_t bytes = j->op->kind == STORE_GET ? j->op->length : j->op->body.len;
    ms += f->o.jitter_ms > 0 ? loop_random(f->o.loop, f->o.jitter_ms + 1) : 0;
    ms += f->o.rate_bps > 0 ? bytes * 1000 / f->o.rate_bps : 0;
    return ms + (j->fault != NULL ? j->fault->f.slow_ms : 0);
}

static void fake_submit(struct store *s, struct store_op *op)
{
    struct fake *f = (struct fake *)(void *)s;
    struct job *j = MEM_NEW(struct job);
    assert(f->closed == NULL && op->arena != NULL && op->done != NULL);
    check(f, op);
    fail_clear(&op->fail);
    op->impl = j;
    j->fake = f;
    j->op = op;
    j->fault = find_fault(f, op);
    j->begun_ms = loop_now_ms(f->o.loop);
    op->started_us = j->begun_ms * 1000;
    timer_init(&j->timer, f->o.loop, finish, j);
    timer_start(&j->timer, duration_ms(f, j));
    list_push_back(&f->jobs, &j->link);
    f->in_flight++;
    f->most_in_flight = f->in_flight > f->most_in_flight ? f->in_flight : f->most_in_flight;
}

static void fake_cancel(struct store *s, struct store_op *op)
{
    struct job *j = op->impl;
    (void)s;
    if (j != NULL) {
        j->is_cancelled = true;
        timer_start(&j->timer, 0);
    }
}

static unsigned fake_slots(const struct store *s)
{
    const struct fake *f = (const struct fake *)(const void *)s;
    return f->slots;
}

static void now_closed(void *arg)
{
    struct fake *f = arg;
    void (*closed)(void *) = f->closed;
    f->closed = NULL;
    closed(f->closed_arg);
}

static void fake_close(struct store *s, void (*closed)(void *arg), void *arg)
{
    struct fake *f = (struct fake *)(void *)s;
    f->closed = closed;
    f->closed_arg = arg;
    LIST_FOR (node, &f->jobs) {
        fake_cancel(s, CONTAINER_OF(node, struct job, link)->op);
    }
    if (f->in_flight == 0) {
        deferred_call(&f->close_later);
    }
}

static const struct store_ops fake_ops = {
    .kind = "fake",
    .submit = fake_submit,
    .cancel = fake_cancel,
    .slots = fake_slots,
    .close = fake_close,
};

/* ---- the tests' side ---- */

struct fake *fake_new(const struct fake_options *options)
{
    struct fake *f = MEM_NEW(struct fake);
    f->o = *options;
    f->slots = options->slots == 0 ? 16 : options->slots;
    f->store.ops = &fake_ops;
    f->store.name = options->name == NULL ? "fake" : options->name;
    f->store.features = (struct store_features){
        .put_etag_is_md5 = !options->no_put_etag,
        .delete_many = true,
        .tags = true,
        .list_v2 = true,
        .part_min = options->part_min == 0 ? 1 : options->part_min,
        .part_max = (uint64_t)5 << 30,
        .put_max = (uint64_t)5 << 30,
        .parts_max = 10000,
    };
    list_init(&f->buckets);
    list_init(&f->uploads);
    list_init(&f->faults);
    list_init(&f->jobs);
    deferred_init(&f->close_later, options->loop, now_closed, f);
    return f;
}

static void bucket_free(struct bucket *b)
{
    while (!list_is_empty(&b->objects)) {
        object_free(b, CONTAINER_OF(list_first(&b->objects), struct object, link));
    }
    hash_done(&b->by_key);
    list_remove(&b->link);
    mem_free(b->name);
    mem_free(b);
}

void fake_free(struct fake *f)
{
    if (f == NULL) {
        return;
    }
    assert(f->in_flight == 0);
    deferred_cancel(&f->close_later);
    while (!list_is_empty(&f->uploads)) {
        upload_free(CONTAINER_OF(list_first(&f->uploads), struct upload, link));
    }
    while (!list_is_empty(&f->buckets)) {
        bucket_free(CONTAINER_OF(list_first(&f->buckets), struct bucket, link));
    }
    fake_clear_faults(f);
    buf_done(&f->violations);
    mem_free(f);
}

struct store *fake_store(struct fake *f)
{
    return &f->store;
}

void fake_fault(struct fake *f, const struct fake_fault *fault)
{
    struct fault *x = MEM_NEW(struct fault);
    x->f = *fault;
    list_push_back(&f->faults, &x->link);
}

void fake_clear_faults(struct fake *f)
{
    LIST_FOR (node, &f->jobs) {
        CONTAINER_OF(node, struct job, link)->fault = NULL;
    }
    while (!list_is_empty(&f->faults)) {
        struct fault *x = CONTAINER_OF(list_first(&f->faults), struct fault, link);
        list_remove(&x->link);
        mem_free(x);
    }
}

void fake_outage(struct fake *f, uint64_t from_ms, uint64_t to_ms)
{
    f->outage_from_ms = from_ms;
    f->outage_to_ms = to_ms;
}

void fake_set_slots(struct fake *f, unsigned slots)
{
    f->slots = slots;
}

void fake_deny(struct fake *f, bool denied)
{
    f->denied = denied;
}

void fake_hook(struct fake *f, fake_hook_fn *fn, void *arg)
{
    f->hook = fn;
    f->hook_arg = arg;
}

void fake_bucket(struct fake *f, const char *bucket)
{
    (void)bucket_get(f, bucket);
}

void fake_drop_bucket(struct fake *f, const char *bucket)
{
    struct bucket *b = bucket_find(f, span_str(bucket));
    if (b != NULL) {
        bucket_free(b);
    }
}

struct span fake_put(struct fake *f, const char *bucket, struct span key, struct span body,
                     const struct store_meta *meta)
{
    return version_put(f, bucket_get(f, bucket), key, body, meta)->etag;
}

struct span fake_put_random(struct fake *f, const char *bucket, const char *key, size_t size,
                            uint64_t seed)
{
    char *body = mem_alloc(size + 8);
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < size; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(body + i, &x, sizeof(x));
    }
    struct span etag = fake_put(f, bucket, span_str(key), span_of(body, size), NULL);
    mem_free(body);
    return etag;
}

void fake_remove(struct fake *f, const char *bucket, struct span key)
{
    remove_latest(f, bucket_get(f, bucket), key);
}

static struct fake_object object_view(const struct version *v)
{
    return (struct fake_object){.body = v->body,
                                .etag = v->etag,
                                .version_id = v->id,
                                .mtime_ms = v->mtime_ms,
                                .meta = v->meta};
}

bool fake_get(struct fake *f, const char *bucket, struct span key, struct fake_object *ret)
{
    const struct version *v = version_latest(bucket_get(f, bucket), key);
    if (v != NULL) {
        *ret = object_view(v);
    }
    return v != NULL;
}

struct span fake_create(struct fake *f, const char *bucket, struct span key)
{
    static const struct store_meta none;
    return upload_new(f, bucket_get(f, bucket), key, &none)->id;
}

void fake_each(struct fake *f, const char *bucket,
               void (*fn)(void *arg, struct span key, const struct fake_object *o), void *arg)
{
    struct bucket *b = bucket_get(f, bucket);
    LIST_FOR (node, &b->objects) {
        const struct object *o = CONTAINER_OF(node, struct object, link);
        const struct version *v = version_latest(b, o->key);
        if (v != NULL) {
            struct fake_object view = object_view(v);
            fn(arg, o->key, &view);
        }
    }
}

static void count_one(void *arg, struct span key, const struct fake_object *o)
{
    (void)key;
    (void)o;
    *(size_t *)arg += 1;
}

void fake_part(struct fake *f, struct span upload_id, uint32_t number, struct span body)
{
    LIST_FOR (node, &f->uploads) {
        struct upload *u = CONTAINER_OF(node, struct upload, link);
        if (span_eq(u->id, upload_id)) {
            (void)part_put(u, number, body);
        }
    }
}

size_t fake_objects(const struct fake *f, const char *bucket)
{
    size_t n = 0;
    fake_each((struct fake *)(uintptr_t)f, bucket, count_one, &n);
    return n;
}

size_t fake_versions(const struct fake *f, const char *bucket, struct span key)
{
    const struct bucket *b = bucket_find(f, span_str(bucket));
    const struct object *o = b == NULL ? NULL : object_find(b, key);
    return o == NULL ? 0 : list_length(&o->versions);
}

size_t fake_uploads(const struct fake *f)
{
    return list_length(&f->uploads);
}

struct span fake_upload_id(const struct fake *f, size_t i)
{
    struct list *node = f->uploads.next;
    while (i-- > 0) {
        node = node->next;
    }
    return CONTAINER_OF(node, struct upload, link)->id;
}

unsigned fake_count(const struct fake *f, enum store_op_kind kind)
{
    return f->counts[kind];
}

uint64_t fake_body_bytes(const struct fake *f)
{
    return f->body_bytes;
}

unsigned fake_in_flight(const struct fake *f)
{
    return f->in_flight;
}

unsigned fake_most_in_flight(const struct fake *f)
{
    return f->most_in_flight;
}

const char *fake_violations(const struct fake *f)
{
    return buf_cstr(&f->violations);
}
