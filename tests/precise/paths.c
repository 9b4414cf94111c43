/* SPDX-License-Identifier: MIT */
#include "paths.h"

#include <check.h>

#define PATIENCE 16u /* paths in a row that reach nothing new */

/* A run that looks for something new. */
struct search {
    struct sites *sites;
    struct path *path;
    uint8_t index;     /* of the path */
    uint32_t *watched; /* site by index of what is watched */
    uint32_t reached;  /* sites that no path before did */
    uint64_t random;
};

/* ---- Sending a branch one way ---- */

/* Flags that differ little from these, with which the condition is as wanted. */
static uint32_t flags_for(unsigned cc, uint32_t flags, bool wanted)
{
    static const uint32_t change[] = {0,
                                      FLAG_ZF,
                                      FLAG_CF,
                                      FLAG_SF,
                                      FLAG_PF,
                                      FLAG_OF,
                                      FLAG_ZF | FLAG_CF,
                                      FLAG_ZF | FLAG_SF,
                                      FLAG_ZF | FLAG_OF};

    for (unsigned i = 0; i < ARRAY_COUNT(change); i++)
        if (condition_holds(cc, flags ^ change[i]) == wanted)
            return flags ^ change[i];
    UNREACHABLE();
}

static bool is_taken(const struct branch *b, uint32_t flags, uint32_t ecx)
{
    switch (b->cc) {
    case CC_ECX: return ecx == 0;
    case CC_IF: return flags & FLAG_IF;
    default: return condition_holds(b->cc, flags);
    }
}

/* What makes a branch go as wanted, which it would not. */
static struct poke poke_for(const struct branch *b, uint64_t at, uint32_t flags,
                            bool wanted)
{
    switch (b->cc) {
    case CC_ECX:
        return (struct poke){.at = at, .kind = POKE_ECX, .value = !wanted};
    case CC_IF:
        return (struct poke){.at = at, .kind = POKE_IF, .value = wanted};
    default:
        return (struct poke){.at = at,
                             .kind = POKE_FLAGS,
                             .value =
                                 flags_for(b->cc, flags & FLAGS_ARITH, wanted)};
    }
}

/* What a branch does on this path: its own way on the first, on the others one
 * that was never gone, or any. A loop that has counted to its end must not be
 * closed. */
static bool choose(struct search *s, const struct branch *b, bool taken)
{
    bool wanted = taken;

    if (s->index == 0)
        return taken;
    if (!b->seen[0] || !b->seen[1])
        wanted = !b->seen[1];
    else
        wanted = random_next(&s->random) & 1;
    return b->backward && !taken ? false : wanted;
}

static void send(struct search *s, uint64_t at, struct branch *b,
                 uint32_t flags, uint32_t ecx)
{
    bool taken = is_taken(b, flags, ecx);
    bool wanted = s->path->count < POKES_MAX ? choose(s, b, taken) : taken;
    struct poke poke;

    b->seen[wanted] = true;
    if (wanted == taken)
        return;
    poke = poke_for(b, at, flags, wanted);
    s->path->pokes[s->path->count++] = poke;
    probe_poke(&poke);
}

static void arrived(void *opaque, unsigned index, uint32_t flags, uint32_t ecx)
{
    struct search *s = opaque;
    struct site *site = &s->sites->site[s->watched[index]];

    if (site->path == NO_PATH) {
        site->path = s->index;
        s->reached++;
    }
    if (site->branch)
        send(s, site->at, &s->sites->branch[site->branch - 1], flags, ecx);
}

/* ---- Paths ---- */

/* So that stubs are reached as well. */
static void unchain_all(const struct sites *sites, const struct guest *g)
{
    for (uint32_t i = 0; i < sites->ccf_count; i++)
        sites_unchain(&sites->ccf[i], g);
}

static uint32_t run(struct search *s, struct guest *g, struct outcome *outcome)
{
    static uint64_t at[SITES_MAX];
    static uint32_t watched[SITES_MAX];
    struct watch watch = {.at = at, .fn = arrived, .opaque = s};

    for (uint32_t i = 0; i < s->sites->count; i++)
        if (s->sites->site[i].path == NO_PATH || s->sites->site[i].branch) {
            watched[watch.count] = i;
            at[watch.count++] = s->sites->site[i].at;
        }
    s->watched = watched;
    s->reached = 0;
    unchain_all(s->sites, g);
    guest_reset(g, false);
    ck_assert_int_eq(probe_watch(g, &watch, outcome), VCPU_EXIT_HLT);
    return s->reached;
}

void paths_find(struct paths *paths, struct sites *sites, struct guest *g,
                path_check_fn *check, void *opaque)
{
    struct search s = {.sites = sites, .random = 1};
    unsigned idle = 0;

    for (paths->count = 0; paths->count < PATHS_MAX && idle < PATIENCE;) {
        struct outcome outcome;
        uint32_t news;

        s.index = (uint8_t)paths->count;
        s.path = &paths->path[paths->count++];
        s.path->count = 0;
        news = run(&s, g, &outcome);
        check(opaque, &outcome);
        news += sites_update(sites, g);
        idle = news ? 0 : idle + 1;
    }
}
