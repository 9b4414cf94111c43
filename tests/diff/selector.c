/* SPDX-License-Identifier: MIT */
#include "tests/diff/diff.h"

#include <string.h>

/*
 * Selectors for instructions that read one: entries of the GDT that Linux gives
 * a process on x86-64 (arch/x86/kernel/cpu/common.c, which guest.c copies), its
 * empty entries, those of our own LDT, and selectors beyond the limits. TSS,
 * LDT and per-CPU entries are left out: their contents are the host's own.
 */

/* Where an instruction takes its selector from. */
enum source {
    SOURCE_RM,     /* ModRM operand, register or memory */
    SOURCE_MEM,    /* memory, behind the offset */
    SOURCE_IMM,    /* last two bytes of the instruction */
    SOURCE_TOP,    /* top of the stack */
    SOURCE_SECOND, /* the stack, behind EIP */
};

static const struct {
    uint8_t map;
    uint8_t opcode;
    uint8_t reg_mask; /* of ModRM.reg values: bit n for n */
    enum source source;
    bool loads_cs;
} readers[] = {
    {0, 0x8e, 0xff, SOURCE_RM,     false}, /* MOV Sreg */
    {0, 0x07, 0xff, SOURCE_TOP,    false}, /* POP ES */
    {0, 0x17, 0xff, SOURCE_TOP,    false}, /* POP SS */
    {0, 0x1f, 0xff, SOURCE_TOP,    false}, /* POP DS */
    {1, 0xa9, 0xff, SOURCE_TOP,    false}, /* POP GS */
    {0, 0xc4, 0xff, SOURCE_MEM,    false}, /* LES */
    {0, 0xc5, 0xff, SOURCE_MEM,    false}, /* LDS */
    {1, 0xb2, 0xff, SOURCE_MEM,    false}, /* LSS */
    {1, 0xb5, 0xff, SOURCE_MEM,    false}, /* LGS */
    {1, 0x00, 0x30, SOURCE_RM,     false}, /* VERR, VERW */
    {1, 0x02, 0xff, SOURCE_RM,     false}, /* LAR */
    {1, 0x03, 0xff, SOURCE_RM,     false}, /* LSL */
    {0, 0x9a, 0xff, SOURCE_IMM,    true }, /* CALL far */
    {0, 0xea, 0xff, SOURCE_IMM,    true }, /* JMP far */
    {0, 0xff, 0x28, SOURCE_MEM,    true }, /* CALL, JMP far */
    {0, 0xca, 0xff, SOURCE_SECOND, true },
    {0, 0xcb, 0xff, SOURCE_SECOND, true },
    {0, 0xcf, 0xff, SOURCE_SECOND, true }, /* IRET */
};

static uint16_t draw_selector(struct diff_random *random, bool loads_cs)
{
    static const uint16_t selectors[] = {
        0x00, 0x02, 0x03, 0x08, 0x0b, 0x10,   0x13,   0x18,   0x1b,
        0x20, 0x21, 0x28, 0x2a, 0x38, 0x3b,   0x04,   0x07,   0x0f,
        0x17, 0x1f, 0x24, 0x80, 0x83, 0x1234, 0xfff8, 0xffff,
    };
    static const uint16_t good[] = {0x23, 0x2b, 0x33};

    if (random_one_in(random, 4))
        return selectors[random_below(random, ARRAY_COUNT(selectors))];
    if (loads_cs) /* 33h would go to 64-bit code */
        return random_one_in(random, 8) ? DIFF_DS : DIFF_CS;
    return good[random_below(random, ARRAY_COUNT(good))];
}

static void put_selector(struct diff_case *test, enum source source,
                         uint16_t selector)
{
    struct insn *in = &test->insn;
    uint32_t *regs = test->before.regs;
    unsigned size = in->operand_size;

    switch (source) {
    case SOURCE_RM:
        if (in->has_mem)
            memcpy(test->operand.bytes, &selector, 2);
        else
            memcpy(&regs[in->modrm & 7], &selector, 2);
        break;
    case SOURCE_MEM: memcpy(test->operand.bytes + size, &selector, 2); break;
    case SOURCE_IMM:
        memcpy(in->bytes + in->len - 2, &selector, 2);
        in->imm2 = selector;
        break;
    case SOURCE_TOP: memcpy(test->stack.bytes, &selector, 2); break;
    case SOURCE_SECOND: memcpy(test->stack.bytes + size, &selector, 2); break;
    }
}

void case_fill_selector(struct diff_case *test, struct diff_random *random)
{
    const struct insn *in = &test->insn;

    for (size_t i = 0; i < ARRAY_COUNT(readers); i++)
        if (readers[i].map == in->map && readers[i].opcode == in->opcode &&
            readers[i].reg_mask >> (in->modrm >> 3 & 7) & 1)
            put_selector(test, readers[i].source,
                         draw_selector(random, readers[i].loads_cs));
}

/* An unpatched selector is as it was in memory: a host program must not leave
 * for 64-bit code, nor read what is the host's own. */
bool case_has_wild_selector(const struct diff_case *test)
{
    const struct insn *in = &test->insn;

    for (size_t i = 0; i < ARRAY_COUNT(readers); i++)
        if (readers[i].map == in->map && readers[i].opcode == in->opcode &&
            readers[i].reg_mask >> (in->modrm >> 3 & 7) & 1)
            return (in->has_mem && test->operand.address == 0) ||
                   (in->has_mem && region_of(test->operand.address) < 0);
    return false;
}
