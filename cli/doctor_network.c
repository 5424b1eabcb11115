/* doctor: what the kernel's TCP gives to repld. */
#include "cli/doctor.h"

#include "cli/cli.h"
#include "cli/text.h"

#include <stdio.h>

#define IPV4         "/proc/sys/net/ipv4/"
#define BUFFER_WANTS ((unsigned long long)64 * 1024 * 1024) /* as in etc/sysctl.d/60-repld.conf */

/* ---- congestion control ---- */

/* As transfer/net/sock.h reads it. */
static const char *meaning(const char *wish)
{
    return wish == NULL || strcmp(wish, "auto") == 0 ? "bbr" : wish;
}

/* What endpoints ask for, one after the other; without endpoints what they would. */
static const char *wished(const struct doctor *d, size_t i)
{
    size_t count = d->conf->endpoint_count;
    if (i < count) {
        return meaning(d->conf->endpoints[i].congestion);
    }
    return i == 0 ? meaning(NULL) : NULL;
}

static bool has_word(struct span list, const char *word)
{
    while (list.ptr != NULL) {
        if (span_eq_str(span_trim(span_cut(&list, ' ')), word)) {
            return true;
        }
    }
    return false;
}

/* Words that are wished and not in the list, separated by blanks. */
static void missing(const struct doctor *d, struct span list, struct buf *to)
{
    const char *name;
    for (size_t i = 0; (name = wished(d, i)) != NULL; i++) {
        if (!has_word(list, name) && !has_word(buf_view(to), name)) {
            buf_printf(to, "%s%s", to->len > 0 ? " " : "", name);
        }
    }
}

/* The list of the file without its newline. */
static bool read_list(const struct doctor *d, struct doctor_finding *f, const char *path,
                      struct buf *to)
{
    if (!doctor_read(d, path, to)) {
        doctor_say(f, DOCTOR_UNKNOWN, "%s cannot be read", path);
        return false;
    }
    while (to->len > 0 && to->data[to->len - 1] == '\n') {
        to->data[--to->len] = '\0';
    }
    return true;
}

void doctor_congestion(const struct doctor *d, struct doctor_finding *f)
{
    struct buf list = {0};
    struct buf lacks = {0};
    if (read_list(d, f, IPV4 "tcp_available_congestion_control", &list)) {
        missing(d, buf_view(&list), &lacks);
        if (lacks.len == 0) {
            doctor_say(f, DOCTOR_GOOD, "the kernel has %s", buf_cstr(&list));
        } else {
            doctor_say(f, DOCTOR_LACKS, "the kernel has not loaded %s, only %s", buf_cstr(&lacks),
                       buf_cstr(&list));
        }
    }
    for (struct span rest = buf_view(&lacks); rest.len > 0;) {
        struct span name = span_cut(&rest, ' ');
        buf_printf(&f->mend, "%smodprobe tcp_%.*s", f->mend.len > 0 ? " && " : "", SPAN_ARG(name));
    }
    buf_done(&list);
    buf_done(&lacks);
}

/* The kernel replaces its whole list by what is written: what is allowed now is kept. */
void doctor_allowed(const struct doctor *d, struct doctor_finding *f)
{
    struct buf list = {0};
    struct buf lacks = {0};
    if (read_list(d, f, IPV4 "tcp_allowed_congestion_control", &list)) {
        missing(d, buf_view(&list), &lacks);
        if (lacks.len == 0) {
            doctor_say(f, DOCTOR_GOOD, "every user may ask for %s", buf_cstr(&list));
        } else {
            doctor_say(f, DOCTOR_LACKS, "only root may ask for %s, other users for %s",
                       buf_cstr(&lacks), buf_cstr(&list));
            buf_printf(&f->mend, "sysctl -w net.ipv4.tcp_allowed_congestion_control=\"%s%s%s\"",
                       buf_cstr(&list), list.len > 0 ? " " : "", buf_cstr(&lacks));
        }
    }
    buf_done(&list);
    buf_done(&lacks);
}

/* Adds "home bbr", or what it asked for when that is another one. Returns whether they differ. */
static bool add_grant(const json_t *endpoint, struct buf *to)
{
    const char *wish = meaning(cli_text(endpoint, "congestion_wish"));
    const char *granted = cli_text(endpoint, "congestion");
    bool differs = strcmp(wish, granted) != 0;
    if (granted[0] == '\0') {
        return false;
    }
    buf_printf(to, "%s%s %s", to->len > 0 ? ", " : "", cli_text(endpoint, "name"), granted);
    if (differs) {
        buf_printf(to, " instead of %s", wish);
    }
    return differs;
}

void doctor_granted(const struct doctor *d, struct doctor_finding *f)
{
    struct buf grants = {0};
    bool lacks = false;
    size_t i;
    json_t *endpoint;
    json_array_foreach(json_object_get(d->status, "endpoints"), i, endpoint)
    {
        lacks = add_grant(endpoint, &grants) || lacks;
    }
    if (d->status == NULL) {
        doctor_say(f, DOCTOR_UNKNOWN, "repld was not asked");
    } else if (grants.len == 0) {
        doctor_say(f, DOCTOR_UNKNOWN, "repld has not connected to an endpoint yet");
    } else {
        doctor_say(f, lacks ? DOCTOR_LACKS : DOCTOR_GOOD, "%s", buf_cstr(&grants));
    }
    buf_done(&grants);
}

/* ---- sysctls with numbers ---- */

/* Three numbers: least, first, most. */
static void check_buffers(const struct doctor *d, const char *name, struct doctor_finding *f)
{
    char path[96];
    unsigned long long least;
    unsigned long long first;
    unsigned long long most;
    struct buf text = {0};
    struct buf size = {0};
    snprintf(path, sizeof(path), IPV4 "%s", name);
    if (!doctor_read(d, path, &text) ||
        sscanf(buf_cstr(&text), "%llu %llu %llu", &least, &first, &most) != 3) {
        doctor_say(f, DOCTOR_UNKNOWN, "%s cannot be read", path);
    } else {
        bool good = most >= BUFFER_WANTS;
        text_bytes(most, &size);
        doctor_say(f, good ? DOCTOR_GOOD : DOCTOR_LACKS, "%s at most%s", buf_cstr(&size),
                   good ? "" : ", 64 MiB are wanted");
        if (!good) {
            buf_printf(&f->mend, "sysctl -w net.ipv4.%s=\"%llu %llu %llu\"", name, least, first,
                       BUFFER_WANTS);
        }
    }
    buf_done(&text);
    buf_done(&size);
}

void doctor_send_buffers(const struct doctor *d, struct doctor_finding *f)
{
    check_buffers(d, "tcp_wmem", f);
}

void doctor_receive_buffers(const struct doctor *d, struct doctor_finding *f)
{
    check_buffers(d, "tcp_rmem", f);
}

void doctor_slow_start(const struct doctor *d, struct doctor_finding *f)
{
    struct buf text = {0};
    if (!doctor_read(d, IPV4 "tcp_slow_start_after_idle", &text) || text.len == 0) {
        doctor_say(f, DOCTOR_UNKNOWN, "tcp_slow_start_after_idle cannot be read");
    } else if (text.data[0] == '0') {
        doctor_say(f, DOCTOR_GOOD, "off");
    } else {
        doctor_say(f, DOCTOR_LACKS, "on: a kept connection begins each object slowly");
    }
    buf_done(&text);
}
