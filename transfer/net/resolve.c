#include "transfer/net/resolve.h"

#include "transfer/net/net_impl.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whether this machine has a way there at all: connecting a datagram socket sends nothing. Names
 * often have IPv6 addresses where hosts have no IPv6 beyond their own link. */
static bool is_routed(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool routed = connect(fd, a->ai_addr, a->ai_addrlen) == 0;
    close(fd);
    return routed;
}

static void take_in(struct resolve *r, const struct addrinfo *a)
{
    union addr addr = {0};
    if (a->ai_addrlen > sizeof(addr) || (a->ai_family != AF_INET && a->ai_family != AF_INET6)) {
        return;
    }
    memcpy(&addr, a->ai_addr, a->ai_addrlen);
    if (a->ai_family == AF_INET6) {
        addr.v6.sin6_port = htons(r->host->port);
    } else {
        addr.v4.sin_port = htons(r->host->port);
    }
    addr_named(&r->set, &addr, loop_now_ms(r->loop));
}

/* Those without a route only when there are no others: the failure to connect then says why. */
static void take_in_all(struct resolve *r, const struct addrinfo *list)
{
    bool any = false;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        any = any || is_routed(a);
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        if (!any || is_routed(a)) {
            take_in(r, a);
        }
    }
    r->answered_ms = loop_now_ms(r->loop);
    addr_answered(&r->set, r->answered_ms);
}

static void set_fail(struct resolve *r, int status)
{
    fail_set(&r->fail, REPL_EUNREACHABLE, "host %.100s cannot be resolved: %s", r->host->name,
             uv_strerror(status));
    fail_hint(&r->fail, "check the host name in the endpoint's url, and DNS");
    if (r->set.count > 0) {
        LOG_WARNING(r->host->path->net->common.log, "net", "%s; its %zu known addresses are kept",
                    r->fail.text, r->set.count);
    }
}

static void on_answer(uv_getaddrinfo_t *question, int status, struct addrinfo *list)
{
    struct resolve *r = question->data;
    struct host *h = r->host;
    r->asking = false;
    if (status == 0) {
        fail_clear(&r->fail);
        take_in_all(r, list);
    }
    if (status == 0 && r->set.count == 0) {
        set_fail(r, UV_EAI_NODATA);
    } else if (status != 0 && status != UV_ECANCELED) {
        set_fail(r, status);
    }
    uv_freeaddrinfo(list);
    net_resolved(h);
    net_handle_closed(h->path->net);
}

static void on_refused(void *arg)
{
    struct resolve *r = arg;
    r->asking = false;
    net_resolved(r->host);
}

static void ask(struct resolve *r)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    r->asking = true;
    r->asked_ms = loop_now_ms(r->loop);
    r->question.data = r;
    int status =
        uv_getaddrinfo(loop_uv(r->loop), &r->question, on_answer, r->host->name, NULL, &hints);
    if (status == 0) {
        net_handle_opened(r->host->path->net);
    } else {
        set_fail(r, status);
        deferred_call(&r->refused);
    }
}

void resolve_refresh(struct resolve *r)
{
    if (!r->asking && loop_now_ms(r->loop) - r->asked_ms >= RESOLVE_EVERY_MS) {
        ask(r);
    }
}

const union addr *resolve_take(struct resolve *r, uint64_t avoid)
{
    uint64_t now_ms = loop_now_ms(r->loop);
    if (r->set.count == 0 && !r->asking) {
        ask(r);
    } else {
        resolve_refresh(r);
    }
    bool is_old = now_ms - r->answered_ms >= ADDR_KEEP_MS;
    if (r->asking && (r->set.count == 0 || (is_old && r->fail.code == 0))) {
        return NULL;
    }
    return addr_take(&r->set, avoid, now_ms);
}

void resolve_cancel(struct resolve *r)
{
    if (r->refused.queued) {
        deferred_cancel(&r->refused);
        r->asking = false;
    } else if (r->asking) {
        uv_cancel((uv_req_t *)&r->question);
    }
}

void resolve_init(struct resolve *r, struct host *h, struct loop *loop)
{
    r->host = h;
    r->loop = loop;
    deferred_init(&r->refused, loop, on_refused, r);
}

void resolve_done(struct resolve *r)
{
    deferred_cancel(&r->refused);
}
