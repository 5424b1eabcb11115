/* What a sender's side needs: commands without secrets, and entries that leave others alone. */
#include "daemon/feeds/setup.h"
#include "transfer/store/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct conf_endpoint endpoint = {.name = "src", .url = "http://rgw.example:8080"};
static struct conf_source source = {
    .name = "rgw", .endpoint = "src", .path = "/rgw", .token = {.file = "/etc/repld/t"}};
static struct rule rule = {
    .name = "pages", .source = {"src", "crawl", "raw/"}, .deletes = RULE_DELETES_PROPAGATE};

static struct setup setup_of(enum setup_sender sender)
{
    return (struct setup){.rule = &rule,
                          .endpoint = &endpoint,
                          .source = &source,
                          .hook_url = "https://hook:1",
                          .sender = sender,
                          .arn = sender == SETUP_MINIO ? NULL : "arn:aws:sns:default::t"};
}

static void ignore(void *arg, const char *path, struct span text)
{
    (void)arg;
    (void)path;
    (void)text;
}

static const char *merge(enum setup_sender sender, const char *now, struct buf *to)
{
    struct setup s = setup_of(sender);
    struct fail f = {0};
    static const struct xml_handler nothing = {.end = ignore};
    buf_reset(to);
    assert_int_equal(setup_merge(&s, span_str(now), to, &f), 0);
    assert_int_equal(xml_parse(buf_view(to), &nothing, NULL), 0);
    return buf_cstr(to);
}

#define ROOT "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define THEIRS                                                                                     \
    "<QueueConfiguration><Id>a&amp;b</Id><Queue>q</Queue><Event>s3:ObjectCreated:*</Event>"        \
    "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>x&lt;y/</Value></FilterRule></S3Key>"    \
    "</Filter></QueueConfiguration>"

static void others_are_left_alone(void **state)
{
    struct buf first = {0}, second = {0};
    (void)state;
    const char *text = merge(SETUP_RGW,
                             "<?xml version=\"1.0\"?>" ROOT THEIRS "\n "
                             "<EventBridgeConfiguration/></NotificationConfiguration>",
                             &first);
    assert_non_null(strstr(text, THEIRS));
    assert_non_null(strstr(text, "<EventBridgeConfiguration></EventBridgeConfiguration>"));
    assert_non_null(strstr(text, "<TopicConfiguration><Id>repld-pages</Id>"
                                 "<Topic>arn:aws:sns:default::t</Topic>"));
    assert_non_null(strstr(text, "<Value>raw/</Value>"));
    /* Again: our own is replaced, not doubled. */
    assert_string_equal(merge(SETUP_RGW, text, &second), text);
    buf_done(&first);
    buf_done(&second);
}

static void what_is_not_there_is_made(void **state)
{
    struct buf to = {0};
    (void)state;
    const char *text = merge(SETUP_MINIO, "", &to);
    assert_non_null(strstr(text, "<Queue>arn:minio:sqs::REPLD:webhook</Queue>"));
    assert_null(strstr(text, "LifecycleExpiration"));
    assert_non_null(strstr(merge(SETUP_AWS, ROOT "</NotificationConfiguration>", &to),
                           "s3:LifecycleExpiration:*"));
    rule.deletes = RULE_DELETES_IGNORE;
    assert_null(strstr(merge(SETUP_AWS, "", &to), "ObjectRemoved"));
    rule.deletes = RULE_DELETES_PROPAGATE;
    buf_done(&to);
}

static void canaries_are_told_beside_a_prefix(void **state)
{
    struct buf first = {0}, second = {0};
    (void)state;
    source.canary = true;
    const char *text = merge(SETUP_RGW, "", &first);
    assert_non_null(strstr(text, "<Id>repld-pages-canary</Id>"));
    assert_non_null(strstr(text, "<Value>_repl/canary/</Value>"));
    assert_string_equal(merge(SETUP_RGW, text, &second), text);
    source.canary = false;
    assert_null(strstr(merge(SETUP_RGW, text, &second), "canary"));
    buf_done(&first);
    buf_done(&second);
}

static const char *commands(enum setup_sender sender, struct buf *to)
{
    struct setup s = setup_of(sender);
    buf_reset(to);
    setup_commands(&s, to);
    return buf_cstr(to);
}

#define EVENT_ADD "\nmc event add -p ALIAS/crawl arn:minio:sqs::REPLD:webhook --event "

static void commands_tell_of_canaries_too(void **state)
{
    struct buf to = {0};
    (void)state;
    assert_null(strstr(commands(SETUP_MINIO, &to), "canary"));
    assert_null(strstr(commands(SETUP_OSS, &to), "canary"));
    source.canary = true;
    const char *text = commands(SETUP_MINIO, &to);
    assert_non_null(strstr(text, EVENT_ADD "put,delete,ilm --prefix 'raw/'" EVENT_ADD
                                           "put --prefix '_repl/canary/'\n"));
    text = commands(SETUP_OSS, &to);
    assert_non_null(strstr(text, "prefix raw/,\n# and another one, prefix _repl/canary/."));
    rule.source.prefix = ""; /* covers them */
    assert_null(strstr(commands(SETUP_MINIO, &to), "canary"));
    assert_null(strstr(commands(SETUP_OSS, &to), "canary"));
    rule.source.prefix = "raw/";
    source.canary = false;
    buf_done(&to);
}

static void commands_work_without_a_terminal(void **state)
{
    struct buf to = {0};
    (void)state;
    assert_non_null(
        strstr(commands(SETUP_MINIO, &to), "\nmc admin service restart ALIAS --json; "));
    buf_done(&to);
}

static void the_last_command_finds_what_was_before(void **state)
{
    static const char last[] = ":\nreplctl scan start pages\n";
    struct buf to = {0};
    (void)state;
    for (enum setup_sender s = SETUP_UNKNOWN; s <= SETUP_OSS; s++) {
        const char *text = commands(s, &to);
        assert_non_null(strstr(text, "replctl rule update pages --existing"));
        assert_string_equal(text + to.len - strlen(last), last);
    }
    rule.existing = true;
    assert_null(strstr(commands(SETUP_MINIO, &to), "rule update"));
    rule.existing = false;
    buf_done(&to);
}

static void refusal_of_an_unknown_target_is_explained(void **state)
{
    static const char text[] = "PutBucketNotificationConfiguration: A specified destination ARN "
                               "does not exist or is not well-formed.";
    struct setup minio = setup_of(SETUP_MINIO), aws = setup_of(SETUP_AWS);
    struct fail f;
    (void)state;
    fail_set(&f, REPL_EREFUSED, "%s", text);
    setup_explain(&aws, &f);
    assert_string_equal(f.hint, "");
    setup_explain(&minio, &f);
    assert_non_null(strstr(f.hint, "arn:minio:sqs::REPLD:webhook"));
    assert_non_null(strstr(f.hint, "replctl feed setup pages --for minio"));
    fail_set(&f, REPL_EDENIED, "access denied");
    setup_explain(&minio, &f);
    assert_string_equal(f.hint, "");
}

static void broken_xml_is_not_written_back(void **state)
{
    static const char *const broken[] = {"<NotificationConfiguration>", "<html>", "{}",
                                         ROOT THEIRS};
    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct setup s = setup_of(SETUP_RGW);
        struct buf to = {0};
        struct fail f = {0};
        assert_int_equal(setup_merge(&s, span_str(broken[i]), &to, &f), REPL_EPROTO);
        buf_done(&to);
    }
}

static void a_topic_holds_the_token_encoded(void **state)
{
    struct setup s = setup_of(SETUP_RGW);
    struct buf form = {0};
    (void)state;
    setup_topic_form(&s, "s3cret", &form);
    assert_string_equal(buf_cstr(&form),
                        "Action=CreateTopic&Name=repld-rgw&Attributes.entry.1.key=push-endpoint"
                        "&Attributes.entry.1.value=https%3A%2F%2Fhook%3A1%2Frgw%2Fs3cret"
                        "&Attributes.entry.2.key=persistent&Attributes.entry.2.value=true");
    buf_done(&form);
}

static void the_answer_names_the_topic(void **state)
{
    struct arena a;
    struct span arn;
    struct fail f;
    (void)state;
    arena_init(&a);
    assert_int_equal(setup_topic_arn(span_str("<CreateTopicResponse><CreateTopicResult><TopicArn>"
                                              "arn:x</TopicArn></CreateTopicResult>"
                                              "</CreateTopicResponse>"),
                                     &a, &arn, &f),
                     0);
    assert_true(span_eq_str(arn, "arn:x"));
    assert_int_equal(setup_topic_arn(span_str("<a/>"), &a, &arn, &f), REPL_EPROTO);
    arena_done(&a);
}

static void senders_are_known_by_their_hosts(void **state)
{
    enum setup_sender sender;
    struct conf_endpoint aws = {.url = "https://s3.eu-central-1.amazonaws.com"};
    struct conf_endpoint oss = {.url = "https://oss-cn-hangzhou.aliyuncs.com"};
    (void)state;
    assert_int_equal(setup_sender_of(&aws), SETUP_AWS);
    assert_int_equal(setup_sender_of(&oss), SETUP_OSS);
    assert_int_equal(setup_sender_of(&endpoint), SETUP_UNKNOWN);
    assert_int_equal(setup_sender_parse("minio", &sender), 0);
    assert_int_equal(sender, SETUP_MINIO);
    assert_int_equal(setup_sender_parse("unknown", &sender), REPL_EBADINPUT);
}

static void the_url_is_one_that_a_sender_can_reach(void **state)
{
    static const char *const every[] = {"0.0.0.0:8443", "[::]:8443", ":8443"};
    struct conf_webhook conf = {.certificate = "/c.pem"};
    struct buf url = {0};
    struct fail f = {0};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        conf.listen = every[i];
        assert_int_equal(setup_hook_url(&conf, every[i], &url, &f), REPL_EBADINPUT);
        assert_non_null(strstr(f.hint, "https://HOST:8443"));
    }
    assert_int_equal(url.len, 0);
    assert_int_equal(setup_hook_url(&conf, "192.0.2.7:8443", &url, &f), 0);
    assert_string_equal(buf_cstr(&url), "https://192.0.2.7:8443");
    buf_reset(&url);
    conf.url = "https://repl.example/";
    assert_int_equal(setup_hook_url(&conf, "0.0.0.0:8443", &url, &f), 0);
    assert_string_equal(buf_cstr(&url), "https://repl.example");
    buf_done(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_left_alone),
        cmocka_unit_test(what_is_not_there_is_made),
        cmocka_unit_test(canaries_are_told_beside_a_prefix),
        cmocka_unit_test(commands_tell_of_canaries_too),
        cmocka_unit_test(commands_work_without_a_terminal),
        cmocka_unit_test(the_last_command_finds_what_was_before),
        cmocka_unit_test(refusal_of_an_unknown_target_is_explained),
        cmocka_unit_test(broken_xml_is_not_written_back),
        cmocka_unit_test(a_topic_holds_the_token_encoded),
        cmocka_unit_test(the_answer_names_the_topic),
        cmocka_unit_test(senders_are_known_by_their_hosts),
        cmocka_unit_test(the_url_is_one_that_a_sender_can_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
