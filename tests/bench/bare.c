#include "tests/bench/bare.h"

#include "journal/sqlite_impl.h"
#include "tests/bench/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WRITE_BYTES 4096
#define WRITE_SLOTS 4096 /* the file is this many writes long, as a log that is written anew */

static double seconds(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- fdatasync ---- */

static double sync_seconds;

void bare_slow_syncs(double at_least)
{
    sync_seconds = at_least;
}

/* Stands before libc's, for libsqlite3 as well. */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    double until = seconds(CLOCK_MONOTONIC) + sync_seconds;
    int r = (int)syscall(SYS_fdatasync, fd);
    double left = until - seconds(CLOCK_MONOTONIC);
    if (left > 0) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(left * 1e9)}, NULL);
    }
    return r;
}

static void write_slot(int fd, size_t slot)
{
    static const char block[WRITE_BYTES];
    if (pwrite(fd, block, sizeof(block), (off_t)(slot * sizeof(block))) != sizeof(block)) {
        perror("write");
        exit(1);
    }
}

double bare_syncs(const char *path, size_t count)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (size_t i = 0; i < WRITE_SLOTS; i++) {
        write_slot(fd, i);
    }
    fsync(fd);
    double start = seconds(CLOCK_MONOTONIC);
    for (size_t i = 0; i < count; i++) {
        write_slot(fd, i % WRITE_SLOTS);
        if (fdatasync(fd) < 0) {
            perror("fdatasync");
            exit(1);
        }
    }
    double took = seconds(CLOCK_MONOTONIC) - start;
    close(fd);
    unlink(path);
    return took;
}

/* ---- plain SQLite ---- */

static void must(sqlite3 *db, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

static void bind_span(sqlite3_stmt *stmt, int at, struct span s)
{
    sqlite3_bind_blob(stmt, at, s.ptr, (int)s.len, SQLITE_STATIC);
}

static void insert(sqlite3 *db, sqlite3_stmt *stmt, const struct append_entry *e, size_t seq)
{
    const struct change *c = &e->change;
    sqlite3_bind_int64(stmt, 1, e->rule);
    bind_span(stmt, 2, c->key);
    bind_span(stmt, 3, c->etag);
    bind_span(stmt, 4, c->feed);
    sqlite3_bind_int64(stmt, 5, c->size);
    sqlite3_bind_int64(stmt, 6, c->event_time_ms);
    sqlite3_bind_int64(stmt, 7, (sqlite3_int64)seq);
    must(db, sqlite3_step(stmt));
    must(db, sqlite3_reset(stmt));
}

double bare_inserts(const char *path, size_t count, size_t size, uint64_t seed)
{
    static const char text[] = "INSERT INTO tasks (rule, key, state, origin, kind, etag, feed,"
                               " size, event_ms, oldest_ms, accepted_ms, seq)"
                               " VALUES (?1, ?2, 0, 0, 1, ?3, ?4, ?5, ?6, ?6, ?6, ?7)";
    struct sample_source source = {.state = seed};
    struct sample texts;
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    must(db, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    must(db, sqlite3_exec(db, SQLITE_WRITER_PRAGMAS "PRAGMA cache_size=-65536", NULL, NULL, NULL));
    must(db, sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL));
    double start = seconds(CLOCK_MONOTONIC);
    for (size_t i = 0; i < count; i++) {
        int64_t now_ms = (int64_t)(seconds(CLOCK_REALTIME) * 1000);
        must(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        for (size_t k = 0; k < size; k++) {
            struct append_entry e = sample_next(&source, 1, now_ms, &texts);
            insert(db, stmt, &e, i * size + k);
        }
        must(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    }
    double took = seconds(CLOCK_MONOTONIC) - start;
    sqlite3_finalize(stmt);
    must(db, sqlite3_close(db));
    return took;
}
