/* SPDX-License-Identifier: MIT */
#ifndef TRANSLATOR_XLAT_PRIV_H
#define TRANSLATOR_XLAT_PRIV_H

/*
 * PURPOSE: what the translator's passes and handlers share: the TU in
 * progress.
 */
#include "monitor/vcpu.h"
#include "translator/emit_x86.h"
#include "translator/xlat.h"

#define XLAT_MAX_INSNS 320
#define XLAT_MAX_BYTES 192 /* host bytes of one guest instruction, stubs too */
#define XLAT_MAX_EXTRA 640 /* entry check, source check and slack */
#define XLAT_CHECKED_BYTES \
    64 /* source of a checked TU; its last instruction \
                               * may exceed it */
#define XLAT_NO_LABEL UINT32_MAX
#define XLAT_NO_INSN  UINT16_MAX

/* How control leaves an instruction; decides where TUs and blocks end. */
enum xlat_flow {
    FLOW_NEXT, /* falls through */
    FLOW_COND, /* direct conditional branch */
    FLOW_JUMP, /* unconditional transfer that does not come back */
    FLOW_CALL, /* comes back behind itself */
    FLOW_STEP  /* the interpreter runs it; a new block starts behind it */
};

/* One instruction of the TU. */
struct xlat_insn {
    struct insn in;
    uint16_t offset; /* from the page's start */
    uint8_t flow;    /* enum xlat_flow */
    bool label;      /* an internal branch leads here */
    bool block_head;
    bool last;           /* what follows is not in the TU */
    uint16_t target;     /* index of the internal branch target */
    uint16_t block_rest; /* instructions to the end of its block */
    uint32_t host_start; /* host offset where its code begins, for the log */
    uint32_t host_label; /* host offset of its label, once placed */
};

/* A rel32 to an instruction that is not placed yet. */
struct xlat_fixup {
    uint32_t at;
    uint16_t target;
};

/* Code of an exit that is emitted behind the body; a rel32 leads to it. */
struct xlat_stub {
    uint32_t at; /* offset of the rel32 */
    gip_t target;
    bool chainable; /* else it goes through the table */
    bool call;
};

struct xlat {
    struct xlat_config config;

    /* The TU. */
    gip_t gip;
    gfn_t gfn; /* of gip's page */
    uint32_t mode;
    uint32_t cs_base;
    uint32_t cs_limit;
    const uint8_t *page;
    const struct xlat_request *request;
    uint32_t insn_count;
    uint32_t page_end; /* offset behind the last byte read */
    struct xlat_insn insns[XLAT_MAX_INSNS];
    uint16_t index_at[PAGE_SIZE]; /* page offset -> instruction index */

    /* Emission. */
    struct emit e;
    int32_t delta;    /* guest ESP = r12 + delta */
    uint32_t current; /* index of the instruction being emitted */
    bool soft;        /* the current instruction's accesses are */
    struct ccf_point points[3 * XLAT_MAX_INSNS + 8];
    uint32_t point_count;
    struct ccf_exit exits[2 * XLAT_MAX_INSNS + 8];
    uint32_t record_at[2 * XLAT_MAX_INSNS + 8]; /* imm64 of its r9 load */
    uint32_t exit_count;
    uint32_t return_sites[XLAT_MAX_INSNS];
    uint32_t return_count;
    struct xlat_fixup fixups[XLAT_MAX_INSNS];
    uint32_t fixup_count;
    struct xlat_stub stubs[XLAT_MAX_INSNS + 1]; /* one each, and the end */
    uint32_t stub_count;
    uint32_t changed[XLAT_CHECKED_BYTES / 4]; /* rel32s of the source check */
    uint32_t changed_count;
};

/* Guest address of an instruction, and of the one behind it. */
static inline gip_t xlat_gip(const struct xlat *x, const struct xlat_insn *xi)
{
    return (x->gip & ~(gip_t)PAGE_MASK) + xi->offset;
}

static inline gip_t xlat_next(const struct xlat *x, const struct xlat_insn *xi)
{
    return xlat_gip(x, xi) + xi->in.len;
}

static inline struct insn_mode xlat_insn_mode(const struct xlat *x)
{
    return (struct insn_mode){.features = x->config.features,
                              .code32 = !(x->mode & MODE_CODE16)};
}

/* Offset in CS of a linear address, and back: what the guest sees are offsets, what
 * code is found by are linear addresses. */
static inline uint32_t xlat_eip(const struct xlat *x, gip_t gip)
{
    return gip - x->cs_base;
}

/* The target of a direct branch, cut to its operand size (SDM 2A "JMP"). */
static inline gip_t xlat_target(const struct xlat *x,
                                const struct xlat_insn *xi)
{
    uint32_t eip = xlat_eip(x, xlat_next(x, xi)) + (uint32_t)xi->in.imm;

    return x->cs_base + (xi->in.operand_size == 2 ? eip & 0xffff : eip);
}

static inline bool xlat_is_in_cs(const struct xlat *x, gip_t gip)
{
    return xlat_eip(x, gip) <= x->cs_limit;
}

/* scan.c: fill insns from the page. False when there is not even one. */
bool xlat_scan(struct xlat *x);

/* Whether the instruction at a page offset runs into the next page. */
bool xlat_crosses(const struct xlat *x, uint32_t offset);

/* The flow class of an instruction; by its handler in insn_ops.def. */
enum xlat_flow xlat_flow(const struct insn *in);

/* Direct branch target of a JMP, Jcc, LOOP, JECXZ or CALL with REL operand. */
bool xlat_is_direct(const struct insn *in);

/* ---- Building blocks of handlers (xlat.c) ---- */

/* Note that from here on the guest is at the current instruction with the
 * current delta. */
void xlat_point(struct xlat *x);

/* Apply the pending ESP delta to r12: before the current instruction has done
 * anything, and, without a new point, once it has. */
void xlat_sync(struct xlat *x);
void xlat_settle(struct xlat *x);

/* Leave for the interpreter to run the current instruction; goes on behind it
 * when it falls through. */
void xlat_step(struct xlat *x, const struct xlat_insn *xi);

/* Go to a guest address, by internal branch, chained exit or table. cc is the
 * condition, or -1 for always. delta must be 0. */
void xlat_goto(struct xlat *x, const struct xlat_insn *xi, int cc,
               gip_t target);

/* The check behind a host call: r8d must be the return address. */
void xlat_return_site(struct xlat *x, const struct xlat_insn *xi);

/* Load r9 with the record of a new exit and enter the glue. The record may be
 * filled in further until the next call. */
struct ccf_exit *xlat_emit_exit(struct xlat *x, enum exit_kind kind,
                                gip_t target);

/* jmp (or call) to a guest address outside the TU, chained or by the table. */
void xlat_leave(struct xlat *x, bool call, gip_t target);

/* Handlers; false: not translatable in this form, use xlat_step(). */
typedef bool xlat_fn(struct xlat *x, const struct xlat_insn *xi);

xlat_fn xlat_op_x87;
xlat_fn xlat_op_sse;

#define OP(mnemonic, feature, interp, handler, undefined_flags) \
    xlat_fn xlat_op_##handler;
#include "translator/decode/insn_ops.def"
#undef OP

/* Give an instruction that is to be copied an encoding of 64-bit mode.
 * inc/dec r (40-4F) => FF /0, FF /1: the short forms are REX there.
 * 82 /n => 80 /n: undefined there. */
void xlat_reencode(struct insn *in);

/* Emit a memory operand's instruction through the window; false as above. */
bool xlat_copy(struct xlat *x, const struct xlat_insn *xi);

/* Add to a 64-bit counter of the vcpu; takes r9. */
void xlat_add(struct xlat *x, int32_t counter, uint32_t count);

/* Whether the instruction reads or writes memory, its stack included. */
bool xlat_accesses_memory(const struct insn *in);

/* Of MODE_CHECKED (xlat_check.c). Whether the instruction has to be the TU's
 * last one; the comparison at the body's start, and where it leads to when it
 * fails. */
bool xlat_ends_checked(const struct insn *in);
void xlat_emit_source_check(struct xlat *x);
void xlat_emit_source_exit(struct xlat *x);

/* Whether the FPU is touched: the exit has to save it whole. */
bool xlat_uses_fpu(const struct insn *in);

/* ---- Memory operands (xlat_ref.c, xlat_soft.c) ---- */

/* A memory operand of the guest: the offset in its segment, and the access. */
struct xlat_operand {
    uint8_t seg; /* enum seg */
    uint8_t size;
    bool write;         /* it stores, whether it loads or not */
    bool encoded;       /* the offset is the instruction's own address; */
    bool wrap;          /* else it is [base + disp], cut to 16 bits if wrap */
    enum host_reg base; /* r8 or a guest register */
    int32_t disp;
};

/* How a host instruction addresses it. */
struct xlat_ref {
    bool window;  /* gs:, 32-bit address; else a host address */
    bool encoded; /* the instruction's own address; */
    uint8_t size; /* else [base + disp] of that size */
    enum host_reg base;
    int32_t disp;
};

/*
 * Where an operand is. Every memory access of translated code goes through here:
 *
 *      offset = the instruction's address, or base + disp, in 32 bits
 *      linear = offset + base of the segment, from the vcpu, once the limit was
 *               checked; the mode's kind of the segment says what of it there is
 *      host   = window + linear, by gs: and a 32-bit address; or, in an
 *               instruction that is soft, what the soft TLB has for linear
 *
 * Code is emitted only where something has to be computed: then the operand is at
 * [r8], and r8-r11 are lost. Keep a value across by xlat_hold(). A miss, or a check that fails, leaves the
 * CCF, and the interpreter runs the whole instruction: between its first byte and
 * the probe of its last operand nothing that the guest sees may have changed.
 * ESP-based addresses take x->delta as it is at the call.
 *
 * False: the operand has no translation, the instruction is a step.
 */
MUST_CHECK bool xlat_ref(struct xlat *x, const struct xlat_insn *xi,
                         const struct xlat_operand *operand,
                         struct xlat_ref *ref);

/* Whether xlat_ref() emits nothing for [base + disp] in the segment. */
bool xlat_ref_is_plain(const struct xlat *x, unsigned seg);

/* Whether it calls something, by which r10 and r11 are lost, too. */
bool xlat_ref_calls(const struct xlat *x, unsigned seg);

enum seg_kind xlat_seg_kind(const struct xlat *x, unsigned seg);

/* What is at SS:[ESP + disp], or SP, the pending delta applied. */
struct xlat_operand xlat_stack(const struct xlat *x, int32_t disp,
                               unsigned size, bool write);

/* Move the stack pointer, at the end of an instruction: the delta, or SP. */
void xlat_move_stack(struct xlat *x, int32_t by);

/* The offset of the instruction's memory operand, cut to its address size. */
void xlat_lea(struct xlat *x, enum host_reg dst, const struct insn *in);

/* Accesses of 16 or 32 bits to an operand that is not encoded; a load of 16 bits
 * zero-extends. A store of a constant may take r9. */
void xlat_load(struct xlat *x, enum host_reg dst, const struct xlat_ref *ref);
void xlat_store(struct xlat *x, const struct xlat_ref *ref, enum host_reg src);
void xlat_store_i(struct xlat *x, const struct xlat_ref *ref, uint32_t value);

/* Store r8d to an operand. */
MUST_CHECK bool xlat_store_r8(struct xlat *x, const struct xlat_insn *xi,
                              const struct xlat_operand *operand);

/* Keep a register's 64 bits over an xlat_ref(); one at a time. */
void xlat_hold(struct xlat *x, enum host_reg reg);
void xlat_held(struct xlat *x, enum host_reg reg);

/* r8d is a linear address: make r8 the host's, by the soft TLB, or leave. */
void xlat_probe(struct xlat *x, unsigned size, bool write);

/* BT and kin with a register offset, whose address is computed first; false as
 * above. */
bool xlat_soft_bit_test(struct xlat *x, const struct xlat_insn *xi);

/* A single string instruction by probes. */
bool xlat_soft_string(struct xlat *x, const struct xlat_insn *xi);

/* Load operand 0 (register or memory) of 16 or 32 bits into r8d; false as above. */
bool xlat_load_target(struct xlat *x, const struct xlat_insn *xi);

#endif /* TRANSLATOR_XLAT_PRIV_H */
