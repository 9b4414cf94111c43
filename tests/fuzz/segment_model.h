/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_SEGMENT_MODEL_H
#define TESTS_FUZZ_SEGMENT_MODEL_H

/*
 * PURPOSE: what the manual says that an instruction which loads segments, passes
 * gates or returns from them does: its pseudo-code, line by line (SDM 2A, 2B
 * "Operation" of each), with nothing of the interpreter's in it. The state is
 * the vcpu's in layout only.
 *
 * Where the manual leaves an order open, the model has one: parameters of a call
 * gate are read before anything is pushed; the accessed bit of SS is set when SS
 * has passed its checks, that of CS right before the first push.
 */
#include "monitor/vcpu.h"

#define MODEL_PAGES 256u /* 1 MiB, each linear page its own physical one */

/* What is done. */
enum seg_op {
    DO_MOV_REG,
    DO_MOV_MEM,
    DO_POP,
    DO_LOAD_FAR,
    DO_JMP,
    DO_CALL,
    DO_JMP_MEM,
    DO_CALL_MEM,
    DO_RETF,
    DO_RETF_IMM,
    DO_IRET,
    DO_INT,
    DO_INT3,
    DO_INTO,
    DO_INT1,
    DO_UD,
    DO_DIVIDE, /* by zero */
    DO_READ,   /* EAX from DS */
    DO_INTERRUPT,
    DO_LLDT,
    DO_LTR,
    DO_LAR,
    DO_LSL,
    DO_VERR,
    DO_VERW,
    DO_SYSENTER,
    DO_SYSEXIT,
    DO_COUNT
};

struct seg_insn {
    enum seg_op op;
    enum seg seg;      /* loaded: never CS */
    unsigned size;     /* of operands, 2 or 4 */
    unsigned len;      /* of the instruction */
    uint32_t at;       /* memory operand, in DS */
    uint32_t offset;   /* of a direct far pointer */
    uint16_t selector; /* of it; in AX, for those that take a register */
    uint16_t imm;      /* RETF; vector */
};

/* How it ended. */
enum model_end { MODEL_DONE, MODEL_FAULT, MODEL_STOP, MODEL_SHUTDOWN };

struct model_exc {
    unsigned vector;
    uint32_t error;
    bool has_error;
    bool fault;    /* of the fault class */
    bool software; /* INT n, INT3, INTO */
    uint32_t cr2;
    uint32_t eip; /* to return to */
};

struct model_cpu {
    uint32_t regs[REG_COUNT];
    uint32_t eip;
    uint32_t eflags;
    unsigned cpl;
    bool mov_ss; /* interrupts are held back */
    struct segment seg[SEG_COUNT];
    struct segment ldtr;
    struct segment tr;
    struct table_reg gdtr;
    struct table_reg idtr;
    uint32_t cr2;
    uint32_t sysenter_cs;
    uint32_t sysenter_esp;
    uint32_t sysenter_eip;
};

#define MODEL_TOUCHED_MAX 64u

struct model {
    struct model_cpu cpu;
    struct model_exc exc;
    bool stop;    /* what popf does not model was met */
    uint32_t ext; /* of error codes: 1 while an event is delivered */
    bool paging;
    uint8_t rights[MODEL_PAGES]; /* PTE bits: P, R/W, U/S; CR0.WP is set */
    uint8_t *ram;                /* MODEL_PAGES pages */
    bool (*is_ram)(uint32_t address);
    /* Descriptors that were read: on a fault the manual does not say whether
     * they are marked accessed. */
    uint32_t touched[MODEL_TOUCHED_MAX];
    unsigned touched_count;
};

/* A descriptor, and where it was found. */
struct model_desc {
    uint64_t raw;
    uint32_t at;
    uint16_t selector;
};

/* A stack to push on. */
struct model_stack {
    struct segment ss;
    uint32_t esp;
    bool inner;
};

/* The instruction at EIP. MODEL_FAULT: exc is to be delivered. */
enum model_end model_step(struct model *m, const struct seg_insn *in);

/* Deliver exc, and what its delivery raises. */
enum model_end model_deliver(struct model *m);

/* ---- Between the model's files ---- */

static inline unsigned desc_type(const struct model_desc *d)
{
    return d->raw >> 40 & 15;
}

static inline bool desc_is_segment(const struct model_desc *d)
{
    return d->raw >> 44 & 1;
}

static inline unsigned desc_dpl(const struct model_desc *d)
{
    return d->raw >> 45 & 3;
}

static inline bool desc_present(const struct model_desc *d)
{
    return d->raw >> 47 & 1;
}

static inline bool desc_is_code(const struct model_desc *d)
{
    return desc_is_segment(d) && (desc_type(d) & 8);
}

static inline bool desc_is_conforming(const struct model_desc *d)
{
    return desc_is_code(d) && (desc_type(d) & 4);
}

static inline bool desc_is_writable(const struct model_desc *d)
{
    return desc_is_segment(d) && (desc_type(d) & 10) == 2;
}

static inline bool desc_is_readable(const struct model_desc *d)
{
    return desc_is_segment(d) && (desc_type(d) & 10) != 8;
}

uint32_t desc_limit(const struct model_desc *d);
struct segment desc_load(const struct model_desc *d, uint16_t selector);

/* All return false with exc filled. */
bool model_fault(struct model *m, unsigned vector);
bool model_fault_error(struct model *m, unsigned vector, uint32_t error);
bool model_fault_selector(struct model *m, unsigned vector, uint16_t selector);
bool model_stop(struct model *m);

/* By linear address. user: with the rights of CPL 3. */
bool model_read(struct model *m, uint32_t at, void *to, unsigned len,
                bool user);
bool model_write(struct model *m, uint32_t at, const void *from, unsigned len,
                 bool user);
/* Through a segment, with the CPL's rights. */
bool model_read_seg(struct model *m, enum seg seg, uint32_t offset,
                    unsigned size, uint32_t *value);

/* False without a fault: no such entry in the table. */
bool model_in_table(const struct model *m, uint16_t selector, uint32_t *at);
/* vector(selector) when there is none. */
bool model_descriptor(struct model *m, unsigned vector, uint16_t selector,
                      struct model_desc *d);
bool model_mark(struct model *m, struct model_desc *d, uint64_t type_bits);

bool model_load_data(struct model *m, enum seg seg, uint16_t selector);

/* ESP + depth, in the current stack. */
bool model_peek(struct model *m, uint32_t depth, unsigned size,
                uint32_t *value);
void model_set_sp(struct model *m, uint32_t esp);
struct model_stack model_current_stack(const struct model *m);
bool model_inner_stack(struct model *m, unsigned dpl, struct model_stack *s);
bool model_room(struct model *m, const struct model_stack *s, unsigned count,
                unsigned size);
bool model_push(struct model *m, struct model_stack *s, uint32_t value,
                unsigned size);

/* CS:EIP at a CPL; with the stack they came with. */
void model_enter(struct model *m, const struct model_desc *cs, uint32_t eip,
                 unsigned cpl);
void model_use_stack(struct model *m, const struct model_stack *s);

/* The TSS that a task gate names, as far as the switch. Always false. */
bool model_task_gate(struct model *m, const struct model_desc *gate);

/* segment_far.c */
bool model_far(struct model *m, const struct seg_insn *in);

#endif /* TESTS_FUZZ_SEGMENT_MODEL_H */
