/* The controller against modelled paths: where it ends, what it moves and what it repeats, beside
 * flows of a fixed number over the same path. Prints a table. */
#include "tests/unit/support/fluid.h"
#include "transfer/net/pace.h"
#include "transfer/net/slow.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS    10
#define STEP_S   0.02
#define SAMPLE_S 0.1
#define MBIT     125000.0
#define GIB      (1024.0 * 1024 * 1024)

struct events {
    double slow_from_s, slow_to_s; /* the rate is a tenth */
    double out_from_s, out_to_s;
    double starved_share; /* of samples */
};

struct bounds {
    double share;         /* at least, of the reference: the whole job */
    double later;         /* at least: between 10 and 90 % of the bytes */
    double repeats;       /* at most, beyond the reference's */
    unsigned least, most; /* lanes, in every sample of the last third */
};

struct scene {
    const char *name;
    struct fluid_path path;
    double bytes; /* of the job; 0: seconds count */
    double seconds;
    unsigned limit;
    unsigned reference; /* flows; 0 = as many as the controller's peak */
    struct events events;
    struct bounds bounds;
};

struct outcome {
    double seconds;
    double moved, sent, repeated;
    double later; /* bytes a second */
    unsigned peak, least, most, last;
    double back_s; /* from the end of the event until 80 % of the rate before it; −1: not */
};

struct run {
    const struct scene *scene;
    struct fluid fluid;
    struct pace pace;
    unsigned fixed; /* 0: the controller decides */
    struct outcome out;
    double before; /* rate before the event */
    double recent; /* over the last half second or so */
    double at_10, at_90;
    double bytes_10, bytes_90;
    double slow_noise;
};

static void apply_events(struct run *r)
{
    const struct events *e = &r->scene->events;
    struct fluid *f = &r->fluid;
    bool was_out = f->is_out;
    f->factor = f->now_s >= e->slow_from_s && f->now_s < e->slow_to_s ? 0.1 : 1;
    f->is_out = f->now_s >= e->out_from_s && f->now_s < e->out_to_s;
    if (was_out && !f->is_out) {
        fluid_renew(f); /* as the endpoint's breaker has it */
    }
}

static void replace_slow(struct run *r)
{
    struct slow_lane lanes[FLUID_FLOWS] = {{0}};
    struct fluid *f = &r->fluid;
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        lanes[i].rate_bps = (uint64_t)f->flows[i].gets;
        lanes[i].has_work = f->flows[i].phase >= FLUID_START && !f->is_out;
        lanes[i].since_us = f->flows[i].behind_us;
    }
    int slow =
        slow_find(lanes, FLUID_FLOWS, (uint64_t)(f->now_s * 1e6), (uint32_t)(f->rtt_now_s * 1e6));
    for (size_t i = 0; i < FLUID_FLOWS; i++) {
        f->flows[i].behind_us = lanes[i].since_us;
    }
    if (slow >= 0) {
        fluid_renew_flow(f, (size_t)slow);
    }
}

/* Half of the seeds have noise that lasts, too. */
static double noise(struct run *r)
{
    struct fluid *f = &r->fluid;
    r->slow_noise = 0.9 * r->slow_noise + 0.1 * (2 * fluid_chance(f) - 1);
    return 1 + f->path.noise * (2 * fluid_chance(f) - 1) + f->path.noise * r->slow_noise / 2;
}

static void note(struct run *r, double moved)
{
    const struct events *e = &r->scene->events;
    struct outcome *o = &r->out;
    double end_s = fmax(e->slow_to_s, e->out_to_s);
    double begin_s = e->slow_to_s > 0 ? e->slow_from_s : e->out_from_s;
    double now_s = r->fluid.now_s;
    r->recent += (moved / SAMPLE_S - r->recent) * 0.33;
    r->before = now_s < begin_s ? r->recent : r->before;
    if (end_s > 0 && now_s > end_s && o->back_s < 0 && r->recent >= 0.8 * r->before) {
        o->back_s = now_s - end_s;
    }
    double total = r->scene->bytes;
    if (r->at_10 == 0 && o->moved >= 0.1 * total) {
        r->at_10 = now_s;
        r->bytes_10 = o->moved;
    }
    if (o->moved <= 0.9 * total) {
        r->at_90 = now_s;
        r->bytes_90 = o->moved;
    }
}

static void note_lanes(struct run *r, unsigned wanted)
{
    struct outcome *o = &r->out;
    const struct scene *s = r->scene;
    o->peak = wanted > o->peak ? wanted : o->peak;
    o->last = wanted;
    bool is_late = s->bytes > 0 ? o->moved > s->bytes * 2 / 3 : r->fluid.now_s > s->seconds * 2 / 3;
    if (is_late) {
        o->least = wanted < o->least ? wanted : o->least;
        o->most = wanted > o->most ? wanted : o->most;
    }
}

static void sample(struct run *r)
{
    struct fluid *f = &r->fluid;
    unsigned flows = fluid_flows(f);
    double moved = f->moved * noise(r);
    struct pace_sample s = {
        .now_us = (uint64_t)(f->now_s * 1e6),
        .moved_bytes = (uint64_t)moved,
        .sent_bytes = (uint64_t)f->sent,
        .retrans_bytes = (uint64_t)f->repeated,
        .min_rtt_us = (uint32_t)(f->path.rtt_s * 1e6),
        .rtt_us = (uint32_t)(f->rtt_now_s * 1e6),
        .lanes = flows,
        .limit = r->scene->limit,
        .is_bbr = f->path.is_bbr,
        .is_starved = f->is_starved,
        .held = flows > 0 ? fmin(1, f->held_s / (SAMPLE_S * flows)) : 0,
    };
    r->out.moved += f->moved;
    r->out.sent += f->sent;
    r->out.repeated += f->repeated;
    note(r, f->moved);
    f->moved = f->sent = f->repeated = f->held_s = 0;
    enum pace_reason before = r->pace.reason;
    unsigned wanted = r->fixed > 0 ? r->fixed : pace_sample(&r->pace, &s);
    if (r->fixed == 0 && getenv("PACE_TRACE") != NULL &&
        (before != r->pace.reason || wanted != flows)) {
        printf("%7.1f s %3u lanes, base %6.1f Mbit/s, repeats %4.1f %%, own %4.1f %%: %s\n",
               f->now_s, wanted, r->pace.base.goodput / MBIT, r->pace.base.repeats * 100,
               r->pace.own_loss * 100, pace_reason_text(r->pace.reason));
    }
    fluid_want(f, wanted);
    note_lanes(r, wanted);
    f->is_starved = fluid_chance(f) < r->scene->events.starved_share;
}

static struct outcome play(const struct scene *scene, unsigned fixed, uint64_t seed)
{
    struct run *r = calloc(1, sizeof(*r));
    r->scene = scene;
    r->fixed = fixed;
    r->out.least = UINT32_MAX;
    r->out.back_s = -1;
    fluid_init(&r->fluid, &scene->path, seed);
    r->fluid.path.busy = fixed > 0 ? 1 : scene->path.busy;
    pace_init(&r->pace, scene->path.is_bbr, scene->limit);
    fluid_want(&r->fluid, fixed > 0 ? fixed : r->pace.wanted);
    for (unsigned step = 1;
         scene->bytes > 0 ? r->out.moved < scene->bytes : r->fluid.now_s < scene->seconds; step++) {
        apply_events(r);
        fluid_step(&r->fluid, STEP_S);
        if (step % 5 == 0) {
            sample(r);
        }
        if (step % 25 == 0 && fixed == 0) {
            replace_slow(r);
        }
    }
    struct outcome out = r->out;
    out.seconds = r->fluid.now_s;
    if (r->at_90 > r->at_10) {
        out.later = (r->bytes_90 - r->bytes_10) / (r->at_90 - r->at_10);
    }
    free(r);
    return out;
}

static void check(const struct scene *s, const struct outcome *o, const struct outcome *ref)
{
    const struct bounds *b = &s->bounds;
    double share = o->moved / o->seconds / (ref->moved / ref->seconds);
    double extra = o->repeated / o->sent - ref->repeated / ref->sent;
    assert_true(share >= b->share);
    assert_true(extra <= b->repeats);
    assert_in_range(o->least, b->least, b->most);
    assert_in_range(o->most, b->least, b->most);
    if (b->later > 0) {
        assert_true(o->later >= b->later * ref->moved / ref->seconds);
    }
    if (s->events.slow_to_s > 0 || s->events.out_to_s > 0) {
        assert_true(o->back_s >= 0 && o->back_s <= 5);
    }
}

struct worst {
    double share, later, extra, back_s, mbit;
    unsigned least, most;
};

static void worsen(struct worst *w, const struct outcome *o, const struct outcome *ref,
                   size_t seeds)
{
    w->share = fmin(w->share, o->moved / o->seconds / (ref->moved / ref->seconds));
    w->later = fmin(w->later, o->later / (ref->moved / ref->seconds));
    w->extra = fmax(w->extra, o->repeated / o->sent - ref->repeated / ref->sent);
    w->back_s = fmax(w->back_s, o->back_s);
    w->mbit += o->moved / o->seconds / MBIT / (double)seeds;
    w->least = o->least < w->least ? o->least : w->least;
    w->most = o->most > w->most ? o->most : w->most;
}

/* SEEDS in the environment: fewer worlds, where the run is to find errors of memory alone. */
static size_t seed_count(void)
{
    const char *many = getenv("SEEDS");
    size_t count = many != NULL ? strtoul(many, NULL, 10) : SEEDS;
    return count > 0 && count < SEEDS ? count : SEEDS;
}

static void play_all(const struct scene *s)
{
    struct worst w = {.share = 9, .later = 9, .extra = -1, .least = UINT32_MAX};
    struct outcome outs[SEEDS];
    struct outcome refs[SEEDS];
    size_t seeds = seed_count();
    for (size_t seed = 0; seed < seeds; seed++) {
        outs[seed] = play(s, 0, seed + 1);
        refs[seed] = play(s, s->reference > 0 ? s->reference : outs[seed].peak, seed + 1);
        worsen(&w, &outs[seed], &refs[seed], seeds);
    }
    printf("%-34s %6.1f Mbit/s  %3.0f %% of reference (later %3.0f %%)  %+5.1f points repeated  "
           "lanes %u-%u  back %.1f s\n",
           s->name, w.mbit, w.share * 100, s->bytes > 0 ? w.later * 100 : 0, w.extra * 100, w.least,
           w.most, w.back_s);
    if (getenv("PACE_NOCHECK") == NULL) {
        for (size_t seed = 0; seed < seeds; seed++) {
            check(s, &outs[seed], &refs[seed]);
        }
    }
}

/* 500 Mbit/s, 150 ms, 100 ms of queue. */
#define WIDE_LINK .rate_bps = 500 * MBIT, .rtt_s = 0.15
#define WIDE(p, bbr)                                                                               \
    WIDE_LINK, .queue_s = 0.1, .loss = (p), .noise = 0.15, .is_bbr = (bbr),                        \
               .busy = (bbr) ? 0.75 : 1, .waste = fluid_wide
/* 200 Mbit/s, 200 ms, one BDP of queue. */
#define LONG(p, bbr)                                                                               \
    .rate_bps = 200 * MBIT, .rtt_s = 0.2, .queue_s = 0.2, .loss = (p), .noise = 0.15,              \
    .is_bbr = (bbr), .waste = fluid_wide

#define SCENE(id, ...)                                                                             \
    static void id(void **state)                                                                   \
    {                                                                                              \
        (void)state;                                                                               \
        static const struct scene scene = {.name = #id, __VA_ARGS__};                              \
        play_all(&scene);                                                                          \
    }

SCENE(eight_objects_no_loss, .path = {WIDE(0, true)}, .bytes = 2 * GIB, .limit = 64, .reference = 8,
      .bounds = {0.96, 0.97, 0.03, 8, 15})
SCENE(eight_objects_loss_0_1, .path = {WIDE(0.001, true)}, .bytes = 2 * GIB, .limit = 64,
      .reference = 8, .bounds = {0.96, 0.97, 0.03, 8, 15})
SCENE(eight_objects_loss_1, .path = {WIDE(0.01, true)}, .bytes = 2 * GIB, .limit = 64,
      .reference = 8, .bounds = {0.96, 0.97, 0.03, 8, 15})
SCENE(eight_objects_loss_5, .path = {WIDE(0.05, true)}, .bytes = 2 * GIB, .limit = 64,
      .reference = 8, .bounds = {0.93, 0.95, 0.03, 6, 15})
SCENE(cubic_loss_1, .path = {WIDE(0.01, false)}, .seconds = 90, .limit = 256,
      .bounds = {0.92, 0, 0.01, 256, 256})
SCENE(cubic_loss_1_limit_102, .path = {WIDE(0.01, false)}, .seconds = 90, .limit = 102,
      .bounds = {0.94, 0, 0.01, 102, 102})
SCENE(cubic_no_loss, .path = {WIDE(0, false)}, .seconds = 90, .limit = 256, .reference = 16,
      .bounds = {0.95, 0, 0.01, 16, 40})
SCENE(bursts_and_jitter,
      .path = {WIDE_LINK, .queue_s = 0.1, .loss = 0.01, .noise = 0.4, .share = 0.85, .is_bbr = true,
               .busy = 0.75, .waste = fluid_wide},
      .bytes = 2 * GIB, .limit = 64, .reference = 8, .bounds = {0.95, 0.97, 0.03, 6, 15})
SCENE(policer,
      .path = {WIDE_LINK, .loss = 0.01, .noise = 0.15, .busy = 0.75, .is_bbr = true,
               .waste = fluid_policed},
      .bytes = 2 * GIB, .limit = 64, .reference = 8, .bounds = {0.92, 0.94, 0.03, 2, 15})
SCENE(rate_falls_and_returns, .path = {WIDE(0.01, true)}, .seconds = 140, .limit = 64,
      .reference = 8, .events = {.slow_from_s = 20, .slow_to_s = 80},
      .bounds = {0.95, 0, 0.03, 6, 16})
SCENE(outage, .path = {WIDE(0.01, true)}, .seconds = 90, .limit = 64, .reference = 8,
      .events = {.out_from_s = 20, .out_to_s = 50}, .bounds = {0.95, 0, 0.03, 6, 16})
SCENE(peer_window, .path = {WIDE(0.01, true), .window_bytes = 65536}, .seconds = 90, .limit = 256,
      .reference = 220, .bounds = {0.82, 0, 0.01, 150, 256})
SCENE(server_bound, .path = {WIDE(0.01, true), .server_bps = 25 * MBIT}, .seconds = 90, .limit = 64,
      .reference = 20, .bounds = {0.88, 0, 0.02, 15, 32})
SCENE(source_starves, .path = {WIDE(0.01, true)}, .seconds = 60, .limit = 64, .reference = 8,
      .events = {.starved_share = 0.4}, .bounds = {0.85, 0, 0.03, 6, 15})
SCENE(bbr_loss_10, .path = {LONG(0.10, true)}, .seconds = 90, .limit = 64, .reference = 16,
      .bounds = {0.93, 0, 0.01, 4, 16})
SCENE(bbr_loss_15, .path = {LONG(0.15, true)}, .seconds = 90, .limit = 64, .reference = 16,
      .bounds = {0.87, 0, 0.05, 10, 32})
SCENE(bbr_loss_20, .path = {LONG(0.20, true)}, .seconds = 90, .limit = 64, .reference = 32,
      .bounds = {0.75, 0, 0.01, 32, 32})
SCENE(bbr_loss_30, .path = {LONG(0.30, true)}, .seconds = 90, .limit = 64, .reference = 32,
      .bounds = {0.80, 0, 0.01, 24, 32})
SCENE(cubic_200_loss_0_1, .path = {LONG(0.001, false)}, .seconds = 90, .limit = 256,
      .reference = 96, .bounds = {0.88, 0, 0.02, 80, 256})
SCENE(cubic_200_loss_1_limit_64, .path = {LONG(0.01, false)}, .seconds = 90, .limit = 64,
      .reference = 64, .bounds = {0.92, 0, 0.01, 64, 64})
SCENE(narrow_link,
      .path = {.rate_bps = 50 * MBIT,
               .rtt_s = 0.2,
               .queue_s = 0.2,
               .loss = 0.01,
               .noise = 0.15,
               .is_bbr = true,
               .waste = fluid_narrow},
      .seconds = 240, .limit = 64, .reference = 8, .bounds = {0.95, 0, 0, 2, 10})

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_objects_no_loss),
        cmocka_unit_test(eight_objects_loss_0_1),
        cmocka_unit_test(eight_objects_loss_1),
        cmocka_unit_test(eight_objects_loss_5),
        cmocka_unit_test(cubic_loss_1),
        cmocka_unit_test(cubic_loss_1_limit_102),
        cmocka_unit_test(cubic_no_loss),
        cmocka_unit_test(bursts_and_jitter),
        cmocka_unit_test(policer),
        cmocka_unit_test(rate_falls_and_returns),
        cmocka_unit_test(outage),
        cmocka_unit_test(peer_window),
        cmocka_unit_test(server_bound),
        cmocka_unit_test(source_starves),
        cmocka_unit_test(bbr_loss_10),
        cmocka_unit_test(bbr_loss_15),
        cmocka_unit_test(bbr_loss_20),
        cmocka_unit_test(bbr_loss_30),
        cmocka_unit_test(cubic_200_loss_0_1),
        cmocka_unit_test(cubic_200_loss_1_limit_64),
        cmocka_unit_test(narrow_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
