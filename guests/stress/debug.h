/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_H
#define DEBUG_H

/*
 * PURPOSE: what the parts of the test of debug exceptions share.
 *
 * A program is a table of instructions, in the order that they are executed,
 * each with what it does to the flags, to ESP and to memory (debug_code.c makes
 * them). The model goes through the table under given debug registers and lists
 * every exception there must be (debug_model.c); then the program runs, and each
 * trap is compared with the list (debug.c).
 */
#include <stdbool.h>
#include <stdint.h>

/* SDM Vol.3B "Debug Registers". */
enum {
    DR6_BD = 1 << 13,
    DR6_BS = 1 << 14,
    DR6_CAUSES = 0xE00F,
    DR7_ONES = 0x400,
    DR7_GD = 1 << 13,
};
enum { BREAK_EXECUTE, BREAK_WRITE, BREAK_IO, BREAK_ACCESS };

struct debug_regs {
    uint32_t dr[4];
    uint32_t dr7;
};

enum {
    DEBUG_CODE = 0x50000000,  /* two pages */
    DEBUG_DATA = 0x48000000,  /* two pages */
    DEBUG_ALIAS = 0x4A000000, /* the same frames */
    DEBUG_DEMAND = 0x4C000000,
    DEMAND_PAGES = 4, /* absent until touched */
    DEBUG_PORT = 0xEE40,
    DEBUG_FS = 0x33, /* SLOT_TEST: data of ring 3 at DEBUG_FS_BASE */
    DEBUG_FS_BASE = 0x123450,
    VECTOR_CALL = 0x81, /* int 81h: the handler does what the list says */
};

enum op_kind {
    OP_PLAIN,
    OP_SKIPPED, /* faults; the handler skips it */
    OP_SOFT,    /* INT n */
    OP_LOAD_SS,
    OP_FLAGS, /* clears and sets flags */
    OP_STRING,
    OP_SET_DR7,
    OP_READ_DR, /* what DR7.GD is for */
};

enum touch_base { AT_ADDRESS, AT_STACK, AT_PORT };

/* A memory operand, or a port. */
struct touch {
    uint32_t at;
    uint8_t base;
    uint8_t size;
    bool write;
};

struct op {
    uint8_t kind, len, vector;
    int8_t esp;    /* is added to ESP */
    uint16_t at;   /* offset in the program */
    uint16_t goes; /* the instruction that is executed next */
    uint32_t error;
    uint32_t clear, set; /* OP_FLAGS: TF, RF, IF */
    uint32_t dr7;
    uint32_t count; /* OP_STRING: iterations */
    bool down;
    struct touch touch[3];
    uint8_t touches;
};

enum { OPS_MAX = 160, EVENTS_MAX = 400, PROGRAM_MAX = 1400 };

struct program {
    struct op op[OPS_MAX];
    uint32_t ops;
    uint32_t len;
    uint8_t bytes[PROGRAM_MAX];
    uint32_t at;    /* where it runs */
    bool user;      /* ring 3 */
    uint32_t flags; /* IF and IOPL at its start */
    uint32_t esp;
};

/* What the handler does before it returns. */
enum action {
    DO_NOTHING,
    DO_RESUME,   /* sets RF */
    DO_DISABLE,  /* loads DR7 */
    DO_SKIP,     /* goes behind the instruction */
    DO_MAP,      /* maps the page */
    DO_DEBUG,    /* loads the debug registers */
    DO_STEP,     /* sets TF */
    DO_NOT_STEP, /* clears TF */
    DO_END,
};

struct event {
    uint8_t vector, action;
    uint8_t note; /* enum note */
    bool any_rf;  /* see general_detect() */
    uint32_t error, eip, esp, flags;
    uint32_t dr6, may; /* of #DB; bits that may be set, too */
    uint32_t cr2;      /* of #PF */
    uint32_t arg;      /* of the action */
    uint32_t dr6_left; /* what the handler of #DB writes to DR6 */
};

/* The flags that are compared. */
#define DEBUG_FLAGS 0x37302u /* bit 1, TF, IF, IOPL, NT, RF, VM */

struct expected {
    struct event event[EVENTS_MAX];
    uint32_t count;
    bool unclear; /* the manual does not say what happens */
};

/* Make a random program for p->at, p->user, p->flags and p->esp. */
void debug_program(struct program *p);

/* Random debug registers whose breakpoints the program may meet. */
void debug_random_regs(const struct program *p, struct debug_regs *regs);

/* R/W of breakpoint n: BREAK_... */
uint32_t debug_break_type(const struct debug_regs *regs, uint32_t n);
/* Breakpoints on executing at eip, as bits of DR6; those that are not enabled, too,
 * if asked for. */
uint32_t debug_execute_hits(const struct debug_regs *regs, uint32_t eip,
                            bool enabled_only);
/* What the instruction touches in the iteration behind `done` ones. */
uint32_t debug_touch_address(const struct op *op, const struct touch *touch,
                             uint32_t done);
/* Breakpoints on what it touches then. */
uint32_t debug_touch_hits(const struct debug_regs *regs, const struct op *op,
                          uint32_t done, bool enabled_only);

/* Everything the program raises when it starts with these. Both pages of code
 * are there, or the second one comes on demand. */
void debug_model(const struct program *p, const struct debug_regs *regs,
                 bool stepping, bool whole, struct expected *expected);

/* Registers of DO_DEBUG: the model chooses them, event.arg is the index. */
enum { DEBUG_CHOICES = 8 };
extern struct debug_regs debug_choices[DEBUG_CHOICES];

/* Let ring 3 use VECTOR_CALL. */
void debug_open_call(void);

/* IRET to a program of ring 0 on a stack of its own. The handler of its last trap
 * returns to debug_leave, and that to the caller. */
void debug_enter(uint32_t eip, uint32_t esp, uint32_t flags);
extern const char debug_leave[];

void debug_steps_round(void);
void debug_hot_round(void);
void ports_round(void);

#endif /* DEBUG_H */
