/* SPDX-License-Identifier: MIT */
#include "tests/machine/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/cpu/segment.h"

/* A fuzz target has no Check. */
static void must(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "machine: %s\n", strerror(-error));
    abort();
}

/* ---- What the interpreter asks for ---- */

static struct host_page page(void *opaque, gfn_t gfn)
{
    struct machine *m = opaque;
    struct host_page p = {0};

    p.writable = gmem_lookup(m->gmem, gfn, &p.hva, NULL) == GMEM_RAM;
    return p;
}

/* A REP of them may go on for four billion iterations. */
static void count_outside(struct machine *m)
{
    m->outside++;
    if (m->config.outside_max && m->outside >= m->config.outside_max)
        m->vcpu.kick = 1;
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    (void)gpa, (void)size;
    count_outside(opaque);
    return UINT64_MAX;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t value)
{
    (void)gpa, (void)size, (void)value;
    count_outside(opaque);
}

static uint32_t port_in(void *opaque, uint16_t port, unsigned size)
{
    struct machine *m = opaque;

    (void)size;
    count_outside(m);
    return m->config.port_in ? m->config.port_in(m, port) : 0;
}

static void port_out(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    (void)port, (void)size, (void)value;
    count_outside(opaque);
}

static uint64_t tsc(void *opaque)
{
    (void)opaque;
    return 0;
}

static void ram_stored(void *opaque, gpa_t gpa, unsigned len)
{
    struct machine *m = opaque;

    if (m->bt)
        mmu_ram_stored(m->bt->mmu, gpa, len);
}

static void flushed_page(void *opaque, gva_t gva)
{
    struct machine *m = opaque;

    if (m->bt)
        bt_tlb_flushed_page(m->bt, gva);
}

static void flushed(void *opaque, bool globals_too)
{
    struct machine *m = opaque;

    if (m->bt)
        bt_tlb_flushed(m->bt, globals_too);
}

/* ---- Life ---- */

static void create_interp(struct machine *m)
{
    const struct interp_host host = {
        .opaque = m,
        .page = page,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .port_in = port_in,
        .port_out = port_out,
        .tsc = tsc,
        .ram_stored = ram_stored,
        .tlb_flushed_page = flushed_page,
        .tlb_flushed = flushed,
        .frame_flags = gmem_frame_flags(m->gmem),
        .frame_count = gmem_frame_count(m->gmem),
        .features = UINT32_MAX,
        .deterministic = m->config.deterministic,
        .host_flags = true,
    };

    must(interp_create(&m->interp, &m->vcpu, &host));
}

static void create_bt(struct machine *m)
{
    const struct bt_config config = {
        .vcpu = &m->vcpu,
        .interp = m->interp,
        .gmem = m->gmem,
        .tc_len = m->config.tc_len ? m->config.tc_len : TC_MIN_LEN,
        .features = UINT32_MAX,
        .count = m->config.count,
        .deterministic = true, /* RDTSC is the interpreter's */
        .soft_mode = m->config.soft_mode,
        .no_bmi2 = m->config.no_bmi2,
        .off = m->config.off,
    };

    must(bt_create(&config, &m->bt));
    m->bt->quick_loss = 0;
}

struct machine *machine_create(const struct machine_config *config)
{
    struct machine *m = aligned_alloc(64, (sizeof(*m) + 63) & ~63ul);

    must(m ? 0 : -ENOMEM);
    memset(m, 0, sizeof(*m));
    m->config = *config;
    must(gmem_create(&m->gmem, config->ram_len));
    m->vcpu.stats = &m->stats;
    m->vcpu.stop = &m->stop;
    vcpu_reset(&m->vcpu);
    create_interp(m);
    if (config->bt)
        create_bt(m);
    return m;
}

void machine_destroy(struct machine *m)
{
    if (m->bt)
        bt_destroy(m->bt);
    interp_destroy(m->interp);
    gmem_destroy(m->gmem);
    free(m);
}

uint8_t *machine_ram(const struct machine *m, uint32_t gpa)
{
    return gmem_base(m->gmem) + gpa;
}

/* ---- Running ---- */

bool machine_is_stopped(const struct machine *m)
{
    return m->stop.reason != STOP_NONE;
}

uint64_t machine_exceptions(const struct machine *m)
{
    return m->stats.count[STAT_EXCEPTIONS];
}

void machine_deliver(struct machine *m)
{
    const struct exc exc = m->vcpu.exc;

    exc_deliver(m->interp, &exc);
}

/* An interrupt is to be delivered, which nobody does here. */
static bool is_interrupted(const struct vcpu *v)
{
    return v->irq_line && v->if_flag && v->inhibit == INHIBIT_NONE;
}

static enum vcpu_exit run_interp(struct machine *m, uint64_t end)
{
    m->vcpu.kick = 0;
    if (m->vcpu.retired >= end)
        return VCPU_EXIT_BUDGET;
    return interp_run(m->interp, end - m->vcpu.retired);
}

enum vcpu_exit machine_run(struct machine *m, uint64_t max)
{
    uint64_t end = m->vcpu.retired + max;
    enum vcpu_exit exit;

    if (end < max)
        end = UINT64_MAX;
    for (;;) {
        exit = m->bt ? bt_run(m->bt) : run_interp(m, end);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(m);
        else if (m->bt || exit != VCPU_EXIT_INTR || is_interrupted(&m->vcpu))
            break;
        if (machine_is_stopped(m))
            break;
    }
    return machine_is_stopped(m) ? VCPU_EXIT_STOP : exit;
}

void machine_set_vcpu(struct machine *m, const struct vcpu *state)
{
    struct vcpu v = *state;

    v.bt = m->vcpu.bt;
    v.stop = m->vcpu.stop;
    v.stats = m->vcpu.stats;
    v.kick = 0;
    memcpy(v.soft_tlb, m->vcpu.soft_tlb, sizeof(v.soft_tlb));
    m->stop.reason = STOP_NONE;
    m->vcpu = v;
    interp_flush_tlb(m->interp);
    if (!m->bt)
        return;
    /* CR3 first: the flush is of the window that it selects. */
    bt_tlb_flushed(m->bt, false);
    bt_tlb_flushed(m->bt, true);
}

void machine_stored(struct machine *m, uint32_t gpa, uint32_t len)
{
    if (m->bt)
        mmu_ram_stored(m->bt->mmu, gpa, len);
}

/* ---- Comparing ---- */

/* FOP, FIP and FDP are not compared. */
static bool same_fpu(const uint8_t *x, const uint8_t *y)
{
    return !memcmp(x, y, 6) && !memcmp(x + 24, y + 24, 512 - 24);
}

static bool same_control(const struct vcpu *v, const struct vcpu *w)
{
    return v->cr0 == w->cr0 && v->cr2 == w->cr2 && v->cr3 == w->cr3 &&
           v->cr4 == w->cr4 && v->efer == w->efer &&
           !memcmp(v->pdpte, w->pdpte, sizeof(v->pdpte)) &&
           !memcmp(v->dr, w->dr, sizeof(v->dr));
}

static bool same_segments(const struct vcpu *v, const struct vcpu *w)
{
    return v->cpl == w->cpl && !memcmp(v->seg, w->seg, sizeof(v->seg)) &&
           !memcmp(&v->ldtr, &w->ldtr, sizeof(v->ldtr)) &&
           !memcmp(&v->tr, &w->tr, sizeof(v->tr)) &&
           !memcmp(&v->gdtr, &w->gdtr, sizeof(v->gdtr)) &&
           !memcmp(&v->idtr, &w->idtr, sizeof(v->idtr));
}

const char *machine_differ(const struct machine *a, const struct machine *b)
{
    const struct vcpu *v = &a->vcpu;
    const struct vcpu *w = &b->vcpu;

    if (a->stop.reason != b->stop.reason)
        return "stop reason";
    if (a->config.count && b->config.count && v->retired != w->retired)
        return "retired count";
    if (v->eip != w->eip)
        return "eip";
    if (memcmp(v->regs, w->regs, sizeof(v->regs)) != 0)
        return "registers";
    if (vcpu_eflags(v) != vcpu_eflags(w))
        return "eflags";
    if (!same_segments(v, w))
        return "segments";
    if (!same_control(v, w))
        return "control registers";
    if (!same_fpu(v->fpu, w->fpu))
        return "FPU";
    return NULL;
}

bool machine_same_ram(const struct machine *a, const struct machine *b,
                      uint32_t gpa, uint32_t len)
{
    return memcmp(machine_ram(a, gpa), machine_ram(b, gpa), len) == 0;
}
