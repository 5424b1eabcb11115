/* setup: what a sender's side needs so that its notifications reach a webhook: as commands for
 * people, and as the bucket's notification configuration. Pure. Tokens are never in a text;
 * commands have $TOKEN instead. */
#ifndef REPL_FEEDS_SETUP_H
#define REPL_FEEDS_SETUP_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"

enum setup_sender { SETUP_UNKNOWN, SETUP_MINIO, SETUP_RGW, SETUP_AWS, SETUP_OSS };

const char *setup_sender_name(enum setup_sender sender); /* "minio"; "unknown" */
/* REPL_EBADINPUT for another name. */
int setup_sender_parse(const char *name, enum setup_sender *ret);
/* By the host of the endpoint, where it tells. */
enum setup_sender setup_sender_of(const struct conf_endpoint *endpoint);

struct setup {
    const struct rule *rule;
    const struct conf_endpoint *endpoint; /* of the rule's source */
    const struct conf_source *source;
    const char *hook_url; /* "https://repl.example:8443", without the path */
    enum setup_sender sender;
    const char *arn; /* where the bucket sends to; NULL = the usual one of the sender */
};

/* The base of the URL that senders use: as configured, or where the webhook listens. REPL_EBADINPUT
 * where that is every address of the host: none of them is known to be the one. */
int setup_hook_url(const struct conf_webhook *conf, const char *address, struct buf *to,
                   struct fail *f);
/* Commands, a line each, with comments. */
void setup_commands(const struct setup *s, struct buf *to);
/* Adds what mends it to the refusal of a bucket's configuration, where that is known. */
void setup_explain(const struct setup *s, struct fail *f);
/* Parameters of CreateTopic, as a form. The token is that of the source, NULL = it has none. */
void setup_topic_form(const struct setup *s, const char *token, struct buf *to);
/* The TopicArn of its answer; REPL_EPROTO when there is none. */
int setup_topic_arn(struct span answer, struct arena *a, struct span *ret, struct fail *f);
/* The bucket's notification configuration with the rule's entries in place of older ones of the
 * same rule; all others stay as they are. `now`: the present one, may be empty. REPL_EPROTO when it
 * cannot be read. */
int setup_merge(const struct setup *s, struct span now, struct buf *to, struct fail *f);

#endif
