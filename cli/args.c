#include "cli/args.h"

#include "daemon/conf/schema.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option *find(const struct cli_option *table, const char *name, size_t len)
{
    for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++) {
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0) {
            return o;
        }
    }
    return NULL;
}

static int refuse(struct fail *f, const char *sentence, const char *name, size_t len)
{
    fail_set(f, REPL_EBADINPUT, "--%.*s %s", (int)(len > 40 ? 40 : len), name, sentence);
    fail_hint(f, "--help shows the options of a command");
    return REPL_EBADINPUT;
}

static const char *nearest(const struct cli_option *table, const char *name, size_t *distance)
{
    const char *best = NULL;
    for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++) {
        size_t d = schema_distance(name, o->name);
        if (d < *distance) {
            *distance = d;
            best = o->name;
        }
    }
    return best;
}

static int refuse_unknown(const struct cli_option *global, const struct cli_option *own,
                          const char *written, size_t len, struct fail *f)
{
    char name[41];
    char sentence[120] = "is not an option of this command";
    snprintf(name, sizeof(name), "%.*s", (int)(len > 40 ? 40 : len), written);
    size_t distance = strlen(name) / 3 + 2;
    const char *near = nearest(own, name, &distance);
    const char *nearer = nearest(global, name, &distance);
    if (near != NULL || nearer != NULL) {
        size_t n = strlen(sentence);
        snprintf(sentence + n, sizeof(sentence) - n, "; did you mean --%s?",
                 nearer != NULL ? nearer : near);
    }
    return refuse(f, sentence, written, len);
}

/* `at` is the index of the option; moved on when the next argument is its value. */
static int take_option(int argc, char *const *argv, int *at, const struct cli_option *global,
                       const struct cli_option *own, struct cli_args *ret, struct fail *f)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *o = find(own, name, len);
    o = o != NULL ? o : find(global, name, len);
    if (o == NULL) {
        return refuse_unknown(global, own, name, len, f);
    }
    if (o->value == NULL && equals != NULL) {
        return refuse(f, "takes no value", name, len);
    }
    const char *value = equals != NULL ? equals + 1 : "";
    if (o->value != NULL && equals == NULL) {
        if (*at + 1 >= argc) {
            return refuse(f, "needs a value", name, len);
        }
        value = argv[++*at];
    }
    if (ret->given_count == CLI_GIVEN_MAX) {
        return refuse(f, "is one option too many", name, len);
    }
    ret->given[ret->given_count++] = (struct cli_given){.name = o->name, .value = value};
    return 0;
}

int cli_args_parse(int argc, char *const *argv, const struct cli_option *global,
                   const struct cli_option *own, struct cli_args *ret, struct fail *f)
{
    bool words_only = false;
    memset(ret, 0, sizeof(*ret));
    for (int at = 0; at < argc; at++) {
        bool option = !words_only && strncmp(argv[at], "--", 2) == 0;
        if (option && argv[at][2] == '\0') {
            words_only = true;
        } else if (option) {
            int r = take_option(argc, argv, &at, global, own, ret, f);
            if (r != 0) {
                return r;
            }
        } else if (ret->word_count < CLI_GIVEN_MAX) {
            ret->words[ret->word_count++] = argv[at];
        } else {
            return fail_set(f, REPL_EBADINPUT, "too many arguments");
        }
    }
    return 0;
}

const char *cli_args_get(const struct cli_args *args, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].name, name) == 0) {
            value = args->given[i].value;
        }
    }
    return value;
}

bool cli_args_has(const struct cli_args *args, const char *name)
{
    return cli_args_get(args, name) != NULL;
}
