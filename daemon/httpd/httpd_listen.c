#include "daemon/httpd/httpd_listen.h"

#include "daemon/base/mem.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128
#define SOCKET_FLAGS   (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

/* What the failing step was, for the sentence the operator reads. */
static int fail_errno(struct fail *f, const char *address, const char *step)
{
    int error = errno;
    fail_set(f, -error, "cannot listen on %s: %s: %s", address, step, strerror(error));
    if (error == EADDRINUSE) {
        fail_hint(f, "another process listens there; stop it, or choose another address");
    } else if (error == EACCES || error == EPERM) {
        fail_hint(f, "the user of this process lacks the right");
    } else if (error == ENOENT || error == ENOTDIR) {
        fail_hint(f, "create the directory first");
    }
    return f->code;
}

static void unix_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, strlen(path) + 1);
}

/* 0 when nobody answers at the path, errno of the finding otherwise. */
static int unix_probe(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return errno;
    }
    unix_address(path, &address);
    int rc = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    close(fd);
    if (rc == ECONNREFUSED || rc == ENOENT) {
        return 0;
    }
    /* EAGAIN: somebody listens, his backlog is full. */
    return rc == 0 || rc == EAGAIN ? EADDRINUSE : rc;
}

/* Makes room at the path: a dead socket goes, everything else is an error. */
static int unix_clear(const char *path, struct fail *f)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? 0 : fail_errno(f, path, "stat");
    }
    if (!S_ISSOCK(st.st_mode)) {
        fail_set(f, -EEXIST, "cannot listen on %s: it exists and is not a socket", path);
        fail_hint(f, "remove the file, or choose another path");
        return f->code;
    }
    errno = unix_probe(path);
    if (errno != 0) {
        return fail_errno(f, path, "socket file exists");
    }
    return unlink(path) == 0 || errno == ENOENT ? 0 : fail_errno(f, path, "unlink");
}

static int group_find(const char *name, gid_t *ret)
{
    struct group group;
    struct group *found = NULL;
    char *space = mem_alloc(65536);
    int rc = getgrnam_r(name, &group, space, 65536, &found);
    if (found != NULL) {
        *ret = group.gr_gid;
    }
    mem_free(space);
    return found != NULL ? 0 : rc != 0 ? -rc : REPL_EBADINPUT;
}

/* The file is made with mode 0600 and opened to the group afterwards, so that there is no moment
 * at which others may connect. */
static int unix_bind(int fd, const struct httpd_options *options, struct fail *f)
{
    struct sockaddr_un address;
    const char *path = options->unix_path;
    gid_t gid = 0;
    if (options->unix_group != NULL && group_find(options->unix_group, &gid) != 0) {
        fail_set(f, REPL_EBADINPUT, "cannot listen on %s: there is no group %s", path,
                 options->unix_group);
        fail_hint(f, "create the group, or name another one");
        return f->code;
    }
    unix_address(path, &address);
    mode_t mask = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (rc != 0) {
        return fail_errno(f, path, "bind");
    }
    if (options->unix_group != NULL &&
        (chown(path, (uid_t)-1, gid) != 0 || chmod(path, 0660) != 0)) {
        fail_errno(f, path, "give it to the group");
        unlink(path);
        return f->code;
    }
    return 0;
}

static int unix_open(const struct httpd_options *options, struct httpd_listener *l, struct fail *f)
{
    const char *path = options->unix_path;
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        fail_set(f, REPL_EBADINPUT, "cannot listen on %s: the path is too long", path);
        fail_hint(f, "a Unix socket's path has at most 107 bytes");
        return f->code;
    }
    snprintf(l->address, sizeof(l->address), "%s", path);
    int rc = unix_clear(path, f);
    if (rc != 0) {
        return rc;
    }
    l->fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (l->fd < 0) {
        return fail_errno(f, path, "socket");
    }
    rc = unix_bind(l->fd, options, f);
    if (rc == 0 && (lstat(path, &l->created) != 0 || listen(l->fd, LISTEN_BACKLOG) != 0)) {
        rc = fail_errno(f, path, "listen");
        unlink(path);
    }
    return rc;
}

/* Splits "host:port"; a host with colons stands in brackets. */
static int tcp_split(const char *text, char *host, size_t host_size, const char **ret_port)
{
    const char *colon = strrchr(text, ':');
    unsigned long long port;
    if (colon == NULL || span_to_u64(span_str(colon + 1), &port) != 0 || port > 65535) {
        return REPL_EBADINPUT;
    }
    struct span name = span_of(text, (size_t)(colon - text));
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = span_of(name.ptr + 1, name.len - 2);
    } else if (memchr(name.ptr, ':', name.len) != NULL) {
        return REPL_EBADINPUT;
    }
    if (name.len >= host_size) {
        return REPL_EBADINPUT;
    }
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

/* A listening socket at the address; -1 with errno otherwise. */
static int tcp_listen(const struct addrinfo *ai)
{
    const int on = 1;
    const int off = 0;
    int fd = socket(ai->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (ai->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void tcp_name(struct httpd_listener *l)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char host[64] = "";
    char port[8] = "";
    getsockname(l->fd, (struct sockaddr *)&address, &len);
    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool is_v6 = address.ss_family == AF_INET6;
    snprintf(l->address, sizeof(l->address), "%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
             port);
}

static int tcp_try(const char *host, const char *port, struct httpd_listener *l)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0) {
        return REPL_EBADINPUT;
    }
    l->fd = tcp_listen(found);
    rc = l->fd >= 0 ? 0 : -errno;
    freeaddrinfo(found);
    return rc;
}

static int tcp_open(const struct httpd_options *options, struct httpd_listener *l, struct fail *f)
{
    const char *text = options->tcp_listen;
    const char *port = NULL;
    char host[256];
    if (tcp_split(text, host, sizeof(host), &port) != 0) {
        fail_set(f, REPL_EBADINPUT, "cannot listen on %s: not an address", text);
        fail_hint(f, "write host:port, [ipv6]:port or :port");
        return f->code;
    }
    /* No host: every address of both families, or of IPv4 where the kernel has no IPv6. */
    int rc = tcp_try(host[0] != '\0' ? host : "::", port, l);
    if (host[0] == '\0' && rc == -EAFNOSUPPORT) {
        rc = tcp_try("0.0.0.0", port, l);
    }
    if (rc == REPL_EBADINPUT) {
        fail_set(f, rc, "cannot listen on %s: the host has no address", text);
        fail_hint(f, "write an address of this machine");
        return rc;
    }
    if (rc != 0) {
        errno = -rc;
        return fail_errno(f, text, "bind");
    }
    tcp_name(l);
    return 0;
}

int httpd_listen(const struct httpd_options *options, struct httpd_listener *ret, struct fail *f)
{
    *ret = (struct httpd_listener){.fd = -1};
    if ((options->unix_path == NULL) == (options->tcp_listen == NULL)) {
        return fail_set(f, REPL_EBADINPUT, "listener %s needs a socket path or an address",
                        options->name);
    }
    int rc = options->unix_path != NULL ? unix_open(options, ret, f) : tcp_open(options, ret, f);
    if (rc != 0 && ret->fd >= 0) {
        close(ret->fd);
        ret->fd = -1;
    }
    return rc;
}

void httpd_listen_remove(const struct httpd_listener *l)
{
    struct stat now;
    if (l->created.st_ino != 0 && lstat(l->address, &now) == 0 && now.st_ino == l->created.st_ino &&
        now.st_dev == l->created.st_dev) {
        unlink(l->address);
    }
}
