/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/host_flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/operand.h"

/* The double-width accumulator: AX, DX:AX or EDX:EAX. */
static uint64_t wide_read(const struct vcpu *vcpu, unsigned size)
{
    if (size == 1)
        return vcpu->regs[REG_EAX] & 0xffff;
    return (uint64_t)reg_read(vcpu, REG_EDX, size) << size_bits(size) |
           reg_read(vcpu, REG_EAX, size);
}

static void wide_write(struct vcpu *vcpu, unsigned size, uint64_t value)
{
    if (size == 1) {
        reg_write(vcpu, REG_EAX, 2, (uint32_t)value);
        return;
    }
    reg_write(vcpu, REG_EAX, size, (uint32_t)value);
    reg_write(vcpu, REG_EDX, size, (uint32_t)(value >> size_bits(size)));
}

static int64_t signed_value(uint32_t value, unsigned size)
{
    return (int32_t)sign_extend(value, size);
}

/* The host's instruction sees the accumulator, and value in ECX. */
static struct host_flags_input host_input(const struct vcpu *vcpu,
                                          uint32_t value)
{
    return (struct host_flags_input){.eax = vcpu->regs[REG_EAX],
                                     .edx = vcpu->regs[REG_EDX],
                                     .ecx = value,
                                     .flags = vcpu->eflags};
}

/* CF and OF say whether the upper half matters; SF, ZF, AF and PF are
 * undefined: SF and PF follow the low half, as on most processors. */
static void set_product_flags(struct vcpu *vcpu, uint32_t low, unsigned size,
                              bool overflow)
{
    uint32_t flags = flags_of_result(low, size) & (FLAG_SF | FLAG_PF);

    flags_set(vcpu, FLAGS_ARITH, flags | (overflow ? FLAG_CF | FLAG_OF : 0));
}

enum step interp_mul(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand[0].size;
    struct host_flags_input input;
    uint64_t product;
    uint32_t value;

    if (!operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    input = host_input(vcpu, value);
    product = (uint64_t)value * reg_read(vcpu, REG_EAX, size);
    wide_write(vcpu, size, product);
    set_product_flags(vcpu, (uint32_t)product, size,
                      product >> size_bits(size) != 0);
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

static bool is_signed_overflow(int64_t product, unsigned size)
{
    return product != signed_value((uint32_t)product, size);
}

static enum step imul_wide(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand[0].size;
    struct host_flags_input input;
    int64_t product;
    uint32_t value;

    if (!operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    input = host_input(vcpu, value);
    product = signed_value(value, size) *
              signed_value(reg_read(vcpu, REG_EAX, size), size);
    wide_write(vcpu, size, (uint64_t)product);
    set_product_flags(vcpu, (uint32_t)product, size,
                      is_signed_overflow(product, size));
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

/* F6 /5, F7 /5 have one operand; 0F AF multiplies operand 0 by operand 1, and
 * 69, 6B put operand 1 times the immediate, operand 2, into operand 0. */
enum step interp_imul(struct interp *interp, const struct insn *in)
{
    unsigned size = in->operand[0].size;
    unsigned first = in->map == 0 ? 1 : 0;
    struct host_flags_input input;
    int64_t product;
    uint32_t a;
    uint32_t b;

    if (in->map == 0 && in->opcode >= 0xf6)
        return imul_wide(interp, in);
    if (!operand_read(interp, in, first, false, &a) ||
        !operand_read(interp, in, first + 1, false, &b))
        return STEP_FAULT;
    product = signed_value(a, size) * signed_value(b, size);
    input = (struct host_flags_input){
        .eax = a, .ecx = b, .flags = interp->vcpu->eflags};
    reg_write(interp->vcpu, in->operand[0].index, size, (uint32_t)product);
    set_product_flags(interp->vcpu, (uint32_t)product, size,
                      is_signed_overflow(product, size));
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

/* Quotient and remainder: AL AH, AX DX or EAX EDX. */
static void set_quotient(struct vcpu *vcpu, unsigned size, uint32_t quotient,
                         uint32_t remainder)
{
    uint64_t wide = (uint64_t)(remainder & size_mask(size)) << size_bits(size);

    wide_write(vcpu, size, wide | (quotient & size_mask(size)));
}

enum step interp_div(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand[0].size;
    uint64_t dividend = wide_read(vcpu, size);
    struct host_flags_input input;
    uint32_t divisor;

    if (!operand_read(interp, in, 0, false, &divisor))
        return STEP_FAULT;
    input = host_input(vcpu, divisor);
    if (divisor == 0 || dividend / divisor > size_mask(size))
        return step_fault(interp, EXC_DE);
    set_quotient(vcpu, size, (uint32_t)(dividend / divisor),
                 (uint32_t)(dividend % divisor));
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

enum step interp_idiv(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand[0].size;
    unsigned unused_bits = 64 - 2 * size_bits(size);
    int64_t dividend = (int64_t)(wide_read(vcpu, size) << unused_bits);
    int64_t quotient;
    int64_t divisor;
    struct host_flags_input input;
    uint32_t value;

    dividend >>= unused_bits;
    if (!operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    input = host_input(vcpu, value);
    divisor = signed_value(value, size);
    if (divisor == 0 || (divisor == -1 && dividend == INT64_MIN))
        return step_fault(interp, EXC_DE);
    quotient = dividend / divisor;
    if (is_signed_overflow(quotient, size))
        return step_fault(interp, EXC_DE);
    set_quotient(vcpu, size, (uint32_t)quotient,
                 (uint32_t)(dividend % divisor));
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}
