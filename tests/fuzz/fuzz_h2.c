/* What an HTTP/2 server sends: any bytes may come, in any pieces. Every request ends once. */
#include "transfer/net/h2.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS 4

static bool swallow(void *arg, struct span bytes)
{
    size_t *written = arg;
    *written += bytes.len;
    return *written % 7 != 0;
}

static size_t count_ended(struct h2 *h)
{
    size_t n = 0;
    while (h2_next_ended(h) != NULL) {
        n++;
    }
    return n;
}

static void prepare(struct net_request *r, struct arena *a, char *into, size_t into_size)
{
    static const char body[100000];
    *r = (struct net_request){.method = "PUT",
                              .url = "https://far.example/a",
                              .has_body = true,
                              .body = span_of(body, sizeof(body)),
                              .into = into,
                              .into_size = into_size,
                              .arena = a};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_request requests[REQUESTS];
    struct arena a;
    struct fail lost;
    char into[100];
    size_t written = 0;
    size_t ended = 0;
    arena_init(&a);
    struct h2 *h = h2_new(swallow, &written);
    for (size_t i = 0; i < REQUESTS; i++) {
        prepare(&requests[i], &a, i % 2 == 0 ? into : NULL, sizeof(into));
        requests[i].method = i < 2 ? "PUT" : "GET";
        requests[i].has_body = i < 2;
        h2_submit(h, &requests[i], 1);
    }
    h2_fill(h, 1);
    size_t piece = size > 0 ? 1 + data[0] : 1;
    for (size_t at = 1; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        h2_feed(h, span_of((const char *)data + at, len), at);
        h2_fill(h, at);
        ended += count_ended(h);
    }
    fail_set(&lost, REPL_ENET, "the end");
    h2_lose(h, &lost);
    ended += count_ended(h);
    if (ended != REQUESTS) {
        __builtin_trap();
    }
    h2_free(h);
    arena_done(&a);
    return 0;
}
