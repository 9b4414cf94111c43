/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/host_flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/*
 * Bit tests. With a register as bit index and a memory operand the index is
 * signed and reaches beyond the operand (SDM 2A "BT"); otherwise it is taken
 * modulo the operand size. Only CF is defined afterwards; ZF is unaffected.
 */
enum bit_change { BIT_KEEP, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

struct bit_place {
    uint32_t offset; /* of the operand in memory */
    unsigned bit;    /* within the operand */
};

static struct bit_place bit_in_memory(const struct interp *interp,
                                      const struct insn *in, uint32_t index)
{
    unsigned size = in->operand[0].size;
    uint32_t offset = operand_address(interp, in);

    if (in->operand[1].kind == OPERAND_REG) {
        int32_t element = (int32_t)sign_extend(index, size);

        offset += (uint32_t)(element >> (size == 4 ? 5 : 4)) * size;
        if (in->address_size == 2)
            offset &= 0xffff;
    }
    return (struct bit_place){offset, index % size_bits(size)};
}

static uint32_t change_bit(uint32_t value, unsigned bit, enum bit_change change)
{
    switch (change) {
    case BIT_KEEP: return value;
    case BIT_SET: return value | BIT(bit);
    case BIT_RESET: return value & ~BIT(bit);
    case BIT_COMPLEMENT: return value ^ BIT(bit);
    }
    UNREACHABLE();
}

static bool change_in_memory(struct interp *interp, const struct insn *in,
                             struct bit_place place, enum bit_change change,
                             uint32_t *value)
{
    unsigned size = in->operand[0].size;
    enum seg seg = operand_seg(in);
    uint32_t changed;

    *value = 0;
    if (change != BIT_KEEP && !mem_probe_write(interp, seg, place.offset, size))
        return false;
    if (!mem_read(interp, seg, place.offset, value, size))
        return false;
    changed = change_bit(*value, place.bit, change);
    return change == BIT_KEEP ||
           mem_write(interp, seg, place.offset, &changed, size);
}

static enum step bit_test(struct interp *interp, const struct insn *in,
                          enum bit_change change)
{
    const struct insn_operand *operand = &in->operand[0];
    struct host_flags_input input = {.flags = interp->vcpu->eflags};
    struct bit_place place;
    uint32_t index;
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &index))
        return STEP_FAULT;
    if (operand->kind == OPERAND_MEM) {
        place = bit_in_memory(interp, in, index);
        if (!change_in_memory(interp, in, place, change, &value))
            return STEP_FAULT;
    } else {
        place.bit = index % size_bits(operand->size);
        value = reg_read(interp->vcpu, operand->index, operand->size);
        reg_write(interp->vcpu, operand->index, operand->size,
                  change_bit(value, place.bit, change));
    }
    flags_set(interp->vcpu, FLAG_CF, value >> place.bit & 1);
    input.eax = value;
    input.ecx = place.bit;
    host_flags_follow(interp, in, &input);
    return STEP_NEXT;
}

enum step interp_bt(struct interp *interp, const struct insn *in)
{
    return bit_test(interp, in, BIT_KEEP);
}

enum step interp_bts(struct interp *interp, const struct insn *in)
{
    return bit_test(interp, in, BIT_SET);
}

enum step interp_btr(struct interp *interp, const struct insn *in)
{
    return bit_test(interp, in, BIT_RESET);
}

enum step interp_btc(struct interp *interp, const struct insn *in)
{
    return bit_test(interp, in, BIT_COMPLEMENT);
}

/* BSF and BSR of zero set ZF and leave the destination as it was, which the
 * manual leaves undefined and every processor does. */
static enum step bit_scan(struct interp *interp, const struct insn *in,
                          bool reverse)
{
    const struct insn_operand *to = &in->operand[0];
    struct host_flags_input input = {.flags = interp->vcpu->eflags};
    uint32_t value;
    uint32_t index;

    if (!operand_read(interp, in, 1, false, &value))
        return STEP_FAULT;
    flags_set(interp->vcpu, FLAG_ZF, value == 0 ? FLAG_ZF : 0);
    input.ecx = value;
    host_flags_follow(interp, in, &input);
    if (value == 0)
        return STEP_NEXT;
    index =
        (uint32_t)(reverse ? 31 - __builtin_clz(value) : __builtin_ctz(value));
    reg_write(interp->vcpu, to->index, to->size, index);
    return STEP_NEXT;
}

enum step interp_bsf(struct interp *interp, const struct insn *in)
{
    return bit_scan(interp, in, false);
}

enum step interp_bsr(struct interp *interp, const struct insn *in)
{
    return bit_scan(interp, in, true);
}

enum step interp_popcnt(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value) ||
        !operand_write(interp, in, 0, (uint32_t)__builtin_popcount(value)))
        return STEP_FAULT;
    flags_set(interp->vcpu, FLAGS_ARITH, value == 0 ? FLAG_ZF : 0);
    return STEP_NEXT;
}

/* A 16-bit operand is undefined; processors clear it. */
enum step interp_bswap(struct interp *interp, const struct insn *in)
{
    const struct insn_operand *operand = &in->operand[0];
    uint32_t value = interp->vcpu->regs[operand->index];

    reg_write(interp->vcpu, operand->index, operand->size,
              operand->size == 4 ? __builtin_bswap32(value) : 0);
    return STEP_NEXT;
}
