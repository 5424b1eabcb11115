/* creds: where an endpoint's keys come from, and the keys themselves. The triple is read together
 * and held in memory only; nothing ever formats it. Sources are read again when their file changes
 * and after an answer said that they expired. */
#ifndef REPL_STORE_CREDS_H
#define REPL_STORE_CREDS_H

#include "daemon/base/fail.h"

#include <stdint.h>

enum creds_kind {
    CREDS_ENV,       /* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or a prefix */
    CREDS_PROFILE,   /* ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE), [profile] */
    CREDS_FILE,      /* an AWS credentials file of its own, [default] or named profile */
    CREDS_SYSTEMD,   /* $CREDENTIALS_DIRECTORY/NAME, same format */
    CREDS_ANONYMOUS, /* unsigned requests */
};

struct creds_source {
    enum creds_kind kind;
    const char *name; /* PROFILE, FILE: profile (NULL = "default"); ENV: variable prefix, "" or
                         "SRC_" for SRC_AWS_ACCESS_KEY_ID; SYSTEMD: credential name */
    const char *path; /* FILE */
};

struct creds {
    char access_key[160];
    char secret_key[160];
    char session_token[2400];
    int64_t expires_ms; /* 0 = never */
};

/* REPL_ECREDENTIALS with the place and the mend in *f, never a value. */
int creds_load(const struct creds_source *source, struct creds *ret, struct fail *f);
/* Overwrites the secret bytes. */
void creds_wipe(struct creds *c);

#endif
