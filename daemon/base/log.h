/* log: one line an event: level, subject, sentence with key=value. Writes to journald (with
 * fields) when standard error is the journal, else text or JSON lines on standard error. A struct
 * log is shared by threads (each line is one write). Rate-limited per call site, but for
 * traces, which are whole or of no use. No secret may
 * reach it: credentials have a type of their own that nobody formats. */
#ifndef REPL_BASE_LOG_H
#define REPL_BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,   /* an operator must act */
    LOG_LEVEL_WARNING, /* degraded, goes on */
    LOG_LEVEL_NOTICE,  /* life cycle */
    LOG_LEVEL_INFO,    /* per object */
    LOG_LEVEL_DEBUG,   /* per request */
    LOG_LEVEL_TRACE,   /* per decision of what controls the load */
};

enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNALD };

struct log;
/* For tests: receives each finished line; text is without the newline. */
typedef void log_sink_fn(void *arg, enum log_level level, const char *subject, const char *text);

struct log *log_new(enum log_format format, enum log_level level);
void log_free(struct log *log);
void log_set_level(struct log *log, enum log_level level);
/* "copy=debug,net=info": a level for one subject; returns REPL_EBADINPUT and changes nothing when
 * it cannot be read. */
int log_set_levels(struct log *log, const char *spec);
void log_set_sink(struct log *log, log_sink_fn *sink, void *arg);
bool log_enabled(const struct log *log, enum log_level level, const char *subject);
int log_level_parse(const char *name, enum log_level *ret_level);

/* Call-site state of the rate limit: at most 20 lines in 5 s, then a count of what was left out. */
struct log_site {
    unsigned long long window_ms;
    unsigned count;
    unsigned suppressed;
};

void log_write(struct log *log, struct log_site *site, enum log_level level, const char *subject,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* log may be NULL: nothing is written. */
#define LOG_AT(log, level, subject, ...)                                                           \
    do {                                                                                           \
        static struct log_site log_site_;                                                          \
        if ((log) != NULL && log_enabled((log), (level), (subject))) {                             \
            log_write((log), &log_site_, (level), (subject), __VA_ARGS__);                         \
        }                                                                                          \
    } while (0)
#define LOG_ERROR(log, subject, ...)   LOG_AT(log, LOG_LEVEL_ERROR, subject, __VA_ARGS__)
#define LOG_WARNING(log, subject, ...) LOG_AT(log, LOG_LEVEL_WARNING, subject, __VA_ARGS__)
#define LOG_NOTICE(log, subject, ...)  LOG_AT(log, LOG_LEVEL_NOTICE, subject, __VA_ARGS__)
#define LOG_INFO(log, subject, ...)    LOG_AT(log, LOG_LEVEL_INFO, subject, __VA_ARGS__)
#define LOG_DEBUG(log, subject, ...)   LOG_AT(log, LOG_LEVEL_DEBUG, subject, __VA_ARGS__)
#define LOG_TRACE(log, subject, ...)   LOG_AT(log, LOG_LEVEL_TRACE, subject, __VA_ARGS__)

#endif
