/* Records: one is with the owner at a time, the others wait in order. */
#include "transfer/copy/copy_impl.h"

#include <assert.h>

void copy_note(struct copy *c, enum copy_record_kind kind, uint32_t part)
{
    struct copy_note *note = arena_alloc(&c->arena, sizeof(*note));
    note->kind = kind;
    note->part = part;
    list_push_back(&c->notes, &note->link);
}

static struct store_part part_of(const struct copy *c, uint32_t index)
{
    return (struct store_part){.number = index + 1,
                               .size = copy_part_length(c, index),
                               .etag = c->parts[index].etag,
                               .checksum = c->parts[index].checksum};
}

void copy_emit(struct copy *c)
{
    if (c->record_is_out || list_is_empty(&c->notes)) {
        return;
    }
    struct copy_note *note = CONTAINER_OF(list_first(&c->notes), struct copy_note, link);
    list_remove(&note->link);
    c->out = *note;
    c->record_is_out = true;
    struct copy_record rec = {.kind = note->kind,
                              .upload_id = c->upload_id,
                              .source_etag = c->source.etag,
                              .source_version = c->source.version_id,
                              .source_mtime_ms = c->source.mtime_ms,
                              .source_read_ms = c->source.read_ms,
                              .size = c->source.size,
                              .part_size = c->plan.part_size};
    if (note->kind == COPY_PART_DONE) {
        rec.part = part_of(c, note->part);
        rec.bytes_sent = c->outcome.bytes_sent;
        c->outcome.bytes_sent = 0; /* a life that is killed has counted them */
    }
    sched_record(c, &rec);
}

static void part_is_done(struct copy *c, uint32_t index)
{
    c->parts[index].state = PART_DONE;
    c->parts_done++;
    c->bytes_done += copy_part_length(c, index);
    if (c->parts_done == c->plan.part_count && c->after == AFTER_NOTHING) {
        copy_complete(c);
    }
}

/* The journal does not take it: nothing that depends on it may happen. The upload stays as it is
 * recorded. */
static void not_stored(struct copy *c, int status)
{
    struct fail f;
    fail_set(&f, status, "record of the copy could not be stored");
    list_init(&c->notes);
    copy_fail(c, &f, COPY_DEST);
    c->close_upload = false;
}

/* What was waiting for this record. An ENDED or ABANDONED one has its reason in `after`, except
 * where an intention was handed over: the copy just begins. */
static void go_on_after(struct copy *c, const struct copy_note *note)
{
    switch (note->kind) {
    case COPY_UPLOAD_INTENDED:
        copy_ask(c, STEP_CREATE);
        break;
    case COPY_UPLOAD_OPEN:
        copy_parts_start(c);
        break;
    case COPY_COMPLETING:
        copy_ask(c, STEP_COMPLETE);
        break;
    case COPY_ABANDONED:
        copy_begin(c);
        break;
    case COPY_PART_DONE:
    case COPY_UPLOAD_ENDED:
        break;
    }
}

void copy_committed(struct copy *c, int status)
{
    assert(c->record_is_out);
    struct copy_note note = c->out;
    c->record_is_out = false;
    if (status != 0) {
        not_stored(c, status);
        return;
    }
    if (note.kind == COPY_PART_DONE) {
        part_is_done(c, note.part);
    } else if (c->after == AFTER_NOTHING) {
        go_on_after(c, &note);
    }
}
