/* Inside of the S3 store: a call is one store_op on its way, with the request being built for it.
 */
#ifndef REPL_STORE_S3_IMPL_H
#define REPL_STORE_S3_IMPL_H

#include "transfer/net/net.h"
#include "transfer/store/s3.h"
#include "transfer/store/sign.h"
#include "transfer/store/uri.h"
#include "transfer/store/xml.h"

#define S3_HEADERS_MAX 128

struct s3 {
    struct store base;
    struct loop *loop;
    struct log *log;
    struct net *net;
    char *name;
    bool tls;
    struct s3_way {
        char *host; /* as it is sent and signed: with a port that is not the scheme's */
        bool virtual_host;
    } ways[NET_PATHS_MAX]; /* as the paths of net */
    size_t way_count;
    struct creds_source creds_source;
    char *creds_name;
    char *creds_path;
    struct creds creds;
    uint64_t creds_loaded_ms; /* 0: never */
    char region[64];
    int64_t skew_ms; /* server − ours */
    struct sign_scope scope;
    bool scope_valid;
    struct list calls; /* s3_call.link */
    bool closing;
    struct deferred finish;
    void (*closed)(void *arg);
    void *closed_arg;
};

static inline struct s3 *s3_of(struct store *s)
{
    return CONTAINER_OF(s, struct s3, base);
}

struct s3_call;

/* What distinguishes an operation from the others. */
struct s3_verb {
    const char *method;
    bool write;       /* an answer that is lost leaves the outcome open */
    unsigned stall_s; /* 0 = net's default */
    /* Adds parameters, headers and an XML body to the request. 0 or a failure in op->fail. */
    int (*build)(struct s3_call *c);
    /* A 2xx answer. 0: the operation has ended (op->fail tells); 1: send the next request. */
    int (*parse)(struct s3_call *c);
    /* Another status, op->fail is set; NULL: it ends. 1: send the next request. */
    int (*refused)(struct s3_call *c);
};

struct s3_call {
    struct s3 *s3;
    struct store_op *op;
    const struct s3_verb *verb;
    struct list link;
    struct arena arena; /* of the request being sent */
    struct net_request net;
    struct deferred start;
    bool canceled;
    bool hashing;

    /* The request: filled by s3_begin() and build(). */
    const char *method;
    bool bucket_only; /* the key is no part of the path */
    struct uri_param params[URI_PARAMS_MAX];
    size_t param_count;
    struct sign_header headers[S3_HEADERS_MAX];
    size_t header_count;
    bool has_body;
    struct span body;

    /* Of the body that the caller handed in: made once, whatever is repeated. */
    enum store_check check;
    bool body_checked;
    char payload[SIGN_HEX_BYTES];
    char check_value[48];

    bool skew_corrected;
    bool region_corrected;
    bool creds_reloaded;
    int64_t signed_ms; /* server time of the signature */

    uint64_t avoid; /* as in store_op; then where its own last try was lost */
    unsigned moves; /* to other paths or addresses */
    unsigned looks; /* at paths that have shown nothing yet */

    /* Over several requests. */
    struct span marker; /* ListParts */
    bool asking_again;  /* HEAD found nothing: why? */
    size_t key_at;      /* DeleteObjects, one by one */
    bool one_by_one;
    struct buf xml;
};

/* ---- s3.c ---- */
void s3_send(struct s3_call *c);
/* Ends the operation; op->fail is set or clear. */
void s3_end(struct s3_call *c);

/* ---- s3_request.c ---- */
void s3_param(struct s3_call *c, const char *name, struct span value);
void s3_param_u64(struct s3_call *c, const char *name, uint64_t value);
/* An absent value adds nothing. */
void s3_header(struct s3_call *c, const char *name, struct span value);
void s3_meta_headers(struct s3_call *c, const struct store_meta *meta);
/* Builds, signs and hands it to net; 0 or a failure in op->fail. */
int s3_submit_request(struct s3_call *c);
/* Asks the host of the request's path whether it is there: any answer will do. */
void s3_submit_look(struct s3_call *c);
/* Headers of an answer about an object. */
void s3_read_object(struct s3_call *c, struct store_object *ret);
struct span s3_unquote(struct span etag);
struct span s3_quote(struct s3_call *c, struct span etag);

/* ---- s3_check.c: what the server is made to check ---- */
/* Fills check, payload and check_value of a body; any thread. */
void s3_check_body(struct s3_call *c);
void s3_check_headers(struct s3_call *c);
enum store_check s3_effective_check(const struct s3_call *c);
const char *s3_check_header(enum store_check check); /* "x-amz-checksum-crc32c" or NULL */

/* ---- s3_error.c ---- */
/* Fills op->fail from an answer that is no success. */
void s3_read_failure(struct s3_call *c);
/* Corrects clock, region or credentials, each once; true: send again. */
bool s3_correct(struct s3_call *c);

/* ---- verbs ---- */
extern const struct s3_verb s3_verb_get, s3_verb_head, s3_verb_put, s3_verb_delete,
    s3_verb_get_tags, s3_verb_put_tags, s3_verb_head_bucket; /* s3_object.c */
extern const struct s3_verb s3_verb_get_notification, s3_verb_put_notification,
    s3_verb_create_topic; /* s3_notify.c */
extern const struct s3_verb s3_verb_create, s3_verb_part, s3_verb_complete, s3_verb_abort,
    s3_verb_list_parts; /* s3_multipart.c */
extern const struct s3_verb s3_verb_list, s3_verb_list_versions, s3_verb_get_versioning,
    s3_verb_list_uploads, s3_verb_delete_many; /* s3_list.c */

#endif
