/* cli: what the commands of replctl share. Exit codes: 0 done, 1 refused or failed, 2 usage, 3 a
 * needed peer (daemon, source, destination) is not reachable. */
#ifndef REPL_CLI_CLI_H
#define REPL_CLI_CLI_H

#include "cli/args.h"
#include "daemon/admin/proto.h"
#include "daemon/base/buf.h"
#include "daemon/base/fail.h"

#include <jansson.h>

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3 };

struct cli {
    const char *socket;
    bool json;
    bool terminal; /* standard output is one: colours, progress lines, redrawing */
    const struct cli_command *command; /* NULL: not known yet */
};

struct cli_command {
    const char *words; /* "rule add" */
    const char *usage; /* positional arguments: "NAME" */
    unsigned least;    /* number of positional arguments */
    unsigned most;
    const struct cli_option *options; /* NULL = only the global ones */
    const char *help;                 /* one line */
    int (*run)(struct cli *c, const struct cli_args *args);
};

extern const struct cli_command cli_commands[];      /* ends with words NULL */
extern const struct cli_option cli_global_options[]; /* of every command */

/* The command whose words these arguments begin with, and how many they are; NULL = none. */
const struct cli_command *cli_find_command(int argc, const char *const *argv, size_t *ret_words);
/* Options may stand before a command: how many arguments they are. */
int cli_leading_options(int argc, char *const *argv);
/* "rule" is the group of "rule add"; "" that of all. */
bool cli_is_in_group(const struct cli_command *c, const char *group);
bool cli_is_group(const char *word);

/* A line on standard output; what a terminal would obey, in keys and servers' answers, is escaped.
 */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The bytes of a key, escaped; repld gives those that are not UTF-8 as NAME_base64 besides. */
void cli_key(const json_t *object, const char *name, struct buf *to);

/* "replctl: sentence" and "hint: …" on standard error; with --json also {"error": …} on standard
 * output. Returns the exit code that fits. */
int cli_fail(const struct cli *c, const struct fail *f);
/* The same of a command line that is wrong: CLI_USAGE. Without a hint, the command's --help is it.
 */
int cli_misused(const struct cli *c, const struct fail *f);
int cli_usage(const struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Of what was done, yet perhaps not as it was meant: "replctl: warning: sentence" and "hint: …"
 * (NULL: none) on standard error. */
void cli_warn_that(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The daemon's "warning", on standard error. */
void cli_warn(const json_t *answer);
/* A command of proto.h. query: "rule=x&…" or NULL. On success *ret_answer is the parsed answer (the
 * caller's, json_decref) unless it was printed already because of --json, then NULL; ret_answer
 * NULL: not wanted, `said` is printed instead. Otherwise the failure is told. Returns the exit
 * code. */
int cli_call(const struct cli *c, enum proto_id id, const char *query, struct span body,
             json_t **ret_answer, const char *said);
/* The same without printing anything: the answer, or the failure in *f. */
int cli_ask(const struct cli *c, enum proto_id id, const char *query, struct span body,
            json_t **ret_answer, struct fail *f);
/* The same; when repld refuses, *ret_answer is its {"error": …} in full (the caller's), else NULL.
 */
int cli_ask_all(const struct cli *c, enum proto_id id, const char *query, struct span body,
                json_t **ret_answer, struct fail *f);
void cli_print(const json_t *answer); /* JSON in one line */
/* Asks page after page as long as the answer has "next"; each() gets every answer. With --json the
 * answers are printed, a line each. */
int cli_pages(const struct cli *c, enum proto_id id, const char *query,
              void (*each)(void *arg, json_t *answer), void *arg);

/* Asks and prints, once or every second until the output is gone, across restarts of the daemon;
 * with --json the answer as it is. Returns the exit code. */
typedef void cli_print_fn(const struct cli *c, const json_t *answer);
int cli_watch(struct cli *c, enum proto_id id, const char *query, bool again, cli_print_fn *print);

/* "name=value&" with the value percent-encoded; nothing when value is NULL. */
void cli_query(struct buf *query, const char *name, const char *value);
const char *cli_text(const json_t *object, const char *name); /* "" when it is none */
long long cli_number(const json_t *object, const char *name);
bool cli_true(const json_t *object, const char *name);

#endif
