/* body: the bytes of an object or a part, counted by reference, so that answers are sent from them
 * without a copy. Thread-safe once filled. A body in a file is a mapping of it; the file goes with
 * the last reference unless somebody said keep. */
#ifndef BUCKETD_BODY_H
#define BUCKETD_BODY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct body {
    atomic_uint refs;
    char *data;
    size_t size;
    char *path; /* NULL: only in memory */
    bool mapped;
    atomic_bool keep;
};

struct body *body_new(size_t size);
/* Makes a file of this size; NULL when the disk is full. */
struct body *body_create_file(const char *path, size_t size);
/* Opens a file that is kept; NULL when it is not there or has another size. */
struct body *body_open_file(const char *path, size_t size);
/* size bytes that repeat one block of pattern; takes no memory beyond the block. */
struct body *body_new_pattern(size_t size);
struct body *body_ref(struct body *body);
void body_unref(struct body *body); /* NULL is fine */

#endif
