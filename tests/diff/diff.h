/* SPDX-License-Identifier: MIT */
#ifndef TESTS_DIFF_DIFF_H
#define TESTS_DIFF_DIFF_H

/*
 * PURPOSE: the differential test's shared types: one case (an instruction and
 * the state before it), one outcome, and the address space that both sides see.
 *
 * Both sides hold the same bytes at the same linear addresses:
 *
 *   DIFF_CODE    2 pages, read-execute, INT3 but for the instruction
 *   DIFF_DATA    4 pages read-write, then 1 page read-only, holes around them
 *   DIFF_STACK   2 pages read-write, holes around them
 *
 * An instruction ends at one of two fixed places, so that a return address
 * pushed by an earlier case never points into the instruction of a later one:
 * wherever control goes, it meets INT3 or unmapped memory at once.
 */
#include "emu/cpu/interp.h"

#define DIFF_CODE        0x10000000u
#define DIFF_CODE_PAGES  2u
#define DIFF_CODE_END    0x800u  /* where an instruction ends ... */
#define DIFF_CODE_CROSS  0x1004u /* ... or here, to straddle two pages */
#define DIFF_DATA        0x20000000u
#define DIFF_DATA_PAGES  4u
#define DIFF_RDONLY      (DIFF_DATA + DIFF_DATA_PAGES * PAGE_SIZE)
#define DIFF_STACK       0x30000000u
#define DIFF_STACK_PAGES 2u
#define DIFF_INT3        0xcc

/* Selectors that Linux gives a 32-bit program on x86-64. */
#define DIFF_CS 0x23
#define DIFF_DS 0x2b

/* Data segments that are not flat: entries of the LDT on both sides. */
struct diff_segment {
    uint32_t base;
    uint32_t limit;
    bool expand_down;
    bool writable;
};

#define DIFF_SEGMENT_COUNT   3
#define DIFF_LDT_SELECTOR(n) ((uint16_t)(8 * (n) + 7))
extern const struct diff_segment diff_segments[DIFF_SEGMENT_COUNT];

/* Base of the data segment that selector names. */
uint32_t segment_base(uint16_t selector);

/* What an instruction may change besides memory. */
struct diff_state {
    uint8_t fpu[512] __attribute__((aligned(64))); /* FXSAVE image */
    uint32_t regs[REG_COUNT];
    uint32_t eip;
    uint32_t eflags;
    uint16_t seg[SEG_COUNT]; /* selectors; before: of DS and ES only */
};

/* Bytes that are stored on both sides before the case, if the place exists. */
struct diff_poke {
    uint32_t address; /* 0: none */
    uint32_t len;
    uint8_t bytes[512];
};

struct diff_case {
    struct diff_state before;
    struct insn insn;
    struct diff_poke operand; /* at the memory operand */
    struct diff_poke stack;   /* at the top of the stack */
};

#define DIFF_NO_FAULT    -1
#define DIFF_UNSUPPORTED -2 /* the interpreter stopped the machine */

struct diff_outcome {
    struct diff_state after; /* eip: as an exception pushes it */
    int vector;              /* or DIFF_NO_FAULT, DIFF_UNSUPPORTED */
    uint32_t error;          /* error code, or 0 */
    uint32_t cr2;            /* #PF only, else 0 */
};

/* One piece of the common address space. */
struct diff_region {
    uint32_t address;
    uint32_t page_count;
    bool writable; /* by the instruction */
    bool executable;
};

#define DIFF_REGION_COUNT 4
extern const struct diff_region diff_regions[DIFF_REGION_COUNT];

/* The region that address lies in, or -1. */
int region_of(uint32_t address);

/* --- random.c: a seeded generator; the same seed gives the same cases --- */

struct diff_random {
    uint64_t state;
};

uint64_t random_u64(struct diff_random *random);
uint32_t random_below(struct diff_random *random, uint32_t limit);
bool random_one_in(struct diff_random *random, uint32_t n);
/* Biased towards the values that break arithmetic. */
uint32_t random_corner(struct diff_random *random);

/* --- form.c: every encoding form of every instruction in the table --- */

struct diff_forms;

MUST_CHECK int forms_create(struct diff_forms **out);
void forms_destroy(struct diff_forms *forms);
size_t forms_count(const struct diff_forms *forms, enum insn_op op);

/* A random encoding of op, decoded; false if the draw is not usable. */
bool forms_draw(const struct diff_forms *forms, struct diff_random *random,
                enum insn_op op, struct insn *in);

/* Why op has no cases, or NULL. */
const char *forms_exemption(enum insn_op op);

/* --- case.c: the state before --- */

/* Fill test around test->insn; false if the case cannot be run safely. The
 * bytes of test->insn may be patched (displacements). */
bool case_fill(struct diff_case *test, struct diff_random *random);

/* Bits of EFLAGS that are undefined after this very case. */
uint32_t case_undefined_flags(const struct diff_case *test);

/* --- selector.c --- */

/* Give an instruction that reads a selector an interesting one. */
void case_fill_selector(struct diff_case *test, struct diff_random *random);

/* Would it read one that case_fill_selector() could not set? */
bool case_has_wild_selector(const struct diff_case *test);

/* --- host.c: the host CPU --- */

struct diff_host;

MUST_CHECK int host_create(struct diff_host **out);
void host_destroy(struct diff_host *host);
void host_run(struct diff_host *host, const struct diff_case *test,
              struct diff_outcome *outcome);
/* The host's bytes of a region, writable: address of diff_regions[region]. */
uint8_t *host_memory(struct diff_host *host, unsigned region);

/* --- guest.c: the interpreter --- */

struct diff_guest;

MUST_CHECK int guest_create(struct diff_guest **out);
void guest_destroy(struct diff_guest *guest);
void guest_run(struct diff_guest *guest, const struct diff_case *test,
               struct diff_outcome *outcome);
uint8_t *guest_memory(struct diff_guest *guest, unsigned region);
/* What the interpreter said when it stopped. */
const char *guest_stop_text(const struct diff_guest *guest);

/* --- compare.c --- */

/* Does the interpreter agree with the host? Memory is compared too, and made
 * equal again. text gets a report when not. */
bool outcomes_agree(const struct diff_case *test,
                    const struct diff_outcome *host,
                    const struct diff_outcome *guest, char *text,
                    size_t text_len);
bool memories_agree(const struct diff_case *test, struct diff_host *host,
                    struct diff_guest *guest, char *text, size_t text_len);

#endif /* TESTS_DIFF_DIFF_H */
