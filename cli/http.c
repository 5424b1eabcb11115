#include "cli/http.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)

static int refuse_connect(const char *path, int error, struct fail *f)
{
    if (error == EACCES || error == EPERM) {
        fail_set(f, REPL_EDENIED, "the socket %s may not be opened", path);
        fail_hint(f, "run it with sudo, or as a member of the group that admin.group names");
        return f->code;
    }
    fail_set(f, REPL_EUNREACHABLE, "repld does not answer at %s: %s", path, fail_text(-error));
    fail_hint(f, "is it running (systemctl status repld)? --socket names another socket");
    return f->code;
}

static int open_socket(const char *path, int *ret, struct fail *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        fail_set(f, REPL_EBADINPUT, "the path of the socket is too long: %.80s", path);
        fail_hint(f, "the system takes %zu bytes", sizeof(address.sun_path) - 1);
        return REPL_EBADINPUT;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;
        if (fd >= 0) {
            close(fd);
        }
        return refuse_connect(path, error, f);
    }
    *ret = fd;
    return 0;
}

/* What the server answered before it stopped reading is worth reading: a broken pipe is no error.
 */
static void send_all(int fd, struct span text)
{
    while (text.len > 0) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        text = span_skip(text, (size_t)n);
    }
}

static int read_all(int fd, struct buf *to)
{
    char block[65536];
    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? 0 : -errno;
        }
        buf_append(to, block, (size_t)n);
    }
}

static bool next_line(struct span *rest, struct span *line)
{
    if (rest->ptr == NULL || rest->len == 0) {
        return false;
    }
    const char *end = memmem(rest->ptr, rest->len, "\r\n", 2);
    if (end == NULL) {
        return false;
    }
    *line = span_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = span_skip(*rest, line->len + 2);
    return true;
}

static bool read_status(struct span line, unsigned *ret)
{
    unsigned long long status = 0;
    struct span rest = line;
    struct span version = span_cut(&rest, ' ');
    struct span code = span_cut(&rest, ' ');
    if (!span_starts_with(version, span_str("HTTP/1.")) || span_to_u64(code, &status) != 0 ||
        status < 100 || status > 599) {
        return false;
    }
    *ret = (unsigned)status;
    return true;
}

static bool chunk_size(struct span line, size_t *ret)
{
    size_t size = 0;
    size_t digits = 0;
    for (; digits < line.len && digits < 8; digits++) {
        static const char hex[] = "0123456789abcdef";
        char c = line.ptr[digits];
        const char *at = c != '\0' ? strchr(hex, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
        if (at == NULL) {
            break;
        }
        size = size * 16 + (size_t)(at - hex);
    }
    *ret = size;
    return digits > 0;
}

static int read_chunks(struct span rest, struct buf *to)
{
    struct span line;
    size_t size = 0;
    while (next_line(&rest, &line) && chunk_size(line, &size)) {
        if (size == 0) {
            return 0;
        }
        if (rest.len < size + 2) {
            return REPL_EPROTO;
        }
        buf_append(to, rest.ptr, size);
        rest = span_skip(rest, size + 2);
    }
    return REPL_EPROTO;
}

int http_parse(struct span text, struct http_answer *ret)
{
    struct span line;
    bool chunked = false;
    unsigned long long length = 0;
    bool has_length = false;
    if (!next_line(&text, &line) || !read_status(line, &ret->status)) {
        return REPL_EPROTO;
    }
    for (;;) {
        if (!next_line(&text, &line)) {
            return REPL_EPROTO;
        }
        if (line.len == 0) {
            break;
        }
        struct span value = line;
        struct span name = span_cut(&value, ':');
        value = span_trim(value);
        chunked = chunked ||
                  (span_eq_nocase(name, "transfer-encoding") && span_eq_nocase(value, "chunked"));
        if (span_eq_nocase(name, "content-length")) {
            has_length = span_to_u64(value, &length) == 0;
        }
    }
    if (chunked) {
        return read_chunks(text, &ret->body);
    }
    if (has_length && length > text.len) {
        return REPL_EPROTO;
    }
    buf_append(&ret->body, text.ptr, has_length ? (size_t)length : text.len);
    return 0;
}

static void request_head(const char *method, const char *path, const char *query, size_t length,
                         struct buf *to)
{
    buf_printf(to, "%s %s%s%s HTTP/1.1\r\nHost: repld\r\nConnection: close\r\n", method, path,
               query != NULL && query[0] != '\0' ? "?" : "", query != NULL ? query : "");
    if (length > 0 || strcmp(method, "GET") != 0) {
        buf_printf(to, "Content-Length: %zu\r\n", length);
    }
    buf_str(to, "\r\n");
}

int http_call(const char *socket_path, const char *method, const char *path, const char *query,
              struct span body, struct http_answer *ret, struct fail *f)
{
    int fd = -1;
    int r = open_socket(socket_path, &fd, f);
    if (r != 0) {
        return r;
    }
    struct buf text;
    buf_init(&text, ANSWER_MAX);
    request_head(method, path, query, body.len, &text);
    send_all(fd, buf_view(&text));
    send_all(fd, body);
    buf_reset(&text);
    int broken = read_all(fd, &text);
    close(fd);
    memset(ret, 0, sizeof(*ret));
    buf_init(&ret->body, ANSWER_MAX);
    if (broken != 0 || text.len == 0) {
        r = fail_set(f, REPL_EUNREACHABLE, "repld closed the connection without an answer");
    } else if (buf_error(&text) != 0 || http_parse(buf_view(&text), ret) != 0) {
        r = fail_set(f, REPL_EPROTO, "what answers at %s is not repld", socket_path);
    }
    buf_done(&text);
    if (r != 0) {
        buf_done(&ret->body);
    }
    return r;
}
