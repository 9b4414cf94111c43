/* SPDX-License-Identifier: MIT */
#ifndef TRANSLATOR_EMIT_X86_H
#define TRANSLATOR_EMIT_X86_H

/*
 * PURPOSE: write 64-bit host instructions. Emitters are named by the shape of
 * their operands; each one's encoding stands in emit_x86.c.
 *
 * Host register conventions of a CCF (docs/ARCHITECTURE.md, "Registers"):
 *
 *   rax rcx rdx rbx rbp rsi rdi   the guest's, zero-extended
 *   r12   guest ESP less the pending delta, zero-extended
 *   r13   window base (for string forms)
 *   r14   lookup table of the current mode
 *   r15   the vcpu
 *   r8    target gip at indirect transfers; scratch
 *   r9    exit record at exits; scratch
 *   r10 r11 scratch
 *   rsp   host call stack
 *   gs    base is the window
 *   flags the guest's arithmetic flags and DF
 *
 * The writer runs over the writable view of the code memory; addresses are
 * those of the executable view. Running out of room sets overflow and drops
 * the bytes, so callers check once, at the end.
 */
#include "monitor/base.h"
#include "translator/decode/insn.h"

enum host_reg {
    HOST_RAX,
    HOST_RCX,
    HOST_RDX,
    HOST_RBX,
    HOST_RSP,
    HOST_RBP,
    HOST_RSI,
    HOST_RDI,
    HOST_R8,
    HOST_R9,
    HOST_R10,
    HOST_R11,
    HOST_R12,
    HOST_R13,
    HOST_R14,
    HOST_R15
};

#define HOST_ESP    HOST_R12
#define HOST_WINDOW HOST_R13
#define HOST_TABLE  HOST_R14
#define HOST_VCPU   HOST_R15
#define HOST_TARGET HOST_R8
#define HOST_RECORD HOST_R9

struct emit {
    uint8_t *start; /* writable view */
    uint8_t *at;    /* next byte */
    uint8_t *end;
    uint64_t rx_start; /* address of start in the executable view */
    bool overflow;
};

static inline uint32_t emit_offset(const struct emit *e)
{
    return (uint32_t)(e->at - e->start);
}

static inline uint64_t emit_rx(const struct emit *e)
{
    return e->rx_start + emit_offset(e);
}

void emit_init(struct emit *e, uint8_t *start, uint8_t *end, uint64_t rx_start);
void emit_bytes(struct emit *e, const uint8_t *bytes, size_t len);
void emit_u8(struct emit *e, uint8_t value);
void emit_u32(struct emit *e, uint32_t value);
void emit_u64(struct emit *e, uint64_t value);

/* Host register that holds guest register reg. */
static inline enum host_reg host_of(unsigned reg)
{
    return reg == 4 ? HOST_ESP : (enum host_reg)reg;
}

/* 32-bit moves: mov dst, src; mov dst, imm32. */
void emit_mov_rr(struct emit *e, enum host_reg dst, enum host_reg src);
void emit_mov_ri(struct emit *e, enum host_reg dst, uint32_t value);
void emit_mov64_ri(struct emit *e, enum host_reg dst, uint64_t value);
/* 16-bit mov dst, src, which leaves dst's upper half; movzx dst32, src16. */
void emit_mov16_rr(struct emit *e, enum host_reg dst, enum host_reg src);
void emit_movzx16_rr(struct emit *e, enum host_reg dst, enum host_reg src);
/* 64-bit mov dst, src. */
void emit_mov64_rr(struct emit *e, enum host_reg dst, enum host_reg src);

/* lea dst32, [base + disp]: leaves the flags alone. */
void emit_lea_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                 int32_t disp);
/* lea dst16, [base + disp]: the upper half of dst stays. */
void emit_lea16_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                   int32_t disp);
/* lea dst64, [base + disp]. */
void emit_lea64_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                   int32_t disp);
/* lea dst32, [base + index]. */
void emit_lea32_rr(struct emit *e, enum host_reg dst, enum host_reg base,
                   enum host_reg index);
/* lea dst64, [base + index]. */
void emit_lea64_rr(struct emit *e, enum host_reg dst, enum host_reg base,
                   enum host_reg index);

/* lea reg32, [0 + reg*8]: reg from r8 on. */
void emit_lea_times8(struct emit *e, enum host_reg reg);

/* mov dst32, [base + disp] and back, ordinary host memory. */
void emit_load_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                  int32_t disp);
void emit_store_rd(struct emit *e, enum host_reg base, int32_t disp,
                   enum host_reg src);
void emit_store_rd_i(struct emit *e, enum host_reg base, int32_t disp,
                     uint32_t value);
/* mov byte [base + disp], imm8; movzx dst32, byte [base + disp]. */
void emit_store8_di(struct emit *e, enum host_reg base, int32_t disp,
                    uint8_t value);
void emit_load8_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                   int32_t disp);
/* movzx dst32, word [base + disp]. */
void emit_load16_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                    int32_t disp);
/* 64-bit forms of load and store. */
void emit_load64_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                    int32_t disp);
void emit_store64_rd(struct emit *e, enum host_reg base, int32_t disp,
                     enum host_reg src);

/* mov dst32, gs:[base32 + disp] and back; mov dword gs:[base32 + disp], imm. */
void emit_load_window(struct emit *e, enum host_reg dst, enum host_reg base,
                      int32_t disp);
/* movzx dst32, word gs:[base32 + disp]. */
void emit_load16_window(struct emit *e, enum host_reg dst, enum host_reg base,
                        int32_t disp);
void emit_store_window(struct emit *e, enum host_reg base, int32_t disp,
                       enum host_reg src);
void emit_store_window_i(struct emit *e, enum host_reg base, int32_t disp,
                         uint32_t value);

/* cmp reg32, imm32 (always the 7-byte form: heads are patched over). */
void emit_cmp_ri(struct emit *e, enum host_reg reg, uint32_t value);

/* jmp/call/jcc rel32 to an address of the executable view; the offset of the
 * rel32 field is returned, for patching. */
uint32_t emit_jmp(struct emit *e, uint64_t target);
uint32_t emit_call(struct emit *e, uint64_t target);
uint32_t emit_jcc(struct emit *e, unsigned cc, uint64_t target);

/* jecxz rel8 forward: returns the offset of the rel8, for emit_patch8(). */
uint32_t emit_jrcxz(struct emit *e);
uint32_t emit_jecxz(struct emit *e);
/* jmp rel8 forward, likewise. */
uint32_t emit_jmp8(struct emit *e);
void emit_patch8(struct emit *e, uint32_t at);
/* Point the rel32 at offset at to the current position. */
void emit_patch32(struct emit *e, uint32_t at);

/* jmp/call [r14 + index * 8] with a constant index, and through r9. */
void emit_jmp_table(struct emit *e, uint32_t index);
void emit_call_table(struct emit *e, uint32_t index);
/* movzx r9d, r8w; jmp/call [r14 + r9*8]. */
void emit_jmp_lookup(struct emit *e);
void emit_call_lookup(struct emit *e);

void emit_ret(struct emit *e);

/* lea r9, [rip + to offset]; target is an address near the code. */
void emit_lea_rip(struct emit *e, enum host_reg dst, uint64_t target);

/*
 * Copy a guest instruction, its registers renamed to the host's and its memory
 * operand, if any, led into the window; see emit_insn.c for the forms.
 *
 * esp_delta is added to ESP-based addresses. With mem_base other than
 * INSN_NO_REG the memory operand is [mem_base] in the window instead of the
 * encoded address. opcode_xor flips opcode bits (moffs forms are
 * re-encoded by the caller).
 *
 * False when the form has no 64-bit encoding (a high-byte register together
 * with a register that needs REX, ...): nothing was emitted.
 */
struct emit_insn {
    int32_t esp_delta;
    bool use_base; /* address is [base], base computed before */
    enum host_reg base;
    bool window; /* memory operand through gs (not for LEA) */
};
MUST_CHECK bool emit_insn(struct emit *e, const struct insn *in,
                          const struct emit_insn *how);

/* lea dst32, the effective address of in's memory operand (no segment). */
void emit_lea_operand(struct emit *e, enum host_reg dst, const struct insn *in,
                      int32_t esp_delta);

#endif /* TRANSLATOR_EMIT_X86_H */
