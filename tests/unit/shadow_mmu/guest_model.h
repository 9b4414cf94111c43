/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHADOW_MMU_GUEST_MODEL_H
#define TESTS_UNIT_SHADOW_MMU_GUEST_MODEL_H

/*
 * PURPOSE: a guest without a translator: RAM, one vcpu, a shadow MMU, and
 * accesses that really go through the windows, with a SIGSEGV handler that
 * calls mmu_fault() as the monitor's does; and what the manual says each access
 * should do, by a page walk of its own.
 */
#include "shadow_mmu/gmem.h"
#include "shadow_mmu/mmu.h"

#define MODEL_RAM    (16 * MIB)
#define MODEL_FRAMES ((uint32_t)(MODEL_RAM / PAGE_SIZE))

struct model {
    struct gmem *gmem;
    struct mmu *mmu;
    struct vcpu vcpu;
    struct stats stats;
    struct stop stop;
    bool wp_seen;
    unsigned unmapped;             /* code_unmapped() upcalls */
    unsigned switched;             /* user_switched() upcalls */
    unsigned code_written;         /* code_written() upcalls */
    gfn_t fetched_kernel[BIT(20)]; /* 1 + frame that code was fetched from */
    gfn_t fetched_user[BIT(20)];
};

/* Every frame is filled with words that differ from all others. */
struct model *model_create(enum mmu_trace trace);
void model_destroy(struct model *model);

/* What an access comes to. */
enum outcome { DONE, EMULATED, SOFT, TRUE_FAULT };

struct expectation {
    enum outcome outcome;
    uint32_t error;    /* TRUE_FAULT */
    gfn_t gfn;         /* DONE, EMULATED in RAM */
    gpa_t leaf;        /* place of the last entry read, 0 if none */
    bool frame_is_ram; /* EMULATED: a store can be done by hand */
};

/* From the guest's tables as they are now. */
struct expectation model_expect(const struct model *model, gva_t gva,
                                bool write, bool fetch);

/* A 4-byte access through the window; EMULATED and SOFT have done nothing. */
enum outcome model_read(struct model *model, gva_t gva, uint32_t *value);
enum outcome model_write(struct model *model, gva_t gva, uint32_t value);

/* A store by the interpreter or a device: straight to RAM, announced if the
 * frame has flags. */
void model_store(struct model *model, gpa_t gpa, const void *data,
                 unsigned len);

uint32_t model_word(const struct model *model, gpa_t gpa);

#endif /* TESTS_UNIT_SHADOW_MMU_GUEST_MODEL_H */
