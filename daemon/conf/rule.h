/* rule: what is replicated from where to where, as the operator wrote it. Kept in the journal as
 * JSON text, written in rule files as YAML, given to replctl as flags; one schema table serves all
 * three (daemon/conf/schema.h). Never holds a secret: endpoints are named. */
#ifndef REPL_CONF_RULE_H
#define REPL_CONF_RULE_H

#include "daemon/base/buf.h"
#include "daemon/base/fail.h"
#include "daemon/base/mem.h"
#include "daemon/conf/brake.h"
#include "daemon/conf/limit.h"

#include <stdbool.h>
#include <stdint.h>

enum rule_versions { RULE_VERSIONS_LATEST, RULE_VERSIONS_ALL };
/* MARKER: as PROPAGATE, where the destination keeps the deleted version under a delete marker. */
enum rule_deletes { RULE_DELETES_IGNORE, RULE_DELETES_PROPAGATE, RULE_DELETES_MARKER };

/* When the whole source is compared with what is known to be at the destination. */
enum rule_scan_mode { RULE_SCAN_OFF, RULE_SCAN_ONCE, RULE_SCAN_EVERY, RULE_SCAN_CONTINUOUS };

struct rule_scan {
    enum rule_scan_mode mode;
    uint64_t every_ms; /* RULE_SCAN_EVERY: from start to start */
};

enum rule_scan_against { RULE_SCAN_JOURNAL, RULE_SCAN_DESTINATION };

/* ENDPOINT/BUCKET[/PREFIX]; the prefix may be empty and need not end in '/'. */
struct rule_place {
    const char *endpoint;
    const char *bucket;
    const char *prefix;
};

#define RULE_WATERMARK_PREFIXES_MAX 64

struct rule {
    uint32_t number;  /* the journal's; 0 = not stored yet */
    const char *name; /* [a-z0-9][a-z0-9._-]{0,62} */
    struct rule_place source;
    struct rule_place destination;
    const char **include; /* globs on the key behind the prefix: * ? [..], ** over '/'; */
    size_t include_count; /* none = all; exclude wins */
    const char **exclude;
    size_t exclude_count;
    const char **watermark_prefixes; /* of the key behind the prefix: watermarks of their own */
    size_t watermark_prefix_count;
    const char *storage_class;        /* NULL = as the source's */
    enum rule_versions versions;      /* default latest */
    enum rule_deletes deletes;        /* default ignore */
    struct brake_limit deletes_brake; /* default "1000 or 10% in 10min" */
    bool deletes_foreign;  /* delete objects that are not of our making, too; default false */
    bool two_way;          /* another rule goes the other way; default false */
    bool existing;         /* list the source for existing objects; default false */
    struct rule_scan scan; /* default off */
    enum rule_scan_against scan_against; /* default journal */
    struct limit scan_requests;          /* a second, of scans to the source; default off */
    bool enabled;                        /* false = paused; default true */
    bool keep_replicas;                  /* default true */
    bool marker;                         /* write the marker metadata; default true */
    uint32_t objective_ms;               /* default 10 min */
    int priority;                        /* 0 … 100, higher first; default 50 */
    struct limit bandwidth;              /* bytes a second to the destination; default off */
    struct limit requests;               /* a second, of both sides; default off */
    uint64_t publish_ms;    /* the watermark, at most so often; 0 = off; default 10 s */
    const char *publish_as; /* key, below _repl/, with {rule} and {instance} to be filled in */
    bool shared;            /* other hosts have a rule of this name for the same places */
    const char *scan_host;  /* instance that does what looks at the whole bucket; NULL = they
                               agree on one at the destination */
    uint32_t takeover_ms;   /* so long after its last sign of life; default 60 s */
};

/* Everything of *ret lives in the arena. Errors name the member: REPL_EBADINPUT. */
int rule_from_json(struct span text, struct arena *a, struct rule *ret, struct fail *f);
/* All members, defaults included, in the schema's order. */
void rule_to_json(const struct rule *rule, struct buf *to);
/* The value of one member as a flag gives it ("deletes", "propagate"; lists: one more item), with
 * the checks of the schema. */
int rule_set(struct rule *rule, const char *member, struct span value, struct arena *a,
             struct fail *f);
/* A rule with the defaults of all members. */
void rule_init(struct rule *rule, struct arena *a);
void rule_place_print(const struct rule_place *place, struct buf *to);
int rule_place_parse(struct span text, struct arena *a, struct rule_place *ret, struct fail *f);

struct rule_fault {
    struct rule_fault *next; /* NULL: the last one */
    struct fail fail;
};

/* A rule file: `rules:` with a list. Errors carry file:line. When entries of the list are wrong the
 * failure is that of the first, `faults` has the first of each, and nothing else is filled in. */
struct rule_file {
    struct rule *rules;
    unsigned *lines; /* where each begins; 0 in JSON */
    size_t count;
    struct rule_fault *faults;
    size_t fault_count;
};
int rule_file_parse(struct span text, const char *file, struct arena *a, struct rule_file *ret,
                    struct fail *f);
/* {"rules": [rule, …]} */
int rule_list_from_json(struct span text, struct arena *a, struct rule_file *ret, struct fail *f);
int rule_file_load(const char *path, struct arena *a, struct rule_file *ret, struct fail *f);

#endif
