/* error: the errors of S3: code, HTTP status and the sentence that AWS sends. */
#ifndef BUCKETD_ERROR_H
#define BUCKETD_ERROR_H

#define ERROR_LIST(ERROR)                                                                          \
    ERROR(AccessDenied, 403, "Access Denied")                                                      \
    ERROR(AuthorizationHeaderMalformed, 400, "The authorization header is malformed")              \
    ERROR(AuthorizationQueryParametersError, 400, "The query parameters of the signature are bad") \
    ERROR(BadDigest, 400, "The Content-MD5 or checksum you specified did not match our value")     \
    ERROR(BucketAlreadyOwnedByYou, 409, "The bucket is yours already")                             \
    ERROR(BucketNotEmpty, 409, "The bucket you tried to delete is not empty")                      \
    ERROR(ConditionalRequestConflict, 409, "A conflicting operation is under way")                 \
    ERROR(EntityTooLarge, 400, "Your proposed upload exceeds the maximum allowed size")            \
    ERROR(EntityTooSmall, 400, "A part other than the last is below the minimum size")             \
    ERROR(IncompleteBody, 400, "The body is not as long as its header says")                       \
    ERROR(InternalError, 500, "We encountered an internal error. Please try again.")               \
    ERROR(InvalidAccessKeyId, 403, "The access key id does not exist in our records")              \
    ERROR(InvalidArgument, 400, "Invalid argument")                                                \
    ERROR(InvalidBucketName, 400, "The specified bucket is not valid")                             \
    ERROR(InvalidDigest, 400, "The Content-MD5 or checksum value is not a valid one")              \
    ERROR(InvalidObjectState, 403, "The content of this object was not kept")                      \
    ERROR(InvalidPart, 400, "A part was not found, or its entity tag did not match")               \
    ERROR(InvalidPartOrder, 400, "The list of parts was not in ascending order")                   \
    ERROR(InvalidRange, 416, "The requested range is not satisfiable")                             \
    ERROR(InvalidRequest, 400, "Invalid request")                                                  \
    ERROR(InvalidTag, 400, "The tag provided was not a valid tag")                                 \
    ERROR(InvalidURI, 400, "Couldn't parse the specified URI")                                     \
    ERROR(KeyTooLongError, 400, "Your key is too long")                                            \
    ERROR(MalformedXML, 400, "The XML you provided was not well-formed or did not validate")       \
    ERROR(MetadataTooLarge, 400, "Your metadata headers exceed the maximum allowed size")          \
    ERROR(MethodNotAllowed, 405, "The specified method is not allowed against this resource")      \
    ERROR(MissingContentLength, 411, "You must provide the Content-Length HTTP header")            \
    ERROR(NoSuchBucket, 404, "The specified bucket does not exist")                                \
    ERROR(NoSuchKey, 404, "The specified key does not exist.")                                     \
    ERROR(NoSuchUpload, 404, "The specified upload does not exist")                                \
    ERROR(NotImplemented, 501, "A header or query you provided is not implemented")                \
    ERROR(NotModified, 304, "Not Modified")                                                        \
    ERROR(PreconditionFailed, 412, "At least one of the preconditions you specified did not hold") \
    ERROR(RequestTimeTooSkewed, 403,                                                               \
          "The difference between the request time and ours is too "                               \
          "large")                                                                                 \
    ERROR(SignatureDoesNotMatch, 403, "The request signature we calculated does not match yours")  \
    ERROR(SlowDown, 503, "Please reduce your request rate.")                                       \
    ERROR(XAmzContentSHA256Mismatch, 400,                                                          \
          "The provided 'x-amz-content-sha256' header does not "                                   \
          "match what was computed.")

#define ERROR_ENUM(code, status, text) S3_##code,
enum s3_error { S3_OK, ERROR_LIST(ERROR_ENUM) S3_ERROR_COUNT };
#undef ERROR_ENUM

struct error_info {
    const char *code;
    unsigned status;
    const char *text;
};

const struct error_info *error_info(enum s3_error error);

#endif
