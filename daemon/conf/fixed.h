/* fixed: the options that are used as they were at the start, whatever a reload brings. */
#ifndef REPL_CONF_FIXED_H
#define REPL_CONF_FIXED_H

#include "daemon/conf/conf.h"

#define CONF_FIXED_MAX 4

struct conf_fixed {
    char *instance;
    char *admin_socket;
    char *admin_group; /* NULL = none */
    enum log_format log_format;
};

void conf_fixed_init(struct conf_fixed *fixed, const struct conf *at_start);
void conf_fixed_done(struct conf_fixed *fixed);
/* Names of those that are otherwise now, "admin.socket": how many. A changed journal.path is no
 * matter of this: its reload is refused. */
size_t conf_fixed_changed(const struct conf_fixed *fixed, const struct conf *now,
                          const char *ret_names[CONF_FIXED_MAX]);

#endif
