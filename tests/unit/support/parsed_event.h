/* parsed_event: bodies of notifications as a test writes them, and what event_parse made of them.
 * JSON is written with ' in formats, which becomes " before it is parsed. */
#ifndef REPL_TEST_PARSED_EVENT_H
#define REPL_TEST_PARSED_EVENT_H

#include "daemon/base/buf.h"
#include "daemon/feeds/event.h"

/* One record of "Records"; to be filled in: eventSource, eventVersion, eventName, members of the
 * object. */
#define PARSED_RECORD                                                                              \
    "{'eventSource':'%s','eventVersion':'%s','eventName':'%s','awsRegion':'us-west-2',"            \
    "'eventTime':'2026-11-23T10:20:30.500Z','userIdentity':{'principalId':'p'},"                   \
    "'requestParameters':{'sourceIPAddress':''},'s3':{'s3SchemaVersion':'1.0',"                    \
    "'bucket':{'name':'b','arn':'arn:aws:s3:::b'},'object':{%s}},'more':[null,1.5]}"

struct parsed {
    struct arena arena; /* for the test to end, unless it was refused */
    struct event_list list;
    struct fail fail;
    int status;
};

/* For endpoint "near", feed "webhook:w". */
struct parsed parsed_of_bytes(struct span body);
__attribute__((format(printf, 1, 2))) struct parsed parsed_of(const char *format, ...);
/* Adds to a body that is put together piece by piece; turns every ' in it. */
__attribute__((format(printf, 2, 3))) void parsed_json(struct buf *to, const char *format, ...);

void parsed_expect_good(const struct parsed *p);
/* The failure begins with text; ends the arena. */
void parsed_expect_refused(struct parsed p, const char *text);

#endif
