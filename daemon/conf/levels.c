#include "daemon/conf/levels.h"

#include "daemon/base/log.h"
#include "daemon/base/log_subject.h"
#include "daemon/base/near.h"

#include <stdio.h>

static int refuse_subject(const char *subject, struct fail *f)
{
    char known[200] = "one of";
    struct near near;
    near_start(&near, subject, NEAR_NAME);
    for (size_t i = 0; log_subjects[i] != NULL; i++) {
        size_t len = strlen(known);
        near_offer(&near, log_subjects[i]);
        snprintf(known + len, sizeof(known) - len, "%s %s", i == 0 ? "" : ",", log_subjects[i]);
    }
    fail_set(f, REPL_EBADINPUT, "\"%.60s\" is no subject of the log", subject);
    near_hint(&near, known, f);
    return REPL_EBADINPUT;
}

static int check_subject(const char *subject, struct fail *f)
{
    for (size_t i = 0; log_subjects[i] != NULL; i++) {
        if (strcmp(subject, log_subjects[i]) == 0) {
            return 0;
        }
    }
    return refuse_subject(subject, f);
}

static int check_item(struct span item, struct fail *f)
{
    char subject[64], level[16];
    enum log_level parsed;
    struct span name = span_trim(span_cut(&item, '='));
    item = span_trim(item);
    if (name.len == 0 || item.len == 0) {
        return fail_set(f, REPL_EBADINPUT, "must be SUBJECT=LEVEL,… such as copy=debug,net=info");
    }
    snprintf(subject, sizeof(subject), "%.*s", SPAN_ARG(name));
    snprintf(level, sizeof(level), "%.*s", SPAN_ARG(item));
    if (item.len >= sizeof(level) || log_level_parse(level, &parsed) != 0) {
        fail_set(f, REPL_EBADINPUT, "\"%.*s\" is no level", (int)(item.len < 60 ? item.len : 60),
                 item.ptr);
        fail_hint(f, "one of error, warning, notice, info, debug, trace");
        return REPL_EBADINPUT;
    }
    return check_subject(subject, f);
}

int levels_parse(struct span text, struct arena *a, void *to, struct fail *f)
{
    struct span rest = text;
    while (rest.ptr != NULL && rest.len > 0) {
        int status = check_item(span_cut(&rest, ','), f);
        if (status != 0) {
            return status;
        }
    }
    *(const char **)to = arena_span(a, text).ptr;
    return 0;
}

void levels_print(const void *from, struct buf *to)
{
    const char *text = *(const char *const *)from;
    buf_str(to, text != NULL ? text : "");
}
