#include "transfer/store/creds.h"

#include "daemon/base/buf.h"
#include "daemon/base/mem.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define PROFILE_SHOWN  64

void creds_wipe(struct creds *c)
{
    OPENSSL_cleanse(c, sizeof(*c));
}

static bool store_value(char *to, size_t size, struct span value)
{
    if (value.len >= size || memchr(value.ptr, '\0', value.len) != NULL) {
        return false;
    }
    memcpy(to, value.ptr, value.len);
    to[value.len] = '\0';
    return true;
}

/* ---- environment ---- */

static bool read_variable(const char *prefix, const char *name, char *to, size_t size)
{
    char full[128];
    snprintf(full, sizeof(full), "%s%s", prefix, name);
    const char *value = getenv(full);
    to[0] = '\0';
    return value != NULL && value[0] != '\0' && store_value(to, size, span_str(value));
}

static int load_env(const struct creds_source *source, struct creds *c, struct fail *f)
{
    const char *prefix = source->name != NULL ? source->name : "";
    if (!read_variable(prefix, "AWS_ACCESS_KEY_ID", c->access_key, sizeof(c->access_key)) ||
        !read_variable(prefix, "AWS_SECRET_ACCESS_KEY", c->secret_key, sizeof(c->secret_key))) {
        fail_set(f, REPL_ECREDENTIALS,
                 "%sAWS_ACCESS_KEY_ID and %sAWS_SECRET_ACCESS_KEY are not both in the environment",
                 prefix, prefix);
        fail_hint(f, "set them for the service, or name another source in credentials");
        return f->code;
    }
    read_variable(prefix, "AWS_SESSION_TOKEN", c->session_token, sizeof(c->session_token));
    return 0;
}

/* ---- files: [profile] and name = value ---- */

/* The profile that the line begins; absent: it begins none. */
static struct span section_of(struct span line)
{
    if (line.len < 2 || line.ptr[0] != '[' || line.ptr[line.len - 1] != ']') {
        return (struct span){0};
    }
    struct span name = span_trim(span_of(line.ptr + 1, line.len - 2));
    bool is_long = span_starts_with(name, span_str("profile "));
    return is_long ? span_trim(span_skip(name, 8)) : name;
}

static bool is_section(struct span line, const char *profile)
{
    struct span name = section_of(line);
    return name.ptr != NULL && span_eq_str(name, profile);
}

static struct span next_line(struct span *text)
{
    struct span line = span_cut(text, '\n');
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return span_trim(line);
}

static bool take_setting(struct span line, struct creds *c)
{
    struct span name = span_trim(span_cut(&line, '='));
    struct span value = span_trim(line);
    if (span_eq_nocase(name, "aws_access_key_id")) {
        return store_value(c->access_key, sizeof(c->access_key), value);
    }
    if (span_eq_nocase(name, "aws_secret_access_key")) {
        return store_value(c->secret_key, sizeof(c->secret_key), value);
    }
    if (span_eq_nocase(name, "aws_session_token")) {
        return store_value(c->session_token, sizeof(c->session_token), value);
    }
    return true;
}

/* Returns whether the profile was found; *ok is false for a value that is too long. */
static bool parse_file(struct span text, const char *profile, struct creds *c, bool *ok)
{
    bool inside = false;
    bool found = false;
    *ok = true;
    while (text.len > 0) {
        struct span line = next_line(&text);
        if (line.len > 0 && line.ptr[0] == '[') {
            inside = is_section(line, profile);
            found = found || inside;
        } else if (inside && line.len > 0 && line.ptr[0] != '#' && line.ptr[0] != ';') {
            *ok = take_setting(line, c) && *ok;
        }
    }
    return found;
}

/* "[a], [b]": names of sections, and nothing else of the file. */
static void print_profiles(struct span text, struct buf *to)
{
    while (text.len > 0) {
        struct span name = section_of(next_line(&text));
        if (name.ptr != NULL && name.len <= PROFILE_SHOWN && span_is_utf8(name)) {
            buf_printf(to, "%s[%.*s]", to->len > 0 ? ", " : "", SPAN_ARG(name));
        }
    }
}

static int refuse_profile(const char *path, const char *profile, struct span text, struct fail *f)
{
    struct buf names = {0};
    print_profiles(text, &names);
    fail_set(f, REPL_ECREDENTIALS,
             "there is no profile [%.*s] in credentials file %.160s, which has %s", PROFILE_SHOWN,
             profile, path, names.len > 0 ? buf_cstr(&names) : "none");
    fail_hint(f, "add the section, or name another profile");
    buf_done(&names);
    return f->code;
}

static int read_file(const char *path, char **ret, size_t *ret_len, struct fail *f)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int error = errno;
        fail_set(f, REPL_ECREDENTIALS, "credentials file %s: %s", path, strerror(error));
        fail_hint(f, "the user that runs repld must be able to read it");
        return f->code;
    }
    char *text = mem_alloc(FILE_MAX_BYTES);
    *ret_len = fread(text, 1, FILE_MAX_BYTES, file);
    fclose(file);
    *ret = text;
    return 0;
}

static int load_file(const char *path, const char *profile, struct creds *c, struct fail *f)
{
    char *text = NULL;
    size_t len = 0;
    bool ok;
    int r = read_file(path, &text, &len, f);
    if (r < 0) {
        return r;
    }
    bool found = parse_file(span_of(text, len), profile, c, &ok);
    r = found ? 0 : refuse_profile(path, profile, span_of(text, len), f);
    OPENSSL_cleanse(text, len);
    mem_free(text);
    if (!found) {
        return r;
    }
    if (!ok || c->access_key[0] == '\0' || c->secret_key[0] == '\0') {
        fail_set(f, REPL_ECREDENTIALS, "profile [%s] of %s lacks a usable key pair", profile, path);
        fail_hint(f, "it needs aws_access_key_id and aws_secret_access_key");
        return f->code;
    }
    return 0;
}

static int load_shared(const struct creds_source *source, struct creds *c, struct fail *f)
{
    char path[4096];
    const char *named = getenv("AWS_SHARED_CREDENTIALS_FILE");
    const char *home = getenv("HOME");
    if (named != NULL && named[0] != '\0') {
        snprintf(path, sizeof(path), "%s", named);
    } else {
        snprintf(path, sizeof(path), "%s/.aws/credentials", home != NULL ? home : "/root");
    }
    return load_file(path, source->name != NULL ? source->name : "default", c, f);
}

static int load_systemd(const struct creds_source *source, struct creds *c, struct fail *f)
{
    char path[4096];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL || source->name == NULL) {
        fail_set(f, REPL_ECREDENTIALS, "there is no systemd credential \"%s\"",
                 source->name != NULL ? source->name : "");
        fail_hint(f, "add LoadCredential=%s:/path to the service (systemctl edit repld)",
                  source->name != NULL ? source->name : "NAME");
        return f->code;
    }
    snprintf(path, sizeof(path), "%s/%s", folder, source->name);
    return load_file(path, "default", c, f);
}

int creds_load(const struct creds_source *source, struct creds *ret, struct fail *f)
{
    memset(ret, 0, sizeof(*ret));
    switch (source->kind) {
    case CREDS_ENV:
        return load_env(source, ret, f);
    case CREDS_PROFILE:
        return load_shared(source, ret, f);
    case CREDS_FILE:
        return load_file(source->path, source->name != NULL ? source->name : "default", ret, f);
    case CREDS_SYSTEMD:
        return load_systemd(source, ret, f);
    case CREDS_ANONYMOUS:
        return 0;
    }
    return fail_set(f, REPL_ECREDENTIALS, "unknown kind of credentials");
}
