/* Answers that are no success: what they mean, and the three corrections that are worth one more
 * request: clock, region, credentials. */
#include "transfer/store/errors.h"
#include "transfer/store/s3_impl.h"

#include <stdio.h>

#define SKEW_WORTH_MS (60 * 1000)

static void describe(struct s3_call *c, const struct xml_error *e, int code)
{
    struct fail *f = &c->op->fail;
    const struct net_request *r = &c->net;
    const char *what = store_op_name(c->op->kind);
    if (e->message[0] != '\0') {
        fail_set(f, code, "%s: %s", what, e->message);
    } else {
        fail_set(f, code, "%s: HTTP %u%s%s", what, r->status, e->code[0] != '\0' ? " " : "",
                 e->code);
    }
    f->http_status = (int)r->status;
    snprintf(f->server_code, sizeof(f->server_code), "%.47s", e->code);
    struct span id = net_answer(r, "x-amz-request-id");
    if (id.len > 0) {
        snprintf(f->request_id, sizeof(f->request_id), "%.*s", SPAN_ARG(id));
    } else {
        snprintf(f->request_id, sizeof(f->request_id), "%.71s", e->request_id);
    }
    f->retry_after_ms = errors_retry_after(net_answer(r, "retry-after"), loop_wall_ms(c->s3->loop));
    const char *hint = errors_hint(code, f->server_code);
    if (hint != NULL) {
        fail_hint(f, "%s", hint);
    }
}

void s3_read_failure(struct s3_call *c)
{
    struct xml_error e;
    const struct net_request *r = &c->net;
    xml_read_error(r->text, &e);
    int code = errors_classify(r->status, e.code);
    bool marker = span_eq_nocase(net_answer(r, "x-amz-delete-marker"), "true");
    if (marker && (r->status == 404 || r->status == 405)) {
        code = REPL_ENOKEY;
    } else if (code == REPL_ECHANGED && c->op->if_none_match) {
        code = REPL_EEXISTS;
    }
    describe(c, &e, code);
    c->op->object.delete_marker = marker;
}

/* ---- corrections ---- */

/* HEAD has no body to name the reason, so the clock is looked at on every 403 of it. */
static bool correct_clock(struct s3_call *c)
{
    struct s3 *s = c->s3;
    int64_t server_ms;
    bool bare = c->net.status == 403 && c->op->fail.server_code[0] == '\0';
    struct span date = net_answer(&c->net, "date");
    if (c->skew_corrected || (c->op->fail.code != REPL_ESKEW && !bare) ||
        net_answer(&c->net, "age").ptr != NULL || date.len == 0 ||
        time_parse(date.ptr, date.len, &server_ms) < 0) {
        return false;
    }
    int64_t skew_ms = server_ms - loop_wall_ms(s->loop);
    int64_t off_ms = server_ms - c->signed_ms;
    if (off_ms < SKEW_WORTH_MS && off_ms > -SKEW_WORTH_MS) {
        return false;
    }
    c->skew_corrected = true;
    s->skew_ms = skew_ms;
    LOG_WARNING(s->log, "store", "endpoint %s: its clock differs from ours by %lld s; corrected",
                s->name, (long long)(skew_ms / 1000));
    return true;
}

static bool is_region_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_')) {
            return false;
        }
    }
    return s.len > 0 && s.len < 64;
}

static bool correct_region(struct s3_call *c)
{
    struct s3 *s = c->s3;
    struct xml_error e;
    struct span region = net_answer(&c->net, "x-amz-bucket-region");
    bool bare = (c->net.status == 400 || c->net.status == 403) && region.len > 0;
    if (c->region_corrected || (c->op->fail.code != REPL_EREGION && !bare)) {
        return false;
    }
    xml_read_error(c->net.text, &e);
    if (region.len == 0) {
        region = span_str(e.region);
    }
    if (!is_region_name(region) || span_eq_str(region, s->region)) {
        return false;
    }
    c->region_corrected = true;
    snprintf(s->region, sizeof(s->region), "%.*s", SPAN_ARG(region));
    LOG_NOTICE(s->log, "store", "endpoint %s: the bucket is in region %s", s->name, s->region);
    return true;
}

static bool correct_creds(struct s3_call *c)
{
    struct s3 *s = c->s3;
    struct creds fresh;
    struct fail ignored;
    bool changed = false;
    /* A wrong secret looks like this, and so does a proxy that rewrites the paths of some keys. */
    bool mismatch = strcmp(c->op->fail.server_code, "SignatureDoesNotMatch") == 0;
    if (c->creds_reloaded || (c->op->fail.code != REPL_ECREDENTIALS && !mismatch)) {
        return false;
    }
    c->creds_reloaded = true;
    if (creds_load(&s->creds_source, &fresh, &ignored) == 0) {
        changed = memcmp(&fresh, &s->creds, sizeof(fresh)) != 0;
        s->creds = fresh;
        s->scope_valid = s->scope_valid && !changed;
    }
    creds_wipe(&fresh);
    return changed;
}

bool s3_correct(struct s3_call *c)
{
    return correct_clock(c) || correct_region(c) || correct_creds(c);
}
