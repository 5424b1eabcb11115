/* JSON lines of changes: all or nothing, and whatever is accepted is a good change. */
#include "daemon/admin/append_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct append_lines lines = {0};
    struct fail f = {0};
    arena_init(&a);
    int r = append_json_parse(span_of((const char *)data, size), &a, &lines, &f);
    for (size_t i = 0; i < lines.count; i++) {
        if (r != 0 || change_check(&lines.changes[i], &f) != 0) {
            abort();
        }
    }
    arena_done(&a);
    return 0;
}
