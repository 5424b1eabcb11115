/* The configuration: bad inputs with line and hint, defaults, printing that loads again. */
#include "daemon/conf/conf.h"
#include "daemon/conf/conf_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct bad {
    const char *text;
    const char *at;   /* the error begins with it */
    const char *says; /* the error holds it */
    const char *hint; /* the hint holds it; NULL: none looked for */
};

#define EP "endpoints:\n  home:\n    url: https://s3.example\n"

static const struct bad bads[] = {
    {"memroy: 1GiB\n", "c.yaml:1: ", "unknown key \"memroy\"", "did you mean \"memory\"?"},
    {"shutdown: 5s\n\nzebra: 1\n", "c.yaml:3: ", "unknown key \"zebra\"", "known here: instance"},
    {"late: 5min\n", "c.yaml:1: ", "unknown key \"late\"", NULL},
    {"memory: 256\n", "c.yaml:1: ", "memory: \"256\" is not a size", "64MiB"},
    {"memory: 1MiB\n", "c.yaml:1: ", "below the least, 64MiB", NULL},
    {"copies: 0\n", "c.yaml:1: ", "below the least, 1", NULL},
    {"copies: many\n", "c.yaml:1: ", "not a whole number", NULL},
    {"copies: 99999\n", "c.yaml:1: ", "above the most, 4096", NULL},
    {"shutdown: 10m\n", "c.yaml:1: ", "shutdown: \"10m\" is not a duration", "min"},
    {"shutdown: [1]\n", "c.yaml:1: ", "wants a single value", NULL},
    {"memory: 64MiB\npart_max: 32MiB\n", "c.yaml:2: ", "a quarter of memory", "four times"},
    {"log:\n  level: loud\n", "c.yaml:2: ", "\"loud\" is not known", "error, warning, notice"},
    {"log:\n  levels: copy\n", "c.yaml:2: ", "SUBJECT=LEVEL", NULL},
    {"log:\n  levels: copy=info,net=loud\n", "c.yaml:2: ", "\"loud\" is no level",
     "one of error, warning"},
    {"log:\n  levels: net=info,schedd=debug\n", "c.yaml:2: ", "\"schedd\" is no subject of the log",
     "one of admin, copy, endpoint, engine, httpd, journal, lane, net, notify, outbox, pace, path, "
     "queue, repld, scan, store, webhook"},
    {"log:\n  levels: cpoy=debug\n", "c.yaml:2: ", "no subject", "did you mean \"copy\"?"},
    {"log: debug\n", "c.yaml:1: ", "wants keys of its own", NULL},
    {"admin:\n  socket: run/x\n", "c.yaml:2: ", "absolute path", NULL},
    {"metrics:\n  listen: 9815\n", "c.yaml:2: ", "ADDRESS:PORT", NULL},
    {"metrics:\n  listen: ::1:9815\n", "c.yaml:2: ", "brackets", NULL},
    {"instance: a b\n", "c.yaml:1: ", "must be a name", NULL},
    {"endpoints: [home]\n", "c.yaml:1: ", "wants keys of its own", NULL},
    {"endpoints:\n  Home:\n    url: https://x\n", "c.yaml:2: ", "must be a name of a-z", NULL},
    {"endpoints:\n  home:\n    region: x\n", "c.yaml:2: ", "\"home\" has no \"url\"", NULL},
    {"endpoints:\n  home:\n    url: ftp://x\n", "c.yaml:3: ", "http:// or https://", NULL},
    {"endpoints:\n  home:\n    url: https://u:p@x\n", "c.yaml:3: ", "user or password", NULL},
    {"endpoints:\n  home:\n    url: https://x/y\n", "c.yaml:3: ", "path or query", NULL},
    {"endpoints:\n  home:\n    url: https://x:99999\n", "c.yaml:3: ", "port of 1 to 65535", NULL},
    {"endpoints:\n  home:\n    url: 'https://x:'\n", "c.yaml:3: ", "port of 1 to 65535", NULL},
    {"endpoints:\n  home:\n    url: https://[::1]:0\n", "c.yaml:3: ", "port of 1", NULL},
    {EP "    tls_verify: 0\n", "c.yaml:4: ", "neither true nor false", "without quotes"},
    {EP "    tls_verify: \"false\"\n", "c.yaml:4: ", "neither true nor false", NULL},
    {EP "    kind: gcs\n", "c.yaml:4: ", "\"gcs\" is not known", "one of: s3"},
    {EP "    connections: 257\n", "c.yaml:4: ", "above the most, 256", NULL},
    {EP "    congestion: b b r\n", "c.yaml:4: ", "name a congestion control", NULL},
    {EP "    http: 3\n", "c.yaml:4: ", "\"3\" is not known", "one of: auto, 1.1, 2"},
    {"endpoints:\n  home:\n    url: http://x\n    http: 2\n", "c.yaml:4: ", "does not use TLS",
     "https"},
    {EP "    credentials:\n      profile: a\n      systemd: b\n      anonymous: true\n",
     "c.yaml:4: ", "more than one source", "anonymous"},
    {EP "    credentials:\n      secret: hunter2\n", "c.yaml:5: ", "unknown key \"secret\"",
     "known here"},
    {"endpoints:\n  home:\n    url: http://x\n    ca_file: /ca.pem\n",
     "c.yaml:4: ", "does not use TLS", "https"},
    {EP "  home:\n    url: https://y\n", "c.yaml:4: ", "stands here twice", NULL},
    {EP "outboxes:\n  o:\n    path: /a.db\n    endpoint: hmoe\n",
     "c.yaml:7: ", "\"hmoe\" is not among", "endpoints:"},
    {EP "queues:\n  q:\n    endpoint: hmoe\n    url: https://sqs.x/1/q\n",
     "c.yaml:6: ", "\"hmoe\" is not among", "endpoints:"},
    {EP "queues:\n  q: {endpoint: home, url: 'https://sqs.x'}\n", "c.yaml:5: ", "/ACCOUNT/NAME",
     NULL},
    {EP "queues:\n  q: {endpoint: home, url: 'ftp://sqs.x/1/q'}\n", "c.yaml:5: ", "https://", NULL},
    {EP "queues:\n  a: {endpoint: home, url: 'https://s/1/q'}\n"
        "  b: {endpoint: home, url: 'https://s/1/q'}\n",
     "c.yaml:6: ", "queue \"a\" reads it already", NULL},
    {EP "queues:\n  q: {endpoint: home, url: 'http://s/1/q', ca_file: /c}\n",
     "c.yaml:5: ", "does not use TLS", "https"},
    {EP "queues:\n  q: {endpoint: home, url: 'http://s/1/q', receivers: 17}\n",
     "c.yaml:5: ", "above the most, 16", NULL},
    {EP "    paths:\n      fast: {use: auto}\n", "c.yaml:5: ", "\"fast\" has no url", "leads"},
    {EP "    paths:\n      direct: {url: https://x}\n", "c.yaml:5: ", "the endpoint's url", NULL},
    {EP "    paths:\n      fast: {url: http://x}\n", "c.yaml:5: ", "in TLS", "https"},
    {EP "    paths:\n      direct: {use: never}\n", "c.yaml:4: ", "none may be used", NULL},
    {EP "    paths:\n      direct: {use: always}\n      a: {url: https://x, use: always}\n",
     "c.yaml:4: ", "more than one", NULL},
    {EP "    paths: {a: {url: https://x}, b: {url: https://x}, c: {url: https://x}, "
        "d: {url: https://x}}\n",
     "c.yaml:4: ", "more than 4", NULL},
    {"outboxes:\n  o: {path: /a.db}\n  p: {path: /a.db}\n", "c.yaml:3: ", "reads this file", NULL},
    {EP "webhook:\n  sources:\n    a: {endpoint: home, token: {file: /t}}\n",
     "c.yaml:5: ", "sources and no listen", "0.0.0.0"},
    {EP "webhook: {listen: ':1', key: /k}\n", "c.yaml:4: ", "no TLS without", NULL},
    {EP "webhook: {listen: ':1', client_ca: /k}\n", "c.yaml:4: ", "no TLS without", NULL},
    {EP "webhook: {listen: ':1', max_body: 2MiB}\n", "c.yaml:4: ", "above the most", NULL},
    {EP "webhook:\n  listen: ':1'\n  sources:\n    a: {endpoint: hmoe, token: {file: /t}}\n",
     "c.yaml:7: ", "\"hmoe\" is not among", "endpoints:"},
    {EP "webhook:\n  listen: ':1'\n  sources:\n    a: {endpoint: home}\n",
     "c.yaml:7: ", "\"a\" has none", "environment"},
    {EP "webhook:\n  listen: ':1'\n  sources:\n    a:\n      endpoint: home\n"
        "      token: {file: /t, systemd: t}\n",
     "c.yaml:9: ", "more than one place", NULL},
    {EP "webhook:\n  listen: ':1'\n  sources:\n    a: {endpoint: home, token: {file: /t}}\n"
        "    b: {endpoint: home, path: /a/b, token: {file: /t}}\n",
     "c.yaml:8: ", "cannot be told", NULL},
    {EP "webhook:\n  listen: ':1'\n  sources:\n    a: {endpoint: home, path: /a%20, token: {}}\n",
     "c.yaml:7: ", "must be a path", NULL},
    {EP "webhook:\n  listen: ':1'\n  sources:\n    a:\n      endpoint: home\n"
        "      token: hunter2\n",
     "c.yaml:9: ", "wants keys", NULL},
    {"a: b: c\n", "c.yaml:1: ", "not YAML", "indentation"},
    {"instance: [\n", "c.yaml:2: ", "not YAML", NULL},
    {"- a\n", "c.yaml:1: ", "wants keys", NULL},
    {"instance: a\n---\ninstance: b\n", "c.yaml:3: ", "second document", NULL},
    {"instance: \"a\\0b\"\n", "c.yaml:1: ", "NUL", NULL},
    {"? [a]\n: b\n", "c.yaml:1: ", "not a word", NULL},
};

static void test_bad_inputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        const struct bad *b = &bads[i];
        struct conf *c = NULL;
        struct fail f = {0};
        int r = conf_parse(span_str(b->text), "c.yaml", &c, &f);
        if (r != REPL_EBADINPUT || c != NULL || strncmp(f.text, b->at, strlen(b->at)) != 0 ||
            strstr(f.text, b->says) == NULL ||
            (b->hint != NULL && strstr(f.hint, b->hint) == NULL)) {
            fail_msg("%s\ngives %d: %s; hint: %s", b->text, r, f.text, f.hint);
        }
    }
}

/* What stands in the wrong place may be a secret. */
static void test_secrets_are_not_quoted(void **state)
{
    static const char *const texts[] = {
        "endpoints:\n  home:\n    url: https://u:hunter2@x\n",
        "endpoints:\n  home:\n    url: u:hunter2@x\n",
        EP "    paths:\n      a: {url: https://u:hunter2@x}\n",
        EP "    credentials: {environment: hunter2/}\n",
        EP "    credentials: {profile: hunter2/}\n",
        EP "    credentials: {file: hunter2}\n",
        EP "    credentials: {systemd: hunter2/}\n",
        EP "    credentials: {anonymous: hunter2}\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct conf *c = NULL;
        struct fail f = {0};
        assert_int_equal(conf_parse(span_str(texts[i]), "c.yaml", &c, &f), REPL_EBADINPUT);
        assert_non_null(strstr(f.text, ": the value "));
        assert_null(strstr(f.text, "hunter2"));
        assert_null(strstr(f.hint, "hunter2"));
    }
}

static void test_aliases_do_not_explode(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_str(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            buf_printf(&text, "%s*a%d", j == 0 ? "" : ",", i - 1);
        }
        buf_str(&text, "]\n");
    }
    struct conf *c = NULL;
    struct fail f = {0};
    assert_int_equal(conf_parse(buf_view(&text), "c.yaml", &c, &f), REPL_EBADINPUT);
    buf_done(&text);
}

static void test_empty_is_all_defaults(void **state)
{
    (void)state;
    struct conf *c = NULL;
    struct fail f = {0};
    unsetenv("STATE_DIRECTORY");
    setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
    assert_int_equal(conf_parse(span_str(""), "c.yaml", &c, &f), 0);
    assert_string_equal(c->journal_path, "/var/lib/repld/journal.db");
    assert_string_equal(c->admin_socket, "/run/a/control.sock");
    assert_int_equal(c->memory_bytes, 512 << 20);
    assert_int_equal(c->part_max_bytes, 64 << 20);
    assert_int_equal(c->copies, 512);
    assert_int_equal(c->history_ms, 604800000);
    assert_int_equal(c->shutdown_ms, 20000);
    assert_int_equal(c->log_level, LOG_LEVEL_NOTICE);
    assert_int_equal(c->log_format, LOG_FORMAT_AUTO);
    assert_null(c->metrics_listen);
    assert_int_equal(c->endpoint_count, 0);
    conf_free(c);
    unsetenv("RUNTIME_DIRECTORY");
}

static void check_shares(const char *text, unsigned connections, uint64_t journal, uint64_t lanes,
                         uint64_t bodies)
{
    struct conf *c = NULL;
    struct fail f = {0};
    assert_int_equal(conf_parse(span_str(text), "c.yaml", &c, &f), 0);
    assert_int_equal(c->endpoints[0].connections, connections);
    assert_int_equal(conf_memory_journal(c), journal << 20);
    assert_int_equal(conf_memory_lanes(c), lanes << 20);
    assert_int_equal(conf_memory_bodies(c), bodies << 20);
    conf_free(c);
}

static void test_memory_is_shared_out(void **state)
{
    (void)state;
    check_shares(EP "memory: 64MiB\n", 32, 8, 8, 48);
    check_shares("memory: 64MiB\n" EP "    connections: 4\n", 4, 8, 8, 48);
    check_shares(EP, 256, 64, 64, 384);
    check_shares(EP "memory: 8GiB\n", 256, 64, 64, 8192 - 128);
}

static void test_small_memory_lowers_the_part(void **state)
{
    (void)state;
    struct conf *c = NULL;
    struct fail f = {0};
    assert_int_equal(conf_parse(span_str("memory: 64MiB\n"), "c.yaml", &c, &f), 0);
    assert_int_equal(c->part_max_bytes, 16 << 20);
    conf_free(c);
}

static void test_credentials(void **state)
{
    (void)state;
    static const char text[] = "endpoints:\n"
                               "  a: {url: 'https://a'}\n"
                               "  b: {url: 'https://b', credentials: {environment: SRC_}}\n"
                               "  c: {url: 'https://c', credentials: {profile: p}}\n"
                               "  d: {url: 'https://d', credentials: {file: /f, profile: p}}\n"
                               "  e: {url: 'https://e', credentials: {systemd: s}}\n"
                               "  f: {url: 'http://f:1/', credentials: {anonymous: true},\n"
                               "      addressing: virtual-host, tls_verify: false}\n";
    struct conf *c = NULL;
    struct fail f = {0};
    assert_int_equal(conf_parse(span_str(text), "c.yaml", &c, &f), 0);
    static const enum conf_credentials kinds[] = {CONF_CREDS_ENV,     CONF_CREDS_ENV,
                                                  CONF_CREDS_PROFILE, CONF_CREDS_FILE,
                                                  CONF_CREDS_SYSTEMD, CONF_CREDS_ANONYMOUS};
    static const char *const names[] = {"", "SRC_", "p", "p", "s", ""};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(c->endpoints[i].credentials, kinds[i]);
        assert_string_equal(c->endpoints[i].credentials_name, names[i]);
    }
    assert_string_equal(c->endpoints[3].credentials_file, "/f");
    assert_true(conf_endpoint_find(c, "f")->virtual_host);
    assert_true(conf_endpoint_find(c, "f")->tls_insecure);
    assert_false(conf_endpoint_find(c, "a")->tls_insecure);
    assert_null(conf_endpoint_find(c, "g"));
    conf_free(c);
}

static void test_queues(void **state)
{
    (void)state;
    static const char text[] =
        "endpoints:\n"
        "  near: {url: 'https://s3.x', credentials: {file: /keys, profile: p}}\n"
        "queues:\n"
        "  a: {endpoint: near, url: 'https://sqs.eu-west-1.amazonaws.com/1/a'}\n"
        "  b: {endpoint: near, url: 'https://eu-north-1.queue.amazonaws.com/1/b'}\n"
        "  c: {endpoint: near, url: 'https://v-1.sqs.us-west-2.vpce.amazonaws.com:443/1/c'}\n"
        "  d: {endpoint: near, url: 'https://sqs.cn-north-1.amazonaws.com.cn/1/d.fifo'}\n"
        "  e: {endpoint: near, url: 'https://queue.amazonaws.com/1/e', bucket: crawl}\n"
        "  f: {endpoint: near, url: 'http://127.0.0.1:9324/1/f', region: elsewhere,\n"
        "      receivers: 16, visibility: 30s, credentials: {systemd: s}}\n";
    static const char *const regions[] = {"eu-west-1",  "eu-north-1", "us-west-2",
                                          "cn-north-1", "us-east-1",  "elsewhere"};
    struct conf *c = NULL;
    struct fail f = {0};
    if (conf_parse(span_str(text), "c.yaml", &c, &f) != 0) {
        fail_msg("%s", f.text);
    }
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(c->queues[i].region, regions[i]);
    }
    assert_int_equal(c->queues[0].credentials, CONF_CREDS_FILE);
    assert_string_equal(c->queues[0].credentials_file, "/keys");
    assert_string_equal(c->queues[0].credentials_name, "p");
    assert_int_equal(c->queues[0].receivers, 4);
    assert_int_equal(c->queues[0].visibility_ms, 60000);
    assert_null(c->queues[0].bucket);
    assert_string_equal(c->queues[4].bucket, "crawl");
    assert_int_equal(c->queues[5].credentials, CONF_CREDS_SYSTEMD);
    assert_string_equal(c->queues[5].credentials_name, "s");
    assert_int_equal(c->queues[5].visibility_ms, 30000);
    conf_free(c);
}

/* Loads `text`, prints it, loads that, prints again: equal. */
static void check_round_trip(struct span text)
{
    struct conf *c = NULL;
    struct fail f = {0};
    struct buf first = {0};
    struct buf second = {0};
    if (conf_parse(text, "c.yaml", &c, &f) != 0) {
        fail_msg("%s", f.text);
    }
    conf_print(c, &first);
    conf_free(c);
    if (conf_parse(buf_view(&first), "printed", &c, &f) != 0) {
        fail_msg("%s\n%s", f.text, buf_cstr(&first));
    }
    conf_print(c, &second);
    conf_free(c);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    buf_done(&first);
    buf_done(&second);
}

static void read_whole(const char *path, struct buf *to)
{
    char block[4096];
    FILE *stream = fopen(path, "re");
    assert_non_null(stream);
    for (size_t n; (n = fread(block, 1, sizeof(block), stream)) > 0;) {
        buf_append(to, block, n);
    }
    fclose(stream);
}

static void test_printing_loads_again(void **state)
{
    (void)state;
    check_round_trip(span_str(""));
    check_round_trip(span_str("instance: host-1\nlog: {level: debug, levels: 'copy=debug'}\n"
                              "memory: 1.5GiB\nshutdown: 90s\n" EP
                              "    credentials: {systemd: x}\n    tls_verify: false\n"
                              "outboxes:\n  o: {path: '/a b/\"q\"\\.db', trim: true}\n"));
}

static void test_shipped_file_loads_as_it_is(void **state)
{
    (void)state;
    struct buf text = {0};
    read_whole(TEST_SOURCE_DIR "/../etc/repld.yaml", &text);
    check_round_trip(buf_view(&text));
    buf_done(&text);
}

/* Every key of the schema is in the file and in the man page, by its name. */
static void check_documented(const struct schema_key *keys, const char *text, const char *before,
                             const char *behind, const char *where)
{
    for (const struct schema_key *k = keys; k->name != NULL; k++) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "%s%s%s", before, k->name, behind);
        if (strstr(text, wanted) == NULL) {
            fail_msg("%s does not document %s", where, k->name);
        }
        if (k->keys != NULL) {
            check_documented(k->keys, text, before, behind, where);
        }
    }
}

static void test_every_key_is_documented(void **state)
{
    (void)state;
    struct buf file = {0};
    struct buf page = {0};
    read_whole(TEST_SOURCE_DIR "/../etc/repld.yaml", &file);
    read_whole(TEST_SOURCE_DIR "/../etc/man/repld.yaml.5", &page);
    check_documented(conf_schema, buf_cstr(&file), "", ":", "etc/repld.yaml");
    check_documented(conf_schema, buf_cstr(&page), ".It Cm ", "", "repld.yaml(5)");
    buf_done(&file);
    buf_done(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_inputs),
        cmocka_unit_test(test_secrets_are_not_quoted),
        cmocka_unit_test(test_aliases_do_not_explode),
        cmocka_unit_test(test_empty_is_all_defaults),
        cmocka_unit_test(test_memory_is_shared_out),
        cmocka_unit_test(test_small_memory_lowers_the_part),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_printing_loads_again),
        cmocka_unit_test(test_shipped_file_loads_as_it_is),
        cmocka_unit_test(test_every_key_is_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
