/* json_out: writes JSON into a buf, commas by itself. `name` NULL: an item of a list. */
#ifndef REPL_ADMIN_JSON_OUT_H
#define REPL_ADMIN_JSON_OUT_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"

#include <stdbool.h>
#include <stdint.h>

void json_open(struct buf *b, const char *name, char bracket);     /* '{' or '[' */
void json_close(struct buf *b, char bracket);                      /* '}' or ']' */
void json_text(struct buf *b, const char *name, struct span text); /* absent: null */
void json_str(struct buf *b, const char *name, const char *text);  /* NULL: null */
void json_int(struct buf *b, const char *name, int64_t value);
void json_real(struct buf *b, const char *name, double value);
void json_bool(struct buf *b, const char *name, bool value);
void json_time(struct buf *b, const char *name, int64_t wall_ms); /* 0: null */
/* Ready JSON. */
void json_raw(struct buf *b, const char *name, struct span json);
/* "key", and "key_base64" where it is not UTF-8; `name` replaces "key". */
void json_key(struct buf *b, const char *name, struct span key);
/* {"code", "text", "hint"?, "server_code"?, "http_status"?, "request_id"?}; code 0: null. */
void json_fail(struct buf *b, const char *name, const struct fail *f);
/* Percent-encoded, for queries. */
void json_escape_query(struct buf *b, struct span text);

#endif
