/* sqs: one queue of Amazon SQS, in its JSON protocol. An operation is one request, signed anew each
 * time; nothing is repeated here but after a correction: when the server's clock differs, and when
 * credentials changed. Loop thread. The feed sees the vtable only, so that tests hand in queues of
 * their own. */
#ifndef REPL_FEEDS_SQS_H
#define REPL_FEEDS_SQS_H

#include "daemon/base/buf.h"
#include "daemon/base/log.h"
#include "daemon/base/loop.h"
#include "daemon/base/mem.h"
#include "transfer/store/creds.h"

#define SQS_BATCH_MAX  10 /* messages of a request: SQS's limit */
#define SQS_WAIT_MAX_S 20

struct sqs_message {
    struct span id;      /* the same when it comes again */
    struct span receipt; /* of this delivery */
    struct span body;
    int64_t sent_ms; /* Unix ms, by SQS's clock; 0 = not said */
};

enum sqs_kind {
    SQS_RECEIVE,
    SQS_DELETE,
    SQS_HIDE,  /* again, for hidden_s from now */
    SQS_COUNT, /* approximately, and up to a minute old */
};

struct sqs_op {
    /* In: unchanged until done. */
    enum sqs_kind kind;
    unsigned wait_s;                 /* RECEIVE: for the first message, 0 … SQS_WAIT_MAX_S */
    unsigned hidden_s;               /* RECEIVE, HIDE */
    const struct span *receipts;     /* DELETE, HIDE */
    size_t receipt_count;            /* 1 … SQS_BATCH_MAX */
    struct arena *arena;             /* what comes out lives here */
    void (*done)(struct sqs_op *op); /* from the loop, once, never inside sqs_submit() */
    void *arg;

    /* Out: valid in done(). */
    struct fail fail;
    struct sqs_message *messages; /* RECEIVE */
    size_t message_count;
    size_t refused;    /* DELETE, HIDE: receipts that the server did not take */
    uint64_t waiting;  /* COUNT: visible, */
    uint64_t hidden;   /* in somebody's hands, */
    uint64_t delayed;  /* not to be had yet */
    int64_t server_ms; /* the server's time when the request was sent, as far as it is known */

    void *impl; /* while it is under way */
};

struct sqs;

struct sqs_ops {
    void (*submit)(struct sqs *q, struct sqs_op *op);
    /* done() comes with REPL_ECANCELED, or with what had come before. */
    void (*cancel)(struct sqs *q, struct sqs_op *op);
    /* closed(arg) from the loop; nothing may be under way. */
    void (*close)(struct sqs *q, loop_fn *closed, void *arg);
};

struct sqs {
    const struct sqs_ops *ops;
};

static inline void sqs_submit(struct sqs *q, struct sqs_op *op)
{
    q->ops->submit(q, op);
}

static inline void sqs_cancel(struct sqs *q, struct sqs_op *op)
{
    q->ops->cancel(q, op);
}

static inline void sqs_close(struct sqs *q, loop_fn *closed, void *arg)
{
    q->ops->close(q, closed, arg);
}

struct sqs_options {
    struct loop *loop;
    struct log *log;
    const char *name; /* for logs; like all strings: copied */
    const char *url;
    const char *region;
    const char *ca_file; /* NULL: the system's */
    bool tls_insecure;
    unsigned requests; /* at a time, at most */
    struct creds_source creds;
};

/* Opens nothing yet: what is wrong with CA file or credentials is told by operations. */
struct sqs *sqs_new(const struct sqs_options *options);

/* ---- the protocol, pure ---- */

/* "AmazonSQS.ReceiveMessage" */
const char *sqs_target(enum sqs_kind kind);
void sqs_write(const struct sqs_op *op, const char *url, struct buf *to);
/* The body of a 200 into the operation; REPL_EPROTO in op->fail. */
int sqs_read(struct span body, struct sqs_op *op);
/* The body of another answer into op->fail. */
void sqs_read_failure(unsigned status, struct span body, struct sqs_op *op);

#endif
