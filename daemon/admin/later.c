#include "daemon/admin/command.h"

#include <stdarg.h>
#include <stdio.h>

static void gone(void *arg)
{
    struct later *l = arg;
    l->request = NULL;
}

void *later_new(struct admin *a, struct httpd_request *r, size_t size)
{
    struct later *l = mem_alloc(size);
    l->admin = a;
    l->request = r;
    arena_init(&l->arena);
    httpd_on_gone(r, gone, l);
    return l;
}

static void end(struct later *l)
{
    arena_done(&l->arena);
    mem_free(l);
}

void later_reply(struct later *l, struct buf *body)
{
    if (l->request != NULL) {
        reply_json(l->request, body);
    }
    buf_done(body);
    end(l);
}

void later_fail(struct later *l, int status, const struct fail *f)
{
    struct fail copy = f != NULL ? *f : (struct fail){0};
    if (copy.code == 0) {
        fail_set(&copy, status, "%s", fail_text(status));
    }
    if (l->request != NULL) {
        reply_fail(l->request, &copy);
    }
    end(l);
}

void later_refuse(struct later *l, int status, struct buf *body)
{
    if (l->request != NULL) {
        httpd_reply(l->request, proto_status(status), NULL, buf_view(body));
    }
    buf_done(body);
    end(l);
}

void later_done(void *arg, int status, const struct fail *f)
{
    struct later *l = arg;
    struct buf body = {0};
    if (status != 0) {
        later_fail(l, status, f);
        return;
    }
    buf_str(&body, "{\"done\":true}");
    later_reply(l, &body);
}

void later_word(void *arg, int status, const struct fail *f, uint64_t count)
{
    struct later *l = arg;
    struct buf body = {0};
    if (status != 0) {
        later_fail(l, status, f);
        return;
    }
    json_open(&body, NULL, '{');
    json_bool(&body, "done", true);
    json_int(&body, "count", (int64_t)count);
    json_close(&body, '}');
    later_reply(l, &body);
}

void reply_json(struct httpd_request *r, struct buf *body)
{
    if (buf_error(body) != 0) {
        reply_error(r, REPL_ETOOBIG, "ask for less: one rule, or one key",
                    "the answer is too large");
    } else {
        buf_char(body, '\n');
        httpd_reply(r, 200, NULL, buf_view(body));
    }
    buf_done(body);
}

void reply_fail(struct httpd_request *r, const struct fail *f)
{
    struct buf body = {0};
    json_open(&body, NULL, '{');
    json_fail(&body, "error", f);
    json_close(&body, '}');
    buf_char(&body, '\n');
    httpd_reply(r, proto_status(f->code), NULL, buf_view(&body));
    buf_done(&body);
}

void reply_error(struct httpd_request *r, int code, const char *hint, const char *format, ...)
{
    struct fail f;
    va_list args;
    va_start(args, format);
    fail_vset(&f, code, format, args);
    va_end(args);
    fail_hint(&f, "%s", hint);
    reply_fail(r, &f);
}

const char *need_query(struct httpd_request *r, const char *name)
{
    const char *value = httpd_query(r, name);
    if (value == NULL || value[0] == '\0') {
        reply_error(r, REPL_EBADINPUT, "man replctl names what a command needs",
                    "the parameter \"%s\" is missing or empty", name);
        return NULL;
    }
    return value;
}

const struct rule *need_rule(struct admin *a, struct httpd_request *r)
{
    const char *name = need_query(r, "rule");
    if (name == NULL) {
        return NULL;
    }
    const struct rule *rule = engine_rule_find(a->options.engine, name);
    if (rule == NULL) {
        struct fail f = {0};
        engine_unknown_rule(a->options.engine, name, &f);
        reply_fail(r, &f);
    }
    return rule;
}

bool query_number(struct httpd_request *r, const char *name, uint64_t otherwise, uint64_t *ret)
{
    const char *text = httpd_query(r, name);
    unsigned long long value = 0;
    *ret = otherwise;
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (span_to_u64(span_str(text), &value) != 0 || value > INT64_MAX) {
        reply_error(r, REPL_EBADINPUT, "write it in digits alone",
                    "the parameter \"%s\" is not a number: \"%.40s\"", name, text);
        return false;
    }
    *ret = value;
    return true;
}

bool query_flag(struct httpd_request *r, const char *name)
{
    const char *text = httpd_query(r, name);
    return text != NULL && strcmp(text, "0") != 0 && strcmp(text, "false") != 0;
}

const char *rule_name(struct admin *a, uint32_t number)
{
    const struct rule *const *rules;
    size_t n = engine_rules(a->options.engine, &rules);
    for (size_t i = 0; i < n; i++) {
        if (rules[i]->number == number) {
            return rules[i]->name;
        }
    }
    return "";
}
