/* wan: a WAN in user space between two network namespaces. See usage below.
 *
 * Packets are read from one TUN device, judged (link.h), held (line.h), and written to the other.
 * One thread. While packets come it looks at both devices once in TICK_NS, not once a packet: that
 * is what makes it cheap, and a packet is late by at most that much. Checksums are left to the
 * device (IFF_VNET_HDR), as they are on a real card; segments are not: every packet is one of at
 * most 1500 bytes, and is lost or delayed by itself. */
#include "tests/wan/wan.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS      250000
#define BATCH        512 /* packets of a direction in a turn, so that no one starves */
#define SETTLE_TURNS 64  /* until a command is done although packets still come */
#define HEADER       ((uint32_t)sizeof(struct virtio_net_hdr))
#define PACKET_MAX   (HEADER + 1500)
#define LINE_BYTES   (512u << 20)
#define EVENTS       8
#define ANSWER_MAX   8192
#define DEVICE       "wan0"

static const char usage[] =
    "usage: wan --near NETNS --far NETNS --control PATH [--log FILE] [--seed N]\n"
    "       wan --control PATH COMMAND...\n"
    "The first form makes the device wan0 in both namespaces (names of ip-netns(8)) and carries\n"
    "packets between them until SIGTERM; addresses and routes are the caller's "
    "(tests/lib/wan.py).\n"
    "It prints \"ready\" when both are there. The second form sends it a command and prints the\n"
    "answer, one line of JSON (SOCK_SEQPACKET, one command and one answer a message):\n"
    "  set [up|down|both] KEY=VALUE...   up is from near to far; both when nothing is said\n"
    "      rate=500mbit   of the bottleneck, in bits of IP packets; 0: no limit\n"
    "      queue=100ms    longest wait before the bottleneck, or its size (6mb); then drop-tail\n"
    "      delay=75ms     one way\n"
    "      jitter=5ms     up to this is added; it wanders within twice its time, without "
    "reordering\n"
    "      loss=1%        of the packets that the bottleneck has sent\n"
    "      burst=20       mean number of packets lost in a row; 0: each by itself\n"
    "      policer=100mbit  drops what is faster, without a queue; 0: none\n"
    "      bucket=10ms    what the policer lets pass at once, or its size (64kb)\n"
    "  outage [up|down|both] 30s         drops all that comes; 0 ends it\n"
    "  stats                             counters by direction: what passed, what was dropped and\n"
    "      why (packets, bytes), packets under_way, refused by the device, how much later than "
    "set\n"
    "      they came (late_ms_max since the last stats), and CPU time. overflow and refused must\n"
    "      be 0, they are failures of the emulator\n"
    "--log FILE takes a line for every dropped packet: seconds, direction, why, bytes.\n";

static const struct link_settings initial = {.queue_ns = 100e6, .bucket_ns = 10e6};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- devices and the control socket --- */

static void die(const char *what)
{
    fprintf(stderr, "wan: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void enter_netns(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
        die(path);
    }
    close(fd);
}

static int open_tun(const char *netns)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(request.ifr_name, sizeof(request.ifr_name), DEVICE);
    enter_netns(netns);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM) < 0) {
        die("/dev/net/tun");
    }
    return fd;
}

static struct sockaddr_un control_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

static int listen_control(const char *path)
{
    struct sockaddr_un address = control_address(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
        die(path);
    }
    return fd;
}

/* --- packets --- */

static void log_drop(struct wan *wan, const struct way *way, enum link_fate fate, uint32_t bytes,
                     int64_t now)
{
    if (wan->log != NULL) {
        fprintf(wan->log, "%.6f %s %s %u\n", (double)(now - wan->start_ns) / 1e9, way->name,
                link_fate_name(fate), bytes);
    }
}

/* Reads what has come; returns whether anything had. */
static bool take(struct wan *wan, struct way *way, int64_t now)
{
    uint8_t scratch[PACKET_MAX];
    for (int i = 0; i < BATCH; i++) {
        void *room = line_room(&way->line, PACKET_MAX);
        ssize_t got = read(way->from_fd, room != NULL ? room : scratch, PACKET_MAX);
        if (got < (ssize_t)HEADER) {
            return i > 0;
        }
        int64_t due = 0;
        uint32_t bytes = (uint32_t)got - HEADER;
        enum link_fate fate = link_take(&way->link, now, bytes, &due);
        if (fate == LINK_passed && room == NULL) {
            link_give_up(&way->link, bytes);
            fate = LINK_overflow;
        }
        if (fate == LINK_passed) {
            line_push(&way->line, (size_t)got, due);
        } else {
            log_drop(wan, way, fate, bytes, now);
        }
    }
    return true;
}

static bool take_all(struct wan *wan, int64_t now)
{
    bool any = false;
    for (int i = 0; i < WAN_WAYS; i++) {
        any |= take(wan, &wan->ways[i], now);
    }
    return any;
}

/* Writes what is due; returns whether anything was. */
static bool deliver(struct way *way, int64_t now)
{
    size_t bytes;
    int64_t due;
    bool any = false;
    for (void *packet; (packet = line_first(&way->line, &bytes, &due)) != NULL && due <= now;) {
        if (write(way->to_fd, packet, bytes) < 0) {
            way->refused++;
        }
        way->sum_late_ns += now - due;
        way->late_ns = now - due > way->late_ns ? now - due : way->late_ns;
        line_pop(&way->line);
        any = true;
    }
    return any;
}

static int64_t next_due_ns(const struct wan *wan)
{
    int64_t next = INT64_MAX, due;
    size_t bytes;
    for (int i = 0; i < WAN_WAYS; i++) {
        if (line_first(&wan->ways[i].line, &bytes, &due) != NULL && due < next) {
            next = due;
        }
    }
    return next;
}

/* --- the loop --- */

struct fds {
    int epoll;
    int listener;
    int signals; /* SIGTERM, SIGINT: the end */
};

static void watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        die("epoll");
    }
}

/* What was sent before a command is judged before it. */
static void answer_client(struct wan *wan, int fd)
{
    char command[ANSWER_MAX], text[ANSWER_MAX];
    ssize_t got = recv(fd, command, sizeof(command) - 1, 0);
    if (got <= 0) {
        close(fd); /* and epoll forgets it */
        return;
    }
    command[got] = '\0';
    int64_t now = now_ns();
    for (int i = 0; i < SETTLE_TURNS && take_all(wan, now); i++) {
    }
    FILE *answer = fmemopen(text, sizeof(text), "w");
    wan_command(wan, command, now, answer);
    fclose(answer);
    if (wan->log != NULL) {
        fflush(wan->log);
    }
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
        close(fd);
    }
}

static bool is_device(const struct wan *wan, int fd)
{
    return fd == wan->ways[WAN_UP].from_fd || fd == wan->ways[WAN_DOWN].from_fd;
}

/* Waits for a packet, a command or the timeout (negative: none), and does the commands. Returns
 * false at the end. */
static bool wait_events(struct wan *wan, const struct fds *fds, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                               .tv_nsec = timeout_ns % 1000000000};
    int count = epoll_pwait2(fds->epoll, events, EVENTS, timeout_ns < 0 ? NULL : &timeout, NULL);
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == fds->signals) {
            return false;
        }
        if (fd == fds->listener) {
            int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (client >= 0) {
                watch(fds->epoll, client);
            }
        } else if (!is_device(wan, fd)) {
            answer_client(wan, fd);
        }
    }
    return true;
}

static void run(struct wan *wan, const struct fds *fds)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    int64_t timeout = 0;
    while (wait_events(wan, fds, timeout)) {
        int64_t now = now_ns();
        bool is_busy = false;
        for (int i = 0; i < WAN_WAYS; i++) {
            is_busy |= deliver(&wan->ways[i], now);
        }
        is_busy |= take_all(wan, now);
        timeout = 0;
        if (is_busy) {
            nanosleep(&tick, NULL);
        } else {
            int64_t next = next_due_ns(wan);
            timeout = next == INT64_MAX ? -1 : next > now ? next - now : 0;
        }
    }
}

/* --- start --- */

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        die("signalfd");
    }
    return fd;
}

/* A packet that is due does not wait until other programs have had their turn. */
static void hurry(void)
{
    prctl(PR_SET_TIMERSLACK, 1000UL);
    if (sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1}) < 0 &&
        setpriority(PRIO_PROCESS, 0, -20) < 0) {
        fprintf(stderr, "wan: no higher priority: %s\n", strerror(errno));
    }
}

static int carry(const char *near, const char *far, const char *control, const char *log,
                 uint64_t seed)
{
    struct wan wan = {.start_ns = now_ns(), .log = log != NULL ? fopen(log, "w") : NULL};
    if (log != NULL && wan.log == NULL) {
        die(log);
    }
    int near_fd = open_tun(near), far_fd = open_tun(far);
    wan.ways[WAN_UP] = (struct way){.name = "up", .from_fd = near_fd, .to_fd = far_fd};
    wan.ways[WAN_DOWN] = (struct way){.name = "down", .from_fd = far_fd, .to_fd = near_fd};
    for (int i = 0; i < WAN_WAYS; i++) {
        link_init(&wan.ways[i].link, seed + (uint64_t)i);
        link_set(&wan.ways[i].link, &initial, wan.start_ns);
        if (!line_init(&wan.ways[i].line, LINE_BYTES)) {
            die("memory");
        }
    }
    struct fds fds = {.epoll = epoll_create1(EPOLL_CLOEXEC),
                      .listener = listen_control(control),
                      .signals = open_signals()};
    watch(fds.epoll, near_fd);
    watch(fds.epoll, far_fd);
    watch(fds.epoll, fds.listener);
    watch(fds.epoll, fds.signals);
    hurry();
    printf("ready, seed %ju\n", (uintmax_t)seed);
    fflush(stdout);
    run(&wan, &fds);
    unlink(control);
    return wan.log == NULL || fclose(wan.log) == 0 ? 0 : 1;
}

static int send_command(const char *control, char **words)
{
    char text[ANSWER_MAX] = "";
    struct sockaddr_un address = control_address(control);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    for (; *words != NULL; words++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", *words);
    }
    ssize_t got = -1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, text, strlen(text), 0) < 0 || (got = recv(fd, text, sizeof(text) - 1, 0)) <= 0) {
        die(control);
    }
    text[got] = '\0';
    fputs(text, stdout);
    return strncmp(text, "{\"error\"", 8) == 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"near", required_argument, NULL, 'n'},
        {"far", required_argument, NULL, 'f'},
        {"control", required_argument, NULL, 'c'},
        {"log", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *near = NULL, *far = NULL, *control = NULL, *log = NULL;
    uint64_t seed = (uint64_t)now_ns();
    for (int id; (id = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        switch (id) {
        case 'n':
            near = optarg;
            break;
        case 'f':
            far = optarg;
            break;
        case 'c':
            control = optarg;
            break;
        case 'l':
            log = optarg;
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        default:
            fputs(usage, id == 'h' ? stdout : stderr);
            return id == 'h' ? 0 : 2;
        }
    }
    if (control != NULL && near == NULL && far == NULL && optind < argc) {
        return send_command(control, argv + optind);
    }
    if (control == NULL || near == NULL || far == NULL || optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    return carry(near, far, control, log, seed);
}
