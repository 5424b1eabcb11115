#include "tests/unit/support/fake_impl.h"

/* ---- uploads ---- */

struct upload *fake_upload_new(struct fake *f, struct bucket *b, struct span key,
                               const struct store_meta *meta)
{
    struct upload *u = MEM_NEW(struct upload);
    arena_init(&u->arena);
    list_init(&u->parts);
    u->bucket = b;
    u->key = arena_span(&u->arena, key);
    u->id = span_str(arena_printf(&u->arena, "up%llu", (unsigned long long)++f->next_id));
    u->initiated_ms = loop_wall_ms(f->o.loop) / 1000 * 1000;
    u->meta = fake_copy_meta(&u->arena, meta);
    list_push_back(&f->uploads, &u->link);
    return u;
}

void fake_upload_free(struct upload *u)
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
    fake_refuse(op, REPL_ENOUPLOAD, 404, "NoSuchUpload");
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

const struct part *fake_part_put(struct upload *u, uint32_t number, struct span body)
{
    struct part *p = part_get(u, number, true);
    mem_free((void *)(uintptr_t)p->body.ptr);
    p->body = span_of(mem_dup_span(body), body.len);
    fake_md5_hex(p->body, p->etag);
    return p;
}

static void do_part(struct fake *f, struct upload *u, struct store_op *op)
{
    const struct part *p = fake_part_put(u, op->part_number, op->body);
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
        fake_refuse(op, REPL_ENOUPLOAD, 400, "InvalidPart");
        return;
    }
    struct buf body, digests = {0};
    buf_init(&body, (size_t)1 << 40);
    for (size_t i = 0; i < op->part_count; i++) {
        const struct part *p = part_get(u, op->parts[i].number, false);
        char raw[16];
        fake_md5_raw(p->body, raw);
        buf_append(&digests, raw, sizeof(raw));
        buf_span(&body, p->body);
    }
    struct version *v = fake_version_put(f, u->bucket, u->key, buf_view(&body), &u->meta);
    char etag[33];
    fake_md5_hex(buf_view(&digests), etag);
    v->etag = span_str(arena_printf(&v->arena, "%s-%zu", etag, op->part_count));
    v->parts = (unsigned)op->part_count;
    fake_describe(f, op, v);
    buf_done(&body);
    buf_done(&digests);
    fake_upload_free(u);
}

size_t fake_list_length(const struct list *head)
{
    size_t n = 0;
    LIST_FOR (node, head) {
        n++;
    }
    return n;
}

static void do_list_parts(struct upload *u, struct store_op *op)
{
    size_t count = fake_list_length(&u->parts);
    op->ret_parts = arena_alloc(op->arena, (count + 1) * sizeof(struct store_part));
    LIST_FOR (node, &u->parts) {
        const struct part *p = CONTAINER_OF(node, struct part, link);
        op->ret_parts[op->ret_part_count++] =
            (struct store_part){.number = p->number,
                                .size = p->body.len,
                                .etag = arena_span(op->arena, span_str(p->etag))};
    }
}

void fake_do_list_uploads(struct fake *f, struct bucket *b, struct store_op *op)
{
    size_t count = fake_list_length(&f->uploads);
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

void fake_do_upload(struct fake *f, struct bucket *b, struct store_op *op)
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
        fake_upload_free(u);
        break;
    default:
        do_list_parts(u, op);
        break;
    }
}
