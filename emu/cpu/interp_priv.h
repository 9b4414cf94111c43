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
    STEP_FREEZE, /* waits for an interrupt; eip stays */
    STEP_STOP    /* vcpu->stop is set; eip stays */
};

struct tlb;          /* tlb.h */
struct decode_cache; /* interp.c */
struct fpu_code;     /* fpu_code.h */

/* The page that instructions come from: a one-entry TLB in front of the TLB.
 * Whatever drops TLB entries sets tag to FETCH_NONE. */
struct fetch_page {
    uint32_t tag; /* linear address of the page | 1 if CPL is 3 */
    const uint8_t *hva;
};

#define FETCH_NONE 0xffffffffu

struct interp {
    struct vcpu *vcpu;
    struct interp_host host;
    struct tlb *tlb;
    struct decode_cache *decoded;
    struct fpu_code *fpu_code; /* host code for FPU instructions */
    struct fetch_page fetch;
    uint32_t next_eip;   /* offset in CS; 16-bit code runs into the limit too */
    uint32_t watch[5];   /* DR0-3, DR7 that the TLB was filled under */
    uint32_t watch_hit;  /* DR6 bits of data breakpoints met, for the trap */
    uint32_t watch_held; /* those that exc_deliver() raises behind INT n */
    uint64_t op_count[OP_COUNT];
};

typedef enum step interp_fn(struct interp *interp, const struct insn *in);

/* Declares interp_<handler> for every handler that the table names. */
#define OP(mnemonic, feature, handler, xlat, undefined_flags) \
    interp_fn interp_##handler;
#include "translator/decode/insn_ops.def"
#undef OP

/* OP_INVALID, and every form that its handler does not accept. */
interp_fn interp_ud;

/* PUSH and POP of a segment register share their mnemonic with the general
 * forms: stack.c passes them on to the file that knows segments. */
interp_fn interp_push_seg;
interp_fn interp_pop_seg;

/* Record a fault for the instruction at eip, as a handler's result. */
static inline enum step step_fault(struct interp *interp, unsigned vector)
{
    vcpu_fault(interp->vcpu, vector);
    return STEP_FAULT;
}

/* #GP, #SS, #NP, #TS with an error code. */
static inline enum step step_fault_error(struct interp *interp, unsigned vector,
                                         uint32_t error)
{
    vcpu_fault_error(interp->vcpu, vector, error);
    return STEP_FAULT;
}

/* True when the engine should be left at the next boundary. */
static inline bool interp_is_kicked(const struct vcpu *vcpu)
{
    return UNLIKELY(vcpu->kick | (vcpu->irq_line & vcpu->if_flag));
}

#endif /* EMU_CPU_INTERP_PRIV_H */
