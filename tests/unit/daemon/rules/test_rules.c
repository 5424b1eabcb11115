/* Globs by vectors and against a slow, plain matcher; which keys a rule takes; overlaps. */
#include "daemon/base/loop.h"
#include "daemon/rules/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *pattern;
    const char *text;
    bool match;
} vectors[] = {
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "a.b", true},
    {"*", "a/b", false},
    {"**", "a/b", true},
    {"*.html", "x.html", true},
    {"*.html", "d/x.html", false},
    {"**.html", "d/e/x.html", true},
    {"**/*.html", "x.html", true},
    {"**/*.html", "d/e/x.html", true},
    {"**/x", "ax", false},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "a/xb", false},
    {"a/**", "a/", true},
    {"a/**", "a", false},
    {"?", "/", false},
    {"?", "x", true},
    {"a?c", "abc", true},
    {"[a-c]x", "bx", true},
    {"[!a-c]x", "bx", false},
    {"[!a-c]x", "dx", true},
    {"[!a]", "/", false},
    {"[]]", "]", true},
    {"[a-]", "-", true},
    {"[a", "[a", true},
    {"\\*", "*", true},
    {"\\*", "x", false},
    {"a\\", "a\\", true},
    {"*a*b*c", "xxaxxbxxbxc", true},
    {"*a*/b", "xaya/b", true},
    {"**a/**b*", "q/a/x/b/bz", true},
    {"***", "a/b", true},
    {"\xff*", "\xff\x01", true},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        if (rules_glob(span_str(vectors[i].pattern), span_str(vectors[i].text)) !=
            vectors[i].match) {
            fail_msg("\"%s\" on \"%s\"", vectors[i].pattern, vectors[i].text);
        }
    }
}

/* The same language by recursion, for stars, '?' and plain bytes. */
static bool plain(const char *start, const char *p, const char *t)
{
    if (*p == '\0') {
        return *t == '\0';
    }
    if (p[0] == '*' && p[1] == '*') {
        const char *rest = p + strspn(p, "*");
        if ((p == start || p[-1] == '/') && *rest == '/') {
            for (const char *at = t; at != NULL;
                 at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
                if (plain(start, rest + 1, at)) {
                    return true;
                }
            }
            return false;
        }
        for (const char *at = t;; at++) {
            if (plain(start, rest, at)) {
                return true;
            }
            if (*at == '\0') {
                return false;
            }
        }
    }
    if (*p == '*') {
        for (const char *at = t;; at++) {
            if (plain(start, p + 1, at)) {
                return true;
            }
            if (*at == '\0' || *at == '/') {
                return false;
            }
        }
    }
    return *t != '\0' && (*p == '?' ? *t != '/' : *p == *t) && plain(start, p + 1, t + 1);
}

static void random_text(struct loop *loop, const char *alphabet, size_t max, char *to)
{
    size_t n = (size_t)loop_random(loop, max);
    for (size_t i = 0; i < n; i++) {
        to[i] = alphabet[loop_random(loop, strlen(alphabet))];
    }
    to[n] = '\0';
}

static void test_against_plain_matcher(void **state)
{
    (void)state;
    const uint64_t seed = 20261124;
    struct loop *loop = loop_new_virtual(seed, 1);
    unsigned matches = 0;
    for (int i = 0; i < 100000; i++) {
        char pattern[16];
        char text[16];
        random_text(loop, "ab/**?", 10, pattern);
        random_text(loop, "aab/", 10, text);
        bool want = plain(pattern, pattern, text);
        matches += want;
        if (rules_glob(span_str(pattern), span_str(text)) != want) {
            fail_msg("seed %llu: \"%s\" on \"%s\"", (unsigned long long)seed, pattern, text);
        }
    }
    assert_true(matches > 1000);
    loop_free(loop);
}

static void test_no_pattern_is_slow(void **state)
{
    (void)state;
    char text[1025];
    memset(text, 'a', 1024);
    text[1024] = '\0';
    assert_false(rules_glob(span_str("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), span_str(text)));
    assert_false(rules_glob(span_str("**a**a**a**a**a*a*a**a**a**a**b"), span_str(text)));
}

static struct rule make(const char *name, const char *source, const char *destination,
                        struct arena *a)
{
    struct fail f = {0};
    struct rule rule;
    rule_init(&rule, a);
    assert_int_equal(rule_set(&rule, "name", span_str(name), a, &f), 0);
    assert_int_equal(rule_set(&rule, "source", span_str(source), a, &f), 0);
    assert_int_equal(rule_set(&rule, "destination", span_str(destination), a, &f), 0);
    return rule;
}

static void test_keys(void **state)
{
    (void)state;
    struct arena a;
    struct fail f = {0};
    arena_init(&a);
    struct rule r = make("r", "ep/in/raw/", "ep/out/x", &a);
    assert_int_equal(rule_set(&r, "include", span_str("**.html"), &a, &f), 0);
    assert_int_equal(rule_set(&r, "exclude", span_str("tmp/**"), &a, &f), 0);
    assert_true(rules_takes_key(&r, span_str("raw/a/b.html")));
    assert_false(rules_takes_key(&r, span_str("raw/tmp/b.html")));
    assert_false(rules_takes_key(&r, span_str("raw/a/b.txt")));
    assert_false(rules_takes_key(&r, span_str("ra")));
    struct span to = rules_map_key(&r, span_str("raw/a/b.html"), &a);
    assert_true(span_eq_str(to, "xa/b.html"));

    struct rule all = make("all", "ep/in", "ep/out", &a);
    assert_false(rules_takes_key(&all, span_str("_repl/watermark/x")));
    assert_true(rules_takes_key(&all, span_str("a/_repl/x")));
    assert_false(rules_takes_key(&all, span_str("")));
    struct rule whole = make("w", "ep/in/p", "ep/out", &a);
    assert_false(rules_takes_key(&whole, span_str("p")));
    assert_true(span_eq_str(rules_map_key(&whole, span_str("pq"), &a), "q"));

    /* Ours at the destination, whatever it is called at the source. */
    struct rule down = make("d", "ep/in/p/", "ep/out", &a);
    assert_false(rules_takes_key(&down, span_str("p/_repl/owner/d")));
    assert_true(rules_takes_key(&down, span_str("p/a/_repl/x")));
    struct rule half = make("h", "ep/in/p", "ep/out/_re", &a);
    assert_false(rules_takes_key(&half, span_str("ppl/x")));
    assert_true(rules_takes_key(&half, span_str("pplx")));
    arena_done(&a);
}

static void test_which_patterns_take_more(void **state)
{
    (void)state;
    static const struct {
        const char *before[2], *before_out[2], *now[2], *now_out[2];
        bool more;
    } cases[] = {
        {{NULL}, {NULL}, {NULL}, {NULL}, false},   {{"a"}, {NULL}, {"a"}, {NULL}, false},
        {{"a"}, {NULL}, {NULL}, {NULL}, true},     {{NULL}, {NULL}, {"a"}, {NULL}, false},
        {{"a"}, {NULL}, {"a", "b"}, {NULL}, true}, {{"a", "b"}, {NULL}, {"b"}, {NULL}, false},
        {{"a"}, {NULL}, {"b"}, {NULL}, true},      {{NULL}, {"x"}, {NULL}, {"x", "y"}, false},
        {{NULL}, {"x", "y"}, {NULL}, {"y"}, true}, {{NULL}, {"x"}, {"a"}, {NULL}, true},
        {{"a"}, {"x"}, {"a"}, {"x"}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rule before = {.include = (const char **)(uintptr_t)cases[i].before,
                              .exclude = (const char **)(uintptr_t)cases[i].before_out};
        struct rule now = {.include = (const char **)(uintptr_t)cases[i].now,
                           .exclude = (const char **)(uintptr_t)cases[i].now_out};
        for (int k = 0; k < 2; k++) {
            before.include_count += cases[i].before[k] != NULL;
            before.exclude_count += cases[i].before_out[k] != NULL;
            now.include_count += cases[i].now[k] != NULL;
            now.exclude_count += cases[i].now_out[k] != NULL;
        }
        if (rules_takes_more(&now, &before) != cases[i].more) {
            fail_msg("case %zu", i);
        }
    }
}

static void test_changes(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    struct rule r = make("r", "ep/in/raw/", "ep/out/", &a);
    struct change c = {.kind = CHANGE_PUT, .bucket = span_str("in"), .key = span_str("raw/x")};
    assert_true(rules_matches(&r, &c));
    c.endpoint = span_str("other");
    assert_false(rules_matches(&r, &c));
    c.endpoint = span_str("ep");
    assert_true(rules_matches(&r, &c));
    c.bucket = span_str("inn");
    assert_false(rules_matches(&r, &c));
    arena_done(&a);
}

static void test_overlap(void **state)
{
    (void)state;
    static const struct {
        const char *a[2];
        const char *b[2];
        bool conflict;
    } cases[] = {
        {{"e/s1", "h/d/x/"}, {"e/s2", "h/d/y/"}, false},
        {{"e/s1", "h/d/x/"}, {"e/s2", "h/d/x/y/"}, true},
        {{"e/s1", "h/d"}, {"e/s2", "h/d/x"}, true},
        {{"e/s1", "h/d"}, {"e/s2", "h/d2"}, false},
        {{"e/s1", "h/d"}, {"e/s2", "g/d"}, false},
        {{"e/s1/a/", "h/d/a"}, {"e/s2", "h/d/ab"}, true},
        {{"x/y", "h/q"}, {"h/d/in/", "h/d/out/"}, false},
        {{"x/y", "h/q"}, {"h/d/in/", "h/d/in/out/"}, true},
        {{"x/y", "h/q"}, {"h/d/in/", "h/d"}, true},
        {{"x/y", "h/q"}, {"h/d/in/", "h-again/d/in/x/"}, true},
        {{"e/s1", "h/d/x/"}, {"e/s2", "h-again/d/x/"}, true},
        {{"e/s1", "h/d/x/"}, {"e/s2", "h-other/d/x/"}, false},
    };
    struct conf_endpoint endpoints[] = {{.name = "h", .url = "https://rgw.example.com:443/"},
                                        {.name = "h-again", .url = "https://RGW.example.com"},
                                        {.name = "h-other", .url = "https://rgw.example.com:8443"}};
    struct conf conf = {.endpoints = endpoints, .endpoint_count = 3};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a;
        struct fail f = {0};
        arena_init(&a);
        struct rule first = make("first", cases[i].a[0], cases[i].a[1], &a);
        struct rule second = make("second", cases[i].b[0], cases[i].b[1], &a);
        int r = rules_check_overlap(&second, &first, 1, &conf, &f);
        if (r != (cases[i].conflict ? REPL_ECONFLICT : 0)) {
            fail_msg("case %zu gives %d: %s", i, r, f.text);
        }
        assert_int_equal(rules_check_overlap(&first, &first, 1, &conf, &f), 0);
        arena_done(&a);
    }
}

static const struct rule *rule_of(struct rule *r, const char *name, const char *from,
                                  const char *to, bool two_way, struct arena *a)
{
    *r = make(name, from, to, a);
    r->two_way = two_way;
    r->marker = true;
    return r;
}

static void test_circles(void **state)
{
    (void)state;
    static const struct {
        const char *rules[3][2]; /* the last one is added */
        bool two_way;
        bool conflict;
    } cases[] = {
        {{{"e/a", "h/b"}, {"h/b", "e/a"}}, true, false},
        {{{"e/a", "h/b"}, {"h/b", "e/a"}}, false, true},
        {{{"e/a/x/", "h/b/y/"}, {"h/b/y/", "e/a/x/"}}, true, false},
        {{{"e/a/x/", "h/b/y/"}, {"h-again/b/y/", "e/a/x/"}}, true, false},
        {{{"e/a/x/", "h/b/y/"}, {"h/b/y/z/", "e/a/x/z/"}}, true, true},
        {{{"e/a/x/", "h/b/y/"}, {"h/b/y/", "e/a/x/z/"}}, true, true},
        {{{"e/a/x/", "h/b/y/"}, {"h/b/", "e/a/"}}, true, true},
        {{{"e/a/x/", "h/b/y/"}, {"h/b/z/", "e/a/x/"}}, true, false},
        {{{"e/a", "h/b"}, {"h/b", "g/c"}, {"g/c", "e/a"}}, true, true},
        {{{"e/a", "h/b"}, {"h/b", "g/c"}, {"g/c", "e/d"}}, true, false},
        {{{"e/a", "h/b"}, {"h/b", "e/a"}, {"h/b", "g/c"}}, true, false},
        {{{"e/a", "h/b"}, {"g/c", "e/a"}, {"h/b", "g/c"}}, true, true},
    };
    struct conf_endpoint endpoints[] = {{.name = "h", .url = "https://rgw.example.com:443/"},
                                        {.name = "h-again", .url = "https://RGW.example.com"}};
    struct conf conf = {.endpoints = endpoints, .endpoint_count = 2};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const char *const names[] = {"one", "two", "three"};
        struct arena a;
        struct fail f = {0};
        struct rule rules[3];
        size_t n = 0;
        arena_init(&a);
        while (n < 3 && cases[i].rules[n][0] != NULL) {
            rule_of(&rules[n], names[n], cases[i].rules[n][0], cases[i].rules[n][1],
                    cases[i].two_way, &a);
            n++;
        }
        int r = rules_check_circle(&rules[n - 1], rules, n, &conf, &f);
        if (r != (cases[i].conflict ? REPL_ECONFLICT : 0)) {
            fail_msg("case %zu gives %d: %s", i, r, f.text);
        }
        arena_done(&a);
    }
}

static void test_two_way_needs_the_marker_and_both(void **state)
{
    (void)state;
    struct arena a;
    struct fail f = {0};
    struct conf conf = {0};
    struct rule one, two;
    arena_init(&a);
    rule_of(&one, "one", "e/a", "h/b", false, &a);
    rule_of(&two, "two", "h/b", "e/a", true, &a);
    assert_int_equal(rules_check_circle(&two, &one, 1, &conf, &f), REPL_ECONFLICT);
    assert_non_null(strstr(f.text, "one does not"));
    one.two_way = true;
    assert_int_equal(rules_check_circle(&two, &one, 1, &conf, &f), 0);
    two.versions = RULE_VERSIONS_ALL;
    assert_int_equal(rules_check_circle(&two, &one, 1, &conf, &f), REPL_ECONFLICT);
    assert_non_null(strstr(f.text, "two_way does not go with versions: all"));
    two.versions = RULE_VERSIONS_LATEST;
    two.marker = false;
    assert_int_equal(rules_check_circle(&two, &one, 1, &conf, &f), REPL_ECONFLICT);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_against_plain_matcher),
        cmocka_unit_test(test_no_pattern_is_slow),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_which_patterns_take_more),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_circles),
        cmocka_unit_test(test_two_way_needs_the_marker_and_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
