#include "daemon/admin/command.h"

static void metrics(void *arg, struct httpd_request *r)
{
    struct admin *a = arg;
    struct buf body = {0};
    stat_print(a->options.stats, &body);
    httpd_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_view(&body));
    buf_done(&body);
}

/* Healthy: the journal takes changes. Whether endpoints answer is a matter of lag, not of health.
 */
static void health(void *arg, struct httpd_request *r)
{
    struct admin *a = arg;
    bool failing = journal_is_failing(engine_journal(a->options.engine));
    httpd_reply(r, failing ? 503 : 200, "text/plain",
                span_str(failing ? "the journal cannot be written\n" : "ok\n"));
}

static const struct httpd_route routes[] = {
    {.method = "GET", .path = "/metrics", .handler = metrics},
    {.method = "GET", .path = "/healthz", .handler = health},
};

int metrics_open(struct admin *a, const char *listen, struct httpd **ret, struct fail *f)
{
    struct httpd_options options = {
        .loop = a->options.loop,
        .log = a->options.log,
        .name = "metrics",
        .tcp_listen = listen,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .arg = a,
        .body_max = 1024,
        .connections_max = 64,
    };
    return httpd_open(&options, ret, f);
}
