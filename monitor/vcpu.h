/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_VCPU_H
#define MONITOR_VCPU_H

/*
 * PURPOSE: the architectural state of one virtual CPU, shared by every engine.
 *
 * Engines (the interpreter, the binary translator) are interchangeable at any
 * instruction boundary: between two instructions everything the guest can
 * observe is in here, in guest RAM and in the devices, and nowhere else.
 * Inside a CCF the general registers, ESP, the arithmetic flags and the FPU
 * live in host registers; leaving the CCF stores them back.
 *
 * The fields that generated code addresses come first; vcpu_offsets.h holds
 * their offsets for assembly, pinned by static asserts in vcpu.c.
 */
#include "monitor/base.h"
#include "monitor/stats.h"

enum reg {
    REG_EAX,
    REG_ECX,
    REG_EDX,
    REG_EBX,
    REG_ESP,
    REG_EBP,
    REG_ESI,
    REG_EDI,
    REG_COUNT
};

/* Segment registers, in the order of their encoding (SDM 2A 2.1.5). */
enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* EFLAGS (SDM 1 3.4.3 "EFLAGS Register"). */
#define FLAG_CF         BIT(0)
#define FLAG_ONE        BIT(1) /* always set */
#define FLAG_PF         BIT(2)
#define FLAG_AF         BIT(4)
#define FLAG_ZF         BIT(6)
#define FLAG_SF         BIT(7)
#define FLAG_TF         BIT(8)
#define FLAG_IF         BIT(9)
#define FLAG_DF         BIT(10)
#define FLAG_OF         BIT(11)
#define FLAG_IOPL       (3u << 12)
#define FLAG_NT         BIT(14)
#define FLAG_RF         BIT(16)
#define FLAG_VM         BIT(17)
#define FLAG_AC         BIT(18)
#define FLAG_VIF        BIT(19)
#define FLAG_VIP        BIT(20)
#define FLAG_ID         BIT(21)
#define FLAGS_ARITH     (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define FLAG_IOPL_SHIFT 12

/* CR0, CR4 (SDM 3A 2.5 "Control Registers"). */
#define CR0_PE         BIT(0)
#define CR0_MP         BIT(1)
#define CR0_EM         BIT(2)
#define CR0_TS         BIT(3)
#define CR0_ET         BIT(4)
#define CR0_NE         BIT(5)
#define CR0_WP         BIT(16)
#define CR0_AM         BIT(18)
#define CR0_NW         BIT(29)
#define CR0_CD         BIT(30)
#define CR0_PG         BIT(31)
#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define EFER_SCE       BIT(0)
#define EFER_NXE       BIT(11)

/* Exception vectors (SDM 3A 6.3.1 "External Interrupts" ff., Table 6-1). */
enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19
};

/* Page-fault error code (SDM 3A 4.7 "Page-Fault Exceptions"). */
#define PF_P BIT(0)
#define PF_W BIT(1)
#define PF_U BIT(2)
#define PF_R BIT(3) /* RSVD */
#define PF_I BIT(4)

/*
 * The attr word of a segment is the descriptor's bits 40-47 and 52-55 in the
 * layout that VMX calls "access rights" (SDM 3C 24.4.1 "Guest Register State").
 */
#define SEG_TYPE      0xfu /* with S: 8 code, 4 expand-down/conforming, ... */
#define SEG_ACCESSED  BIT(0)
#define SEG_WRITABLE  BIT(1) /* data: writable; code: readable */
#define SEG_DOWN      BIT(2) /* data: expand-down; code: conforming */
#define SEG_CODE      BIT(3)
#define SEG_S         BIT(4) /* code or data, not a system segment */
#define SEG_DPL       (3u << 5)
#define SEG_DPL_SHIFT 5
#define SEG_P         BIT(7)
#define SEG_AVL       BIT(12)
#define SEG_DB        BIT(14) /* 32-bit code, stack, or upper bound */
#define SEG_G         BIT(15)
#define SEG_UNUSABLE  BIT(16) /* null selector: any use is #GP (SS: #SS) */

struct segment {
    uint32_t base;
    uint32_t limit;    /* in bytes, granularity applied: last valid offset */
    uint32_t attr;     /* SEG_* above */
    uint16_t selector; /* visible part */
    uint16_t pad;
};

struct table_reg {
    uint32_t base;
    uint32_t limit; /* 16 bits; last valid offset */
};

/* Where an exception or interrupt comes from; decides DPL checks, error-code
 * EXT bit, RF and double-fault rules (SDM 3A 6.4, 6.12, 6.15). */
enum exc_kind {
    EXC_KIND_NONE,
    EXC_KIND_FAULT,    /* raised by the instruction at eip: eip is pushed */
    EXC_KIND_TRAP,     /* #DB single step: raised after it, eip is the next */
    EXC_KIND_SOFT,     /* INT n: gate DPL is checked */
    EXC_KIND_SOFT_EXC, /* INT3, INTO: gate DPL is checked, as an exception */
    EXC_KIND_INTR,     /* external interrupt */
    EXC_KIND_NMI
};

/* A pending guest exception is a value; exc_deliver() consumes it. */
struct exc {
    enum exc_kind kind;
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint32_t cr2;     /* #PF only: written to CR2 by delivery */
    gip_t return_eip; /* what is pushed: of the instruction, or of the next */
};

/* Boundary after which an interrupt may not be delivered yet (SDM 3A 6.8.3
 * "Masking Exceptions and Interrupts When Switching Stacks"; SDM 2B "STI"). */
enum inhibit { INHIBIT_NONE, INHIBIT_STI, INHIBIT_MOV_SS };

/* Why the run loop was left; first reason wins. */
enum stop_reason {
    STOP_NONE,
    STOP_POWER_OFF, /* guest asked for it through the board: status 0 */
    STOP_RESET,     /* guest reset; the vm resets or, -no-reboot, ends */
    STOP_EXIT_CODE, /* isa-debug-exit: status in code */
    STOP_SHUTDOWN,  /* triple fault */
    STOP_UNIMPL,    /* the guest needs what popf does not model */
    STOP_HOST,      /* a host resource failed */
    STOP_QUIT       /* the user asked (Ctrl-A x, SIGTERM, monitor quit) */
};

struct stop {
    enum stop_reason reason;
    int code;
    char text[240];
};

/* Bits of a frame's byte in frame_flags. A store to a frame whose byte is not
 * zero is announced through ram_stored() after it was done. */
#define FRAME_TABLE BIT(0) /* a guest page table that the shadow derives from */
#define FRAME_CODE  BIT(1) /* translated code */
#define FRAME_DIRTY BIT(2) /* a device logs stores (frame buffer) */

/* What an engine's run() returns: shaped like KVM's exit reasons. */
enum vcpu_exit {
    VCPU_EXIT_INTR,  /* kicked: look at interrupts, timers, stop */
    VCPU_EXIT_EXC,   /* vcpu->exc is to be delivered */
    VCPU_EXIT_HLT,   /* HLT retired, or an x87 instruction that waits for the
                      * error interrupt did not: sleep until an interrupt */
    VCPU_EXIT_STOP,  /* vcpu->stop is set */
    VCPU_EXIT_BUDGET /* the instruction budget of this run is used up */
};

/*
 * The soft path's TLB: what translated code looks up inline for accesses that
 * must not go through a window. Direct-mapped by the low bits of the page
 * number. A tag plus an address is the offset in the page that the slot holds,
 * or 4096 and more for every address that is not in it: the tag is the negated
 * address of the page, or SOFT_TLB_NONE() for no page. Read and write tags of a
 * slot never name different pages.
 */
#define SOFT_TLB_SLOTS      256u
#define SOFT_TLB_NONE(slot) (0x80000u - ((uint32_t)(slot) << 12))

/* Which code has every memory operand looked up so. Only YOUNG is of use but to
 * tests, and to find out which side a fault is on: what the guest sees is the
 * same. */
enum soft_mode {
    SOFT_YOUNG, /* user address spaces, until they have run for a while */
    SOFT_NONE,
    SOFT_ALL
};

/* Mechanisms that make an engine fast and nothing else: with one switched off
 * (-accel bt,off=NAME:NAME, for tests) the guest sees the same. */
enum mechanism {
    MECHANISM_CHAINING,       /* exits are patched to lead to other CCFs */
    MECHANISM_HOST_RETURNS,   /* a guest call is a host call */
    MECHANISM_REGIONS,        /* a TU goes on behind branches and calls */
    MECHANISM_OUT_OF_SYNC,    /* leaf tables change freely until a flush */
    MECHANISM_ADAPTIVE_SITES, /* an access that traps gets the soft path */
    MECHANISM_EAGER_INSTALL,  /* pages are mapped ahead of their fault */
    MECHANISM_TAKE_BACK,      /* dead code lives again with its source bytes */
    MECHANISM_SOURCE_CHECKS,  /* CCFs of mixed pages compare their source */
    MECHANISM_COUNT
};

struct soft_tlb {
    uint32_t read[SOFT_TLB_SLOTS];
    uint32_t write[SOFT_TLB_SLOTS];
    uint64_t addend[SOFT_TLB_SLOTS]; /* host address - gva */
};

/*
 * What a segment asks of code that accesses memory through it. Two bits each in
 * vcpu->seg_kinds, segment 0 lowest.
 */
enum seg_kind {
    SEG_KIND_FLAT,    /* writable data, base 0, limit 4 GiB: nothing */
    SEG_KIND_BASED,   /* the same with a base, which is added */
    SEG_KIND_LIMITED, /* the offset's upper bound is checked, base added */
    SEG_KIND_DOWN     /* both bounds are checked, base added */
};

/*
 * The check, for generated code that must leave the flags alone: the last
 * byte's offset plus read (or write) is below 4 GiB if the access is within the
 * upper bound; DOWN: the inverted first offset plus low likewise within the
 * lower. What may not be read or written at all has 4 GiB there.
 */
struct seg_check {
    uint64_t read;
    uint64_t write;
    uint32_t low; /* first valid offset */
    uint32_t pad;
};

struct vm;

struct vcpu {
    /* Addressed by generated code. */
    uint32_t regs[REG_COUNT];
    uint32_t eip;    /* offset in CS */
    uint32_t eflags; /* all but IF, which is if_flag; FLAG_ONE set */
    uint8_t if_flag; /* EFLAGS.IF, 0 or 1, a byte so that CLI is a store */
    uint8_t inhibit; /* enum inhibit */
    uint8_t cpl;     /* 0..3 */
    volatile uint8_t kick;        /* leave the engine at the next boundary */
    uint32_t seg_base[SEG_COUNT]; /* copy of seg[].base for generated code */
    struct bt_vcpu *bt;        /* the translator engine's own state, or NULL */
    uint64_t ccf_retired;      /* instructions counted by CCFs */
    uint64_t user_memops;      /* memory operands of CPL 3 in CCFs, by block */
    uint64_t user_memops_soft; /* those of sites on the soft path */
    uint64_t soft_pc; /* return address of the probe that missed; scratch */
    uint64_t held;    /* scratch of one instruction in generated code */
    gip_t sti_gip;    /* behind the last STI of generated code: a hint */
    struct seg_check seg_check[SEG_COUNT]; /* derived from seg */
    uint32_t seg_kinds;                    /* likewise: enum seg_kind */
    bool irq_line; /* the interrupt controller's INTR output */
    uint8_t fpu[512] __attribute__((aligned(64))); /* FXSAVE image */
    struct soft_tlb soft_tlb[2];                   /* of CPL 0-2, of CPL 3 */

    /* Everything else. */
    struct segment seg[SEG_COUNT];
    struct segment ldtr;
    struct segment tr;
    struct table_reg gdtr;
    struct table_reg idtr;
    uint32_t cr0;
    uint32_t cr2;
    uint32_t cr3;
    uint32_t cr4;
    uint64_t pdpte[4]; /* PAE: loaded by MOV CR3 and by CR0/CR4 writes */
    uint32_t dr[8];
    uint64_t efer; /* NXE only; SYSCALL is not offered */
    uint32_t sysenter_cs;
    uint32_t sysenter_esp;
    uint32_t sysenter_eip;
    uint64_t pat;
    uint64_t misc_enable;
    uint64_t mtrr_def_type;
    uint64_t mtrr_fixed[11];
    uint64_t mtrr_base[8];
    uint64_t mtrr_mask[8];
    uint64_t apic_base;
    uint64_t tsc_offset; /* guest TSC = machine's TSC + tsc_offset */

    /* Machine's TSC = host TSC - tsc_stopped: it stands still when guest time
     * does, and is not the host's after the state was loaded. */
    uint64_t tsc_stopped;

    struct exc exc;      /* valid after VCPU_EXIT_EXC */
    bool a20;            /* A20 gate open */
    bool ferr;           /* FERR# asserted: an x87 error with CR0.NE clear */
    bool ignne;          /* IGNNE# asserted by the board */
    uint64_t retired;    /* guest instructions retired, both engines */
    struct stop *stop;   /* the vm's; first reason wins */
    struct stats *stats; /* the vm's */
    struct vm *vm;       /* back pointer; opaque outside monitor/ */
};

/* Power-up state (SDM 3A 9.1.1 "Processor State After Reset"). Keeps the
 * pointers. */
void vcpu_reset(struct vcpu *vcpu);

/* Make every slot empty. */
void soft_tlb_init(struct soft_tlb *tlb);

/* EFLAGS as PUSHF sees it, RF and VM included. */
static inline uint32_t vcpu_eflags(const struct vcpu *vcpu)
{
    return vcpu->eflags | (vcpu->if_flag ? FLAG_IF : 0);
}

/* Replace EFLAGS whole: no privilege rules are applied, bit 1 is forced. */
static inline void vcpu_set_eflags(struct vcpu *vcpu, uint32_t value)
{
    vcpu->eflags = (value & ~(uint32_t)FLAG_IF) | FLAG_ONE;
    vcpu->if_flag = (value & FLAG_IF) != 0;
}

static inline unsigned vcpu_iopl(const struct vcpu *vcpu)
{
    return (vcpu->eflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT;
}

static inline unsigned segment_dpl(const struct segment *segment)
{
    return (segment->attr & SEG_DPL) >> SEG_DPL_SHIFT;
}

/* Set a segment register's visible and hidden parts, and what is derived from
 * them. Loading CS does not change cpl: the caller does. */
void vcpu_set_seg(struct vcpu *vcpu, enum seg index,
                  const struct segment *segment);

static inline enum seg_kind vcpu_seg_kind(const struct vcpu *vcpu,
                                          enum seg index)
{
    return vcpu->seg_kinds >> 2 * index & 3;
}

/* Record a fault of the instruction at eip. Always returns false, so that
 * access functions can `return vcpu_fault(...)`. */
bool vcpu_fault(struct vcpu *vcpu, unsigned vector);
bool vcpu_fault_error(struct vcpu *vcpu, unsigned vector, uint32_t error);
bool vcpu_page_fault(struct vcpu *vcpu, gva_t cr2, uint32_t error);

/* Ask the run loop to stop; the first reason wins. Kicks the vcpu. */
void vcpu_stop(struct vcpu *vcpu, enum stop_reason reason, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Print registers, segments and control registers to stream (a FILE *). */
void vcpu_dump(const struct vcpu *vcpu, void *stream);

#endif /* MONITOR_VCPU_H */
