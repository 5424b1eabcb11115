/* The JSON of SQS, both ways, and what its errors mean. */
#include "daemon/feeds/sqs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bench {
    struct arena arena;
    struct sqs_op op;
};

static struct bench *fresh(enum sqs_kind kind)
{
    static struct bench b;
    arena_done(&b.arena);
    b.op = (struct sqs_op){.kind = kind, .arena = &b.arena};
    return &b;
}

static int done(void **state)
{
    (void)state;
    fresh(SQS_COUNT);
    return 0;
}

static void check_request(const struct sqs_op *op, const char *target, const char *body)
{
    struct buf text = {0};
    sqs_write(op, "https://sqs.x/1/q\"", &text);
    assert_string_equal(sqs_target(op->kind), target);
    assert_string_equal(buf_cstr(&text), body);
    buf_done(&text);
}

static void requests(void **state)
{
    (void)state;
    static const struct span receipts[] = {{"a\"b", 3}, {"c", 1}};
    struct sqs_op op = {.kind = SQS_RECEIVE, .wait_s = 10, .hidden_s = 60};
    check_request(&op, "AmazonSQS.ReceiveMessage",
                  "{\"QueueUrl\":\"https://sqs.x/1/q\\\"\",\"MaxNumberOfMessages\":10,"
                  "\"WaitTimeSeconds\":10,\"VisibilityTimeout\":60,"
                  "\"AttributeNames\":[\"SentTimestamp\"]}");
    op = (struct sqs_op){.kind = SQS_DELETE, .receipts = receipts, .receipt_count = 2};
    check_request(&op, "AmazonSQS.DeleteMessageBatch",
                  "{\"QueueUrl\":\"https://sqs.x/1/q\\\"\",\"Entries\":["
                  "{\"Id\":\"0\",\"ReceiptHandle\":\"a\\\"b\"},"
                  "{\"Id\":\"1\",\"ReceiptHandle\":\"c\"}]}");
    op = (struct sqs_op){
        .kind = SQS_HIDE, .receipts = receipts + 1, .receipt_count = 1, .hidden_s = 30};
    check_request(&op, "AmazonSQS.ChangeMessageVisibilityBatch",
                  "{\"QueueUrl\":\"https://sqs.x/1/q\\\"\",\"Entries\":["
                  "{\"Id\":\"0\",\"ReceiptHandle\":\"c\",\"VisibilityTimeout\":30}]}");
}

static void messages(void **state)
{
    (void)state;
    struct bench *b = fresh(SQS_RECEIVE);
    const char *body = "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"MD5OfBody\":"
                       "\"x\",\"Body\":\"{\\\"Records\\\":[]}\",\"Attributes\":{"
                       "\"SentTimestamp\":\"1795429230000\"}},{\"ReceiptHandle\":\"s\"}]}";
    assert_int_equal(sqs_read(span_str(body), &b->op), 0);
    assert_int_equal(b->op.message_count, 2);
    assert_true(span_eq_str(b->op.messages[0].id, "m"));
    assert_true(span_eq_str(b->op.messages[0].receipt, "r"));
    assert_true(span_eq_str(b->op.messages[0].body, "{\"Records\":[]}"));
    assert_int_equal(b->op.messages[0].sent_ms, 1795429230000);
    assert_int_equal(b->op.messages[1].sent_ms, 0);
    b = fresh(SQS_RECEIVE);
    assert_int_equal(sqs_read(span_str("{}"), &b->op), 0);
    assert_int_equal(b->op.message_count, 0);
}

static void other_answers(void **state)
{
    (void)state;
    struct bench *b = fresh(SQS_DELETE);
    assert_int_equal(sqs_read(span_str("{\"Successful\":[{\"Id\":\"0\"}],\"Failed\":[{\"Id\":\"1\","
                                       "\"Code\":\"ReceiptHandleIsInvalid\"}]}"),
                              &b->op),
                     0);
    assert_int_equal(b->op.refused, 1);
    b = fresh(SQS_COUNT);
    assert_int_equal(sqs_read(span_str("{\"Attributes\":{\"ApproximateNumberOfMessages\":\"3\","
                                       "\"ApproximateNumberOfMessagesNotVisible\":\"2\","
                                       "\"ApproximateNumberOfMessagesDelayed\":\"1\"}}"),
                              &b->op),
                     0);
    assert_int_equal(b->op.waiting, 3);
    assert_int_equal(b->op.hidden, 2);
    assert_int_equal(b->op.delayed, 1);
}

static void answers_that_are_none(void **state)
{
    (void)state;
    static const struct {
        enum sqs_kind kind;
        const char *body;
    } cases[] = {
        {SQS_RECEIVE, ""},
        {SQS_RECEIVE, "<html>"},
        {SQS_RECEIVE, "[]"},
        {SQS_RECEIVE, "{\"Messages\":[{\"Body\":\"x\"}]}"},
        {SQS_RECEIVE, "{\"Messages\":[1]}"},
        {SQS_COUNT, "{}"},
        {SQS_COUNT, "{\"Attributes\":{}}"},
        {SQS_DELETE, "x"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *b = fresh(cases[i].kind);
        assert_int_equal(sqs_read(span_str(cases[i].body), &b->op), REPL_EPROTO);
        assert_int_equal(b->op.fail.code, REPL_EPROTO);
    }
}

static void errors(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
        int code;
        const char *text;
    } cases[] = {
        {400, "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"gone\"}",
         REPL_ENOTFOUND, "SQS: gone"},
        {400, "{\"__type\":\"AWS.SimpleQueueService.OverLimit\"}", REPL_EREFUSED, "OverLimit"},
        {400, "{\"__type\":\"com.amazonaws.sqs#OverLimit\"}", REPL_ETHROTTLED,
         "HTTP 400 OverLimit"},
        {400, "{\"__type\":\"x#UnrecognizedClientException\",\"Message\":\"who\"}",
         REPL_ECREDENTIALS, "SQS: who"},
        {403, "{\"__type\":\"x#AccessDeniedException\",\"message\":\"no\"}", REPL_EDENIED, "no"},
        {403, "", REPL_EDENIED, "HTTP 403"},
        {500, "<html>", REPL_ESERVER, "HTTP 500"},
        {503, "{\"__type\":\"ServiceUnavailable\"}", REPL_ESERVER, "ServiceUnavailable"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *b = fresh(SQS_RECEIVE);
        sqs_read_failure(cases[i].status, span_str(cases[i].body), &b->op);
        assert_int_equal(b->op.fail.code, cases[i].code);
        assert_int_equal(b->op.fail.http_status, cases[i].status);
        if (strstr(b->op.fail.text, cases[i].text) == NULL) {
            fail_msg("\"%s\" says nothing of \"%s\"", b->op.fail.text, cases[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),      cmocka_unit_test(messages),
        cmocka_unit_test(other_answers), cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
