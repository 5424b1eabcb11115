#include "transfer/store/checksum.h"

#include <openssl/evp.h>
#include <pthread.h>

#define CRC32C_POLY    0x82f63b78u
#define CRC64NVME_POLY 0x9a6c9329ac4bc9b5u

/* ---- tables, made once ---- */

struct tables {
    uint32_t crc32c[256];
    uint64_t crc64[8][256];
};

static void fill(struct tables *t)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t a = i;
        uint64_t b = i;
        for (int k = 0; k < 8; k++) {
            a = a & 1 ? (a >> 1) ^ CRC32C_POLY : a >> 1;
            b = b & 1 ? (b >> 1) ^ CRC64NVME_POLY : b >> 1;
        }
        t->crc32c[i] = a;
        t->crc64[0][i] = b;
    }
    for (unsigned i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            uint64_t b = t->crc64[k - 1][i];
            t->crc64[k][i] = (b >> 8) ^ t->crc64[0][b & 0xff];
        }
    }
}

static struct {
    pthread_once_t once;
    struct tables tables;
} made = {.once = PTHREAD_ONCE_INIT}; /* constant after its first use */

static void make(void)
{
    fill(&made.tables);
}

static const struct tables *tables(void)
{
    pthread_once(&made.once, make);
    return &made.tables;
}

/* ---- CRC-32C ---- */

static uint32_t crc32c_table(uint32_t crc, const unsigned char *at, size_t len)
{
    const struct tables *t = tables();
    while (len-- > 0) {
        crc = t->crc32c[(crc ^ *at++) & 0xff] ^ (crc >> 8);
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_fast(uint32_t crc, const unsigned char *at,
                                                              size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len > 0; at++, len--) {
        crc = __builtin_ia32_crc32qi(crc, *at);
    }
    return crc;
}

bool checksum_has_fast_crc32c(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc32c_fast(uint32_t crc, const unsigned char *at, size_t len)
{
    return crc32c_table(crc, at, len);
}

bool checksum_has_fast_crc32c(void)
{
    return false;
}
#endif

uint32_t checksum_crc32c(uint32_t crc, struct span data)
{
    const unsigned char *at = (const unsigned char *)data.ptr;
    return checksum_has_fast_crc32c() ? ~crc32c_fast(~crc, at, data.len)
                                      : ~crc32c_table(~crc, at, data.len);
}

/* ---- CRC-64/NVME ---- */

uint64_t checksum_crc64nvme(uint64_t crc, struct span data)
{
    const struct tables *t = tables();
    const unsigned char *at = (const unsigned char *)data.ptr;
    size_t len = data.len;
    crc = ~crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t x = crc;
        for (unsigned i = 0; i < 8; i++) {
            x ^= (uint64_t)at[i] << (8 * i);
        }
        crc = 0;
        for (unsigned i = 0; i < 8; i++) {
            crc ^= t->crc64[7 - i][(x >> (8 * i)) & 0xff];
        }
    }
    while (len-- > 0) {
        crc = t->crc64[0][(crc ^ *at++) & 0xff] ^ (crc >> 8);
    }
    return ~crc;
}

/* ---- the rest ---- */

void checksum_md5(struct span data, unsigned char to[16])
{
    unsigned len = 16;
    EVP_Digest(data.ptr != NULL ? data.ptr : "", data.len, to, &len, EVP_md5(), NULL);
}

void checksum_base64(const void *data, size_t len, char *to)
{
    EVP_EncodeBlock((unsigned char *)to, data, (int)len);
}

void checksum_base64_u32(uint32_t crc, char *to)
{
    uint32_t big = __builtin_bswap32(crc);
    checksum_base64(&big, sizeof(big), to);
}

void checksum_base64_u64(uint64_t crc, char *to)
{
    uint64_t big = __builtin_bswap64(crc);
    checksum_base64(&big, sizeof(big), to);
}
