/* What the receiving server is made to check of a body, the cheapest that it is known to verify. */
#include "transfer/store/checksum.h"
#include "transfer/store/s3_impl.h"

#include <stdio.h>

/* Over plain HTTP the payload hash is always signed, and that is a check already. A digest that the
 * source vouches for goes end to end and costs nothing. */
enum store_check s3_effective_check(const struct s3_call *c)
{
    enum store_check check = c->s3->base.features.check;
    if (!c->s3->tls || check == STORE_CHECK_AUTO) {
        return STORE_CHECK_SHA256;
    }
    if (c->op->content_md5.len == 16 && !c->op->spoil_check) {
        return STORE_CHECK_MD5;
    }
    return check;
}

const char *s3_check_header(enum store_check check)
{
    switch (check) {
    case STORE_CHECK_CRC64NVME:
        return "x-amz-checksum-crc64nvme";
    case STORE_CHECK_CRC32C:
        return "x-amz-checksum-crc32c";
    default:
        return NULL;
    }
}

void s3_check_body(struct s3_call *c)
{
    struct span body = c->op->body;
    unsigned char md5[16];
    snprintf(c->payload, sizeof(c->payload), SIGN_UNSIGNED);
    switch (c->check) {
    case STORE_CHECK_CRC64NVME:
        checksum_base64_u64(checksum_crc64nvme(0, body) ^ c->op->spoil_check, c->check_value);
        break;
    case STORE_CHECK_CRC32C:
        checksum_base64_u32(checksum_crc32c(0, body) ^ c->op->spoil_check, c->check_value);
        break;
    case STORE_CHECK_MD5:
        if (c->op->content_md5.len == 16) {
            memcpy(md5, c->op->content_md5.ptr, 16);
        } else {
            checksum_md5(body, md5);
        }
        md5[0] ^= c->op->spoil_check;
        checksum_base64(md5, sizeof(md5), c->check_value);
        break;
    case STORE_CHECK_AUTO:
    case STORE_CHECK_SHA256:
        sign_sha256_hex(body, c->payload);
        if (c->op->spoil_check) {
            c->payload[0] = c->payload[0] == '0' ? '1' : '0';
        }
        break;
    }
    c->body_checked = true;
}

void s3_check_headers(struct s3_call *c)
{
    char md5[CHECKSUM_BASE64_MAX];
    const char *header = s3_check_header(c->check);
    if (header != NULL) {
        s3_header(c, header, span_str(c->check_value));
    } else if (c->check == STORE_CHECK_MD5) {
        s3_header(c, "content-md5", span_str(c->check_value));
    }
    if (c->check != STORE_CHECK_MD5 && c->op->content_md5.len == 16) {
        checksum_base64(c->op->content_md5.ptr, 16, md5);
        s3_header(c, "content-md5", arena_span(&c->arena, span_str(md5)));
    }
}
