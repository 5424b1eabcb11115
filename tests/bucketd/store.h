/* store: buckets, objects and open uploads, all in memory behind one short mutex; with a folder,
 * the bytes live in mapped files and every object has a sidecar that brings it back after a
 * restart (open uploads do not come back). Any thread may call. Objects never change once they are
 * in: whoever holds a reference reads without the lock. */
#ifndef BUCKETD_STORE_H
#define BUCKETD_STORE_H

#include "tests/bucketd/bag.h"
#include "tests/bucketd/body.h"
#include "tests/bucketd/checksum.h"
#include "tests/bucketd/error.h"
#include "tests/bucketd/map.h"

#include <pthread.h>
#include <stdint.h>

#define STORE_ETAG_MAX 48 /* 32 hex digits, "-10000", NUL */

struct segment {
    struct body *body; /* NULL: the bytes were thrown away */
    size_t size;
};

/* A value of x-amz-checksum-*, as text; alg CHECKSUM_NONE when there is none. */
struct checksum {
    enum checksum_alg alg;
    bool is_composite;
    char text[CHECKSUM_TEXT_MAX];
};

struct object {
    atomic_uint refs;
    uint64_t size;
    int64_t mtime_ms; /* wall clock */
    char etag[STORE_ETAG_MAX];
    struct checksum checksum;
    struct bag headers; /* as they are sent back, names in lower case */
    struct bag tags;
    struct segment *segments;
    size_t segment_count;
    uint64_t file_id; /* of the sidecar; 0 = none */
};

struct part {
    unsigned number;
    uint64_t size;
    int64_t mtime_ms;
    char etag[STORE_ETAG_MAX];
    struct checksum checksum;
    struct body *body; /* NULL: thrown away */
};

struct upload {
    char id[33];
    char *key;
    size_t key_len;
    int64_t started_ms;
    struct object *object; /* headers, tags, kind of checksum of what it will become */
    struct part *parts;    /* by number */
    size_t part_count;
    size_t part_cap;
};

struct bucket {
    char *name;
    int64_t created_ms;
    struct map objects; /* struct object */
    struct map uploads; /* struct upload, by key NUL id: the order of ListMultipartUploads */
};

struct store {
    pthread_mutex_t lock;
    struct map buckets;
    char *folder; /* NULL: memory only */
    bool is_discarding;
    uint64_t min_part_bytes;
    atomic_ullong next_id;
    atomic_size_t open_uploads;
    const struct checksum_env *checksums;
};

/* What If-Match and If-None-Match ask of a write; absent spans ask nothing. */
struct condition {
    struct span if_match;
    bool must_be_new;
};

struct object *object_new(void);
struct object *object_ref(struct object *object);
void object_unref(struct object *object);
void object_add_segment(struct object *object, struct body *body, size_t size); /* takes body */

/* Loads the folder when there is one; false when that fails (said on stderr). */
bool store_init(struct store *store, const char *folder, const struct checksum_env *checksums);
void store_done(struct store *store);
/* A body to be filled; NULL when the disk is full. */
struct body *store_new_body(struct store *store, size_t size);

/* For readers of whole listings; nothing below may be called between. */
void store_lock(struct store *store);
void store_unlock(struct store *store);
/* NULL when there is none. Call with the lock held. */
struct bucket *store_bucket(struct store *store, struct span name);

enum s3_error store_make_bucket(struct store *store, struct span name, int64_t now_ms);
enum s3_error store_drop_bucket(struct store *store, struct span name);
enum s3_error store_check_bucket(struct store *store, struct span name);

/* Gives a reference. */
enum s3_error store_get(struct store *store, struct span bucket, struct span key,
                        struct object **ret_object);
/* Takes the reference, also when it fails. */
enum s3_error store_put(struct store *store, struct span bucket, struct span key,
                        struct object *object, const struct condition *condition);
enum s3_error store_check_condition(struct object *current, const struct condition *condition);
/* Deleting what is not there is no error. */
enum s3_error store_delete(struct store *store, struct span bucket, struct span key);
/* Replaces the tags; the bag is copied. */
enum s3_error store_retag(struct store *store, struct span bucket, struct span key,
                          const struct bag *tags);

/* upload: the reference of the object goes to the upload. ret_id holds 33 bytes. */
enum s3_error store_begin_upload(struct store *store, struct span bucket, struct span key,
                                 struct object *object, char *ret_id);
/* Takes the body of the part. */
enum s3_error store_put_part(struct store *store, struct span bucket, struct span key,
                             struct span id, const struct part *part);
/* NULL when there is none. Call with the lock held. */
struct upload *store_upload(struct bucket *bucket, struct span key, struct span id);

struct completion {
    struct span bucket;
    struct span key;
    struct span id;
    const struct part *wanted; /* number, etag, checksum (alg none = not given) */
    size_t wanted_count;
    int64_t now_ms;
    struct condition condition;
};

/* Gives a reference to the new object. */
enum s3_error store_complete_upload(struct store *store, const struct completion *completion,
                                    struct object **ret_object);
enum s3_error store_abort_upload(struct store *store, struct span bucket, struct span key,
                                 struct span id);
void upload_free(struct upload *upload);

/* store_folder.c; all with the lock held except new_body and concat. They do nothing without a
 * folder. */
struct body *folder_new_body(struct store *store, size_t size);
bool folder_load(struct store *store);
void folder_make_bucket(struct store *store, const char *name);
void folder_drop_bucket(struct store *store, const char *name);
bool folder_save(struct store *store, const char *bucket, struct span key, struct object *object);
void folder_remove(struct store *store, const char *bucket, struct object *object);
/* Brings all segments into one file. */
bool folder_join(struct store *store, struct object *object);

/* Fills a bucket with count objects of size bytes whose content is made up:
 * spec is BUCKET:PREFIX:COUNT:SIZE; false when it cannot be read. */
bool synth_fill(struct store *store, const char *spec, int64_t now_ms);

#endif
