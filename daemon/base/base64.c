#include "daemon/base/base64.h"

#include "daemon/base/fail.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct span bytes, struct buf *to)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++) {
            group = group << 8 | (i + j < bytes.len ? (unsigned char)bytes.ptr[i + j] : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            bool padding = i + j > bytes.len;
            buf_char(to, padding ? '=' : alphabet[group >> (18 - 6 * j) & 63]);
        }
    }
}

static int decode_group(const char *four, bool last, struct buf *to)
{
    uint32_t group = 0;
    size_t padding = !last || four[3] != '=' ? 0 : four[2] != '=' ? 1 : 2;
    for (size_t j = 0; j < 4 - padding; j++) {
        const char *at = four[j] != '\0' ? strchr(alphabet, four[j]) : NULL;
        if (at == NULL) {
            return REPL_EBADINPUT;
        }
        group |= (uint32_t)(at - alphabet) << (18 - 6 * j);
    }
    for (size_t j = 0; j < 3 - padding; j++) {
        buf_char(to, (char)(group >> (16 - 8 * j) & 255));
    }
    return 0;
}

int base64_decode(struct span text, struct buf *to)
{
    if (text.len % 4 != 0) {
        return REPL_EBADINPUT;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        int r = decode_group(text.ptr + i, i + 4 == text.len, to);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}
