/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/cpu/system.h"
#include "segment_world.h"
#include "target.h"
#include "tests/machine/machine.h"

/*
 * Segments, gates and returns: one instruction or interrupt in the guest that the
 * input stands for, by the interpreter, by the translator, and by a model that is
 * the manual's pseudo-code (segment_model.h). Interpreter and model agree in
 * every register and every byte of RAM, faults and what becomes of their delivery
 * included; then both engines run on for a few TUs and agree as well.
 */
#define TUS_MAX   3u
#define STEPS_MAX 64u

static struct machine *interp;
static struct machine *bt;
static uint8_t *clean; /* RAM before an input */
static struct model model;
static struct seg_world world;

/* ---- Reporting ---- */

static void show_segment(const char *name, const struct segment *a,
                         const struct segment *b)
{
    fprintf(stderr, "%-4s %04x %08x %08x %05x   %04x %08x %08x %05x\n", name,
            a->selector, a->base, a->limit, a->attr, b->selector, b->base,
            b->limit, b->attr);
}

static void show_states(const struct model_cpu *c, const struct vcpu *v)
{
    static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};

    for (unsigned i = 0; i < REG_COUNT; i++)
        fprintf(stderr, "r%u   %08x %08x\n", i, c->regs[i], v->regs[i]);
    fprintf(stderr, "eip  %08x %08x\nfl   %08x %08x\ncpl  %u %u\n", c->eip,
            v->eip, c->eflags, vcpu_eflags(v), c->cpl, v->cpl);
    fprintf(stderr, "cr2  %08x %08x\ninhibit %u %u\n", c->cr2, v->cr2,
            c->mov_ss, v->inhibit);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        show_segment(segs[i], &c->seg[i], &v->seg[i]);
    show_segment("ldtr", &c->ldtr, &v->ldtr);
    show_segment("tr", &c->tr, &v->tr);
}

static void NORETURN fail(const char *what)
{
    const struct seg_insn *in = &world.insn;

    fprintf(stderr,
            "%s\nop %u seg %u size %u selector %04x offset %08x imm %x cpl %u "
            "paging %d\n",
            what, in->op, in->seg, in->size, in->selector, in->offset, in->imm,
            world.start.cpl, world.paging);
    fprintf(stderr,
            "model exc %u error %x cr2 %x; interpreter %u %x %x; '%s'\n",
            model.exc.vector, model.exc.error, model.exc.cr2,
            interp->vcpu.exc.vector, interp->vcpu.exc.error,
            interp->vcpu.exc.cr2, interp->stop.text);
    fprintf(stderr, "model, interpreter\n");
    show_states(&model.cpu, &interp->vcpu);
    fprintf(stderr, "start:\n");
    vcpu_dump(&world.start, stderr);
    fprintf(stderr, "translator:\n");
    vcpu_dump(&bt->vcpu, stderr);
    abort();
}

/* ---- Setting up ---- */

static void create(void)
{
    struct machine_config config = {
        .ram_len = WORLD_RAM, .count = true, .deterministic = true};

    interp = machine_create(&config);
    config.bt = true;
    bt = machine_create(&config);
    clean = calloc(1, WORLD_RAM);
    model.ram = calloc(1, WORLD_RAM);
    model.is_ram = seg_world_is_ram;
    if (clean == NULL || model.ram == NULL)
        abort();
}

/* Put RAM back, page by page, and tell who cares. */
static void load_ram(uint8_t *ram, struct machine *m)
{
    for (uint32_t at = 0; at < WORLD_RAM; at += PAGE_SIZE) {
        if (memcmp(ram + at, clean + at, PAGE_SIZE) == 0)
            continue;
        memcpy(ram + at, clean + at, PAGE_SIZE);
        if (m != NULL)
            machine_stored(m, at, PAGE_SIZE);
    }
}

static void load_model(void)
{
    const struct vcpu *v = &world.start;
    struct model_cpu *c = &model.cpu;

    *c = (struct model_cpu){.eip = v->eip,
                            .eflags = vcpu_eflags(v),
                            .cpl = v->cpl,
                            .ldtr = v->ldtr,
                            .tr = v->tr,
                            .gdtr = v->gdtr,
                            .idtr = v->idtr,
                            .cr2 = v->cr2,
                            .sysenter_cs = v->sysenter_cs,
                            .sysenter_esp = v->sysenter_esp,
                            .sysenter_eip = v->sysenter_eip};
    memcpy(c->regs, v->regs, sizeof(c->regs));
    memcpy(c->seg, v->seg, sizeof(c->seg));
    model.stop = false;
    model.paging = world.paging;
    model.touched_count = 0;
    memcpy(model.rights, world.rights, sizeof(model.rights));
}

static void load(void)
{
    memcpy(clean, world.image, sizeof(world.image));
    load_ram(machine_ram(interp, 0), interp);
    load_ram(machine_ram(bt, 0), bt);
    load_ram(model.ram, NULL);
    load_model();
    machine_set_vcpu(interp, &world.start);
    machine_set_vcpu(bt, &world.start);
    interp->stats = (struct stats){0};
    bt->stats = (struct stats){0};
}

/* ---- Model and interpreter ---- */

static bool same_segment(const struct segment *a, const struct segment *b)
{
    if (a->selector != b->selector ||
        (a->attr & SEG_UNUSABLE) != (b->attr & SEG_UNUSABLE))
        return false;
    return (a->attr & SEG_UNUSABLE) ||
           (a->base == b->base && a->limit == b->limit && a->attr == b->attr);
}

static const char *cpu_differs(const struct model_cpu *c, const struct vcpu *v)
{
    if (memcmp(c->regs, v->regs, sizeof(c->regs)) != 0)
        return "registers";
    if (c->eip != v->eip || c->cpl != v->cpl)
        return "eip, cpl";
    if (c->eflags != vcpu_eflags(v))
        return "eflags";
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (!same_segment(&c->seg[i], &v->seg[i]))
            return "segments";
    if (!same_segment(&c->ldtr, &v->ldtr) || !same_segment(&c->tr, &v->tr))
        return "ldtr, tr";
    if (c->cr2 != v->cr2)
        return "cr2";
    if (c->mov_ss != (v->inhibit == INHIBIT_MOV_SS))
        return "inhibition";
    return NULL;
}

/* Page tables differ in A and D. */
static const char *ram_differs(void)
{
    static const struct {
        uint32_t at;
        uint32_t end;
    } ranges[] = {
        {0,           WORLD_PD },
        {WORLD_IMAGE, 0xa0000  },
        {0xc0000,     WORLD_RAM}
    };

    for (unsigned i = 0; i < ARRAY_COUNT(ranges); i++)
        if (memcmp(model.ram + ranges[i].at, machine_ram(interp, ranges[i].at),
                   ranges[i].end - ranges[i].at) != 0)
            return "RAM";
    return NULL;
}

/* On a fault, a segment descriptor that was looked at is marked accessed or not.
 * The bit is the interpreter's from then on. */
static void take_over_accessed(void)
{
    for (unsigned i = 0; i < model.touched_count; i++) {
        uint32_t at = model.touched[i] + 5;
        uint8_t *mine = &model.ram[at % WORLD_RAM];
        uint8_t theirs = *machine_ram(interp, at % WORLD_RAM);

        if (seg_world_is_ram(at) && (*mine & SEG_S) &&
            ((*mine ^ theirs) & ~1u) == 0)
            *mine = theirs;
    }
}

static void compare_exc(void)
{
    const struct model_exc *e = &model.exc;
    const struct exc *x = &interp->vcpu.exc;

    if (e->vector != x->vector || e->has_error != x->has_error ||
        (e->has_error && e->error != x->error))
        fail("another exception");
    if (e->fault && e->vector == EXC_PF && e->cr2 != x->cr2)
        fail("another address of a page fault");
    if (e->fault != (x->kind == EXC_KIND_FAULT) || e->eip != x->return_eip)
        fail("another kind of event");
}

static void compare(enum model_end end, bool faulted)
{
    const char *what = NULL;

    if (faulted)
        take_over_accessed();
    if (end == MODEL_SHUTDOWN) {
        if (interp->stop.reason != STOP_SHUTDOWN)
            fail("no shutdown");
        return;
    }
    if (end == MODEL_STOP) {
        if (interp->stop.reason != STOP_UNIMPL ||
            interp->stop.text[0] == '\0' || strchr(interp->stop.text, '\n'))
            fail("no clear stop");
        return;
    }
    if (interp->stop.reason != STOP_NONE)
        fail("stopped");
    what = cpu_differs(&model.cpu, &interp->vcpu);
    if (what == NULL)
        what = ram_differs();
    if (what != NULL)
        fail(what);
}

static void interrupt(struct machine *m)
{
    const struct exc exc = {.kind = EXC_KIND_INTR,
                            .vector = (uint8_t)world.insn.imm,
                            .return_eip = m->vcpu.eip};

    m->vcpu.exc = exc;
    machine_deliver(m);
}

/* The instruction, and the delivery of what it raised. */
static void check_model(void)
{
    enum model_end end = model_step(&model, &world.insn);
    bool is_interrupt = world.insn.op == DO_INTERRUPT;
    enum vcpu_exit exit = VCPU_EXIT_EXC;

    if (!is_interrupt)
        exit = interp_step(interp->interp);
    if (end != MODEL_STOP && (end == MODEL_FAULT) != (exit == VCPU_EXIT_EXC))
        fail("a fault, or none");
    if (end != MODEL_FAULT) {
        compare(end, false);
        return;
    }
    if (is_interrupt) {
        interrupt(interp);
    } else {
        compare_exc();
        compare(end, true);
        machine_deliver(interp);
    }
    end = model_deliver(&model);
    compare(end, true);
}

/* ---- Both engines ---- */

static bool is_stopped(const struct machine *m)
{
    return m->stop.reason != STOP_NONE;
}

static bool is_behind(void)
{
    return interp->vcpu.retired < bt->vcpu.retired ||
           interp->stats.count[STAT_EXCEPTIONS] <
               bt->stats.count[STAT_EXCEPTIONS];
}

static void follow(bool to_end)
{
    enum vcpu_exit exit = VCPU_EXIT_BUDGET;

    for (unsigned i = 0; i < STEPS_MAX && !is_stopped(interp) &&
                         exit != VCPU_EXIT_HLT && (to_end || is_behind());
         i++) {
        exit = interp_step(interp->interp);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(interp);
    }
}

/* Only code of the target's own runs on: random bytes may be a loop. */
static bool is_at_hlt(const struct machine *m)
{
    uint32_t gip = m->vcpu.seg_base[SEG_CS] + m->vcpu.eip;

    return seg_world_is_ram(gip) && *machine_ram(m, gip) == 0xf4;
}

static void check_engines(void)
{
    enum vcpu_exit exit = VCPU_EXIT_BUDGET;
    const char *what = NULL;

    if (world.insn.op == DO_INTERRUPT)
        interrupt(bt);
    for (unsigned i = 0; i < TUS_MAX && what == NULL; i++) {
        if (is_stopped(bt) || exit == VCPU_EXIT_HLT ||
            (!is_at_hlt(bt) && (i > 0 || world.insn.op == DO_INTERRUPT)))
            break;
        exit = bt_run_tu(bt->bt);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(bt);
        follow(exit == VCPU_EXIT_HLT || is_stopped(bt));
        what = machine_differ(bt, interp);
        if (what == NULL && !machine_same_ram(bt, interp, 0, WORLD_PD))
            what = "RAM";
    }
    if (what == NULL &&
        !machine_same_ram(bt, interp, WORLD_IMAGE, WORLD_RAM - WORLD_IMAGE))
        what = "RAM above";
    if (what == NULL)
        what = bt_verify(bt->bt);
    if (what != NULL) {
        fprintf(stderr, "engines: ");
        fail(what);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (interp == NULL)
        create();
    seg_world_make(&world, data, len);
    load();
    check_model();
    check_engines();
    vcpu_reset(&bt->vcpu);
    bt_flush(bt->bt);
    tc_clear(bt->bt->tc);
    return 0;
}
