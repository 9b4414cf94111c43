/* SPDX-License-Identifier: MIT */
/*
 * The model of debug exceptions (SDM Vol.3B "Debug Exceptions"), of RF (the same,
 * "Instruction-Breakpoint Exception Condition"), and of the order in which what
 * happens at the same boundary is served (SDM Vol.3A "Priority Among Simultaneous
 * Exceptions and Interrupts"):
 *
 *   1. traps of the instruction before: single step, data and I/O breakpoints;
 *   2. an instruction breakpoint, unless RF is set or SS was just loaded;
 *   3. a page fault of the fetch;
 *   4. the instruction's own faults.
 */
#include "debug.h"
#include "lib/cpu.h"
#include "lib/paging.h"
#include "stress.h"

struct debug_regs debug_choices[DEBUG_CHOICES];

static struct {
    const struct program *p;
    struct expected *out;
    struct debug_regs regs;
    uint32_t flags, esp;
    uint32_t eip;     /* of the current instruction */
    uint32_t sticky;  /* in DR6 from before */
    uint32_t pending; /* data breakpoints that a load of SS holds back */
    uint32_t done;    /* iterations of the current string instruction */
    uint32_t choices;
    uint8_t demand; /* pages that are there */
    bool whole;     /* the second page of the code, too */
    bool shadow;    /* behind a load of SS */
    bool stop;
} m;

static uint32_t execute_hits(uint32_t eip, bool enabled_only)
{
    return debug_execute_hits(&m.regs, eip, enabled_only);
}

static uint32_t touch_hits(const struct op *op, bool enabled_only)
{
    return debug_touch_hits(&m.regs, op, m.done, enabled_only);
}

static struct event *event_at(uint32_t eip, uint32_t vector)
{
    struct event *event = &m.out->event[m.out->count];

    if (m.out->count == EVENTS_MAX - 2) {
        m.out->unclear = true;
        m.stop = true;
    } else {
        m.out->count++;
    }
    *event = (struct event){.vector = (uint8_t)vector,
                            .eip = eip,
                            .esp = m.esp,
                            .flags = m.flags,
                            .note = NOTE_COUNT};
    m.shadow = false;
    return event;
}

/* SDM Vol.3B "Debug Status Register (DR6)": the processor clears none of BD, BS
 * and BT; a breakpoint's bit may be set though it is not enabled. GD is cleared
 * when the handler is entered (SDM Vol.3B "Debug Control Register (DR7)"). */
static struct event *debug_event(uint32_t eip, uint32_t causes, uint32_t may)
{
    struct event *event = event_at(eip, EXC_DB);

    event->dr6 = causes | m.sticky;
    event->may = may;
    m.regs.dr7 &= ~(uint32_t)DR7_GD;
    m.sticky = one_in(8) ? DR6_BD | (one_in(2) ? DR6_BS : 0) : 0;
    event->dr6_left = m.sticky;
    return event;
}

static void take_breakpoints_out(struct event *event, uint32_t hits)
{
    for (uint32_t n = 0; n < 4; n++) {
        if (hits >> n & 1)
            m.regs.dr7 &= ~(3u << (2 * n));
    }
    event->action = DO_DISABLE;
    event->arg = m.regs.dr7;
}

/* A fault in front of the instruction, with RF as it was: clear. */
static void instruction_breakpoint(uint32_t hits)
{
    struct event *event =
        debug_event(m.eip, hits, execute_hits(m.eip, false) & ~hits);

    event->note = NOTE_BREAK_CODE;
    if (one_in(4)) {
        take_breakpoints_out(event, hits);
        return;
    }
    event->note = NOTE_BREAK_RESUMED;
    event->action = DO_RESUME;
    m.flags |= EF_RF;
}

/* The image of a fault has RF set, and what the handler returns to has it. */
static struct event *fault(uint32_t vector, uint32_t error)
{
    struct event *event;

    m.out->unclear |= m.pending != 0;
    m.pending = 0;
    m.flags |= EF_RF;
    event = event_at(m.eip, vector);
    event->error = error;
    if (m.flags & EF_TF)
        event->note = NOTE_DEBUG_STEP_FAULT;
    return event;
}

static void page_fault(uint32_t va, uint32_t error)
{
    struct event *event = fault(EXC_PF, error | (m.p->user ? 4 : 0));

    event->cr2 = va;
    event->action = DO_MAP;
    event->arg = va & ~(PAGE - 1);
}

static bool fetch_faults(const struct op *op)
{
    uint32_t second = DEBUG_CODE + PAGE;

    if (m.whole || m.eip + op->len <= second)
        return false;
    page_fault(m.eip > second ? m.eip : second,
               paging_mode() == PAGING_PAE && paging_has_nx() ? 16 : 0);
    m.whole = true;
    return true;
}

static bool touch_faults(const struct op *op)
{
    for (uint32_t i = 0; i < op->touches; i++) {
        const struct touch *touch = &op->touch[i];
        uint32_t va = debug_touch_address(op, touch, m.done);
        uint32_t page = (va - DEBUG_DEMAND) / PAGE;

        if (touch->base != AT_ADDRESS || va < DEBUG_DEMAND ||
            page >= DEMAND_PAGES || m.demand >> page & 1)
            continue;
        page_fault(va, touch->write ? 2 : 0);
        m.demand |= (uint8_t)(1u << page);
        return true;
    }
    return false;
}

/* A handler sets TF in the image that it returns by. */
static void step_from_here(struct event *event)
{
    event->action = DO_STEP;
    m.flags |= EF_TF;
}

static void step_no_more(struct event *event)
{
    event->action = DO_NOT_STEP;
    m.flags &= ~(uint32_t)EF_TF;
}

static void software_interrupt(const struct op *op)
{
    struct event *event;

    m.flags &= ~(uint32_t)EF_RF;
    m.out->unclear |= m.pending != 0;
    m.pending = 0;
    event = event_at(m.eip + op->len, op->vector);
    if (m.flags & EF_TF)
        event->note = NOTE_DEBUG_STEP_INT;
    if (op->vector == VECTOR_EXIT) {
        event->action = DO_END;
        m.stop = true;
        return;
    }
    switch (random_below(5)) {
    case 0: step_from_here(event); break;
    case 1: step_no_more(event); break;
    case 2:
        if (m.choices == DEBUG_CHOICES)
            break;
        debug_random_regs(m.p, &m.regs);
        event->action = DO_DEBUG;
        event->note = NOTE_BREAK_SWITCHED;
        event->arg = m.choices;
        debug_choices[m.choices++] = m.regs;
        break;
    }
}

/* What the handler of a trap does. */
static void after_trap(struct event *event, uint32_t hits)
{
    switch (random_below(10)) {
    case 0: step_from_here(event); break;
    case 1: step_no_more(event); break;
    case 2: take_breakpoints_out(event, hits); break;
    }
}

static enum note note_of(const struct op *op, uint32_t eip, uint32_t hits)
{
    if (!hits)
        return eip == m.eip ? NOTE_DEBUG_STEP_REP : NOTE_DEBUG_STEP;
    if (m.pending)
        return NOTE_BREAK_HELD;
    for (uint32_t n = 0; n < 4; n++) {
        if (hits >> n & 1 && debug_break_type(&m.regs, n) == BREAK_IO)
            return NOTE_BREAK_PORT;
    }
    if (eip == m.eip)
        return NOTE_BREAK_REP;
    if (op->touches == 1 && op->touch[0].base == AT_STACK)
        return NOTE_BREAK_STACK;
    return NOTE_BREAK_DATA;
}

/* Behind the instruction, or an iteration of it, that began with these flags. */
static void trap(const struct op *op, uint32_t eip, uint32_t hits, uint32_t may,
                 uint32_t flags)
{
    struct event *event;

    hits |= m.pending;
    if (hits || flags & EF_TF) {
        event = debug_event(eip, hits | (flags & EF_TF ? DR6_BS : 0),
                            may | execute_hits(eip, false));
        event->note = (uint8_t)note_of(op, eip, hits);
        after_trap(event, hits);
    }
    m.pending = 0;
}

/* RF is set while a repeated string instruction is on its way: a trap of any
 * iteration but the last pushes it as 1. */
static void iteration(const struct op *op)
{
    uint32_t flags = m.flags;
    uint32_t hits = 0, may = 0;

    m.flags &= ~(uint32_t)EF_RF;
    if (op->count) {
        hits = touch_hits(op, true);
        may = touch_hits(op, false);
        m.done++;
    }
    if (m.done < op->count) {
        m.flags |= EF_RF;
        trap(op, m.eip, hits, may, flags);
        return;
    }
    m.done = 0;
    trap(op, m.eip + op->len, hits, may, flags);
}

/* Returns whether the instruction is over. */
static bool execute(const struct op *op)
{
    uint32_t flags = m.flags;
    uint32_t hits = touch_hits(op, true);
    uint32_t may = touch_hits(op, false);
    uint32_t eip = m.p->at + m.p->op[op->goes].at;
    bool shadow = m.shadow;

    m.shadow = false;
    if (op->kind == OP_STRING) {
        iteration(op);
        return m.done == 0;
    }
    m.flags &= ~(uint32_t)EF_RF;
    if (op->kind == OP_FLAGS)
        m.flags = (m.flags & ~op->clear) | op->set;
    if (op->kind == OP_SET_DR7)
        m.regs.dr7 = op->dr7;
    m.esp += (uint32_t)(int32_t)op->esp;
    if (op->kind == OP_LOAD_SS && !shadow) {
        m.pending = hits;
        m.shadow = true;
        return true;
    }
    trap(op, eip, hits, may, flags);
    return true;
}

/* The manual has RF set in the image of this fault as of any other; processors
 * leave it alone. The handler sets it. */
static bool general_detect(const struct op *op)
{
    struct event *event;

    if (op->kind != OP_READ_DR || !(m.regs.dr7 & DR7_GD))
        return false;
    event = debug_event(m.eip, DR6_BD, 0);
    event->any_rf = true;
    event->note = NOTE_BREAK_DETECT;
    event->action = DO_RESUME;
    m.flags |= EF_RF;
    return true;
}

static void step(const struct op *op, uint32_t *next)
{
    uint32_t hits = execute_hits(m.eip, true);

    if (hits && !(m.flags & EF_RF) && !m.shadow) {
        instruction_breakpoint(hits);
        return;
    }
    if (fetch_faults(op) || general_detect(op))
        return;
    switch (op->kind) {
    case OP_SKIPPED: {
        struct event *event = fault(op->vector, op->error);

        event->action = DO_SKIP;
        event->arg = op->len;
        *next = op->goes;
        return;
    }
    case OP_SOFT:
        software_interrupt(op);
        *next = op->goes;
        return;
    }
    if (op->kind == OP_STRING && !op->count) {
        if (execute(op))
            *next = op->goes;
        return;
    }
    if (!touch_faults(op) && execute(op))
        *next = op->goes;
}

void debug_model(const struct program *p, const struct debug_regs *regs,
                 bool stepping, bool whole, struct expected *expected)
{
    uint32_t next = 0;

    __builtin_memset(&m, 0, sizeof(m));
    m.p = p;
    m.out = expected;
    m.regs = *regs;
    m.flags = p->flags | 2 | (stepping ? EF_TF : 0);
    m.esp = p->esp;
    m.whole = whole;
    expected->count = 0;
    expected->unclear = false;
    while (!m.stop) {
        m.eip = p->at + p->op[next].at;
        step(&p->op[next], &next);
    }
}
