/* fake_impl: what the files of the fake store share: buckets and versions (fake_objects.c), what
 * operations do (fake_answers.c, fake_uploads.c), operations in flight and faults (fake_store.c).
 */
#ifndef REPL_TEST_FAKE_IMPL_H
#define REPL_TEST_FAKE_IMPL_H

#include "daemon/base/hash.h"
#include "tests/unit/support/fake_store.h"

struct version {
    struct list link; /* newest first */
    struct arena arena;
    struct span body;
    struct span etag;
    struct span id;
    int64_t mtime_ms;
    struct store_meta meta;
    unsigned parts;
    bool is_marker; /* delete marker */
};

struct object {
    struct list link; /* in the order of keys */
    struct hash_entry entry;
    struct span key;
    struct list versions;
};

struct bucket {
    struct list link;
    char *name;
    struct list objects;
    struct hash by_key;
};

struct part {
    struct list link;
    uint32_t number;
    struct span body;
    char etag[33];
};

struct upload {
    struct list link;
    struct arena arena;
    struct bucket *bucket;
    struct span key;
    struct span id;
    int64_t initiated_ms;
    struct store_meta meta;
    struct list parts;
};

struct fault {
    struct list link;
    struct fake_fault f;
    unsigned seen;
    unsigned hit;
};

struct job { /* an operation in flight */
    struct list link;
    struct fake *fake;
    struct store_op *op;
    struct timer timer;
    struct fault *fault;
    uint64_t begun_ms;
    bool is_cancelled;
};

struct fake {
    struct store store;
    struct fake_options o;
    unsigned slots;
    struct list buckets;
    struct list uploads;
    struct list faults;
    struct list jobs;
    unsigned in_flight;
    unsigned of_class[STORE_CLASSES]; /* of those */
    unsigned most_in_flight;
    uint64_t outage_from_ms, outage_to_ms;
    bool denied;
    size_t cut; /* listings end behind so many keys; 0 = do not */
    size_t page;
    bool unordered;
    fake_hook_fn *hook;
    void *hook_arg;
    uint64_t next_id;
    unsigned counts[FAKE_KINDS];
    uint64_t body_bytes;
    struct buf violations;
    void (*closed)(void *arg);
    void *closed_arg;
    struct deferred close_later;
};

void fake_md5_hex(struct span s, char to[33]);
void fake_md5_raw(struct span s, char to[16]);
struct bucket *fake_bucket_find(const struct fake *f, struct span name);
struct bucket *fake_bucket_get(struct fake *f, const char *name);
void fake_bucket_free(struct bucket *b);
struct object *fake_object_find(const struct bucket *b, struct span key);
void fake_version_free(struct version *v);
struct version *fake_version_latest(const struct bucket *b, struct span key);
struct version *fake_version_find(const struct bucket *b, struct span key, struct span id);
struct span fake_dup(struct arena *a, struct span s);
const struct store_pair *fake_copy_pairs(struct arena *a, const struct store_pair *in, size_t n);
struct store_meta fake_copy_meta(struct arena *a, const struct store_meta *in);
struct version *fake_version_put(struct fake *f, struct bucket *b, struct span key,
                                 struct span body, const struct store_meta *meta);
void fake_remove_latest(struct fake *f, struct bucket *b, struct span key);
void fake_describe(struct fake *f, struct store_op *op, const struct version *v);
void fake_describe_all(struct fake *f, struct store_op *op, const struct version *v);
void fake_refuse(struct store_op *op, int code, int status, const char *server_code);
struct version *fake_read_version(struct fake *f, struct bucket *b, struct store_op *op);
struct upload *fake_upload_new(struct fake *f, struct bucket *b, struct span key,
                               const struct store_meta *meta);
void fake_upload_free(struct upload *u);
const struct part *fake_part_put(struct upload *u, uint32_t number, struct span body);
void fake_do_upload(struct fake *f, struct bucket *b, struct store_op *op);
void fake_do_list_uploads(struct fake *f, struct bucket *b, struct store_op *op);
size_t fake_list_length(const struct list *head);
void fake_take_effect(struct fake *f, struct store_op *op, bool shorten);

#endif
