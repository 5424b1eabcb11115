#include "tests/unit/support/fake_impl.h"

#include <openssl/evp.h>
#include <stdio.h>

/* ---- hashes ---- */

void fake_md5_hex(struct span s, char to[33])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(s.ptr == NULL ? "" : s.ptr, s.len, digest, &len, EVP_md5(), NULL);
    for (unsigned i = 0; i < 16; i++) {
        snprintf(to + 2 * i, 3, "%02x", digest[i]);
    }
}

void fake_md5_raw(struct span s, char to[16])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(s.ptr == NULL ? "" : s.ptr, s.len, digest, &len, EVP_md5(), NULL);
    memcpy(to, digest, 16);
}

/* ---- buckets and objects ---- */

struct bucket *fake_bucket_find(const struct fake *f, struct span name)
{
    LIST_FOR (node, &f->buckets) {
        struct bucket *b = CONTAINER_OF(node, struct bucket, link);
        if (span_eq_str(name, b->name)) {
            return b;
        }
    }
    return NULL;
}

struct bucket *fake_bucket_get(struct fake *f, const char *name)
{
    struct bucket *b = fake_bucket_find(f, span_str(name));
    if (b == NULL) {
        b = MEM_NEW(struct bucket);
        b->name = mem_strdup(name);
        list_init(&b->objects);
        hash_init(&b->by_key, 1);
        list_push_back(&f->buckets, &b->link);
    }
    return b;
}

struct object *fake_object_find(const struct bucket *b, struct span key)
{
    struct hash_entry *e = hash_find(&b->by_key, key);
    return e == NULL ? NULL : CONTAINER_OF(e, struct object, entry);
}

static struct object *object_get(struct bucket *b, struct span key)
{
    struct object *o = fake_object_find(b, key);
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

void fake_version_free(struct version *v)
{
    list_remove(&v->link);
    arena_done(&v->arena);
    mem_free(v);
}

static void object_free(struct bucket *b, struct object *o)
{
    while (!list_is_empty(&o->versions)) {
        fake_version_free(CONTAINER_OF(list_first(&o->versions), struct version, link));
    }
    hash_remove(&b->by_key, &o->entry);
    list_remove(&o->link);
    mem_free((void *)(uintptr_t)o->key.ptr);
    mem_free(o);
}

struct version *fake_version_latest(const struct bucket *b, struct span key)
{
    struct object *o = fake_object_find(b, key);
    struct list *first = o == NULL ? NULL : list_first(&o->versions);
    struct version *v = first == NULL ? NULL : CONTAINER_OF(first, struct version, link);
    return v == NULL || v->is_marker ? NULL : v;
}

struct version *fake_version_find(const struct bucket *b, struct span key, struct span id)
{
    struct object *o = id.len == 0 ? NULL : fake_object_find(b, key);
    if (o == NULL) {
        return id.len == 0 ? fake_version_latest(b, key) : NULL;
    }
    LIST_FOR (node, &o->versions) {
        struct version *v = CONTAINER_OF(node, struct version, link);
        if (span_eq(v->id, id)) {
            return v;
        }
    }
    return NULL;
}

struct span fake_dup(struct arena *a, struct span s)
{
    return s.ptr == NULL ? s : arena_span(a, s);
}

const struct store_pair *fake_copy_pairs(struct arena *a, const struct store_pair *in, size_t n)
{
    struct store_pair *out = arena_alloc(a, (n + 1) * sizeof(*out));
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct store_pair){fake_dup(a, in[i].name), fake_dup(a, in[i].value)};
    }
    return out;
}

struct store_meta fake_copy_meta(struct arena *a, const struct store_meta *in)
{
    struct store_meta out = {.user_count = in->user_count, .tag_count = in->tag_count};
    out.content_type = fake_dup(a, in->content_type);
    out.cache_control = fake_dup(a, in->cache_control);
    out.content_disposition = fake_dup(a, in->content_disposition);
    out.content_encoding = fake_dup(a, in->content_encoding);
    out.content_language = fake_dup(a, in->content_language);
    out.expires = fake_dup(a, in->expires);
    out.website_redirect = fake_dup(a, in->website_redirect);
    out.storage_class = fake_dup(a, in->storage_class);
    out.user = fake_copy_pairs(a, in->user, in->user_count);
    out.tags = fake_copy_pairs(a, in->tags, in->tag_count);
    return out;
}

static struct version *version_add(struct fake *f, struct bucket *b, struct span key)
{
    struct object *o = object_get(b, key);
    while (!f->o.versions && !list_is_empty(&o->versions)) {
        fake_version_free(CONTAINER_OF(list_first(&o->versions), struct version, link));
    }
    struct version *v = MEM_NEW(struct version);
    arena_init(&v->arena);
    if (f->o.versions) {
        v->id = span_str(arena_printf(&v->arena, "v%llu", (unsigned long long)++f->next_id));
    } else if (f->o.suspended) {
        v->id = span_str("null");
    }
    v->mtime_ms = loop_wall_ms(f->o.loop) / 1000 * 1000;
    list_push_front(&o->versions, &v->link);
    return v;
}

struct version *fake_version_put(struct fake *f, struct bucket *b, struct span key,
                                 struct span body, const struct store_meta *meta)
{
    static const struct store_meta none;
    struct version *v = version_add(f, b, key);
    char etag[33];
    fake_md5_hex(body, etag);
    if (f->o.odd_etags) {
        fake_md5_hex(span_of(etag, 32), etag);
    }
    v->body = arena_span(&v->arena, body.ptr == NULL ? span_of("", 0) : body);
    v->etag = span_str(arena_strdup(&v->arena, etag));
    v->meta = fake_copy_meta(&v->arena, meta == NULL ? &none : meta);
    return v;
}

void fake_remove_latest(struct fake *f, struct bucket *b, struct span key)
{
    struct object *o = fake_object_find(b, key);
    if (f->o.versions) {
        version_add(f, b, key)->is_marker = true;
    } else if (o != NULL) {
        object_free(b, o);
    }
}

void fake_bucket_free(struct bucket *b)
{
    while (!list_is_empty(&b->objects)) {
        object_free(b, CONTAINER_OF(list_first(&b->objects), struct object, link));
    }
    hash_done(&b->by_key);
    list_remove(&b->link);
    mem_free(b->name);
    mem_free(b);
}

/* ---- the tests' side ---- */

void fake_bucket(struct fake *f, const char *bucket)
{
    (void)fake_bucket_get(f, bucket);
}

void fake_drop_bucket(struct fake *f, const char *bucket)
{
    struct bucket *b = fake_bucket_find(f, span_str(bucket));
    if (b != NULL) {
        fake_bucket_free(b);
    }
}

struct span fake_put(struct fake *f, const char *bucket, struct span key, struct span body,
                     const struct store_meta *meta)
{
    return fake_version_put(f, fake_bucket_get(f, bucket), key, body, meta)->etag;
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
    fake_remove_latest(f, fake_bucket_get(f, bucket), key);
}

void fake_remove_version(struct fake *f, const char *bucket, struct span key, struct span id)
{
    struct version *v = fake_version_find(fake_bucket_get(f, bucket), key, id);
    if (v != NULL) {
        fake_version_free(v);
    }
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
    const struct version *v = fake_version_latest(fake_bucket_get(f, bucket), key);
    if (v != NULL) {
        *ret = object_view(v);
    }
    return v != NULL;
}

struct span fake_create(struct fake *f, const char *bucket, struct span key)
{
    static const struct store_meta none;
    return fake_upload_new(f, fake_bucket_get(f, bucket), key, &none)->id;
}

void fake_each(struct fake *f, const char *bucket,
               void (*fn)(void *arg, struct span key, const struct fake_object *o), void *arg)
{
    struct bucket *b = fake_bucket_get(f, bucket);
    LIST_FOR (node, &b->objects) {
        const struct object *o = CONTAINER_OF(node, struct object, link);
        const struct version *v = fake_version_latest(b, o->key);
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
            (void)fake_part_put(u, number, body);
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
    const struct bucket *b = fake_bucket_find(f, span_str(bucket));
    const struct object *o = b == NULL ? NULL : fake_object_find(b, key);
    return o == NULL ? 0 : fake_list_length(&o->versions);
}

size_t fake_uploads(const struct fake *f)
{
    return fake_list_length(&f->uploads);
}

struct span fake_upload_id(const struct fake *f, size_t i)
{
    struct list *node = f->uploads.next;
    while (i-- > 0) {
        node = node->next;
    }
    return CONTAINER_OF(node, struct upload, link)->id;
}
