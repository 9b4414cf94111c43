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

static bool has_kind(const struct insn *in, enum operand_kind kind)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == kind)
            return true;
    return false;
}

/* SDM 3A 12.1, 13.1; SDM 2B 22.25 tables "Exception Conditions for SIMD/MMX
 * Instructions". CVTPI2PS from memory goes to the MMX state all the same
 * (SDM 2A "CVTPI2PS"); CVTPI2PD does not. */
static enum step check(struct interp *interp, const struct insn *in)
{
    enum step step;

    if (has_kind(in, OPERAND_XMM)) {
        step = fpu_check_sse(interp);
        if (step != STEP_NEXT ||
            LIKELY(!has_kind(in, OPERAND_MM) && in->op != OP_CVTPI2PS))
            return step;
    }
    return fpu_check_mmx(interp);
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

/* Some exception is unmasked. False with #XM, the destination unchanged and
 * the flags set. */
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
    *image = keep;
    image->mxcsr |= raised;
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

static enum step execute(struct interp *interp, const struct insn *in,
                         bool aligned)
{
    struct fpu_exec exec;
    enum step step = check(interp, in);

    if (step != STEP_NEXT)
        return step;
    if (!fpu_exec_begin(interp, in, aligned, &exec))
        return STEP_FAULT;
    load_registers(interp->vcpu, in, &exec.call);
    if (!run(interp, in, &exec) || !fpu_exec_store(interp, in, &exec))
        return STEP_FAULT;
    store_registers(interp->vcpu, in, &exec.call);
    return STEP_NEXT;
}

enum step interp_simd(struct interp *interp, const struct insn *in)
{
    return execute(interp, in, true);
}

enum step interp_simd_unaligned(struct interp *interp, const struct insn *in)
{
    return execute(interp, in, false);
}

/* EMMS has no operands to tell that it is MMX. */
enum step interp_emms(struct interp *interp, const struct insn *in)
{
    return execute(interp, in, false);
}
