/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/operand.h"

/*
 * Plan. ADD to CMP have two operands and differ in the function and in whether
 * the result is stored; each handler is the generic form with constants that
 * the compiler folds. INC, DEC, NEG and NOT are the same with one operand.
 */
struct alu {
    uint32_t result;
    uint32_t flags;
};

typedef struct alu alu_fn(uint32_t a, uint32_t b, uint32_t carry,
                          unsigned size);

static inline struct alu alu_add(uint32_t a, uint32_t b, uint32_t carry,
                                 unsigned size)
{
    uint32_t result = a + b + carry;

    return (struct alu){result, flags_of_add(a, b, result, size)};
}

static inline struct alu alu_sub(uint32_t a, uint32_t b, uint32_t carry,
                                 unsigned size)
{
    uint32_t result = a - b - carry;

    return (struct alu){result, flags_of_sub(a, b, result, size)};
}

static inline struct alu alu_and(uint32_t a, uint32_t b, uint32_t carry,
                                 unsigned size)
{
    (void)carry;
    return (struct alu){a & b, flags_of_result(a & b, size)};
}

static inline struct alu alu_or(uint32_t a, uint32_t b, uint32_t carry,
                                unsigned size)
{
    (void)carry;
    return (struct alu){a | b, flags_of_result(a | b, size)};
}

static inline struct alu alu_xor(uint32_t a, uint32_t b, uint32_t carry,
                                 unsigned size)
{
    (void)carry;
    return (struct alu){a ^ b, flags_of_result(a ^ b, size)};
}

/* operand 0 = operand 0 fn operand 1; compare only if !store. */
static inline enum step binary(struct interp *interp, const struct insn *in,
                               alu_fn *fn, bool use_carry, bool store)
{
    struct vcpu *vcpu = interp->vcpu;
    struct alu alu;
    uint32_t a;
    uint32_t b;

    if (!operand_read(interp, in, 0, store, &a) ||
        !operand_read(interp, in, 1, false, &b))
        return STEP_FAULT;
    alu = fn(a, b, use_carry ? flags_carry(vcpu) : 0, in->operand[0].size);
    if (store && !operand_write(interp, in, 0, alu.result))
        return STEP_FAULT;
    flags_set(vcpu, FLAGS_ARITH, alu.flags);
    return STEP_NEXT;
}

enum step interp_add(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_add, false, true);
}

enum step interp_adc(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_add, true, true);
}

enum step interp_sub(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_sub, false, true);
}

enum step interp_sbb(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_sub, true, true);
}

enum step interp_cmp(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_sub, false, false);
}

enum step interp_and(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_and, false, true);
}

enum step interp_or(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_or, false, true);
}

enum step interp_xor(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_xor, false, true);
}

enum step interp_test(struct interp *interp, const struct insn *in)
{
    return binary(interp, in, alu_and, false, false);
}

/* operand 0 = a fn b, where a or b is operand 0 and the other is constant. */
static inline enum step unary(struct interp *interp, const struct insn *in,
                              alu_fn *fn, bool negate, uint32_t flags)
{
    uint32_t value;
    struct alu alu;

    if (!operand_read(interp, in, 0, true, &value))
        return STEP_FAULT;
    alu = fn(negate ? 0 : value, negate ? value : 1, 0, in->operand[0].size);
    if (!operand_write(interp, in, 0, alu.result))
        return STEP_FAULT;
    flags_set(interp->vcpu, flags, alu.flags);
    return STEP_NEXT;
}

enum step interp_inc(struct interp *interp, const struct insn *in)
{
    return unary(interp, in, alu_add, false, FLAGS_ARITH & ~FLAG_CF);
}

enum step interp_dec(struct interp *interp, const struct insn *in)
{
    return unary(interp, in, alu_sub, false, FLAGS_ARITH & ~FLAG_CF);
}

enum step interp_neg(struct interp *interp, const struct insn *in)
{
    return unary(interp, in, alu_sub, true, FLAGS_ARITH);
}

enum step interp_not(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 0, true, &value) ||
        !operand_write(interp, in, 0, ~value))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_xchg(struct interp *interp, const struct insn *in)
{
    uint32_t a;
    uint32_t b;

    /* The memory operand, if any, may be either one. */
    if (!operand_read(interp, in, 0, true, &a) ||
        !operand_read(interp, in, 1, true, &b))
        return STEP_FAULT;
    if (in->operand[0].kind == OPERAND_MEM) {
        if (!operand_write(interp, in, 0, b) ||
            !operand_write(interp, in, 1, a))
            return STEP_FAULT;
    } else if (!operand_write(interp, in, 1, a) ||
               !operand_write(interp, in, 0, b)) {
        return STEP_FAULT;
    }
    return STEP_NEXT;
}

enum step interp_xadd(struct interp *interp, const struct insn *in)
{
    struct alu alu;
    uint32_t a;
    uint32_t b;

    if (!operand_read(interp, in, 0, true, &a) ||
        !operand_read(interp, in, 1, false, &b))
        return STEP_FAULT;
    alu = alu_add(a, b, 0, in->operand[0].size);
    if (in->operand[0].kind == OPERAND_MEM) {
        if (!operand_write(interp, in, 0, alu.result) ||
            !operand_write(interp, in, 1, a))
            return STEP_FAULT;
    } else if (!operand_write(interp, in, 1, a) ||
               !operand_write(interp, in, 0, alu.result)) {
        return STEP_FAULT;
    }
    flags_set(interp->vcpu, FLAGS_ARITH, alu.flags);
    return STEP_NEXT;
}

/* The destination is written in either case (SDM 2A "CMPXCHG"). */
enum step interp_cmpxchg(struct interp *interp, const struct insn *in)
{
    struct vcpu *vcpu = interp->vcpu;
    unsigned size = in->operand[0].size;
    uint32_t accumulator = reg_read(vcpu, REG_EAX, size);
    uint32_t destination;
    uint32_t source;
    struct alu alu;

    if (!operand_read(interp, in, 0, true, &destination) ||
        !operand_read(interp, in, 1, false, &source))
        return STEP_FAULT;
    alu = alu_sub(accumulator, destination, 0, size);
    if (!operand_write(interp, in, 0,
                       alu.flags & FLAG_ZF ? source : destination))
        return STEP_FAULT;
    if (!(alu.flags & FLAG_ZF))
        reg_write(vcpu, REG_EAX, size, destination);
    flags_set(vcpu, FLAGS_ARITH, alu.flags);
    return STEP_NEXT;
}
