/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

enum step interp_mov(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value) ||
        !operand_write(interp, in, 0, value))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_movzx(struct interp *interp, const struct insn *in)
{
    return interp_mov(interp, in);
}

enum step interp_movsx(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value))
        return STEP_FAULT;
    reg_write(interp->vcpu, in->operand[0].index, in->operand[0].size,
              sign_extend(value, in->operand[1].size));
    return STEP_NEXT;
}

enum step interp_movbe(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value))
        return STEP_FAULT;
    value = __builtin_bswap32(value);
    if (in->operand[0].size == 2)
        value >>= 16;
    return operand_write(interp, in, 0, value) ? STEP_NEXT : STEP_FAULT;
}

/* The source is read, and may fault, even if the condition is false. */
enum step interp_cmov(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value))
        return STEP_FAULT;
    if (flags_condition(interp->vcpu->eflags, in->cc))
        reg_write(interp->vcpu, in->operand[0].index, in->operand[0].size,
                  value);
    return STEP_NEXT;
}

enum step interp_setcc(struct interp *interp, const struct insn *in)
{
    uint32_t value = flags_condition(interp->vcpu->eflags, in->cc);

    return operand_write(interp, in, 0, value) ? STEP_NEXT : STEP_FAULT;
}

enum step interp_lea(struct interp *interp, const struct insn *in)
{
    reg_write(interp->vcpu, in->operand[0].index, in->operand[0].size,
              operand_address(interp, in));
    return STEP_NEXT;
}

enum step interp_xlat(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t offset = operand_address(interp, in) + reg_read(vcpu, REG_EAX, 1);
    uint8_t value;

    if (in->address_size == 2)
        offset &= 0xffff;
    if (!mem_read(interp, operand_seg(in), offset, &value, 1))
        return STEP_FAULT;
    reg_write(vcpu, REG_EAX, 1, value);
    return STEP_NEXT;
}

enum step interp_cbw(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    reg_write(vcpu, REG_EAX, 2, sign_extend(vcpu->regs[REG_EAX], 1));
    return STEP_NEXT;
}

enum step interp_cwde(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    vcpu->regs[REG_EAX] = sign_extend(vcpu->regs[REG_EAX], 2);
    return STEP_NEXT;
}

enum step interp_cwd(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    reg_write(vcpu, REG_EDX, 2, vcpu->regs[REG_EAX] & 0x8000 ? 0xffff : 0);
    return STEP_NEXT;
}

enum step interp_cdq(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;

    (void)in;
    vcpu->regs[REG_EDX] = vcpu->regs[REG_EAX] >> 31 ? 0xffffffff : 0;
    return STEP_NEXT;
}

/* As CMPXCHG, on EDX:EAX and ECX:EBX; only ZF changes. */
enum step interp_cmpxchg8b(struct interp *interp, const struct insn *in)
{
    uint32_t *regs = interp->vcpu->regs;
    uint64_t expected = (uint64_t)regs[REG_EDX] << 32 | regs[REG_EAX];
    uint64_t source = (uint64_t)regs[REG_ECX] << 32 | regs[REG_EBX];
    uint32_t offset = operand_address(interp, in);
    enum seg seg = operand_seg(in);
    uint64_t value;

    if (!mem_probe_write(interp, seg, offset, 8) ||
        !mem_read_uint(interp, seg, offset, 8, &value) ||
        !mem_write_uint(interp, seg, offset, 8,
                        value == expected ? source : value))
        return STEP_FAULT;
    if (value != expected) {
        regs[REG_EAX] = (uint32_t)value;
        regs[REG_EDX] = (uint32_t)(value >> 32);
    }
    flags_set(interp->vcpu, FLAG_ZF, value == expected ? FLAG_ZF : 0);
    return STEP_NEXT;
}
