/* Keys of endpoints and queues and tokens of the webhook as the configuration names them, for who
 * checks it without starting: they are read, and forgotten at once. */
#include "daemon/core/engine_impl.h"
#include "daemon/feeds/webhook_token.h"
#include "transfer/store/creds.h"

#include <stdlib.h>
#include <unistd.h>

struct named {
    const char *what; /* "endpoint overseas" */
    const char *name;
    enum conf_credentials kind;
    const char *credentials_name, *file;
    unsigned line;
};

/* What the environment of the service holds is not known here; that a file cannot be read was said
 * by conf_check_files(). */
static bool can_be_seen(const struct named *n)
{
    switch (n->kind) {
    case CONF_CREDS_PROFILE:
        return true;
    case CONF_CREDS_FILE:
        return access(n->file, R_OK) == 0;
    case CONF_CREDS_SYSTEMD:
        return getenv("CREDENTIALS_DIRECTORY") != NULL;
    case CONF_CREDS_ENV:
    case CONF_CREDS_ANONYMOUS:
        break;
    }
    return false;
}

static void look_at(const struct conf *conf, const struct named *n, struct conf_files *found)
{
    struct creds keys;
    struct fail f = {0};
    struct creds_source source = engine_creds(n->kind, n->credentials_name, n->file);
    if (can_be_seen(n) && creds_load(&source, &keys, &f) != 0) {
        conf_files_warn(found, conf->file, n->line, "credentials: %s \"%s\": %s", n->what, n->name,
                        f.text);
    }
    creds_wipe(&keys);
}

static void look_at_token(const struct conf *conf, const struct conf_source *s,
                          struct conf_files *found)
{
    struct webhook_tokens tokens;
    struct fail f = {0};
    const struct conf_token *t = &s->token;
    bool seen = (t->file != NULL && access(t->file, R_OK) == 0) ||
                (t->systemd != NULL && getenv("CREDENTIALS_DIRECTORY") != NULL);
    if (seen && webhook_tokens_load(t, &tokens, &f) != 0) {
        conf_files_warn(found, conf->file, s->token_line, "token: source \"%s\": %s; %s", s->name,
                        f.text, f.hint);
    }
}

void engine_check_creds(const struct conf *conf, struct conf_files *found)
{
    for (size_t i = 0; i < conf->endpoint_count; i++) {
        const struct conf_endpoint *e = &conf->endpoints[i];
        look_at(conf,
                &(struct named){"endpoint", e->name, e->credentials, e->credentials_name,
                                e->credentials_file, e->credentials_line},
                found);
    }
    for (size_t i = 0; i < conf->queue_count; i++) {
        const struct conf_queue *q = &conf->queues[i];
        if (q->credentials_line > 0) { /* else its endpoint's, which were looked at */
            look_at(conf,
                    &(struct named){"queue", q->name, q->credentials, q->credentials_name,
                                    q->credentials_file, q->credentials_line},
                    found);
        }
    }
    for (size_t i = 0; conf->webhook.listen != NULL && i < conf->webhook.source_count; i++) {
        look_at_token(conf, &conf->webhook.sources[i], found);
    }
}
