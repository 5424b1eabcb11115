#include "tests/bucketd/fault.h"

#include "daemon/base/mem.h"

#include <jansson.h>
#include <stdio.h>

struct fault_entry {
    struct fault_entry *next;
    struct fault fault;
    char *op; /* NULL: any */
    char *key_prefix;
    long long count; /* -1: always */
    long long skip;
};

void faults_init(struct faults *faults)
{
    *faults = (struct faults){0};
    pthread_mutex_init(&faults->lock, NULL);
}

static void free_entry(struct fault_entry *entry)
{
    mem_free(entry->op);
    mem_free(entry->key_prefix);
    mem_free(entry);
}

void faults_clear(struct faults *faults)
{
    pthread_mutex_lock(&faults->lock);
    while (faults->first != NULL) {
        struct fault_entry *entry = faults->first;
        faults->first = entry->next;
        free_entry(entry);
    }
    pthread_mutex_unlock(&faults->lock);
}

void faults_done(struct faults *faults)
{
    faults_clear(faults);
    pthread_mutex_destroy(&faults->lock);
}

static enum fault_action find_action(const char *name)
{
#define FAULT_NAME(name) #name,
    static const char *const names[] = {FAULT_LIST(FAULT_NAME)};
#undef FAULT_NAME
    for (int i = 1; name != NULL && i < FAULT_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum fault_action)i;
        }
    }
    return FAULT_none;
}

static bool is_op(const char *name)
{
    for (int op = 0; op < OP_COUNT; op++) {
        if (strcmp(op_name((enum op)op), name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *read_entry(struct fault_entry *entry, json_t *doc)
{
    const char *op = "*", *prefix = "", *action = NULL, *code = "SlowDown";
    json_int_t after = 0, delay = 0, count = 1, skip = 0, status = 503, keys = 1;
    json_error_t error;
    if (json_unpack_ex(doc, &error, JSON_STRICT,
                       "{s?s, s?s, s?s, s?s, s?I, s?I, s?I, s?I, s?I, s?I}", "op", &op,
                       "key_prefix", &prefix, "action", &action, "code", &code, "after_bytes",
                       &after, "delay_ms", &delay, "count", &count, "skip", &skip, "status",
                       &status, "keys", &keys) != 0) {
        return "a member is unknown or of the wrong type";
    }
    entry->fault.action = find_action(action);
    if (entry->fault.action == FAULT_none) {
        return "no such action";
    }
    if (strcmp(op, "*") != 0 && !is_op(op)) {
        return "no such operation";
    }
    if (keys < 1) {
        return "keys: at least 1";
    }
    entry->op = strcmp(op, "*") != 0 ? mem_strdup(op) : NULL;
    entry->key_prefix = mem_strdup(prefix);
    snprintf(entry->fault.code, sizeof(entry->fault.code), "%s", code);
    entry->fault.status = (unsigned)status;
    entry->fault.after_bytes = (uint64_t)after;
    entry->fault.keys = (uint64_t)keys;
    entry->fault.delay_ms = delay;
    entry->count = count;
    entry->skip = skip;
    return NULL;
}

const char *faults_add(struct faults *faults, struct span text)
{
    json_t *doc = json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
    if (doc == NULL) {
        return "this is no JSON";
    }
    struct fault_entry *entry = MEM_NEW(struct fault_entry);
    const char *problem = read_entry(entry, doc);
    json_decref(doc);
    if (problem != NULL) {
        free_entry(entry);
        return problem;
    }
    pthread_mutex_lock(&faults->lock);
    struct fault_entry **end = &faults->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = entry;
    pthread_mutex_unlock(&faults->lock);
    return NULL;
}

static bool fits(const struct fault_entry *entry, enum op op, struct span key)
{
    return (entry->op == NULL || strcmp(entry->op, op_name(op)) == 0) &&
           span_starts_with(key, span_str(entry->key_prefix));
}

struct fault faults_take(struct faults *faults, enum op op, struct span key)
{
    struct fault found = {0};
    pthread_mutex_lock(&faults->lock);
    for (struct fault_entry **at = &faults->first; *at != NULL; at = &(*at)->next) {
        struct fault_entry *entry = *at;
        if (!fits(entry, op, key)) {
            continue;
        }
        if (entry->skip > 0) {
            entry->skip--;
            continue;
        }
        found = entry->fault;
        if (entry->count > 0 && --entry->count == 0) {
            *at = entry->next;
            free_entry(entry);
        }
        break;
    }
    pthread_mutex_unlock(&faults->lock);
    return found;
}
