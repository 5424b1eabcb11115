#include "tests/bucketd/chunked.h"

#include "tests/bucketd/auth.h"
#include "tests/bucketd/uri.h"

#define MAX_LINE  4096
#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum chunked_state { CHUNK_HEAD, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE };

struct chunked {
    struct request *req;
    chunked_data_fn on_data;
    void *arg;
    enum chunked_state state;
    bool is_signed;
    bool has_trailer;
    uint64_t left; /* of the chunk */
    bool is_last;
    struct buf line;
    char previous[65];       /* signature that the next one continues */
    struct span signature;   /* of the chunk */
    struct checksum_run sha; /* of the chunk */
    struct buf trailer;      /* "name:value\n" */
    enum checksum_alg alg;
    struct span alg_value;
    bool is_trailer_signed;
};

struct chunked *chunked_new(struct request *req, chunked_data_fn on_data, void *arg)
{
    struct span kind = req->auth.payload;
    if (!span_starts_with(kind, span_str("STREAMING-"))) {
        return NULL;
    }
    struct chunked *c = MEM_NEW(struct chunked);
    c->req = req;
    c->on_data = on_data;
    c->arg = arg;
    c->is_signed = span_starts_with(kind, span_str("STREAMING-AWS4"));
    c->has_trailer = span_ends_with(kind, span_str("-TRAILER"));
    size_t len = req->auth.signature.len < 64 ? req->auth.signature.len : 64;
    memcpy(c->previous, req->auth.signature.ptr, len);
    return c;
}

void chunked_free(struct chunked *c)
{
    if (c != NULL) {
        checksum_abort(&c->sha);
        buf_done(&c->line);
        buf_done(&c->trailer);
        mem_free(c);
    }
}

static bool check_link(struct chunked *c, const char *kind, const char *tail, struct span signature)
{
    unsigned char mac[32];
    const struct auth *auth = &c->req->auth;
    struct span text =
        span_str(arena_printf(&c->req->arena, "%s\n%.*s\n%.*s\n%s\n%s", kind,
                              SPAN_ARG(auth->timestamp), SPAN_ARG(auth->scope), c->previous, tail));
    auth_hmac(auth->key, sizeof(auth->key), text, mac);
    if (!auth_is_mac(mac, signature)) {
        return false;
    }
    memcpy(c->previous, signature.ptr, 64);
    return true;
}

static enum s3_error end_chunk(struct chunked *c)
{
    if (!c->is_signed) {
        return S3_OK;
    }
    unsigned char digest[32];
    struct buf tail = {0};
    checksum_finish(&c->sha, digest);
    buf_str(&tail, EMPTY_SHA "\n");
    buf_hex(&tail, digest, sizeof(digest));
    bool is_good = check_link(c, "AWS4-HMAC-SHA256-PAYLOAD", buf_cstr(&tail), c->signature);
    buf_done(&tail);
    return is_good ? S3_OK : S3_SignatureDoesNotMatch;
}

/* "1a2b;chunk-signature=..." */
static enum s3_error begin_chunk(struct chunked *c, struct span line)
{
    struct span size = span_cut(&line, ';');
    c->left = 0;
    if (size.len == 0 || size.len > 12) {
        return S3_IncompleteBody;
    }
    for (size_t i = 0; i < size.len; i++) {
        int digit = uri_hex_digit(size.ptr[i]);
        if (digit < 0) {
            return S3_IncompleteBody;
        }
        c->left = c->left * 16 + (unsigned)digit;
    }
    if (c->is_signed) {
        struct span prefix = span_str("chunk-signature=");
        if (!span_starts_with(line, prefix)) {
            return S3_SignatureDoesNotMatch;
        }
        c->signature = arena_span(&c->req->arena, span_skip(line, prefix.len));
        checksum_start(&c->sha, c->req->server->checksums, CHECKSUM_SHA256);
    }
    if (c->left > 0) {
        c->state = CHUNK_DATA;
        return S3_OK;
    }
    c->state = CHUNK_TRAILER;
    return end_chunk(c);
}

static enum s3_error read_trailer(struct chunked *c, struct span line)
{
    struct span value = line;
    struct span name = span_cut(&value, ':');
    value = span_trim(value);
    if (span_eq_str(name, "x-amz-trailer-signature")) {
        char hash[65];
        auth_sha256_hex(c->req, buf_view(&c->trailer), hash);
        c->is_trailer_signed = check_link(c, "AWS4-HMAC-SHA256-TRAILER", hash, value);
        return c->is_trailer_signed ? S3_OK : S3_SignatureDoesNotMatch;
    }
    if (!c->has_trailer) {
        return S3_IncompleteBody;
    }
    buf_printf(&c->trailer, "%.*s:%.*s\n", SPAN_ARG(name), SPAN_ARG(value));
    enum checksum_alg alg = checksum_by_header(name);
    if (alg != CHECKSUM_NONE) {
        c->alg = alg;
        c->alg_value = arena_span(&c->req->arena, value);
    }
    return S3_OK;
}

static enum s3_error end_trailer(struct chunked *c)
{
    c->state = CHUNK_DONE;
    bool is_unsigned = c->is_signed && c->has_trailer && !c->is_trailer_signed;
    return is_unsigned ? S3_SignatureDoesNotMatch : S3_OK;
}

static enum s3_error read_line(struct chunked *c, struct span line)
{
    switch (c->state) {
    case CHUNK_HEAD:
        return begin_chunk(c, line);
    case CHUNK_DATA_END:
        c->state = CHUNK_HEAD;
        return line.len == 0 ? S3_OK : S3_IncompleteBody;
    case CHUNK_TRAILER:
        return line.len == 0 ? end_trailer(c) : read_trailer(c, line);
    case CHUNK_DATA:
    case CHUNK_DONE:
        break;
    }
    return S3_IncompleteBody;
}

/* Takes up to the end of a line; returns how much it took. */
static size_t feed_line(struct chunked *c, const char *data, size_t len, enum s3_error *error)
{
    const char *end = memchr(data, '\n', len);
    size_t used = end != NULL ? (size_t)(end - data) + 1 : len;
    buf_append(&c->line, data, used);
    if (c->line.len > MAX_LINE) {
        *error = S3_IncompleteBody;
    } else if (end != NULL) {
        struct span line = buf_view(&c->line);
        line.len -= line.len >= 2 && line.ptr[line.len - 2] == '\r' ? 2 : 1;
        *error = read_line(c, line);
        buf_reset(&c->line);
    }
    return used;
}

static size_t feed_data(struct chunked *c, const char *data, size_t len, enum s3_error *error)
{
    size_t used = len < c->left ? len : (size_t)c->left;
    if (c->is_signed) {
        checksum_update(&c->sha, data, used);
    }
    c->on_data(c->arg, data, used);
    c->left -= used;
    if (c->left == 0) {
        c->state = CHUNK_DATA_END;
        *error = end_chunk(c);
    }
    return used;
}

enum s3_error chunked_feed(struct chunked *c, const char *data, size_t len)
{
    enum s3_error error = S3_OK;
    while (len > 0 && error == S3_OK) {
        if (c->state == CHUNK_DONE) {
            return S3_IncompleteBody;
        }
        size_t used = c->state == CHUNK_DATA ? feed_data(c, data, len, &error)
                                             : feed_line(c, data, len, &error);
        data += used;
        len -= used;
    }
    return error;
}

enum s3_error chunked_end(const struct chunked *c)
{
    return c->state == CHUNK_DONE ? S3_OK : S3_IncompleteBody;
}

struct span chunked_trailer(const struct chunked *c, enum checksum_alg *ret_alg)
{
    *ret_alg = c->alg;
    return c->alg_value;
}
