#include "daemon/base/hash.h"
#include "daemon/base/loop.h"
#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka needs those above first */
#include <cmocka.h>

#define COUNT 2000

struct item {
    char key[16];
    bool is_in;
    bool is_seen;
    struct hash_entry entry;
};

static struct item *items_new(void)
{
    struct item *items = mem_array(COUNT, sizeof(*items));
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "key-%u", i);
    }
    return items;
}

static void check(const struct hash *h, struct item *items)
{
    size_t in = 0;
    size_t seen = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        struct hash_entry *found = hash_find(h, span_str(items[i].key));
        assert_ptr_equal(found, items[i].is_in ? &items[i].entry : NULL);
        in += items[i].is_in;
        items[i].is_seen = false;
    }
    for (struct hash_entry *e = hash_next(h, NULL); e != NULL; e = hash_next(h, e)) {
        struct item *item = CONTAINER_OF(e, struct item, entry);
        assert_true(item->is_in);
        assert_false(item->is_seen);
        item->is_seen = true;
        seen++;
    }
    assert_int_equal(h->count, in);
    assert_int_equal(seen, in);
}

static void test_empty(void **state)
{
    (void)state;
    struct hash h;
    hash_init(&h, 1);
    assert_null(hash_find(&h, span_str("x")));
    assert_null(hash_next(&h, NULL));
    hash_done(&h);
    hash_done(&h);
}

/* Random puts and removes against a table of flags. */
static void test_agrees_with_a_model(void **state)
{
    (void)state;
    struct loop *dice = loop_new_virtual(20261124, 0);
    struct item *items = items_new();
    struct hash h;
    hash_init(&h, 42);
    for (unsigned step = 0; step < 50000; step++) {
        struct item *item = &items[loop_random(dice, COUNT)];
        if (item->is_in) {
            hash_remove(&h, &item->entry);
        } else {
            hash_put(&h, &item->entry, span_str(item->key));
        }
        item->is_in = !item->is_in;
        if (step % 5000 == 0) {
            check(&h, items);
        }
    }
    check(&h, items);
    hash_done(&h);
    mem_free(items);
    loop_free(dice);
}

static void test_everything_can_be_taken_out(void **state)
{
    (void)state;
    struct item *items = items_new();
    struct hash h;
    hash_init(&h, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        hash_put(&h, &items[i].entry, span_str(items[i].key));
    }
    struct hash_entry *next;
    for (struct hash_entry *e = hash_next(&h, NULL); e != NULL; e = next) {
        next = hash_next(&h, e);
        hash_remove(&h, e);
    }
    assert_int_equal(h.count, 0);
    assert_null(hash_next(&h, NULL));
    hash_done(&h);
    mem_free(items);
}

static void test_keys_are_bytes(void **state)
{
    (void)state;
    struct hash h;
    struct hash_entry a;
    struct hash_entry b;
    struct hash_entry c;
    hash_init(&h, 3);
    hash_put(&h, &a, span_of("x\0a", 3));
    hash_put(&h, &b, span_of("x\0b", 3));
    hash_put(&h, &c, span_of("", 0));
    assert_ptr_equal(hash_find(&h, span_of("x\0b", 3)), &b);
    assert_ptr_equal(hash_find(&h, span_of(NULL, 0)), &c);
    assert_null(hash_find(&h, span_of("x", 1)));
    hash_done(&h);
}

/* Short keys that differ in one letter must not pile up in a few buckets. */
static void test_spreads(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        unsigned used[256] = {0};
        unsigned most = 0;
        for (unsigned i = 0; i < 4096; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%04u", i);
            unsigned *n = &used[hash_bytes(span_str(key), seed) & 255];
            most = ++*n > most ? *n : most;
        }
        assert_true(most < 48); /* mean 16 */
    }
    assert_true(hash_bytes(span_str("a"), 1) != hash_bytes(span_str("a"), 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_agrees_with_a_model),
        cmocka_unit_test(test_everything_can_be_taken_out),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
