/* Going on with what an earlier life left: an open upload, one whose Complete was sent, or the
 * intention of one. */
#include "transfer/copy/copy_impl.h"

#define BEGUN_SLACK_MS  2000   /* servers count in whole seconds */
#define BEGUN_WITHIN_MS 900000 /* of the intention: a server may be late with a Create */

static void take_upload(struct copy *c)
{
    const struct copy_job *job = &c->job;
    c->upload_id = job->upload_id;
    c->upload_is_open = true;
    c->is_resumed = true;
    c->source = (struct store_object){.etag = job->upload_etag,
                                      .version_id = job->upload_version,
                                      .size = job->upload_size,
                                      .mtime_ms = job->upload_mtime_ms,
                                      .read_ms = job->upload_read_ms};
    c->plan = (struct plan){.part_size = job->upload_part_size};
    if (job->upload_part_size > 0) {
        uint64_t size = job->upload_size, part = job->upload_part_size;
        c->plan.part_count = (uint32_t)(size / part + (size % part != 0));
    }
    c->outcome.source = c->source;
    c->outcome.bytes = c->source.size;
}

static bool is_sound(const struct copy *c)
{
    struct plan_input in = sched_plan_input(c);
    if (c->job.version_id.len > 0 && !span_eq(c->job.version_id, c->job.upload_version)) {
        return false; /* of another version than the one that is wanted */
    }
    return c->plan.part_count > 0 && c->plan.part_count <= in.to->parts_max &&
           (c->source.etag.len > 0 || c->source.version_id.len > 0);
}

/* The budget may be less than in the life that chose the parts. */
static bool fits_memory(const struct copy *c)
{
    return c->plan.part_size <= sched_plan_input(c).memory_bytes / 4;
}

static void start_clean(struct copy *c)
{
    struct fail f;
    fail_set(&f, REPL_ECHANGED, "upload cannot be gone on with");
    copy_restart(c, &f, COPY_SOURCE);
}

/* The journal's parts as they are; what the server says comes later. */
static void take_parts(struct copy *c)
{
    copy_parts_alloc(c);
    for (size_t i = 0; i < c->job.upload_part_count; i++) {
        const struct store_part *in = &c->job.upload_parts[i];
        if (in->number == 0 || in->number > c->plan.part_count ||
            in->size != copy_part_length(c, in->number - 1)) {
            continue;
        }
        c->parts[in->number - 1].etag = in->etag;
        c->parts[in->number - 1].checksum = in->checksum;
    }
}

static bool has_all_parts(const struct copy *c)
{
    for (uint32_t i = 0; i < c->plan.part_count; i++) {
        if (c->parts[i].etag.len == 0) {
            return false;
        }
    }
    return true;
}

void copy_resume(struct copy *c)
{
    if (c->job.upload_id.len == 0) {
        copy_ask(c, STEP_FIND_INTENDED);
        return;
    }
    take_upload(c);
    if (c->job.kind == COPY_DELETE) {
        copy_delete_start(c);
        return;
    }
    if (!is_sound(c)) {
        start_clean(c);
        return;
    }
    take_parts(c);
    if (c->job.upload_completing && has_all_parts(c)) { /* no part is read any more */
        c->parts_todo = 0;
        c->parts_done = c->plan.part_count;
        copy_ask(c, STEP_ASK_COMPLETE);
    } else if (c->job.upload_completing || !fits_memory(c)) {
        start_clean(c);
    } else {
        copy_ask(c, STEP_RESUME_PIN);
    }
}

/* ---- an open upload ---- */

void copy_resume_pin_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_source(c, &o->op, STORE_HEAD);
    copy_pin(c, &o->op);
    if (c->job.upload_version.len > 0) {
        o->op.version_id = c->job.upload_version;
    }
}

static bool is_same_source(const struct copy *c, const struct store_object *now)
{
    const struct copy_job *job = &c->job;
    return now->size == job->upload_size && span_eq(now->etag, job->upload_etag) &&
           (job->upload_mtime_ms == 0 || now->mtime_ms == job->upload_mtime_ms);
}

void copy_resume_pin_good(struct copy *c, struct copy_op *o)
{
    if (!is_same_source(c, &o->op.object)) {
        start_clean(c);
        return;
    }
    c->source = o->op.object;
    c->source.read_ms = c->job.upload_read_ms; /* what Create was given is from then */
    c->outcome.source = c->source;
    copy_meta_make(c);
    copy_queue(o, STEP_RESUME_PARTS);
}

void copy_resume_pin_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ECHANGED || o->op.fail.code == REPL_ENOKEY) {
        start_clean(c);
    } else {
        copy_again(c, o);
    }
}

/* Done is what journal and server agree on; another part that the server has will be sent twice. */
static void compare_part(struct copy *c, const struct store_part *there)
{
    if (there->number == 0 || there->number > c->plan.part_count) {
        return;
    }
    uint32_t index = there->number - 1;
    struct copy_part *part = &c->parts[index];
    if (part->etag.len > 0 && span_eq(part->etag, there->etag) &&
        there->size == copy_part_length(c, index) && part->state == PART_TODO) {
        part->state = PART_DONE;
        c->parts_todo--;
        c->parts_done++;
        c->bytes_done += there->size;
    } else {
        part->repeated = true;
    }
}

void copy_resume_parts_good(struct copy *c, struct copy_op *o)
{
    for (size_t i = 0; i < o->op.ret_part_count; i++) {
        compare_part(c, &o->op.ret_parts[i]);
    }
    c->parts_flow = true;
    if (c->parts_done == c->plan.part_count) {
        copy_complete(c);
    }
}

void copy_resume_parts_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOUPLOAD) {
        start_clean(c);
        c->close_as = COPY_UPLOAD_ENDED;
    } else if (copy_is_mute(o)) {
        start_clean(c);
    } else {
        copy_again(c, o);
    }
}

/* ---- only an intention: Create may have been sent ---- */

void copy_find_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_LIST_UPLOADS);
}

bool copy_may_have_begun(int64_t begun_ms, int64_t first_ms, int64_t last_ms)
{
    return begun_ms >= first_ms - BEGUN_SLACK_MS && begun_ms <= last_ms + BEGUN_WITHIN_MS;
}

static bool may_be_ours(const struct copy *c, const struct store_upload *upload)
{
    const struct copy_job *job = &c->job;
    bool is_of_now = c->intended_ms != 0;
    int64_t first_ms = is_of_now ? c->intended_ms : job->upload_created_ms;
    int64_t last_ms = is_of_now ? c->intended_last_ms : job->upload_intended_ms;
    int64_t begun_ms = loop_wall_ms(sched_loop(c)) - upload->age_ms;
    return span_eq(upload->key, job->to_key) && copy_may_have_begun(begun_ms, first_ms, last_ms);
}

/* Looks at the next one found. At the end the intention of an earlier life is left to the owner, as
 * the server may be at its Create still, and the copy begins; one of this life is renewed. */
static void look_at_next(struct copy *c)
{
    while (c->intended_count > 0 && !may_be_ours(c, &c->intended[c->intended_count - 1])) {
        c->intended_count--;
    }
    if (c->intended_count > 0) {
        copy_ask(c, STEP_LOOK_INTENDED);
    } else if (c->intended_ms != 0) {
        copy_create(c);
    } else {
        copy_note(c, COPY_ABANDONED, 0);
    }
}

void copy_find_good(struct copy *c, struct copy_op *o)
{
    c->intended = o->op.uploads;
    c->intended_count = o->op.upload_count;
    look_at_next(c);
}

/* Then a Create that nobody knows of stays until the bucket's own rule for stale uploads. */
void copy_find_bad(struct copy *c, struct copy_op *o)
{
    if (!copy_is_mute(o)) {
        copy_again(c, o);
        return;
    }
    LOG_WARNING(sched_log(c), "copy", "%s does not list uploads: one may be left over key=%.*s",
                c->job.to->name, SPAN_ARG(c->job.to_key));
    c->intended_count = 0;
    look_at_next(c);
}

static void next_intended(struct copy *c)
{
    c->intended_count--;
    look_at_next(c);
}

void copy_look_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_LIST_PARTS);
    o->op.upload_id = c->intended[c->intended_count - 1].upload_id;
}

/* Our own life would have recorded it before the first part: one with parts is another's. */
void copy_look_good(struct copy *c, struct copy_op *o)
{
    if (o->op.ret_part_count > 0) {
        next_intended(c);
    } else {
        copy_queue(o, STEP_ABORT_INTENDED);
    }
}

void copy_look_bad(struct copy *c, struct copy_op *o)
{
    if (o->op.fail.code == REPL_ENOUPLOAD || copy_is_mute(o)) {
        next_intended(c);
    } else {
        copy_again(c, o);
    }
}

void copy_abort_fill(struct copy *c, struct copy_op *o)
{
    copy_fill_dest(c, &o->op, STORE_ABORT);
    o->op.upload_id = c->intended[c->intended_count - 1].upload_id;
}

void copy_abort_good(struct copy *c, struct copy_op *o)
{
    (void)o;
    next_intended(c);
}

void copy_abort_bad(struct copy *c, struct copy_op *o)
{
    copy_look_bad(c, o);
}
