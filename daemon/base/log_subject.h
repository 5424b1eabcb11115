/* log_subject: the subjects that lines of the log have, as `log.levels` names them. */
#ifndef REPL_BASE_LOG_SUBJECT_H
#define REPL_BASE_LOG_SUBJECT_H

/* By name, NULL-terminated. A gate compares it with the call sites, and with the man page. */
static const char *const log_subjects[] = {
    "admin",  "copy", "endpoint", "engine", "httpd", "journal", "lane",  "net",     "notify",
    "outbox", "pace", "path",     "queue",  "repld", "scan",    "store", "webhook", NULL};

#endif
