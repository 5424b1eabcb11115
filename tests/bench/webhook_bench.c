/* webhook-bench: senders of notifications for tests/bench/webhook.
 *
 *   webhook-bench PORT PATH BUCKET CONNECTIONS SECONDS FIRST [FILE]
 *
 * Each connection posts a notification of a key of its own and waits for the answer before the next
 * one, for SECONDS or until the server is gone. Keys are "w/" and eight digits, from FIRST on. The
 * numbers of those that were answered with 2xx are written to FILE. Prints one JSON object. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX     2048
#define ANSWER_MAX   4096
#define EVENTS       64
#define TIMES_MAX    4000000
#define CONNECTS_MAX 1024

struct sender {
    int fd;
    unsigned number; /* of the key under way */
    uint64_t since_ns;
    char answer[ANSWER_MAX];
    size_t got;
};

struct bench {
    const char *path;
    const char *bucket;
    int epoll;
    unsigned next;
    uint64_t until_ns;
    size_t open; /* connections that are there still */
    uint32_t *times_us;
    size_t count; /* of good answers */
    size_t bad;
    FILE *accepted;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* As MinIO writes it, without what repld does not read. */
static int write_body(const struct bench *b, unsigned number, char to[BODY_MAX])
{
    return snprintf(
        to, BODY_MAX,
        "{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"%s/w/%08u\",\"Records\":[{"
        "\"eventVersion\":\"2.0\",\"eventSource\":\"minio:s3\",\"awsRegion\":\"\","
        "\"eventTime\":\"2026-11-24T10:00:00.000Z\",\"eventName\":\"s3:ObjectCreated:Put\","
        "\"userIdentity\":{\"principalId\":\"crawler\"},\"requestParameters\":{"
        "\"principalId\":\"crawler\",\"region\":\"\",\"sourceIPAddress\":\"10.0.0.1\"},"
        "\"responseElements\":{\"x-amz-id-2\":\"dd9025bab4ad464b049177c95eb6ebf374d3b3fd1af9251148b"
        "658df7ac2e3e8\",\"x-amz-request-id\":\"17F1B0A2C3D4E5F6\",\"x-minio-deployment-id\":"
        "\"0b1d9d6e-4a6c-4c57-9a3e-6f0b4c9d2b11\",\"x-minio-origin-endpoint\":"
        "\"http://10.0.0.2:9000\"},\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":"
        "\"Config\",\"bucket\":{\"name\":\"%s\",\"ownerIdentity\":{\"principalId\":\"crawler\"},"
        "\"arn\":\"arn:aws:s3:::%s\"},\"object\":{\"key\":\"w%%2F%08u\",\"size\":16384,\"eTag\":"
        "\"9e107d9d372bb6826bd81d3542a419d6\",\"contentType\":\"text/html\",\"userMetadata\":{"
        "\"content-type\":\"text/html\"},\"sequencer\":\"17F1B0A2C3D4E5F6\"}},\"source\":{"
        "\"host\":\"10.0.0.1\",\"port\":\"\",\"userAgent\":\"crawler\"}}]}",
        b->bucket, number, b->bucket, b->bucket, number);
}

static void send_next(struct bench *b, struct sender *s)
{
    char body[BODY_MAX];
    char request[BODY_MAX + 512];
    s->number = b->next++;
    int length = write_body(b, s->number, body);
    int n = snprintf(request, sizeof(request),
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                     "Content-Length: %d\r\n\r\n%s",
                     b->path, length, body);
    s->got = 0;
    s->since_ns = now_ns();
    if (send(s->fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        shutdown(s->fd, SHUT_RDWR); /* read will see it */
    }
}

static void leave(struct bench *b, struct sender *s)
{
    close(s->fd);
    b->open--;
}

static void take_answer(struct bench *b, struct sender *s)
{
    if (strncmp(s->answer, "HTTP/1.1 2", 10) == 0) {
        if (b->count < TIMES_MAX) {
            b->times_us[b->count] = (uint32_t)((now_ns() - s->since_ns) / 1000);
        }
        b->count++;
        if (b->accepted != NULL) {
            fprintf(b->accepted, "%u\n", s->number);
        }
    } else {
        b->bad++;
    }
    if (now_ns() < b->until_ns) {
        send_next(b, s);
    } else {
        leave(b, s);
    }
}

/* Answers are short and have a Content-Length. */
static bool is_whole(const struct sender *s)
{
    const char *end = strstr(s->answer, "\r\n\r\n");
    const char *length = strcasestr(s->answer, "\r\ncontent-length:");
    return end != NULL && length != NULL &&
           s->got >= (size_t)(end + 4 - s->answer) + (size_t)atol(length + 17);
}

static void on_readable(struct bench *b, struct sender *s)
{
    ssize_t n = recv(s->fd, s->answer + s->got, sizeof(s->answer) - 1 - s->got, 0);
    if (n <= 0) {
        leave(b, s);
        return;
    }
    s->got += (size_t)n;
    s->answer[s->got] = '\0';
    if (is_whole(s)) {
        take_answer(b, s);
    }
}

static void connect_sender(struct bench *b, struct sender *s, int port)
{
    const int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(s->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_ctl(b->epoll, EPOLL_CTL_ADD, s->fd, &event);
    b->open++;
}

static int compare(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static double ms_at(const struct bench *b, double share)
{
    size_t n = b->count < TIMES_MAX ? b->count : TIMES_MAX;
    return n > 0 ? b->times_us[(size_t)((double)(n - 1) * share)] / 1000.0 : 0;
}

static void report(struct bench *b, uint64_t began_ns)
{
    double seconds = (double)(now_ns() - began_ns) / 1e9;
    qsort(b->times_us, b->count < TIMES_MAX ? b->count : TIMES_MAX, sizeof(b->times_us[0]),
          compare);
    printf("{\"accepted\": %zu, \"refused\": %zu, \"seconds\": %.3f, \"per_s\": %.1f,"
           " \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           b->count, b->bad, seconds, (double)b->count / seconds, ms_at(b, 0.5), ms_at(b, 0.99),
           ms_at(b, 1));
}

static void run(struct bench *b)
{
    struct epoll_event events[EVENTS];
    while (b->open > 0) {
        int n = epoll_wait(b->epoll, events, EVENTS, 30000);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return;
        }
        for (int i = 0; i < n; i++) {
            on_readable(b, events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: %s PORT PATH BUCKET CONNECTIONS SECONDS FIRST [FILE]\n", argv[0]);
        return 2;
    }
    static struct sender senders[CONNECTS_MAX];
    int connections = atoi(argv[4]);
    uint64_t began_ns = now_ns();
    struct bench b = {.path = argv[2],
                      .bucket = argv[3],
                      .next = (unsigned)atoi(argv[6]),
                      .until_ns = began_ns + (uint64_t)(atof(argv[5]) * 1e9)};
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    b.times_us = calloc(TIMES_MAX, sizeof(b.times_us[0]));
    b.accepted = argc > 7 ? fopen(argv[7], "we") : NULL;
    if (connections < 1 || connections > CONNECTS_MAX || b.times_us == NULL) {
        return 2;
    }
    for (int i = 0; i < connections; i++) {
        connect_sender(&b, &senders[i], atoi(argv[1]));
    }
    for (int i = 0; i < connections; i++) {
        send_next(&b, &senders[i]);
    }
    run(&b);
    report(&b, began_ns);
    if (b.accepted != NULL) {
        fclose(b.accepted);
    }
    free(b.times_us);
    return 0;
}
