/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "probe.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* From a kick to a boundary; likewise where all source is compared first. */
#define STEPS_MAX         200u
#define STEPS_MAX_CHECKED 1000u
#define CODE_MAX          (8u * MIB)
#define LIST_MAX          65536u
#define INT3              0xcc

static struct {
    struct guest *g;
    struct sigaction engine; /* the engine's own SIGTRAP handler */
    void (*arrived)(ucontext_t *uc, uint64_t at);
    const struct watch *watch;
    greg_t *gregs;            /* while the watcher is called */
    uint32_t index[CODE_MAX]; /* of what is watched */
    uint8_t armed[CODE_MAX];  /* by offset in the code memory */
    uint8_t saved[CODE_MAX];
    uint32_t list[LIST_MAX]; /* offsets that were armed */
    unsigned count;
    struct outcome *outcome;
    const struct plan *plan;
} probe;

/* ---- Breakpoints ---- */

static const struct mcode *code_memory(void)
{
    return tc_mcode(probe.g->m->bt->tc);
}

static uint32_t offset_of(uint64_t at)
{
    uint64_t offset = at - (uint64_t)(uintptr_t)code_memory()->rx;

    ENSURE(offset < CODE_MAX);
    return (uint32_t)offset;
}

static void arm(uint64_t at)
{
    uint32_t offset = offset_of(at);
    uint8_t *byte = mcode_rw(code_memory(), at);

    if (probe.armed[offset])
        return;
    ENSURE(probe.count < LIST_MAX);
    probe.list[probe.count++] = offset;
    probe.saved[offset] = *byte;
    probe.armed[offset] = 1;
    *byte = INT3;
}

static void disarm(uint32_t offset)
{
    if (!probe.armed[offset])
        return;
    code_memory()->rw[offset] = probe.saved[offset];
    probe.armed[offset] = 0;
}

static void disarm_all(void)
{
    for (unsigned i = 0; i < probe.count; i++)
        disarm(probe.list[i]);
    probe.count = 0;
}

static bool is_armed(uint64_t rip)
{
    return mcode_contains(code_memory(), rip) && probe.armed[offset_of(rip)];
}

static unsigned steps_max(const struct bt_vcpu *bt)
{
    return bt->mixed_count ? STEPS_MAX_CHECKED : STEPS_MAX;
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint64_t at = (uint64_t)uc->uc_mcontext.gregs[REG_RIP] - 1;
    struct bt_vcpu *bt = probe.g ? probe.g->m->bt : NULL;

    if (bt && is_armed(at)) {
        disarm(offset_of(at));
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)at;
        probe.arrived(uc, at);
    } else if (bt && bt->stepping && probe.outcome &&
               ++probe.outcome->steps < steps_max(bt)) {
        probe.engine.sa_sigaction(sig, info, context);
    } else {
        signal(sig, SIG_DFL); /* and die of it */
    }
}

void probe_install(void)
{
    struct sigaction action = {.sa_sigaction = on_trap,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old;

    sigfillset(&action.sa_mask);
    ck_assert_int_eq(sigaction(SIGTRAP, &action, &old), 0);
    if (old.sa_sigaction != on_trap)
        probe.engine = old;
}

/* ---- What is done at them ---- */

uint64_t probe_retired(const struct guest *g, uint64_t at)
{
    const struct bt_vcpu *bt = g->m->bt;
    const struct ccf *ccf = tc_find_host(bt->tc, at);
    bool exact = false;
    const struct ccf_point *p = ccf ? ccf_find_point(ccf, at, &exact) : NULL;

    return g->m->vcpu.retired + g->m->vcpu.ccf_retired - (p ? p->uncounted : 0);
}

void probe_apply(struct guest *g, const struct poked *poked)
{
    struct vcpu *v = &g->m->vcpu;

    switch (poked->kind) {
    case POKE_FLAGS:
        v->eflags = (v->eflags & ~FLAGS_ARITH) | poked->value;
        return;
    case POKE_ECX: v->regs[REG_ECX] = poked->value; return;
    case POKE_IF: v->if_flag = (uint8_t)poked->value; return;
    case POKE_IRQ:
        v->irq_line = true;
        v->if_flag = 0;
        return;
    }
    UNREACHABLE();
}

static uint32_t open_page(unsigned index)
{
    return index < DATA_PAGES ? DATA + index * PAGE_SIZE
                              : STACK + (index - DATA_PAGES) * PAGE_SIZE;
}

void probe_change(struct guest *g, const struct change *change)
{
    for (unsigned i = 0; i < OPEN_PAGES; i++) {
        uint32_t page = open_page(i);

        if (change->pages & BIT(i))
            guest_set_pte(g, page,
                          (guest_pte(g, page) & ~change->clear) | change->set);
    }
}

static uint64_t stack_bottom(const struct bt_vcpu *bt)
{
    return bt->context->stack.bottom;
}

/* The shadow changed under a running CCF: it goes on without its host returns. */
static void apply_reset(struct bt_vcpu *bt, greg_t *g)
{
    if (bt->reset_stacks)
        g[REG_RSP] = (greg_t)stack_bottom(bt);
    bt->reset_stacks = false;
}

static void do_poke(greg_t *g, const struct poke *poke)
{
    struct outcome *o = probe.outcome;

    ENSURE(o->poked_count < POKES_MAX);
    o->poked[o->poked_count++] =
        (struct poked){.retired = probe_retired(probe.g, poke->at),
                       .kind = poke->kind,
                       .value = poke->value};
    if (poke->kind == POKE_FLAGS)
        g[REG_EFL] = (g[REG_EFL] & ~(greg_t)FLAGS_ARITH) | poke->value;
    else if (poke->kind == POKE_ECX)
        g[REG_RCX] = poke->value;
    else
        probe_apply(probe.g, &o->poked[o->poked_count - 1]);
}

static void deny_all(struct vcpu *vcpu)
{
    const uint64_t never = BIT64(32); /* the carry that tells */

    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu->seg_check[i].read = vcpu->seg_check[i].write = never;
}

static void do_aid(greg_t *g, const struct aid *aid)
{
    struct bt_vcpu *bt = probe.g->m->bt;

    if (aid->kind == AID_FLUSH) {
        bt_soft_flush(bt);
        return;
    }
    if (aid->kind == AID_DENY) {
        deny_all(bt->vcpu);
        return;
    }
    g[REG_RIP] = (greg_t)aid->to;
    g[REG_R8] = aid->target;
    if (aid->kind == AID_RETURN)
        g[REG_RSP] = (greg_t)(stack_bottom(bt) + sizeof(uint64_t));
}

static void do_event(ucontext_t *uc)
{
    struct bt_vcpu *bt = probe.g->m->bt;

    disarm_all();
    probe.outcome->arrived = true;
    probe.outcome->retired = probe_retired(probe.g, probe.plan->at);
    switch (probe.plan->event) {
    case EVENT_KICK:
        bt->vcpu->kick = 1;
        bt_kicked(bt, uc);
        return;
    case EVENT_FORGET: mmu_forget(bt->mmu); break;
    case EVENT_CHANGE: probe_change(probe.g, &probe.plan->change); break;
    }
    apply_reset(bt, uc->uc_mcontext.gregs);
}

static void arrived_on_plan(ucontext_t *uc, uint64_t at)
{
    const struct plan *plan = probe.plan;
    greg_t *g = uc->uc_mcontext.gregs;

    for (unsigned i = 0; i < plan->poke_count; i++)
        if (plan->pokes[i].at == at)
            do_poke(g, &plan->pokes[i]);
    if (plan->aid.kind != AID_NONE && plan->aid.at == at)
        do_aid(g, &plan->aid);
    if (plan->at == (uint64_t)g[REG_RIP] && plan->at == at)
        do_event(uc);
}

static void begin(struct guest *g, struct outcome *outcome)
{
    probe.g = g;
    probe.outcome = outcome;
    outcome->arrived = false;
    outcome->steps = outcome->poked_count = 0;
}

enum vcpu_exit probe_run(struct guest *g, const struct plan *plan,
                         struct outcome *outcome)
{
    enum vcpu_exit exit;

    begin(g, outcome);
    probe.plan = plan;
    probe.arrived = arrived_on_plan;
    for (unsigned i = 0; i < plan->poke_count; i++)
        arm(plan->pokes[i].at);
    if (plan->aid.kind != AID_NONE)
        arm(plan->aid.at);
    arm(plan->at);
    exit = machine_run(g->m, 0);
    disarm_all();
    return exit;
}

void probe_poke(const struct poke *poke)
{
    do_poke(probe.gregs, poke);
}

static void arrived_watched(ucontext_t *uc, uint64_t at)
{
    greg_t *g = uc->uc_mcontext.gregs;
    uint32_t flags = (uint32_t)g[REG_EFL] & FLAGS_ARITH;

    if (probe.g->m->vcpu.if_flag)
        flags |= FLAG_IF;
    probe.gregs = g;
    probe.watch->fn(probe.watch->opaque, probe.index[offset_of(at)], flags,
                    (uint32_t)g[REG_RCX]);
}

enum vcpu_exit probe_watch(struct guest *g, const struct watch *watch,
                           struct outcome *outcome)
{
    enum vcpu_exit exit;

    begin(g, outcome);
    probe.watch = watch;
    probe.arrived = arrived_watched;
    for (unsigned i = 0; i < watch->count; i++) {
        arm(watch->at[i]);
        probe.index[offset_of(watch->at[i])] = i;
    }
    exit = machine_run(g->m, 0);
    disarm_all();
    return exit;
}
