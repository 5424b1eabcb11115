#include "daemon/base/mem.h"
#include "daemon/httpd/httpd_internal.h"

#include <stdio.h>

static const char *refusal_code(unsigned status)
{
    switch (status) {
    case MHD_HTTP_BAD_REQUEST:
        return "bad_request";
    case MHD_HTTP_UNAUTHORIZED:
        return "unauthorized";
    case MHD_HTTP_FORBIDDEN:
        return "forbidden";
    case MHD_HTTP_TOO_MANY_REQUESTS:
        return "too_many_requests";
    case MHD_HTTP_SERVICE_UNAVAILABLE:
        return "unavailable";
    case MHD_HTTP_NOT_FOUND:
        return "not_found";
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        return "method_not_allowed";
    default:
        return "too_large";
    }
}

static const char *refusal_text(unsigned status)
{
    switch (status) {
    case MHD_HTTP_BAD_REQUEST:
        return "the request cannot be read";
    case MHD_HTTP_UNAUTHORIZED:
        return "the token is missing or wrong";
    case MHD_HTTP_FORBIDDEN:
        return "a certificate of the client is needed";
    case MHD_HTTP_TOO_MANY_REQUESTS:
        return "more requests a second than the limit";
    case MHD_HTTP_SERVICE_UNAVAILABLE:
        return "not now";
    case MHD_HTTP_NOT_FOUND:
        return "there is nothing at this path";
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        return "the path is there, but not for this method";
    default:
        return "the request body is larger than the limit";
    }
}

static struct MHD_Response *response_of(char *data, size_t len)
{
    return MHD_create_response_from_buffer_with_free_callback(len, data, mem_free);
}

/* Near the limit nobody keeps a connection: senders that open one for each event, and leave them
 * open, would keep others waiting until the idle time is over. */
static bool is_crowded(const struct httpd *h)
{
    unsigned most = h->options.connections_max;
    return httpd_connection_count(h) > most - most / 4;
}

void httpd_response_head(const struct httpd_request *r, struct MHD_Response *response,
                         const char *content_type)
{
    char seconds[16];
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            content_type != NULL ? content_type : "application/json");
    if (r->retry_after_s > 0) {
        snprintf(seconds, sizeof(seconds), "%u", r->retry_after_s);
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (r->server != NULL && (r->server->newer != NULL || is_crowded(r->server))) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
}

void httpd_retry_after(struct httpd_request *r, unsigned seconds)
{
    r->retry_after_s = seconds;
}

enum MHD_Result httpd_refuse(struct httpd_request *r)
{
    char *text = mem_printf("{\"error\":{\"code\":\"%s\",\"text\":\"%s\"}}\n",
                            refusal_code(r->refused), refusal_text(r->refused));
    struct MHD_Response *response = response_of(text, strlen(text));
    httpd_response_head(r, response, NULL);
    if (r->refused == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
    } else if (r->refused == MHD_HTTP_UNAUTHORIZED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    }
    enum MHD_Result rc = MHD_queue_response(r->connection, r->refused, response);
    MHD_destroy_response(response);
    return rc;
}

void httpd_respond(struct httpd_request *r, unsigned status, struct MHD_Response *response)
{
    r->status = status;
    r->response = response;
    httpd_request_resume(r);
}

void httpd_reply(struct httpd_request *r, unsigned status, const char *content_type,
                 struct span body)
{
    if (r->connection != NULL) {
        char *copy = body.len > 0 ? mem_dup_span(body) : mem_strdup("");
        struct MHD_Response *response = response_of(copy, body.len);
        httpd_response_head(r, response, content_type);
        httpd_respond(r, status, response);
    }
    httpd_request_end(r);
}
