/* conf_schema: the table of the configuration file. */
#ifndef REPL_CONF_CONF_SCHEMA_H
#define REPL_CONF_CONF_SCHEMA_H

#include "daemon/conf/conf.h"
#include "daemon/conf/schema.h"

extern const struct schema_key conf_schema[];

/* ---- what one key cannot see of the others; REPL_EBADINPUT ---- */

struct conf_keys {
    enum conf_credentials kind;
    const char *name;
    const char *file;
};
/* name: whose credentials they are, for the error. */
int conf_resolve_keys(const struct schema_reader *r, const struct doc *node, const char *name,
                      const struct conf_credentials_written *w, struct conf_keys *ret);
/* Fills what the endpoint and the URL say of the queue. */
int conf_check_queue(const struct schema_reader *r, const struct doc *node, const struct conf *c,
                     struct conf_queue *q);

#endif
