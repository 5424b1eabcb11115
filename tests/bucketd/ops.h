/* ops: one function for each operation. Each reads the request, whose body has come and is
 * verified, and fills the answer. */
#ifndef BUCKETD_OPS_H
#define BUCKETD_OPS_H

#include "tests/bucketd/request.h"

enum s3_error control_run(struct request *req);

enum s3_error bucket_list_all(struct request *req);
enum s3_error bucket_create(struct request *req);
enum s3_error bucket_delete(struct request *req);
enum s3_error bucket_head(struct request *req);
enum s3_error bucket_location(struct request *req);
enum s3_error bucket_versioning(struct request *req);

enum s3_error list_objects(struct request *req);
enum s3_error delete_many(struct request *req);

enum s3_error object_put(struct request *req);
enum s3_error object_get(struct request *req); /* and HEAD */
enum s3_error object_delete(struct request *req);

enum s3_error tagging_put(struct request *req);
enum s3_error tagging_get(struct request *req);
enum s3_error tagging_delete(struct request *req);

enum s3_error multipart_create(struct request *req);
enum s3_error multipart_put_part(struct request *req);
enum s3_error multipart_complete(struct request *req);
enum s3_error multipart_abort(struct request *req);
enum s3_error multipart_list_parts(struct request *req);
enum s3_error multipart_list_uploads(struct request *req);

/* Shared by them: an object with the headers and tags that a PUT or Create names. */
enum s3_error object_from_headers(struct request *req, struct object **ret_object);
enum s3_error object_condition(struct request *req, struct condition *ret_condition);
/* A fault of a test may flip a bit of what will be stored. */
void object_corrupt(struct request *req, struct body *body);
/* "k=v&k2=v2" */
enum s3_error tagging_parse(struct request *req, struct span text, struct bag *ret_tags);
/* Writes an element, percent-encoded when the client asked for encoding-type=url. */
void list_key(struct buf *out, const char *name, struct span key, bool is_encoded);
enum s3_error list_encoding(struct request *req, bool *ret_is_encoded);

#endif
