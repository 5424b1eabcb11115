/* conf_schema: the table of the configuration file. */
#ifndef REPL_CONF_CONF_SCHEMA_H
#define REPL_CONF_CONF_SCHEMA_H

#include "daemon/conf/schema.h"

extern const struct schema_key conf_schema[];

#endif
