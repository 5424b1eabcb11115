/* Request lines of HTTP/1.1 as header fields of HTTP/2. */
#include "transfer/net/h2_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bench {
    struct arena arena;
    nghttp2_nv *nv;
    size_t count;
};

static int setup(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    arena_init(&b->arena);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    arena_done(&b->arena);
    mem_free(b);
    return 0;
}

static void make(struct bench *b, const char *url, const char *const *lines, size_t count)
{
    struct net_request r = {.method = "PUT",
                            .url = url,
                            .headers = lines,
                            .header_count = count,
                            .has_body = true,
                            .body = span_str("12345")};
    b->nv = h2_head_make(&b->arena, &r, &b->count);
}

static struct span name_of(const nghttp2_nv *nv)
{
    return span_of((const char *)nv->name, nv->namelen);
}

static const nghttp2_nv *find(const struct bench *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++) {
        if (span_eq_str(name_of(&b->nv[i]), name)) {
            return &b->nv[i];
        }
    }
    return NULL;
}

static void assert_field(const struct bench *b, const char *name, const char *value)
{
    const nghttp2_nv *nv = find(b, name);
    assert_non_null(nv);
    assert_true(span_eq_str(span_of((const char *)nv->value, nv->valuelen), value));
}

static void pseudo_headers_come_first(void **state)
{
    struct bench *b = *state;
    const char *const lines[] = {"x-a: 1"};
    make(b, "https://[::1]:8443/b/k%20e?x=1&y=/", lines, 1);
    for (size_t i = 0; i < b->count; i++) {
        assert_int_equal(b->nv[i].name[0] == ':', i < 4);
    }
    assert_field(b, ":method", "PUT");
    assert_field(b, ":scheme", "https");
    assert_field(b, ":authority", "[::1]:8443");
    assert_field(b, ":path", "/b/k%20e?x=1&y=/");
    assert_field(b, "content-length", "5");
    make(b, "https://host.example", lines, 1);
    assert_field(b, ":authority", "host.example");
    assert_field(b, ":path", "/");
}

static void names_are_lower_and_values_stay(void **state)
{
    struct bench *b = *state;
    const char *const lines[] = {"X-Amz-Meta-A:  Two  Words ", "x-empty;",
                                 "Content-Type:", "Content-Length: 5"};
    make(b, "https://h/", lines, 4);
    assert_field(b, "x-amz-meta-a", "Two  Words");
    assert_field(b, "x-empty", "");
    assert_null(find(b, "content-type"));
    assert_field(b, "content-length", "5");
    assert_int_equal(b->count, 4 + 3);
}

static void what_speaks_of_a_connection_is_left_out(void **state)
{
    struct bench *b = *state;
    const char *const lines[] = {"Host: other.example",  "Connection: close",
                                 "Expect: 100-continue", "Keep-Alive: 5",
                                 "Upgrade: h2c",         "Transfer-Encoding: chunked",
                                 "TE: trailers",         "Proxy-Connection: close"};
    make(b, "https://h/", lines, 8);
    assert_field(b, ":authority", "other.example"); /* it is the one that was signed */
    assert_int_equal(b->count, 4 + 1);
}

/* A secret in a compression table can be guessed at through what else goes into it. */
static void secrets_are_kept_out_of_tables(void **state)
{
    struct bench *b = *state;
    const char *const lines[] = {"Authorization: AWS4 x", "X-Amz-Security-Token: t", "x-plain: y"};
    make(b, "https://h/", lines, 3);
    assert_int_equal(find(b, "authorization")->flags, NGHTTP2_NV_FLAG_NO_INDEX);
    assert_int_equal(find(b, "x-amz-security-token")->flags, NGHTTP2_NV_FLAG_NO_INDEX);
    assert_int_equal(find(b, "x-plain")->flags, NGHTTP2_NV_FLAG_NONE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pseudo_headers_come_first),
        TEST(names_are_lower_and_values_stay),
        TEST(what_speaks_of_a_connection_is_left_out),
        TEST(secrets_are_kept_out_of_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
