#include "cli/commands.h"
#include "cli/table.h"

#include <stdio.h>

static void print_history(const json_t *rule)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(rule, "history"), i, entry)
    {
        const char *failure = cli_text(json_object_get(entry, "failure"), "text");
        cli_say("    %s %s%s%s", cli_text(entry, "at"), cli_text(entry, "outcome"),
                failure[0] != '\0' ? ": " : "", failure);
    }
}

static void print_rule(const json_t *rule)
{
    cli_say("  %s: %s", cli_text(rule, "rule"), cli_text(rule, "sentence"));
    const json_t *task = json_object_get(rule, "task");
    const json_t *failure = json_object_get(task, "failure");
    if (task != NULL) {
        printf("    %s of %s, accepted %s, attempts %lld\n", cli_text(task, "kind"),
               cli_text(task, "event_time"), cli_text(task, "accepted"),
               cli_number(task, "attempts"));
    }
    if (cli_text(failure, "hint")[0] != '\0') {
        cli_say("    hint: %s", cli_text(failure, "hint"));
    }
    print_history(rule);
}

/* Those that do not take the key say nothing of interest, unless none takes it. */
static size_t print_some(const json_t *rules, bool all)
{
    size_t i;
    size_t shown = 0;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        if (all || strcmp(cli_text(rule, "state"), "not taken") != 0) {
            print_rule(rule);
            shown++;
        }
    }
    return shown;
}

static void print_rules(const json_t *answer, bool all)
{
    const json_t *rules = json_object_get(answer, "rules");
    if (print_some(rules, all) == 0) {
        puts("  no rule takes this key; replctl rule list shows sources and prefixes");
        print_some(rules, true);
    }
}

int run_explain(struct cli *c, const struct cli_args *args)
{
    struct buf query = {0};
    struct buf key = {0};
    json_t *answer = NULL;
    bool one = args->word_count == 2;
    cli_query(&query, "rule", one ? args->words[0] : NULL);
    cli_query(&query, "key", args->words[one ? 1 : 0]);
    int code = cli_call(c, PROTO_EXPLAIN, buf_cstr(&query), span_str(""), &answer, NULL);
    if (answer != NULL) {
        table_escape(span_str(args->words[one ? 1 : 0]), &key);
        puts(buf_cstr(&key));
        print_rules(answer, one);
        json_decref(answer);
    }
    buf_done(&key);
    buf_done(&query);
    return code;
}
