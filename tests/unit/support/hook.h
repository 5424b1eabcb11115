/* hook: a webhook with one source, a sender, and a host and a web of the test's own, which answer
 * when the test says so. */
#ifndef REPL_TEST_HOOK_H
#define REPL_TEST_HOOK_H

#include "daemon/feeds/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/daemon/httpd/client.h"

#define HOOK_TOKEN "0123456789abcdef"

struct hook {
    struct loop *loop;
    struct stat_set *stats;
    struct webhook *webhook;
    struct feed *feed;
    struct client client;

    /* The host. */
    size_t room;
    struct buf kept; /* keys that were appended, a line each */
    unsigned quarantined;
    unsigned own;
    struct {
        feed_done_fn *done;
        void *arg;
    } waiting[4];
    size_t waiting_count;

    /* The web. */
    struct fetch fetch;
    struct buf asked;
    fetch_done_fn *fetch_done;
    void *fetch_arg;
};

/* With the source "a" at "/a". */
void hook_init(struct hook *h);
/* The source that was opened last ends with it. */
void hook_done(struct hook *h);
void hook_open_source(struct hook *h, const char *name, const char *path);

/* more: further header lines, each with its CRLF. */
void hook_post(struct hook *h, const char *more, const char *body);
/* Waits for the answer to what was posted; its status. */
int hook_answer(struct hook *h);

/* Until `count` things wait to be kept; nothing is answered while the host has not said that they
 * are. */
void hook_until_host_waits(struct hook *h, size_t count);
/* What waits ends so. */
void hook_host_ends(struct hook *h, int status);

/* all: what was asked for since `asked` was reset, a line each; nothing is answered meanwhile. */
void hook_until_web_is_asked(struct hook *h, const char *all);
void hook_web_answers(struct hook *h, int status, struct span page);

/* The bodies of notifications. */
#define HOOK_RECORD(key)                                                                           \
    "{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"eventTime\":"                          \
    "\"2026-11-24T10:00:00.000Z\",\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{"        \
    "\"name\":\"b\"},\"object\":{\"key\":\"" key "\",\"size\":1,\"sequencer\":\"00\"}}}"
#define HOOK_BODY(records) "{\"Records\":[" records "]}"

#endif
