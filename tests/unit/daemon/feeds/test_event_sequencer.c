/* Sequencers in a form in which byte order is the order of time. */
#include "daemon/base/buf.h"
#include "daemon/feeds/event.h"
#include "tests/unit/support/assert_span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void sequencers_in_normal_form(void **state)
{
    static const struct {
        enum event_source source;
        const char *text;
        const char *normal;
    } cases[] = {
        {EVENT_AWS, "0055AED6DCD90281E5", "0055AED6DCD90281E5"},
        {EVENT_AWS, "0055aed6dcd902810000", "0055AED6DCD90281"},
        {EVENT_BRIDGE, "00617F08299329D189", "00617F08299329D189"},
        {EVENT_MINIO, "17A5B0F2C3D4E500", "17A5B0F2C3D4E5"},
        {EVENT_MINIO, "FEDCBA987654321", "0FEDCBA987654321"}, /* before 2006: one digit less */
        {EVENT_MINIO, "-17A5B0F2C3D4E50", ""},
        {EVENT_MINIO, "117A5B0F2C3D4E500", ""},
        {EVENT_CEPH, "F7E6D75DC742D108", "5DD7E6F708D142C7"},
        {EVENT_CEPH, "0000000000000000", ""},
        {EVENT_CEPH, "F7E6D75DC742D1", ""},
        {EVENT_OSS, "0055AED6DCD90281E5", ""},
        {EVENT_AWS, "", ""},
        {EVENT_AWS, "12G4", ""},
        {EVENT_AWS, "11111111111111111111111111111111111111111111111111111111111111111", ""},
    };
    struct arena a;
    (void)state;
    arena_init(&a);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct span s = event_sequencer(cases[i].source, span_str(cases[i].text), &a);
        assert_span(s, cases[i].normal);
        assert_int_equal(s.ptr == NULL, cases[i].normal[0] == '\0');
    }
    arena_done(&a);
}

static struct span ceph_sequencer(struct arena *a, int64_t ns)
{
    uint32_t halves[2] = {(uint32_t)(ns / 1000000000), (uint32_t)(ns % 1000000000)};
    struct buf text = {0};
    for (int i = 0; i < 8; i++) {
        buf_printf(&text, "%02x", halves[i / 4] >> (i % 4 * 8) & 255);
    }
    struct span s = event_sequencer(EVENT_CEPH, buf_view(&text), a);
    buf_done(&text);
    return s;
}

static struct span minio_sequencer(struct arena *a, int64_t ns)
{
    char text[24];
    snprintf(text, sizeof(text), "%llX", (unsigned long long)ns);
    return event_sequencer(EVENT_MINIO, span_str(text), a);
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

/* Byte order of normal forms is the order of the times that they were made of. */
static void sequencers_order_as_time_does(void **state)
{
    struct arena a;
    uint64_t seed = 42;
    (void)state;
    arena_init(&a);
    for (int i = 0; i < 2000; i++) {
        int64_t t[2];
        for (int k = 0; k < 2; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            /* near each other or far, and with zeros at the end now and then */
            t[k] = 1153000000000000000 + (int64_t)(seed >> 40 << (seed >> 8 & 15));
        }
        int wanted = (t[0] > t[1]) - (t[0] < t[1]);
        assert_int_equal(sign(span_cmp(ceph_sequencer(&a, t[0]), ceph_sequencer(&a, t[1]))),
                         wanted);
        assert_int_equal(sign(span_cmp(minio_sequencer(&a, t[0]), minio_sequencer(&a, t[1]))),
                         wanted);
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequencers_in_normal_form),
        cmocka_unit_test(sequencers_order_as_time_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
