#include "tests/bucketd/reply.h"

#include "tests/bucketd/xml.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

void reply_http_date(char out[REPLY_DATE_MAX], int64_t ms)
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    strftime(out, REPLY_DATE_MAX, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &tm));
}

void reply_iso_date(char out[REPLY_DATE_MAX], int64_t ms)
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    size_t len = strftime(out, REPLY_DATE_MAX, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(out + len, REPLY_DATE_MAX - len, ".%03dZ", (int)(ms % 1000));
}

void reply_header(struct request *req, const char *name, const char *value)
{
    struct pairs *headers = &req->answer_headers;
    if (headers->count == req->answer_header_cap) {
        req->answer_header_cap = headers->count < 16 ? 16 : headers->count * 2;
        headers->items = mem_realloc(headers->items, req->answer_header_cap * sizeof(struct pair));
    }
    headers->items[headers->count++] = (struct pair){span_str(arena_strdup(&req->arena, name)),
                                                     span_str(arena_strdup(&req->arena, value))};
}

void reply_etag(struct request *req, const char *etag)
{
    reply_header(req, "ETag", arena_printf(&req->arena, "\"%s\"", etag));
}

void reply_checksum(struct request *req, const struct checksum *checksum)
{
    if (checksum->alg != CHECKSUM_NONE && checksum->text[0] != 0) {
        reply_header(req, checksum_header(checksum->alg), checksum->text);
        reply_header(req, "x-amz-checksum-type",
                     checksum->is_composite ? "COMPOSITE" : "FULL_OBJECT");
    }
}

void reply_xml_type(struct request *req)
{
    reply_header(req, "Content-Type", "application/xml");
}

static void unref_object(void *arg)
{
    object_unref(arg);
}

/* Bytes that stop, for a while or for good: a fault of a test. */
struct cut {
    struct request *req; /* lives longer than its answer */
    struct object *object;
    uint64_t first;
    uint64_t limit; /* where it happens */
    bool has_slept;
};

static void free_cut(void *arg)
{
    struct cut *cut = arg;
    object_unref(cut->object);
    mem_free(cut);
}

static ssize_t read_cut(void *arg, uint64_t at, char *out, size_t max)
{
    struct cut *cut = arg;
    const struct fault *fault = &cut->req->fault;
    if (at >= cut->limit) {
        if (fault->action == FAULT_reset || (fault->action == FAULT_hang && cut->has_slept)) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        if (!cut->has_slept) {
            cut->has_slept = true;
            waits_sleep(&cut->req->server->waits, cut->req->connection,
                        fault->action == FAULT_hang ? -1 : fault->delay_ms);
            return 0;
        }
    }
    uint64_t skip = cut->first + at;
    const struct segment *s = cut->object->segments;
    for (; skip >= s->size; s++) {
        skip -= s->size;
    }
    size_t len = s->size - (size_t)skip;
    len = len < max ? len : max;
    if (at < cut->limit && len > cut->limit - at) {
        len = (size_t)(cut->limit - at);
    }
    memcpy(out, s->body->data + skip, len);
    return (ssize_t)len;
}

static struct MHD_Response *cut_response(struct request *req)
{
    struct cut *cut = MEM_NEW(struct cut);
    cut->req = req;
    cut->object = object_ref(req->object);
    cut->first = req->first;
    cut->limit = req->fault.after_bytes < req->length ? req->fault.after_bytes : req->length;
    return MHD_create_response_from_callback(req->length, 65536, read_cut, cut, free_cut);
}

static ssize_t read_nothing(void *arg, uint64_t at, char *out, size_t max)
{
    (void)arg;
    (void)at;
    (void)out;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* Replaces the object by a copy in which one bit is wrong. */
static void corrupt(struct request *req)
{
    struct object *copy = object_new();
    struct body *body = body_new(req->length);
    size_t filled = 0;
    uint64_t at = 0;
    for (size_t i = 0; i < req->object->segment_count; i++) {
        const struct segment *s = &req->object->segments[i];
        for (size_t k = 0; k < s->size; k++, at++) {
            if (at >= req->first && filled < req->length) {
                body->data[filled++] = s->body->data[k];
            }
        }
    }
    if (filled > 0) {
        body->data[req->fault.after_bytes % filled] ^= 1;
    }
    object_add_segment(copy, body, filled);
    object_unref(req->object);
    req->object = copy;
    req->first = 0;
}

static struct MHD_Response *object_response(struct request *req)
{
    const struct object *object = req->object;
    size_t count = 0;
    uint64_t skip = req->first, left = req->length;
    struct MHD_IoVec *iov =
        arena_alloc(&req->arena, object->segment_count * sizeof(struct MHD_IoVec));
    for (size_t i = 0; i < object->segment_count && left > 0; i++) {
        const struct segment *s = &object->segments[i];
        if (skip >= s->size) {
            skip -= s->size;
            continue;
        }
        size_t len = s->size - (size_t)skip < left ? s->size - (size_t)skip : (size_t)left;
        iov[count++] = (struct MHD_IoVec){s->body->data + skip, len};
        left -= len;
        skip = 0;
    }
    object_ref(req->object);
    if (count == 1) {
        void *data = (void *)(uintptr_t)iov[0].iov_base;
        return MHD_create_response_from_buffer_with_free_callback_cls(iov[0].iov_len, data,
                                                                      unref_object, req->object);
    }
    return MHD_create_response_from_iovec(iov, (unsigned)count, unref_object, req->object);
}

static struct MHD_Response *make_response(struct request *req)
{
    if (req->object == NULL || req->length == 0) {
        void *data = (void *)(uintptr_t)buf_cstr(&req->out);
        atomic_fetch_add(&req->server->stats.bytes_out, req->out.len);
        return MHD_create_response_from_buffer(req->out.len, data, MHD_RESPMEM_MUST_COPY);
    }
    if (req->op == OP_HeadObject) {
        return MHD_create_response_from_callback(req->length, 1, read_nothing, NULL, NULL);
    }
    atomic_fetch_add(&req->server->stats.bytes_out, req->length);
    if (fault_is_in_body(&req->fault, req->op)) {
        return cut_response(req);
    }
    if (req->fault.action == FAULT_corrupt_body) {
        corrupt(req);
    }
    return object_response(req);
}

static void set_linger(struct request *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

enum MHD_Result reply_reset(struct request *req)
{
    set_linger(req);
    return MHD_NO;
}

enum MHD_Result reply_send(struct request *req)
{
    char date[REPLY_DATE_MAX];
    unsigned status = req->status == 0 ? 200 : req->status;
    struct MHD_Response *response = make_response(req);
    if (response == NULL) {
        return MHD_NO;
    }
    reply_http_date(date, server_now_ms(req->server));
    MHD_add_response_header(response, "Date", date);
    MHD_add_response_header(response, "Server", "bucketd");
    MHD_add_response_header(response, "x-amz-request-id", req->id);
    for (size_t i = 0; i < req->answer_headers.count; i++) {
        MHD_add_response_header(response, req->answer_headers.items[i].name.ptr,
                                req->answer_headers.items[i].value.ptr);
    }
    if (status >= 400) {
        atomic_fetch_add(&req->server->stats.errors[req->op], 1);
    }
    if (req->fault.action == FAULT_reset) {
        set_linger(req);
    }
    req->is_answered = true;
    enum MHD_Result result = MHD_queue_response(req->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result reply_any_error(struct request *req, const struct error_info *info)
{
    object_unref(req->object);
    req->object = NULL;
    buf_reset(&req->out);
    req->status = info->status;
    if (info->status == 304 || strcmp(req->method, "HEAD") == 0) {
        return reply_send(req);
    }
    req->answer_headers.count = 0;
    buf_str(&req->out, XML_HEAD "<Error>");
    xml_element(&req->out, "Code", span_str(info->code));
    xml_element(&req->out, "Message", span_str(info->text));
    buf_span(&req->out, buf_view(&req->error_more));
    xml_element(&req->out, "Resource", req->path);
    xml_element(&req->out, "RequestId", span_str(req->id));
    buf_str(&req->out, "<HostId>bucketd</HostId></Error>");
    reply_xml_type(req);
    if (req->fault.action == FAULT_retry_after) {
        int64_t seconds = (req->fault.delay_ms + 999) / 1000;
        reply_header(req, "Retry-After", arena_printf(&req->arena, "%lld", (long long)seconds));
    }
    return reply_send(req);
}

enum MHD_Result reply_error(struct request *req, enum s3_error error)
{
    struct error_info info = *error_info(error);
    if (req->error_text != NULL) {
        info.text = req->error_text;
    }
    return reply_any_error(req, &info);
}
