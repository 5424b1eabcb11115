/* append_json: JSON lines into changes, for `journal append`. Pure. A line is an object:
 *
 *   {"bucket": "crawl", "key": "raw/1.html"}                      kind is put
 *   {"bucket": …, "key_base64": …, "kind": "delete", "endpoint": …, "version_id": …, "etag": …,
 *    "sequencer": …, "size": 123, "event_time": "2026-11-23T10:20:30Z" or Unix milliseconds} */
#ifndef REPL_ADMIN_APPEND_JSON_H
#define REPL_ADMIN_APPEND_JSON_H

#include "daemon/base/mem.h"
#include "daemon/core/engine.h"

struct append_lines {
    struct change *changes; /* in the arena */
    size_t count;
};

/* All or nothing: REPL_EBADINPUT names the line ("line 3: …"); blank lines are passed over. At most
 * PROTO_APPEND_LINES changes, else REPL_ETOOBIG. */
int append_json_parse(struct span body, struct arena *a, struct append_lines *ret, struct fail *f);

#endif
