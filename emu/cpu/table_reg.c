/* SPDX-License-Identifier: MIT */
#include "emu/cpu/descriptor.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"
#include "emu/cpu/system.h"

/*
 * GDTR, IDTR, LDTR and TR. The stores are unprivileged (unless CR4.UMIP): a
 * program sees the kernel's values.
 */

struct pseudo_descriptor {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

/* A 16-bit operand size loads 24 bits of base (SDM 2A "LGDT/LIDT"). */
static enum step load_table(struct interp *interp, const struct insn *in,
                            struct table_reg *table)
{
    struct pseudo_descriptor raw;

    if (!in->has_mem)
        return step_fault(interp, EXC_UD);
    if (!require_cpl0(interp) ||
        !mem_read(interp, operand_seg(in), operand_address(interp, in), &raw,
                  sizeof(raw)))
        return STEP_FAULT;
    table->limit = raw.limit;
    table->base = in->operand_size == 2 ? raw.base & 0xffffff : raw.base;
    return STEP_NEXT;
}

/* All 32 bits of base are stored whatever the operand size (SDM 2B "SGDT"). */
static enum step store_table(struct interp *interp, const struct insn *in,
                             const struct table_reg *table)
{
    struct pseudo_descriptor raw = {.limit = (uint16_t)table->limit,
                                    .base = table->base};

    if (!in->has_mem)
        return step_fault(interp, EXC_UD);
    if (!umip_allows(interp) ||
        !mem_write(interp, operand_seg(in), operand_address(interp, in), &raw,
                   sizeof(raw)))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_lgdt(struct interp *interp, const struct insn *in)
{
    return load_table(interp, in, &interp->vcpu->gdtr);
}

enum step interp_lidt(struct interp *interp, const struct insn *in)
{
    return load_table(interp, in, &interp->vcpu->idtr);
}

enum step interp_sgdt(struct interp *interp, const struct insn *in)
{
    return store_table(interp, in, &interp->vcpu->gdtr);
}

enum step interp_sidt(struct interp *interp, const struct insn *in)
{
    return store_table(interp, in, &interp->vcpu->idtr);
}

/* Read the system descriptor that LLDT or LTR names: in the GDT, of the type
 * (bits of mask ignored), present. */
static bool fetch_system(struct interp *interp, uint16_t selector,
                         unsigned type, unsigned mask, struct descriptor *d)
{
    if (selector & SELECTOR_LDT)
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_fetch(interp, selector, EXC_GP, d))
        return false;
    if (descriptor_is_segment(d) || (descriptor_type(d) & ~mask) != type)
        return selector_fault(interp, EXC_GP, selector);
    if (!descriptor_is_present(d))
        return selector_fault(interp, EXC_NP, selector);
    return true;
}

enum step interp_lldt(struct interp *interp, const struct insn *in)
{
    struct segment ldt = {.attr = SEG_UNUSABLE};
    struct descriptor d;
    uint32_t value;

    if (!require_cpl0(interp) || !operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    ldt.selector = (uint16_t)value;
    if (!selector_is_null(ldt.selector)) {
        if (!fetch_system(interp, ldt.selector, SYS_LDT, 0, &d))
            return STEP_FAULT;
        ldt = descriptor_segment(&d);
    }
    interp->vcpu->ldtr = ldt;
    return STEP_NEXT;
}

/* The TSS must be available and becomes busy: bit 1 of its type. */
enum step interp_ltr(struct interp *interp, const struct insn *in)
{
    struct descriptor d;
    uint32_t value;

    if (!require_cpl0(interp) || !operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    if (selector_is_null((uint16_t)value))
        return step_gp0(interp);
    if (!fetch_system(interp, (uint16_t)value, SYS_TSS16, SYS_TSS32 ^ SYS_TSS16,
                      &d) ||
        !descriptor_mark(interp, &d, SYS_TSS16_BUSY ^ SYS_TSS16))
        return STEP_FAULT;
    interp->vcpu->tr = descriptor_segment(&d);
    return STEP_NEXT;
}

static enum step store_selector(struct interp *interp, const struct insn *in,
                                uint16_t selector)
{
    if (!umip_allows(interp) || !operand_write(interp, in, 0, selector))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_sldt(struct interp *interp, const struct insn *in)
{
    return store_selector(interp, in, interp->vcpu->ldtr.selector);
}

enum step interp_str(struct interp *interp, const struct insn *in)
{
    return store_selector(interp, in, interp->vcpu->tr.selector);
}
