/* reply: builds and queues the answer of a request. */
#ifndef BUCKETD_REPLY_H
#define BUCKETD_REPLY_H

#include "tests/bucketd/request.h"

#define REPLY_DATE_MAX 40

/* The value is copied. */
void reply_header(struct request *req, const char *name, const char *value);
void reply_etag(struct request *req, const char *etag);
void reply_checksum(struct request *req, const struct checksum *checksum);
/* The end of an XML answer: one place for the type of content. */
void reply_xml_type(struct request *req);

/* Queues req->out, or req->length bytes of req->object from req->first, with req->status. */
enum MHD_Result reply_send(struct request *req);
enum MHD_Result reply_error(struct request *req, enum s3_error error);
/* status, code and text that are not in the list of errors. */
enum MHD_Result reply_any_error(struct request *req, const struct error_info *info);
/* Ends the connection with RST; returns what the handler must return. */
enum MHD_Result reply_reset(struct request *req);

/* "Tue, 24 Nov 2026 02:00:00 GMT"; "2026-11-24T02:00:00.000Z". */
void reply_http_date(char out[REPLY_DATE_MAX], int64_t ms);
void reply_iso_date(char out[REPLY_DATE_MAX], int64_t ms);

#endif
