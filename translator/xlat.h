/* SPDX-License-Identifier: MIT */
#ifndef TRANSLATOR_XLAT_H
#define TRANSLATOR_XLAT_H

/*
 * PURPOSE: translate one TU into one CCF.
 *
 * A TU is a function-like region inside one page: instructions in address
 * order from its gip on, going on behind calls, conditional branches and
 * unconditional ones that an earlier forward branch jumps over. It ends at a
 * transfer nothing jumps over, before an instruction that leaves the page, or
 * at the size limit.
 *
 * What the translator does not compile becomes an EXIT_STEP: the interpreter
 * runs that one instruction.
 */
#include "cache/tc.h"
#include "monitor/vcpu.h"
#include "translator/decode/insn.h"

/* The state of the machine that shaped the code: the key's mode bits. */
#define MODE_USER    BIT(0)  /* CPL 3 */
#define MODE_X87     BIT(1)  /* x87 and MMX do not fault: CR0.EM = TS = 0 */
#define MODE_SSE     BIT(2)  /* as X87, and CR4.OSFXSR */
#define MODE_CHECKED BIT(3)  /* its frame is not traced: see xlat_check.c */
#define MODE_TSC     BIT(5)  /* RDTSC is allowed and shows the host's */
#define MODE_CODE16  BIT(22) /* CS.D clear */
#define MODE_STACK16 BIT(4)  /* SS.B clear: SP, not ESP */
#define MODE_COUNT   BIT(6)  /* count retired instructions */
#define MODE_IF      BIT(9)  /* CLI and STI are allowed: CPL <= IOPL */
#define MODE_SINGLE  BIT(7)  /* nothing is chained to it (lockstep) */
#define MODE_SOFT    BIT(8)  /* no memory operand goes through the window */

/* The rest names the base and limit of CS, which code knows as constants: it is up
 * to the caller which, but 0 is flat. */
#define MODE_CODE_SHIFT 23
#define MODE_CODE_COUNT 512u

/* Two bits each say the kind of a segment; FS and GS are never called flat, so
 * that their base makes no new mode. */
#define MODE_SEG_SHIFT      10
#define MODE_SEG(seg, kind) ((uint32_t)(kind) << (MODE_SEG_SHIFT + 2 * (seg)))

static inline enum seg_kind mode_seg_kind(uint32_t mode, unsigned seg)
{
    return mode >> (MODE_SEG_SHIFT + 2 * seg) & 3;
}

/* Addresses of the glue that CCFs jump to. */
struct xlat_glue {
    uint64_t exit;   /* leave to the monitor, r9 = exit record */
    uint64_t miss;   /* look r8d up in C */
    uint64_t lookup; /* look r8d up in the table */
    /* Host functions that look a linear address up in the soft TLB, by privilege
     * (0: CPL 0-2, 1: CPL 3) and access (0: load, 1: store); see
     * xlat_soft.c. */
    uint64_t probe[2][2];
    /* Host functions that check an offset and make a linear address of it, by
     * segment, access and kind (0: LIMITED, 1: DOWN); see xlat_ref.c. */
    uint64_t check[SEG_COUNT][2][2];
};

/* Offsets from the vcpu (r15) of what generated code touches. */
struct xlat_layout {
    int32_t eflags;
    int32_t if_flag;
    int32_t irq_line;
    int32_t seg_base;
    int32_t seg;         /* struct segment[SEG_COUNT] */
    int32_t sti_gip;     /* behind the last STI */
    int32_t seg_check;   /* struct seg_check[SEG_COUNT] */
    int32_t retired;     /* 64-bit counter of instructions in CCFs */
    int32_t user_memops; /* counters of memory operands */
    int32_t user_memops_soft;
    int32_t soft_tlb; /* struct soft_tlb[2] */
    int32_t soft_pc;  /* 64 bits that a probe uses */
    int32_t held;     /* 64 bits that one instruction uses */
};

/* Those of struct vcpu; golden files have invented ones. */
extern const struct xlat_layout xlat_vcpu_layout;

struct xlat_config {
    struct tc *tc;
    struct stats *stats;
    uint32_t features;  /* of the guest's CPU: BIT(FEAT_*) */
    uint32_t max_insns; /* per TU; 0: the default */
    struct xlat_glue glue;
    struct xlat_layout layout;
    void *opaque;
    bool no_host_returns; /* for tests: calls and returns are plain jumps, */
    bool no_regions;      /* and a TU ends at the first transfer */
    bool has_bmi2; /* the host has it: shifts that leave the flags alone */
    /* The memory access at this place trapped before: make it soft. */
    bool (*is_soft)(void *opaque, gfn_t gfn, uint32_t offset);
};

struct xlat;

/* 0 or -ENOMEM. config is copied. */
MUST_CHECK int xlat_create(struct xlat **out, const struct xlat_config *config);
void xlat_destroy(struct xlat *xlat);

/* What to translate. */
struct xlat_request {
    gip_t gip;
    uint32_t mode;    /* MODE_* */
    uint32_t cs_base; /* what the mode stands for */
    uint32_t cs_limit;
    gfn_t gfn[2];           /* frames of gip's page and of the next */
    const uint8_t *page[2]; /* their bytes; page[1] NULL: not asked for yet */
};

/* Translate a TU. The CCF is in the cache on return. NULL when the first
 * instruction crosses into a page that the request does not have, or exceeds the
 * limit of CS, or when the host has no memory for the CCF. */
struct ccf *xlat_tu(struct xlat *xlat, const struct xlat_request *request);

/* Write a probe for glue.probe[user][write] of a config whose layout and has_bmi2
 * are set; it jumps to miss when the soft TLB lacks the page. */
struct emit;
/* Likewise a function for glue.check[seg][write][down], which jumps to denied
 * when the access is not allowed. */
void xlat_write_check(struct emit *e, const struct xlat_config *config,
                      enum seg seg, bool write, bool down, uint64_t denied);
void xlat_write_probe(struct emit *e, const struct xlat_config *config,
                      bool user, bool write, uint64_t miss);

#endif /* TRANSLATOR_XLAT_H */
