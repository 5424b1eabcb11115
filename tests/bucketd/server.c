#include "tests/bucketd/server.h"

#include "tests/bucketd/auth.h"
#include "tests/bucketd/intake.h"
#include "tests/bucketd/ops.h"
#include "tests/bucketd/reply.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

/* Per connection, for headers and the read buffer; libmicrohttpd clears it after each request. */
#define CONNECTION_BYTES ((size_t)128 << 10)

int64_t server_now_ms(struct server *server)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + atomic_load(&server->skew_ms);
}

typedef enum s3_error (*op_fn)(struct request *req);

static const op_fn ops[OP_COUNT] = {
    [OP_Control] = control_run,
    [OP_ListBuckets] = bucket_list_all,
    [OP_CreateBucket] = bucket_create,
    [OP_DeleteBucket] = bucket_delete,
    [OP_HeadBucket] = bucket_head,
    [OP_GetBucketLocation] = bucket_location,
    [OP_GetBucketVersioning] = bucket_versioning,
    [OP_ListObjects] = list_objects,
    [OP_ListObjectsV2] = list_objects,
    [OP_ListMultipartUploads] = multipart_list_uploads,
    [OP_DeleteObjects] = delete_many,
    [OP_PutObject] = object_put,
    [OP_GetObject] = object_get,
    [OP_HeadObject] = object_get,
    [OP_DeleteObject] = object_delete,
    [OP_PutObjectTagging] = tagging_put,
    [OP_GetObjectTagging] = tagging_get,
    [OP_DeleteObjectTagging] = tagging_delete,
    [OP_CreateMultipartUpload] = multipart_create,
    [OP_UploadPart] = multipart_put_part,
    [OP_ListParts] = multipart_list_parts,
    [OP_CompleteMultipartUpload] = multipart_complete,
    [OP_AbortMultipartUpload] = multipart_abort,
};

/* With the headers at hand, before the body. */
static enum s3_error begin(struct request *req, const char *method)
{
    enum s3_error error = request_parse(req, method);
    if (error == S3_OK) {
        error = request_route(req);
    }
    atomic_fetch_add(&req->server->stats.requests[req->op], 1);
    if (error == S3_OK && req->op != OP_Control) {
        error = auth_check(req);
        if (error == S3_OK) {
            req->fault = faults_take(&req->server->faults, req->op, req->key);
        }
    }
    return error != S3_OK ? error : intake_begin(req, &req->intake);
}

/* Faults that come instead of the operation. True when there was one. */
static bool run_fault(struct request *req, enum MHD_Result *ret_result)
{
    const struct fault *fault = &req->fault;
    struct error_info info = {fault->code, fault->status, "This fault was asked for."};
    if (fault_is_in_body(fault, req->op)) {
        return false;
    }
    switch (fault->action) {
    case FAULT_slow:
    case FAULT_hang:
        if (req->has_slept) {
            *ret_result = fault->action == FAULT_hang ? reply_reset(req) : MHD_YES;
            return fault->action == FAULT_hang;
        }
        req->has_slept = true;
        waits_sleep(&req->server->waits, req->connection,
                    fault->action == FAULT_hang ? -1 : fault->delay_ms);
        *ret_result = MHD_YES;
        return true;
    case FAULT_error_in_200:
        info.status = 200;
        *ret_result = reply_any_error(req, &info);
        return true;
    case FAULT_status:
    case FAULT_retry_after:
        *ret_result = reply_any_error(req, &info);
        return true;
    case FAULT_reset:
        *ret_result = reply_reset(req);
        return true;
    default:
        return false;
    }
}

/* Another first digit. */
static void change_digit(char *digit)
{
    *digit = *digit == '0' ? '1' : '0';
}

static void change_etag(struct request *req)
{
    static const char tag[] = "<ETag>&quot;";
    for (size_t i = 0; i < req->answer_headers.count; i++) {
        struct pair *header = &req->answer_headers.items[i];
        if (span_eq_str(header->name, "ETag")) {
            char *value = arena_strdup(&req->arena, header->value.ptr);
            change_digit(value + 1);
            header->value = span_str(value);
        }
    }
    char *at = req->out.len > 0 ? strstr(req->out.data, tag) : NULL;
    if (at != NULL) {
        change_digit(at + strlen(tag));
    }
}

/* With the whole body at hand. */
static enum MHD_Result finish(struct request *req)
{
    enum MHD_Result result;
    if (req->error == S3_OK && run_fault(req, &result)) {
        return result;
    }
    if (req->error == S3_OK && req->intake != NULL) {
        req->error = intake_end(req->intake);
    }
    if (req->error == S3_OK) {
        req->error = ops[req->op](req);
    }
    if (req->fault.action == FAULT_lost_answer) {
        return reply_reset(req);
    }
    if (req->error != S3_OK) {
        return reply_error(req, req->error);
    }
    if (req->fault.action == FAULT_wrong_etag) {
        change_etag(req);
    } else if (req->fault.action == FAULT_truncated_list) {
        req->out.len /= 2;
    }
    return reply_send(req);
}

static enum MHD_Result on_body(struct request *req, const char *data, size_t len)
{
    if (req->error == S3_OK && req->intake != NULL) {
        uint64_t before = intake_size(req->intake);
        req->error = intake_feed(req->intake, data, len);
        atomic_fetch_add(&req->server->stats.bytes_in, intake_size(req->intake) - before);
        if (req->fault.action == FAULT_reset && req->fault.after_bytes > 0 &&
            intake_size(req->intake) >= req->fault.after_bytes) {
            return reply_reset(req);
        }
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct request *req = *state;
    (void)cls;
    (void)url;
    (void)version;
    if (!req->is_started) {
        req->is_started = true;
        req->connection = connection;
        req->error = begin(req, method);
        /* Who waits for 100 is refused before the body; others get their answer after it. */
        bool does_wait = span_eq_nocase(request_header(req, "expect"), "100-continue");
        return req->error != S3_OK && does_wait ? reply_error(req, req->error) : MHD_YES;
    }
    if (*size > 0) {
        size_t len = *size;
        *size = 0;
        return on_body(req, data, len);
    }
    return req->is_answered ? MHD_YES : finish(req);
}

/* Called with the first line as it came, before anything is decoded. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    (void)connection;
    return request_new(cls, uri);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)connection;
    (void)code;
    if (*state != NULL) {
        request_free(*state);
        *state = NULL;
    }
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = cls;
    (void)connection;
    (void)state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        atomic_fetch_add(&server->stats.connections, 1);
        atomic_fetch_add(&server->stats.connections_open, 1);
    } else {
        atomic_fetch_sub(&server->stats.connections_open, 1);
    }
}

unsigned short server_start(struct server *server, const struct server_listen *listen)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(listen->port)};
    if (inet_pton(AF_INET, listen->host, &address.sin_addr) != 1) {
        return 0;
    }
    /* The Date header is ours: it must follow the clock that tests shift. */
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_SUPPRESS_DATE_NO_CLOCK | MHD_USE_ERROR_LOG;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_THREAD_POOL_SIZE, listen->threads, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024U, MHD_OPTION_CONNECTION_LIMIT, 4096U, MHD_OPTION_END);
    if (server->daemon == NULL) {
        return 0;
    }
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void server_stop(struct server *server)
{
    waits_done(&server->waits);
    MHD_stop_daemon(server->daemon);
}
