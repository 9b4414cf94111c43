/* SPDX-License-Identifier: MIT */
#ifndef TESTS_EMIT_CHECK_PRIV_H
#define TESTS_EMIT_CHECK_PRIV_H

/*
 * PURPOSE: what the parts of the checker share: the unit being judged, and what is
 * known of registers.
 */
#include <Zydis/Zydis.h>

#include "emit_check.h"

/* What is known of a register's 64 bits. */
enum fact_kind {
    FACT_ANY,     /* nothing */
    FACT_UPTO,    /* at most n */
    FACT_CONST,   /* n */
    FACT_INITIAL, /* what register reg held at the start */
    FACT_SPAN32,  /* register reg + n, in 32 bits */
    FACT_SPAN64,  /* register reg + n, in 64 bits */
    FACT_SAR,     /* register reg, 32 bits, shifted right by n */
    FACT_SHL,     /* and back to the left */
    FACT_NOT,     /* and inverted */
    FACT_WINDOW,  /* window + 32 bits */
    FACT_HOST     /* n bytes are there, writable or not */
};

struct fact {
    uint8_t kind;
    uint8_t reg;
    bool write;
    uint64_t n;
};

enum {
    R_RAX,
    R_RCX,
    R_RDX,
    R_RBX,
    R_RSP,
    R_RBP,
    R_RSI,
    R_RDI,
    R_R8,
    R_R9,
    R_R10,
    R_R11,
    R_R12,
    R_R13,
    R_R14,
    R_R15,
    R_HELD, /* vcpu->held */
    R_COUNT
};
#define R_NONE 0xffu

struct facts {
    struct fact of[R_COUNT];
    int32_t pushed; /* bytes on the host call stack; PUSHED_MIXED: it depends */
    bool reached;
};
#define PUSHED_MIXED INT32_MIN

/* Like an assignment, which would be a call of memcpy() that AddressSanitizer
 * checks, for each instruction on each path. */
static inline void facts_copy(struct facts *to, const struct facts *from)
{
    for (unsigned r = 0; r < R_COUNT; r++) {
        to->of[r] = from->of[r];
        __asm__ volatile("" ::: "memory");
    }
    to->pushed = from->pushed;
    to->reached = from->reached;
}

struct host_insn {
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
    bool decoded; /* in and op are of bytes */
    uint32_t offset;
    uint64_t to; /* absolute target of a relative branch, else 0 */
    bool landed; /* something else than the one before leads here */
    bool dirty;  /* its facts changed since they were handed on */
    struct facts before;
};

enum unit { UNIT_CCF, UNIT_PROBE, UNIT_LIMIT };

/* Handlers of insn_ops.def. */
enum handler {
    HANDLER_none,
    HANDLER_call,
    HANDLER_cli,
    HANDLER_copy,
    HANDLER_fallback,
    HANDLER_jcc,
    HANDLER_jmp,
    HANDLER_lea,
    HANDLER_leave,
    HANDLER_loop,
    HANDLER_mov,
    HANDLER_mov_seg,
    HANDLER_nop,
    HANDLER_pop,
    HANDLER_push,
    HANDLER_pushf,
    HANDLER_rdtsc,
    HANDLER_ret,
    HANDLER_sse,
    HANDLER_sti,
    HANDLER_string,
    HANDLER_transfer,
    HANDLER_x87
};

/* The guest instruction whose code is being judged. */
struct guest_insn {
    uint32_t offset; /* from the TU's gip */
    enum handler handler;
    bool decoded;
    bool soft;
    bool copied; /* has been met */
    int32_t delta;
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

#define NO_INSN UINT32_MAX

struct emit_check {
    struct xlat_config config;
    ZydisDecoder host;
    ZydisDecoder code32;
    ZydisDecoder code16;
    uint64_t judged;

    enum unit unit;
    const struct ccf *ccf;
    uint32_t mode;
    uint64_t source;
    uint32_t source_len;
    struct emit_function function; /* code, rx and len of a CCF, too */

    struct host_insn *insns;
    uint32_t count;
    uint32_t capacity;
    uint32_t *index_at; /* offset -> instruction or NO_INSN */
    uint32_t index_capacity;

    uint8_t guest_bytes[2 * PAGE_SIZE];
    uint32_t guest_len;
    struct guest_insn guest;

    const char *why;
    uint32_t where; /* instruction, or NO_INSN */
};

/* Record the first offence. Always false. */
bool emit_refuse(struct emit_check *check, uint32_t index, const char *why);

/* The instruction at an offset, or NO_INSN. */
static inline uint32_t emit_index_at(const struct emit_check *check,
                                     uint64_t offset)
{
    return offset < check->function.len ? check->index_at[offset] : NO_INSN;
}

/* ---- facts.c ---- */

/* Is the register's upper half zero? */
bool fact_is_u32(const struct fact *fact);
/* The largest value that it can be. */
uint64_t fact_bound(const struct fact *fact);

/* What holds at an entry: guest registers are zero-extended. target: so is r8. */
struct facts facts_at_entry(bool target);
/* What holds at a function's start. */
struct facts facts_at_function(enum unit unit);

/* What holds behind an instruction that does not leave: *facts is what holds
 * before it, h->before. */
void facts_step(const struct emit_check *check, struct facts *facts,
                const struct host_insn *h);

/* Weaken *to to what holds in both. True when that changed it. */
bool facts_merge(struct facts *to, const struct facts *from);

/* Number of the 64-bit register that contains reg; R_NONE: it is none. */
unsigned register_number(ZydisRegister reg);

/* ---- flow.c ---- */

/* A call of a function of the glue. */
enum callee { CALLEE_NONE, CALLEE_PROBE, CALLEE_LIMIT };
enum callee flow_callee(const struct emit_check *check, uint64_t to,
                        bool *write);

/* Follow all paths until the facts stand. */
bool flow_analyse(struct emit_check *check);

/* Where control goes from an instruction. */
bool flow_judge(struct emit_check *check, uint32_t index);

/* ---- insn.c, memory.c, copy.c ---- */

bool insn_judge(struct emit_check *check, uint32_t index);
bool memory_judge(struct emit_check *check, uint32_t index);

/* Go on to the guest instruction of a host offset. */
bool copy_advance(struct emit_check *check, uint32_t index);
/* Behind the last one. */
bool copy_end(struct emit_check *check);
/* Is it the guest's own instruction? */
bool copy_is_guests(const struct emit_check *check, const struct host_insn *h);
bool copy_judge(struct emit_check *check, uint32_t index);

#endif /* TESTS_EMIT_CHECK_PRIV_H */
