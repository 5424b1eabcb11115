/* admin: what an operator may ask and tell the daemon, on the control socket (commands of proto.h)
 * and, without commands, on the metrics listener. Loop thread. Every caller is checked by the
 * credentials of its socket. */
#ifndef REPL_ADMIN_ADMIN_H
#define REPL_ADMIN_ADMIN_H

#include "daemon/conf/fixed.h"
#include "daemon/core/engine.h"
#include "daemon/httpd/httpd.h"

struct admin;

/* Reads the configuration again and puts it to work; ret_restart: options that wait for a restart,
 * CONF_FIXED_MAX at most. */
struct admin_restart {
    const char *names[CONF_FIXED_MAX];
    size_t count;
};
typedef int admin_reload_fn(void *arg, struct admin_restart *ret_restart, struct fail *f);

struct admin_options {
    struct loop *loop;
    struct log *log;
    struct stat_set *stats;
    struct engine *engine;
    const struct conf *conf; /* alive until admin_set_conf() or admin_close() */
    admin_reload_fn *reload;
    void *reload_arg;
};

/* Listens. Errors as of httpd_open(). */
int admin_open(const struct admin_options *options, struct admin **ret, struct fail *f);
/* After a reload: the metrics listener follows, and who is left out of the group is refused; a new
 * socket or group waits for a restart. A metrics listener that cannot be opened is logged and left
 * off. */
void admin_set_conf(struct admin *a, const struct conf *conf);
/* Stops listening; answers that are still open are dropped. */
void admin_close(struct admin *a);
/* After the engine has ended: until then it may call back. */
void admin_free(struct admin *a);
/* "127.0.0.1:9815" with the real port; NULL when it is off. */
const char *admin_metrics_address(const struct admin *a);

#endif
