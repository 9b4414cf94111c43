/* SPDX-License-Identifier: MIT */
#include "emu/cpu/io.h"

#include "emu/cpu/debug.h"
#include "emu/cpu/flags.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/* Type field of a 32-bit TSS descriptor, less its busy bit, and where the
 * offset of the I/O map is in that TSS (SDM 3A 7.2.1 "Task-State Segment"). */
#define TSS32_TYPE      9u
#define TSS_TYPE_BUSY   2u
#define TSS_IO_MAP_BASE 102u

static bool io_fault(struct interp *interp)
{
    return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
}

/* Two bytes of the map are read, even for one bit: the map ends in a byte of
 * ones for that (SDM 1 18.5.2 "I/O Permission Bit Map"). */
static bool check_bitmap(struct interp *interp, uint16_t port, unsigned size)
{
    const struct segment *tr = &interp->vcpu->tr;
    uint32_t type = tr->attr & SEG_TYPE & ~TSS_TYPE_BUSY;
    uint16_t map_base = 0;
    uint16_t bits = 0;
    uint32_t offset;

    if ((tr->attr & SEG_UNUSABLE) || type != TSS32_TYPE ||
        tr->limit < TSS_IO_MAP_BASE + 1)
        return io_fault(interp);
    if (!sys_read(interp, tr->base + TSS_IO_MAP_BASE, &map_base, 2))
        return false;
    offset = map_base + (uint32_t)port / 8;
    if (offset + 1 > tr->limit)
        return io_fault(interp);
    if (!sys_read(interp, tr->base + offset, &bits, 2))
        return false;
    if ((uint32_t)bits >> port % 8 & (BIT(size) - 1))
        return io_fault(interp);
    return true;
}

bool io_check_permission(struct interp *interp, uint16_t port, unsigned size)
{
    const struct vcpu *vcpu = interp->vcpu;

    if (vcpu->cpl <= vcpu_iopl(vcpu) && !(vcpu->eflags & FLAG_VM))
        return true;
    return check_bitmap(interp, port, size);
}

uint32_t io_read_port(struct interp *interp, uint16_t port, unsigned size)
{
    debug_note_port(interp, port, size);
    return interp->host.port_in(interp->host.opaque, port, size);
}

void io_write_port(struct interp *interp, uint16_t port, unsigned size,
                   uint32_t value)
{
    debug_note_port(interp, port, size);
    interp->host.port_out(interp->host.opaque, port, size,
                          value & size_mask(size));
}

/* DX or an unsigned byte. */
static uint16_t port_of(const struct interp *interp, const struct insn *in,
                        unsigned n)
{
    if (in->operand[n].kind == OPERAND_IMM)
        return (uint16_t)(in->imm & 0xff);
    return (uint16_t)interp->vcpu->regs[REG_EDX];
}

enum step interp_in(struct interp *interp, const struct insn *in)
{
    uint16_t port = port_of(interp, in, 1);
    unsigned size = in->operand[0].size;

    if (!io_check_permission(interp, port, size))
        return STEP_FAULT;
    reg_write(interp->vcpu, REG_EAX, size, io_read_port(interp, port, size));
    return STEP_NEXT;
}

enum step interp_out(struct interp *interp, const struct insn *in)
{
    uint16_t port = port_of(interp, in, 0);
    unsigned size = in->operand[1].size;

    if (!io_check_permission(interp, port, size))
        return STEP_FAULT;
    io_write_port(interp, port, size, interp->vcpu->regs[REG_EAX]);
    return STEP_NEXT;
}
