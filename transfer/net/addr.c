#include "transfer/net/addr.h"

#include "daemon/base/hash.h"

#include <arpa/inet.h>
#include <string.h>

bool addr_eq(const union addr *a, const union addr *b)
{
    if (a->any.sa_family != b->any.sa_family) {
        return false;
    }
    switch (a->any.sa_family) {
    case AF_INET:
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    case AF_INET6:
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0 &&
               a->v6.sin6_scope_id == b->v6.sin6_scope_id;
    default:
        return true; /* both none */
    }
}

uint64_t addr_tag(const union addr *a)
{
    char bytes[sizeof(a->v6.sin6_addr) + sizeof(a->v6.sin6_scope_id)] = {0};
    bool is_v6 = a->any.sa_family == AF_INET6;
    if (is_v6) {
        memcpy(bytes, &a->v6.sin6_addr, sizeof(a->v6.sin6_addr));
        memcpy(bytes + sizeof(a->v6.sin6_addr), &a->v6.sin6_scope_id, sizeof(a->v6.sin6_scope_id));
    } else {
        memcpy(bytes, &a->v4.sin_addr, sizeof(a->v4.sin_addr));
    }
    uint64_t tag = hash_bytes(span_of(bytes, is_v6 ? sizeof(bytes) : sizeof(a->v4.sin_addr)), 1);
    return tag != 0 ? tag : 1;
}

void addr_print(const union addr *a, char to[INET6_ADDRSTRLEN])
{
    const void *bytes = a->any.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr
                                                     : (const void *)&a->v4.sin_addr;
    if (inet_ntop(a->any.sa_family, bytes, to, INET6_ADDRSTRLEN) == NULL) {
        to[0] = '\0';
    }
}

/* ---- what is known ---- */

static struct addr_entry *find(struct addr_set *s, const union addr *a)
{
    for (size_t i = 0; i < s->count; i++) {
        if (addr_eq(&s->entries[i].addr, a)) {
            return &s->entries[i];
        }
    }
    return NULL;
}

static struct addr_entry *room(struct addr_set *s)
{
    if (s->count < ADDR_MAX) {
        return &s->entries[s->count++];
    }
    struct addr_entry *oldest = &s->entries[0];
    for (size_t i = 1; i < s->count; i++) {
        if (s->entries[i].named_ms < oldest->named_ms) {
            oldest = &s->entries[i];
        }
    }
    return oldest;
}

void addr_named(struct addr_set *s, const union addr *a, uint64_t now_ms)
{
    struct addr_entry *e = find(s, a);
    if (e == NULL) {
        e = room(s);
        *e = (struct addr_entry){.addr = *a};
    }
    e->named_ms = now_ms;
}

void addr_answered(struct addr_set *s, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (now_ms - s->entries[i].named_ms < ADDR_KEEP_MS) {
            s->entries[kept++] = s->entries[i];
        }
    }
    s->count = kept;
}

bool addr_has_other(const struct addr_set *s, uint64_t tag)
{
    for (size_t i = 0; i < s->count; i++) {
        if (addr_tag(&s->entries[i].addr) != tag) {
            return true;
        }
    }
    return false;
}

/* ---- which is next ---- */

static bool is_benched(const struct addr_entry *e, uint64_t now_ms)
{
    return e->benched_until_ms > now_ms;
}

/* Good before benched; of good ones the one taken longest ago, of benched ones the first to come
 * back. */
static bool is_better(const struct addr_entry *a, const struct addr_entry *b, uint64_t now_ms)
{
    bool benched = is_benched(a, now_ms);
    if (benched != is_benched(b, now_ms)) {
        return !benched;
    }
    return benched ? a->benched_until_ms < b->benched_until_ms : a->taken < b->taken;
}

const union addr *addr_take(struct addr_set *s, uint64_t avoid, uint64_t now_ms)
{
    bool may_avoid = avoid != 0 && addr_has_other(s, avoid);
    struct addr_entry *best = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct addr_entry *e = &s->entries[i];
        bool shunned = may_avoid && addr_tag(&e->addr) == avoid;
        if (!shunned && (best == NULL || is_better(e, best, now_ms))) {
            best = e;
        }
    }
    if (best == NULL) {
        return NULL;
    }
    best->benched_until_ms = 0;
    best->taken = ++s->takings;
    return &best->addr;
}

void addr_failed(struct addr_set *s, const union addr *a, uint64_t now_ms)
{
    struct addr_entry *e = find(s, a);
    if (e == NULL) {
        return;
    }
    if (e->failed_ms != 0 && now_ms - e->failed_ms <= ADDR_WINDOW_MS) {
        e->benched_until_ms = now_ms + ADDR_BENCH_MS;
        e->failed_ms = 0;
    } else {
        e->failed_ms = now_ms;
    }
}
