/* hash: an intrusive hash map from byte strings to entries, for tables on the loop thread. */
#ifndef REPL_BASE_HASH_H
#define REPL_BASE_HASH_H

#include "daemon/base/list.h" /* CONTAINER_OF */
#include "daemon/base/span.h"

#include <stdint.h>

struct hash_entry {
    struct hash_entry *next;
    struct span key; /* owned by whoever embeds the entry, unchanged while it is in */
    uint64_t code;
};

struct hash {
    struct hash_entry **buckets;
    size_t bucket_count;
    size_t count;
    uint64_t seed;
};

void hash_init(struct hash *h, uint64_t seed);
void hash_done(struct hash *h);
/* The key must not be in yet. */
void hash_put(struct hash *h, struct hash_entry *entry, struct span key);
struct hash_entry *hash_find(const struct hash *h, struct span key);
void hash_remove(struct hash *h, struct hash_entry *entry);
/* Iterates in no order: hash_next(h, NULL) is the first; NULL at the end. The entry returned may
 * be removed before asking for the next only via the saved next pointer of the caller. */
struct hash_entry *hash_next(const struct hash *h, const struct hash_entry *entry);

uint64_t hash_bytes(struct span s, uint64_t seed);

#endif
