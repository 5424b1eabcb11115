#include "daemon/notify/poster.h"

#include "daemon/base/mem.h"
#include "daemon/notify/secret.h"
#include "transfer/net/net.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define SUBJECT      "notify"
#define BODY_MAX     ((size_t)1024 * 1024) /* bytes of a request; one event always goes */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 300000
#define HEADERS_MAX  32
#define STALL_S      15

/*   IDLE ──news──► ASKING ──page──► SENDING ──2xx──► STORING ──done──► ASKING
 *                    │ nothing: IDLE    └──otherwise──► WAITING ──► ASKING       */
enum poster_state { POSTER_IDLE, POSTER_ASKING, POSTER_SENDING, POSTER_STORING, POSTER_WAITING };

struct poster {
    struct loop *loop;
    struct log *log;
    struct poster_host host;
    struct net *net;
    struct arena arena; /* of conf */
    struct conf_events conf;
    enum poster_state state;
    bool is_news; /* since the last page was asked for */
    size_t batch; /* at most; halved by 413 */
    unsigned failures;
    struct fail fail;
    struct timer timer;

    struct net_request request;
    struct arena answer;
    struct buf body;
    size_t count;  /* events in it */
    uint64_t last; /* number of its last one */

    uint64_t sent;
    struct stat *sent_stat;
    struct stat *failed_stat;
    loop_fn *closed;
    void *closed_arg;
};

static void ask(struct poster *p)
{
    p->state = POSTER_ASKING;
    p->is_news = false;
    p->host.page(p->host.arg, p->conf.name, p->batch);
}

/* ---- failures ---- */

static void wait(struct poster *p)
{
    uint64_t most = p->failures < 10 ? (uint64_t)RETRY_MIN_MS << p->failures : RETRY_MAX_MS;
    most = most < RETRY_MAX_MS ? most : RETRY_MAX_MS;
    p->state = POSTER_WAITING;
    timer_start(&p->timer, most / 2 + loop_random(p->loop, most / 2 + 1));
}

static void failed(struct poster *p, const struct fail *f)
{
    char text[400];
    p->fail = *f;
    stat_add(p->failed_stat, 1);
    if (p->failures++ == 0) {
        LOG_WARNING(p->log, SUBJECT, "events for %s were not taken, will be sent again: %s",
                    p->conf.name, fail_print(f, text, sizeof(text)));
    }
    wait(p);
}

/* ---- the request ---- */

static void add_header(struct poster *p, const char **headers, size_t *n, const char *text)
{
    if (*n < HEADERS_MAX) {
        headers[(*n)++] = arena_strdup(&p->answer, text);
    }
}

static int add_token(struct poster *p, const char **headers, size_t *n, struct fail *f)
{
    char token[SECRET_MAX], line[SECRET_MAX + 32];
    int status = secret_load(&p->conf.token, token, f);
    if (status == 0 && token[0] != '\0') {
        token[strcspn(token, "\r\n")] = '\0';
        snprintf(line, sizeof(line), "Authorization: Bearer %s", token);
        add_header(p, headers, n, line);
    }
    explicit_bzero(token, sizeof(token));
    explicit_bzero(line, sizeof(line));
    return status;
}

static int add_headers(struct poster *p, const char **headers, size_t *n, struct fail *f)
{
    char text[SECRET_MAX];
    int status = secret_load(&p->conf.headers, text, f);
    struct span rest = span_str(text);
    while (status == 0 && rest.len > 0) {
        char line[SECRET_MAX];
        struct span one = span_cut(&rest, '\n');
        snprintf(line, sizeof(line), "%.*s", SPAN_ARG(one));
        line[strcspn(line, "\r")] = '\0';
        if (strchr(line, ':') != NULL) {
            add_header(p, headers, n, line);
        }
        explicit_bzero(line, sizeof(line));
    }
    explicit_bzero(text, sizeof(text));
    return status;
}

/* Of the body as it is sent, in hex: the receiver knows who has sent it. */
static int add_signature(struct poster *p, const char **headers, size_t *n, struct fail *f)
{
    char secret[SECRET_MAX];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct span body = buf_view(&p->body);
    int status = secret_load(&p->conf.secret, secret, f);
    if (status == 0 && secret[0] != '\0') {
        struct buf line = {0};
        HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body.ptr, body.len,
             digest, &len);
        buf_str(&line, "X-Repld-Signature: sha256=");
        buf_hex(&line, digest, len);
        add_header(p, headers, n, buf_cstr(&line));
        buf_done(&line);
    }
    explicit_bzero(secret, sizeof(secret));
    return status;
}

static int fill_headers(struct poster *p, const char **headers, size_t *n, struct fail *f)
{
    add_header(p, headers, n, "Content-Type: application/json");
    int status = add_token(p, headers, n, f);
    if (status == 0) {
        status = add_headers(p, headers, n, f);
    }
    return status == 0 ? add_signature(p, headers, n, f) : status;
}

static void answered(struct net_request *r)
{
    struct poster *p = r->arg;
    struct fail f = r->fail;
    unsigned status = r->status;
    arena_done(&p->answer);
    if (p->closed != NULL) {
        return;
    }
    if (f.code == 0 && status >= 200 && status < 300) {
        p->state = POSTER_STORING;
        p->host.done(p->host.arg, p->conf.name, p->last);
        return;
    }
    if (f.code == 0) {
        fail_set(&f, REPL_EPROTO, "the receiver answered with HTTP %u", status);
        f.http_status = (int)status;
    }
    if (status == 413 && p->batch > 1) {
        p->batch = (p->count + 1) / 2;
    }
    failed(p, &f);
}

static void fill_body(struct poster *p, const struct poster_event *events, size_t count)
{
    buf_reset(&p->body);
    buf_str(&p->body, "{\"Records\":[");
    p->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && p->body.len + events[i].body.len > BODY_MAX) {
            break;
        }
        buf_str(&p->body, i > 0 ? ",\n" : "\n");
        buf_span(&p->body, events[i].body);
        p->last = events[i].number;
        p->count++;
    }
    buf_str(&p->body, "\n]}\n");
}

static void send(struct poster *p)
{
    struct fail f = {0};
    size_t n = 0;
    arena_init(&p->answer);
    const char **headers = arena_alloc(&p->answer, HEADERS_MAX * sizeof(*headers));
    if (fill_headers(p, headers, &n, &f) != 0) {
        arena_done(&p->answer);
        failed(p, &f);
        return;
    }
    p->state = POSTER_SENDING;
    p->request = (struct net_request){.class = NET_SMALL,
                                      .method = "POST",
                                      .url = p->conf.url,
                                      .headers = headers,
                                      .header_count = n,
                                      .has_body = true,
                                      .body = buf_view(&p->body),
                                      .stall_s = STALL_S,
                                      .arena = &p->answer,
                                      .done = answered,
                                      .arg = p};
    net_submit(p->net, &p->request);
}

/* ---- the host's answers ---- */

void poster_page(struct poster *p, int status, const struct poster_event *events, size_t count)
{
    if (status != 0) {
        wait(p); /* the journal's trouble, which it reports itself */
    } else if (count > 0) {
        fill_body(p, events, count);
        send(p);
    } else if (p->is_news) {
        ask(p);
    } else {
        p->state = POSTER_IDLE;
    }
}

void poster_done(struct poster *p, int status)
{
    if (status != 0) {
        wait(p); /* they are told again */
        return;
    }
    if (p->failures > 0) {
        LOG_NOTICE(p->log, SUBJECT, "events for %s are taken again", p->conf.name);
    }
    p->failures = 0;
    p->fail = (struct fail){0};
    p->sent += p->count;
    p->batch = p->batch * 2 < p->conf.batch ? p->batch * 2 : p->conf.batch;
    stat_add(p->sent_stat, (double)p->count);
    ask(p);
}

static void wait_is_over(void *arg)
{
    ask(arg);
}

void poster_news(struct poster *p)
{
    p->is_news = true;
    if (p->state == POSTER_IDLE) {
        ask(p);
    }
}

/* ---- life ---- */

static struct conf_token copy_place(struct arena *a, const struct conf_token *in)
{
    return (struct conf_token){.environment = arena_span(a, span_str(in->environment)).ptr,
                               .file = arena_span(a, span_str(in->file)).ptr,
                               .systemd = arena_span(a, span_str(in->systemd)).ptr};
}

static void copy_conf(struct poster *p, const struct conf_events *in)
{
    arena_init(&p->arena);
    p->conf = (struct conf_events){.name = arena_strdup(&p->arena, in->name),
                                   .url = arena_strdup(&p->arena, in->url),
                                   .token = copy_place(&p->arena, &in->token),
                                   .headers = copy_place(&p->arena, &in->headers),
                                   .secret = copy_place(&p->arena, &in->secret),
                                   .batch = in->batch};
}

static void make_stats(struct poster *p, struct stat_set *stats)
{
    static const char *const labels[] = {"target", NULL};
    const char *values[] = {p->conf.name, NULL};
    p->sent_stat = stat_get(stat_family(stats, STAT_COUNTER, "repl_events_sent_total",
                                        "Events that their target has taken.", labels),
                            values);
    p->failed_stat = stat_get(stat_family(stats, STAT_COUNTER, "repl_events_failures_total",
                                          "Requests with events that were not taken.", labels),
                              values);
}

int poster_new(const struct poster_options *options, struct poster **ret, struct fail *f)
{
    static const struct net_path_options direct = {.name = "direct", .cost = "default"};
    struct net_options net_options = {.loop = options->loop,
                                      .log = options->log,
                                      .name = options->conf->name,
                                      .ca_file = options->conf->ca_file,
                                      .tls_insecure = options->conf->tls_insecure,
                                      .lanes = 1,
                                      .paths = &direct,
                                      .path_count = 1};
    struct net *net = NULL;
    int status = net_new(&net_options, &net, f);
    if (status != 0) {
        return status;
    }
    struct poster *p = MEM_NEW(struct poster);
    p->loop = options->loop;
    p->log = options->log;
    p->host = options->host;
    p->net = net;
    copy_conf(p, options->conf);
    p->batch = p->conf.batch;
    make_stats(p, options->stats);
    timer_init(&p->timer, p->loop, wait_is_over, p);
    *ret = p;
    return 0;
}

static void net_is_closed(void *arg)
{
    struct poster *p = arg;
    loop_fn *closed = p->closed;
    void *closed_arg = p->closed_arg;
    buf_done(&p->body);
    arena_done(&p->arena);
    mem_free(p);
    closed(closed_arg);
}

void poster_close(struct poster *p, loop_fn *closed, void *arg)
{
    p->closed = closed;
    p->closed_arg = arg;
    timer_stop(&p->timer);
    if (p->state == POSTER_SENDING) {
        net_cancel(p->net, &p->request);
    }
    net_close(p->net, net_is_closed, p);
}

void poster_status(const struct poster *p, struct poster_status *ret)
{
    *ret = (struct poster_status){
        .name = p->conf.name, .sent = p->sent, .failures = p->failures, .fail = p->fail};
}
