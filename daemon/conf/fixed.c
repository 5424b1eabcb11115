#include "daemon/conf/fixed.h"

#include "daemon/base/mem.h"

static char *keep(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

void conf_fixed_init(struct conf_fixed *fixed, const struct conf *at_start)
{
    *fixed = (struct conf_fixed){.instance = keep(at_start->instance),
                                 .admin_socket = keep(at_start->admin_socket),
                                 .admin_group = keep(at_start->admin_group),
                                 .log_format = at_start->log_format};
}

void conf_fixed_done(struct conf_fixed *fixed)
{
    mem_free(fixed->instance);
    mem_free(fixed->admin_socket);
    mem_free(fixed->admin_group);
    *fixed = (struct conf_fixed){0};
}

static bool is_other(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

size_t conf_fixed_changed(const struct conf_fixed *fixed, const struct conf *now,
                          const char *ret_names[CONF_FIXED_MAX])
{
    const struct {
        const char *name;
        bool is_other;
    } options[CONF_FIXED_MAX] = {
        {"instance", is_other(fixed->instance, now->instance)},
        {"admin.socket", is_other(fixed->admin_socket, now->admin_socket)},
        {"admin.group", is_other(fixed->admin_group, now->admin_group)},
        {"log.format", fixed->log_format != now->log_format},
    };
    size_t count = 0;
    for (size_t i = 0; i < CONF_FIXED_MAX; i++) {
        if (options[i].is_other) {
            ret_names[count++] = options[i].name;
        }
    }
    return count;
}
