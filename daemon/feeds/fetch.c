#include "daemon/feeds/fetch.h"

#include "transfer/net/net.h"

#define LANES   2
#define STALL_S 5 /* senders wait for an answer about so long */

struct net_fetch {
    struct fetch base;
    struct net *net;
    loop_fn *closed;
    void *closed_arg;
};

struct get {
    struct net_request request;
    struct arena arena;
    char body[FETCH_MAX];
    fetch_done_fn *done;
    void *arg;
};

static void ended(struct net_request *r)
{
    struct get *g = r->arg;
    struct fail f = r->fail;
    if (f.code == 0 && r->status != 200) {
        fail_set(&f, REPL_EPROTO, "the server answered with HTTP %u", r->status);
    }
    g->done(g->arg, f.code, &f, span_of(g->body, f.code == 0 ? r->received : 0));
    arena_done(&g->arena);
    mem_free(g);
}

static void get_by_net(struct fetch *fetch, struct span url, fetch_done_fn *done, void *arg)
{
    struct net_fetch *n = CONTAINER_OF(fetch, struct net_fetch, base);
    struct get *g = MEM_NEW(struct get);
    arena_init(&g->arena);
    g->done = done;
    g->arg = arg;
    g->request = (struct net_request){.class = NET_SMALL,
                                      .method = "GET",
                                      .url = arena_span(&g->arena, url).ptr,
                                      .into = g->body,
                                      .into_size = FETCH_MAX,
                                      .stall_s = STALL_S,
                                      .arena = &g->arena,
                                      .done = ended,
                                      .arg = g};
    net_submit(n->net, &g->request);
}

static void net_is_closed(void *arg)
{
    struct net_fetch *n = arg;
    loop_fn *closed = n->closed;
    void *closed_arg = n->closed_arg;
    mem_free(n);
    closed(closed_arg);
}

static void close_net(struct fetch *fetch, loop_fn *closed, void *arg)
{
    struct net_fetch *n = CONTAINER_OF(fetch, struct net_fetch, base);
    n->closed = closed;
    n->closed_arg = arg;
    net_close(n->net, net_is_closed, n);
}

int fetch_new(struct loop *loop, struct log *log, struct fetch **ret, struct fail *f)
{
    static const struct fetch_ops ops = {.get = get_by_net, .close = close_net};
    static const struct net_path_options direct = {.name = "direct", .cost = "default"};
    struct net_options options = {.loop = loop,
                                  .log = log,
                                  .name = "webhook",
                                  .lanes = LANES,
                                  .paths = &direct,
                                  .path_count = 1};
    struct net *net = NULL;
    int status = net_new(&options, &net, f);
    if (status == 0) {
        struct net_fetch *n = MEM_NEW(struct net_fetch);
        n->base.ops = &ops;
        n->net = net;
        *ret = &n->base;
    }
    return status;
}
