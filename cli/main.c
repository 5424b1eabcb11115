/* replctl: finds the command, reads its options, runs it. */
#include "cli/cli.h"
#include "daemon/conf/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_option global_options[] = {
    {"socket", "PATH", "control socket of repld (default $REPLD_SOCKET, " PROTO_DEFAULT_SOCKET ")"},
    {"json", NULL, "print JSON"},
    {"help", NULL, "show this"},
    {"version", NULL, "show the version"},
    {0},
};

/* How many of the arguments are the words of this command, in their order; 0 = it is another. */
static size_t match_words(const struct cli_command *command, int argc, char *const *argv)
{
    struct span rest = span_str(command->words);
    size_t n = 0;
    while (rest.ptr != NULL) {
        struct span word = span_cut(&rest, ' ');
        if ((int)n >= argc || !span_eq_str(word, argv[n])) {
            return 0;
        }
        n++;
    }
    return n;
}

static const struct cli_command *find_command(int argc, char *const *argv, size_t *ret_words)
{
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        size_t n = match_words(c, argc, argv);
        if (n > 0) {
            *ret_words = n;
            return c;
        }
    }
    return NULL;
}

static void print_options(const struct cli_option *options)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        printf("  %-34s %s\n", left, o->help);
    }
}

static int print_help(const struct cli_command *command)
{
    if (command != NULL) {
        printf("usage: replctl %s%s%s [options]\n\n%s\n\noptions:\n", command->words,
               command->usage[0] != '\0' ? " " : "", command->usage, command->help);
        print_options(command->options);
        print_options(global_options);
        return CLI_DONE;
    }
    puts("usage: replctl COMMAND … [options]\n\ncommands:");
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        printf("  %-18s %s\n", c->words, c->help);
    }
    puts("\noptions of every command:");
    print_options(global_options);
    puts("\nExit codes: 0 done, 1 refused or failed, 2 usage, 3 a needed peer is not reachable.");
    return CLI_DONE;
}

/* Options may stand before the command; its words are the first ones that are none. */
static int leading_options(int argc, char *const *argv)
{
    int n = 0;
    while (n < argc && strncmp(argv[n], "--", 2) == 0 && argv[n][2] != '\0') {
        n += strcmp(argv[n], "--socket") == 0 ? 2 : 1;
    }
    return n < argc ? n : argc;
}

/* "rule lst", "rule": what may follow the first word; "sttus": what it may have been. */
static int unknown_command(const struct cli_args *args)
{
    struct buf known = {0};
    const char *first = args->words[0];
    const char *best = NULL;
    size_t n = strlen(first);
    size_t distance = n / 3 + 2;
    for (const struct cli_command *c = cli_commands; c->words != NULL; c++) {
        if (strncmp(c->words, first, n) == 0 && c->words[n] == ' ') {
            buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", c->words);
        } else if (schema_distance(first, c->words) < distance) {
            distance = schema_distance(first, c->words);
            best = c->words;
        }
    }
    int code = known.len > 0
                   ? cli_usage("\"%s%s%s\" is not a command; there are: %s", first,
                               args->word_count > 1 ? " " : "",
                               args->word_count > 1 ? args->words[1] : "", buf_cstr(&known))
               : best != NULL ? cli_usage("\"%s\" is not a command; did you mean %s?", first, best)
                              : cli_usage("\"%s\" is not a command", first);
    buf_done(&known);
    return code;
}

static int no_command(int argc, char *const *argv)
{
    struct cli_args args;
    struct fail f = {0};
    if (cli_args_parse(argc, argv, global_options, NULL, &args, &f) != 0) {
        return cli_usage("%s", f.text);
    }
    if (cli_args_has(&args, "version")) {
        puts("replctl " REPL_VERSION);
        return CLI_DONE;
    }
    if (cli_args_has(&args, "help") || (args.word_count == 1 && !strcmp(args.words[0], "help"))) {
        return print_help(NULL);
    }
    return args.word_count == 0 ? cli_usage("which command?") : unknown_command(&args);
}

static void set_up(struct cli *c, const struct cli_args *args)
{
    const char *socket = cli_args_get(args, "socket");
    const char *from_environment = getenv("REPLD_SOCKET");
    c->socket = socket != NULL             ? socket
                : from_environment != NULL ? from_environment
                                           : PROTO_DEFAULT_SOCKET;
    c->json = cli_args_has(args, "json");
    c->terminal = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
}

static int run(const struct cli_command *command, const struct cli_args *args, size_t words)
{
    struct cli c;
    struct cli_args own = *args;
    memmove(own.words, own.words + words, (own.word_count - words) * sizeof(own.words[0]));
    own.word_count -= words;
    if (cli_args_has(args, "help")) {
        return print_help(command);
    }
    if (cli_args_has(args, "version")) {
        puts("replctl " REPL_VERSION);
        return CLI_DONE;
    }
    if (own.word_count < command->least || own.word_count > command->most) {
        return cli_usage("usage: replctl %s %s", command->words, command->usage);
    }
    set_up(&c, args);
    return command->run(&c, &own);
}

int main(int argc, char **argv)
{
    struct cli_args args;
    struct fail f = {0};
    size_t words = 0;
    int skip = leading_options(argc - 1, argv + 1);
    const struct cli_command *command = find_command(argc - 1 - skip, argv + 1 + skip, &words);
    if (command == NULL) {
        return no_command(argc - 1, argv + 1);
    }
    if (cli_args_parse(argc - 1, argv + 1, global_options, command->options, &args, &f) != 0) {
        return cli_usage("%s", f.text);
    }
    int code = run(command, &args, words);
    return fflush(stdout) == 0 ? code : CLI_FAILED;
}
