/* Who may send, and how much: decided by the head of a request, before its body is taken. */
#include "daemon/feeds/webhook_impl.h"

struct webhook_source *webhook_source_of(struct webhook *w, const char *path, const char **ret_rest)
{
    LIST_FOR (node, &w->sources) {
        struct webhook_source *s = CONTAINER_OF(node, struct webhook_source, link);
        size_t n = strlen(s->conf.path);
        if (strncmp(path, s->conf.path, n) == 0 && (path[n] == '\0' || path[n] == '/')) {
            *ret_rest = path[n] == '/' ? path + n + 1 : NULL;
            return s;
        }
    }
    return NULL;
}

/* Without a token configured the client's certificate was proof enough. */
static bool has_token(const struct webhook_source *s, const struct httpd_request *r,
                      const char *rest)
{
    const struct conf_token *t = &s->conf.token;
    if (t->environment == NULL && t->file == NULL && t->systemd == NULL) {
        return rest == NULL;
    }
    return rest != NULL ? webhook_tokens_have(&s->tokens, span_str(rest))
                        : webhook_tokens_have_header(&s->tokens, httpd_header(r, "authorization"));
}

/* A bucket of one second's requests, refilled as time goes. 0, or seconds to wait. */
static unsigned wait_for_credit(struct webhook_source *s)
{
    struct loop *loop = s->webhook->loop;
    unsigned minute = time_minute_of_day(loop_wall_ms(loop));
    const struct limit_entry *now = limit_at(&s->webhook->conf.rate, minute);
    uint64_t now_ms = loop_now_ms(loop);
    if (now == NULL || now->rate == 0) {
        return 0;
    }
    double rate = (double)now->rate;
    s->credit += rate * (double)(now_ms - s->credit_at_ms) / 1000;
    s->credit = s->credit < rate ? s->credit : rate;
    s->credit_at_ms = now_ms;
    if (s->credit < 1) {
        return 1;
    }
    s->credit -= 1;
    return 0;
}

static unsigned refuse(struct webhook_source *s, enum webhook_outcome why, unsigned status)
{
    webhook_count(s, why);
    return status;
}

unsigned webhook_admit(void *arg, struct httpd_request *r)
{
    struct webhook *w = arg;
    const char *rest = NULL;
    struct webhook_source *s = webhook_source_of(w, httpd_path(r), &rest);
    if (s == NULL || s->closed != NULL) {
        stat_add(w->unknown_path, s == NULL ? 1 : 0);
        httpd_retry_after(r, s == NULL ? 0 : WEBHOOK_RETRY_S);
        return s == NULL ? 404 : 503;
    }
    if (!has_token(s, r, rest)) {
        LOG_WARNING(w->log, WEBHOOK_SUBJECT, "webhook %s: a request without its token is refused",
                    s->conf.name);
        return refuse(s, WEBHOOK_TOKEN, 401);
    }
    unsigned wait_s = wait_for_credit(s);
    if (wait_s > 0) {
        httpd_retry_after(r, wait_s);
        return refuse(s, WEBHOOK_RATE, 429);
    }
    if (s->host.room(s->host.arg) == 0) {
        httpd_retry_after(r, WEBHOOK_RETRY_S);
        return refuse(s, WEBHOOK_UNAVAILABLE, 503);
    }
    return 0;
}
