#include "transfer/net/route.h"

#define SMOOTH 0.2

void route_init(struct route *r, enum net_use use)
{
    memset(r, 0, sizeof(*r));
    r->use = use;
    r->wish = use;
    r->back_ms = ROUTE_BACK_MS;
}

static enum net_use obey(enum net_use wish, enum net_order order, bool is_any_fixed)
{
    switch (order) {
    case NET_FIXED:
        return NET_USE_ALWAYS;
    case NET_FORBIDDEN:
        return NET_USE_NEVER;
    case NET_FREE:
        break;
    }
    return is_any_fixed && wish == NET_USE_ALWAYS ? NET_USE_AUTO : wish;
}

bool route_order(struct route *const *all, size_t count, size_t which, enum net_order order)
{
    enum net_order orders[NET_PATHS_MAX];
    bool is_any_fixed = false, is_usable = false;
    for (size_t i = 0; i < count; i++) {
        bool is_replaced = order == NET_FIXED && all[i]->order == NET_FIXED;
        orders[i] = i == which ? order : is_replaced ? NET_FREE : all[i]->order;
        is_any_fixed = is_any_fixed || orders[i] == NET_FIXED;
    }
    for (size_t i = 0; i < count; i++) {
        is_usable = is_usable || obey(all[i]->wish, orders[i], is_any_fixed) != NET_USE_NEVER;
    }
    for (size_t i = 0; i < count && is_usable; i++) {
        all[i]->order = orders[i];
        all[i]->use = obey(all[i]->wish, orders[i], is_any_fixed);
    }
    return is_usable;
}

void route_started(struct route *r, uint64_t now_ms)
{
    r->under_way++;
    r->next_try_ms = now_ms + (r->down_ms != 0 ? r->back_ms : ROUTE_LOOK_MS);
}

void route_good(struct route *r, enum net_class class, uint64_t bytes, uint64_t us, uint64_t now_ms)
{
    double amount = class == NET_BULK ? (double)bytes : 1;
    double rate = amount * 1e6 / (double)(us > 0 ? us : 1);
    double *smoothed = &r->seen[class].rate;
    *smoothed = r->seen[class].measured_ms == 0 || r->down_ms != 0
                    ? rate
                    : (1 - SMOOTH) * *smoothed + SMOOTH * rate;
    r->seen[class].measured_ms = now_ms;
    r->failures = 0;
    r->down_ms = 0;
    r->back_ms = ROUTE_BACK_MS;
}

static bool is_known(const struct route *r, enum net_class class)
{
    return r->seen[class].measured_ms != 0;
}

bool route_is_proven(const struct route *r)
{
    return r->down_ms == 0 && (is_known(r, NET_SMALL) || is_known(r, NET_BULK));
}

bool route_lost(struct route *r, uint64_t now_ms)
{
    if (r->down_ms != 0) {
        r->back_ms = r->back_ms * 2 < ROUTE_BACK_MAX ? r->back_ms * 2 : ROUTE_BACK_MAX;
        r->next_try_ms = now_ms + r->back_ms;
        return false;
    }
    if (++r->failures < ROUTE_FAILURES && route_is_proven(r)) {
        return false;
    }
    r->down_ms = now_ms;
    r->next_try_ms = now_ms + r->back_ms;
    return true;
}

static bool is_fixed(const struct route *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i]->use == NET_USE_ALWAYS) {
            return true;
        }
    }
    return false;
}

bool route_is_usable(const struct route *const *all, size_t count, size_t which)
{
    return all[which]->use == NET_USE_ALWAYS ||
           (all[which]->use == NET_USE_AUTO && !is_fixed(all, count));
}

bool route_is_worth(const struct route *const *all, size_t count, size_t which,
                    enum net_class class)
{
    const struct route *r = all[which];
    double best = 0;
    if (r->use == NET_USE_NEVER) {
        return false;
    }
    if (r->use == NET_USE_ALWAYS) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (all[i]->use == NET_USE_ALWAYS) {
            return false;
        }
        if (all[i]->use == NET_USE_AUTO && all[i]->down_ms == 0 &&
            all[i]->seen[class].rate > best) {
            best = all[i]->seen[class].rate;
        }
    }
    if (r->down_ms != 0) {
        return false;
    }
    return is_known(r, class) ? r->seen[class].rate >= ROUTE_WORTH * best : best == 0;
}

bool route_is_due(const struct route *r, enum net_class class, uint64_t now_ms)
{
    return r->use == NET_USE_AUTO && r->under_way == 0 &&
           (now_ms >= r->next_try_ms || (!is_known(r, class) && r->down_ms == 0));
}

/* Of those that are worth it, the fastest one with a free slot; else the fastest one. */
static size_t pick_worthy(const struct route *const *all, const struct route_seen *seen,
                          size_t count, enum net_class class)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if (seen[i].is_shunned || !route_is_worth(all, count, i, class)) {
            continue;
        }
        bool has_slot = seen[i].free_slots > 0;
        bool best_has = best < count && seen[best].free_slots > 0;
        if (best == count || (has_slot && !best_has) ||
            (has_slot == best_has && all[i]->seen[class].rate > all[best]->seen[class].rate)) {
            best = i;
        }
    }
    return best;
}

/* All are left or shunned: the one that may be tried first. */
static size_t pick_least_bad(const struct route *const *all, const struct route_seen *seen,
                             size_t count)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++) {
        if (!route_is_usable(all, count, i)) {
            continue;
        }
        bool is_sooner = best == count || all[i]->next_try_ms < all[best]->next_try_ms;
        bool is_as_shunned = best == count || seen[i].is_shunned == seen[best].is_shunned;
        if (is_as_shunned ? is_sooner : !seen[i].is_shunned) {
            best = i;
        }
    }
    return best < count ? best : 0;
}

size_t route_pick(const struct route *const *all, const struct route_seen *seen, size_t count,
                  enum net_class class, uint64_t now_ms)
{
    size_t best = count > 1 ? pick_worthy(all, seen, count, class) : 0;
    for (size_t i = 0; i < count && count > 1 && !is_fixed(all, count); i++) {
        if (!seen[i].is_shunned && !route_is_worth(all, count, i, class) &&
            route_is_due(all[i], class, now_ms)) {
            return i;
        }
    }
    return best < count ? best : pick_least_bad(all, seen, count);
}
