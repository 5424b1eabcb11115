/* bag: a list of (name, value) texts in one piece of memory, in the order they came. Holds the
 * headers and the tags of objects. A zeroed bag is valid and empty. */
#ifndef BUCKETD_BAG_H
#define BUCKETD_BAG_H

#include "daemon/base/buf.h"

struct bag {
    struct buf bytes;
    unsigned count;
};

void bag_add(struct bag *bag, struct span name, struct span value);
/* Walks: *pos starts at 0; false at the end. Both texts are NUL-terminated. */
bool bag_next(const struct bag *bag, size_t *pos, const char **ret_name, const char **ret_value);
/* NULL when there is none of this name. */
const char *bag_find(const struct bag *bag, const char *name);
void bag_copy(struct bag *to, const struct bag *from);
void bag_done(struct bag *bag);

#endif
