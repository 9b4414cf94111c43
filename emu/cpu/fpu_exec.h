/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_FPU_EXEC_H
#define EMU_CPU_FPU_EXEC_H

/*
 * PURPOSE: the steps of one natively run instruction that x87 and SIMD share:
 * memory operand in, run, memory operand out.
 */
#include "emu/cpu/fpu.h"
#include "emu/cpu/fpu_native.h"

struct fpu_exec {
    struct fpu_call call;
    const struct insn_operand *mem; /* the memory operand, or NULL */
    uint32_t offset;                /* its effective address */
    bool sse_only;                  /* x87 and MMX are not involved */
    uint16_t raised;                /* unmasked FSW flags that the run raised */
};

/* Find the memory operand; read it, or make sure that it can be written. When
 * aligned, one of 16 bytes must be: #GP(0) whatever the segment (SDM 1 10.4.1.1
 * "SSE Data Movement Instructions"). */
MUST_CHECK bool fpu_exec_begin(struct interp *interp, const struct insn *in,
                               bool aligned, struct fpu_exec *exec);

/* Run on vcpu->fpu. The image keeps its FIP, FDP, FOP and invariants. An
 * exception that is pending already stays so without effect (IGNNE#). */
void fpu_exec_run(struct interp *interp, const struct insn *in,
                  struct fpu_exec *exec);

/* Store the memory operand that fpu_exec_begin() has checked. */
MUST_CHECK bool fpu_exec_store(struct interp *interp, const struct insn *in,
                               const struct fpu_exec *exec);

#endif /* EMU_CPU_FPU_EXEC_H */
