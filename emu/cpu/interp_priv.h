/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_INTERP_PRIV_H
#define EMU_CPU_INTERP_PRIV_H

/*
 * PURPOSE: what the interpreter's own files share: the object, the result of
 * one instruction, and the handlers that insn_ops.def names.
 *
 * A handler must not change guest-visible state before its last access that
 * can fault: on STEP_FAULT the instruction has had no effect (REP forms:
 * whole iterations have, SDM 2B "REP").
 */
#include "emu/cpu/interp.h"

enum step {
    STEP_NEXT,  /* retired; eip becomes interp->next_eip */
    STEP_FAULT, /* vcpu->exc is filled; eip stays (INT n: exc says) */
    STEP_AGAIN, /* a REP form gave way to a kick: eip stays, state is current */
    STEP_HALT,  /* HLT retired; eip becomes next_eip */
    STEP_STOP   /* vcpu->stop is set; eip stays */
};

struct tlb;          /* tlb.c */
struct decode_cache; /* interp.c */

struct interp {
    struct vcpu *vcpu;
    struct interp_host host;
    struct tlb *tlb;
    struct decode_cache *decoded;
    uint32_t next_eip; /* offset in CS; wrapped to 16 bits in 16-bit code */
    uint64_t op_count[OP_COUNT];
};

typedef enum step interp_fn(struct interp *interp, const struct insn *in);

/* Declares interp_<handler> for every handler that the table names. */
#define OP(mnemonic, feature, handler, xlat, undefined_flags) \
    interp_fn interp_##handler;
#include "translator/decode/insn_ops.def"
#undef OP

#endif /* EMU_CPU_INTERP_PRIV_H */
