/* map: an ordered map from byte strings to pointers (a skip list), in the order of S3 listings.
 * Owns its keys, not its values. Not thread-safe. */
#ifndef BUCKETD_MAP_H
#define BUCKETD_MAP_H

#include "daemon/base/span.h"

#define MAP_LEVELS 20

struct map_node {
    struct span key;
    void *value;
    struct map_node *next[];
};

struct map {
    struct map_node *head[MAP_LEVELS];
    size_t count;
};

/* A zeroed map is valid and empty. */
void map_done(struct map *map);
/* NULL when the key is not there. */
void *map_find(const struct map *map, struct span key);
/* Returns the value that stood there before, or NULL. */
void *map_put(struct map *map, struct span key, void *value);
void *map_remove(struct map *map, struct span key);
/* The first node with a key >= key (> key when `after`); NULL at the end. */
struct map_node *map_seek(const struct map *map, struct span key, bool after);
/* The first node behind all keys that begin with prefix (not empty, its last byte not 0xff). */
struct map_node *map_seek_past(const struct map *map, struct span prefix);
static inline struct map_node *map_next(const struct map_node *node)
{
    return node->next[0];
}

#endif
