/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/cpu/fpu.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/*
 * What came with SSE but does not compute on its registers: the masked stores,
 * MXCSR, and the forms that use general registers and memory only, to which
 * neither CR0.TS nor CR4.OSFXSR applies.
 */

/* Masked stores: SDM 2B "MASKMOVDQU", "MASKMOVQ". Whether bytes that are not
 * selected can fault is left to the processor: here, as on the tested hosts,
 * they do. */
static enum step store_masked(struct interp *interp, const struct insn *in,
                              const uint8_t *data, const uint8_t *mask,
                              unsigned len)
{
    enum seg seg = operand_seg(in);
    uint32_t offset = operand_address(interp, in);

    for (unsigned i = 0; i < len; i += 8)
        if (!mem_probe_write(interp, seg, offset + i, 8))
            return STEP_FAULT;
    for (unsigned i = 0; i < len; i++)
        if ((mask[i] & 0x80) &&
            !mem_write(interp, seg, offset + i, &data[i], 1))
            return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_maskmovdqu(struct interp *interp, const struct insn *in)
{
    const struct fpu_image *image = fpu_image(interp->vcpu);
    enum step step = fpu_check_sse(interp);

    if (step != STEP_NEXT)
        return step;
    return store_masked(interp, in, image->xmm[in->modrm >> 3 & 7],
                        image->xmm[in->modrm & 7], 16);
}

enum step interp_maskmovq(struct interp *interp, const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    enum step step = fpu_check_mmx(interp);

    if (step != STEP_NEXT)
        return step;
    fpu_image_enter_mmx(image); /* even when the store faults */
    return store_masked(interp, in, image->st[in->modrm >> 3 & 7],
                        image->st[in->modrm & 7], 8);
}

/* SDM 2A "LDMXCSR": #GP(0) for reserved bits; unmasking an exception whose flag
 * is set raises nothing. */
enum step interp_ldmxcsr(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_sse(interp);
    uint32_t value;

    if (step != STEP_NEXT)
        return step;
    if (!operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    if (value & ~MXCSR_MASK)
        return step_fault_error(interp, EXC_GP, 0);
    fpu_image(interp->vcpu)->mxcsr = value;
    return STEP_NEXT;
}

enum step interp_stmxcsr(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_sse(interp);

    if (step != STEP_NEXT)
        return step;
    if (!operand_write(interp, in, 0, fpu_image(interp->vcpu)->mxcsr))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_movnti(struct interp *interp, const struct insn *in)
{
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value) ||
        !operand_write(interp, in, 0, value))
        return STEP_FAULT;
    return STEP_NEXT;
}

/* One CPU, whose accesses are in order: nothing to wait for. */
enum step interp_fence(struct interp *interp, const struct insn *in)
{
    (void)interp;
    (void)in;
    return STEP_NEXT;
}

/* SDM 2A "CRC32": the polynomial 11EDC6F41h, bits reflected, byte by byte. */
static uint32_t crc32c(uint32_t crc, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        crc ^= value >> 8 * i & 0xff;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

enum step interp_crc32(struct interp *interp, const struct insn *in)
{
    const struct insn_operand *to = &in->operand[0];
    struct vcpu *vcpu = interp->vcpu;
    uint32_t value;

    if (!operand_read(interp, in, 1, false, &value))
        return STEP_FAULT;
    vcpu->regs[to->index] =
        crc32c(vcpu->regs[to->index], value, in->operand[1].size);
    return STEP_NEXT;
}
