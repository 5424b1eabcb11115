/* Where the server listens: addresses, the socket file and its rights, who is at the other end. */
#include "daemon/base/mem.h"
#include "daemon/httpd/httpd.h"

#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "client.h"
#include "tests/unit/support/folder.h"

struct fixture {
    struct loop *loop;
    struct fail fail;
    char dir[32];
    char path[64];
};

static void handle_peer(void *arg, struct httpd_request *r)
{
    struct httpd_peer peer = {0};
    (void)arg;
    assert_true(httpd_peer(r, &peer));
    char *text = mem_printf("%d %u %u", (int)peer.pid, peer.uid, peer.gid);
    httpd_reply(r, 200, "text/plain", span_str(text));
    mem_free(text);
}

static const struct httpd_route routes[] = {{"GET", "/peer", handle_peer}};

static int setup(void **state)
{
    struct fixture *fx = MEM_NEW(struct fixture);
    fx->loop = loop_new(1);
    test_folder(fx->dir, sizeof(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/admin.sock", fx->dir);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    unlink(fx->path);
    assert_int_equal(rmdir(fx->dir), 0);
    loop_free(fx->loop);
    mem_free(fx);
    return 0;
}

static struct httpd_options unix_options(const struct fixture *fx)
{
    return (struct httpd_options){.loop = fx->loop,
                                  .name = "admin",
                                  .unix_path = fx->path,
                                  .routes = routes,
                                  .route_count = 1};
}

/* NULL when it fails; the reason is in fx->fail. */
static struct httpd *try_unix(struct fixture *fx)
{
    struct httpd_options options = unix_options(fx);
    struct httpd *server = NULL;
    int rc = httpd_open(&options, &server, &fx->fail);
    assert_int_equal(rc == 0, server != NULL);
    return server;
}

static struct httpd *try_tcp(struct fixture *fx, const char *address)
{
    struct httpd_options options = unix_options(fx);
    struct httpd *server = NULL;
    options.unix_path = NULL;
    options.tcp_listen = address;
    int rc = httpd_open(&options, &server, &fx->fail);
    assert_int_equal(rc == 0, server != NULL);
    return server;
}

static void assert_failed(const struct fixture *fx, int code, const char *text)
{
    assert_int_equal(fx->fail.code, code);
    if (strstr(fx->fail.text, text) == NULL || fx->fail.hint[0] == '\0') {
        fail_msg("text: %s; hint: %s", fx->fail.text, fx->fail.hint);
    }
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

/* ---- Unix ---- */

static void test_socket_file_is_ours_alone(void **state)
{
    struct fixture *fx = *state;
    mode_t mask = umask(0);
    struct httpd *server = try_unix(fx);
    assert_int_equal(umask(mask), 0); /* as it was */
    assert_non_null(server);
    assert_string_equal(httpd_address(server), fx->path);
    assert_int_equal(mode_of(fx->path), 0600);
    httpd_close(server);
    assert_int_equal(access(fx->path, F_OK), -1);
}

static void test_socket_file_of_a_group(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = unix_options(fx);
    struct httpd *server = NULL;
    const struct group *group = getgrgid(getgid());
    assert_non_null(group);
    options.unix_group = group->gr_name;
    assert_int_equal(httpd_open(&options, &server, &fx->fail), 0);
    assert_int_equal(mode_of(fx->path), 0660);
    httpd_close(server);
    options.unix_group = "no-such-group-here";
    assert_true(httpd_open(&options, &server, &fx->fail) < 0);
    assert_failed(fx, REPL_EBADINPUT, "there is no group no-such-group-here");
    assert_int_equal(access(fx->path, F_OK), -1);
}

static void test_peer_is_known(void **state)
{
    struct fixture *fx = *state;
    struct httpd *server = try_unix(fx);
    struct client c;
    char want[64];
    client_open(&c, fx->loop, fx->path);
    assert_int_equal(client_ask(&c, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    snprintf(want, sizeof(want), "%d %u %u", (int)getpid(), getuid(), getgid());
    assert_string_equal(client_body(&c), want);
    client_close(&c);
    httpd_close(server);
}

static void test_stale_socket_is_replaced(void **state)
{
    struct fixture *fx = *state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(un.sun_path, fx->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
    struct httpd *server = try_unix(fx);
    assert_non_null(server);
    httpd_close(server);
}

static void test_live_socket_is_not_replaced(void **state)
{
    struct fixture *fx = *state;
    struct httpd *first = try_unix(fx);
    assert_null(try_unix(fx));
    assert_failed(fx, -EADDRINUSE, fx->path);
    struct client c;
    client_open(&c, fx->loop, fx->path);
    assert_int_equal(client_ask(&c, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    client_close(&c);
    httpd_close(first);
}

/* A listener whose backlog is full answers nobody, but lives. */
static void test_busy_socket_is_not_replaced(void **state)
{
    struct fixture *fx = *state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int clients[2];
    strcpy(un.sun_path, fx->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&un, sizeof(un));
    }
    assert_null(try_unix(fx));
    assert_failed(fx, -EADDRINUSE, fx->path);
    close(clients[0]);
    close(clients[1]);
    close(fd);
}

static void test_other_file_is_not_replaced(void **state)
{
    struct fixture *fx = *state;
    FILE *file = fopen(fx->path, "w");
    fputs("precious", file);
    fclose(file);
    assert_null(try_unix(fx));
    assert_failed(fx, -EEXIST, "is not a socket");
    struct stat st;
    assert_int_equal(stat(fx->path, &st), 0);
    assert_int_equal(st.st_size, 8);
}

/* Somebody took the path over: his socket stays when we close. */
static void test_foreign_socket_file_stays(void **state)
{
    struct fixture *fx = *state;
    struct httpd *first = try_unix(fx);
    char aside[80];
    snprintf(aside, sizeof(aside), "%s.old", fx->path);
    assert_int_equal(rename(fx->path, aside), 0);
    struct httpd *second = try_unix(fx);
    assert_non_null(second);
    httpd_close(first);
    assert_int_equal(access(fx->path, F_OK), 0);
    httpd_close(second);
    assert_int_equal(access(fx->path, F_OK), -1);
    unlink(aside);
}

static void test_bad_paths(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = unix_options(fx);
    struct httpd *server = NULL;
    char path[200];
    memset(path, 'x', sizeof(path));
    memcpy(path, fx->dir, strlen(fx->dir));
    path[strlen(fx->dir)] = '/';
    path[108] = '\0';
    options.unix_path = path;
    assert_true(httpd_open(&options, &server, &fx->fail) < 0);
    assert_failed(fx, REPL_EBADINPUT, "the path is too long");
    path[107] = '\0'; /* just fits */
    assert_int_equal(httpd_open(&options, &server, &fx->fail), 0);
    httpd_close(server);
    snprintf(path, sizeof(path), "%s/none/admin.sock", fx->dir);
    assert_true(httpd_open(&options, &server, &fx->fail) < 0);
    assert_failed(fx, -ENOENT, path);
}

/* ---- TCP ---- */

static void assert_answers(struct fixture *fx, const char *address)
{
    struct client c;
    client_open(&c, fx->loop, address);
    assert_int_equal(client_ask(&c, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    client_close(&c);
}

static void test_tcp_addresses(void **state)
{
    struct fixture *fx = *state;
    struct httpd *server = try_tcp(fx, "127.0.0.1:0");
    assert_memory_equal(httpd_address(server), "127.0.0.1:", 10);
    assert_answers(fx, httpd_address(server));
    httpd_close(server);
    server = try_tcp(fx, "localhost:0");
    assert_non_null(server);
    assert_answers(fx, httpd_address(server));
    httpd_close(server);
    server = try_tcp(fx, ":0");
    assert_non_null(server);
    char v4[32]; /* without a host both families are served */
    snprintf(v4, sizeof(v4), "127.0.0.1%s", strrchr(httpd_address(server), ':'));
    assert_answers(fx, v4);
    httpd_close(server);
    server = try_tcp(fx, "[::1]:0");
    if (server == NULL) {
        return; /* a machine without IPv6 */
    }
    assert_memory_equal(httpd_address(server), "[::1]:", 6);
    assert_answers(fx, httpd_address(server));
    httpd_close(server);
}

static void test_tcp_address_in_use(void **state)
{
    struct fixture *fx = *state;
    struct httpd *first = try_tcp(fx, "127.0.0.1:0");
    char address[64];
    snprintf(address, sizeof(address), "%s", httpd_address(first));
    assert_null(try_tcp(fx, address));
    assert_failed(fx, -EADDRINUSE, address);
    assert_answers(fx, address);
    httpd_close(first);
    first = try_tcp(fx, address); /* at once again, connections in TIME_WAIT or not */
    assert_non_null(first);
    httpd_close(first);
}

static void test_bad_tcp_addresses(void **state)
{
    struct fixture *fx = *state;
    const char *const bad[] = {"",
                               "9815",
                               "127.0.0.1",
                               "127.0.0.1:",
                               "127.0.0.1:http",
                               "127.0.0.1:65536",
                               "127.0.0.1:-1",
                               "::1:9815",
                               "[::1]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(try_tcp(fx, bad[i]));
        assert_failed(fx, REPL_EBADINPUT, "not an address");
    }
    assert_null(try_tcp(fx, "192.0.2.1:0")); /* not of this machine (RFC 5737) */
    assert_int_equal(fx->fail.code, -EADDRNOTAVAIL);
}

static void test_neither_path_nor_address(void **state)
{
    struct fixture *fx = *state;
    assert_null(try_tcp(fx, NULL));
    assert_int_equal(fx->fail.code, REPL_EBADINPUT);
}

static void test_virtual_loop_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct httpd_options options = unix_options(fx);
    struct httpd *server = NULL;
    options.loop = loop_new_virtual(1, 0);
    assert_int_equal(httpd_open(&options, &server, &fx->fail), -ENOTSUP);
    loop_free(options.loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(socket_file_is_ours_alone),
        TEST(socket_file_of_a_group),
        TEST(peer_is_known),
        TEST(stale_socket_is_replaced),
        TEST(live_socket_is_not_replaced),
        TEST(busy_socket_is_not_replaced),
        TEST(other_file_is_not_replaced),
        TEST(foreign_socket_file_stays),
        TEST(bad_paths),
        TEST(tcp_addresses),
        TEST(tcp_address_in_use),
        TEST(bad_tcp_addresses),
        TEST(neither_path_nor_address),
        TEST(virtual_loop_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
