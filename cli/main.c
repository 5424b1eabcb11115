/* replctl: finds the command, reads its options, runs it. */
#include "cli/cli.h"
#include "daemon/base/near.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- help ---- */

#define OPTION_WIDTH 34

static void print_options(const struct cli_option *options)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        struct buf left = {0};
        if (o->help == NULL) {
            continue;
        }
        if (cli_option_letter(o) != 0) {
            buf_printf(&left, "-%c, ", cli_option_letter(o));
        }
        buf_printf(&left, "--%s%s%s", o->name, o->value != NULL ? " " : "",
                   o->value != NULL ? o->value : "");
        bool fits = left.len <= OPTION_WIDTH;
        printf("  %-*s%s%*s%s\n", OPTION_WIDTH, buf_cstr(&left), fits ? " " : "\n",
               fits ? 0 : OPTION_WIDTH + 3, "", o->help);
        buf_done(&left);
    }
}

/* group: "" = all commands. */
static int print_commands(const char *group)
{
    int width = 0;
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        int n = (int)strlen(c->words);
        width = n > width ? n : width;
    }
    printf("usage: replctl %s%s … [options]\n\ncommands:\n", group[0] != '\0' ? group : "COMMAND",
           group[0] != '\0' ? " COMMAND" : "");
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        if (cli_is_in_group(c, group)) {
            printf("  %-*s  %s\n", width, c->words, c->help);
        }
    }
    puts("\noptions of every command:");
    print_options(cli_global_options);
    puts("\nExit codes: 0 done, 1 refused or failed, 2 usage, 3 a needed peer is not reachable.");
    return CLI_DONE;
}

static int print_help(const struct cli_command *command)
{
    printf("usage: replctl %s%s%s [options]\n\n%s\n\noptions:\n", command->words,
           command->usage[0] != '\0' ? " " : "", command->usage, command->help);
    print_options(command->options);
    print_options(cli_global_options);
    return CLI_DONE;
}

static int print_version(void)
{
    puts("replctl " REPL_VERSION);
    return CLI_DONE;
}

/* ---- what is no command ---- */

/* "rule lst", "rule": what may follow the first word; "sttus": what it may have been. */
static int unknown_command(const struct cli *c, const char *first, const char *second)
{
    struct buf known = {0};
    struct near near;
    near_start(&near, first, strlen(first) / 3 + 1);
    for (const struct cli_command *known_one = cli_commands; known_one->words != NULL;
         known_one++) {
        if (cli_is_in_group(known_one, first)) {
            buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", known_one->words);
        } else {
            near_offer(&near, known_one->words);
        }
    }
    int code = known.len > 0 ? cli_usage(c, "\"%s%s%s\" is not a command; there are: %s", first,
                                         second[0] != '\0' ? " " : "", second, buf_cstr(&known))
               : near.best != NULL
                   ? cli_usage(c, "\"%s\" is not a command; did you mean %s?", first, near.best)
                   : cli_usage(c, "\"%s\" is not a command", first);
    buf_done(&known);
    return code;
}

/* "help", "help rule", "help rule add", "rule --help". words: without "help". */
static int help_on(const struct cli *c, size_t count, const char *const *words)
{
    const char *first = count > 0 ? words[0] : "";
    const char *second = count > 1 ? words[1] : "";
    size_t ignored;
    const struct cli_command *command = cli_find_command((int)count, words, &ignored);
    if (command != NULL) {
        return print_help(command);
    }
    bool is_known = count == 0 || (count == 1 && cli_is_group(first));
    return is_known ? print_commands(first) : unknown_command(c, first, second);
}

static int no_command(const struct cli *c, int argc, char *const *argv)
{
    struct cli_args args;
    struct fail f = {0};
    if (cli_args_parse(argc, argv, cli_global_options, NULL, &args, &f) != 0) {
        return cli_misused(c, &f);
    }
    if (cli_args_has(&args, "version")) {
        return print_version();
    }
    if (args.word_count > 0 && strcmp(args.words[0], "help") == 0) {
        return help_on(c, args.word_count - 1, args.words + 1);
    }
    if (cli_args_has(&args, "help")) {
        return help_on(c, args.word_count, args.words);
    }
    return args.word_count == 0
               ? cli_usage(c, "which command?")
               : unknown_command(c, args.words[0], args.word_count > 1 ? args.words[1] : "");
}

/* ---- what is one ---- */

/* Known before anything else: errors of usage are told in the form that was asked for. */
static void set_up(struct cli *c, int argc, char *const *argv)
{
    const char *from_environment = getenv("REPLD_SOCKET");
    memset(c, 0, sizeof(*c));
    c->socket = from_environment != NULL ? from_environment : PROTO_DEFAULT_SOCKET;
    c->terminal = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
    for (int at = 0; at < argc && strcmp(argv[at], "--") != 0; at++) {
        c->json = c->json || strcmp(argv[at], "--json") == 0;
    }
}

static int check_words(const struct cli *c, const struct cli_command *command,
                       const struct cli_args *args)
{
    if (args->word_count > command->most) {
        return cli_usage(c, "%s: \"%.60s\" is one argument too many; a value with blanks is quoted",
                         command->words, args->words[command->most]);
    }
    if (args->word_count < command->least) {
        return cli_usage(c, "%s needs %s", command->words, command->usage);
    }
    return CLI_DONE;
}

static int run(struct cli *c, const struct cli_command *command, const struct cli_args *args,
               size_t words)
{
    const char *socket = cli_args_get(args, "socket");
    struct cli_args own = *args;
    memmove(own.words, own.words + words, (own.word_count - words) * sizeof(own.words[0]));
    own.word_count -= words;
    if (cli_args_has(args, "help")) {
        return print_help(command);
    }
    if (cli_args_has(args, "version")) {
        return print_version();
    }
    c->socket = socket != NULL ? socket : c->socket;
    c->json = cli_args_has(args, "json");
    int code = check_words(c, command, &own);
    return code == CLI_DONE ? command->run(c, &own) : code;
}

static int find_and_run(struct cli *c, int argc, char *const *argv)
{
    struct cli_args args;
    struct fail f = {0};
    size_t words = 0;
    int skip = cli_leading_options(argc, argv);
    const char *const *first = (const char *const *)argv + skip;
    const struct cli_command *command = cli_find_command(argc - skip, first, &words);
    if (command == NULL) {
        return no_command(c, argc, argv);
    }
    c->command = command;
    if (cli_args_parse(argc, argv, cli_global_options, command->options, &args, &f) != 0) {
        return cli_misused(c, &f);
    }
    return run(c, command, &args, words);
}

int main(int argc, char **argv)
{
    struct cli c;
    setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of characters */
    set_up(&c, argc - 1, argv + 1);
    int code = find_and_run(&c, argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fputs("replctl: standard output cannot be written\n", stderr);
        return code == CLI_DONE ? CLI_FAILED : code;
    }
    return code;
}
