/* Every check of doctor, on hosts made of a few files. */
#include "cli/doctor.h"
#include "daemon/base/mem.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/support/folder.h"

#define IPV4 "/proc/sys/net/ipv4/"
#define GIB  ((uint64_t)1 << 30)

struct bench {
    char root[64];
    struct doctor d;
    struct doctor_finding f;
};

static void put(const struct bench *b, const char *path, const char *text)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof(whole), "%s%s", b->root, path);
    for (char *slash = whole + strlen(b->root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A host that lacks nothing, and no daemon. */
static int set_up(void **state)
{
    struct bench *b = MEM_NEW(struct bench);
    struct conf *conf = NULL;
    struct fail f = {0};
    test_folder(b->root, sizeof(b->root));
    assert_int_equal(
        conf_parse(span_str("journal: {path: /data/repld/journal.db}\n"), "c.yaml", &conf, &f), 0);
    b->d = (struct doctor){.root = b->root, .conf = conf, .journal = conf->journal_path};
    b->d.host = (struct doctor_host){.descriptors = 65536,
                                     .knows_clock = true,
                                     .clock_is_synchronised = true,
                                     .knows_free = true,
                                     .free_bytes = 40 * GIB,
                                     .folder = "/data/repld"};
    put(b, IPV4 "tcp_available_congestion_control", "reno cubic bbr\n");
    put(b, IPV4 "tcp_allowed_congestion_control", "reno cubic bbr\n");
    put(b, IPV4 "tcp_wmem", "4096\t16384\t67108864\n");
    put(b, IPV4 "tcp_rmem", "4096\t131072\t67108864\n");
    put(b, IPV4 "tcp_slow_start_after_idle", "0\n");
    put(b, "/proc/meminfo", "MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable:  2000000 kB\n");
    put(b, "/proc/1/mountinfo", "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    char command[96];
    conf_free((struct conf *)(uintptr_t)b->d.conf);
    json_decref((json_t *)(uintptr_t)b->d.status);
    buf_done(&b->f.text);
    buf_done(&b->f.mend);
    snprintf(command, sizeof(command), "rm -rf %s", b->root);
    assert_int_equal(system(command), 0);
    mem_free(b);
    return 0;
}

static void configure(struct bench *b, const char *yaml)
{
    struct conf *conf = NULL;
    struct fail f = {0};
    conf_free((struct conf *)(uintptr_t)b->d.conf);
    assert_int_equal(conf_parse(span_str(yaml), "c.yaml", &conf, &f), 0);
    b->d.conf = conf;
}

static void set_status(struct bench *b, const char *json)
{
    json_decref((json_t *)(uintptr_t)b->d.status);
    b->d.status = json_loads(json, 0, NULL);
    assert_non_null(b->d.status);
}

static enum doctor_state run(struct bench *b, const char *name)
{
    const struct doctor_check *check = doctor_checks;
    while (check->name != NULL && strcmp(check->name, name) != 0) {
        check++;
    }
    assert_non_null(check->name);
    buf_reset(&b->f.text);
    buf_reset(&b->f.mend);
    check->check(&b->d, &b->f);
    assert_true(b->f.text.len > 0);
    if (b->f.state == DOCTOR_LACKS) { /* who names a lack names what mends it */
        assert_true(b->f.mend.len > 0 || check->mend[0] != '\0');
    }
    return b->f.state;
}

static void assert_says(const struct bench *b, const char *part)
{
    if (strstr(buf_cstr(&b->f.text), part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, buf_cstr(&b->f.text));
    }
}

static void good_host_lacks_nothing(void **state)
{
    struct bench *b = *state;
    for (const struct doctor_check *c = doctor_checks; c->name != NULL; c++) {
        bool needs_daemon =
            strcmp(c->name, "granted") == 0 || strcmp(c->name, "repld-descriptors") == 0;
        assert_int_equal(run(b, c->name), needs_daemon ? DOCTOR_UNKNOWN : DOCTOR_GOOD);
    }
}

static void unreadable_host_is_unknown_and_not_good(void **state)
{
    struct bench *b = *state;
    b->d.root = "/nowhere";
    b->d.host = (struct doctor_host){.descriptors = 65536, .folder = "/x"};
    for (const struct doctor_check *c = doctor_checks; c->name != NULL; c++) {
        if (strcmp(c->name, "descriptors") != 0) {
            assert_int_equal(run(b, c->name), DOCTOR_UNKNOWN);
        }
    }
}

/* ---- congestion control ---- */

static void stock_host_has_no_bbr(void **state)
{
    struct bench *b = *state;
    put(b, IPV4 "tcp_available_congestion_control", "reno cubic\n");
    put(b, IPV4 "tcp_allowed_congestion_control", "reno cubic\n");
    assert_int_equal(run(b, "congestion"), DOCTOR_LACKS);
    assert_string_equal(buf_cstr(&b->f.mend), "modprobe tcp_bbr");
    assert_int_equal(run(b, "allowed"), DOCTOR_LACKS);
    assert_string_equal(buf_cstr(&b->f.mend),
                        "sysctl -w net.ipv4.tcp_allowed_congestion_control=\"reno cubic bbr\"");
}

/* The kernel forgets what is not written: the command repeats what is there. */
static void what_is_allowed_stays_allowed(void **state)
{
    struct bench *b = *state;
    put(b, IPV4 "tcp_allowed_congestion_control", "reno dctcp bbr2 htcp\n");
    assert_int_equal(run(b, "allowed"), DOCTOR_LACKS);
    assert_string_equal(
        buf_cstr(&b->f.mend),
        "sysctl -w net.ipv4.tcp_allowed_congestion_control=\"reno dctcp bbr2 htcp bbr\"");
    put(b, IPV4 "tcp_allowed_congestion_control", "\n");
    assert_int_equal(run(b, "allowed"), DOCTOR_LACKS);
    assert_string_equal(buf_cstr(&b->f.mend),
                        "sysctl -w net.ipv4.tcp_allowed_congestion_control=\"bbr\"");
}

static void endpoints_say_which_is_wanted(void **state)
{
    struct bench *b = *state;
    put(b, IPV4 "tcp_available_congestion_control", "reno cubic\n");
    configure(b, "endpoints:\n  a: {url: http://a, congestion: cubic}\n");
    assert_int_equal(run(b, "congestion"), DOCTOR_GOOD);
    configure(b, "endpoints:\n  a: {url: http://a, congestion: cubic}\n"
                 "  b: {url: http://b}\n  c: {url: http://c, congestion: vegas}\n"
                 "  d: {url: http://d, congestion: bbr}\n");
    assert_int_equal(run(b, "congestion"), DOCTOR_LACKS);
    assert_says(b, "bbr vegas");
    assert_string_equal(buf_cstr(&b->f.mend), "modprobe tcp_bbr && modprobe tcp_vegas");
}

static void daemon_says_what_it_was_granted(void **state)
{
    struct bench *b = *state;
    set_status(b, "{\"endpoints\": [{\"name\": \"a\", \"congestion_wish\": \"auto\","
                  "\"congestion\": null}]}");
    assert_int_equal(run(b, "granted"), DOCTOR_UNKNOWN);
    set_status(b, "{\"endpoints\": [{\"name\": \"a\", \"congestion_wish\": \"auto\","
                  "\"congestion\": \"bbr\"}, {\"name\": \"b\", \"congestion_wish\": \"cubic\","
                  "\"congestion\": \"cubic\"}]}");
    assert_int_equal(run(b, "granted"), DOCTOR_GOOD);
    assert_says(b, "a bbr, b cubic");
    set_status(b, "{\"endpoints\": [{\"name\": \"a\", \"congestion_wish\": \"auto\","
                  "\"congestion\": \"cubic\"}]}");
    assert_int_equal(run(b, "granted"), DOCTOR_LACKS);
    assert_says(b, "a cubic instead of bbr");
}

/* ---- other sysctls ---- */

static void small_buffers(void **state)
{
    struct bench *b = *state;
    put(b, IPV4 "tcp_wmem", "8192\t20000\t4194304\n");
    assert_int_equal(run(b, "send-buffers"), DOCTOR_LACKS);
    assert_says(b, "4.0 MiB");
    assert_string_equal(buf_cstr(&b->f.mend),
                        "sysctl -w net.ipv4.tcp_wmem=\"8192 20000 67108864\"");
    assert_int_equal(run(b, "receive-buffers"), DOCTOR_GOOD);
    put(b, IPV4 "tcp_rmem", "4096\t131072\t134217728\n"); /* larger is no lack */
    assert_int_equal(run(b, "receive-buffers"), DOCTOR_GOOD);
    put(b, IPV4 "tcp_rmem", "4096\n");
    assert_int_equal(run(b, "receive-buffers"), DOCTOR_UNKNOWN);
}

static void slow_start_after_idle(void **state)
{
    struct bench *b = *state;
    put(b, IPV4 "tcp_slow_start_after_idle", "1\n");
    assert_int_equal(run(b, "slow-start"), DOCTOR_LACKS);
}

/* ---- the machine ---- */

static void few_descriptors(void **state)
{
    struct bench *b = *state;
    b->d.host.descriptors = 256;
    assert_int_equal(run(b, "descriptors"), DOCTOR_LACKS);
    set_status(b, "{\"descriptors\": {\"used\": 90, \"limit\": 1024}}");
    assert_int_equal(run(b, "repld-descriptors"), DOCTOR_LACKS);
    assert_says(b, "90 of 1024");
    set_status(b, "{\"descriptors\": {\"used\": 90, \"limit\": 65536}}");
    assert_int_equal(run(b, "repld-descriptors"), DOCTOR_GOOD);
}

static void clock_that_nobody_keeps(void **state)
{
    struct bench *b = *state;
    b->d.host.clock_is_synchronised = false;
    assert_int_equal(run(b, "clock"), DOCTOR_LACKS);
    b->d.host.knows_clock = false;
    assert_int_equal(run(b, "clock"), DOCTOR_UNKNOWN);
}

static void full_disk(void **state)
{
    struct bench *b = *state;
    b->d.host.free_bytes = GIB - 1;
    assert_int_equal(run(b, "space"), DOCTOR_LACKS);
    assert_says(b, "/data/repld");
}

static void nearest_folder_that_exists_is_looked_at(void **state)
{
    struct bench *b = *state;
    b->d.journal = "/data/not/made/yet/journal.db";
    put(b, "/data/x", "");
    doctor_look(&b->d);
    assert_string_equal(b->d.host.folder, "/data");
    assert_true(b->d.host.knows_free);
    put(b, "/data/not/x", "");
    doctor_look(&b->d);
    assert_string_equal(b->d.host.folder, "/data/not");
    b->d.root = "";
    b->d.journal = "/journal.db";
    doctor_look(&b->d);
    assert_string_equal(b->d.host.folder, "/");
    assert_true(b->d.host.descriptors > 0);
}

#define ROOT_MOUNT "22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n"

static void file_systems_where_sqlite_is_lost(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *type;
        enum doctor_state wanted;
    } cases[] = {{"nfs4", DOCTOR_LACKS},   {"cifs", DOCTOR_LACKS},  {"fuse.sshfs", DOCTOR_LACKS},
                 {"9p", DOCTOR_LACKS},     {"ceph", DOCTOR_LACKS},  {"tmpfs", DOCTOR_LACKS},
                 {"xfs", DOCTOR_GOOD},     {"btrfs", DOCTOR_GOOD},  {"zfs", DOCTOR_GOOD},
                 {"fuseblk", DOCTOR_GOOD}, {"overlay", DOCTOR_GOOD}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), ROOT_MOUNT "30 22 0:5 / /data rw - %s source rw\n",
                 cases[i].type);
        put(b, "/proc/1/mountinfo", text);
        assert_int_equal(run(b, "file-system"), cases[i].wanted);
        assert_says(b, cases[i].type);
    }
}

static void deepest_and_latest_mount_counts(void **state)
{
    struct bench *b = *state;
    put(b, "/proc/1/mountinfo",
        ROOT_MOUNT "30 22 0:5 / /data/repl rw - nfs4 s:/ rw\n" /* another folder */
                   "31 22 0:6 / /data rw - nfs4 s:/ rw\n"
                   "32 22 0:7 / /data rw - xfs /dev/sdb rw\n"); /* over the one before */
    assert_int_equal(run(b, "file-system"), DOCTOR_GOOD);
    assert_says(b, "xfs");
    snprintf(b->d.host.folder, sizeof(b->d.host.folder), "/my disk/repld");
    put(b, "/proc/1/mountinfo", ROOT_MOUNT "30 22 0:5 / /my\\040disk rw - cifs s:/ rw\n");
    assert_int_equal(run(b, "file-system"), DOCTOR_LACKS);
    put(b, "/proc/1/mountinfo", "nonsense\n\n- - -\n\\4");
    assert_int_equal(run(b, "file-system"), DOCTOR_UNKNOWN);
}

static void memory_for_the_budget(void **state)
{
    struct bench *b = *state;
    configure(b, "memory: 1GiB\n");
    put(b, "/proc/meminfo", "MemAvailable: 1114112 kB\n"); /* 1 GiB + 64 MiB */
    assert_int_equal(run(b, "memory"), DOCTOR_GOOD);
    put(b, "/proc/meminfo", "MemAvailable: 1114111 kB\n");
    assert_int_equal(run(b, "memory"), DOCTOR_LACKS);
    /* What repld has taken is not wanted again. */
    set_status(b, "{\"memory_bytes\": 1073741824, \"memory_used_bytes\": 1073741824}");
    assert_int_equal(run(b, "memory"), DOCTOR_GOOD);
}

static void container_has_its_own_limit(void **state)
{
    struct bench *b = *state;
    put(b, "/sys/fs/cgroup/memory.max", "max\n");
    assert_int_equal(run(b, "memory"), DOCTOR_GOOD);
    put(b, "/sys/fs/cgroup/memory.max", "734003200\n"); /* 700 MiB */
    assert_int_equal(run(b, "memory"), DOCTOR_GOOD);
    put(b, "/sys/fs/cgroup/memory.current", "134217728\n");
    assert_int_equal(run(b, "memory"), DOCTOR_LACKS);
    put(b, "/sys/fs/cgroup/memory.current", "934217728\n");
    assert_int_equal(run(b, "memory"), DOCTOR_LACKS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_host_lacks_nothing),
        TEST(unreadable_host_is_unknown_and_not_good),
        TEST(stock_host_has_no_bbr),
        TEST(what_is_allowed_stays_allowed),
        TEST(endpoints_say_which_is_wanted),
        TEST(daemon_says_what_it_was_granted),
        TEST(small_buffers),
        TEST(slow_start_after_idle),
        TEST(few_descriptors),
        TEST(clock_that_nobody_keeps),
        TEST(full_disk),
        TEST(nearest_folder_that_exists_is_looked_at),
        TEST(file_systems_where_sqlite_is_lost),
        TEST(deepest_and_latest_mount_counts),
        TEST(memory_for_the_budget),
        TEST(container_has_its_own_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
