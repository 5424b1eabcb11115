#include "daemon/base/log.h"

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "daemon/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define SITE_WINDOW_MS 5000
#define SITE_LINES     20
#define SUBJECTS_MAX   32

struct subject_level {
    char name[24];
    enum log_level level;
};

struct log {
    pthread_mutex_t lock; /* guards all below but `most` */
    enum log_format format;
    enum log_level level;
    struct subject_level subjects[SUBJECTS_MAX];
    unsigned subject_count;
    log_sink_fn *sink;
    void *sink_arg;
    _Atomic int most; /* the most talkative of all levels, to say no without the lock */
};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     [LOG_LEVEL_TRACE] = "trace",
};

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return REPL_EBADINPUT;
}

/* True when standard error is the socket that systemd made for the journal. */
static bool stderr_is_journal(void)
{
    unsigned long long dev;
    unsigned long long ino;
    struct stat st;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

struct log *log_new(enum log_format format, enum log_level level)
{
    struct log *log = MEM_NEW(struct log);
    pthread_mutex_init(&log->lock, NULL);
    if (format == LOG_FORMAT_AUTO) {
        format = stderr_is_journal() ? LOG_FORMAT_JOURNALD : LOG_FORMAT_TEXT;
    }
    log->format = format;
    log->level = level;
    log->most = (int)level;
    return log;
}

void log_free(struct log *log)
{
    if (log != NULL) {
        pthread_mutex_destroy(&log->lock);
        mem_free(log);
    }
}

static void update_most(struct log *log)
{
    int most = (int)log->level;
    for (unsigned i = 0; i < log->subject_count; i++) {
        if ((int)log->subjects[i].level > most) {
            most = (int)log->subjects[i].level;
        }
    }
    log->most = most;
}

void log_set_level(struct log *log, enum log_level level)
{
    pthread_mutex_lock(&log->lock);
    log->level = level;
    update_most(log);
    pthread_mutex_unlock(&log->lock);
}

static int parse_subject(struct span item, struct subject_level *ret)
{
    char level[16];
    struct span name = span_trim(span_cut(&item, '='));
    item = span_trim(item);
    if (name.len == 0 || name.len >= sizeof(ret->name) || item.len >= sizeof(level)) {
        return REPL_EBADINPUT;
    }
    snprintf(ret->name, sizeof(ret->name), "%.*s", SPAN_ARG(name));
    snprintf(level, sizeof(level), "%.*s", SPAN_ARG(item));
    return log_level_parse(level, &ret->level);
}

int log_set_levels(struct log *log, const char *spec)
{
    struct subject_level subjects[SUBJECTS_MAX];
    unsigned count = 0;
    struct span rest = span_str(spec);
    while (rest.len > 0) {
        if (count == SUBJECTS_MAX || parse_subject(span_cut(&rest, ','), &subjects[count]) < 0) {
            return REPL_EBADINPUT;
        }
        count++;
    }
    pthread_mutex_lock(&log->lock);
    memcpy(log->subjects, subjects, count * sizeof(subjects[0]));
    log->subject_count = count;
    update_most(log);
    pthread_mutex_unlock(&log->lock);
    return 0;
}

void log_set_sink(struct log *log, log_sink_fn *sink, void *arg)
{
    pthread_mutex_lock(&log->lock);
    log->sink = sink;
    log->sink_arg = arg;
    pthread_mutex_unlock(&log->lock);
}

bool log_enabled(const struct log *log, enum log_level level, const char *subject)
{
    struct log *l = (struct log *)(uintptr_t)log; /* the lock is not part of what const promises */
    if ((int)level > l->most) {
        return false;
    }
    pthread_mutex_lock(&l->lock);
    enum log_level limit = l->level;
    for (unsigned i = 0; i < l->subject_count; i++) {
        if (strcmp(l->subjects[i].name, subject) == 0) {
            limit = l->subjects[i].level;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return level <= limit;
}

/* ---- one line ---- */

static void print_json_string(struct buf *b, const char *text)
{
    struct span rest = span_str(text);
    buf_char(b, '"');
    while (rest.len > 0) {
        size_t n = span_utf8(rest);
        unsigned char c = (unsigned char)rest.ptr[0];
        if (n == 0) {
            buf_char(b, '?');
        } else if (c == '"' || c == '\\') {
            buf_printf(b, "\\%c", c);
        } else if (c < 0x20) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_append(b, rest.ptr, n);
        }
        rest = span_skip(rest, n > 0 ? n : 1);
    }
    buf_char(b, '"');
}

static void print_stamp(struct buf *b)
{
    char seconds[32];
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    time_iso((int64_t)ts.tv_sec * 1000, seconds);
    buf_printf(b, "%.19s.%03uZ", seconds, (unsigned)(ts.tv_nsec / 1000000));
}

/* Control characters could forge a second line or drive a terminal. */
static void print_plain(struct buf *b, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            buf_printf(b, "\\x%02x", (unsigned)(unsigned char)*c);
        } else {
            buf_char(b, *c);
        }
    }
}

static void write_stderr(struct log *log, enum log_level level, const char *subject,
                         const char *text)
{
    struct buf b;
    buf_init(&b, 0);
    if (log->format == LOG_FORMAT_JSON) {
        buf_str(&b, "{\"time\":\"");
        print_stamp(&b);
        buf_printf(&b, "\",\"level\":\"%s\",\"subject\":\"%s\",\"message\":", level_names[level],
                   subject);
        print_json_string(&b, text);
        buf_char(&b, '}');
    } else {
        print_stamp(&b);
        buf_printf(&b, " %-7s %s: ", level_names[level], subject);
        print_plain(&b, text);
    }
    buf_char(&b, '\n');
    ssize_t ignored = write(STDERR_FILENO, b.data, b.len);
    (void)ignored; /* there is nowhere left to report it */
    buf_done(&b);
}

static void write_journald(enum log_level level, const char *subject, const char *text)
{
    static const int priorities[] = {3, 4, 5, 6, 7, 7};
    sd_journal_send("MESSAGE=%s: %s", subject, text, "PRIORITY=%d", priorities[level],
                    "REPL_SUBJECT=%s", subject, NULL);
}

static void emit(struct log *log, enum log_level level, const char *subject, const char *text)
{
    if (log->sink != NULL) {
        log->sink(log->sink_arg, level, subject, text);
    } else if (log->format == LOG_FORMAT_JOURNALD) {
        write_journald(level, subject, text);
    } else {
        write_stderr(log, level, subject, text);
    }
}

/* Under the lock. Returns false when the line is one too many; *ret_missed says how many were left
 * out in the window that has just ended. */
static bool admit(struct log_site *site, enum log_level level, unsigned *ret_missed)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    unsigned long long now =
        (unsigned long long)ts.tv_sec * 1000u + (unsigned long long)ts.tv_nsec / 1000000u + 1;
    *ret_missed = 0;
    if (level == LOG_LEVEL_TRACE) {
        return true;
    }
    if (site->window_ms == 0 || now - site->window_ms >= SITE_WINDOW_MS) {
        *ret_missed = site->suppressed;
        *site = (struct log_site){.window_ms = now};
    }
    if (site->count >= SITE_LINES) {
        site->suppressed++;
        return false;
    }
    site->count++;
    return true;
}

void log_write(struct log *log, struct log_site *site, enum log_level level, const char *subject,
               const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    char note[80];
    unsigned missed;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_lock(&log->lock);
    if (admit(site, level, &missed)) {
        if (missed > 0) {
            snprintf(note, sizeof(note), "%u similar lines were left out", missed);
            emit(log, level, subject, note);
        }
        emit(log, level, subject, text);
    }
    pthread_mutex_unlock(&log->lock);
}
