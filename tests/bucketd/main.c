/* bucketd: a strict S3 server for tests and benchmarks. See usage below. */
#include "tests/bucketd/server.h"

#include "daemon/base/mem.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_REPEATED 64

static const char usage[] =
    "usage: bucketd [options]\n"
    "  --listen HOST:PORT   IPv4 address; port 0 = from the kernel (127.0.0.1:0)\n"
    "  --access-key KEY     or BUCKETD_ACCESS_KEY\n"
    "  --secret-key KEY     or BUCKETD_SECRET_KEY\n"
    "  --region NAME        (us-east-1)\n"
    "  --folder DIR         keep objects in files (memory only)\n"
    "  --bucket NAME        make a bucket at start; repeatable\n"
    "  --synth BUCKET:PREFIX:COUNT:SIZE  objects made up at start; repeatable\n"
    "  --min-part BYTES     smallest part but the last (5242880)\n"
    "  --threads N          (2)\n"
    "  --fast               do not verify payloads\n"
    "  --discard            keep only size and ETag of what is written; one byte reads as 0\n";

struct options {
    const char *listen;
    const char *folder;
    const char *buckets[MAX_REPEATED];
    size_t bucket_count;
    const char *synths[MAX_REPEATED];
    size_t synth_count;
    unsigned long long min_part;
    unsigned threads;
    bool is_discarding;
};

enum option_id {
    OPT_LISTEN = 1000,
    OPT_ACCESS_KEY,
    OPT_SECRET_KEY,
    OPT_REGION,
    OPT_FOLDER,
    OPT_BUCKET,
    OPT_SYNTH,
    OPT_MIN_PART,
    OPT_THREADS,
    OPT_FAST,
    OPT_DISCARD,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"access-key", required_argument, NULL, OPT_ACCESS_KEY},
    {"secret-key", required_argument, NULL, OPT_SECRET_KEY},
    {"region", required_argument, NULL, OPT_REGION},
    {"folder", required_argument, NULL, OPT_FOLDER},
    {"bucket", required_argument, NULL, OPT_BUCKET},
    {"synth", required_argument, NULL, OPT_SYNTH},
    {"min-part", required_argument, NULL, OPT_MIN_PART},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"fast", no_argument, NULL, OPT_FAST},
    {"discard", no_argument, NULL, OPT_DISCARD},
    {NULL, 0, NULL, 0},
};

static bool take_option(struct options *o, struct server *server, int id, const char *arg)
{
    unsigned long long number;
    switch (id) {
    case OPT_LISTEN:
        o->listen = arg;
        return true;
    case OPT_ACCESS_KEY:
        server->access_key = arg;
        return true;
    case OPT_SECRET_KEY:
        server->secret_key = arg;
        return true;
    case OPT_REGION:
        server->region = arg;
        return true;
    case OPT_FOLDER:
        o->folder = arg;
        return true;
    case OPT_BUCKET:
        o->buckets[o->bucket_count++ % MAX_REPEATED] = arg;
        return o->bucket_count <= MAX_REPEATED;
    case OPT_SYNTH:
        o->synths[o->synth_count++ % MAX_REPEATED] = arg;
        return o->synth_count <= MAX_REPEATED;
    case OPT_MIN_PART:
        return span_to_u64(span_str(arg), &o->min_part) == 0;
    case OPT_THREADS:
        if (span_to_u64(span_str(arg), &number) != 0 || number < 1 || number > 64) {
            return false;
        }
        o->threads = (unsigned)number;
        return true;
    case OPT_FAST:
        server->is_fast = true;
        return true;
    case OPT_DISCARD:
        o->is_discarding = true;
        return true;
    default:
        return false;
    }
}

static bool read_options(struct options *o, struct server *server, int argc, char **argv)
{
    server->access_key = getenv("BUCKETD_ACCESS_KEY");
    server->secret_key = getenv("BUCKETD_SECRET_KEY");
    server->region = "us-east-1";
    int id;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!take_option(o, server, id, optarg)) {
            return false;
        }
    }
    return optind == argc && server->access_key != NULL && server->secret_key != NULL;
}

static bool fill_store(struct server *server, const struct options *o)
{
    struct store *store = &server->store;
    if (!store_init(store, o->folder, server->checksums)) {
        return false;
    }
    store->is_discarding = o->is_discarding;
    store->min_part_bytes = o->min_part;
    int64_t now = server_now_ms(server);
    for (size_t i = 0; i < o->bucket_count; i++) {
        store_make_bucket(store, span_str(o->buckets[i]), now);
    }
    for (size_t i = 0; i < o->synth_count; i++) {
        if (!synth_fill(store, o->synths[i], now)) {
            fprintf(stderr, "bucketd: --synth %s: not BUCKET:PREFIX:COUNT:SIZE\n", o->synths[i]);
            return false;
        }
    }
    return true;
}

static bool start(struct server *server, const struct options *o)
{
    struct span port_text = span_str(o->listen);
    char *host = mem_dup_span(span_cut(&port_text, ':'));
    unsigned long long port = 0;
    bool is_good = span_to_u64(port_text, &port) == 0 && port <= UINT16_MAX;
    if (is_good) {
        port = server_start(server, &(struct server_listen){.host = host,
                                                            .port = (unsigned short)port,
                                                            .threads = o->threads});
        is_good = port != 0;
    }
    if (is_good) {
        printf("listening on http://%s:%llu\n", host, port);
        fflush(stdout);
    } else {
        fprintf(stderr, "bucketd: cannot listen on %s\n", o->listen);
    }
    mem_free(host);
    return is_good;
}

int main(int argc, char **argv)
{
    struct server server = {0};
    struct options options = {.listen = "127.0.0.1:0", .min_part = 5 << 20, .threads = 2};
    sigset_t signals;
    int number;
    if (!read_options(&options, &server, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in all threads to come */
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&server.signing_key.lock, NULL);
    server.checksums = checksum_env_new();
    if (!fill_store(&server, &options)) {
        return 1;
    }
    faults_init(&server.faults);
    waits_init(&server.waits);
    if (!start(&server, &options)) {
        return 1;
    }
    sigwait(&signals, &number);
    server_stop(&server);
    store_done(&server.store);
    faults_done(&server.faults);
    checksum_env_free(server.checksums);
    return 0;
}
