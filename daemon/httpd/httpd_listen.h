/* httpd_listen: makes the listening socket, a Unix path or a TCP address. The descriptor goes to
 * libmicrohttpd, which closes it; the socket file stays ours until httpd_listen_remove(). */
#ifndef REPL_HTTPD_HTTPD_LISTEN_H
#define REPL_HTTPD_HTTPD_LISTEN_H

#include "daemon/httpd/httpd.h"

#include <sys/stat.h>

struct httpd_listener {
    int fd;
    char address[256];   /* "127.0.0.1:40123" or the path */
    struct stat created; /* the socket file as we made it; st_ino 0 on TCP */
};

/* Fills *ret, or *f with the place and the mend; nothing stays behind on failure. */
int httpd_listen(const struct httpd_options *options, struct httpd_listener *ret, struct fail *f);
/* Removes the socket file unless somebody else replaced it. Does not close the descriptor. */
void httpd_listen_remove(const struct httpd_listener *l);

#endif
