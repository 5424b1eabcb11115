/* fail: the one code space of the project, the class that policy looks at, and the record of what
 * went wrong. Functions return 0 or a negative code; libuv and errno values pass unchanged (errno
 * negated), ours start at -20000. The detail belongs to the object that failed. */
#ifndef REPL_BASE_FAIL_H
#define REPL_BASE_FAIL_H

#include <stdarg.h>
#include <stdbool.h>

/* What may be done about it. Only transfer/copy/retry decides, from the class. */
enum fail_class {
    FAIL_NONE,
    FAIL_RETRY,     /* transient: try again with backoff */
    FAIL_THROTTLE,  /* the server asks for fewer requests */
    FAIL_AUTH,      /* credentials or rights: the endpoint is paused, nothing is drained */
    FAIL_GONE,      /* object, upload or bucket is not there, or changed: read the state again */
    FAIL_CORRUPT,   /* bytes differ from what was sent or promised */
    FAIL_PERMANENT, /* this object will never go as it is: dead letter */
    FAIL_BUG,       /* ours */
};

/* X(name, number below -20000, class, text) */
#define REPL_ERRORS(X)                                                                             \
    X(REPL_EDONE, 0, FAIL_NONE, "nothing more to do")                                              \
    X(REPL_ETOOBIG, 1, FAIL_PERMANENT, "larger than the limit")                                    \
    X(REPL_EBADINPUT, 2, FAIL_PERMANENT, "malformed input")                                        \
    X(REPL_ENOTFOUND, 3, FAIL_GONE, "not found")                                                   \
    X(REPL_EEXISTS, 4, FAIL_PERMANENT, "exists already")                                           \
    X(REPL_ECONFLICT, 5, FAIL_PERMANENT, "contradicts what exists")                                \
    X(REPL_ESTALE, 6, FAIL_BUG, "owner epoch is stale")                                            \
    X(REPL_EOWNED, 7, FAIL_PERMANENT, "another owner holds it")                                    \
    X(REPL_ECLOSED, 8, FAIL_RETRY, "closed")                                                       \
    X(REPL_ECANCELED, 9, FAIL_NONE, "cancelled")                                                   \
    X(REPL_EJOURNAL, 10, FAIL_RETRY, "journal cannot be written")                                  \
    X(REPL_ESCHEMA, 11, FAIL_PERMANENT, "journal schema is of another version")                    \
    X(REPL_ENET, 20, FAIL_RETRY, "network error")                                                  \
    X(REPL_EUNREACHABLE, 21, FAIL_RETRY, "endpoint not reachable")                                 \
    X(REPL_ETIMEOUT, 22, FAIL_RETRY, "no progress in time")                                        \
    X(REPL_ETLS, 23, FAIL_RETRY, "TLS failure")                                                    \
    X(REPL_ESHORT, 24, FAIL_RETRY, "body shorter than announced")                                  \
    X(REPL_EPROTO, 25, FAIL_RETRY, "answer violates the protocol")                                 \
    X(REPL_ESERVER, 30, FAIL_RETRY, "server error")                                                \
    X(REPL_ETHROTTLED, 31, FAIL_THROTTLE, "server asks to slow down")                              \
    X(REPL_EDENIED, 32, FAIL_AUTH, "access denied")                                                \
    X(REPL_ECREDENTIALS, 33, FAIL_AUTH, "credentials missing, expired or refused")                 \
    X(REPL_ESKEW, 34, FAIL_RETRY, "clock differs from the server's")                               \
    X(REPL_EREGION, 35, FAIL_RETRY, "bucket is in another region")                                 \
    X(REPL_ENOBUCKET, 36, FAIL_AUTH, "bucket does not exist")                                      \
    X(REPL_ENOKEY, 37, FAIL_GONE, "object does not exist")                                         \
    X(REPL_ENOUPLOAD, 38, FAIL_GONE, "multipart upload does not exist")                            \
    X(REPL_ECHANGED, 39, FAIL_GONE, "source object changed during the copy")                       \
    X(REPL_ECHECKSUM, 40, FAIL_CORRUPT, "checksum mismatch")                                       \
    X(REPL_EVERIFY, 41, FAIL_CORRUPT, "destination object differs after completion")               \
    X(REPL_EARCHIVED, 42, FAIL_PERMANENT, "source object is archived")                             \
    X(REPL_EUNSUPPORTED, 43, FAIL_PERMANENT, "server does not support it")                         \
    X(REPL_EREFUSED, 44, FAIL_PERMANENT, "server refuses this object")                             \
    X(REPL_ENOMEMORY, 45, FAIL_PERMANENT, "part does not fit into the memory budget")              \
    X(REPL_EAMBIGUOUS, 46, FAIL_RETRY, "answer was lost; outcome must be asked for")               \
    X(REPL_EBRAKE, 47, FAIL_PERMANENT, "deletes are held by the brake")                            \
    X(REPL_EINTERNAL, 99, FAIL_BUG, "internal error")

#define REPL_ERROR_ENUM(name, number, class, text) name = -20000 - (number),
enum repl_error { REPL_ERRORS(REPL_ERROR_ENUM) };
#undef REPL_ERROR_ENUM

/* A failure in full; a plain value, copied freely. code 0 = no failure. */
struct fail {
    int code;
    int http_status;      /* 0 when it was not an HTTP answer */
    int retry_after_ms;   /* what the server asked for, 0 when it did not */
    char server_code[48]; /* "SlowDown", "NoSuchKey"; "" when none */
    char request_id[72];  /* the server's, for its support; "" when none */
    char text[400];       /* lower-case sentence for an operator */
    char hint[400];       /* what mends it; "" when there is nothing to say */
};

/* Symbolic name ("REPL_ENOKEY", "ECONNREFUSED"); "OK" for 0. */
const char *fail_name(int code);
/* What it means in a few words. */
const char *fail_text(int code);
enum fail_class fail_class(int code);
const char *fail_class_name(enum fail_class c);

/* Fills *f (other members cleared); returns code, so that `return fail_set(...)` reads well. */
int fail_set(struct fail *f, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* which sees no bodies in other files: a failure is never 0 */
#define fail_set(f, code, ...) (fail_set(f, code, __VA_ARGS__), (code))
#endif
void fail_vset(struct fail *f, int code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
/* Adds a hint to a failure that is set. */
void fail_hint(struct fail *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fail_clear(struct fail *f);
/* "text (code SlowDown, HTTP 503, request id X); hint: …" into a caller buffer. */
const char *fail_print(const struct fail *f, char *to, unsigned long size);

#endif
