/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests_of_precision.h"
#include "trial.h"

/*
 * A kick at every host instruction. What the guest's own run and its branches do
 * not reach is brought about in the way it comes about: an address check by
 * arriving with a target in r8d, right or wrong, as a slot of the lookup table or
 * a host return may; a stub by unchaining its exit; STI's slow way by an
 * interrupt that waits; a miss of the soft TLB by emptying it.
 */
#define CALL       0xe8
#define GLUE_MAX   512u
#define GLUE_OFTEN 5u /* programs that kick the glue */

static struct {
    unsigned ccfs;
    unsigned entered; /* of them; see is_entered() */
    unsigned complete;
    unsigned checked; /* of the complete ones */
    uint64_t sites[PLACE_COUNT];
    uint64_t kicked[PLACE_COUNT];
    uint64_t behind_misses;  /* not kicked: see is_behind_miss() */
    unsigned glue[GLUE_MAX]; /* programs in which each was kicked */
    unsigned glue_count;
    uint64_t stepped;
} count;

/* Right after an STI that set IF, or after MOV SS, nothing may be delivered:
 * the run loop must be told. */
static void not_inhibited(const struct trial *t)
{
    if (t->ref->m->vcpu.inhibit != INHIBIT_NONE &&
        t->bt->m->vcpu.inhibit == INHIBIT_NONE)
        trial_diverged(t, "inhibition", t->ref);
}

static bool kick(struct trial *t, const struct plan *plan)
{
    struct machine *bt = t->bt->m;
    struct outcome outcome;
    enum vcpu_exit exit;

    if (!trial_arrive(t, plan, &outcome, &exit))
        return false;
    count.stepped += outcome.steps != 0;
    /* The last TU before the end is left by HLT. */
    ck_assert(exit == VCPU_EXIT_INTR || exit == VCPU_EXIT_HLT);
    guest_reset(t->ref, false);
    trial_follow(t, &outcome, bt->vcpu.retired);
    if (!trial_is_in_string(t)) {
        trial_same(t);
        not_inhibited(t);
    }
    if (exit == VCPU_EXIT_HLT)
        return true;
    bt->vcpu.kick = 0;
    bt->vcpu.irq_line = t->ref->m->vcpu.irq_line = false;
    ck_assert_int_eq(machine_run(bt, 0), VCPU_EXIT_HLT);
    machine_run(t->ref->m, TRIAL_INSNS_MAX);
    trial_same(t);
    return true;
}

/* Arrive at a CCF's body; from there as if r8d were the target of a jump. */
static bool detour(struct trial *t, const struct site *site,
                   const struct extent *from, enum aid_kind kind, uint64_t to)
{
    const struct site *body = &t->sites->site[from->body];
    struct plan plan;

    if (body->path == NO_PATH)
        return false;
    plan = trial_plan(t, site, body, EVENT_KICK);
    plan.aid = (struct aid){
        .at = body->at, .kind = kind, .to = to, .target = from->ccf->gip};
    return kick(t, &plan);
}

/* The same from any CCF but one. */
static bool detour_from_any(struct trial *t, const struct site *site,
                            enum aid_kind kind, uint64_t to)
{
    for (uint32_t i = 0; i < t->sites->ccf_count; i++)
        if (&t->sites->ccf[i] != site->owner &&
            detour(t, site, &t->sites->ccf[i], kind, to))
            return true;
    return false;
}

/* A memory access before it meets what lets later ones leave. */
static bool kick_after(struct trial *t, const struct site *site,
                       enum aid_kind kind)
{
    for (uint32_t i = 0; i < t->sites->count; i++) {
        const struct site *memory = &t->sites->site[i];
        struct plan plan;

        if (!memory->memory || memory->path == NO_PATH)
            continue;
        plan = trial_plan(t, site, memory, EVENT_KICK);
        plan.aid = (struct aid){.at = memory->at, .kind = kind};
        if (kick(t, &plan))
            return true;
    }
    return false;
}

static bool kick_glue(struct trial *t, const struct site *site)
{
    const struct bt_vcpu *bt = t->bt->m->bt;

    return detour_from_any(t, site, AID_DETOUR, bt->miss) ||
           detour_from_any(t, site, AID_RETURN, bt->sentinel) ||
           kick_after(t, site, AID_FLUSH) || kick_after(t, site, AID_DENY);
}

/* An interrupt waits from the STI on. */
static bool kick_pending(struct trial *t, const struct site *site)
{
    const struct site *sti = &t->sites->site[site->first];
    struct poke pokes[POKES_MAX + 1];
    struct plan plan;

    if (sti->path == NO_PATH)
        return false;
    plan = trial_plan(t, site, sti, EVENT_KICK);
    memcpy(pokes, plan.pokes, plan.poke_count * sizeof(pokes[0]));
    pokes[plan.poke_count++] = (struct poke){.at = sti->at, .kind = POKE_IRQ};
    plan.pokes = pokes;
    return kick(t, &plan);
}

/* A comparison of source bytes fails. The CCF is dropped, and taken back when it
 * is wanted again, as its source is what it was. */
static bool kick_changed(struct trial *t, const struct site *site)
{
    const struct site *check = &t->sites->site[site->check];
    struct plan plan;

    if (check->path == NO_PATH)
        return false;
    plan = trial_plan(t, site, check, EVENT_KICK);
    plan.aid =
        (struct aid){.at = check->at, .kind = AID_DETOUR, .to = check[1].at};
    return kick(t, &plan);
}

static bool kick_on_path(struct trial *t, const struct site *site)
{
    struct plan plan;

    if (site->path == NO_PATH)
        return false;
    plan = trial_plan(t, site, site, EVENT_KICK);
    if (site->place == PLACE_STUB)
        sites_unchain(site->owner, t->bt);
    return kick(t, &plan);
}

/* What the guest does not do by itself is brought about. */
static bool kick_otherwise(struct trial *t, const struct site *site)
{
    switch ((enum place)site->place) {
    case PLACE_ENTRY:
        return detour(t, site, site->owner, AID_DETOUR,
                      site->owner->ccf->entry);
    case PLACE_ENTRY_MISS:
    case PLACE_RETURN_MISS:
        return detour_from_any(t, site, AID_DETOUR,
                               t->sites->site[site->check].at);
    case PLACE_PENDING: return kick_pending(t, site);
    case PLACE_CHANGED: return kick_changed(t, site);
    case PLACE_GLUE:
    case PLACE_STUB:
    case PLACE_BODY:
    case PLACE_STEP:
    case PLACE_RETURN:
    case PLACE_COUNT: return false;
    }
    UNREACHABLE();
}

/* Where the engine goes on behind an instruction that the interpreter ran, it
 * may make a CCF that no later run has a use for. */
static bool is_entered(const struct sites *s, const struct extent *extent)
{
    return s->site[extent->body].path != NO_PATH;
}

static bool is_complete(const struct sites *s, const struct extent *extent)
{
    for (uint32_t i = extent->first; i < extent->end; i++)
        if (!s->site[i].kicked)
            return false;
    return true;
}

/* The soft TLB never has an access that crosses a page: the engine goes on with
 * another CCF, and nothing leads to the code behind the probe, up to the next
 * label. */
static bool is_behind_miss(const struct trial *t, const struct site *site)
{
    const struct sites *s = t->sites;
    const uint8_t *code;
    uint32_t i = (uint32_t)(site - s->site);

    while (s->site[i - 1].path == NO_PATH && i - 1 > site->owner->first)
        i--;
    code = mcode_rw(tc_mcode(t->bt->m->bt->tc), s->site[i - 1].at);
    return *code == CALL && s->site[i].place == PLACE_BODY;
}

static void show_unreached(const struct trial *t, const struct site *site)
{
    if (!getenv("POPF_PRECISE_SHOW"))
        return;
    printf("seed %llu: not kicked: %s\n", (unsigned long long)t->seed,
           place_name[site->place]);
    if (site->owner)
        sites_print(t->bt, site->owner->ccf, site->at);
}

static void kick_in_glue(struct trial *t, const struct site *site,
                         uint32_t index)
{
    ENSURE(index < GLUE_MAX);
    if (index >= count.glue_count)
        count.glue_count = index + 1;
    if (count.glue[index] < GLUE_OFTEN)
        count.glue[index] += kick_on_path(t, site) || kick_glue(t, site);
}

static void kick_everywhere(struct trial *t)
{
    for (uint32_t i = 0; i < t->sites->count; i++) {
        struct site *site = &t->sites->site[i];

        if (site->place == PLACE_GLUE) {
            kick_in_glue(t, site, i);
            continue;
        }
        if (!is_entered(t->sites, site->owner))
            continue;
        site->kicked = kick_on_path(t, site) || kick_otherwise(t, site);
        count.sites[site->place]++;
        count.kicked[site->place] += site->kicked;
        if (!site->kicked && is_behind_miss(t, site))
            count.behind_misses++;
        else if (!site->kicked)
            show_unreached(t, site);
    }
    count.ccfs += t->sites->ccf_count;
    for (uint32_t i = 0; i < t->sites->ccf_count; i++) {
        const struct extent *extent = &t->sites->ccf[i];
        bool complete = is_complete(t->sites, extent);

        count.entered += is_entered(t->sites, extent);
        count.complete += complete;
        count.checked += complete && extent->ccf->checked;
    }
}

/* Common stubs are the same in all programs; which of them one uses depends on
 * its CPL and on whether its memory is soft. */
static void report_glue(void)
{
    unsigned kicked = 0;

    for (unsigned i = 0; i < count.glue_count; i++)
        kicked += count.glue[i] != 0;
    printf("  %-26s %6u of %6u host instructions kicked\n",
           place_name[PLACE_GLUE], kicked, count.glue_count);
    if (trial_is_default() && TRIAL_ALL_GLUE)
        ck_assert_uint_eq(kicked, count.glue_count);
}

START_TEST(a_kick_at_every_host_instruction_gives_the_interpreters_state)
{
    trial_for_each(kick_everywhere);
    printf("kicks programs=%u ccfs=%u entered=%u complete=%u checked=%u "
           "stepped=%llu\n",
           trial_count(), count.ccfs, count.entered, count.complete,
           count.checked, (unsigned long long)count.stepped);
    for (unsigned i = 0; i < PLACE_GLUE; i++)
        printf("  %-26s %6llu of %6llu host instructions kicked\n",
               place_name[i], (unsigned long long)count.kicked[i],
               (unsigned long long)count.sites[i]);
    report_glue();
    printf("  not kicked behind a soft access that crosses a page: %llu\n",
           (unsigned long long)count.behind_misses);
    fflush(stdout);
    if (trial_is_default()) {
        ck_assert_uint_ge(count.complete - count.checked, TRIAL_COMPLETE);
        ck_assert_uint_ge(count.checked, TRIAL_CHECKED);
    }
}
END_TEST

void add_kick_tests(TCase *tcase)
{
    tcase_add_test(
        tcase, a_kick_at_every_host_instruction_gives_the_interpreters_state);
}
