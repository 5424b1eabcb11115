#include "daemon/notify/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int refuse(struct fail *f, const char *place, const char *why, const char *hint)
{
    fail_set(f, REPL_ECREDENTIALS, "secret of %.200s %s", place, why);
    fail_hint(f, "%s", hint);
    return f->code;
}

static int take(struct span text, const char *place, char to[SECRET_MAX], struct fail *f)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL) {
        text.len--;
    }
    if (text.len == 0 || memchr(text.ptr, '\0', text.len) != NULL) {
        return refuse(f, place, "is empty or no text", "write it there");
    }
    memmove(to, text.ptr, text.len);
    to[text.len] = '\0';
    return 0;
}

static int load_file(const char *path, char to[SECRET_MAX], struct fail *f)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        return refuse(f, path, strerror(errno), "the user that runs repld must be able to read it");
    }
    size_t n = fread(to, 1, SECRET_MAX, in);
    fclose(in);
    return n < SECRET_MAX ? take(span_of(to, n), path, to, f)
                          : refuse(f, path, "is too long", "8191 bytes are the most");
}

static int load_systemd(const char *name, char to[SECRET_MAX], struct fail *f)
{
    char path[4096];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL) {
        return refuse(f, name, "is no systemd credential here",
                      "add LoadCredential=NAME:/path to the service (systemctl edit repld)");
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return load_file(path, to, f);
}

int secret_load(const struct conf_token *where, char to[SECRET_MAX], struct fail *f)
{
    to[0] = '\0';
    if (where->environment != NULL) {
        const char *value = getenv(where->environment);
        if (value == NULL || strlen(value) >= SECRET_MAX) {
            return refuse(f, where->environment, "is not in the environment, or too long",
                          "set the variable, or name a file");
        }
        return take(span_str(value), where->environment, to, f);
    }
    if (where->systemd != NULL) {
        return load_systemd(where->systemd, to, f);
    }
    return where->file != NULL ? load_file(where->file, to, f) : 0;
}
