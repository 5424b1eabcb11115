/* What tests ask of the server itself: /_bucketd/fault, /_bucketd/stats, /_bucketd/clock. */
#include "tests/bucketd/ops.h"

#include "tests/bucketd/intake.h"
#include "tests/bucketd/reply.h"

#include <jansson.h>
#include <stdlib.h>

static void put_json(struct request *req, json_t *doc)
{
    char *text = json_dumps(doc, JSON_INDENT(2));
    buf_str(&req->out, text);
    free(text);
    json_decref(doc);
    reply_header(req, "Content-Type", "application/json");
}

static json_t *counts(atomic_ullong *values)
{
    json_t *doc = json_object();
    for (int op = 0; op < OP_COUNT; op++) {
        json_int_t value = (json_int_t)atomic_load(&values[op]);
        if (value > 0) {
            json_object_set_new(doc, op_name((enum op)op), json_integer(value));
        }
    }
    return doc;
}

static enum s3_error put_stats(struct request *req)
{
    struct server *server = req->server;
    struct server_stats *stats = &server->stats;
    put_json(req, json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "requests",
                            counts(stats->requests), "errors", counts(stats->errors), "bytes_in",
                            (json_int_t)atomic_load(&stats->bytes_in), "bytes_out",
                            (json_int_t)atomic_load(&stats->bytes_out), "open_uploads",
                            (json_int_t)atomic_load(&server->store.open_uploads), "connections",
                            (json_int_t)atomic_load(&stats->connections), "connections_open",
                            (json_int_t)atomic_load(&stats->connections_open)));
    return S3_OK;
}

static enum s3_error set_clock(struct request *req)
{
    json_int_t seconds;
    struct span text = intake_text(req->intake);
    json_t *doc = json_loadb(text.ptr, text.len, 0, NULL);
    int result = json_unpack(doc, "{s:I!}", "skew_s", &seconds);
    json_decref(doc);
    if (result != 0) {
        return request_fail(req, S3_InvalidArgument, "expecting {\"skew_s\": N}");
    }
    atomic_store(&req->server->skew_ms, seconds * 1000);
    return S3_OK;
}

static enum s3_error add_fault(struct request *req)
{
    const char *problem = faults_add(&req->server->faults, intake_text(req->intake));
    return problem == NULL ? S3_OK : request_fail(req, S3_InvalidArgument, problem);
}

static enum s3_error clear_faults(struct request *req)
{
    faults_clear(&req->server->faults);
    waits_wake_all(&req->server->waits);
    return S3_OK;
}

enum s3_error control_run(struct request *req)
{
    static const struct {
        const char *method;
        const char *path;
        enum s3_error (*run)(struct request *req);
    } rows[] = {{"POST", "fault", add_fault},
                {"DELETE", "fault", clear_faults},
                {"GET", "stats", put_stats},
                {"POST", "clock", set_clock}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (span_eq_str(req->key, rows[i].path) && strcmp(req->method, rows[i].method) == 0) {
            return rows[i].run(req);
        }
    }
    return S3_MethodNotAllowed;
}
