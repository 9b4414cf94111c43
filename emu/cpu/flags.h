/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_FLAGS_H
#define EMU_CPU_FLAGS_H

/*
 * PURPOSE: arithmetic flags and conditions (SDM 1 3.4.3.1 "Status Flags",
 * appendix B "EFLAGS Condition Codes").
 *
 * Sizes are in bytes: 1, 2 or 4. Values may have garbage above their size
 * unless said otherwise.
 */
#include "monitor/vcpu.h"

static inline unsigned size_bits(unsigned size)
{
    return size * 8;
}

static inline uint32_t size_mask(unsigned size)
{
    return 0xffffffffu >> (32 - size_bits(size));
}

static inline uint32_t sign_mask(unsigned size)
{
    return 1u << (size_bits(size) - 1);
}

static inline uint32_t sign_extend(uint32_t value, unsigned size)
{
    return size == 1   ? (uint32_t)(int8_t)value
           : size == 2 ? (uint32_t)(int16_t)value
                       : value;
}

/* Replace the flags of mask by those in flags. */
static inline void flags_set(struct vcpu *vcpu, uint32_t mask, uint32_t flags)
{
    vcpu->eflags = (vcpu->eflags & ~mask) | (flags & mask);
}

static inline uint32_t flags_carry(const struct vcpu *vcpu)
{
    return vcpu->eflags & FLAG_CF;
}

/* SF, ZF and PF of a result. */
static inline uint32_t flags_of_result(uint32_t result, unsigned size)
{
    uint32_t flags = __builtin_parity(result & 0xff) ? 0 : FLAG_PF;

    if ((result & size_mask(size)) == 0)
        flags |= FLAG_ZF;
    if (result & sign_mask(size))
        flags |= FLAG_SF;
    return flags;
}

/* All six flags of result = a + b (+ carry): a bit's carry-out is the majority
 * of its two inputs and its carry-in, which result discloses. */
static inline uint32_t flags_of_add(uint32_t a, uint32_t b, uint32_t result,
                                    unsigned size)
{
    uint32_t carries = (a & b) | ((a | b) & ~result);
    uint32_t overflow = (a ^ result) & (b ^ result);
    uint32_t sign = sign_mask(size);

    return flags_of_result(result, size) | (carries & sign ? FLAG_CF : 0) |
           (overflow & sign ? FLAG_OF : 0) | ((a ^ b ^ result) & FLAG_AF);
}

/* All six flags of result = a - b (- borrow). */
static inline uint32_t flags_of_sub(uint32_t a, uint32_t b, uint32_t result,
                                    unsigned size)
{
    uint32_t borrows = (~a & b) | ((~a | b) & result);
    uint32_t overflow = (a ^ b) & (a ^ result);
    uint32_t sign = sign_mask(size);

    return flags_of_result(result, size) | (borrows & sign ? FLAG_CF : 0) |
           (overflow & sign ? FLAG_OF : 0) | ((a ^ b ^ result) & FLAG_AF);
}

/* Condition codes: one word for each state of OF SF ZF PF CF, with one bit for
 * each of the 16 conditions that hold in it. Built from the six primary ones:
 * O, B, Z, BE, S, P, L, LE; the odd codes are their negations. */
#define COND_PAIR(code, holds) ((holds) ? 1u << (code) : 1u << ((code) + 1))
#define COND_STATE(of, sf, zf, pf, cf)                                  \
    (uint16_t)(COND_PAIR(0, of) | COND_PAIR(2, cf) | COND_PAIR(4, zf) | \
               COND_PAIR(6, (cf) || (zf)) | COND_PAIR(8, sf) |          \
               COND_PAIR(10, pf) | COND_PAIR(12, (sf) != (of)) |        \
               COND_PAIR(14, (zf) || (sf) != (of)))
#define COND_STATES_4(of, sf, zf)                               \
    COND_STATE(of, sf, zf, 0, 0), COND_STATE(of, sf, zf, 0, 1), \
        COND_STATE(of, sf, zf, 1, 0), COND_STATE(of, sf, zf, 1, 1)
#define COND_STATES_16(of)                                                     \
    COND_STATES_4(of, 0, 0), COND_STATES_4(of, 0, 1), COND_STATES_4(of, 1, 0), \
        COND_STATES_4(of, 1, 1)

/* Does condition cc (0-15, as encoded in Jcc) hold? */
static inline bool flags_condition(uint32_t eflags, unsigned cc)
{
    static const uint16_t states[32] = {COND_STATES_16(0), COND_STATES_16(1)};
    uint32_t state = (eflags & FLAG_CF) | (eflags >> 1 & 2) |
                     (eflags >> 4 & 0xc) | (eflags >> 7 & 0x10);

    return states[state] >> cc & 1;
}

#endif /* EMU_CPU_FLAGS_H */
