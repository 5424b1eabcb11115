/* checksum: digests that object stores know. CRC-32C uses the processor's instruction where it has
 * one, CRC-64/NVME its carry-less multiplication; else both go by tables. Any thread. */
#ifndef REPL_STORE_CHECKSUM_H
#define REPL_STORE_CHECKSUM_H

#include "daemon/base/span.h"

#include <stdint.h>

/* crc is the value so far, 0 at the start. */
uint32_t checksum_crc32c(uint32_t crc, struct span data);
uint64_t checksum_crc64nvme(uint64_t crc, struct span data);
/* Whether the processor has an instruction for it. */
bool checksum_has_fast_crc32c(void);
bool checksum_has_fast_crc64nvme(void);
void checksum_md5(struct span data, unsigned char to[16]);

#define CHECKSUM_BASE64_MAX 48 /* of up to 32 bytes, with NUL */
void checksum_base64(const void *data, size_t len, char *to);
/* Base64 of the big-endian value, as x-amz-checksum-* carries it. */
void checksum_base64_u32(uint32_t crc, char *to);
void checksum_base64_u64(uint64_t crc, char *to);

#endif
