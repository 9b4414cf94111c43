/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests_of_precision.h"
#include "trial.h"

/*
 * Page faults of the guest's and of popf's own doing, at every instruction with
 * a memory operand.
 */
#define FAULTS_MAX  64u
#define ALL_PAGES   (BIT(OPEN_PAGES) - 1)
#define STACK_PAGES (ALL_PAGES & ~(BIT(DATA_PAGES) - 1))

static struct {
    unsigned ccfs;
    unsigned complete;
    unsigned checked; /* of the complete ones */
    uint64_t operands;
    uint64_t faulted;
    uint64_t idle; /* instructions that access nothing, as REP with ECX = 0 */
    uint64_t faults;
    uint64_t windowed; /* operands of programs without soft paths */
    uint64_t hidden;   /* faults of theirs */
} count;

/* What is done to the entries of the pages. */
static const struct change changes[] = {
    {.clear = BIT(0)},          {.clear = BIT(1)}, {.clear = BIT(2)},
    {.clear = BIT(5) | BIT(6)}, {.set = BIT(2)},
};

/* A kernel's program has its fault frames on its own stack. */
static uint32_t changeable(const struct trial *t)
{
    return t->user ? ALL_PAGES : ALL_PAGES & ~STACK_PAGES;
}

/* Answer each fault as a guest would, by fixing the page; the interpreter goes
 * through the same. */
static void answer_faults(struct trial *t)
{
    unsigned faults = 0;

    while (t->bt->m->vcpu.eip == HANDLER_PF + 1) {
        uint32_t page = t->bt->m->vcpu.cr2 & ~(uint32_t)PAGE_MASK;
        uint32_t pte = guest_first_pte(t->bt, page);

        ck_assert_uint_lt(++faults, FAULTS_MAX);
        guest_set_pte(t->bt, page, pte);
        guest_set_pte(t->ref, page, pte);
        ck_assert_int_eq(machine_run(t->bt->m, 0), VCPU_EXIT_HLT);
        machine_run(t->ref->m, TRIAL_INSNS_MAX);
        trial_same(t);
    }
    count.faults += faults;
    ck_assert_uint_eq(t->bt->m->vcpu.eip, HANDLER_END + 1);
}

enum found { UNREACHED, NO_FAULT, FAULT };

/* Change the tables at a boundary. Does the instruction there fault? */
static enum found change_at(struct trial *t, const struct site *site,
                            const struct change *change)
{
    struct plan plan = trial_plan(t, site, site, EVENT_CHANGE);
    const struct vcpu *v = &t->bt->m->vcpu;
    struct outcome outcome;
    enum vcpu_exit exit;
    uint32_t eip;
    bool there;

    t->at = site->at;
    t->event = EVENT_CHANGE;
    plan.change = *change;
    guest_reset(t->bt, true);
    guest_reset(t->ref, true);
    exit = probe_run(t->bt, &plan, &outcome);
    if (!outcome.arrived) {
        trial_same_at_end(t, &outcome);
        return UNREACHED;
    }
    trial_follow(t, &outcome, outcome.retired);
    eip = t->ref->m->vcpu.eip;
    probe_change(t->ref, change);
    machine_run(t->ref->m, TRIAL_INSNS_MAX);
    trial_same(t);
    if (exit == VCPU_EXIT_STOP)
        return v->eip == eip ? FAULT : NO_FAULT;
    there = v->exc.vector == EXC_PF && v->exc.return_eip == eip;
    answer_faults(t);
    return there ? FAULT : NO_FAULT;
}

/* A kernel whose stack is gone ends in a triple fault. */
static enum found stack_fault_at(struct trial *t, const struct site *site)
{
    const struct change change = {.clear = BIT(0), .pages = STACK_PAGES};

    return change_at(t, site, &change);
}

static void fault_at(struct trial *t, struct site *site)
{
    struct change change = changes[0];
    enum found found;

    change.pages = changeable(t);
    found = change_at(t, site, &change);
    if (found == NO_FAULT && !t->user)
        found = stack_fault_at(t, site);
    site->faulted = found != UNREACHED;
    count.faulted += found == FAULT;
    count.idle += found == NO_FAULT;
}

/* Any change of some of the pages. User pages that a kernel accesses have sites
 * translated anew: places in the old code are not reached any more. */
static void fault_at_random(struct trial *t, const struct site *site,
                            uint64_t *random)
{
    struct change change =
        changes[1 + random_next(random) % (ARRAY_COUNT(changes) - 1)];

    change.pages = changeable(t) & random_next(random);
    change_at(t, site, &change);
}

static bool is_faulted(const struct sites *s, const struct extent *extent)
{
    for (uint32_t i = extent->first; i < extent->end; i++)
        if (s->site[i].memory && !s->site[i].faulted)
            return false;
    return true;
}

static void fault_everywhere(struct trial *t)
{
    uint64_t random = t->seed;

    for (uint32_t i = 0; i < t->sites->count; i++) {
        struct site *site = &t->sites->site[i];

        count.operands += site->memory;
        if (site->memory && site->path != NO_PATH)
            fault_at(t, site);
    }
    for (uint32_t i = 0; i < t->sites->count; i++)
        if (t->sites->site[i].faulted)
            fault_at_random(t, &t->sites->site[i], &random);
    count.ccfs += t->sites->ccf_count;
    for (uint32_t i = 0; i < t->sites->ccf_count; i++) {
        const struct extent *extent = &t->sites->ccf[i];
        bool complete = is_faulted(t->sites, extent);

        count.complete += complete;
        count.checked += complete && extent->ccf->checked;
    }
}

START_TEST(a_page_fault_at_every_operand_gives_the_interpreters_state)
{
    trial_for_each(fault_everywhere);
    printf("faults programs=%u ccfs=%u complete=%u checked=%u "
           "instructions=%llu faulted=%llu idle=%llu faults=%llu\n",
           trial_count(), count.ccfs, count.complete, count.checked,
           (unsigned long long)count.operands,
           (unsigned long long)count.faulted, (unsigned long long)count.idle,
           (unsigned long long)count.faults);
    fflush(stdout);
    if (trial_is_default()) {
        ck_assert_uint_ge(count.complete - count.checked, TRIAL_COMPLETE);
        ck_assert_uint_ge(count.checked, TRIAL_CHECKED);
    }
}
END_TEST

/* [66] F2/F3: with ECX = 0 it accesses nothing. */
static bool is_rep(const struct trial *t, const struct site *site)
{
    const uint8_t *code = mcode_rw(tc_mcode(t->bt->m->bt->tc), site->at);

    code += *code == 0x66;
    return *code == 0xf2 || *code == 0xf3;
}

static void forget_at(struct trial *t, const struct site *site)
{
    uint64_t *hidden = &t->bt->m->stats.count[STAT_HIDDEN_FAULTS];
    struct plan plan = trial_plan(t, site, site, EVENT_FORGET);
    struct outcome outcome;
    enum vcpu_exit exit;

    *hidden = 0;
    ck_assert(trial_arrive(t, &plan, &outcome, &exit));
    ck_assert_int_eq(exit, VCPU_EXIT_HLT);
    trial_same_at_end(t, &outcome);
    if (trial_is_windowed(t) && site->place == PLACE_BODY) {
        ck_assert_msg(*hidden || is_rep(t, site), "seed %llu: no hidden fault",
                      (unsigned long long)t->seed);
        count.windowed++;
        count.hidden += *hidden;
        count.idle += !*hidden;
    }
}

static void forget_everywhere(struct trial *t)
{
    count.ccfs += t->sites->ccf_count;
    for (uint32_t i = 0; i < t->sites->count; i++) {
        const struct site *site = &t->sites->site[i];

        if (site->memory && site->path != NO_PATH) {
            forget_at(t, site);
            count.operands++;
        }
    }
}

START_TEST(a_hidden_fault_at_every_operand_is_not_seen)
{
    trial_for_each(forget_everywhere);
    printf("hidden programs=%u ccfs=%u instructions=%llu windowed=%llu "
           "faults=%llu\n",
           trial_count(), count.ccfs, (unsigned long long)count.operands,
           (unsigned long long)count.windowed,
           (unsigned long long)count.hidden);
    ck_assert_uint_ge(count.hidden + count.idle, count.windowed);
    ck_assert_uint_le(count.idle, count.windowed / 100);
}
END_TEST

void add_fault_tests(TCase *tcase)
{
    tcase_add_test(tcase,
                   a_page_fault_at_every_operand_gives_the_interpreters_state);
    tcase_add_test(tcase, a_hidden_fault_at_every_operand_is_not_seen);
}
