#include "cli/doctor.h"

#include "cli/commands.h"
#include "cli/table.h"

#include <errno.h>
#include <stdio.h>

#define DEFAULT_CONFIG "/etc/repld/repld.yaml"

const struct doctor_check doctor_checks[] = {
    {"congestion", doctor_congestion, ""},
    {"allowed", doctor_allowed, ""},
    {"granted", doctor_granted, "mend the lines above, then: systemctl restart repld"},
    {"send-buffers", doctor_send_buffers, ""},
    {"receive-buffers", doctor_receive_buffers, ""},
    {"slow-start", doctor_slow_start, "sysctl -w net.ipv4.tcp_slow_start_after_idle=0"},
    {"descriptors", doctor_descriptors, "ulimit -n 65536"},
    {"repld-descriptors", doctor_daemon_descriptors,
     "systemctl edit repld: [Service] LimitNOFILE=65536; then systemctl restart repld"},
    {"clock", doctor_clock, "timedatectl set-ntp true"},
    {"space", doctor_space, "make room there, or name another place as journal: path:"},
    {"file-system", doctor_file_system, "name a place on a local disk as journal: path:"},
    {"memory", doctor_memory, "write a smaller memory: in repld.yaml, then: replctl reload"},
    {0},
};

static const char *const states[] = {"good", "lacks", "unknown"};

/* ---- what is known before ---- */

/* A file that was named must be good; the usual one may be missing, or not for our eyes. */
static int load_conf(const struct cli_args *args, struct conf **ret, struct fail *f)
{
    const char *file = cli_args_get(args, "config");
    int status = conf_load(file != NULL ? file : DEFAULT_CONFIG, ret, f);
    if (file == NULL && (status == -ENOENT || status == -EACCES)) {
        status = conf_parse(span_str(""), DEFAULT_CONFIG, ret, f);
    }
    return status;
}

/* NULL when no daemon answers: the host is looked at alone. */
static json_t *ask_daemon(const struct cli *c, struct fail *f)
{
    json_t *status = NULL;
    return cli_ask(c, PROTO_STATUS, NULL, span_str(""), &status, f) == 0 ? status : NULL;
}

/* ---- what is shown ---- */

static const char *mend_of(const struct doctor_check *check, const struct doctor_finding *f)
{
    if (f->state != DOCTOR_LACKS) {
        return "";
    }
    return f->mend.len > 0 ? buf_cstr(&f->mend) : check->mend;
}

static void add_row(struct table *t, const struct doctor_check *check,
                    const struct doctor_finding *f)
{
    static const enum table_colour colours[] = {TABLE_GREEN, TABLE_RED, TABLE_YELLOW};
    table_cell(t, TABLE_PLAIN, check->name);
    table_cell(t, colours[f->state], states[f->state]);
    table_cell(t, TABLE_PLAIN, buf_cstr(&f->text));
    table_cell(t, TABLE_PLAIN, mend_of(check, f));
}

static json_t *json_row(const struct doctor_check *check, const struct doctor_finding *f)
{
    const char *mend = mend_of(check, f);
    return json_pack("{s:s,s:s,s:s,s:s?}", "name", check->name, "state", states[f->state], "text",
                     buf_cstr(&f->text), "mend", mend[0] != '\0' ? mend : NULL);
}

/* Runs every check; returns how many found something lacking. */
static unsigned run_checks(const struct doctor *d, struct table *t, json_t *rows)
{
    unsigned lacks = 0;
    for (const struct doctor_check *check = doctor_checks; check->name != NULL; check++) {
        struct doctor_finding f = {0};
        check->check(d, &f);
        lacks += f.state == DOCTOR_LACKS ? 1 : 0;
        add_row(t, check, &f);
        json_array_append_new(rows, json_row(check, &f));
        buf_done(&f.text);
        buf_done(&f.mend);
    }
    return lacks;
}

static int report(const struct cli *c, const struct doctor *d, const struct fail *f)
{
    static const char *const headings[] = {"CHECK", "STATE", "FOUND", "MEND", NULL};
    struct table t;
    json_t *rows = json_array();
    table_init(&t, headings);
    unsigned lacks = run_checks(d, &t, rows);
    if (c->json) {
        json_t *root = json_pack("{s:b,s:b,s:O}", "good", lacks == 0, "daemon", d->status != NULL,
                                 "checks", rows);
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
    } else {
        table_print(&t, c->terminal);
        if (d->status == NULL) {
            printf("\nrepld was not asked: %s\n", f->text);
        }
    }
    json_decref(rows);
    table_done(&t);
    return lacks == 0 ? CLI_DONE : CLI_FAILED;
}

int run_doctor(struct cli *c, const struct cli_args *args)
{
    struct fail f = {0};
    struct conf *conf = NULL;
    const char *root = cli_args_get(args, "root");
    if (load_conf(args, &conf, &f) != 0) {
        return cli_fail(c, &f);
    }
    json_t *status = ask_daemon(c, &f);
    const char *journal = cli_text(json_object_get(status, "journal"), "path");
    struct doctor d = {.root = root != NULL && strcmp(root, "/") != 0 ? root : "",
                       .conf = conf,
                       .status = status,
                       .journal = journal[0] != '\0' ? journal : conf->journal_path};
    doctor_look(&d);
    int code = report(c, &d, &f);
    json_decref(status);
    conf_free(conf);
    return code;
}
