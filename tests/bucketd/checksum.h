/* checksum: the digests of payloads: MD5 and SHA by OpenSSL, CRCs by tables of eight bytes a step.
 * The tables and the fetched algorithms hang on one struct made at start; it is read-only then. */
#ifndef BUCKETD_CHECKSUM_H
#define BUCKETD_CHECKSUM_H

#include "daemon/base/span.h"

#include <openssl/evp.h>
#include <stdint.h>

enum checksum_alg {
    CHECKSUM_NONE,
    CHECKSUM_CRC32,
    CHECKSUM_CRC32C,
    CHECKSUM_CRC64NVME,
    CHECKSUM_SHA1,
    CHECKSUM_SHA256,
    CHECKSUM_MD5, /* not one of x-amz-checksum-*: serves Content-MD5 and ETags */
    CHECKSUM_COUNT,
};

#define CHECKSUM_MAX_BYTES 32
#define CHECKSUM_TEXT_MAX  56 /* base64 of 32 bytes, "-10000" and the NUL */

struct checksum_env;

struct checksum_env *checksum_env_new(void);
void checksum_env_free(struct checksum_env *env);

/* "CRC32C"; and "x-amz-checksum-crc32c". */
const char *checksum_name(enum checksum_alg alg);
const char *checksum_header(enum checksum_alg alg);
/* The element of XML answers: "ChecksumCRC32C". */
const char *checksum_element(enum checksum_alg alg);
/* By name or header, any case; CHECKSUM_NONE when unknown. */
enum checksum_alg checksum_by_name(struct span name);
enum checksum_alg checksum_by_header(struct span header);
size_t checksum_size(enum checksum_alg alg);
static inline bool checksum_is_crc(enum checksum_alg alg)
{
    return alg >= CHECKSUM_CRC32 && alg <= CHECKSUM_CRC64NVME;
}

struct checksum_run {
    const struct checksum_env *env;
    enum checksum_alg alg;
    uint64_t crc;
    EVP_MD_CTX *ctx;
};

void checksum_start(struct checksum_run *run, const struct checksum_env *env,
                    enum checksum_alg alg);
void checksum_update(struct checksum_run *run, const void *data, size_t len);
/* Writes checksum_size() bytes, big-endian, and releases the run. */
void checksum_finish(struct checksum_run *run, unsigned char *ret_digest);
void checksum_abort(struct checksum_run *run); /* also after finish, or never started */
void checksum_once(const struct checksum_env *env, enum checksum_alg alg, struct span data,
                   unsigned char *ret_digest);

/* The CRC of A followed by B, from both CRCs (digest bytes) and the length of B. */
void checksum_combine(enum checksum_alg alg, unsigned char *a, const unsigned char *b,
                      uint64_t b_size);

/* out needs 4 * ((len + 2) / 3) + 1 bytes. */
void checksum_base64(char *out, const unsigned char *data, size_t len);
/* True when text is the base64 of exactly len bytes. */
bool checksum_from_base64(struct span text, unsigned char *ret_data, size_t len);

#endif
