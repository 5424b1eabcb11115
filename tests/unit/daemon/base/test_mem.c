#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>

static bool is_zero(const void *ptr, size_t len)
{
    const unsigned char *bytes = ptr;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_allocations_are_zeroed(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size += 7) {
        void *ptr = mem_alloc(size);
        assert_true(is_zero(ptr, size));
        memset(ptr, 0xff, size);
        mem_free(ptr);
    }
    uint64_t *array = mem_array(100, sizeof(uint64_t));
    assert_true(is_zero(array, 800));
    mem_free(array);
    void *nothing = mem_array(0, 8);
    assert_non_null(nothing);
    nothing = mem_realloc(nothing, 0);
    assert_non_null(nothing);
    mem_free(nothing);
    mem_free(NULL);
}

static void test_text(void **state)
{
    (void)state;
    char *text = mem_printf("%s-%d", "lane", 3);
    assert_string_equal(text, "lane-3");
    char *copy = mem_strdup(text);
    mem_free(text);
    assert_string_equal(copy, "lane-3");
    mem_free(copy);
    char *part = mem_dup_span(span_of("abcdef", 3));
    assert_string_equal(part, "abc");
    mem_free(part);
    char *empty = mem_dup_span(span_of("", 0));
    assert_string_equal(empty, "");
    mem_free(empty);
    assert_null(mem_dup_span(span_of(NULL, 0)));
}

static void test_arena_done_at_once_is_fine(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    arena_done(&a);
    arena_done(&a);
}

/* Each piece is filled with its number; none may touch another. */
static void test_arena_pieces_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct arena a;
    unsigned char *pieces[COUNT];
    size_t sizes[COUNT];
    arena_init(&a);
    for (unsigned i = 0; i < COUNT; i++) {
        sizes[i] = i % 50 == 0 ? 1 + (i * 37) % 20000 : 1 + (i * 13) % 97;
        pieces[i] = arena_alloc(&a, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        assert_true(is_zero(pieces[i], sizes[i]));
        memset(pieces[i], (int)(i % 255) + 1, sizes[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_int_equal(pieces[i][k], (int)(i % 255) + 1);
        }
    }
    arena_done(&a);
}

static void test_arena_copies(void **state)
{
    (void)state;
    struct arena a;
    char big[9000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    arena_init(&a);
    struct span s = arena_span(&a, span_of("a\0b", 3));
    assert_true(span_eq(s, span_of("a\0b", 3)));
    assert_int_equal(s.ptr[3], 0);
    assert_true(arena_span(&a, span_of(NULL, 0)).ptr == NULL);
    assert_non_null(arena_span(&a, span_of("", 0)).ptr);
    assert_string_equal(arena_strdup(&a, big), big);
    assert_string_equal(arena_printf(&a, "%s|%d", big, 5) + sizeof(big) - 1, "|5");
    assert_string_equal(arena_strdup(&a, ""), "");
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_zeroed),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_arena_done_at_once_is_fine),
        cmocka_unit_test(test_arena_pieces_do_not_overlap),
        cmocka_unit_test(test_arena_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
