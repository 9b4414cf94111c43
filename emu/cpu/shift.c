/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/host_flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/operand.h"

/*
 * Plan. Every shift and rotate masks its count to five bits; a count of zero
 * changes nothing, flags included, though the operand is accessed. OF is
 * defined for a count of one; for others it follows the same formula, as
 * processors do. A result function gets a count of 1 to 31.
 */
struct shifted {
    uint32_t result;
    uint32_t flags;
    uint32_t mask; /* the flags that change */
};

typedef struct shifted shift_fn(uint32_t value, unsigned count, unsigned size,
                                uint32_t carry);

static inline uint32_t flag_if(bool condition, uint32_t flag)
{
    return condition ? flag : 0;
}

/* The top two bits of the result differ. */
static inline bool is_sign_changing(uint32_t result, unsigned size)
{
    return ((result ^ result << 1) & sign_mask(size)) != 0;
}

static inline struct shifted shift_result(uint32_t result, unsigned size,
                                          bool carry, bool overflow)
{
    return (struct shifted){.result = result,
                            .flags = flags_of_result(result, size) |
                                     flag_if(carry, FLAG_CF) |
                                     flag_if(overflow, FLAG_OF),
                            .mask = FLAGS_ARITH};
}

static inline struct shifted rotate_result(uint32_t result, bool carry,
                                           bool overflow)
{
    return (struct shifted){.result = result,
                            .flags = flag_if(carry, FLAG_CF) |
                                     flag_if(overflow, FLAG_OF),
                            .mask = FLAG_CF | FLAG_OF};
}

static inline struct shifted do_shl(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    uint64_t wide = (uint64_t)value << count;
    bool out = wide >> size_bits(size) & 1;
    bool sign = (wide & sign_mask(size)) != 0;

    (void)carry;
    return shift_result((uint32_t)wide, size, out, out != sign);
}

static inline struct shifted do_shr(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    uint32_t result = value >> count;

    (void)carry;
    return shift_result(result, size, value >> (count - 1) & 1,
                        is_sign_changing(result, size));
}

static inline struct shifted do_sar(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    int32_t extended = (int32_t)sign_extend(value, size);

    (void)carry;
    return shift_result((uint32_t)(extended >> count), size,
                        extended >> (count - 1) & 1, false);
}

static inline struct shifted do_rol(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    unsigned bits = size_bits(size);
    uint64_t wide = (uint64_t)value << (count % bits);
    uint32_t result = (uint32_t)(wide | wide >> bits);
    bool out = result & 1;

    (void)carry;
    return rotate_result(result, out, out != ((result & sign_mask(size)) != 0));
}

static inline struct shifted do_ror(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    unsigned bits = size_bits(size);
    uint64_t twice = (uint64_t)value << bits | value;
    uint32_t result = (uint32_t)(twice >> (count % bits));

    (void)carry;
    return rotate_result(result, (result & sign_mask(size)) != 0,
                         is_sign_changing(result, size));
}

/* Rotates through carry turn a number of size * 8 + 1 bits, CF on top. */
static inline struct shifted do_rcl(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    unsigned bits = size_bits(size) + 1;
    uint64_t wide = (uint64_t)carry << (bits - 1) | value;
    uint64_t result;
    bool out;

    count %= bits;
    result = count == 0 ? wide : wide << count | wide >> (bits - count);
    out = result >> (bits - 1) & 1;
    return rotate_result((uint32_t)result, out,
                         out != ((result & sign_mask(size)) != 0));
}

static inline struct shifted do_rcr(uint32_t value, unsigned count,
                                    unsigned size, uint32_t carry)
{
    unsigned bits = size_bits(size) + 1;
    uint64_t wide = (uint64_t)carry << (bits - 1) | value;
    uint64_t result;

    count %= bits;
    result = count == 0 ? wide : wide >> count | wide << (bits - count);
    return rotate_result((uint32_t)result, result >> (bits - 1) & 1,
                         is_sign_changing((uint32_t)result, size));
}

/* operand 0 = operand 0 shifted by operand 1 (an immediate, 1 or CL). */
static inline enum step shift(struct interp *interp, const struct insn *in,
                              shift_fn *fn)
{
    struct vcpu *vcpu = interp->vcpu;
    struct host_flags_input input = {.flags = vcpu->eflags};
    struct shifted shifted;
    uint32_t count;
    uint32_t value;

    if (!operand_read(interp, in, 0, true, &value) ||
        !operand_read(interp, in, 1, false, &count))
        return STEP_FAULT;
    count &= 31;
    if (count == 0)
        return STEP_NEXT;
    shifted = fn(value, count, in->operand[0].size, flags_carry(vcpu));
    if (!operand_write(interp, in, 0, shifted.result))
        return STEP_FAULT;
    flags_set(vcpu, shifted.mask, shifted.flags);
    input.eax = value;
    input.ecx = count;
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

enum step interp_shl(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_shl);
}

enum step interp_shr(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_shr);
}

enum step interp_sar(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_sar);
}

enum step interp_rol(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_rol);
}

enum step interp_ror(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_ror);
}

enum step interp_rcl(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_rcl);
}

enum step interp_rcr(struct interp *interp, const struct insn *in)
{
    return shift(interp, in, do_rcr);
}

/* A double shift sees destination and source as one number. With a count above
 * 16 the 16-bit forms are undefined; processors then shift the destination in
 * once more after the source. */
static uint64_t double_left(uint32_t value, uint32_t source, unsigned size)
{
    if (size == 4)
        return (uint64_t)value << 32 | source;
    return (uint64_t)value << 32 | (uint64_t)source << 16 | value;
}

static uint64_t double_right(uint32_t value, uint32_t source, unsigned size)
{
    if (size == 4)
        return (uint64_t)source << 32 | value;
    return (uint64_t)value << 32 | (uint64_t)source << 16 | value;
}

static enum step double_shift(struct interp *interp, const struct insn *in,
                              bool left)
{
    unsigned size = in->operand[0].size;
    struct host_flags_input input = {.flags = interp->vcpu->eflags};
    struct shifted shifted;
    uint32_t source;
    uint32_t value;
    uint32_t count;
    uint32_t result;
    bool carry;

    if (!operand_read(interp, in, 0, true, &value) ||
        !operand_read(interp, in, 1, false, &source) ||
        !operand_read(interp, in, 2, false, &count))
        return STEP_FAULT;
    count &= 31;
    if (count == 0)
        return STEP_NEXT;
    if (left) {
        uint64_t wide = double_left(value, source, size);

        result = (uint32_t)(wide << count >> 32);
        carry = wide >> (32 + size_bits(size) - count) & 1;
    } else {
        uint64_t wide = double_right(value, source, size);

        result = (uint32_t)(wide >> count);
        carry = wide >> (count - 1) & 1;
    }
    shifted = shift_result(result, size, carry,
                           ((value ^ result) & sign_mask(size)) != 0);
    if (!operand_write(interp, in, 0, shifted.result))
        return STEP_FAULT;
    flags_set(interp->vcpu, shifted.mask, shifted.flags);
    input.eax = value;
    input.edx = source;
    input.ecx = count;
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

enum step interp_shld(struct interp *interp, const struct insn *in)
{
    return double_shift(interp, in, true);
}

enum step interp_shrd(struct interp *interp, const struct insn *in)
{
    return double_shift(interp, in, false);
}
