#include "daemon/feeds/webhook_token.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TOKEN_MIN   16
#define TOKEN_MAX   255
#define TEXT_MAX    4096
#define TOKEN_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-"

static void digest_of(struct span token, unsigned char to[32])
{
    EVP_Digest(token.ptr != NULL ? token.ptr : "", token.len, to, NULL, EVP_sha256(), NULL);
}

static int refuse(struct fail *f, const char *place, const char *why, const char *hint)
{
    fail_set(f, REPL_ECREDENTIALS, "token of %s %s", place, why);
    fail_hint(f, "%s", hint);
    return f->code;
}

/* What a place holds, line by line: into digests, or the first as it is. */
struct taken {
    struct webhook_tokens tokens;
    char first[WEBHOOK_TOKEN_MAX + 1];
};

static int add_line(struct taken *t, struct span line, const char *place, struct fail *f)
{
    bool good = line.len >= TOKEN_MIN && line.len <= WEBHOOK_TOKEN_MAX;
    for (size_t i = 0; good && i < line.len; i++) {
        good = line.ptr[i] != '\0' && strchr(TOKEN_CHARS, line.ptr[i]) != NULL;
    }
    if (!good) {
        return refuse(f, place, "is none of 16 to 255 letters, digits and . _ ~ -",
                      "openssl rand -hex 24 makes one");
    }
    struct webhook_tokens *list = &t->tokens;
    if (list->count == WEBHOOK_TOKENS_MAX) {
        return refuse(f, place, "has more than 4 lines", "leave the old ones out");
    }
    if (list->count == 0) {
        snprintf(t->first, sizeof(t->first), "%.*s", SPAN_ARG(line));
    }
    digest_of(line, list->digests[list->count++]);
    return 0;
}

static int take_text(struct taken *t, struct span text, const char *place, struct fail *f)
{
    int status = 0;
    while (status == 0 && text.ptr != NULL) {
        struct span line = span_cut(&text, '\n');
        if (span_ends_with(line, span_str("\r"))) {
            line.len--;
        }
        line = span_trim(line);
        if (line.len > 0) {
            status = add_line(t, line, place, f);
        }
    }
    return status == 0 && t->tokens.count == 0
               ? refuse(f, place, "is empty", "openssl rand -hex 24 makes one")
               : status;
}

static int load_file(const char *path, struct taken *t, struct fail *f)
{
    char text[TEXT_MAX];
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        return refuse(f, path, strerror(errno), "the user that runs repld must be able to read it");
    }
    size_t n = fread(text, 1, sizeof(text), in);
    fclose(in);
    int status = n < sizeof(text) ? take_text(t, span_of(text, n), path, f)
                                  : refuse(f, path, "is too long", "one token a line");
    explicit_bzero(text, sizeof(text));
    return status;
}

static int load_systemd(const char *name, struct taken *t, struct fail *f)
{
    char path[4096];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL) {
        return refuse(f, name, "is no systemd credential here",
                      "add LoadCredential=NAME:/path to the service (systemctl edit repld)");
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return load_file(path, t, f);
}

static int load(const struct conf_token *where, struct taken *t, struct fail *f)
{
    if (where->environment != NULL) {
        const char *value = getenv(where->environment);
        return value != NULL ? take_text(t, span_str(value), where->environment, f)
                             : refuse(f, where->environment, "is not in the environment",
                                      "set the variable, or name a file");
    }
    if (where->systemd != NULL) {
        return load_systemd(where->systemd, t, f);
    }
    return where->file != NULL ? load_file(where->file, t, f) : 0;
}

int webhook_tokens_load(const struct conf_token *where, struct webhook_tokens *ret, struct fail *f)
{
    struct taken t = {0};
    int status = load(where, &t, f);
    if (status == 0) {
        *ret = t.tokens;
    }
    explicit_bzero(&t, sizeof(t));
    return status;
}

int webhook_token_first(const struct conf_token *where, char to[WEBHOOK_TOKEN_MAX + 1],
                        struct fail *f)
{
    struct taken t = {0};
    int status = load(where, &t, f);
    if (status == 0) {
        memcpy(to, t.first, sizeof(t.first));
    }
    explicit_bzero(&t, sizeof(t));
    return status;
}

/* All are compared, whichever fits: digests have one length, and tell nothing of the token's. */
bool webhook_tokens_have(const struct webhook_tokens *t, struct span token)
{
    unsigned char digest[32];
    bool found = false;
    digest_of(token, digest);
    for (size_t i = 0; i < t->count; i++) {
        found |= CRYPTO_memcmp(digest, t->digests[i], sizeof(digest)) == 0;
    }
    return found;
}

bool webhook_tokens_have_header(const struct webhook_tokens *t, const char *value)
{
    if (value == NULL) {
        return false;
    }
    bool bearer = strncasecmp(value, "bearer ", 7) == 0;
    return webhook_tokens_have(t, span_trim(span_str(bearer ? value + 7 : value)));
}
