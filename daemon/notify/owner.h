/* owner: which of the hosts that share a rule does what looks at the whole bucket. They agree by an
 * object at the destination, _repl/owner/<rule>, which is only ever written under a condition, so
 * that of two writers one loses:
 *
 *   LOOK ──► not there, given up, or silent for too long ──► CLAIM (epoch + 1) ──► OURS
 *    ▲  └──► another's: look again a third of the time later            │ refused   │ beat: PUT
 * over └──────────────────────────────────────────────────────────────────┘           │ our own
 * ETag └────────────────────────────────────────────────────── refused ───────────────┘
 *
 * Clocks of hosts are never compared. Another's object has expired when it has stood unchanged for
 * `takeover` by our monotonic clock, and is as old by the server's own (Date less Last-Modified).
 * Whoever holds it counts from the moment at which the last good write left, and stops believing
 * that it is the owner a quarter of the time before anybody else may begin to. Loop thread. */
#ifndef REPL_NOTIFY_OWNER_H
#define REPL_NOTIFY_OWNER_H

#include "daemon/base/buf.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "transfer/store/store.h"

/* ---- the object: owner_doc.c, pure ---- */

#define OWNER_DOC_MAX 2048 /* bytes; a longer one is not ours */

struct owner_doc {
    char instance[64];
    char id[40]; /* of the journal: two hosts may have one name by mistake */
    uint64_t epoch;
    uint64_t beat; /* makes every writing another ETag */
    uint64_t takeover_ms;
    bool released; /* given up in good order: no need to wait */
};

void owner_doc_print(const struct owner_doc *doc, const char *rule, struct buf *to);
/* REPL_EBADINPUT: it is none. */
int owner_doc_parse(struct span text, struct owner_doc *ret, struct fail *f);

/* ---- the agreement on one rule ---- */

struct owner_host {
    void *arg;
    /* The destination, or NULL: not now. */
    struct store *(*store)(void *arg);
    /* What was found out about the store's conditions is worth keeping. */
    void (*found)(void *arg, const struct store *store);
    /* owner_is_us() may be another one. Never inside a call of this file. */
    void (*news)(void *arg);
};

struct owner_options {
    struct loop *loop;
    struct log *log;
    const char *rule; /* these four are copied */
    const char *bucket;
    const char *instance;
    const char *id;
    uint64_t takeover_ms;
    struct owner_host host;
};

struct owner;

struct owner *owner_new(const struct owner_options *options);
/* Gives it up where it is ours (one write, for 2 s at most), and ends. closed(arg) from the loop.
 */
void owner_close(struct owner *o, loop_fn *closed, void *arg);

/* 0 = we are not; else an epoch that stays the same as long as we are without a gap. Ask before
 * every effect: a moment later it may be another. */
uint64_t owner_epoch(const struct owner *o);
/* Who it is, "" = not known, and why we do not know or cannot be ("" = nothing is wrong). */
const char *owner_holder(const struct owner *o);
const char *owner_trouble(const struct owner *o);

#endif
