#include "transfer/store/checksum.h"

#include <openssl/evp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- tables ----
 *
 * A CRC is linear: the entry of a byte is the exclusive or of the entries of its bits. So eight
 * numbers stand for a table of 256, and the compiler does the rest. Table k of CRC-64 is for a byte
 * with k more bytes behind it. */

#define ENTRY(i, a, b, c, d, e, f, g, h)                                                           \
    (((i)&1 ? a : 0) ^ ((i)&2 ? b : 0) ^ ((i)&4 ? c : 0) ^ ((i)&8 ? d : 0) ^ ((i)&16 ? e : 0) ^    \
     ((i)&32 ? f : 0) ^ ((i)&64 ? g : 0) ^ ((i)&128 ? h : 0))
#define FOUR(i, ...)                                                                               \
    ENTRY(i, __VA_ARGS__), ENTRY(i + 1, __VA_ARGS__), ENTRY(i + 2, __VA_ARGS__),                   \
        ENTRY(i + 3, __VA_ARGS__)
#define SIXTEEN(i, ...)                                                                            \
    FOUR(i, __VA_ARGS__), FOUR(i + 4, __VA_ARGS__), FOUR(i + 8, __VA_ARGS__),                      \
        FOUR(i + 12, __VA_ARGS__)
#define SIXTY_FOUR(i, ...)                                                                         \
    SIXTEEN(i, __VA_ARGS__), SIXTEEN(i + 16, __VA_ARGS__), SIXTEEN(i + 32, __VA_ARGS__),           \
        SIXTEEN(i + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
    SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), SIXTY_FOUR(128, __VA_ARGS__),         \
        SIXTY_FOUR(192, __VA_ARGS__)

static const uint32_t table32c[256] = {TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf,
                                             0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78)};

static const uint64_t table64[8][256] = {
    {TABLE(0x7f6ef0c830358979, 0xfedde190606b12f2, 0xc962e5739841b68f, 0xa61cecb46814fe75,
           0x78e0ff3b88be6f81, 0xf1c1fe77117cdf02, 0xd75adabd7a6e2d6f, 0x9a6c9329ac4bc9b5)},
    {TABLE(0x8776a97d73bddf69, 0x3a3474a9bfec2db9, 0x7468e9537fd85b72, 0xe8d1d2a6ffb0b6e4,
           0xe57a831ea7f6fea3, 0xfe2c206e177a6e2d, 0xc881668f76634f31, 0xa5dbeb4db4510d09)},
    {TABLE(0xff6e4e1f4e4038be, 0xca05ba6dc417e217, 0xa0d25288d0b85745, 0x757d8342f9e73de1,
           0xeafb0685f3ce7bc2, 0xe12f2b58bf0b64ef, 0xf68770e226815ab5, 0xd9d7c79715952601)},
    {TABLE(0x8211147cbaf96306, 0x30fb0eaa2d655567, 0x61f61d545acaaace, 0xc3ec3aa8b595559c,
           0xb301530233bd3853, 0x52db80573fede3cd, 0xa5b700ae7fdbc79a, 0x7fb7270fa7201c5f)},
    {TABLE(0x373d15f784905d1e, 0x6e7a2bef0920ba3c, 0xdcf457de12417478, 0x8d3189ef7c157b9b,
           0x2eba358da0bd645d, 0x5d746b1b417ac8ba, 0xbae8d63682f59174, 0x41088a3e5d7cb183)},
    {TABLE(0xe9742a79ef04a5d4, 0xe63172a0869ed8c3, 0xf8bbc31255aa22ed, 0xc5aea077f3c3d6b1,
           0xbf8466bcbf103e09, 0x4bd1eb2a26b7ef79, 0x97a3d6544d6fdef2, 0x1b9e8afbc2482e8f)},
    {TABLE(0xfc5d27f6bf353971, 0xcc6369be26fde189, 0xac1ff52f156c5079, 0x6ce6cc0d724f3399,
           0xd9cd981ae49e6732, 0x8742166691ab5d0f, 0x3a5d0a9e7bc12975, 0x74ba153cf78252ea)},
    {TABLE(0x21e9761e252621ac, 0x43d2ec3c4a4c4358, 0x87a5d878949886b0, 0x3b9296a271a69e0b,
           0x77252d44e34d3c16, 0xee4a5a89c69a782c, 0xe84d9340d5a36333, 0xe44200d2f3d1550d)},
};

/* ---- CRC-32C ---- */

static uint32_t crc32c_table(uint32_t crc, const unsigned char *at, size_t len)
{
    while (len-- > 0) {
        crc = table32c[(crc ^ *at++) & 0xff] ^ (crc >> 8);
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

static uint64_t crc64_table(uint64_t crc, const unsigned char *at, size_t len)
{
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t x = crc;
        for (unsigned i = 0; i < 8; i++) {
            x ^= (uint64_t)at[i] << (8 * i);
        }
        crc = 0;
        for (unsigned i = 0; i < 8; i++) {
            crc ^= table64[7 - i][(x >> (8 * i)) & 0xff];
        }
    }
    while (len-- > 0) {
        crc = table64[0][(crc ^ *at++) & 0xff] ^ (crc >> 8);
    }
    return crc;
}

#if defined(__x86_64__)
#define WITH_CLMUL __attribute__((target("pclmul")))
#define STRIDE     64

/* x^n modulo the polynomial, its bits reversed as those of the CRC are. A block of 128 bits that
 * lies D bits before another one counts there as its first half × x^(D+64) and its second × x^D; a
 * product of reversed numbers is one bit short, hence D + 63 and D - 1. */
#define X_127 0x21e9761e252621ac
#define X_191 0xeadc41fd2ba3d420
#define X_511 0x62242240ace5045a
#define X_575 0x0c32cdb31e18a84a

WITH_CLMUL static __m128i load(const unsigned char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

WITH_CLMUL static __m128i fold(__m128i block, __m128i by, __m128i onto)
{
    __m128i first = _mm_clmulepi64_si128(block, by, 0x00);
    __m128i second = _mm_clmulepi64_si128(block, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(first, second), onto);
}

/* Four blocks at a time, for the multiplier takes a few cycles; what is left of them, one block,
 * goes through the table with the rest. len: STRIDE or more. */
WITH_CLMUL static uint64_t crc64_fast(uint64_t crc, const unsigned char *at, size_t len)
{
    const __m128i by_four = _mm_set_epi64x((long long)X_511, (long long)X_575);
    const __m128i by_one = _mm_set_epi64x((long long)X_127, (long long)X_191);
    __m128i blocks[4];
    unsigned char left[16];
    for (size_t i = 0; i < 4; i++) {
        blocks[i] = load(at + 16 * i);
    }
    blocks[0] = _mm_xor_si128(blocks[0], _mm_set_epi64x(0, (long long)crc));
    for (at += STRIDE, len -= STRIDE; len >= STRIDE; at += STRIDE, len -= STRIDE) {
        for (size_t i = 0; i < 4; i++) {
            blocks[i] = fold(blocks[i], by_four, load(at + 16 * i));
        }
    }
    for (size_t i = 1; i < 4; i++) {
        blocks[i] = fold(blocks[i - 1], by_one, blocks[i]);
    }
    _mm_storeu_si128((__m128i *)(void *)left, blocks[3]);
    return crc64_table(crc64_table(0, left, sizeof(left)), at, len);
}

bool checksum_has_fast_crc64nvme(void)
{
    return __builtin_cpu_supports("pclmul");
}
#else
#define STRIDE SIZE_MAX

static uint64_t crc64_fast(uint64_t crc, const unsigned char *at, size_t len)
{
    return crc64_table(crc, at, len);
}

bool checksum_has_fast_crc64nvme(void)
{
    return false;
}
#endif

uint64_t checksum_crc64nvme(uint64_t crc, struct span data)
{
    const unsigned char *at = (const unsigned char *)data.ptr;
    return checksum_has_fast_crc64nvme() && data.len >= STRIDE ? ~crc64_fast(~crc, at, data.len)
                                                               : ~crc64_table(~crc, at, data.len);
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
