/* Rules as JSON: whatever is read is written, and reads the same again. The patterns of a rule are
 * tried on its name. */
#include "daemon/rules/rules.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct rule *rule)
{
    struct arena a;
    struct rule copy = {0};
    struct fail f = {0};
    struct buf first = {0};
    struct buf second = {0};
    arena_init(&a);
    rule_to_json(rule, &first);
    if (rule_from_json(buf_view(&first), &a, &copy, &f) != 0) {
        abort();
    }
    rule_to_json(&copy, &second);
    if (!span_eq(buf_view(&first), buf_view(&second))) {
        abort();
    }
    buf_done(&first);
    buf_done(&second);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct rule rule = {0};
    struct fail f = {0};
    arena_init(&a);
    if (rule_from_json(span_of((const char *)data, size), &a, &rule, &f) == 0) {
        again(&rule);
        rules_takes_key(&rule, span_str(rule.name));
    }
    arena_done(&a);
    return 0;
}
