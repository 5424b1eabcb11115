/* poster: tells one target of the events that wait for it, by HTTP POST of {"Records": […]}, a
 * batch at a time in the order of their numbers; so those of one key come in order. What is not
 * answered with 2xx is sent again, later and later, for ever: at least once. Loop thread. */
#ifndef REPL_NOTIFY_POSTER_H
#define REPL_NOTIFY_POSTER_H

#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/stat.h"
#include "daemon/conf/conf.h"

struct poster_event {
    uint64_t number;
    struct span body; /* one element of Records */
};

struct poster;

struct poster_host {
    void *arg;
    /* The oldest `limit` that wait; poster_page() answers, later, from the loop. */
    void (*page)(void *arg, const char *target, size_t limit);
    /* Up to this number they are told; poster_done() answers when that is durable. */
    void (*done)(void *arg, const char *target, uint64_t number);
};

struct poster_options {
    struct loop *loop; /* a real one */
    struct log *log;
    struct stat_set *stats;
    const struct conf_events *conf; /* copied */
    struct poster_host host;
};

/* REPL_EBADINPUT when the CA file cannot be read. A secret that cannot be read is reported and
 * tried again; nothing is sent without it. */
int poster_new(const struct poster_options *options, struct poster **ret, struct fail *f);
/* Something waits. Cheap. */
void poster_news(struct poster *p);
void poster_page(struct poster *p, int status, const struct poster_event *events, size_t count);
void poster_done(struct poster *p, int status);
/* No answer of the host is waited for; the host must not give one any more. */
void poster_close(struct poster *p, loop_fn *closed, void *arg);

struct poster_status {
    const char *name;
    uint64_t sent;     /* events, in this life */
    unsigned failures; /* requests in a row */
    struct fail fail;  /* of the last one; code 0 = it went well */
};
void poster_status(const struct poster *p, struct poster_status *ret);

#endif
