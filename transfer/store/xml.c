#include "transfer/store/xml.h"

#include "daemon/base/fail.h"

#include <expat.h>
#include <stdio.h>

#define DEPTH_MAX 12
#define PATH_MAX_ 512
#define TEXT_MAX  ((size_t)64 * 1024)

struct reader {
    XML_Parser parser;
    const struct xml_handler *handler;
    void *arg;
    char path[PATH_MAX_];
    size_t ends[DEPTH_MAX]; /* length of the path at each depth */
    unsigned depth;
    struct buf text;
    bool failed;
};

static void stop(struct reader *r)
{
    r->failed = true;
    XML_StopParser(r->parser, XML_FALSE);
}

/* Some servers write names with a namespace prefix. */
static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon != NULL ? colon + 1 : name;
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct reader *r = arg;
    size_t at = r->depth > 0 ? r->ends[r->depth - 1] : 0;
    (void)attributes;
    name = local_name(name);
    size_t len = strlen(name);
    if (r->depth == DEPTH_MAX || at + len + 2 > sizeof(r->path)) {
        stop(r);
        return;
    }
    if (at > 0) {
        r->path[at++] = '/';
    }
    memcpy(r->path + at, name, len + 1);
    r->ends[r->depth++] = at + len;
    buf_reset(&r->text);
    if (r->handler->start != NULL) {
        r->handler->start(r->arg, r->path);
    }
}

static void on_end(void *arg, const char *name)
{
    struct reader *r = arg;
    (void)name;
    r->handler->end(r->arg, r->path, buf_view(&r->text));
    r->depth--;
    r->path[r->depth > 0 ? r->ends[r->depth - 1] : 0] = '\0';
    buf_reset(&r->text);
}

static void on_text(void *arg, const char *text, int len)
{
    struct reader *r = arg;
    buf_append(&r->text, text, (size_t)len);
    if (buf_error(&r->text) != 0) {
        stop(r);
    }
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(arg);
}

int xml_parse(struct span document, const struct xml_handler *handler, void *arg)
{
    struct reader r = {.handler = handler, .arg = arg};
    if (document.len == 0 || document.len > INT32_MAX) {
        return REPL_EPROTO;
    }
    buf_init(&r.text, TEXT_MAX);
    r.parser = XML_ParserCreate("UTF-8");
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    /* White space before the declaration: sent while a long Complete goes on. */
    while (document.len > 0 && strchr(" \t\r\n", document.ptr[0]) != NULL) {
        document = span_skip(document, 1);
    }
    enum XML_Status status = XML_Parse(r.parser, document.ptr, (int)document.len, 1);
    XML_ParserFree(r.parser);
    buf_done(&r.text);
    return status == XML_STATUS_OK && !r.failed ? 0 : REPL_EPROTO;
}

void xml_element(struct buf *to, const char *tag, struct span text)
{
    buf_printf(to, "<%s>", tag);
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '<':
            buf_str(to, "&lt;");
            break;
        case '>':
            buf_str(to, "&gt;");
            break;
        case '&':
            buf_str(to, "&amp;");
            break;
        case '"':
            buf_str(to, "&quot;");
            break;
        case '\r':
            buf_str(to, "&#13;");
            break;
        default:
            buf_char(to, text.ptr[i]);
        }
    }
    buf_printf(to, "</%s>", tag);
}

/* Length of the UTF-8 sequence at `at`; 0 when there is none or XML cannot carry it. */
static size_t carried(const unsigned char *at, size_t left)
{
    unsigned char c = at[0];
    if (c < 0x80) {
        return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
    }
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool surrogate = c == 0xed && at[1] >= 0xa0;
    bool overlong = (c == 0xe0 && at[1] < 0xa0) || (c == 0xf0 && at[1] < 0x90);
    bool beyond = c == 0xf4 && at[1] >= 0x90;
    bool nonchar = c == 0xef && at[1] == 0xbf && at[2] >= 0xbe;
    return surrogate || overlong || beyond || nonchar ? 0 : len;
}

bool xml_can_carry(struct span text)
{
    for (size_t i = 0; i < text.len;) {
        size_t n = carried((const unsigned char *)text.ptr + i, text.len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

/* ---- errors ---- */

static void error_end(void *arg, const char *path, struct span text)
{
    struct xml_error *e = arg;
    const char *name = strncmp(path, "Error/", 6) == 0 ? path + 6 : "";
    struct {
        const char *name;
        char *to;
        size_t size;
    } members[] = {{"Code", e->code, sizeof(e->code)},
                   {"Message", e->message, sizeof(e->message)},
                   {"RequestId", e->request_id, sizeof(e->request_id)},
                   {"Region", e->region, sizeof(e->region)}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (strcmp(name, members[i].name) == 0) {
            snprintf(members[i].to, members[i].size, "%.*s", SPAN_ARG(text));
        }
    }
}

bool xml_read_error(struct span document, struct xml_error *ret)
{
    static const struct xml_handler handler = {.end = error_end};
    memset(ret, 0, sizeof(*ret));
    if (document.len == 0 || xml_parse(document, &handler, ret) < 0 || ret->code[0] == '\0') {
        memset(ret, 0, sizeof(*ret));
        return false;
    }
    return true;
}
