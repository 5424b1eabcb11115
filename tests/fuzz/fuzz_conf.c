/* The configuration: whatever loads also prints, and what is printed loads. */
#include "daemon/conf/conf.h"
#include "daemon/conf/rule.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reload(const struct conf *c)
{
    struct buf text = {0};
    struct conf *again = NULL;
    struct fail f = {0};
    conf_print(c, &text);
    if (conf_parse(buf_view(&text), "printed", &again, &f) != 0) {
        abort();
    }
    conf_free(again);
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of((const char *)data, size);
    struct conf *c = NULL;
    struct fail f = {0};
    struct arena a;
    struct rule_file rules = {0};
    if (conf_parse(text, "fuzz", &c, &f) == 0) {
        reload(c);
        conf_free(c);
    }
    arena_init(&a);
    rule_file_parse(text, "fuzz", &a, &rules, &f);
    arena_done(&a);
    return 0;
}
