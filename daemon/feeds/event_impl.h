/* event_impl: what the files of event share. */
#ifndef REPL_FEEDS_EVENT_IMPL_H
#define REPL_FEEDS_EVENT_IMPL_H

#include "daemon/conf/doc.h"
#include "daemon/feeds/event.h"

struct event_reader {
    const struct event_options *options;
    struct arena *a;
    struct event_list *list;
    size_t room;
    size_t own_room;
    unsigned envelopes; /* that are open: texts within texts */
    size_t values;      /* of JSON, over all of them */
    int status;         /* of the first that was refused */
    struct fail *f;
};

/* ---- event_name.c ---- */

enum event_what {
    EVENT_IGNORED,
    EVENT_PUT,
    EVENT_DELETE,  /* the key is gone */
    EVENT_REMOVED, /* the key is gone, or the version that is named */
    EVENT_LOOK,    /* something happened that may matter */
};

/* name: with or without "s3:" or "oss:". */
enum event_what event_what(enum event_source source, struct span name);

/* ---- event_record.c ---- */

/* place: of the list in the document, for errors. */
void event_read_records(struct event_reader *r, const struct doc *list, const char *place);
void event_read_oss_list(struct event_reader *r, const struct doc *list, const char *place);
/* One event that is no member of a list. */
void event_read_bridge(struct event_reader *r, const struct doc *event);
void event_read_oss(struct event_reader *r, const struct doc *event, const char *place);

/* ---- event.c ---- */

/* Text of a member of a map; absent when it is not there, null, or no scalar. */
struct span event_text(const struct doc *map, const char *name);
/* Notes the first failure of the body. */
void event_refuse(struct event_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
