#include "cli/commands.h"
#include "cli/table.h"
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

/* ---- one wait in two: a short one, and when more is to come, a word about it ---- */

#define QUIET_MS 3000 /* after which it says what it waits for */

struct waiting {
    struct cli *cli;
    const struct cli_args *args;
    int64_t until_ms; /* by repld's clock */
};

static int ask_lag(const struct waiting *w, json_t **ret_answer, struct fail *f)
{
    struct buf query = {0};
    cli_query(&query, "rule", w->args->words[0]);
    int r = cli_ask(w->cli, PROTO_LAG, buf_cstr(&query), span_str(""), ret_answer, f);
    buf_done(&query);
    return r;
}

/* "now" is one moment for both. */
static int fix_now(struct waiting *w, struct fail *f)
{
    json_t *answer = NULL;
    int r = ask_lag(w, &answer, f);
    const json_t *rule = json_array_get(json_object_get(answer, "rules"), 0);
    w->until_ms = w->until_ms != 0 ? w->until_ms : cli_number(rule, "now_ms");
    json_decref(answer);
    return r;
}

static int wait_once(const struct waiting *w, uint64_t timeout_ms, json_t **ret_answer,
                     struct fail *f)
{
    struct buf query = {0};
    cli_query(&query, "rule", w->args->words[0]);
    number(&query, "until_ms", (uint64_t)w->until_ms);
    number(&query, "timeout_ms", timeout_ms);
    cli_query(&query, "existing", cli_args_has(w->args, "existing") ? "1" : NULL);
    cli_query(&query, "prefix", cli_args_get(w->args, "prefix"));
    cli_query(&query, "proven", cli_args_has(w->args, "proven") ? "1" : NULL);
    int r = cli_ask(w->cli, PROTO_WAIT, buf_cstr(&query), span_str(""), ret_answer, f);
    buf_done(&query);
    return r;
}

/* On standard error, so that scripts read the result alone. */
static void say_what_for(const struct waiting *w, const struct fail *f)
{
    if (!w->cli->json) {
        struct buf text = {0};
        table_escape(span_str(f->text), &text);
        fprintf(stderr, "replctl: waiting: %s\n", buf_cstr(&text));
        buf_done(&text);
    }
}

static int wait_for(struct waiting *w, uint64_t timeout_ms, json_t **ret_answer, struct fail *f)
{
    bool is_long = timeout_ms == 0 || timeout_ms > QUIET_MS;
    int r = fix_now(w, f);
    if (r == 0) {
        r = wait_once(w, is_long ? QUIET_MS : timeout_ms, ret_answer, f);
    }
    if (r != 0 && f->http_status == 504 && is_long) {
        say_what_for(w, f);
        r = wait_once(w, timeout_ms == 0 ? 0 : timeout_ms - QUIET_MS, ret_answer, f);
    }
    return r;
}

int run_wait(struct cli *c, const struct cli_args *args)
{
    struct waiting w = {.cli = c, .args = args};
    struct fail f = {0};
    uint64_t timeout = 0;
    json_t *answer = NULL;
    const char *timeout_text = cli_args_get(args, "timeout");
    if (read_until(cli_args_get(args, "until"), &w.until_ms) != 0 || w.until_ms < 0) {
        return cli_usage(c, "--until: write now, or a time such as 2026-11-23T10:20:30Z");
    }
    if (timeout_text != NULL && text_parse_timeout(timeout_text, &timeout) != 0) {
        return cli_usage(c, "--timeout: write seconds, or a duration such as 10min");
    }
    /* The daemon takes 0 for no limit. */
    timeout = timeout_text != NULL && timeout == 0 ? 1 : timeout;
    if (wait_for(&w, timeout, &answer, &f) != 0) {
        return cli_fail(c, &f);
    }
    cli_warn(answer);
    if (c->json) {
        cli_print(answer);
    } else {
        print_reached(args->words[0], args, answer);
    }
    json_decref(answer);
    return CLI_DONE;
}

static void warn_of_restart(const json_t *names)
{
    struct buf text = {0};
    for (size_t i = 0; i < json_array_size(names); i++) {
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(names, i)));
    }
    if (text.len > 0) {
        cli_warn_that("systemctl restart repld", "%s changed, which needs a restart",
                      buf_cstr(&text));
    }
    buf_done(&text);
}

int run_reload(struct cli *c, const struct cli_args *args)
{
    (void)args;
    struct fail f = {0};
    json_t *answer = NULL;
    if (cli_ask(c, PROTO_RELOAD, NULL, span_str(""), &answer, &f) != 0) {
        return cli_fail(c, &f);
    }
    if (c->json) {
        cli_print(answer);
    } else {
        puts("configuration was read again");
    }
    warn_of_restart(json_object_get(answer, "restart"));
    json_decref(answer);
    return CLI_DONE;
}
