/* SPDX-License-Identifier: MIT */
#include "tests/unit/emu_cpu/protected.h"

#include <string.h>

#define FLAT      (SEG_P | SEG_S | SEG_DB | SEG_G)
#define DPL(n)    ((n) << SEG_DPL_SHIFT)
#define WRITABLE  (FLAT | SEG_WRITABLE)
#define READABLE  (FLAT | SEG_CODE | SEG_WRITABLE)
#define TSS_LIMIT 0x67u

uint64_t make_descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
    uint32_t lo = base << 16 | (limit & 0xffff);
    uint32_t hi = (base & 0xff000000) | (limit & 0xf0000) |
                  (attr & 0xf0ff) << 8 | (base >> 16 & 0xff);

    return (uint64_t)hi << 32 | lo;
}

uint64_t make_gate(uint16_t selector, uint32_t offset, unsigned type,
                   unsigned dpl)
{
    uint32_t lo = (uint32_t)selector << 16 | (offset & 0xffff);
    uint32_t hi = (offset & 0xffff0000) | (SEG_P | DPL(dpl) | type) << 8;

    return (uint64_t)hi << 32 | lo;
}

static uint32_t descriptor_at(uint16_t selector)
{
    return (selector & SELECTOR_LDT ? LDT_BASE : GDT_BASE) + (selector & ~7u);
}

void put_descriptor(struct machine *m, uint16_t selector, uint64_t descriptor)
{
    machine_put64(m, descriptor_at(selector), descriptor);
}

void put_idt(struct machine *m, unsigned vector, uint64_t gate)
{
    machine_put64(m, IDT_BASE + vector * 8, gate);
}

uint32_t descriptor_hi(const struct machine *m, uint16_t selector)
{
    return machine_get32(m, descriptor_at(selector) + 4);
}

static void put_flat(struct machine *m, uint16_t selector, uint32_t attr)
{
    put_descriptor(m, selector, make_descriptor(0, 0xfffff, attr));
}

static void put_gdt(struct machine *m)
{
    put_flat(m, K_CODE, READABLE);
    put_flat(m, K_DATA, WRITABLE);
    put_flat(m, U_CODE, READABLE | DPL(3));
    put_flat(m, U_DATA, WRITABLE | DPL(3));
    put_flat(m, CONFORMING, READABLE | SEG_DOWN);
    put_flat(m, R1_CODE, READABLE | DPL(1));
    put_flat(m, R1_DATA, WRITABLE | DPL(1));
    put_flat(m, READ_ONLY, FLAT | DPL(3));
    put_flat(m, EXECUTE_ONLY, FLAT | SEG_CODE | DPL(3));
    put_flat(m, NP_DATA, (WRITABLE | DPL(3)) & ~SEG_P);
    put_flat(m, NP_CODE, READABLE & ~SEG_P);
    put_flat(m, U_CONFORMING, READABLE | SEG_DOWN | DPL(3));
    put_flat(m, K_DATA16, WRITABLE & ~SEG_DB);
    put_flat(m, U_DATA16, (WRITABLE | DPL(3)) & ~SEG_DB);
    put_descriptor(m, SMALL_CODE, make_descriptor(0, 0xfff, READABLE & ~SEG_G));
    put_descriptor(m, LDT, make_descriptor(LDT_BASE, 0xf, SEG_P | SYS_LDT));
    put_descriptor(m, TSS,
                   make_descriptor(TSS_BASE, TSS_LIMIT, SEG_P | SYS_TSS32));
    put_descriptor(m, TSS2, make_descriptor(TSS16_AT, 0x2b, SEG_P | SYS_TSS16));
    put_descriptor(m, GATE, make_gate(K_CODE, TARGET, SYS_CALL_GATE32, 3));
    put_descriptor(m, TASK_GATE, make_gate(TSS2, 0, SYS_TASK_GATE, 3));
    put_flat(m, 0x04, WRITABLE | DPL(3)); /* first of the LDT */
}

static void load_system_segment(struct machine *m, struct segment *segment,
                                uint16_t selector)
{
    struct descriptor d = {.lo = machine_get32(m, descriptor_at(selector)),
                           .hi = machine_get32(m, descriptor_at(selector) + 4),
                           .selector = selector};

    *segment = descriptor_segment(&d);
}

struct machine *protected_create(void)
{
    struct machine *m = machine_create();

    put_gdt(m);
    m->vcpu.gdtr = (struct table_reg){.base = GDT_BASE, .limit = GDT_LIMIT};
    m->vcpu.idtr = (struct table_reg){.base = IDT_BASE, .limit = 0x7ff};
    for (unsigned i = 0; i < 32; i++)
        put_idt(m, i, make_gate(K_CODE, HANDLER + i * 16, SYS_INT_GATE32, 0));
    machine_put32(m, TSS_BASE + 4, STACK0);
    machine_put32(m, TSS_BASE + 8, K_DATA);
    machine_put32(m, TSS_BASE + 12, STACK1);
    machine_put32(m, TSS_BASE + 16, R1_DATA);
    load_system_segment(m, &m->vcpu.tr, TSS);
    load_system_segment(m, &m->vcpu.ldtr, LDT);
    set_level(m, 0);
    return m;
}

void force_segment(struct machine *m, enum seg seg, uint16_t selector)
{
    struct segment segment;

    load_system_segment(m, &segment, selector);
    vcpu_set_seg(&m->vcpu, seg, &segment);
}

void set_level(struct machine *m, unsigned cpl)
{
    uint16_t code = cpl == 0 ? K_CODE : cpl == 1 ? R1_CODE : U_CODE;
    uint16_t data = cpl == 0 ? K_DATA : cpl == 1 ? R1_DATA : U_DATA;

    force_segment(m, SEG_CS, code);
    force_segment(m, SEG_SS, data);
    force_segment(m, SEG_DS, data);
    force_segment(m, SEG_ES, data);
    m->vcpu.cpl = (uint8_t)cpl;
}

/* ---- Stacks with exact room ---- */

#define STACK_MIDDLE 0x800u
#define STACK_AROUND 0x100u
#define STACK_FILL   0xee
#define STACK_SPAN   (0x1000u + 2 * STACK_AROUND)

static const uint32_t stack_begin = MACHINE_DATA - STACK_AROUND;

void put_stack(struct machine *m, bool is_inner, enum room room, uint32_t len,
               bool is_short)
{
    uint32_t attr =
        SEG_P | SEG_S | SEG_WRITABLE | SEG_DB | DPL(is_inner ? 0u : 3u);
    uint32_t limit = 0xfff;
    uint32_t esp = STACK_MIDDLE;

    memset(m->ram + stack_begin, STACK_FILL, STACK_SPAN);
    switch (room) {
    case ROOM_DOWN_TO_0: esp = len - is_short; break;
    case ROOM_UP_TO_LIMIT: limit = esp - 1 - is_short; break;
    default:
        attr |= SEG_DOWN;
        limit = esp - len - 1 + is_short;
        break;
    }
    put_descriptor(m, SPARE, make_descriptor(MACHINE_DATA, limit, attr));
    set_level(m, 3);
    m->vcpu.regs[REG_ESP] = MACHINE_STACK;
    if (is_inner) {
        machine_put32(m, TSS_BASE + 4, esp);
        machine_put32(m, TSS_BASE + 8, SPARE);
    } else {
        force_segment(m, SEG_SS, SPARE | 3);
        m->vcpu.regs[REG_ESP] = esp;
    }
}

void ck_stack_is_full(const struct machine *m, bool is_inner, enum room room,
                      uint32_t len)
{
    ck_assert_uint_eq(m->vcpu.seg[SEG_SS].selector,
                      is_inner ? SPARE : SPARE | 3);
    ck_assert_uint_eq(m->vcpu.regs[REG_ESP],
                      room == ROOM_DOWN_TO_0 ? 0 : STACK_MIDDLE - len);
}

bool is_stack_untouched(const struct machine *m)
{
    for (uint32_t i = 0; i < STACK_SPAN; i++)
        if (m->ram[stack_begin + i] != STACK_FILL)
            return false;
    return true;
}
