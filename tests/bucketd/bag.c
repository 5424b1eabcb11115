#include "tests/bucketd/bag.h"

void bag_add(struct bag *bag, struct span name, struct span value)
{
    buf_span(&bag->bytes, name);
    buf_char(&bag->bytes, '\0');
    buf_span(&bag->bytes, value);
    buf_char(&bag->bytes, '\0');
    bag->count++;
}

bool bag_next(const struct bag *bag, size_t *pos, const char **ret_name, const char **ret_value)
{
    if (*pos >= bag->bytes.len) {
        return false;
    }
    *ret_name = bag->bytes.data + *pos;
    *ret_value = *ret_name + strlen(*ret_name) + 1;
    *pos += strlen(*ret_name) + strlen(*ret_value) + 2;
    return true;
}

const char *bag_find(const struct bag *bag, const char *name)
{
    const char *found, *value;
    for (size_t pos = 0; bag_next(bag, &pos, &found, &value);) {
        if (strcmp(found, name) == 0) {
            return value;
        }
    }
    return NULL;
}

void bag_copy(struct bag *to, const struct bag *from)
{
    *to = (struct bag){.count = from->count};
    buf_span(&to->bytes, buf_view(&from->bytes));
}

void bag_done(struct bag *bag)
{
    buf_done(&bag->bytes);
    bag->count = 0;
}
