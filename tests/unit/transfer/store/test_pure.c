/* The pure parts: uri, checksums, xml, errors, credentials. */
#include "transfer/store/checksum.h"
#include "transfer/store/creds.h"
#include "transfer/store/errors.h"
#include "transfer/store/uri.h"
#include "transfer/store/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void encoding_and_back(void **state)
{
    char all[256];
    struct arena a;
    struct buf b;
    (void)state;
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
    }
    arena_init(&a);
    buf_init(&b, 0);
    uri_encode(&b, span_of(all, sizeof(all)), false);
    assert_true(span_eq(uri_decode(&a, buf_view(&b)), span_of(all, sizeof(all))));
    buf_reset(&b);
    uri_encode(&b, span_str("a/b c+d~%41*'"), true);
    assert_string_equal(buf_cstr(&b), "a/b%20c%2Bd~%2541%2A%27");
    assert_true(span_eq_str(uri_decode(&a, span_str("a+b%2")), "a b%2"));
    buf_done(&b);
    arena_done(&a);
}

static void query_is_sorted_by_encoded_bytes(void **state)
{
    struct buf b;
    (void)state;
    struct uri_param p[] = {{span_str("b"), span_str("2")},
                            {span_str("a b"), span_str("/")},
                            {span_str("b"), span_str("1")},
                            {span_str("A"), span_str("")}};
    buf_init(&b, 0);
    uri_query(&b, p, 4);
    assert_string_equal(buf_cstr(&b), "A=&a%20b=%2F&b=1&b=2");
    buf_done(&b);
}

static void checksums_of_the_check_string(void **state)
{
    char text[CHECKSUM_BASE64_MAX];
    struct span check = span_str("123456789");
    (void)state;
    assert_int_equal(checksum_crc32c(0, check), 0xe3069283u);
    assert_true(checksum_crc64nvme(0, check) == 0xae8b14860a799888u);
    checksum_base64_u32(checksum_crc32c(0, check), text);
    assert_string_equal(text, "4waSgw==");
    checksum_base64_u64(checksum_crc64nvme(0, check), text);
    assert_string_equal(text, "rosUhgp5mIg=");
    unsigned char md5[16];
    checksum_md5(span_str(""), md5);
    checksum_base64(md5, 16, text);
    assert_string_equal(text, "1B2M2Y8AsgTpgAmY7PhCfg==");
}

/* Bit by bit, after the definition. */
static uint64_t slow_crc64(struct span data)
{
    uint64_t crc = ~(uint64_t)0;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= (unsigned char)data.ptr[i];
        for (int k = 0; k < 8; k++) {
            crc = crc & 1 ? (crc >> 1) ^ 0x9a6c9329ac4bc9b5u : crc >> 1;
        }
    }
    return ~crc;
}

static uint32_t slow_crc32c(struct span data)
{
    uint32_t crc = ~(uint32_t)0;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= (unsigned char)data.ptr[i];
        for (int k = 0; k < 8; k++) {
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
        }
    }
    return ~crc;
}

static void checksums_of_any_length_and_in_pieces(void **state)
{
    char data[400];
    uint32_t seed = 1;
    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (char)(seed >> 24);
    }
    for (size_t len = 0; len <= sizeof(data); len++) {
        struct span s = span_of(data, len);
        size_t cut = len / 3;
        assert_true(checksum_crc64nvme(0, s) == slow_crc64(s));
        assert_true(checksum_crc32c(0, s) == slow_crc32c(s));
        uint64_t first = checksum_crc64nvme(0, span_of(data, cut));
        assert_true(checksum_crc64nvme(first, span_of(data + cut, len - cut)) == slow_crc64(s));
    }
}

struct seen {
    char text[400];
};

static void note(void *arg, const char *path, struct span text)
{
    struct seen *s = arg;
    size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof(s->text) - at, "%s=%.*s;", path, SPAN_ARG(text));
}

static void xml_paths_and_texts(void **state)
{
    static const struct xml_handler handler = {.end = note};
    struct seen s = {{0}};
    (void)state;
    const char *doc = " \n<?xml version=\"1.0\"?><R xmlns=\"u\"><a>x &amp; y</a><b><c/></b></R>";
    assert_int_equal(xml_parse(span_str(doc), &handler, &s), 0);
    assert_string_equal(s.text, "R/a=x & y;R/b/c=;R/b=;R=;");
}

static void xml_that_is_refused(void **state)
{
    static const struct xml_handler handler = {.end = note};
    static const char *const bad[] = {
        "",
        "   ",
        "<R><a></R>",
        "<R><a>cut",
        "not xml",
        "<!DOCTYPE r [<!ENTITY a \"aa\">]><R>&a;</R>",
        "<a><a><a><a><a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a></a></a></a></a>",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct seen s = {{0}};
        assert_int_equal(xml_parse(span_str(bad[i]), &handler, &s), REPL_EPROTO);
    }
}

static void xml_error_document(void **state)
{
    struct xml_error e;
    (void)state;
    assert_true(xml_read_error(span_str("<Error><Code>NoSuchKey</Code><Message>gone</Message>"
                                        "<RequestId>7</RequestId><Region>eu-x-1</Region></Error>"),
                               &e));
    assert_string_equal(e.code, "NoSuchKey");
    assert_string_equal(e.message, "gone");
    assert_string_equal(e.request_id, "7");
    assert_string_equal(e.region, "eu-x-1");
    assert_false(xml_read_error(span_str("<html><body>502</body></html>"), &e));
    assert_string_equal(e.code, "");
}

static void xml_can_carry_only_characters(void **state)
{
    (void)state;
    assert_true(xml_can_carry(span_str("a\xc3\xa4\xf0\x9f\x98\x80\r")));
    assert_false(xml_can_carry(span_str("a\x01")));
    assert_false(xml_can_carry(span_str("\xff")));
    assert_false(xml_can_carry(span_str("\xed\xa0\x80")));
    assert_false(xml_can_carry(span_str("\xc3")));
    assert_false(xml_can_carry(span_str("\xef\xbf\xbf")));
}

static void errors_by_code_and_by_status(void **state)
{
    static const struct {
        unsigned status;
        const char *code;
        int meaning;
    } cases[] = {
        {404, "NoSuchKey", REPL_ENOKEY},
        {404, "NoSuchBucket", REPL_ENOBUCKET},
        {404, "NoSuchUpload", REPL_ENOUPLOAD},
        {404, "", REPL_EPROTO},
        {403, "AccessDenied", REPL_EDENIED},
        {403, "", REPL_EDENIED},
        {403, "RequestTimeTooSkewed", REPL_ESKEW},
        {403, "InvalidObjectState", REPL_EARCHIVED},
        {403, "SignatureDoesNotMatch", REPL_EDENIED},
        {400, "ExpiredToken", REPL_ECREDENTIALS},
        {400, "BadDigest", REPL_ECHECKSUM},
        {400, "XAmzContentSHA256Mismatch", REPL_ECHECKSUM},
        {400, "RequestTimeout", REPL_ESERVER},
        {400, "Unheard", REPL_EREFUSED},
        {412, "PreconditionFailed", REPL_ECHANGED},
        {412, "", REPL_ECHANGED},
        {429, "", REPL_ETHROTTLED},
        {503, "SlowDown", REPL_ETHROTTLED},
        {503, "", REPL_ESERVER},
        {500, "InternalError", REPL_ESERVER},
        {501, "NotImplemented", REPL_EUNSUPPORTED},
        {301, "", REPL_EREGION},
        {400, "AuthorizationHeaderMalformed", REPL_EREGION},
        {400, "AccountProblem", REPL_EDENIED},
        {500, "XMinioServerNotInitialized", REPL_ESERVER},
        {400, "KMS.DisabledException", REPL_EDENIED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(errors_classify(cases[i].status, cases[i].code), cases[i].meaning);
    }
}

static void retry_after(void **state)
{
    (void)state;
    assert_int_equal(errors_retry_after(span_str("7"), 0), 7000);
    assert_int_equal(errors_retry_after(span_str("99999"), 0), 600000);
    assert_int_equal(errors_retry_after(span_str("Mon, 23 Nov 2026 10:20:30 GMT"), 1795429225000),
                     5000);
    assert_int_equal(errors_retry_after(span_str("soon"), 0), 0);
    assert_int_equal(errors_retry_after(span_of(NULL, 0), 0), 0);
}

/* ---- credentials ---- */

static void write_file(char path[32], const char *text)
{
    strcpy(path, "/tmp/repl-creds-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void creds_from_a_file(void **state)
{
    char path[32];
    struct creds c;
    struct fail f;
    (void)state;
    write_file(path, "# comment\r\n[other]\naws_access_key_id=X\n\n[crawler]\r\n"
                     "aws_access_key_id = AK\r\n aws_secret_access_key=a/b+c==\n"
                     "aws_session_token = T\n");
    struct creds_source s = {.kind = CREDS_FILE, .name = "crawler", .path = path};
    assert_int_equal(creds_load(&s, &c, &f), 0);
    assert_string_equal(c.access_key, "AK");
    assert_string_equal(c.secret_key, "a/b+c==");
    assert_string_equal(c.session_token, "T");
    s.name = "missing";
    assert_int_equal(creds_load(&s, &c, &f), REPL_ECREDENTIALS);
    assert_non_null(strstr(f.text, "[missing]"));
    s.name = "other"; /* no secret */
    assert_int_equal(creds_load(&s, &c, &f), REPL_ECREDENTIALS);
    unlink(path);
    assert_int_equal(creds_load(&s, &c, &f), REPL_ECREDENTIALS);
    assert_non_null(strstr(f.text, path));
}

static void creds_from_the_environment(void **state)
{
    struct creds c;
    struct fail f;
    struct creds_source s = {.kind = CREDS_ENV, .name = "UNIT_"};
    (void)state;
    assert_int_equal(creds_load(&s, &c, &f), REPL_ECREDENTIALS);
    setenv("UNIT_AWS_ACCESS_KEY_ID", "AK", 1);
    setenv("UNIT_AWS_SECRET_ACCESS_KEY", "hidden", 1);
    assert_int_equal(creds_load(&s, &c, &f), 0);
    assert_string_equal(c.secret_key, "hidden");
    creds_wipe(&c);
    assert_int_equal(c.secret_key[0], 0);
}

static void creds_from_systemd_and_the_shared_file(void **state)
{
    char path[32];
    char folder[] = "/tmp/repl-unit-XXXXXX";
    char inside[64];
    struct creds c;
    struct fail f;
    (void)state;
    write_file(path, "[default]\naws_access_key_id=AK\naws_secret_access_key=S\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    struct creds_source shared = {.kind = CREDS_PROFILE};
    assert_int_equal(creds_load(&shared, &c, &f), 0);
    struct creds_source s = {.kind = CREDS_SYSTEMD, .name = "home"};
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(creds_load(&s, &c, &f), REPL_ECREDENTIALS);
    assert_non_null(strstr(f.hint, "LoadCredential=home"));
    assert_non_null(mkdtemp(folder));
    snprintf(inside, sizeof(inside), "%s/home", folder);
    assert_int_equal(rename(path, inside), 0);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_int_equal(creds_load(&s, &c, &f), 0);
    assert_string_equal(c.access_key, "AK");
    unlink(inside);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_and_back),
        cmocka_unit_test(query_is_sorted_by_encoded_bytes),
        cmocka_unit_test(checksums_of_the_check_string),
        cmocka_unit_test(checksums_of_any_length_and_in_pieces),
        cmocka_unit_test(xml_paths_and_texts),
        cmocka_unit_test(xml_that_is_refused),
        cmocka_unit_test(xml_error_document),
        cmocka_unit_test(xml_can_carry_only_characters),
        cmocka_unit_test(errors_by_code_and_by_status),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(creds_from_a_file),
        cmocka_unit_test(creds_from_the_environment),
        cmocka_unit_test(creds_from_systemd_and_the_shared_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
