/* SPDX-License-Identifier: MIT */
#include "tests/machine/system.h"

#include <string.h>

#define GATE 0xee00u /* 32-bit interrupt gate, DPL 3 */

void put32(uint8_t *ram, uint32_t at, uint32_t value)
{
    memcpy(ram + at, &value, sizeof(value));
}

uint32_t get32(const uint8_t *ram, uint32_t at)
{
    uint32_t value;

    memcpy(&value, ram + at, sizeof(value));
    return value;
}

/* Code keeps to the limit, data to what is below or behind it. */
static void set_limits(struct segment s[DESCRIPTORS],
                       const struct system *system)
{
    for (unsigned i = KCODE; i < DESCRIPTORS; i++) {
        bool code = s[i].attr & SEG_CODE;

        if (!system->limit || i == TASK || (system->down && code))
            continue;
        s[i].limit = system->limit;
        if (system->down)
            s[i].attr |= SEG_DOWN;
    }
}

static void make_segments(struct segment s[DESCRIPTORS],
                          const struct system *system)
{
    const uint32_t flat =
        SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB | SEG_G;

    for (unsigned i = KCODE; i < DESCRIPTORS; i++)
        s[i] = (struct segment){
            .limit = UINT32_MAX, .attr = flat, .selector = (uint16_t)(i * 8)};
    s[KCODE].attr |= SEG_CODE;
    s[UCODE].attr |= SEG_CODE | SEG_DPL;
    s[UDATA].attr |= SEG_DPL;
    s[FSDATA].attr |= SEG_DPL;
    s[UCODE].selector |= 3;
    s[UDATA].selector |= 3;
    s[FSDATA].selector |= 3;
    s[FSDATA].base = system->fs_base;
    s[TASK] = (struct segment){.base = SYSTEM_TSS,
                               .limit = 0x67,
                               .attr = SEG_P | 0xb,
                               .selector = TASK * 8};
    set_limits(s, system);
}

static void put_descriptor(uint8_t *ram, unsigned index,
                           const struct segment *s)
{
    uint32_t limit = s->attr & SEG_G ? s->limit >> 12 : s->limit;

    put32(ram, SYSTEM_GDT + index * 8, (limit & 0xffff) | s->base << 16);
    put32(ram, SYSTEM_GDT + index * 8 + 4,
          (s->base >> 16 & 0xff) | (s->attr & 0xf0ff) << 8 | (limit & 0xf0000) |
              (s->base & 0xff000000));
}

void system_put_gate(uint8_t *ram, unsigned vector, uint32_t handler)
{
    put32(ram, SYSTEM_IDT + vector * 8,
          (uint32_t)KCODE * 8 << 16 | (handler & 0xffff));
    put32(ram, SYSTEM_IDT + vector * 8 + 4, (handler & 0xffff0000) | GATE);
}

void system_put(uint8_t *ram, const struct system *system)
{
    struct segment s[DESCRIPTORS];

    make_segments(s, system);
    for (unsigned i = KCODE; i < DESCRIPTORS; i++)
        put_descriptor(ram, i, &s[i]);
    for (unsigned i = 0; i < 256; i++)
        system_put_gate(ram, i, system->handler);
    put32(ram, SYSTEM_TSS + 4, system->kernel_stack);
    put32(ram, SYSTEM_TSS + 8, KDATA * 8);
}

void system_enter(struct vcpu *v, const struct system *system, bool user)
{
    const uint16_t fcw = 0x37f;
    struct segment s[DESCRIPTORS];

    make_segments(s, system);
    vcpu_reset(v);
    memcpy(v->fpu, &fcw, sizeof(fcw));
    v->cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_WP;
    v->cr4 = CR4_OSFXSR;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(v, i, &s[user ? UDATA : KDATA]);
    vcpu_set_seg(v, SEG_CS, &s[user ? UCODE : KCODE]);
    vcpu_set_seg(v, SEG_FS, &s[FSDATA]);
    v->tr = s[TASK];
    v->gdtr =
        (struct table_reg){.base = SYSTEM_GDT, .limit = DESCRIPTORS * 8 - 1};
    v->idtr = (struct table_reg){.base = SYSTEM_IDT, .limit = 0x7ff};
    v->cpl = user ? 3 : 0;
    vcpu_set_eflags(v, user ? FLAG_IOPL : 0);
}
