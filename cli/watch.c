#include "cli/cli.h"
#include "daemon/base/loop.h"

#include <stdio.h>

struct watch {
    struct cli *cli;
    enum proto_id id;
    const char *query;
    bool again;
    cli_print_fn *print;
    struct loop *loop;
    struct timer timer;
    int code;
    bool answered; /* once at least */
};

static void look(void *arg)
{
    struct watch *w = arg;
    json_t *answer = NULL;
    w->code = cli_call(w->cli, w->id, w->query, span_str(""), &answer, NULL);
    if (answer != NULL) {
        if (w->again && w->cli->terminal) {
            fputs("\033[H\033[J", stdout);
        }
        w->print(w->cli, answer);
        json_decref(answer);
    }
    fflush(stdout);
    w->answered = w->answered || w->code == CLI_DONE;
    bool restarts = w->answered && w->code == CLI_UNREACHABLE;
    if (w->again && (w->code == CLI_DONE || restarts) && ferror(stdout) == 0) {
        timer_start(&w->timer, 1000);
    } else {
        loop_stop(w->loop);
    }
}

int cli_watch(struct cli *c, enum proto_id id, const char *query, bool again, cli_print_fn *print)
{
    struct watch w = {.cli = c, .id = id, .query = query, .again = again, .print = print};
    w.loop = loop_new(0);
    timer_init(&w.timer, w.loop, look, &w);
    timer_start(&w.timer, 0);
    loop_run(w.loop);
    timer_stop(&w.timer);
    loop_free(w.loop);
    return w.code;
}
