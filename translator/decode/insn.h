/* SPDX-License-Identifier: MIT */
#ifndef TRANSLATOR_DECODE_INSN_H
#define TRANSLATOR_DECODE_INSN_H

/*
 * PURPOSE: decode one 32-bit or 16-bit x86 instruction into our own form.
 *
 * The only user of Zydis. What is decoded is what insn_ops.def names: an
 * instruction that is not in that table, or that needs a CPU feature the
 * guest was not given, decodes as OP_INVALID, whose answer is #UD.
 *
 * A leaf: depends on monitor/base.h only, has no state, is thread-safe.
 */
#include "monitor/base.h"

/* CPU features that gate instructions; the guest's CPUID shows the same set. */
enum insn_feature {
    FEAT_BASE, /* everything up to the Pentium, no x87 */
    FEAT_CMOV,
    FEAT_X87,
    FEAT_MMX,
    FEAT_FXSR,
    FEAT_SEP,
    FEAT_SSE,
    FEAT_SSE2,
    FEAT_SSE3,
    FEAT_SSSE3,
    FEAT_SSE41,
    FEAT_SSE42,
    FEAT_POPCNT,
    FEAT_CLFLUSH,
    FEAT_MOVBE,
    FEAT_COUNT
};

enum insn_op {
    OP_INVALID,
#define OP(mnemonic, feature, interp, xlat, undefined_flags) OP_##mnemonic,
#include "translator/decode/insn_ops.def"
#undef OP
    OP_COUNT
};

#define INSN_MAX_LEN      15
#define INSN_MAX_OPERANDS 4

enum operand_kind {
    OPERAND_NONE,
    OPERAND_REG, /* general register: index 0-7, size 1, 2 or 4 */
    OPERAND_SEG, /* segment register: index is enum seg */
    OPERAND_CR,  /* control register number */
    OPERAND_DR,  /* debug register number */
    OPERAND_ST,  /* x87 stack slot */
    OPERAND_MM,
    OPERAND_XMM,
    OPERAND_MEM, /* address is in the insn's mem; size in bytes */
    OPERAND_IMM, /* value in imm (sign-extended to 32 bits where x86 does) */
    OPERAND_REL, /* branch target displacement in imm, sign-extended */
    OPERAND_FAR  /* ptr16:16/32: selector in imm2, offset in imm */
};

/*
 * For OPERAND_REG of size 1, index 4-7 are AH CH DH BH as encoded. Operands
 * that the opcode implies but assembly writes (the AL of IN, the 1 or CL of a
 * shift) stand in their written place and are not hidden. The size of an
 * immediate is that of the value it is extended to (ADD r32, imm8: 4).
 * LEA, INVLPG, NOP and the prefetches neither read nor write their OPERAND_MEM.
 */
struct insn_operand {
    uint8_t kind; /* enum operand_kind */
    uint8_t index;
    uint8_t size; /* bytes: 1 2 4 6 8 10 16; large areas (FXSAVE): 0 */
    bool read;
    bool written;
    bool hidden; /* not written in assembly: the EAX of MUL, the ESP of PUSH */
};

#define INSN_NO_REG 0xff

/*
 * Effective address: base + index * scale + disp, wrapped to address_size.
 *
 * String forms: the DS:eSI side (overrides applied) of MOVS, CMPS, LODS and
 * OUTS; the ES:eDI side of STOS, SCAS and INS. The ES:eDI side of MOVS and CMPS
 * is implied: it is neither here nor an operand. XLAT: base is eBX, the handler
 * adds AL. MASKMOVQ, MASKMOVDQU: base is eDI. The stack operand of PUSH, POP,
 * CALL and kin is not one.
 */
struct insn_mem {
    uint8_t seg;   /* enum seg, overrides applied */
    uint8_t base;  /* register index or INSN_NO_REG */
    uint8_t index; /* register index or INSN_NO_REG */
    uint8_t scale; /* 1 2 4 8 */
    int32_t disp;
};

/* MOVS, LODS, STOS, INS and OUTS test no flag: either prefix is REP_REPE. */
enum insn_rep { REP_NONE, REP_REPE, REP_REPNE };

struct insn {
    uint16_t op;           /* enum insn_op */
    uint8_t len;           /* bytes, prefixes included */
    uint8_t operand_size;  /* effective: 2 or 4 */
    uint8_t address_size;  /* effective: 2 or 4 */
    uint8_t operand_count; /* the written ones come first, then the hidden:
                            * registers only, as many as there is room for */
    uint8_t rep;           /* enum insn_rep; only for string instructions */
    bool lock;
    bool seg_override;
    bool has_mem; /* mem is valid (one memory operand with ModRM,
                            * moffs, or the implied one of a string form) */
    uint8_t cc;   /* condition of Jcc, SETcc, CMOVcc: 0-15 */

    /* Raw layout, for the byte-copying emitter. */
    uint8_t map; /* 0: one-byte, 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t opcode;
    uint8_t prefix_len; /* legacy prefixes in front of the opcode */
    uint8_t mandatory;  /* 66h, F2h or F3h when it selects the opcode */
    bool has_modrm;
    bool has_sib;
    uint8_t modrm;
    uint8_t sib;
    uint8_t disp_len;    /* bytes: 0 1 2 4 */
    uint8_t disp_offset; /* of the displacement within the instruction */
    uint8_t imm_len;     /* bytes of all immediates */
    uint8_t imm_offset;  /* of the first immediate within the instruction */
    uint8_t bytes[INSN_MAX_LEN];

    struct insn_mem mem;
    int32_t imm;              /* first immediate, displacement or far offset */
    uint16_t imm2;            /* ENTER's second, far selector */
    uint32_t flags_read;      /* EFLAGS bits tested */
    uint32_t flags_written;   /* EFLAGS bits set, cleared, or left undefined */
    uint32_t flags_undefined; /* of those: undefined for some operand values */
    uint32_t flags_kept;      /* of those: kept by some operand values (a shift
                               * count of 0, REP with a count of 0) */
    struct insn_operand operand[INSN_MAX_OPERANDS];
};

/* What the decoder must know of the guest: static for a VM but for the bit of
 * CS. features is a mask of BIT(enum insn_feature). */
struct insn_mode {
    uint32_t features;
    bool code32;
};

/* Result of insn_decode(). */
enum insn_status {
    INSN_OK,
    INSN_UD,       /* not an instruction of this CPU: in->op is OP_INVALID,
                    * in->len is the number of bytes looked at */
    INSN_TOO_LONG, /* more than 15 bytes: #GP (SDM 2A 2.3.11) */
    INSN_SHORT     /* bytes ended before the instruction: fetch more */
};

/* Decode the instruction in the first len of bytes. *in is whole unless the
 * answer is INSN_SHORT. */
enum insn_status insn_decode(struct insn *in, struct insn_mode mode,
                             const uint8_t *bytes, size_t len);

/* "add" for OP_ADD; static string. */
const char *insn_name(enum insn_op op);

/* EFLAGS bits that the manual leaves undefined after op, for comparisons. */
uint32_t insn_undefined_flags(enum insn_op op);

enum insn_feature insn_feature(enum insn_op op);

/* Format the instruction, at its address, in Intel syntax into text. */
void insn_format(const struct insn *in, gip_t gip, bool code32, char *text,
                 size_t text_len);

/* Format one host (64-bit) instruction for -d host; returns its length, or 1
 * for a byte that is none. */
size_t insn_format_host(const uint8_t *bytes, size_t len, uint64_t address,
                        char *text, size_t text_len);

#endif /* TRANSLATOR_DECODE_INSN_H */
