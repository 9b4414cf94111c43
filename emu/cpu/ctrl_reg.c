/* SPDX-License-Identifier: MIT */
#include "emu/cpu/descriptor.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"
#include "emu/cpu/system.h"
#include "emu/cpu/walk.h"

/*
 * Control and debug registers: MOV, LMSW, SMSW, CLTS, INVLPG (SDM 3A 2.5
 * "Control Registers", SDM 2B "MOV - Move to/from Control Registers").
 *
 * A write is checked whole before anything changes. Whatever can change a
 * translation drops all of them; the manual asks for no more in any case.
 */

#define CR0_DEFINED                                                          \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | \
     CR0_NW | CR0_CD | CR0_PG)
#define CR0_PAGING   (CR0_PE | CR0_WP | CR0_PG)
#define CR4_PAGING   (CR4_PSE | CR4_PAE | CR4_PGE)
#define CR0_LMSW     (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define PDPTE_IN_CR0 (CR0_PG | CR0_CD | CR0_NW)
#define PDPTE_IN_CR4 (CR4_PAE | CR4_PGE | CR4_PSE)

void paging_mode_changed(struct interp *interp)
{
    tlb_flush_all(interp);
    interp->host.tlb_flushed(interp->host.opaque, true);
}

static bool is_pae_paging(uint32_t cr0, uint32_t cr4)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE);
}

/* Bits outside of CR0_DEFINED are ignored, ET is wired to one. */
static enum step write_cr0(struct interp *interp, uint32_t value)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t changed;

    value = (value & CR0_DEFINED) | CR0_ET;
    changed = value ^ vcpu->cr0;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return step_gp0(interp);
    if ((value & CR0_NW) && !(value & CR0_CD))
        return step_gp0(interp);
    if (!(value & CR0_PE)) {
        not_modelled(interp, "a return to real mode");
        return STEP_STOP;
    }
    if (is_pae_paging(value, vcpu->cr4) && (changed & PDPTE_IN_CR0) &&
        !walk_load_pdptes(interp, vcpu->cr3))
        return step_gp0(interp);
    vcpu->cr0 = value;
    if (changed & CR0_PAGING)
        paging_mode_changed(interp);
    return STEP_NEXT;
}

static enum step write_cr3(struct interp *interp, uint32_t value)
{
    struct vcpu *vcpu = interp->vcpu;

    if (is_pae_paging(vcpu->cr0, vcpu->cr4) && !walk_load_pdptes(interp, value))
        return step_gp0(interp);
    vcpu->cr3 = value;
    tlb_flush_non_global(interp);
    interp->host.tlb_flushed(interp->host.opaque, false);
    return STEP_NEXT;
}

static enum step write_cr4(struct interp *interp, uint32_t value)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t changed = value ^ vcpu->cr4;

    if (value & ~cpuid_cr4_mask(interp))
        return step_gp0(interp);
    if (is_pae_paging(vcpu->cr0, value) && (changed & PDPTE_IN_CR4) &&
        !walk_load_pdptes(interp, vcpu->cr3))
        return step_gp0(interp);
    vcpu->cr4 = value;
    if (changed & CR4_PAGING)
        paging_mode_changed(interp);
    return STEP_NEXT;
}

static enum step write_cr(struct interp *interp, unsigned index, uint32_t value)
{
    switch (index) {
    case 0: return write_cr0(interp, value);
    case 2: interp->vcpu->cr2 = value; return STEP_NEXT;
    case 3: return write_cr3(interp, value);
    case 4: return write_cr4(interp, value);
    default: return step_fault(interp, EXC_UD);
    }
}

enum step interp_mov_cr(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    const uint32_t *const regs[] = {&vcpu->cr0, NULL, &vcpu->cr2, &vcpu->cr3,
                                    &vcpu->cr4};
    bool is_write = in->operand[0].kind == OPERAND_CR;
    unsigned cr = in->operand[is_write ? 0 : 1].index;
    unsigned reg = in->operand[is_write ? 1 : 0].index;

    if (cr >= ARRAY_COUNT(regs) || regs[cr] == NULL)
        return step_fault(interp, EXC_UD);
    if (!require_cpl0(interp))
        return STEP_FAULT;
    if (is_write)
        return write_cr(interp, cr, vcpu->regs[reg]);
    vcpu->regs[reg] = *regs[cr];
    return STEP_NEXT;
}

/* LMSW cannot clear PE. */
enum step interp_lmsw(struct interp *interp, const struct insn *in)
{
    uint32_t cr0 = interp->vcpu->cr0;
    uint32_t value;

    if (!require_cpl0(interp) || !operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    value = (value & CR0_LMSW) | (cr0 & CR0_PE);
    return write_cr0(interp, (cr0 & ~(uint32_t)CR0_LMSW) | value);
}

/* A 32-bit register takes all of CR0, as every CPU since the 486 does it. */
enum step interp_smsw(struct interp *interp, const struct insn *in)
{
    if (!umip_allows(interp) ||
        !operand_write(interp, in, 0, interp->vcpu->cr0))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_clts(struct interp *interp, const struct insn *in)
{
    (void)in;
    if (!require_cpl0(interp))
        return STEP_FAULT;
    interp->vcpu->cr0 &= ~(uint32_t)CR0_TS;
    return STEP_NEXT;
}

/* Neither the segment's limit nor paging is checked. */
enum step interp_invlpg(struct interp *interp, const struct insn *in)
{
    gva_t gva;

    if (!in->has_mem)
        return step_fault(interp, EXC_UD);
    if (!require_cpl0(interp))
        return STEP_FAULT;
    gva = interp->vcpu->seg[operand_seg(in)].base + operand_address(interp, in);
    tlb_flush_page(interp, gva);
    interp->host.tlb_flushed_page(interp->host.opaque, gva);
    return STEP_NEXT;
}

static void write_dr(struct vcpu *vcpu, unsigned dr, uint32_t value)
{
    if (dr == 6)
        value = (value & DR6_WRITE) | DR6_ONES;
    else if (dr == 7)
        value = (value & DR7_WRITE) | DR7_ONES;
    vcpu->dr[dr] = value;
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE; DR7.GD turns every access into a
 * #DB fault before it happens (SDM 3B 17.2 "Debug Registers"). */
enum step interp_mov_dr(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    bool is_write = in->operand[0].kind == OPERAND_DR;
    unsigned dr = in->operand[is_write ? 0 : 1].index & 7;
    unsigned reg = in->operand[is_write ? 1 : 0].index;

    if (dr == 4 || dr == 5) {
        if (vcpu->cr4 & CR4_DE)
            return step_fault(interp, EXC_UD);
        dr += 2;
    }
    if (!require_cpl0(interp))
        return STEP_FAULT;
    if (vcpu->dr[7] & DR7_GD) {
        vcpu->dr[6] |= DR6_BD;
        return step_fault(interp, EXC_DB);
    }
    if (!is_write) {
        vcpu->regs[reg] = vcpu->dr[dr];
        return STEP_NEXT;
    }
    write_dr(vcpu, dr, vcpu->regs[reg]);
    return STEP_NEXT;
}
