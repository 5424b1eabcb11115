#include "tests/bucketd/map.h"

#include "daemon/base/hash.h"
#include "daemon/base/mem.h"

/* Every level holds about a quarter of the keys of the level below. */
static size_t level_count(struct span key)
{
    uint64_t code = hash_bytes(key, 0x6275636b65746400U);
    size_t levels = 1;
    while (levels < MAP_LEVELS && (code & 3) == 0) {
        levels++;
        code >>= 2;
    }
    return levels;
}

/* Fills links[] with the pointers that lead to the first node not before the key. */
static struct map_node *descend(const struct map *map, struct span key, bool after,
                                struct map_node ***links)
{
    struct map_node *const *row = map->head;
    for (size_t level = MAP_LEVELS; level-- > 0;) {
        while (row[level] != NULL) {
            int order = span_cmp(row[level]->key, key);
            if (order > 0 || (order == 0 && !after)) {
                break;
            }
            row = row[level]->next;
        }
        if (links != NULL) {
            links[level] = (struct map_node **)(uintptr_t)&row[level];
        }
    }
    return row[0];
}

void map_done(struct map *map)
{
    struct map_node *next;
    for (struct map_node *node = map->head[0]; node != NULL; node = next) {
        next = node->next[0];
        mem_free(node);
    }
    *map = (struct map){0};
}

void *map_find(const struct map *map, struct span key)
{
    struct map_node *node = descend(map, key, false, NULL);
    return node != NULL && span_eq(node->key, key) ? node->value : NULL;
}

void *map_put(struct map *map, struct span key, void *value)
{
    struct map_node **links[MAP_LEVELS];
    struct map_node *node = descend(map, key, false, links);
    if (node != NULL && span_eq(node->key, key)) {
        void *old = node->value;
        node->value = value;
        return old;
    }
    size_t levels = level_count(key);
    size_t head = sizeof(*node) + levels * sizeof(struct map_node *);
    node = mem_alloc(head + key.len + 1);
    char *copy = (char *)node + head;
    if (key.len > 0) {
        memcpy(copy, key.ptr, key.len);
    }
    node->key = span_of(copy, key.len);
    node->value = value;
    for (size_t level = 0; level < levels; level++) {
        node->next[level] = *links[level];
        *links[level] = node;
    }
    map->count++;
    return NULL;
}

void *map_remove(struct map *map, struct span key)
{
    struct map_node **links[MAP_LEVELS];
    struct map_node *node = descend(map, key, false, links);
    if (node == NULL || !span_eq(node->key, key)) {
        return NULL;
    }
    for (size_t level = level_count(key); level-- > 0;) {
        *links[level] = node->next[level];
    }
    void *value = node->value;
    mem_free(node);
    map->count--;
    return value;
}

struct map_node *map_seek(const struct map *map, struct span key, bool after)
{
    return descend(map, key, after, NULL);
}

struct map_node *map_seek_past(const struct map *map, struct span prefix)
{
    char *next = mem_dup_span(prefix);
    next[prefix.len - 1] = (char)((unsigned char)next[prefix.len - 1] + 1);
    struct map_node *node = map_seek(map, span_of(next, prefix.len), false);
    mem_free(next);
    return node;
}
