#include "daemon/feeds/push_keys.h"

#include "daemon/base/list.h"
#include "daemon/base/mem.h"

/* SNS and MNS have one certificate each at a time; a region more or less has another. */
#define KEYS_MAX    16
#define KEEP_MS     (24 * 3600 * 1000ull)
#define FAIL_FOR_MS 10000

struct push_entry {
    struct list link; /* the newest is the first */
    struct push_keys *keys;
    char *url;
    EVP_PKEY *key;
    struct fail fail;
    bool loading;
    uint64_t until_ms;
    struct list waiters;
    struct deferred answer;
};

struct push_keys {
    struct loop *loop;
    struct fetch *fetch;
    struct list entries;
    size_t count;
};

struct waiter {
    struct list link;
    push_key_fn *done;
    void *arg;
};

static void answer(void *arg)
{
    struct push_entry *e = arg;
    while (!list_is_empty(&e->waiters)) {
        struct waiter *w = CONTAINER_OF(list_first(&e->waiters), struct waiter, link);
        list_remove(&w->link);
        w->done(w->arg, e->key, &e->fail);
        mem_free(w);
    }
}

static void fetched(void *arg, int status, const struct fail *f, struct span body)
{
    struct push_entry *e = arg;
    struct loop *loop = e->keys->loop;
    EVP_PKEY_free(e->key);
    e->key = NULL;
    e->loading = false;
    fail_clear(&e->fail);
    if (status == 0) {
        e->key = push_key(body, loop_wall_ms(loop), &e->fail);
    } else {
        e->fail = *f;
    }
    e->until_ms = loop_now_ms(loop) + (e->key != NULL ? KEEP_MS : FAIL_FOR_MS);
    answer(e);
}

static void drop(struct push_entry *e)
{
    list_remove(&e->link);
    e->keys->count--;
    deferred_cancel(&e->answer);
    EVP_PKEY_free(e->key);
    mem_free(e->url);
    mem_free(e);
}

/* Makes room by the oldest that nobody waits for. */
static void drop_oldest(struct push_keys *k)
{
    for (struct list *node = k->entries.prev; node != &k->entries; node = node->prev) {
        struct push_entry *e = CONTAINER_OF(node, struct push_entry, link);
        if (!e->loading && list_is_empty(&e->waiters)) {
            drop(e);
            return;
        }
    }
}

static struct push_entry *entry_of(struct push_keys *k, struct span url)
{
    LIST_FOR (node, &k->entries) {
        struct push_entry *e = CONTAINER_OF(node, struct push_entry, link);
        if (span_eq_str(url, e->url)) {
            return e;
        }
    }
    if (k->count >= KEYS_MAX) {
        drop_oldest(k);
    }
    struct push_entry *e = MEM_NEW(struct push_entry);
    e->keys = k;
    e->url = mem_dup_span(url);
    list_init(&e->waiters);
    deferred_init(&e->answer, k->loop, answer, e);
    list_push_front(&k->entries, &e->link);
    k->count++;
    return e;
}

void push_keys_get(struct push_keys *k, struct span url, push_key_fn *done, void *arg)
{
    struct push_entry *e = entry_of(k, url);
    struct waiter *w = MEM_NEW(struct waiter);
    w->done = done;
    w->arg = arg;
    list_push_back(&e->waiters, &w->link);
    if (e->loading) {
        return;
    }
    if (loop_now_ms(k->loop) < e->until_ms) {
        deferred_call(&e->answer);
        return;
    }
    e->loading = true;
    fetch_get(k->fetch, url, fetched, e);
}

struct push_keys *push_keys_new(struct loop *loop, struct fetch *fetch)
{
    struct push_keys *k = MEM_NEW(struct push_keys);
    k->loop = loop;
    k->fetch = fetch;
    list_init(&k->entries);
    return k;
}

void push_keys_free(struct push_keys *k)
{
    if (k == NULL) {
        return;
    }
    LIST_FOR_SAFE (node, &k->entries) {
        drop(CONTAINER_OF(node, struct push_entry, link));
    }
    mem_free(k);
}
