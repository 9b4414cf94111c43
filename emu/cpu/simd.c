/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/fpu_exec.h"

/*
 * MMX and SSE instructions, run on the host's FPU:
 *
 *   1. the operands say which rules of use apply (MMX's, SSE's or both);
 *   2. 16-byte memory operands must be aligned, with the exceptions that
 *      simd.def names (simd_unaligned);
 *   3. run. When the guest has unmasked a SIMD exception, run with all of them
 *      masked and decide from the raised flags, so that no host signal is
 *      involved;
 *   4. general register, flags and memory.
 */

/* Exceptions that are found before the operation: they keep it from being
 * done (SDM 1 4.9.2 "Floating-Point Exception Priority"). */
#define PRE_COMPUTATION 0x07u /* IE DE ZE */
#define UE              BIT(4)

/* PCMPESTRI and PCMPISTRI have their result in ECX. */
static bool has_ecx_result(const struct insn *in)
{
    return in->map == 3 && (in->opcode == 0x61 || in->opcode == 0x63);
}

static const struct insn_operand *find_register(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_REG && !in->operand[i].hidden)
            return &in->operand[i];
    return NULL;
}

static bool has_mmx_register(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MM)
            return true;
    return false;
}

static void load_registers(const struct vcpu *vcpu, const struct insn *in,
                           struct fpu_call *call)
{
    const struct insn_operand *reg = find_register(in);

    call->eax = vcpu->regs[REG_EAX];
    if (reg != NULL && reg->read)
        call->eax = vcpu->regs[reg->index];
    call->edx = vcpu->regs[REG_EDX];
    call->use_flags = in->flags_written != 0;
    call->flags = vcpu->eflags & FLAGS_ARITH;
}

static void store_registers(struct vcpu *vcpu, const struct insn *in,
                            const struct fpu_call *call)
{
    const struct insn_operand *reg = find_register(in);

    if (reg != NULL && reg->written)
        vcpu->regs[reg->index] = call->eax;
    if (has_ecx_result(in))
        vcpu->regs[REG_ECX] = call->ecx;
    if (call->use_flags)
        flags_set(vcpu, FLAGS_ARITH, (uint32_t)call->flags);
}

/* Run with all exceptions masked; the flags that this raised. */
static uint32_t run_masked(struct interp *interp, const struct insn *in,
                           struct fpu_exec *exec, uint32_t mxcsr)
{
    struct fpu_image *image = fpu_image(interp->vcpu);

    image->mxcsr = (mxcsr | MXCSR_MASKS) & ~MXCSR_FLAGS;
    fpu_exec_run(interp, in, exec);
    return image->mxcsr & MXCSR_FLAGS;
}

/* The masked response reports a tiny result only if it is inexact too, the
 * unmasked one always (SDM 1 4.9.1.5 "Numeric Underflow Exception (#U)"). Flush
 * to zero replaces any tiny result, and reports it. */
static bool is_result_tiny(struct interp *interp, const struct insn *in,
                           const struct fpu_exec *exec)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    struct fpu_image keep = *image;
    struct fpu_exec copy = *exec;
    uint32_t raised =
        run_masked(interp, in, &copy, keep.mxcsr | MXCSR_FTZ) & UE;

    *image = keep;
    return raised != 0;
}

/* The state after #XM: the destination unchanged, the flags set. That x87 has
 * changed to MMX state by then the manual leaves open; the tested hosts do. */
static void undo(struct fpu_image *image, const struct fpu_image *before,
                 uint32_t raised)
{
    bool is_mmx = image->ftw == 0xff && !(image->fsw & FSW_TOP);

    *image = *before;
    image->mxcsr |= raised;
    if (is_mmx)
        fpu_image_enter_mmx(image);
}

/* Some exception is unmasked. False with #XM. One flag can differ from what a
 * processor sets: with overflow or underflow unmasked and raised, PE says that
 * the masked result would be inexact, where the manual has the result of
 * unbounded exponent in mind (SDM 1 4.9.1.5). */
static bool run_unmasked(struct interp *interp, const struct insn *in,
                         struct fpu_exec *exec)
{
    struct vcpu *vcpu = interp->vcpu;
    struct fpu_image *image = fpu_image(vcpu);
    struct fpu_image keep = *image;
    uint32_t masks = keep.mxcsr >> MXCSR_MASKS_SHIFT;
    uint32_t mxcsr = keep.mxcsr;
    uint32_t raised = 0;

    if (!(mxcsr & MXCSR_UM)) {
        raised |= is_result_tiny(interp, in, exec) ? UE : 0u;
        mxcsr &= ~MXCSR_FTZ; /* it needs underflow masked: SDM 1 10.2.3.3 */
    }
    raised |= run_masked(interp, in, exec, mxcsr);
    if ((raised & ~masks & MXCSR_FLAGS) == 0) {
        image->mxcsr = keep.mxcsr | raised;
        return true;
    }
    if (raised & ~masks & PRE_COMPUTATION)
        raised &= PRE_COMPUTATION;
    undo(image, &keep, raised);
    return vcpu_fault(vcpu, vcpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

static bool run(struct interp *interp, const struct insn *in,
                struct fpu_exec *exec)
{
    uint32_t mxcsr = fpu_image(interp->vcpu)->mxcsr;

    if (UNLIKELY((mxcsr & MXCSR_MASKS) != MXCSR_MASKS))
        return run_unmasked(interp, in, exec);
    fpu_exec_run(interp, in, exec);
    return true;
}

enum { MMX = 1, UNALIGNED = 2 };

static enum step execute(struct interp *interp, const struct insn *in,
                         unsigned kind)
{
    struct fpu_exec exec;

    if (!fpu_exec_begin(interp, in, !(kind & UNALIGNED), &exec))
        return STEP_FAULT;
    exec.sse_only = !(kind & MMX);
    load_registers(interp->vcpu, in, &exec.call);
    if (!run(interp, in, &exec) || !fpu_exec_store(interp, in, &exec))
        return STEP_FAULT;
    store_registers(interp->vcpu, in, &exec.call);
    return STEP_NEXT;
}

/* Forms with MMX or with XMM registers: PADDB and many more have both. */
enum step interp_simd(struct interp *interp, const struct insn *in)
{
    bool is_mmx = has_mmx_register(in);
    enum step step = is_mmx ? fpu_check_mmx(interp) : fpu_check_sse(interp);

    return step == STEP_NEXT ? execute(interp, in, is_mmx ? MMX : 0) : step;
}

enum step interp_simd_unaligned(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_sse(interp);

    return step == STEP_NEXT ? execute(interp, in, UNALIGNED) : step;
}

/* CVTPI2PS and CVTPI2PD from memory do not wait for a pending x87 exception, on
 * the tested hosts; others might, so they do not get to see one. */
static enum step execute_from_memory(struct interp *interp,
                                     const struct insn *in)
{
    struct fpu_image *image = fpu_image(interp->vcpu);
    uint16_t fcw = image->fcw;
    enum step step;

    image->fcw |= FCW_MASKS;
    fpu_image_update_summary(image);
    step = execute(interp, in, MMX);
    image->fcw = fcw;
    fpu_image_update_summary(image);
    return step;
}

/* Conversions and moves between the two. */
enum step interp_simd_both(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_sse(interp);

    if (step != STEP_NEXT)
        return step;
    if (!has_mmx_register(in))
        return execute_from_memory(interp, in);
    step = fpu_check_mmx(interp);
    return step == STEP_NEXT ? execute(interp, in, MMX) : step;
}

/* EMMS has no operands to tell that it is MMX. */
enum step interp_emms(struct interp *interp, const struct insn *in)
{
    enum step step = fpu_check_mmx(interp);

    return step == STEP_NEXT ? execute(interp, in, MMX) : step;
}
