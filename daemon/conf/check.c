#include "daemon/conf/check.h"

#include "daemon/base/fail.h"
#include "daemon/base/span.h"

#include <ctype.h>
#include <stdio.h>

#define LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_of(const char *text, const char *allowed, size_t max)
{
    size_t len = strlen(text);
    return len >= 1 && len <= max && strspn(text, allowed) == len;
}

const char *check_endpoint_name(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS "-", 63) && text[0] != '-';
    return good ? NULL : "must be a name of a-z, 0-9 and -, at most 63, not starting with -";
}

const char *check_rule_name(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS "._-", 63) && isalnum((unsigned char)text[0]) != 0;
    return good ? NULL
                : "must be a name of a-z, 0-9 and . _ -, at most 63, starting with a-z or 0-9";
}

const char *check_instance(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS UPPER "._-", 63);
    return good ? NULL : "must be a name of letters, digits and . _ -, at most 63";
}

const char *check_bucket(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS UPPER "._-", 255) && strcmp(text, ".") != 0 &&
                strcmp(text, "..") != 0;
    return good ? NULL : "must be a bucket name of letters, digits and . _ -";
}

/* HOST, HOST:PORT or [ADDRESS]:PORT; a port that does not exist would only be met at connecting. */
static bool has_bad_port(struct span host)
{
    const char *bracket = memchr(host.ptr, ']', host.len);
    struct span rest = bracket != NULL ? span_skip(host, (size_t)(bracket + 1 - host.ptr)) : host;
    const char *colon = memchr(rest.ptr, ':', rest.len);
    unsigned long long port = 0;
    if (colon == NULL) {
        return false;
    }
    struct span digits = span_skip(rest, (size_t)(colon + 1 - rest.ptr));
    return span_to_u64(digits, &port) != 0 || port == 0 || port > 65535;
}

const char *check_url(const char *text)
{
    size_t skip = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    if (skip == 0) {
        return "must start with http:// or https://";
    }
    const char *host = text + skip;
    size_t len = strcspn(host, "/?#");
    if (len == 0 || len > 255) {
        return "must name a host behind http:// or https://";
    }
    if (memchr(host, '@', len) != NULL) {
        return "must not hold a user or password: credentials have keys of their own";
    }
    if (has_bad_port(span_of(host, len))) {
        return "must have a port of 1 to 65535 behind the host's colon";
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return "must not hold blanks or control characters";
        }
    }
    return host[len] == '\0' || strcmp(host + len, "/") == 0 ? NULL
                                                             : "must not have a path or query";
}

const char *check_queue_url(const char *text)
{
    size_t at = strcspn(text, ":");
    at += strspn(text + at, ":/");
    at += strcspn(text + at, "/");
    char place[300];
    snprintf(place, sizeof(place), "%.*s", (int)at, text);
    const char *bad = check_url(place);
    size_t path = strlen(text + at);
    bool good = path >= 2 && path <= 255 && text[at + path - 1] != '/' &&
                strspn(text + at, LOWER_DIGITS UPPER "._-/") == path;
    return bad != NULL ? bad : good ? NULL : "must end with the path of the queue: /ACCOUNT/NAME";
}

/* What nobody encodes, so that paths are compared as they are written. */
const char *check_url_path(const char *text)
{
    size_t len = strlen(text);
    bool good = text[0] == '/' && len >= 2 && len <= 255 && text[len - 1] != '/' &&
                strspn(text, LOWER_DIGITS UPPER "._~/-") == len && strstr(text, "//") == NULL;
    return good ? NULL : "must be a path such as /minio, of letters, digits and . _ ~ - /";
}

const char *check_variable(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS UPPER "_", 127) && isdigit((unsigned char)text[0]) == 0;
    return good ? NULL : "must be the name of a variable";
}

const char *check_region(const char *text)
{
    return is_of(text, LOWER_DIGITS UPPER "_-", 63) ? NULL
                                                    : "must be a region name such as eu-central-1";
}

const char *check_path(const char *text)
{
    if (text[0] != '/') {
        return "must be an absolute path";
    }
    return strlen(text) < 4096 ? NULL : "must be shorter than 4096 bytes";
}

const char *check_listen(const char *text)
{
    const char *colon = strrchr(text, ':');
    unsigned long long port = 0;
    if (colon == NULL || span_to_u64(span_str(colon + 1), &port) != 0 || port > 65535) {
        return "must be ADDRESS:PORT such as 127.0.0.1:9815 or [::1]:9815";
    }
    struct span host = span_of(text, (size_t)(colon - text));
    bool brackets = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (!brackets && host.len > 0 && memchr(host.ptr, ':', host.len) != NULL) {
        return "must have its IPv6 address in brackets: [::1]:9815";
    }
    return NULL;
}

const char *check_group(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS UPPER "._-", 32);
    return good ? NULL : "must be the name of a group";
}

const char *check_word(const char *text)
{
    bool good = is_of(text, LOWER_DIGITS UPPER "._-", 127) && text[0] != '.';
    return good ? NULL : "must be a name of letters, digits and . _ -";
}

const char *check_congestion(const char *text)
{
    /* 15 bytes: TCP_CA_NAME_MAX of the kernel, less its NUL */
    return is_of(text, LOWER_DIGITS UPPER "_-", 15) ? NULL
                                                    : "must be auto, or name a congestion control "
                                                      "of the kernel such as bbr or cubic";
}

const char *check_prefix_of_env(const char *text)
{
    bool good = text[0] == '\0' || is_of(text, LOWER_DIGITS UPPER "_", 63);
    return good ? NULL : "must be the start of variable names such as SRC_";
}

/* rules_glob() takes what is open as it stands; an operator who writes it made a slip. */
const char *check_glob(const char *text)
{
    if (text[0] == '\0' || strlen(text) > 1024) {
        return "must be a pattern of 1 to 1024 bytes";
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\' && *++p == '\0') {
            return "ends in a backslash that quotes nothing";
        }
        if (*p == '[') {
            const char *from = p + 1 + (p[1] == '!' || p[1] == '^' ? 1 : 0);
            const char *end = *from == '\0' ? NULL : strchr(from + 1, ']');
            if (end == NULL) {
                return "has a [ without its ]";
            }
            p = end;
        }
    }
    return NULL;
}

const char *check_post_url(const char *text)
{
    size_t skip = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    size_t len = strcspn(text + skip, "/?#");
    char base[300];
    if (skip == 0 || len > 255) {
        return "must be an URL that starts with http:// or https://";
    }
    snprintf(base, sizeof(base), "%.*s", (int)(skip + len), text);
    if (strlen(text) > 2000 || strpbrk(text, " #") != NULL) {
        return "must be an URL without blanks and #, shorter than 2000 bytes";
    }
    return check_url(base);
}

const char *check_event_kind(const char *text)
{
    static const char *const kinds[] = {"replicated", "missed", "late",
                                        "failed",     "brake",  "watermark"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(text, kinds[i]) == 0) {
            return NULL;
        }
    }
    return "must be one of replicated, missed, late, failed, brake, watermark";
}
