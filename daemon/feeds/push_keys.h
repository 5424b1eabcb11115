/* push_keys: the keys that push_sign verifies with, by the URL of their certificate. A key is
 * fetched once and kept for a day; who asks while it is on its way waits for the same answer. A
 * certificate that could not be had is asked for again after ten seconds. */
#ifndef REPL_FEEDS_PUSH_KEYS_H
#define REPL_FEEDS_PUSH_KEYS_H

#include "daemon/feeds/fetch.h"
#include "daemon/feeds/push_sign.h"

struct push_keys;

/* fetch lives longer than the keys. */
struct push_keys *push_keys_new(struct loop *loop, struct fetch *fetch);
/* After the fetch was closed: nobody waits any more. */
void push_keys_free(struct push_keys *k);

/* The key lives for the call; NULL: *f says why. */
typedef void push_key_fn(void *arg, EVP_PKEY *key, const struct fail *f);
/* Once, from the loop, later. The URL was checked by the caller. */
void push_keys_get(struct push_keys *k, struct span url, push_key_fn *done, void *arg);

#endif
