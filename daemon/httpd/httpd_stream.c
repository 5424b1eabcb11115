#include "daemon/httpd/httpd_internal.h"

#define BLOCK_SIZE ((size_t)32 * 1024)

static size_t queued(const struct httpd_request *r)
{
    return r->queue.len - r->sent;
}

/* Gives libmicrohttpd what is queued; with nothing there the connection sleeps until the next
 * piece. */
static ssize_t read_queue(void *cls, uint64_t pos, char *to, size_t max)
{
    struct httpd_request *r = cls;
    (void)pos;
    size_t n = queued(r) < max ? queued(r) : max;
    if (r->is_dropped) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (n > 0) {
        memcpy(to, r->queue.data + r->sent, n);
        r->sent += n;
        return (ssize_t)n;
    }
    if (r->is_ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    r->is_waiting = true;
    MHD_suspend_connection(r->connection);
    return 0;
}

/* libmicrohttpd 0.9.75 ends a chunked answer to HEAD with a chunk that must not be there. */
static struct MHD_Response *response_of(struct httpd_request *r)
{
    if (strcmp(r->method, MHD_HTTP_METHOD_HEAD) == 0) {
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_queue, r, NULL);
}

void httpd_stream(struct httpd_request *r, unsigned status, const char *content_type)
{
    if (r->connection != NULL) {
        struct MHD_Response *response = response_of(r);
        r->is_stream = true;
        httpd_response_head(r, response, content_type);
        httpd_respond(r, status, response);
    }
}

/* Drops what was sent once it is the larger part, so that each byte moves about once. */
static void compact(struct httpd_request *r)
{
    size_t rest = queued(r);
    if (rest == 0) {
        buf_reset(&r->queue);
        r->sent = 0;
    } else if (r->sent > rest) {
        memmove(r->queue.data, r->queue.data + r->sent, rest);
        r->queue.len = rest;
        r->sent = 0;
    }
}

bool httpd_stream_write(struct httpd_request *r, struct span piece)
{
    if (r->connection == NULL || r->is_dropped || piece.len > HTTPD_STREAM_MAX - queued(r)) {
        return false;
    }
    compact(r);
    buf_span(&r->queue, piece);
    httpd_request_resume(r);
    return true;
}

void httpd_stream_end(struct httpd_request *r)
{
    httpd_request_resume(r);
    httpd_request_end(r);
}
