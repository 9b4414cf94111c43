/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/cpu/fpu.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/*
 * x87 control instructions and those that save and restore state. They work on
 * the image in C: the host's would see host addresses in the pointers, and
 * their protected-mode formats do not exist in 64-bit mode.
 *
 * The N forms do not wait: a pending exception stays pending (SDM 1 8.3.12
 * "Waiting vs. Non-waiting Instructions").
 */

/* Environments: SDM 1 8.1.10 "Saving the x87 FPU's State with FSTENV/FNSTENV
 * and FSAVE/FNSAVE", figures 8-9 and 8-11, protected mode. */
#define ENV32_LEN 28u
#define ENV16_LEN 14u
#define ENV_MAX   ENV32_LEN
#define ST_LEN    10u
#define STATE_MAX (ENV_MAX + 8 * ST_LEN)

/* Unused upper halves of the 32-bit form read as ones. */
#define UPPER_ONES 0xffff0000u

#define TAG_VALID   0u
#define TAG_ZERO    1u
#define TAG_SPECIAL 2u
#define TAG_EMPTY   3u

static unsigned env_len(const struct insn *in)
{
    return in->operand_size == 4 ? ENV32_LEN : ENV16_LEN;
}

static void put16(uint8_t *to, uint32_t value)
{
    uint16_t word = (uint16_t)value;

    memcpy(to, &word, 2);
}

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, 4);
}

static uint16_t get16(const uint8_t *from)
{
    uint16_t word;

    memcpy(&word, from, 2);
    return word;
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t word;

    memcpy(&word, from, 4);
    return word;
}

static unsigned tag_of_value(const uint8_t *st)
{
    unsigned exponent = get16(st + 8) & 0x7fffu;
    uint64_t significand;

    memcpy(&significand, st, 8);
    if (exponent == 0)
        return significand == 0 ? TAG_ZERO : TAG_SPECIAL;
    if (exponent == 0x7fff || !(significand & BIT64(63)))
        return TAG_SPECIAL;
    return TAG_VALID;
}

/* The full tag word: SDM 1 8.1.7 "x87 FPU Tag Word". */
static uint16_t full_tags(const struct fpu_image *image)
{
    unsigned top = (image->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
    unsigned tags = 0;

    for (unsigned physical = 0; physical < 8; physical++) {
        unsigned tag = TAG_EMPTY;

        if (image->ftw & BIT(physical))
            tag = tag_of_value(image->st[(physical - top) & 7]);
        tags |= tag << 2 * physical;
    }
    return (uint16_t)tags;
}

/* FXSAVE keeps only whether a register is empty (SDM 1 10.5.1.1 "x87 State"). */
static uint8_t abridged_tags(uint16_t tags)
{
    unsigned abridged = 0;

    for (unsigned physical = 0; physical < 8; physical++)
        if ((tags >> 2 * physical & 3) != TAG_EMPTY)
            abridged |= BIT(physical);
    return (uint8_t)abridged;
}

static void env_store32(const struct fpu_image *image, uint8_t *env)
{
    put32(env, image->fcw | UPPER_ONES);
    put32(env + 4, image->fsw | UPPER_ONES);
    put32(env + 8, full_tags(image) | UPPER_ONES);
    put32(env + 12, image->fip);
    put32(env + 16, image->fcs | (uint32_t)image->fop << 16);
    put32(env + 20, image->fdp);
    put32(env + 24, image->fds | UPPER_ONES);
}

static void env_store16(const struct fpu_image *image, uint8_t *env)
{
    put16(env, image->fcw);
    put16(env + 2, image->fsw);
    put16(env + 4, full_tags(image));
    put16(env + 6, image->fip);
    put16(env + 8, image->fcs);
    put16(env + 10, image->fdp);
    put16(env + 12, image->fds);
}

static void env_store(const struct fpu_image *image, const struct insn *in,
                      uint8_t *env)
{
    if (in->operand_size == 4)
        env_store32(image, env);
    else
        env_store16(image, env);
}

static void env_load_words(struct fpu_image *image, uint16_t fcw, uint16_t fsw,
                           uint16_t tags)
{
    fpu_image_set_top(image, (fsw & FSW_TOP) >> FSW_TOP_SHIFT);
    image->fcw = (fcw & FCW_DEFINED) | FCW_ONE;
    image->fsw = fsw;
    image->ftw = abridged_tags(tags);
    fpu_image_update_summary(image);
}

/* Loading an environment moves TOP over the registers, which stay. The 16-bit
 * form has no opcode. */
static void env_load(struct fpu_image *image, const struct insn *in,
                     const uint8_t *env)
{
    if (in->operand_size == 4) {
        env_load_words(image, get16(env), get16(env + 4), get16(env + 8));
        image->fip = get32(env + 12);
        image->fcs = get16(env + 16);
        image->fop = get16(env + 18) & FOP_MASK;
        image->fdp = get32(env + 20);
        image->fds = get16(env + 24);
    } else {
        env_load_words(image, get16(env), get16(env + 2), get16(env + 4));
        image->fop = 0;
        image->fip = get16(env + 6);
        image->fcs = get16(env + 8);
        image->fdp = get16(env + 10);
        image->fds = get16(env + 12);
    }
}

/* Handlers. */

/* SDM 2C "WAIT/FWAIT": #NM needs both MP and TS. */
enum step interp_fwait(struct interp *interp, const struct insn *in)
{
    uint32_t both = CR0_MP | CR0_TS;

    (void)in;
    if ((interp->vcpu->cr0 & both) == both)
        return step_fault(interp, EXC_NM);
    return fpu_check_pending(interp);
}

enum step interp_fninit(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_x87_control(interp);

    (void)in;
    if (step != STEP_NEXT)
        return step;
    fpu_image_init(fpu_image(interp->vcpu));
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

/* SDM 2A "FCLEX/FNCLEX": flags, SF, ES and B. */
enum step interp_fnclex(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_x87_control(interp);

    (void)in;
    if (step != STEP_NEXT)
        return step;
    fpu_image(interp->vcpu)->fsw &=
        (uint16_t) ~(FSW_FLAGS | FSW_SF | FSW_ES | FSW_B);
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

/* A mask that opens over a set flag makes the exception pending. */
enum step interp_fldcw(struct interp *interp, const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    enum step step = fpu_check_x87(interp);
    uint32_t value;

    if (step != STEP_NEXT)
        return step;
    if (!operand_read(interp, in, 0, false, &value))
        return STEP_FAULT;
    image->fcw = (uint16_t)((value & FCW_DEFINED) | FCW_ONE);
    fpu_image_update_summary(image);
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

static enum step store_word(struct interp *interp, const struct insn *in,
                            uint16_t word)
{
    return operand_write(interp, in, 0, word) ? STEP_NEXT : STEP_FAULT;
}

enum step interp_fnstcw(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_x87_control(interp);

    if (step != STEP_NEXT)
        return step;
    return store_word(interp, in, fpu_image(interp->vcpu)->fcw);
}

/* To AX or to memory. */
enum step interp_fnstsw(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_x87_control(interp);

    if (step != STEP_NEXT)
        return step;
    return store_word(interp, in, fpu_image(interp->vcpu)->fsw);
}

static bool state_read(struct interp *interp, const struct insn *in,
                       uint8_t *state, unsigned len)
{
    return mem_read(interp, operand_seg(in), operand_address(interp, in), state,
                    len);
}

static bool state_write(struct interp *interp, const struct insn *in,
                        const uint8_t *state, unsigned len)
{
    return mem_write(interp, operand_seg(in), operand_address(interp, in),
                     state, len);
}

/* SDM 2A "FSTENV/FNSTENV": afterwards all exceptions are masked. */
enum step interp_fnstenv(struct interp *interp, const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    enum step step = fpu_check_x87_control(interp);
    uint8_t env[ENV_MAX];

    if (step != STEP_NEXT)
        return step;
    env_store(image, in, env);
    if (!state_write(interp, in, env, env_len(in)))
        return STEP_FAULT;
    image->fcw |= FCW_MASKS;
    fpu_image_update_summary(image);
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

enum step interp_fldenv(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_x87(interp);
    uint8_t env[ENV_MAX];

    if (step != STEP_NEXT)
        return step;
    if (!state_read(interp, in, env, env_len(in)))
        return STEP_FAULT;
    env_load(fpu_image(interp->vcpu), in, env);
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

/* SDM 2A "FSAVE/FNSAVE": the environment, ST0-7, then as FNINIT. */
enum step interp_fnsave(struct interp *interp, const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    enum step step = fpu_check_x87_control(interp);
    unsigned len = env_len(in);
    uint8_t state[STATE_MAX];

    if (step != STEP_NEXT)
        return step;
    env_store(image, in, state);
    for (unsigned i = 0; i < 8; i++)
        memcpy(state + len + ST_LEN * i, image->st[i], ST_LEN);
    if (!state_write(interp, in, state, len + 8 * ST_LEN))
        return STEP_FAULT;
    fpu_image_init(image);
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

enum step interp_frstor(struct interp *interp, const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    enum step step = fpu_check_x87(interp);
    unsigned len = env_len(in);
    uint8_t state[STATE_MAX];

    if (step != STEP_NEXT)
        return step;
    if (!state_read(interp, in, state, len + 8 * ST_LEN))
        return STEP_FAULT;
    env_load(image, in, state);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image->st[i], state + len + ST_LEN * i, ST_LEN);
    fpu_release_ferr(interp);
    return STEP_NEXT;
}

/* FXSAVE and FXRSTOR: #NM, then #AC or #GP(0) for alignment; which of the two is
 * left to the processor (SDM 2A "FXSAVE"): here #AC for what is not aligned to
 * four bytes, as on the tested hosts. The area is 512 bytes, whatever part of it
 * is used. */
static enum step fxsave_begin(struct interp *interp, const struct insn *in,
                              uint32_t *offset)
{
    struct vcpu *vcpu = interp->vcpu;
    enum step step = fpu_check_x87_control(interp);
    gva_t gva;

    if (step != STEP_NEXT)
        return step;
    *offset = operand_address(interp, in);
    gva = vcpu->seg_base[in->mem.seg] + *offset;
    if (LIKELY((gva & (FPU_IMAGE_ALIGN - 1)) == 0))
        return STEP_NEXT;
    if ((gva & 3) && (vcpu->eflags & FLAG_AC) && (vcpu->cr0 & CR0_AM) &&
        vcpu->cpl == 3)
        return step_fault_error(interp, EXC_AC, 0);
    return step_fault_error(interp, EXC_GP, 0);
}

/* Outside of 64-bit mode the XMM8-15 part is not written (SDM 2A "FXSAVE"). */
enum step interp_fxsave(struct interp *interp, const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    uint32_t offset;
    enum step step = fxsave_begin(interp, in, &offset);

    if (step != STEP_NEXT)
        return step;
    if (!mem_probe_write(interp, operand_seg(in), offset, FPU_IMAGE_LEN) ||
        !mem_write(interp, operand_seg(in), offset, image, FPU_IMAGE_USED))
        return STEP_FAULT;
    return STEP_NEXT;
}

enum step interp_fxrstor(struct interp *interp, const struct insn *in)
{
    struct fpu_image image;
    uint32_t offset;
    enum step step = fxsave_begin(interp, in, &offset);

    if (step != STEP_NEXT)
        return step;
    if (!mem_read(interp, operand_seg(in), offset, &image, FPU_IMAGE_LEN))
        return STEP_FAULT;
    if (image.mxcsr & ~MXCSR_MASK)
        return step_fault_error(interp, EXC_GP, 0);
    fpu_image_fix(&image);
    *fpu_image(interp->vcpu) = image;
    fpu_release_ferr(interp);
    return STEP_NEXT;
}
