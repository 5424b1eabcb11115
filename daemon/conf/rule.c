#include "daemon/conf/rule.h"

#include "daemon/conf/check.h"
#include "daemon/conf/conf.h"
#include "daemon/conf/schema.h"
#include "daemon/conf/units.h"

#include <stdio.h>

#define RULE(member) .offset = offsetof(struct rule, member)
#define PREFIX_MAX   1024 /* bytes; a key is not longer */
#define DAY_MS       ((uint64_t)86400000)

#define EVERY_MIN_MS 60000

static const char *const against_words[] = {"journal", "destination", NULL};
static const char *const versions_words[] = {"latest", "all", NULL};
static const char *const deletes_words[] = {"ignore", "propagate", "marker", NULL};

static int parse_place(struct span text, struct arena *a, void *to, struct fail *f)
{
    return rule_place_parse(text, a, to, f);
}

static void format_place(const void *from, struct buf *to)
{
    rule_place_print(from, to);
}

/* "off", "once", "continuous", "every 6h". */
static int parse_scan(struct span text, struct arena *a, void *to, struct fail *f)
{
    static const char *const words[] = {"off", "once", "every", "continuous"};
    struct rule_scan scan = {0};
    struct span every = text;
    struct span word = span_cut(&every, ' ');
    (void)a;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_eq_str(word, words[i]) && (every.ptr != NULL) == (i == RULE_SCAN_EVERY)) {
            scan.mode = (enum rule_scan_mode)i;
            bool good = every.ptr == NULL ||
                        (conf_parse_duration(span_trim(every), &scan.every_ms, f) == 0 &&
                         scan.every_ms >= EVERY_MIN_MS && scan.every_ms <= 366 * DAY_MS);
            if (good) {
                *(struct rule_scan *)to = scan;
                return 0;
            }
        }
    }
    fail_set(f, REPL_EBADINPUT, "\"%.*s\" is not off, once, continuous or every DURATION",
             SPAN_ARG(span_of(text.ptr, text.len > 80 ? 80 : text.len)));
    fail_hint(f, "write it like \"every 6h\"; a minute is the least");
    return REPL_EBADINPUT;
}

static void format_scan(const void *from, struct buf *to)
{
    static const char *const words[] = {"off", "once", "every ", "continuous"};
    const struct rule_scan *scan = from;
    buf_str(to, words[scan->mode]);
    if (scan->mode == RULE_SCAN_EVERY) {
        units_print_duration(scan->every_ms, to);
    }
}

static int parse_publish(struct span text, struct arena *a, void *to, struct fail *f)
{
    uint64_t ms = 0;
    (void)a;
    if (!span_eq_str(text, "off")) {
        if (conf_parse_duration(text, &ms, f) != 0 || ms < 1000 || ms > DAY_MS) {
            fail_set(f, REPL_EBADINPUT, "\"%.40s\" is neither off nor 1s to 1d", text.ptr);
            fail_hint(f, "write it like 10s");
            return REPL_EBADINPUT;
        }
    }
    *(uint64_t *)to = ms;
    return 0;
}

static void format_publish(const void *from, struct buf *to)
{
    uint64_t ms = *(const uint64_t *)from;
    if (ms == 0) {
        buf_str(to, "off");
    } else {
        units_print_duration(ms, to);
    }
}

/* Two hosts that write the same object would hide each other's watermark. */
static const char *check_publish_as(const char *text)
{
    bool good = strncmp(text, "_repl/", 6) == 0 && strlen(text) <= 512 &&
                strstr(text, "{instance}") != NULL;
    return good ? NULL
                : "must begin with _repl/ and hold {instance}, such as "
                  "_repl/watermark/{rule}/{instance}.json";
}

static const char *check_prefix(const char *text)
{
    return text[0] == '\0' || strlen(text) > PREFIX_MAX ? "must have 1 to 1024 bytes" : NULL;
}

/* The member is an int from 0 to 100, which fits the unsigned reader. */
static const struct schema_key rule_schema[] = {
    {"name", SCHEMA_TEXT, RULE(name), .required = true, .check = check_rule_name},
    {"source", SCHEMA_PARSED, RULE(source), .required = true, .parse = parse_place,
     .format = format_place},
    {"destination", SCHEMA_PARSED, RULE(destination), .required = true, .parse = parse_place,
     .format = format_place},
    {"include", SCHEMA_TEXTS, RULE(include), .count_offset = offsetof(struct rule, include_count),
     .check = check_glob},
    {"exclude", SCHEMA_TEXTS, RULE(exclude), .count_offset = offsetof(struct rule, exclude_count),
     .check = check_glob},
    {"watermark_prefixes", SCHEMA_TEXTS, RULE(watermark_prefixes),
     .count_offset = offsetof(struct rule, watermark_prefix_count), .check = check_prefix,
     .max = RULE_WATERMARK_PREFIXES_MAX},
    {"storage_class", SCHEMA_TEXT, RULE(storage_class), .check = check_word},
    {"versions", SCHEMA_CHOICE, RULE(versions), .words = versions_words, .preset = "latest"},
    {"deletes", SCHEMA_CHOICE, RULE(deletes), .words = deletes_words, .preset = "ignore"},
    {"deletes_brake", SCHEMA_PARSED, RULE(deletes_brake), .parse = brake_limit_parse,
     .format = brake_limit_print, .preset = "1000 or 10% in 10min"},
    {"deletes_foreign", SCHEMA_BOOL, RULE(deletes_foreign), .preset = "false"},
    {"two_way", SCHEMA_BOOL, RULE(two_way), .preset = "false"},
    {"existing", SCHEMA_BOOL, RULE(existing), .preset = "false"},
    {"scan", SCHEMA_PARSED, RULE(scan), .parse = parse_scan, .format = format_scan,
     .preset = "off"},
    {"scan_against", SCHEMA_CHOICE, RULE(scan_against), .words = against_words,
     .preset = "journal"},
    {"scan_requests", SCHEMA_PARSED, RULE(scan_requests), .parse = limit_parse_requests,
     .format = limit_print, .preset = "off"},
    {"enabled", SCHEMA_BOOL, RULE(enabled), .preset = "true"},
    {"keep_replicas", SCHEMA_BOOL, RULE(keep_replicas), .preset = "true"},
    {"marker", SCHEMA_BOOL, RULE(marker), .preset = "true"},
    {"objective", SCHEMA_DURATION32, RULE(objective_ms), .min = 1000, .max = 30 * DAY_MS,
     .preset = "10min"},
    {"priority", SCHEMA_COUNT, RULE(priority), .max = 100, .preset = "50"},
    {"bandwidth", SCHEMA_PARSED, RULE(bandwidth), .parse = limit_parse_bandwidth,
     .format = limit_print, .preset = "off"},
    {"requests", SCHEMA_PARSED, RULE(requests), .parse = limit_parse_requests,
     .format = limit_print, .preset = "off"},
    {"publish", SCHEMA_PARSED, RULE(publish_ms), .parse = parse_publish, .format = format_publish,
     .preset = "10s"},
    {"publish_as", SCHEMA_TEXT, RULE(publish_as), .check = check_publish_as,
     .preset = "_repl/watermark/{rule}/{instance}.json"},
    {"shared", SCHEMA_BOOL, RULE(shared), .preset = "false"},
    {"scan_host", SCHEMA_TEXT, RULE(scan_host), .check = check_instance},
    {"takeover", SCHEMA_DURATION32, RULE(takeover_ms), .min = 2000, .max = DAY_MS, .preset = "60s"},
    {0},
};

static const char *bad_place(struct span endpoint, struct span bucket, struct span prefix,
                             const struct rule_place *p)
{
    if (endpoint.len == 0 || bucket.ptr == NULL || bucket.len == 0) {
        return "is not ENDPOINT/BUCKET or ENDPOINT/BUCKET/PREFIX";
    }
    if (check_endpoint_name(p->endpoint) != NULL) {
        return "does not begin with the name of an endpoint (a-z, 0-9 and -)";
    }
    if (check_bucket(p->bucket) != NULL) {
        return "names a bucket with characters that none can have";
    }
    if (prefix.len > PREFIX_MAX ||
        (prefix.ptr != NULL && memchr(prefix.ptr, 0, prefix.len) != NULL)) {
        return "has a prefix longer than 1024 bytes or with a NUL byte";
    }
    return span_starts_with(prefix, span_str("_repl/")) ? "lies under _repl/, which is repld's own"
                                                        : NULL;
}

int rule_place_parse(struct span text, struct arena *a, struct rule_place *ret, struct fail *f)
{
    struct span prefix = text;
    struct span endpoint = span_cut(&prefix, '/');
    struct span bucket = span_cut(&prefix, '/');
    struct rule_place place = {
        .endpoint = arena_span(a, endpoint).ptr,
        .bucket = arena_span(a, bucket).ptr,
        .prefix = prefix.ptr != NULL ? arena_span(a, prefix).ptr : "",
    };
    const char *bad = bad_place(endpoint, bucket, prefix, &place);
    if (bad != NULL) {
        struct span shown = span_of(text.ptr, text.len > 80 ? 80 : text.len);
        fail_set(f, REPL_EBADINPUT, "\"%.*s\" %s", SPAN_ARG(shown), bad);
        fail_hint(f, "write it like overseas/crawl/raw/");
        return REPL_EBADINPUT;
    }
    *ret = place;
    return 0;
}

void rule_place_print(const struct rule_place *place, struct buf *to)
{
    buf_printf(to, "%s/%s", place->endpoint, place->bucket);
    if (place->prefix[0] != '\0') {
        buf_printf(to, "/%s", place->prefix);
    }
}

int rule_from_json(struct span text, struct arena *a, struct rule *ret, struct fail *f)
{
    struct doc root = {0};
    struct rule rule = {0};
    struct schema_reader r = {.a = a, .f = f};
    int status = doc_from_json(text, a, &root, f);
    if (status == 0 && root.kind != DOC_MAP) {
        status = fail_set(f, REPL_EBADINPUT, "a rule is a JSON object");
    }
    if (status == 0) {
        status = schema_read(&r, rule_schema, &root, &rule);
    }
    if (status == 0) {
        *ret = rule;
    }
    return status;
}

void rule_to_json(const struct rule *rule, struct buf *to)
{
    schema_print_json(rule_schema, rule, to);
}

void rule_init(struct rule *rule, struct arena *a)
{
    struct fail ignored = {0};
    struct doc empty = {.kind = DOC_MAP};
    struct schema_reader r = {.a = a, .f = &ignored};
    memset(rule, 0, sizeof(*rule));
    schema_read(&r, rule_schema, &empty, rule); /* misses what is required, presets are in */
}

/* The list with one item more, as a document. */
static struct doc longer_list(const struct rule *rule, const struct schema_key *k, struct span item,
                              struct arena *a)
{
    const char *const *old = *(const char **const *)((const char *)rule + k->offset);
    size_t n = *(const size_t *)((const char *)rule + k->count_offset);
    struct doc list = {.kind = DOC_LIST, .count = n + 1};
    list.items = arena_alloc(a, (n + 1) * sizeof(*list.items));
    for (size_t i = 0; i <= n; i++) {
        list.items[i].kind = DOC_TEXT;
        list.items[i].text = i < n ? span_str(old[i]) : item;
    }
    return list;
}

int rule_set(struct rule *rule, const char *member, struct span value, struct arena *a,
             struct fail *f)
{
    struct schema_key one[2] = {{0}, {0}};
    struct span text = arena_span(a, value);
    for (const struct schema_key *k = rule_schema; k->name != NULL; k++) {
        if (strcmp(k->name, member) == 0) {
            one[0] = *k;
        }
    }
    if (one[0].name == NULL) {
        return fail_set(f, REPL_EBADINPUT, "a rule has no \"%.60s\"", member);
    }
    if (!span_is_utf8(text)) {
        return fail_set(f, REPL_EBADINPUT, "%s: is not UTF-8", member);
    }
    bool truth = one[0].type == SCHEMA_BOOL;
    struct doc node = {.kind = truth ? DOC_BOOL : DOC_TEXT, .text = text};
    if (truth && !span_eq_str(text, "true") && !span_eq_str(text, "false")) {
        node.kind = DOC_TEXT;
    }
    if (one[0].type == SCHEMA_TEXTS) {
        node = longer_list(rule, &one[0], text, a);
    }
    node.name = span_str(member);
    one[0].preset = NULL;
    struct doc root = {.kind = DOC_MAP, .items = &node, .count = 1};
    struct schema_reader r = {.a = a, .f = f};
    return schema_read(&r, one, &root, rule);
}

static int check_twice(const struct schema_reader *r, const struct doc *node,
                       const struct rule_file *file, const struct rule *rule)
{
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->rules[i].name, rule->name) == 0) {
            return schema_refuse(r, node, "rule \"%s\" stands here twice", rule->name);
        }
    }
    return 0;
}

static void add_fault(const struct schema_reader *r, struct rule_file *to, struct rule_fault ***end)
{
    struct rule_fault *fault = arena_alloc(r->a, sizeof(*fault));
    *fault = (struct rule_fault){.fail = *r->f};
    **end = fault;
    *end = &fault->next;
    to->fault_count++;
}

static int read_rules(const struct schema_reader *r, const struct doc *list, struct rule_file *ret)
{
    struct rule_fault **end = &ret->faults;
    ret->rules = arena_alloc(r->a, (list->count + 1) * sizeof(*ret->rules));
    ret->lines = arena_alloc(r->a, (list->count + 1) * sizeof(*ret->lines));
    for (size_t i = 0; i < list->count; i++) {
        struct rule *rule = &ret->rules[ret->count];
        ret->lines[ret->count] = list->items[i].line;
        int status = schema_read(r, rule_schema, &list->items[i], rule);
        if (status == 0) {
            status = check_twice(r, &list->items[i], ret, rule);
        }
        if (status == 0) {
            ret->count++;
        } else {
            add_fault(r, ret, &end);
        }
    }
    if (ret->faults != NULL) {
        *r->f = ret->faults->fail;
    }
    return ret->faults != NULL ? REPL_EBADINPUT : 0;
}

static int read_root(const struct schema_reader *r, const struct doc *root, struct rule_file *ret)
{
    struct rule_file rules = {0};
    const struct doc *list = doc_get(root, "rules");
    if (list == NULL || root->count != 1 || (list->kind != DOC_LIST && list->kind != DOC_NULL)) {
        schema_refuse(r, root, "a rule file is one list under \"rules:\"");
        fail_hint(r->f, "rules: [{name: pages, source: EP/BUCKET, destination: EP/BUCKET}]");
        return REPL_EBADINPUT;
    }
    int status = read_rules(r, list, &rules);
    *ret = status == 0
               ? rules
               : (struct rule_file){.faults = rules.faults, .fault_count = rules.fault_count};
    return status;
}

int rule_file_parse(struct span text, const char *file, struct arena *a, struct rule_file *ret,
                    struct fail *f)
{
    struct doc root = {0};
    struct schema_reader r = {.file = file, .a = a, .f = f};
    int status = doc_from_yaml(text, file, a, &root, f);
    return status != 0 ? status : read_root(&r, &root, ret);
}

int rule_list_from_json(struct span text, struct arena *a, struct rule_file *ret, struct fail *f)
{
    struct doc root = {0};
    struct schema_reader r = {.a = a, .f = f};
    int status = doc_from_json(text, a, &root, f);
    return status != 0 ? status : read_root(&r, &root, ret);
}

int rule_file_load(const char *path, struct arena *a, struct rule_file *ret, struct fail *f)
{
    struct span text;
    int status = doc_read_file(path, a, &text, f);
    return status != 0 ? status : rule_file_parse(text, path, a, ret, f);
}
