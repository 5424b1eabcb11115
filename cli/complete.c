/* complete: what may stand at the end of a command line, for the completion of shells. The table of
 * commands is all that it knows; names of rules, feeds and endpoints are asked of repld. A line
 * each; ":file" and ":folder" leave it to the shell. */
#include "cli/commands.h"

#include <ctype.h>
#include <stdio.h>

struct completion {
    const struct cli *cli;
    const struct cli_command *command; /* NULL: not known yet */
    size_t at;                         /* the how manieth positional argument is being written */
    const struct cli_option *option;   /* whose value is being written; NULL = none */
    const char *word;                  /* the start of it */
};

static void offer(const struct completion *c, const char *candidate)
{
    if (candidate[0] != '\0' && strncmp(candidate, c->word, strlen(c->word)) == 0) {
        puts(candidate);
    }
}

/* ---- names that repld knows ---- */

static const struct {
    const char *called; /* in usages and options */
    enum proto_id id;
    const char *list;
    const char *member; /* of the entry, or of its member "rule" */
} names[] = {
    {"RULE", PROTO_RULES, "rules", "name"},
    {"FEED", PROTO_FEEDS, "feeds", "feed"},
    {"ENDPOINT", PROTO_STATUS, "endpoints", "name"},
};

/* Nothing when repld does not answer. Of "webhook:minio" the name alone: shells cut words at ':'.
 */
static void offer_list(const struct completion *c, size_t which)
{
    struct fail ignored = {0};
    json_t *answer = NULL;
    size_t i;
    json_t *row;
    if (cli_ask(c->cli, names[which].id, NULL, span_str(""), &answer, &ignored) != 0) {
        return;
    }
    json_array_foreach(json_object_get(answer, names[which].list), i, row)
    {
        const json_t *rule = json_object_get(row, "rule");
        const char *name = cli_text(json_is_object(rule) ? rule : row, names[which].member);
        const char *colon = strchr(name, ':');
        offer(c, colon != NULL ? colon + 1 : name);
    }
    json_decref(answer);
}

/* What a value or argument is called says what it is. */
static void offer_called(const struct completion *c, struct span called)
{
    static const char *const files[] = {"FILE", "MANIFEST"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (span_eq_str(called, files[i])) {
            puts(":file");
        }
    }
    if (span_eq_str(called, "FOLDER")) {
        puts(":folder");
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_eq_str(called, names[i].called)) {
            offer_list(c, i);
        }
    }
}

/* ---- options, their values, arguments, commands ---- */

/* "off|once|every DURATION": the words in small letters. */
static void offer_value(const struct completion *c)
{
    struct span rest = span_str(c->option->value);
    while (rest.ptr != NULL) {
        struct span tail = span_cut(&rest, '|');
        struct span word = span_cut(&tail, ' ');
        if (word.len > 0 && islower((unsigned char)word.ptr[0])) {
            char text[40];
            snprintf(text, sizeof(text), "%.*s", SPAN_ARG(word));
            offer(c, text);
        } else {
            offer_called(c, word);
        }
    }
}

static void offer_options(const struct completion *c)
{
    const struct cli_option *tables[] = {c->command != NULL ? c->command->options : NULL,
                                         cli_global_options};
    for (size_t i = 0; i < 2; i++) {
        for (const struct cli_option *o = tables[i]; o != NULL && o->name != NULL; o++) {
            char text[64];
            snprintf(text, sizeof(text), "--%s", o->help != NULL ? o->name : "");
            if (o->help != NULL) {
                offer(c, text);
            }
        }
    }
}

/* The arguments are called as in the usage: "ENDPOINT PATH", "[RULE] KEY". */
static void offer_argument(const struct completion *c)
{
    struct span rest = span_str(c->command->usage);
    for (size_t at = 0; rest.ptr != NULL; at++) {
        struct span called = span_cut(&rest, ' ');
        if (called.len > 2 && called.ptr[0] == '[') {
            called = span_of(called.ptr + 1, called.len - 2);
        }
        if (at == c->at) {
            offer_called(c, called);
        }
    }
}

static void offer_commands(const struct completion *c, const char *group)
{
    char last[40] = "";
    for (const struct cli_command *known = cli_commands; known->words != NULL; known++) {
        char text[40];
        const char *word = known->words + (group[0] != '\0' ? strlen(group) + 1 : 0);
        if (!cli_is_in_group(known, group)) {
            continue;
        }
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(word, " "), word);
        if (strcmp(text, last) != 0) {
            offer(c, text);
        }
        snprintf(last, sizeof(last), "%s", text);
    }
}

/* ---- the line so far ---- */

static const struct cli_option *find_option(const struct cli_command *command, const char *written)
{
    const struct cli_option *tables[] = {command != NULL ? command->options : NULL,
                                         cli_global_options};
    for (size_t i = 0; i < 2; i++) {
        for (const struct cli_option *o = tables[i]; o != NULL && o->name != NULL; o++) {
            bool is_letter = written[0] == '-' && written[1] == cli_option_letter(o);
            if (is_letter ? written[2] == '\0'
                          : !strncmp(written, "--", 2) && !strcmp(written + 2, o->name)) {
                return o;
            }
        }
    }
    return NULL;
}

/* Passes over what stands before the last word; the count of command words and arguments. */
static size_t read_line(struct completion *c, size_t count, const char *const *words)
{
    size_t plain = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        const struct cli_option *o = find_option(c->command, words[i]);
        bool takes = o != NULL && o->value != NULL;
        c->option = takes && i + 2 == count ? o : NULL;
        i += takes ? 1 : 0;
        plain += o == NULL && words[i][0] != '-' ? 1 : 0;
    }
    return plain;
}

int run_complete(struct cli *cli, const struct cli_args *args)
{
    size_t own = 0;
    size_t count = args->word_count;
    const char *const *words = args->words;
    struct completion c = {.cli = cli, .word = count > 0 ? words[count - 1] : ""};
    c.command = cli_find_command((int)count - 1, words, &own);
    size_t plain = read_line(&c, count, words);
    if (c.option != NULL) {
        offer_value(&c);
    } else if (c.word[0] == '-') {
        offer_options(&c);
    } else if (c.command != NULL) {
        c.at = plain - own;
        offer_argument(&c);
    } else if (plain <= 1) {
        offer_commands(&c, plain == 1 ? words[0] : "");
    }
    return CLI_DONE;
}
