#include "cli/args.h"

#include "daemon/base/near.h"
#include "daemon/base/span.h"

#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 40 /* characters of a name in an error */

static bool is_long(const char *written)
{
    return strncmp(written, "--", 2) == 0;
}

static bool is_letter(const char *written)
{
    return written[0] == '-' && written[1] != '\0' && written[1] != '-' && written[2] == '\0';
}

char cli_option_letter(const struct cli_option *o)
{
    static const char *const names[] = {"file", "help"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(o->name, names[i]) == 0) {
            return o->name[0];
        }
    }
    return 0;
}

/* "--name", "--name=value" or "-n". NULL: none of this table, or a word, such as a key. */
static const struct cli_option *find(const struct cli_option *table, const char *written)
{
    size_t len = is_long(written) ? strcspn(written + 2, "=") : 0;
    for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++) {
        bool is_it = is_letter(written)
                         ? cli_option_letter(o) == written[1]
                         : len > 0 && strlen(o->name) == len && !strncmp(o->name, written + 2, len);
        if (is_it) {
            return o;
        }
    }
    return NULL;
}

static int refuse(struct fail *f, const char *name, const char *sentence)
{
    fail_set(f, REPL_EBADINPUT, "--%.*s %s", NAME_SHOWN, name, sentence);
    fail_hint(f, "--help behind a command shows its options");
    return REPL_EBADINPUT;
}

static void offer(struct near *n, const struct cli_option *table)
{
    for (const struct cli_option *o = table; o != NULL && o->name != NULL; o++) {
        if (o->help != NULL) {
            near_offer(n, o->name);
        }
    }
}

static int refuse_unknown(const struct cli_option *global, const struct cli_option *own,
                          const char *written, struct fail *f)
{
    char name[NAME_SHOWN + 1];
    char sentence[120] = "is not an option of this command";
    size_t len = strcspn(written, "=");
    snprintf(name, sizeof(name), "%.*s", (int)(len > NAME_SHOWN ? NAME_SHOWN : len), written);
    struct near near;
    near_start(&near, name, strlen(name) / 3 + 1);
    offer(&near, own);
    offer(&near, global);
    if (near.best != NULL) {
        size_t n = strlen(sentence);
        snprintf(sentence + n, sizeof(sentence) - n, "; did you mean --%s?", near.best);
    }
    return refuse(f, name, sentence);
}

/* Whether the value's description has an alternative of two words that begins with this one. */
static bool takes_two_words(const struct cli_option *o, const char *value)
{
    struct span rest = span_str(o->value);
    while (rest.ptr != NULL) {
        struct span tail = span_cut(&rest, '|');
        struct span word = span_cut(&tail, ' ');
        if (tail.ptr != NULL && span_eq_str(word, value)) {
            return true;
        }
    }
    return false;
}

/* "put|delete": nothing but words that stand for themselves. */
static bool is_choice(const char *value)
{
    return strchr(value, '|') != NULL &&
           strspn(value, "abcdefghijklmnopqrstuvwxyz-|") == strlen(value);
}

static int refuse_word(const struct cli_option *o, const char *value, struct fail *f)
{
    char names[8][24], list[160] = "one of";
    struct near near;
    struct span rest = span_str(o->value);
    near_start(&near, value, strlen(value) / 3);
    for (size_t i = 0; i < 8 && rest.ptr != NULL; i++) {
        size_t len = strlen(list);
        struct span name = span_cut(&rest, '|');
        snprintf(names[i], sizeof(names[i]), "%.*s", SPAN_ARG(name));
        near_offer(&near, names[i]);
        snprintf(list + len, sizeof(list) - len, "%s %s", i == 0 ? ":" : ",", names[i]);
    }
    fail_set(f, REPL_EBADINPUT, "--%s \"%.60s\" is not known", o->name, value);
    near_hint(&near, list, f);
    return REPL_EBADINPUT;
}

static int check_word(const struct cli_option *o, const char *value, struct fail *f)
{
    struct span rest = span_str(o->value);
    while (rest.ptr != NULL) {
        if (span_eq_str(span_cut(&rest, '|'), value)) {
            return 0;
        }
    }
    return refuse_word(o, value, f);
}

/* "--scan every 6h", which a shell makes three arguments of. */
static const char *join_words(const char *first, const char *second, struct cli_args *ret)
{
    int n = snprintf(ret->joined, sizeof(ret->joined), "%s %s", first, second);
    return n < (int)sizeof(ret->joined) ? ret->joined : first;
}

/* `at` is the index of the option; moved on over the arguments that are its value. */
static int take_option(int argc, char *const *argv, int *at, const struct cli_option *o,
                       struct cli_args *ret, struct fail *f)
{
    const char *equals = is_long(argv[*at]) ? strchr(argv[*at], '=') : NULL;
    if (o->value == NULL && equals != NULL) {
        return refuse(f, o->name, "takes no value");
    }
    const char *value = equals != NULL ? equals + 1 : "";
    if (o->value != NULL && equals == NULL) {
        if (*at + 1 >= argc) {
            return refuse(f, o->name, "needs a value");
        }
        value = argv[++*at];
    }
    if (o->value != NULL && *at + 1 < argc && takes_two_words(o, value)) {
        value = join_words(value, argv[++*at], ret);
    }
    if (o->value != NULL && is_choice(o->value) && check_word(o, value, f) != 0) {
        return f->code;
    }
    if (ret->given_count == CLI_GIVEN_MAX) {
        return refuse(f, o->name, "is one option too many");
    }
    ret->given[ret->given_count++] = (struct cli_given){.name = o->name, .value = value};
    return 0;
}

int cli_args_parse(int argc, char *const *argv, const struct cli_option *global,
                   const struct cli_option *own, struct cli_args *ret, struct fail *f)
{
    bool words_only = false;
    int r = 0;
    memset(ret, 0, sizeof(*ret));
    for (int at = 0; at < argc && r == 0; at++) {
        const char *written = argv[at];
        const struct cli_option *o = find(own, written);
        o = o != NULL ? o : find(global, written);
        if (!words_only && strcmp(written, "--") == 0) {
            words_only = true;
        } else if (!words_only && o != NULL) {
            r = take_option(argc, argv, &at, o, ret, f);
        } else if (!words_only && is_long(written)) {
            r = refuse_unknown(global, own, written + 2, f);
        } else if (ret->word_count < CLI_GIVEN_MAX) {
            ret->words[ret->word_count++] = written;
        } else {
            r = fail_set(f, REPL_EBADINPUT, "too many arguments");
        }
    }
    return r;
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
