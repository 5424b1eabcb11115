#include "cli/commands.h"
#include "cli/text.h"
#include "daemon/base/loop.h"

#include <stdio.h>

static int read_until(const char *text, int64_t *ret)
{
    *ret = 0;
    return text == NULL || strcmp(text, "now") == 0 ? 0 : time_parse(text, strlen(text), ret);
}

static void number(struct buf *query, const char *name, uint64_t value)
{
    buf_printf(query, "&%s=%llu", name, (unsigned long long)value);
}

static void print_reached(const char *rule, const struct cli_args *args, const json_t *answer)
{
    const char *prefix = cli_args_get(args, "prefix");
    bool proven = cli_args_has(args, "proven");
    if (prefix != NULL) {
        printf("%s: what begins with %s is at the destination\n", rule, prefix);
        return;
    }
    if (proven) {
        printf("%s: a complete scan has confirmed everything up to %s\n", rule,
               cli_text(answer, "proven"));
        return;
    }
    const char *existing = cli_text(answer, "existing");
    printf("%s: everything up to %s is at the destination\n", rule, cli_text(answer, "watermark"));
    if (existing[0] != '\0') {
        printf("%s: existing objects were not waited for: %s; --existing waits for them too\n",
               rule, existing);
    }
}

int run_wait(struct cli *c, const struct cli_args *args)
{
    int64_t until = 0;
    uint64_t timeout = 0;
    const char *timeout_text = cli_args_get(args, "timeout");
    if (read_until(cli_args_get(args, "until"), &until) != 0 || until < 0) {
        return cli_usage(c, "--until: write now, or a time such as 2026-11-23T10:20:30Z");
    }
    if (timeout_text != NULL && text_parse_timeout(timeout_text, &timeout) != 0) {
        return cli_usage(c, "--timeout: write seconds, or a duration such as 10min");
    }
    /* The daemon takes 0 for no limit. */
    timeout = timeout_text != NULL && timeout == 0 ? 1 : timeout;
    struct buf query = {0};
    cli_query(&query, "rule", args->words[0]);
    number(&query, "until_ms", (uint64_t)until);
    number(&query, "timeout_ms", timeout);
    cli_query(&query, "existing", cli_args_has(args, "existing") ? "1" : NULL);
    cli_query(&query, "prefix", cli_args_get(args, "prefix"));
    cli_query(&query, "proven", cli_args_has(args, "proven") ? "1" : NULL);
    json_t *answer = NULL;
    int code = cli_call(c, PROTO_WAIT, buf_cstr(&query), span_str(""), &answer, NULL);
    if (answer != NULL) {
        print_reached(args->words[0], args, answer);
        json_decref(answer);
    }
    buf_done(&query);
    return code;
}

int run_reload(struct cli *c, const struct cli_args *args)
{
    (void)args;
    return cli_call(c, PROTO_RELOAD, NULL, span_str(""), NULL, "configuration was read again");
}
