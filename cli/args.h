/* args: a command line against a table of options. Pure. Options are long (--name VALUE,
 * --name=VALUE, --flag), a few have a letter besides (-f VALUE), and may stand anywhere; "--" ends
 * them. */
#ifndef REPL_CLI_ARGS_H
#define REPL_CLI_ARGS_H

#include "daemon/base/fail.h"

#include <stddef.h>

struct cli_option {
    const char *name; /* NULL ends a table */
    /* What its value is called in the help, NULL = a flag. Words in small letters stand for
     * themselves ("now|TIME"), and where there are only such, no other is taken; "every DURATION"
     * may also come as two arguments. */
    const char *value;
    const char *help; /* NULL: is taken, so that repld can say why not, and not offered */
};

#define CLI_GIVEN_MAX 128

struct cli_given {
    const char *name;
    const char *value; /* "" for flags */
};

struct cli_args {
    struct cli_given given[CLI_GIVEN_MAX];
    size_t given_count;
    const char *words[CLI_GIVEN_MAX]; /* what is no option */
    size_t word_count;
    char joined[64]; /* a value that came as two arguments: the struct must outlive its copies */
};

/* Takes the options of both tables. REPL_EBADINPUT with the sentence and a hint in *f. */
int cli_args_parse(int argc, char *const *argv, const struct cli_option *global,
                   const struct cli_option *own, struct cli_args *ret, struct fail *f);
/* Of the options that may be written by their first letter, too; else 0. */
char cli_option_letter(const struct cli_option *o);
/* Last value given; NULL when it was not. */
const char *cli_args_get(const struct cli_args *args, const char *name);
bool cli_args_has(const struct cli_args *args, const char *name);

#endif
