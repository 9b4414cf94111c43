/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_INTERP_H
#define EMU_CPU_INTERP_H

/*
 * PURPOSE: the reference interpreter: protected-mode x86 as the manual defines
 * it, one instruction at a time, written for clarity. It is an engine of its
 * own (-accel interp), the oracle that the translator is compared with, and
 * what the translator falls back on for whatever it does not compile.
 *
 * What it needs of the rest of the machine it gets as struct interp_host.
 */
#include "monitor/vcpu.h"
#include "translator/decode/insn.h"

struct interp;

/* A page of guest-physical memory, as the machine's map answers for it. */
struct host_page {
    uint8_t *hva;  /* its 4096 bytes, or NULL: MMIO or nothing */
    bool writable; /* false: ROM; stores are dropped */
};

/* Upcalls; opaque is handed back in each. */
struct interp_host {
    void *opaque;

    /* Look a frame up. Valid until interp_flush_tlb(). */
    struct host_page (*page)(void *opaque, gfn_t gfn);

    /* MMIO and unmapped space, size 1, 2, 4 or 8. */
    uint64_t (*mmio_read)(void *opaque, gpa_t gpa, unsigned size);
    void (*mmio_write)(void *opaque, gpa_t gpa, unsigned size, uint64_t value);

    uint32_t (*port_in)(void *opaque, uint16_t port, unsigned size);
    void (*port_out)(void *opaque, uint16_t port, unsigned size,
                     uint32_t value);

    /* The FERR# pin changed; vcpu->ignne is what the board answers with. May
     * be NULL. */
    void (*set_ferr)(void *opaque, bool level);

    /* The machine's TSC, before tsc_offset. */
    uint64_t (*tsc)(void *opaque);

    /* A store to a frame with flags was done by the interpreter, its page
     * walker (A and D bits) included. */
    void (*ram_stored)(void *opaque, gpa_t gpa, unsigned len);

    /* The guest did what invalidates translations: MOV CR3 (all non-global),
     * INVLPG (one page), a change of CR0/CR4/EFER paging bits (everything).
     * The interpreter's own TLB is flushed already. */
    void (*tlb_flushed_page)(void *opaque, gva_t gva);
    void (*tlb_flushed)(void *opaque, bool globals_too);

    /* One byte a frame, gfn < frame_count; FRAME_* above. May be NULL. */
    const uint8_t *frame_flags;
    gfn_t frame_count;

    /* CPUID features the guest has: what the decoder accepts. */
    uint32_t features;

    /* RDTSC/CPUID values are a function of the retired count (lockstep). */
    bool deterministic;

    /* Undefined flags are what the host's CPU leaves (lockstep). */
    bool host_flags;
};

/* 0, or -errno with *out untouched. host is copied; vcpu is borrowed. */
MUST_CHECK int interp_create(struct interp **out, struct vcpu *vcpu,
                             const struct interp_host *host);
void interp_destroy(struct interp *interp);

/* Run until an exit or until max instructions were retired. All state is in
 * the vcpu before and after. Never returns VCPU_EXIT_INTR without vcpu->kick;
 * an interrupt window that opens (STI, POPF, IRET, end of inhibition) with
 * vcpu->irq_line set sets the kick itself. */
enum vcpu_exit interp_run(struct interp *interp, uint64_t max);

/* Run exactly one instruction (or one delivery of its fault into vcpu->exc).
 * VCPU_EXIT_BUDGET means that it retired and nothing else is to be done. */
enum vcpu_exit interp_step(struct interp *interp);

/* Forget translations: of one page, of all. For changes that the interpreter
 * did not see itself: the physical map, another engine's INVLPG, A20. */
void interp_flush_page(struct interp *interp, gva_t gva);
void interp_flush_tlb(struct interp *interp);
/* Another engine found a page fault there: what is cached of the page goes. */
void interp_page_faulted(struct interp *interp, gva_t gva);

/* The host address of the page at gva, if a data read at this privilege is
 * known to reach RAM or ROM without a fault or side effect; NULL if not known.
 * *writable: a store likewise, to RAM that nobody wants to hear of. Valid until
 * the TLB is flushed, *writable also until the frame gets a FRAME_ flag. */
uint8_t *interp_peek_page(const struct interp *interp, gva_t gva, bool user,
                          bool *writable);

/* Opcode names and counts of what interp_step() was asked for, most frequent
 * first, for --stats: calls fn for each mnemonic with a count above zero. */
void interp_for_each_count(const struct interp *interp,
                           void (*fn)(void *opaque, const char *name,
                                      uint64_t count),
                           void *opaque);

#endif /* EMU_CPU_INTERP_H */
