#include "cli/cli.h"
#include "cli/http.h"
#include "cli/table.h"
#include "daemon/base/base64.h"
#include "daemon/base/mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cli_say(const char *format, ...)
{
    struct buf line = {0};
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&line, format, args);
    va_end(args);
    table_escape(buf_view(&line), &text);
    puts(buf_cstr(&text));
    buf_done(&text);
    buf_done(&line);
}

void cli_key(const json_t *object, const char *name, struct buf *to)
{
    struct buf bytes = {0};
    char *other = mem_printf("%s_base64", name);
    const char *coded = cli_text(object, other);
    if (coded[0] == '\0' || base64_decode(span_str(coded), &bytes) != 0) {
        buf_reset(&bytes);
        buf_str(&bytes, cli_text(object, name));
    }
    table_escape(buf_view(&bytes), to);
    buf_done(&bytes);
    mem_free(other);
}

static int exit_of(const struct fail *f)
{
    bool unreachable = f->code == REPL_EUNREACHABLE || f->code == REPL_ENET ||
                       f->code == REPL_ETLS || f->code == REPL_ETIMEOUT || f->http_status == 502;
    return unreachable ? CLI_UNREACHABLE : CLI_FAILED;
}

static void print_json_error(const struct fail *f)
{
    const char *code = f->server_code[0] != '\0' ? f->server_code : fail_name(f->code);
    json_t *root = json_pack("{s:{s:s,s:s,s:s}}", "error", "code", code, "text",
                             f->text[0] != '\0' ? f->text : fail_text(f->code), "hint", f->hint);
    if (root != NULL) {
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
    }
}

static void write_error(const char *kind, const char *sentence, const char *advice)
{
    struct buf text = {0};
    struct buf hint = {0};
    table_escape(span_str(sentence), &text);
    table_escape(span_str(advice), &hint);
    fflush(stdout);
    fprintf(stderr, "replctl: %s%s\n", kind, buf_cstr(&text));
    if (hint.len > 0) {
        fprintf(stderr, "hint: %s\n", buf_cstr(&hint));
    }
    buf_done(&text);
    buf_done(&hint);
}

static void tell(const struct cli *c, const struct fail *f)
{
    write_error("", f->text[0] != '\0' ? f->text : fail_text(f->code), f->hint);
    if (c->json) {
        print_json_error(f);
    }
}

int cli_fail(const struct cli *c, const struct fail *f)
{
    tell(c, f);
    return exit_of(f);
}

void cli_warn_that(const char *hint, const char *format, ...)
{
    char sentence[1500];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    write_error("warning: ", sentence, hint != NULL ? hint : "");
}

int cli_misused(const struct cli *c, const struct fail *f)
{
    struct fail told = *f;
    if (told.hint[0] == '\0' && c->command != NULL) {
        fail_hint(&told, "replctl %s --help shows what it takes", c->command->words);
    } else if (told.hint[0] == '\0') {
        fail_hint(&told, "replctl --help shows all commands");
    }
    tell(c, &told);
    return CLI_USAGE;
}

int cli_usage(const struct cli *c, const char *format, ...)
{
    struct fail f;
    va_list args;
    va_start(args, format);
    fail_vset(&f, REPL_EBADINPUT, format, args);
    va_end(args);
    return cli_misused(c, &f);
}

/* The daemon's words: its code goes to server_code, for --json. */
static int told_failure(unsigned status, const json_t *root, struct fail *f)
{
    const json_t *error = json_object_get(root, "error");
    const char *text = cli_text(error, "text");
    int code = status == 404 ? REPL_ENOTFOUND : status == 502 ? REPL_ENET : REPL_EREFUSED;
    fail_set(f, code, "%s", text[0] != '\0' ? text : "repld refused without a word");
    f->http_status = (int)status;
    snprintf(f->server_code, sizeof(f->server_code), "%s", cli_text(error, "code"));
    if (cli_text(error, "hint")[0] != '\0') {
        fail_hint(f, "%s", cli_text(error, "hint"));
    }
    return code;
}

int cli_ask_all(const struct cli *c, enum proto_id id, const char *query, struct span body,
                json_t **ret_answer, struct fail *f)
{
    struct http_answer answer = {0};
    *ret_answer = NULL;
    const struct proto_command *command = &proto_commands[id];
    int r = http_call(c->socket, command->method, command->path, query, body, &answer, f);
    if (r != 0) {
        return r;
    }
    *ret_answer = json_loadb(buf_cstr(&answer.body), answer.body.len, 0, NULL);
    buf_done(&answer.body);
    bool is_good = *ret_answer != NULL && answer.status == 200;
    return is_good ? 0 : told_failure(answer.status, *ret_answer, f);
}

int cli_ask(const struct cli *c, enum proto_id id, const char *query, struct span body,
            json_t **ret_answer, struct fail *f)
{
    json_t *root = NULL;
    int r = cli_ask_all(c, id, query, body, &root, f);
    if (r != 0) {
        json_decref(root);
        return r;
    }
    *ret_answer = root;
    return 0;
}

void cli_print(const json_t *answer)
{
    json_dumpf(answer, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
}

void cli_warn(const json_t *answer)
{
    const char *warning = json_string_value(json_object_get(answer, "warning"));
    if (warning != NULL) {
        cli_warn_that(NULL, "%s", warning);
    }
}

int cli_call(const struct cli *c, enum proto_id id, const char *query, struct span body,
             json_t **ret_answer, const char *said)
{
    struct fail f = {0};
    json_t *answer = NULL;
    if (ret_answer != NULL) {
        *ret_answer = NULL;
    }
    if (cli_ask(c, id, query, body, &answer, &f) != 0) {
        return cli_fail(c, &f);
    }
    cli_warn(answer);
    if (c->json) {
        cli_print(answer);
        json_decref(answer);
    } else if (ret_answer != NULL) {
        *ret_answer = answer;
    } else {
        if (said != NULL) {
            puts(said);
        }
        json_decref(answer);
    }
    return CLI_DONE;
}

int cli_pages(const struct cli *c, enum proto_id id, const char *query,
              void (*each)(void *arg, json_t *answer), void *arg)
{
    struct buf next = {0};
    int code = CLI_DONE;
    buf_str(&next, query);
    for (bool more = true; more && code == CLI_DONE;) {
        struct fail f = {0};
        json_t *answer = NULL;
        if (cli_ask(c, id, buf_cstr(&next), span_str(""), &answer, &f) != 0) {
            code = cli_fail(c, &f);
            break;
        }
        if (c->json) {
            cli_print(answer);
        } else {
            each(arg, answer);
        }
        const char *tail = cli_text(answer, "next");
        more = tail[0] != '\0';
        buf_reset(&next);
        buf_printf(&next, "%s%s%s", query, query[0] != '\0' ? "&" : "", tail);
        json_decref(answer);
    }
    buf_done(&next);
    return code;
}

void cli_query(struct buf *query, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    buf_printf(query, "%s%s=", query->len > 0 ? "&" : "", name);
    for (const char *p = value; *p != '\0'; p++) {
        unsigned char b = (unsigned char)*p;
        if (b < 0x80 && (isalnum(b) != 0 || strchr("-._~", b) != NULL)) {
            buf_char(query, *p);
        } else {
            buf_printf(query, "%%%02X", b);
        }
    }
}

const char *cli_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

long long cli_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_real(value) ? (long long)json_real_value(value) : json_integer_value(value);
}

bool cli_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}
