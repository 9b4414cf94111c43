/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "code.h"
#include "pair.h"
#include "target.h"

/*
 * A state of the machine and a stream of instructions: the translator does what
 * the interpreter does.
 *
 * Input: SETUP_LEN bytes that choose the world, START_LEN for each of up to
 * three runs, which choose the state that it starts in, and the code. What the
 * first run leaves in memory and in the translation cache, the next one finds.
 *
 * The interpreter goes ahead: where it does not come to an end (the handlers of
 * exceptions halt), the translator might not either, and the run is over. Else
 * the translator runs, with all that it does to be fast, to that end; or one TU
 * at a time, the interpreter behind it, with interrupts between. So a run needs
 * no timer, and is the same each time.
 */
#define SETUP_LEN  16u
#define START_LEN  64u
#define RUNS_MAX   3u
#define INSNS_MAX  3000u   /* of a run */
#define BYTES_MAX  100000u /* of its REPs, counted by iterations */
#define TUS_MAX    200u
#define INTERRUPTS 4u /* in a run, and each makes the interpreter go ahead */

enum end {
    END_HALT, /* or a stop */
    END_WILD, /* world.h */
    END_NONE
};

static void NORETURN fail(const struct pair *p, const char *what, uint32_t at)
{
    pair_report(p, at);
    fprintf(stderr, "lockstep: %s\n", what);
    abort();
}

static void must_hold(const struct pair *p, const char *broken)
{
    if (broken)
        fail(p, broken, 0);
}

static void compare(const struct pair *p)
{
    uint32_t at;
    const char *what = pair_differ(p, &at);

    if (what)
        fail(p, what, at);
}

/* ---- The interpreter, ahead ---- */

/* What an instruction counts for: iterations of a string instruction. */
static uint32_t cost(const uint32_t *before, const uint32_t *after)
{
    bool moved =
        before[REG_ESI] != after[REG_ESI] || before[REG_EDI] != after[REG_EDI];
    uint32_t count = before[REG_ECX] - after[REG_ECX];

    return moved && count < UINT32_MAX / 2 ? count : 0;
}

/* Is the next instruction one that drop_undefined() leaves out? Code that is
 * written, or data that is run, may have it. */
static bool is_undefined(const struct machine *m)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf0, 0xf2, 0xf3};
    const uint8_t *code = machine_ram(m, world_code_at(bt_gip(&m->vcpu)));
    unsigned i = 0;

    while (i < INSN_MAX_LEN - 1 && memchr(prefixes, code[i], sizeof(prefixes)))
        i++;
    return code[i] == 0x0f && (code[i + 1] & 0xf6) == 0xa4;
}

static enum end go_ahead(const struct pair *p)
{
    struct machine *m = p->interp;
    enum vcpu_exit exit = VCPU_EXIT_BUDGET;
    uint32_t bytes = 0;

    for (unsigned i = 0; i < INSNS_MAX && bytes < BYTES_MAX; i++) {
        uint32_t regs[REG_COUNT];

        if (is_undefined(m))
            return END_NONE;
        memcpy(regs, m->vcpu.regs, sizeof(regs));
        exit = interp_step(m->interp);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(m);
        if (!world_is_tame(&m->vcpu, &p->setup))
            return END_WILD;
        if (exit == VCPU_EXIT_HLT || machine_is_stopped(m))
            return END_HALT;
        if (m->vcpu.kick)
            return END_NONE;
        bytes += cost(regs, m->vcpu.regs);
    }
    return END_NONE;
}

/* The same, and back to where it was. */
static enum end look_ahead(const struct pair *p)
{
    struct machine *m = p->interp;
    const uint64_t count = machine_exceptions(m);
    const uint64_t outside = m->outside;
    const struct vcpu vcpu = m->vcpu;
    enum end end;

    world_save(m);
    end = go_ahead(p);
    world_restore(m);
    machine_set_vcpu(m, &vcpu);
    m->stats.count[STAT_EXCEPTIONS] = count;
    m->outside = outside;
    return end;
}

/* ---- Runs ---- */

/* To the end, where the interpreter is. */
static bool run_chained(const struct pair *p)
{
    struct machine *m = p->bt;
    enum vcpu_exit exit = machine_run(m, UINT64_MAX);

    if (exit != VCPU_EXIT_HLT && exit != VCPU_EXIT_STOP)
        fail(p, "the translator does not halt", 0);
    compare(p);
    return true;
}

/* What the translator has just done. A triple fault is no instruction and no
 * exception of its own: the interpreter goes on to where it ends. */
static void follow(const struct pair *p, bool to_end)
{
    struct machine *m = p->interp;

    if (to_end)
        go_ahead(p);
    while (!to_end && pair_is_behind(p) && !machine_is_stopped(m))
        if (interp_step(m->interp) == VCPU_EXIT_EXC)
            machine_deliver(m);
}

/* True when there is more of the run. */
static bool one_tu(const struct pair *p)
{
    struct machine *m = p->bt;
    enum vcpu_exit exit = bt_run_tu(m->bt);
    bool ended;

    if (exit == VCPU_EXIT_EXC)
        machine_deliver(m);
    ended = exit == VCPU_EXIT_HLT || machine_is_stopped(m);
    follow(p, ended);
    return !ended;
}

static bool is_open(const struct vcpu *v)
{
    return v->if_flag && v->inhibit == INHIBIT_NONE;
}

/* TU by TU; interrupts: behind which of them, if they are enabled. False: RAM is
 * not known any more. */
static bool run_by_tu(const struct pair *p, uint32_t interrupts)
{
    unsigned delivered = 0;

    if (look_ahead(p) == END_NONE)
        return false;
    for (unsigned i = 0; i < TUS_MAX && one_tu(p); i++) {
        if (!pair_is_tame(p))
            return false;
        compare(p);
        if (i % 4 == 3)
            pair_crowd(p);
        if (!(interrupts >> i % 32 & 1) || !is_open(&p->bt->vcpu) ||
            delivered++ == INTERRUPTS)
            continue;
        pair_interrupt(p);
        if (machine_is_stopped(p->interp)) /* a triple fault */
            break;
        if (look_ahead(p) == END_NONE)
            return false;
    }
    if (!pair_is_tame(p))
        return false;
    compare(p);
    return true;
}

/* Where a run begins. */
static gip_t choose_gip(const struct setup *setup, uint32_t code, uint32_t len)
{
    switch (below(8)) {
    case 0: return world_any_gip(setup);
    case 1: return setup->paging == FLAT ? code : code - CODE + ALIAS;
    case 2: return code + below(len ? len : 1);
    default: return code;
    }
}

/* False: the next one would not find what this one should have left. */
static bool one_run(struct pair *p, bool first, bool wild, uint32_t code,
                    uint32_t len)
{
    bool by_tu = below(2) && p->setup.count;
    uint32_t interrupts = by_tu ? rnd() : 0;
    bool fresh = below(2);

    world_start(&p->start, &p->setup, choose_gip(&p->setup, code, len));
    if (first)
        pair_load(p, wild, true);
    else
        pair_start(p);
    if (fresh && !first)
        bt_flush(p->bt->bt);
    pair_crowd(p);
    if (!by_tu && go_ahead(p) == END_HALT)
        return run_chained(p);
    return by_tu && run_by_tu(p, interrupts);
}

/* ---- The world ---- */

static uint32_t clamp(size_t len, size_t max)
{
    return (uint32_t)(len < max ? len : max);
}

/* Where the code is in its pages: their borders are of interest. */
static uint32_t put_input(uint8_t *to, const uint8_t *code, uint32_t *len)
{
    static const uint32_t starts[] = {0, 0xfc0, 0xff0, 0x1ffa, 0x800};
    uint32_t start = starts[below(ARRAY_COUNT(starts))];
    uint32_t period = below(2) ? *len : UINT32_MAX;

    *len = clamp(*len, CODE_LEN - start);
    memset(to, 0xf4, CODE_LEN); /* hlt */
    for (uint32_t i = 0; i < CODE_LEN - start && *len; i++)
        if (period != UINT32_MAX || i < *len)
            to[start + i] = code[i % *len];
    drop_undefined(to, CODE_LEN);
    return CODE + start;
}

/* How the translator is to be: bits of a byte. */
#define POLICY_MIXED   BIT(0) /* code that is written is soon compared */
#define POLICY_TRIED   BIT(1) /* ... and soon traced again */
#define POLICY_DEAR    BIT(2) /* or interpreted */
#define POLICY_RENT    BIT(3) /* soft spaces soon get a window */
#define POLICY_CROWDED BIT(4) /* old code is evicted */

/* Times that decide what becomes of code: never, or always. */
static void set_policy(struct pair *p, uint32_t policy)
{
    struct bt_vcpu *bt = p->bt->bt;

    bt->mixed_window = policy & POLICY_MIXED ? UINT64_MAX : 0;
    bt->mixed_patience = policy & POLICY_TRIED ? 0 : UINT64_MAX >> 8;
    bt->quick_loss = policy & POLICY_DEAR ? UINT64_MAX : 0;
    bt->rent = policy & POLICY_RENT ? 40 : BT_RENT_INSNS;
    p->crowded = policy & POLICY_CROWDED;
    p->interp->config.outside_max = 2000;
}

/* There is one of each kind: they are expensive. */
static struct pair *get_pair(const struct setup *setup)
{
    static struct pair pairs[4];
    struct pair *p = &pairs[2 * (setup->paging == FLAT) + setup->count];

    if (p->bt == NULL)
        pair_create(p, setup);
    pair_reset(p, setup);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool wild = true;
    struct setup setup;
    struct pair *p;
    unsigned runs;
    uint32_t policy;

    choices_from_input(data, clamp(size, SETUP_LEN));
    setup = setup_choose();
    runs = 1 + below(RUNS_MAX);
    policy = below(256);
    uint32_t head = clamp(size, SETUP_LEN + runs * START_LEN);
    uint32_t len = clamp(size - head, CODE_LEN);
    uint8_t *to = world_build(&setup);
    uint32_t code = put_input(to, data + head, &len);

    p = get_pair(&setup);
    set_policy(p, policy);
    for (unsigned i = 0; i < runs; i++) {
        uint32_t at = clamp(size, SETUP_LEN + i * START_LEN);

        choices_from_input(data + at, clamp(size - at, START_LEN));
        wild = !one_run(p, i == 0, wild, code, len);
        if (wild)
            break;
    }
    must_hold(p, tc_verify(p->bt->bt->tc));
    must_hold(p, bt_verify(p->bt->bt));
    pair_forget(p); /* now, or its cost is the next input's */
    return 0;
}
