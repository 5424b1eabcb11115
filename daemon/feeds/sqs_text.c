/* The JSON of SQS, both ways. */
#include "daemon/conf/doc.h"
#include "daemon/conf/schema.h"
#include "daemon/feeds/sqs.h"
#include "transfer/store/errors.h"

#include <stdio.h>

/* ---- what is asked ---- */

const char *sqs_target(enum sqs_kind kind)
{
    static const char *const targets[] = {
        [SQS_RECEIVE] = "AmazonSQS.ReceiveMessage",
        [SQS_DELETE] = "AmazonSQS.DeleteMessageBatch",
        [SQS_HIDE] = "AmazonSQS.ChangeMessageVisibilityBatch",
        [SQS_COUNT] = "AmazonSQS.GetQueueAttributes",
    };
    return targets[kind];
}

static void write_entries(const struct sqs_op *op, struct buf *to)
{
    buf_str(to, ",\"Entries\":[");
    for (size_t i = 0; i < op->receipt_count; i++) {
        buf_printf(to, "%s{\"Id\":\"%zu\",\"ReceiptHandle\":", i > 0 ? "," : "", i);
        schema_quote(op->receipts[i], to);
        if (op->kind == SQS_HIDE) {
            buf_printf(to, ",\"VisibilityTimeout\":%u", op->hidden_s);
        }
        buf_char(to, '}');
    }
    buf_char(to, ']');
}

void sqs_write(const struct sqs_op *op, const char *url, struct buf *to)
{
    buf_str(to, "{\"QueueUrl\":");
    schema_quote(span_str(url), to);
    switch (op->kind) {
    case SQS_RECEIVE:
        buf_printf(to,
                   ",\"MaxNumberOfMessages\":%d,\"WaitTimeSeconds\":%u,\"VisibilityTimeout\":%u,"
                   "\"AttributeNames\":[\"SentTimestamp\"]",
                   SQS_BATCH_MAX, op->wait_s, op->hidden_s);
        break;
    case SQS_DELETE:
    case SQS_HIDE:
        write_entries(op, to);
        break;
    case SQS_COUNT:
        buf_str(to, ",\"AttributeNames\":[\"ApproximateNumberOfMessages\","
                    "\"ApproximateNumberOfMessagesNotVisible\","
                    "\"ApproximateNumberOfMessagesDelayed\"]");
        break;
    }
    buf_char(to, '}');
}

/* ---- what is answered ---- */

static struct span text_of(const struct doc *map, const char *name)
{
    const struct doc *member = doc_get(map, name);
    return member != NULL && member->kind == DOC_TEXT ? member->text : (struct span){0};
}

static uint64_t number_of(const struct doc *map, const char *name)
{
    unsigned long long n = 0;
    span_to_u64(text_of(map, name), &n);
    return n;
}

static int refuse(struct sqs_op *op, const char *what)
{
    return fail_set(&op->fail, REPL_EPROTO, "%s: the answer %s", sqs_target(op->kind), what);
}

static int read_messages(const struct doc *list, struct sqs_op *op)
{
    size_t count = list != NULL && list->kind == DOC_LIST ? list->count : 0;
    op->messages = arena_alloc(op->arena, (count + 1) * sizeof(*op->messages));
    for (size_t i = 0; i < count; i++) {
        const struct doc *from = &list->items[i];
        uint64_t sent_ms = number_of(doc_get(from, "Attributes"), "SentTimestamp");
        struct sqs_message m = {.id = text_of(from, "MessageId"),
                                .receipt = text_of(from, "ReceiptHandle"),
                                .body = text_of(from, "Body"),
                                .sent_ms = sent_ms <= INT64_MAX ? (int64_t)sent_ms : 0};
        if (m.receipt.len == 0) {
            return refuse(op, "has a message without ReceiptHandle");
        }
        op->messages[op->message_count++] = m;
    }
    return count <= SQS_BATCH_MAX ? 0 : refuse(op, "has more messages than were asked for");
}

static int read_counts(const struct doc *attributes, struct sqs_op *op)
{
    if (text_of(attributes, "ApproximateNumberOfMessages").len == 0) {
        return refuse(op, "has no number of messages");
    }
    op->waiting = number_of(attributes, "ApproximateNumberOfMessages");
    op->hidden = number_of(attributes, "ApproximateNumberOfMessagesNotVisible");
    op->delayed = number_of(attributes, "ApproximateNumberOfMessagesDelayed");
    return 0;
}

int sqs_read(struct span body, struct sqs_op *op)
{
    struct doc root;
    if (doc_from_json(body, op->arena, &root, &op->fail) != 0 || root.kind != DOC_MAP) {
        return refuse(op, "is no JSON object");
    }
    const struct doc *failed = doc_get(&root, "Failed");
    switch (op->kind) {
    case SQS_RECEIVE:
        return read_messages(doc_get(&root, "Messages"), op);
    case SQS_DELETE:
    case SQS_HIDE:
        op->refused = failed != NULL && failed->kind == DOC_LIST ? failed->count : 0;
        return 0;
    case SQS_COUNT:
        return read_counts(doc_get(&root, "Attributes"), op);
    }
    return 0;
}

/* ---- what is refused ---- */

static const struct {
    const char *code;
    int meaning;
    const char *hint;
} codes[] = {
    {"QueueDoesNotExist", REPL_ENOTFOUND, "create the queue, or mend its url"},
    {"OverLimit", REPL_ETHROTTLED, NULL},
    {"RequestThrottled", REPL_ETHROTTLED, NULL},
    {"AccessDeniedException", REPL_EDENIED,
     "the key needs sqs:ReceiveMessage, sqs:DeleteMessage, "
     "sqs:ChangeMessageVisibility, sqs:GetQueueAttributes"},
    {"InvalidClientTokenId", REPL_ECREDENTIALS, "the access key is unknown to AWS"},
    {"UnrecognizedClientException", REPL_ECREDENTIALS, "the access key is unknown to AWS"},
    {"ExpiredTokenException", REPL_ECREDENTIALS, "renew the queue's credentials"},
    {"InvalidSignatureException", REPL_EDENIED, "look at the secret key and the region"},
    {"KmsAccessDenied", REPL_EDENIED, "the key needs kms:Decrypt for the queue's key"},
};

static void explain(struct fail *f, int status, const struct span message)
{
    int code = errors_classify((unsigned)status, f->server_code);
    const char *hint = errors_hint(code, f->server_code);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(f->server_code, codes[i].code) == 0) {
            code = codes[i].meaning;
            hint = codes[i].hint;
        }
    }
    f->code = code;
    if (message.len > 0) {
        snprintf(f->text, sizeof(f->text), "SQS: %.*s", SPAN_ARG(message));
    } else {
        snprintf(f->text, sizeof(f->text), "SQS: HTTP %d %s", status, f->server_code);
    }
    if (hint != NULL) {
        fail_hint(f, "%s", hint);
    }
}

void sqs_read_failure(unsigned status, struct span body, struct sqs_op *op)
{
    struct doc root;
    struct fail ignored;
    struct span message = {0};
    fail_set(&op->fail, REPL_EPROTO, "SQS");
    op->fail.http_status = (int)status;
    if (doc_from_json(body, op->arena, &root, &ignored) == 0) {
        struct span type = text_of(&root, "__type"); /* "com.amazonaws.sqs#QueueDoesNotExist" */
        const char *hash = type.len > 0 ? strchr(type.ptr, '#') : NULL;
        snprintf(op->fail.server_code, sizeof(op->fail.server_code), "%s",
                 hash != NULL   ? hash + 1
                 : type.len > 0 ? type.ptr
                                : "");
        message = text_of(&root, "message");
        message = message.len > 0 ? message : text_of(&root, "Message");
    }
    explain(&op->fail, (int)status, message);
}
