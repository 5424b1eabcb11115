#include "daemon/feeds/webhook.h"

#include "daemon/base/hash.h"
#include "daemon/feeds/webhook_impl.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>

#define LOOK_MS         10000
#define PEM_MAX         ((size_t)256 * 1024)
#define CONNECTIONS_MAX 512
#define IDLE_S          30

/* ---- certificates ---- */

struct pems {
    struct arena arena;
    struct httpd_tls tls;
    int64_t expires_ms;
};

static int read_pem(const char *path, struct arena *a, struct span *ret, struct fail *f)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        int error = errno;
        fail_set(f, -error, "webhook: %s: %s", path, strerror(error));
        fail_hint(f, "the user that runs repld must be able to read it");
        return -error;
    }
    char *text = arena_alloc(a, PEM_MAX);
    size_t n = fread(text, 1, PEM_MAX, in);
    fclose(in);
    *ret = span_of(text, n);
    return n < PEM_MAX ? 0 : fail_set(f, REPL_ETOOBIG, "webhook: %s is too long", path);
}

/* Says what is wrong before the server is built anew. */
static int check_pair(struct pems *p, const struct conf_webhook *c, struct fail *f)
{
    BIO *certs = BIO_new_mem_buf(p->tls.certificate.ptr, (int)p->tls.certificate.len);
    BIO *keys = BIO_new_mem_buf(p->tls.key.ptr, (int)p->tls.key.len);
    X509 *cert = PEM_read_bio_X509(certs, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(keys, NULL, NULL, NULL);
    struct tm end = {0};
    int status = 0;
    if (cert == NULL) {
        status = fail_set(f, REPL_EBADINPUT, "webhook: %s holds no certificate", c->certificate);
    } else if (key == NULL) {
        status = fail_set(f, REPL_EBADINPUT, "webhook: %s holds no key without a password",
                          c->key != NULL ? c->key : c->certificate);
    } else if (X509_check_private_key(cert, key) != 1) {
        status = fail_set(f, REPL_EBADINPUT, "webhook: the key is not that of the certificate");
    } else if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1) {
        p->expires_ms = (int64_t)timegm(&end) * 1000;
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(keys);
    BIO_free(certs);
    return status;
}

static int read_pems(const struct conf_webhook *c, struct pems *p, struct fail *f)
{
    int status = read_pem(c->certificate, &p->arena, &p->tls.certificate, f);
    if (status == 0) {
        status = read_pem(c->key != NULL ? c->key : c->certificate, &p->arena, &p->tls.key, f);
    }
    if (status == 0 && c->client_ca != NULL) {
        status = read_pem(c->client_ca, &p->arena, &p->tls.client_ca, f);
    }
    return status == 0 ? check_pair(p, c, f) : status;
}

static void drop_pems(struct pems *p)
{
    if (p->tls.key.ptr != NULL) {
        explicit_bzero((char *)(uintptr_t)p->tls.key.ptr, p->tls.key.len);
    }
    arena_done(&p->arena);
}

/* Changes when one of the files is another one or was written. */
static uint64_t mark_of_files(const struct conf_webhook *c)
{
    const char *paths[] = {c->certificate, c->key, c->client_ca};
    uint64_t mark = 0;
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        if (paths[i] != NULL && stat(paths[i], &st) == 0) {
            int64_t facts[] = {(int64_t)st.st_ino, (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                               (int64_t)st.st_mtim.tv_nsec};
            mark = hash_bytes(span_of((const char *)facts, sizeof(facts)), mark + i + 1);
        }
    }
    return mark;
}

/* ---- the listener ---- */

static const struct httpd_route routes[] = {{"POST", "/", webhook_deliver}};

/* Opens it, or renews the one that is there. */
static int serve(struct webhook *w, const struct conf_webhook *c, struct fail *f)
{
    struct pems pems = {0};
    uint64_t mark = mark_of_files(c);
    uint64_t bodies = w->memory_bytes / 16;
    struct httpd_options options = {
        .loop = w->loop,
        .log = w->log,
        .name = "webhook",
        .tcp_listen = c->listen,
        .routes = routes,
        .route_count = 1,
        .arg = w,
        .admit = webhook_admit,
        .body_max = c->max_body_bytes,
        .bodies_max = bodies > 2 * c->max_body_bytes ? bodies : 2 * c->max_body_bytes,
        .connections_max = CONNECTIONS_MAX,
        .idle_s = IDLE_S,
    };
    arena_init(&pems.arena);
    int status = 0;
    if (c->certificate != NULL) {
        status = read_pems(c, &pems, f);
        options.tls = &pems.tls;
    }
    if (status == 0) {
        status = w->server != NULL ? httpd_renew(&w->server, &options, f)
                                   : httpd_open(&options, &w->server, f);
    }
    if (status == 0) {
        w->files_mark = mark;
        stat_put_ms(w->expiry, pems.expires_ms);
    }
    drop_pems(&pems);
    return status;
}

static void look(void *arg)
{
    struct webhook *w = arg;
    struct fail f = {0};
    uint64_t mark = mark_of_files(&w->conf);
    timer_start(&w->look, LOOK_MS);
    if (mark == w->files_mark) {
        return;
    }
    if (serve(w, &w->conf, &f) == 0) {
        LOG_NOTICE(w->log, WEBHOOK_SUBJECT, "webhook has a new certificate");
    } else {
        w->files_mark = mark; /* told once; the next change is tried again */
        LOG_ERROR(w->log, WEBHOOK_SUBJECT, "webhook goes on with the old certificate: %s", f.text);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void copy_conf(struct webhook *w, const struct conf_webhook *c)
{
    arena_done(&w->arena);
    arena_init(&w->arena);
    struct arena *a = &w->arena;
    struct buf rate = {0};
    struct fail f;
    w->conf = (struct conf_webhook){.listen = arena_strdup(a, c->listen),
                                    .certificate = arena_strdup_or_null(a, c->certificate),
                                    .key = arena_strdup_or_null(a, c->key),
                                    .client_ca = arena_strdup_or_null(a, c->client_ca),
                                    .max_body_bytes = c->max_body_bytes};
    limit_print(&c->rate, &rate);
    limit_parse_requests(buf_view(&rate), a, &w->conf.rate, &f);
    buf_done(&rate);
}

static bool is_local(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
           strncmp(listen, "localhost:", 10) == 0;
}

static void warn_of_plain(const struct webhook *w)
{
    if (w->conf.certificate == NULL && !is_local(w->conf.listen)) {
        LOG_WARNING(w->log, WEBHOOK_SUBJECT,
                    "webhook listens on %s without TLS: tokens can be read on the way",
                    w->conf.listen);
    }
}

static void make_stats(struct webhook *w)
{
    w->expiry = stat_get(
        stat_family(w->stats, STAT_GAUGE, "repl_webhook_certificate_expiry_timestamp_seconds",
                    "When the webhook's certificate ends; absent without one.", NULL),
        NULL);
    w->unknown_path =
        stat_get(stat_family(w->stats, STAT_COUNTER, "repl_webhook_unknown_path_total",
                             "Requests for a path that no source has.", NULL),
                 NULL);
}

int webhook_open(const struct webhook_options *o, struct webhook **ret, struct fail *f)
{
    struct webhook *w = MEM_NEW(struct webhook);
    w->loop = o->loop;
    w->log = o->log;
    w->stats = o->stats;
    w->memory_bytes = o->memory_bytes;
    list_init(&w->sources);
    arena_init(&w->arena);
    copy_conf(w, o->conf);
    make_stats(w);
    int status = serve(w, &w->conf, f);
    w->fetch = o->fetch;
    if (status == 0 && w->fetch == NULL) {
        status = fetch_new(w->loop, w->log, &w->fetch, f);
    }
    if (status != 0) {
        httpd_close(w->server);
        arena_done(&w->arena);
        mem_free(w);
        return status;
    }
    w->keys = push_keys_new(w->loop, w->fetch);
    timer_init(&w->look, w->loop, look, w);
    timer_start(&w->look, LOOK_MS);
    warn_of_plain(w);
    *ret = w;
    return 0;
}

int webhook_renew(struct webhook *w, const struct conf_webhook *c, struct fail *f)
{
    bool same = same_text(w->conf.certificate, c->certificate) && same_text(w->conf.key, c->key) &&
                same_text(w->conf.client_ca, c->client_ca) &&
                w->conf.max_body_bytes == c->max_body_bytes && mark_of_files(c) == w->files_mark;
    int status = same ? 0 : serve(w, c, f);
    if (status == 0) {
        copy_conf(w, c);
        warn_of_plain(w);
    }
    return status;
}

static void fetch_is_closed(void *arg)
{
    struct webhook *w = arg;
    loop_fn *closed = w->closed;
    void *closed_arg = w->closed_arg;
    push_keys_free(w->keys);
    arena_done(&w->arena);
    mem_free(w);
    closed(closed_arg);
}

/* The last source is gone, and with it the last delivery. */
void webhook_end(struct webhook *w)
{
    httpd_close(w->server);
    fetch_close(w->fetch, fetch_is_closed, w);
}

void webhook_close(struct webhook *w, loop_fn *closed, void *arg)
{
    w->closed = closed;
    w->closed_arg = arg;
    timer_stop(&w->look);
    if (list_is_empty(&w->sources)) {
        webhook_end(w);
    }
}

const char *webhook_address(const struct webhook *w)
{
    return httpd_address(w->server);
}
