/* Every SigV4 vector of the S3 documentation, and get-vanilla of the signing test suite. */
#include "transfer/store/sign.h"
#include "transfer/store/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define STAMP "20130524T000000Z"

static const struct creds documentation = {
    .access_key = "AKIAIOSFODNN7EXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

static struct sign_header header(const char *name, const char *value)
{
    return (struct sign_header){span_str(name), span_str(value)};
}

static void assert_signature(const struct sign_request *r, const char *want)
{
    struct sign_scope scope;
    char hex[SIGN_HEX_BYTES];
    sign_scope_init(&scope, &documentation, STAMP, "us-east-1", "s3");
    sign_request(&scope, r, STAMP, hex);
    assert_string_equal(hex, want);
}

static void get_with_range(void **state)
{
    (void)state;
    struct sign_header h[] = {header("host", "examplebucket.s3.amazonaws.com"),
                              header("range", "bytes=0-9"), header("x-amz-content-sha256", EMPTY),
                              header("x-amz-date", STAMP)};
    struct sign_request r = {"GET", span_str("/test.txt"), span_str(""), h, 4, EMPTY};
    assert_signature(&r, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void put_with_odd_key(void **state)
{
    char payload[SIGN_HEX_BYTES];
    struct buf path;
    (void)state;
    sign_sha256_hex(span_str("Welcome to Amazon S3."), payload);
    buf_init(&path, 0);
    uri_encode(&path, span_str("/test$file.text"), true);
    assert_string_equal(buf_cstr(&path), "/test%24file.text");
    struct sign_header h[] = {header("date", "Fri, 24 May 2013 00:00:00 GMT"),
                              header("host", "examplebucket.s3.amazonaws.com"),
                              header("x-amz-content-sha256", payload), header("x-amz-date", STAMP),
                              header("x-amz-storage-class", "REDUCED_REDUNDANCY")};
    struct sign_request r = {"PUT", buf_view(&path), span_str(""), h, 5, payload};
    assert_signature(&r, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    buf_done(&path);
}

static void assert_query_signature(const struct uri_param *params, size_t count, const char *text,
                                   const char *want)
{
    struct buf query;
    buf_init(&query, 0);
    uri_query(&query, params, count);
    assert_string_equal(buf_cstr(&query), text);
    struct sign_header h[] = {header("host", "examplebucket.s3.amazonaws.com"),
                              header("x-amz-content-sha256", EMPTY), header("x-amz-date", STAMP)};
    struct sign_request r = {"GET", span_str("/"), buf_view(&query), h, 3, EMPTY};
    assert_signature(&r, want);
    buf_done(&query);
}

static void get_lifecycle(void **state)
{
    (void)state;
    struct uri_param p[] = {{span_str("lifecycle"), span_str("")}};
    assert_query_signature(
        p, 1, "lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void get_listing(void **state)
{
    (void)state;
    struct uri_param p[] = {{span_str("prefix"), span_str("J")},
                            {span_str("max-keys"), span_str("2")}};
    assert_query_signature(p, 2, "max-keys=2&prefix=J",
                           "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void presigned_get(void **state)
{
    (void)state;
    struct uri_param p[] = {{span_str("X-Amz-Algorithm"), span_str("AWS4-HMAC-SHA256")},
                            {span_str("X-Amz-Credential"),
                             span_str("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request")},
                            {span_str("X-Amz-Date"), span_str(STAMP)},
                            {span_str("X-Amz-Expires"), span_str("86400")},
                            {span_str("X-Amz-SignedHeaders"), span_str("host")}};
    struct buf query;
    buf_init(&query, 0);
    uri_query(&query, p, 5);
    struct sign_header h[] = {header("host", "examplebucket.s3.amazonaws.com")};
    struct sign_request r = {"GET", span_str("/test.txt"), buf_view(&query), h, 1, SIGN_UNSIGNED};
    assert_signature(&r, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_done(&query);
}

/* The signature of a chunk follows from the one before it. */
static void chunk(const struct sign_scope *s, const char *before, struct span data,
                  char ret_hex[SIGN_HEX_BYTES])
{
    char hash[SIGN_HEX_BYTES];
    struct buf text;
    buf_init(&text, 0);
    sign_sha256_hex(data, hash);
    buf_printf(&text,
               "AWS4-HMAC-SHA256-PAYLOAD\n" STAMP "\n20130524/us-east-1/s3/aws4_request\n%s\n" EMPTY
               "\n%s",
               before, hash);
    sign_text(s, buf_view(&text), ret_hex);
    buf_done(&text);
}

static void assert_chunks(const char *seed, const char *const want[3])
{
    struct sign_scope scope;
    char before[SIGN_HEX_BYTES];
    char hex[SIGN_HEX_BYTES];
    char *body = mem_alloc(65536);
    const size_t sizes[] = {65536, 1024, 0};
    memset(body, 'a', 65536);
    sign_scope_init(&scope, &documentation, STAMP, "us-east-1", "s3");
    snprintf(before, sizeof(before), "%s", seed);
    for (int i = 0; i < 3; i++) {
        chunk(&scope, before, span_of(body, sizes[i]), hex);
        assert_string_equal(hex, want[i]);
        memcpy(before, hex, sizeof(hex));
    }
    mem_free(body);
}

static void streaming_put(void **state)
{
    static const char payload[] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    static const char seed[] = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    static const char *const chunks[] = {
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};
    (void)state;
    struct sign_header h[] = {header("content-encoding", "aws-chunked"),
                              header("content-length", "66824"),
                              header("host", "s3.amazonaws.com"),
                              header("x-amz-content-sha256", payload),
                              header("x-amz-date", STAMP),
                              header("x-amz-decoded-content-length", "66560"),
                              header("x-amz-storage-class", "REDUCED_REDUNDANCY")};
    struct sign_request r = {"PUT",  span_str("/examplebucket/chunkObject.txt"), span_str(""), h, 7,
                             payload};
    assert_signature(&r, seed);
    assert_chunks(seed, chunks);
}

static void streaming_put_with_trailer(void **state)
{
    static const char payload[] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    static const char seed[] = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    static const char *const chunks[] = {
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"};
    struct sign_scope scope;
    char hash[SIGN_HEX_BYTES];
    char hex[SIGN_HEX_BYTES];
    struct buf text;
    (void)state;
    struct sign_header h[] = {header("content-encoding", "aws-chunked"),
                              header("host", "s3.amazonaws.com"),
                              header("x-amz-content-sha256", payload),
                              header("x-amz-date", STAMP),
                              header("x-amz-decoded-content-length", "66560"),
                              header("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                              header("x-amz-trailer", "x-amz-checksum-crc32c")};
    struct sign_request r = {"PUT",  span_str("/examplebucket/chunkObject.txt"), span_str(""), h, 7,
                             payload};
    assert_signature(&r, seed);
    assert_chunks(seed, chunks);
    sign_sha256_hex(span_str("x-amz-checksum-crc32c:sOO8/Q==\n"), hash);
    buf_init(&text, 0);
    buf_printf(&text,
               "AWS4-HMAC-SHA256-TRAILER\n" STAMP "\n20130524/us-east-1/s3/aws4_request\n%s\n%s",
               chunks[2], hash);
    sign_scope_init(&scope, &documentation, STAMP, "us-east-1", "s3");
    sign_text(&scope, buf_view(&text), hex);
    assert_string_equal(hex, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
    buf_done(&text);
}

static void get_vanilla(void **state)
{
    static const struct creds suite = {.access_key = "AKIDEXAMPLE",
                                       .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    struct sign_scope scope;
    struct buf line;
    (void)state;
    struct sign_header h[] = {header("host", "example.amazonaws.com"),
                              header("x-amz-date", "20150830T123600Z")};
    struct sign_request r = {"GET", span_str("/"), span_str(""), h, 2, EMPTY};
    sign_scope_init(&scope, &suite, "20150830", "us-east-1", "service");
    buf_init(&line, 0);
    sign_authorization(&scope, &suite, &r, "20150830T123600Z", &line);
    assert_string_equal(
        buf_cstr(&line),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    buf_done(&line);
}

/* What a hop may have folded must not change the signature. */
static void values_are_trimmed_and_collapsed(void **state)
{
    char hex[2][SIGN_HEX_BYTES];
    struct sign_scope scope;
    (void)state;
    sign_scope_init(&scope, &documentation, STAMP, "us-east-1", "s3");
    const char *const values[] = {"a b", "  a   b "};
    for (int i = 0; i < 2; i++) {
        struct sign_header h[] = {header("host", "h"), header("x-amz-meta-a", values[i])};
        struct sign_request r = {"GET", span_str("/"), span_str(""), h, 2, EMPTY};
        sign_request(&scope, &r, STAMP, hex[i]);
    }
    assert_string_equal(hex[0], hex[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_with_range),
        cmocka_unit_test(put_with_odd_key),
        cmocka_unit_test(get_lifecycle),
        cmocka_unit_test(get_listing),
        cmocka_unit_test(presigned_get),
        cmocka_unit_test(streaming_put),
        cmocka_unit_test(streaming_put_with_trailer),
        cmocka_unit_test(get_vanilla),
        cmocka_unit_test(values_are_trimmed_and_collapsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
