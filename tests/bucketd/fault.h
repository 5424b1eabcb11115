/* fault: what tests asked to go wrong. A list behind a mutex; every fault has a count and ends
 * when that is used up. */
#ifndef BUCKETD_FAULT_H
#define BUCKETD_FAULT_H

#include "daemon/base/span.h"
#include "tests/bucketd/op.h"

#include <pthread.h>
#include <stdint.h>

#define FAULT_LIST(FAULT)                                                                          \
    FAULT(none)                                                                                    \
    FAULT(status)         /* answers "status" and "code" without effect */                         \
    FAULT(retry_after)    /* the same, with Retry-After of delay_ms in whole seconds */            \
    FAULT(slow)           /* waits delay_ms, then goes on as usual */                              \
    FAULT(hang)           /* never answers; ends with DELETE /_bucketd/fault; */                   \
                          /* a GET with after_bytes waits or hangs behind so many bytes */         \
    FAULT(reset)          /* RST after after_bytes of the body, without effect */                  \
    FAULT(lost_answer)    /* has its effect, then RST */                                           \
    FAULT(wrong_etag)     /* has its effect, answers another ETag */                               \
    FAULT(error_in_200)   /* 200 with an <Error> document, without effect */                       \
    FAULT(truncated_list) /* 200, but the document stops in the middle */                          \
    FAULT(cut_list)       /* ends behind so many "keys", as if there were no more */               \
    FAULT(thin_list)      /* leaves every "keys"-th one out, and says nothing of it */             \
    FAULT(corrupt_body)   /* flips a bit of the byte at after_bytes: GET in the answer, */         \
                          /* PUT and parts in what is stored */

#define FAULT_ENUM(name) FAULT_##name,
enum fault_action { FAULT_LIST(FAULT_ENUM) FAULT_COUNT };
#undef FAULT_ENUM

struct fault {
    enum fault_action action;
    unsigned status;
    char code[64]; /* of the <Error> */
    uint64_t after_bytes;
    uint64_t keys; /* counted in each answer anew; at least 1 */
    int64_t delay_ms;
};

/* True for a GET whose body stops behind after_bytes. */
static inline bool fault_is_in_body(const struct fault *fault, enum op op)
{
    return op == OP_GetObject && fault->after_bytes > 0 &&
           (fault->action == FAULT_reset || fault->action == FAULT_slow ||
            fault->action == FAULT_hang);
}

struct faults {
    pthread_mutex_t lock;
    struct fault_entry *first;
};

void faults_init(struct faults *faults);
void faults_done(struct faults *faults);
/* Adds a fault from JSON; NULL, or what is wrong with it. */
const char *faults_add(struct faults *faults, struct span json);
void faults_clear(struct faults *faults);
/* Uses up one count of the first fault that fits; action FAULT_none when there is none. */
struct fault faults_take(struct faults *faults, enum op op, struct span key);

#endif
