/* Which address the next connection takes. */
#include "transfer/net/addr.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE 60000

static union addr make(const char *text)
{
    union addr a = {0};
    bool is_v6 = strchr(text, ':') != NULL;
    a.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
    void *to = is_v6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr;
    assert_int_equal(inet_pton(a.any.sa_family, text, to), 1);
    return a;
}

static void name(struct addr_set *s, const char *text, uint64_t now_ms)
{
    union addr a = make(text);
    addr_named(s, &a, now_ms);
}

static void falter(struct addr_set *s, const char *text, uint64_t now_ms)
{
    union addr a = make(text);
    addr_failed(s, &a, now_ms);
}

static void assert_takes(struct addr_set *s, const char *avoid, const char *wanted, uint64_t now_ms)
{
    union addr shunned = make(avoid != NULL ? avoid : "0.0.0.0");
    char text[INET6_ADDRSTRLEN];
    const union addr *a = addr_take(s, avoid != NULL ? addr_tag(&shunned) : 0, now_ms);
    assert_non_null(a);
    addr_print(a, text);
    assert_string_equal(text, wanted);
}

static void connections_are_spread_over_all(void **state)
{
    (void)state;
    struct addr_set s = {0};
    assert_null(addr_take(&s, 0, 1));
    name(&s, "192.0.2.1", 1);
    name(&s, "2001:db8::1", 1);
    name(&s, "192.0.2.2", 1);
    for (int i = 0; i < 3; i++) { /* all in one turn of the loop */
        assert_takes(&s, NULL, "192.0.2.1", 1);
        assert_takes(&s, NULL, "2001:db8::1", 1);
        assert_takes(&s, NULL, "192.0.2.2", 1);
    }
    name(&s, "192.0.2.3", 2); /* a new one is first */
    assert_takes(&s, NULL, "192.0.2.3", 2);
    assert_takes(&s, NULL, "192.0.2.1", 2);
}

static void names_are_kept_five_minutes(void **state)
{
    (void)state;
    struct addr_set s = {0};
    name(&s, "192.0.2.1", 1);
    for (uint64_t t = 1; t < 1 + ADDR_KEEP_MS; t += 30000) {
        name(&s, "192.0.2.2", t);
        addr_answered(&s, t);
        assert_int_equal(s.count, 2);
    }
    name(&s, "192.0.2.2", 1 + ADDR_KEEP_MS);
    addr_answered(&s, 1 + ADDR_KEEP_MS);
    assert_int_equal(s.count, 1);
    /* No answer, and nothing is forgotten. */
    assert_takes(&s, NULL, "192.0.2.2", 100 * ADDR_KEEP_MS);
}

static void two_failures_bench_for_a_minute(void **state)
{
    (void)state;
    struct addr_set s = {0};
    name(&s, "192.0.2.1", 1);
    name(&s, "192.0.2.2", 1);
    falter(&s, "192.0.2.1", 1000);
    assert_takes(&s, NULL, "192.0.2.1", 1000); /* one is no reason */
    falter(&s, "192.0.2.1", 1000 + MINUTE);
    for (uint64_t t = 1000 + MINUTE; t < 1000 + 2 * MINUTE; t += 1000) {
        assert_takes(&s, NULL, "192.0.2.2", t);
    }
    assert_takes(&s, NULL, "192.0.2.1", 1000 + 2 * MINUTE);
}

static void failures_far_apart_do_not_bench(void **state)
{
    (void)state;
    struct addr_set s = {0};
    name(&s, "192.0.2.1", 1);
    name(&s, "192.0.2.2", 1);
    for (uint64_t t = 1000; t < 20 * MINUTE; t += MINUTE + 1) {
        falter(&s, "192.0.2.1", t);
        assert_takes(&s, NULL, "192.0.2.1", t);
        assert_takes(&s, NULL, "192.0.2.2", t);
    }
}

static void one_is_let_back_when_all_are_benched(void **state)
{
    (void)state;
    struct addr_set s = {0};
    static const char *const names[] = {"192.0.2.1", "192.0.2.2"};
    for (size_t i = 0; i < 2; i++) {
        name(&s, names[i], 1);
        falter(&s, names[i], 1000 + i);
        falter(&s, names[i], 1000 + i);
    }
    assert_takes(&s, NULL, "192.0.2.1", 2000); /* its minute ends first */
    assert_takes(&s, NULL, "192.0.2.1", 2000); /* it is the only good one now */
    falter(&s, "192.0.2.1", 3000);
    falter(&s, "192.0.2.1", 3000);
    assert_takes(&s, NULL, "192.0.2.2", 3000);
}

static void retry_goes_elsewhere_while_there_is_an_elsewhere(void **state)
{
    (void)state;
    struct addr_set s = {0};
    union addr first = make("192.0.2.1");
    name(&s, "192.0.2.1", 1);
    assert_takes(&s, "192.0.2.1", "192.0.2.1", 1); /* nothing else is known */
    assert_false(addr_has_other(&s, addr_tag(&first)));
    name(&s, "2001:db8::1", 1);
    assert_true(addr_has_other(&s, addr_tag(&first)));
    assert_takes(&s, "192.0.2.1", "2001:db8::1", 2);
    assert_takes(&s, "192.0.2.1", "2001:db8::1", 2);
    falter(&s, "2001:db8::1", 3);
    falter(&s, "2001:db8::1", 3);
    assert_takes(&s, "192.0.2.1", "2001:db8::1", 4); /* even a benched one */
    assert_takes(&s, "203.0.113.9", "192.0.2.1", 5); /* one that is not ours is no matter */
}

static void set_is_bounded(void **state)
{
    (void)state;
    struct addr_set s = {0};
    char text[32];
    for (unsigned i = 0; i < 3 * ADDR_MAX; i++) {
        snprintf(text, sizeof(text), "198.51.%u.%u", i / 200, i % 200);
        name(&s, text, 1 + i);
    }
    assert_int_equal(s.count, ADDR_MAX);
    union addr last = make(text);
    bool found = false;
    for (size_t i = 0; i < s.count; i++) {
        found = found || addr_eq(&s.entries[i].addr, &last);
        assert_true(s.entries[i].named_ms > 2 * ADDR_MAX); /* the oldest went */
    }
    assert_true(found);
}

static void addresses_are_compared_without_port(void **state)
{
    (void)state;
    union addr a = make("192.0.2.1");
    union addr b = make("192.0.2.1");
    union addr c = make("::ffff:192.0.2.1");
    union addr none = {0};
    b.v4.sin_port = htons(443);
    assert_true(addr_eq(&a, &b));
    assert_false(addr_eq(&a, &c));
    assert_false(addr_eq(&a, &none));
    c.v6.sin6_scope_id = 2;
    union addr d = make("::ffff:192.0.2.1");
    assert_false(addr_eq(&c, &d));
    assert_true(addr_tag(&a) == addr_tag(&b));
    assert_false(addr_tag(&a) == addr_tag(&d));
    assert_false(addr_tag(&c) == addr_tag(&d));
}

/* Whatever happens, a taken address is a known one, never the one to be avoided while another is
 * known, and never a benched one beside a good one. */
static void any_history_keeps_the_rules(void **state)
{
    (void)state;
    static const char *const names[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::4"};
    unsigned seed = 20261124;
    struct addr_set s = {0};
    uint64_t now = 1;
    for (int i = 0; i < 20000; i++) {
        const char *which = names[rand_r(&seed) % 4];
        union addr a = make(which);
        now += (uint64_t)(rand_r(&seed) % 20000);
        switch (rand_r(&seed) % 4) {
        case 0:
            addr_named(&s, &a, now);
            break;
        case 1:
            addr_failed(&s, &a, now);
            break;
        case 2:
            addr_answered(&s, now);
            break;
        default:
            break;
        }
        struct addr_set before = s;
        const union addr *taken = addr_take(&s, addr_tag(&a), now);
        assert_int_equal(taken == NULL, before.count == 0);
        bool good_elsewhere = false;
        bool was_benched = false;
        for (size_t j = 0; j < before.count; j++) {
            const struct addr_entry *e = &before.entries[j];
            bool benched = e->benched_until_ms > now;
            good_elsewhere = good_elsewhere || (!benched && !addr_eq(&e->addr, &a));
            was_benched = was_benched || (benched && addr_eq(&e->addr, taken));
        }
        if (taken != NULL && addr_eq(taken, &a)) {
            assert_false(addr_has_other(&before, addr_tag(&a)));
        }
        assert_false(good_elsewhere && was_benched);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_spread_over_all),
        cmocka_unit_test(names_are_kept_five_minutes),
        cmocka_unit_test(two_failures_bench_for_a_minute),
        cmocka_unit_test(failures_far_apart_do_not_bench),
        cmocka_unit_test(one_is_let_back_when_all_are_benched),
        cmocka_unit_test(retry_goes_elsewhere_while_there_is_an_elsewhere),
        cmocka_unit_test(set_is_bounded),
        cmocka_unit_test(addresses_are_compared_without_port),
        cmocka_unit_test(any_history_keeps_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
