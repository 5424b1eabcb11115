/* Answers of servers: any bytes may come. */
#include "transfer/store/uri.h"
#include "transfer/store/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *arg, const char *path, struct span text)
{
    size_t *n = arg;
    *n += strlen(path) + text.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct xml_handler handler = {.end = count};
    struct span text = span_of((const char *)data, size);
    struct xml_error e;
    struct arena a;
    struct buf b;
    size_t n = 0;
    xml_parse(text, &handler, &n);
    xml_read_error(text, &e);
    arena_init(&a);
    buf_init(&b, 0);
    uri_decode(&a, text);
    if (xml_can_carry(text)) {
        xml_element(&b, "Key", text);
        if (xml_parse(buf_view(&b), &handler, &n) != 0) {
            __builtin_trap(); /* what we write must be readable */
        }
    }
    buf_done(&b);
    arena_done(&a);
    return 0;
}
