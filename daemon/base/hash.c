#include "daemon/base/hash.h"

#include "daemon/base/mem.h"

#define HASH_FIRST_SIZE 16

/* FNV-1a with a seed and a final mix: keys come from the outside, tables are small. */
uint64_t hash_bytes(struct span s, uint64_t seed)
{
    uint64_t code = seed ^ 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < s.len; i++) {
        code = (code ^ (unsigned char)s.ptr[i]) * 0x100000001b3ULL;
    }
    code ^= code >> 32;
    code *= 0x9e3779b97f4a7c15ULL;
    return code ^ (code >> 29);
}

void hash_init(struct hash *h, uint64_t seed)
{
    *h = (struct hash){.seed = seed};
}

void hash_done(struct hash *h)
{
    mem_free(h->buckets);
    *h = (struct hash){.seed = h->seed};
}

static struct hash_entry **bucket_of(const struct hash *h, uint64_t code)
{
    return &h->buckets[code & (h->bucket_count - 1)];
}

static void grow(struct hash *h)
{
    struct hash old = *h;
    h->bucket_count = old.bucket_count > 0 ? old.bucket_count * 2 : HASH_FIRST_SIZE;
    h->buckets = mem_array(h->bucket_count, sizeof(*h->buckets));
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct hash_entry *entry = old.buckets[i];
        while (entry != NULL) {
            struct hash_entry *next = entry->next;
            struct hash_entry **bucket = bucket_of(h, entry->code);
            entry->next = *bucket;
            *bucket = entry;
            entry = next;
        }
    }
    mem_free(old.buckets);
}

void hash_put(struct hash *h, struct hash_entry *entry, struct span key)
{
    if (h->count >= h->bucket_count) {
        grow(h);
    }
    entry->key = key;
    entry->code = hash_bytes(key, h->seed);
    struct hash_entry **bucket = bucket_of(h, entry->code);
    entry->next = *bucket;
    *bucket = entry;
    h->count++;
}

struct hash_entry *hash_find(const struct hash *h, struct span key)
{
    if (h->count == 0) {
        return NULL;
    }
    uint64_t code = hash_bytes(key, h->seed);
    struct hash_entry *entry = *bucket_of(h, code);
    while (entry != NULL && (entry->code != code || !span_eq(entry->key, key))) {
        entry = entry->next;
    }
    return entry;
}

void hash_remove(struct hash *h, struct hash_entry *entry)
{
    struct hash_entry **at = bucket_of(h, entry->code);
    while (*at != entry) {
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    h->count--;
}

struct hash_entry *hash_next(const struct hash *h, const struct hash_entry *entry)
{
    size_t i = 0;
    if (h->bucket_count == 0) {
        return NULL;
    }
    if (entry != NULL) {
        if (entry->next != NULL) {
            return entry->next;
        }
        i = (entry->code & (h->bucket_count - 1)) + 1;
    }
    while (i < h->bucket_count && h->buckets[i] == NULL) {
        i++;
    }
    return i < h->bucket_count ? h->buckets[i] : NULL;
}
