/* SPDX-License-Identifier: MIT */
#include "tests/unit/emu_cpu/machine.h"

#include <stdlib.h>
#include <string.h>

static struct host_page page(void *opaque, gfn_t gfn)
{
    struct machine *m = opaque;
    gpa_t gpa = gfn << PAGE_SHIFT;

    if (gpa >= MACHINE_RAM)
        return (struct host_page){.hva = NULL};
    return (struct host_page){.hva = m->ram + gpa,
                              .writable = gpa != MACHINE_ROM};
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    struct machine *m = opaque;

    m->mmio_gpa = gpa;
    m->mmio_size = size;
    return m->mmio_value;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t value)
{
    struct machine *m = opaque;

    m->mmio_gpa = gpa;
    m->mmio_size = size;
    m->mmio_value = value;
}

static void note_port(struct machine *m, uint16_t port)
{
    m->port = port;
    m->port_count++;
    if (m->kick_on_port)
        m->vcpu.kick = 1;
}

static uint32_t port_in(void *opaque, uint16_t port, unsigned size)
{
    struct machine *m = opaque;

    (void)size;
    note_port(m, port);
    return m->port_value;
}

static void port_out(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    struct machine *m = opaque;

    (void)size;
    note_port(m, port);
    m->port_value = value;
}

static void set_ferr(void *opaque, bool level)
{
    struct machine *m = opaque;

    m->ferr_on_pin = level;
}

static uint64_t tsc(void *opaque)
{
    (void)opaque;
    return 0;
}

static void ram_stored(void *opaque, gpa_t gpa, unsigned len)
{
    struct machine *m = opaque;

    m->stored_gpa = gpa;
    m->stored_len = len;
    m->stored_count++;
}

static void flushed_page(void *opaque, gva_t gva)
{
    (void)opaque;
    (void)gva;
}

static void flushed(void *opaque, bool globals_too)
{
    (void)opaque;
    (void)globals_too;
}

static void set_flat(struct vcpu *vcpu, unsigned cpl)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        struct segment segment = {.limit = 0xffffffff,
                                  .attr = SEG_P | SEG_S | SEG_DB | SEG_G |
                                          SEG_WRITABLE | SEG_ACCESSED |
                                          cpl << SEG_DPL_SHIFT,
                                  .selector = (uint16_t)(0x10 + i * 8 + cpl)};

        if (i == SEG_CS)
            segment.attr |= SEG_CODE;
        vcpu_set_seg(vcpu, i, &segment);
    }
    vcpu->cpl = (uint8_t)cpl;
}

struct machine *machine_create(void)
{
    struct machine *m = calloc(1, sizeof(*m));
    struct interp_host host = {.opaque = m,
                               .page = page,
                               .mmio_read = mmio_read,
                               .mmio_write = mmio_write,
                               .port_in = port_in,
                               .port_out = port_out,
                               .set_ferr = set_ferr,
                               .tsc = tsc,
                               .ram_stored = ram_stored,
                               .tlb_flushed_page = flushed_page,
                               .tlb_flushed = flushed,
                               .features = BIT(FEAT_COUNT) - 1};

    ENSURE(m != NULL);
    m->ram = aligned_alloc(PAGE_SIZE, MACHINE_RAM);
    ENSURE(m->ram != NULL);
    memset(m->ram, 0, MACHINE_RAM);
    host.frame_flags = m->flags;
    host.frame_count = ARRAY_COUNT(m->flags);
    m->vcpu.stop = &m->stop;
    m->vcpu.stats = &m->stats;
    vcpu_reset(&m->vcpu);
    m->vcpu.cr0 = CR0_PE | CR0_ET | CR0_NE;
    set_flat(&m->vcpu, 0);
    m->vcpu.eip = MACHINE_CODE;
    m->vcpu.regs[REG_ESP] = MACHINE_STACK;
    ENSURE(interp_create(&m->interp, &m->vcpu, &host) == 0);
    return m;
}

void machine_destroy(struct machine *m)
{
    interp_destroy(m->interp);
    free(m->ram);
    free(m);
}

void machine_put(struct machine *m, uint32_t gpa, const void *bytes, size_t len)
{
    memcpy(m->ram + gpa, bytes, len);
}

void machine_put32(struct machine *m, uint32_t gpa, uint32_t value)
{
    machine_put(m, gpa, &value, sizeof(value));
}

void machine_put64(struct machine *m, uint32_t gpa, uint64_t value)
{
    machine_put(m, gpa, &value, sizeof(value));
}

uint32_t machine_get32(const struct machine *m, uint32_t gpa)
{
    uint32_t value;

    memcpy(&value, m->ram + gpa, sizeof(value));
    return value;
}

enum vcpu_exit machine_exec(struct machine *m, const char *bytes, size_t len)
{
    machine_put(m, m->vcpu.eip, bytes, len);
    return interp_step(m->interp);
}

void machine_user(struct machine *m)
{
    set_flat(&m->vcpu, 3);
}
