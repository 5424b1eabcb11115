/* inventory: an S3 Inventory as it was fetched from its bucket: manifest.json, and beside it (or
 * below, by the last part of their keys) the CSV files that it names, compressed or not. Old
 * versions and delete markers are passed over. */
#ifndef REPL_CLI_INVENTORY_H
#define REPL_CLI_INVENTORY_H

#include "daemon/base/fail.h"
#include "daemon/base/span.h"

struct inventory_row { /* absent: the inventory does not have it */
    struct span key;   /* bytes, decoded */
    struct span version_id;
    struct span etag;
    struct span size;
};

/* Non-zero ends the reading and is handed through. */
typedef int inventory_row_fn(void *arg, const struct inventory_row *row);

/* 0, what the row function said, or REPL_EBADINPUT and errno values with *f; bucket: that the
 * inventory must be of. */
int inventory_read(const char *manifest, const char *bucket, inventory_row_fn *each, void *arg,
                   struct fail *f);

#endif
