/* SPDX-License-Identifier: MIT */
#include "emu/cpu/flags.h"
#include "emu/cpu/fpu_exec.h"

/*
 * x87 instructions that compute, run on the host's FPU.
 *
 * The host runs them under the guest's own control word. An unmasked exception
 * only marks the status word: the host would raise it at its next waiting x87
 * instruction, but FXSAVE and FNINIT do not wait, so that it stays in the image
 * until the guest's next waiting instruction (fpu_check_pending()).
 */

/* A store does not happen when it raises one of these unmasked; an unmasked
 * precision exception comes after the store (SDM 1 8.6 "x87 FPU Exception
 * Synchronization", SDM 1 8.5 "x87 FPU Floating-Point Exception Conditions"). */
#define STOPS_STORE (FSW_FLAGS & ~FSW_PE)

static bool is_store_done(const struct fpu_exec *exec)
{
    return !(exec->raised & STOPS_STORE);
}

/* SDM 1 8.1.8 "x87 FPU Instruction and Data (Operand) Pointers". They are kept
 * for the handler of an exception, and change only when there is one: what
 * FXSAVE stores of them otherwise differs between makers, and translated code
 * cannot tell. */
static void set_pointers(struct vcpu *vcpu, const struct insn *in,
                         const struct fpu_exec *exec)
{
    struct fpu_image *image = fpu_image(vcpu);

    if (exec->raised == 0)
        return;
    image->fip = vcpu->eip;
    image->fcs = vcpu->seg[SEG_CS].selector;
    if (exec->mem != NULL) {
        image->fdp = exec->offset;
        image->fds = vcpu->seg[in->mem.seg].selector;
    }
    image->fop = (uint16_t)(((in->opcode & 7u) << 8) | in->modrm);
}

static enum step run(struct interp *interp, const struct insn *in,
                     bool use_flags)
{
    struct vcpu *vcpu = interp->vcpu;
    struct fpu_exec exec;
    enum step step = fpu_check_x87(interp);

    if (step != STEP_NEXT)
        return step;
    if (!fpu_exec_begin(interp, in, false, &exec))
        return STEP_FAULT;
    exec.call.use_flags = use_flags;
    exec.call.flags = vcpu->eflags & FLAGS_ARITH;
    fpu_exec_run(interp, in, &exec);
    if (is_store_done(&exec) && !fpu_exec_store(interp, in, &exec))
        return STEP_FAULT;
    if (use_flags)
        flags_set(vcpu, FLAGS_ARITH, (uint32_t)exec.call.flags);
    set_pointers(vcpu, in, &exec);
    return STEP_NEXT;
}

enum step interp_x87(struct interp *interp, const struct insn *in)
{
    return run(interp, in, false);
}

/* FNOP, and what the 8087 and 80287 knew as FNENI, FNDISI and FNSETPM: these do
 * not wait and do nothing (SDM 3B 22.18 "x87 FPU"). */
enum step interp_fnop(struct interp *interp, const struct insn *in)
{
    if (in->opcode == 0xdb)
        return fpu_check_x87_control(interp);
    return run(interp, in, false);
}

/* FCOMI and FCMOVcc. */
enum step interp_x87_flags(struct interp *interp, const struct insn *in)
{
    return run(interp, in, true);
}
