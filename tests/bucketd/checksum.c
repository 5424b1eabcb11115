#include "tests/bucketd/checksum.h"

#include "daemon/base/mem.h"

#include <stdlib.h>

#define CRC_COUNT 3

struct checksum_env {
    uint64_t tables[CRC_COUNT][8][256];
    EVP_MD *md[CHECKSUM_COUNT];
};

struct algorithm {
    const char *name;
    const char *header;
    const char *element;
    size_t size;
    uint64_t poly; /* reflected */
    const char *md;
};

static const struct algorithm algorithms[CHECKSUM_COUNT] = {
    [CHECKSUM_NONE] = {"", "", "", 0, 0, NULL},
    [CHECKSUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4, 0xEDB88320U, NULL},
    [CHECKSUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4, 0x82F63B78U, NULL},
    [CHECKSUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8,
                            0x9A6C9329AC4BC9B5U, NULL},
    [CHECKSUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20, 0, "SHA1"},
    [CHECKSUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32, 0, "SHA256"},
    [CHECKSUM_MD5] = {"", "", "", 16, 0, "MD5"},
};

static void fill_tables(uint64_t tables[8][256], uint64_t poly)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? (crc >> 1) ^ poly : crc >> 1;
        }
        tables[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            uint64_t below = tables[k - 1][i];
            tables[k][i] = tables[0][below & 255] ^ (below >> 8);
        }
    }
}

struct checksum_env *checksum_env_new(void)
{
    struct checksum_env *env = MEM_NEW(struct checksum_env);
    for (int alg = 1; alg < CHECKSUM_COUNT; alg++) {
        if (algorithms[alg].md != NULL) {
            env->md[alg] = EVP_MD_fetch(NULL, algorithms[alg].md, NULL);
            if (env->md[alg] == NULL) {
                abort();
            }
        } else {
            fill_tables(env->tables[alg - CHECKSUM_CRC32], algorithms[alg].poly);
        }
    }
    return env;
}

void checksum_env_free(struct checksum_env *env)
{
    for (int alg = 0; alg < CHECKSUM_COUNT; alg++) {
        EVP_MD_free(env->md[alg]);
    }
    mem_free(env);
}

const char *checksum_name(enum checksum_alg alg)
{
    return algorithms[alg].name;
}

const char *checksum_header(enum checksum_alg alg)
{
    return algorithms[alg].header;
}

const char *checksum_element(enum checksum_alg alg)
{
    return algorithms[alg].element;
}

size_t checksum_size(enum checksum_alg alg)
{
    return algorithms[alg].size;
}

enum checksum_alg checksum_by_name(struct span name)
{
    for (enum checksum_alg alg = CHECKSUM_CRC32; alg <= CHECKSUM_SHA256; alg++) {
        if (span_eq_nocase(name, algorithms[alg].name)) {
            return alg;
        }
    }
    return CHECKSUM_NONE;
}

enum checksum_alg checksum_by_header(struct span header)
{
    for (enum checksum_alg alg = CHECKSUM_CRC32; alg <= CHECKSUM_SHA256; alg++) {
        if (span_eq_nocase(header, algorithms[alg].header)) {
            return alg;
        }
    }
    return CHECKSUM_NONE;
}

void checksum_start(struct checksum_run *run, const struct checksum_env *env, enum checksum_alg alg)
{
    *run = (struct checksum_run){.env = env, .alg = alg, .crc = UINT64_MAX};
    if (checksum_is_crc(alg)) {
        run->crc = algorithms[alg].size == 4 ? UINT32_MAX : UINT64_MAX;
        return;
    }
    run->ctx = EVP_MD_CTX_new();
    if (run->ctx == NULL || EVP_DigestInit_ex2(run->ctx, env->md[alg], NULL) != 1) {
        abort();
    }
}

static uint64_t crc_bytes(const uint64_t tables[8][256], uint64_t crc, const unsigned char *p,
                          size_t len)
{
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        x = le64toh(x) ^ crc;
        crc = tables[7][x & 255] ^ tables[6][(x >> 8) & 255] ^ tables[5][(x >> 16) & 255] ^
              tables[4][(x >> 24) & 255] ^ tables[3][(x >> 32) & 255] ^ tables[2][(x >> 40) & 255] ^
              tables[1][(x >> 48) & 255] ^ tables[0][x >> 56];
    }
    for (; len > 0; len--, p++) {
        crc = tables[0][(crc ^ *p) & 255] ^ (crc >> 8);
    }
    return crc;
}

void checksum_update(struct checksum_run *run, const void *data, size_t len)
{
    if (run->ctx != NULL) {
        EVP_DigestUpdate(run->ctx, data, len);
    } else if (checksum_is_crc(run->alg)) {
        run->crc = crc_bytes(run->env->tables[run->alg - CHECKSUM_CRC32], run->crc, data, len);
    }
}

static void put_number(unsigned char *out, uint64_t number, size_t size)
{
    for (size_t i = size; i-- > 0; number >>= 8) {
        out[i] = (unsigned char)number;
    }
}

static uint64_t get_number(const unsigned char *in, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        number = number << 8 | in[i];
    }
    return number;
}

void checksum_finish(struct checksum_run *run, unsigned char *ret_digest)
{
    if (run->ctx != NULL) {
        EVP_DigestFinal_ex(run->ctx, ret_digest, NULL);
    } else {
        put_number(ret_digest, ~run->crc, checksum_size(run->alg));
    }
    checksum_abort(run);
}

void checksum_abort(struct checksum_run *run)
{
    EVP_MD_CTX_free(run->ctx);
    *run = (struct checksum_run){0};
}

void checksum_once(const struct checksum_env *env, enum checksum_alg alg, struct span data,
                   unsigned char *ret_digest)
{
    struct checksum_run run;
    checksum_start(&run, env, alg);
    checksum_update(&run, data.ptr, data.len);
    checksum_finish(&run, ret_digest);
}

/* a * b modulo the polynomial, both reflected: the highest bit is x^0. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t poly, uint64_t one)
{
    uint64_t product = 0;
    for (uint64_t bit = one; bit != 0; bit >>= 1) {
        if (a & bit) {
            product ^= b;
        }
        b = b & 1 ? (b >> 1) ^ poly : b >> 1;
    }
    return product;
}

void checksum_combine(enum checksum_alg alg, unsigned char *a, const unsigned char *b,
                      uint64_t b_size)
{
    uint64_t poly = algorithms[alg].poly;
    size_t size = algorithms[alg].size;
    uint64_t one = (uint64_t)1 << (size * 8 - 1);
    uint64_t shift = one, power = one >> 8; /* x^0, x^8 */
    for (; b_size > 0; b_size >>= 1) {
        if (b_size & 1) {
            shift = multiply(shift, power, poly, one);
        }
        power = multiply(power, power, poly, one);
    }
    uint64_t crc = multiply(shift, get_number(a, size), poly, one) ^ get_number(b, size);
    put_number(a, crc, size);
}

void checksum_base64(char *out, const unsigned char *data, size_t len)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)len);
}

bool checksum_from_base64(struct span text, unsigned char *ret_data, size_t len)
{
    unsigned char data[CHECKSUM_MAX_BYTES + 3];
    char again[CHECKSUM_TEXT_MAX];
    if (text.len != (len + 2) / 3 * 4 || len > CHECKSUM_MAX_BYTES) {
        return false;
    }
    if (EVP_DecodeBlock(data, (const unsigned char *)text.ptr, (int)text.len) < (int)len) {
        return false;
    }
    checksum_base64(again, data, len);
    memcpy(ret_data, data, len);
    return span_eq_str(text, again);
}
