#include "tests/bucketd/wait.h"

#include "daemon/base/mem.h"

#include <time.h>

struct wait_entry {
    struct wait_entry *next;
    struct MHD_Connection *connection;
    int64_t due_ms; /* INT64_MAX: only with all */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wakes what is due; returns when the next one will be. */
static int64_t wake_due(struct waits *waits, int64_t now)
{
    int64_t next_ms = INT64_MAX;
    for (struct wait_entry **at = &waits->first; *at != NULL;) {
        struct wait_entry *entry = *at;
        if (entry->due_ms <= now) {
            *at = entry->next;
            MHD_resume_connection(entry->connection);
            mem_free(entry);
        } else {
            next_ms = entry->due_ms < next_ms ? entry->due_ms : next_ms;
            at = &entry->next;
        }
    }
    return next_ms;
}

static void *run(void *arg)
{
    struct waits *waits = arg;
    pthread_mutex_lock(&waits->lock);
    while (!waits->is_ending) {
        int64_t next_ms = wake_due(waits, now_ms());
        if (next_ms == INT64_MAX) {
            pthread_cond_wait(&waits->changed, &waits->lock);
        } else {
            struct timespec until = {.tv_sec = next_ms / 1000, .tv_nsec = next_ms % 1000 * 1000000};
            pthread_cond_timedwait(&waits->changed, &waits->lock, &until);
        }
    }
    pthread_mutex_unlock(&waits->lock);
    return NULL;
}

void waits_init(struct waits *waits)
{
    pthread_condattr_t attributes;
    *waits = (struct waits){0};
    pthread_mutex_init(&waits->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&waits->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_create(&waits->thread, NULL, run, waits);
}

void waits_wake_all(struct waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    wake_due(waits, INT64_MAX);
    pthread_mutex_unlock(&waits->lock);
}

void waits_done(struct waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    waits->is_ending = true;
    wake_due(waits, INT64_MAX);
    pthread_cond_signal(&waits->changed);
    pthread_mutex_unlock(&waits->lock);
    pthread_join(waits->thread, NULL);
    pthread_cond_destroy(&waits->changed);
    pthread_mutex_destroy(&waits->lock);
}

void waits_sleep(struct waits *waits, struct MHD_Connection *connection, int64_t delay_ms)
{
    struct wait_entry *entry = MEM_NEW(struct wait_entry);
    entry->connection = connection;
    /* One more, because now_ms() is cut to whole milliseconds: never too early. */
    entry->due_ms = delay_ms < 0 ? INT64_MAX : now_ms() + delay_ms + 1;
    pthread_mutex_lock(&waits->lock);
    MHD_suspend_connection(connection);
    entry->next = waits->first;
    waits->first = entry;
    if (waits->is_ending) {
        wake_due(waits, INT64_MAX);
    }
    pthread_cond_signal(&waits->changed);
    pthread_mutex_unlock(&waits->lock);
}
