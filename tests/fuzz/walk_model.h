/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_WALK_MODEL_H
#define TESTS_FUZZ_WALK_MODEL_H

/*
 * PURPOSE: linear-address translation as the manual has it (SDM 3A chapter 4
 * "Paging"), with nothing of the walkers of emu/cpu and shadow_mmu in it: for an
 * access to a page, every outcome that is allowed.
 *
 * There is more than one only where table entries were changed and not flushed
 * (SDM 3A 4.10 "Caching Translation Information"): the model remembers what each
 * entry was, until what flushes it. Any mixture of old and new levels is then
 * allowed if the old ones could have been cached: present, no reserved bit,
 * accessed (SDM 3A 4.10.2.2, 4.10.3.1), and dirty for a store to go unseen.
 */
#include "monitor/vcpu.h"

#define WALK_RAM   (2 * MIB)
#define GUESSES    256u
#define LOG_MAX    512u
#define FLUSH_MAX  128u
#define ROOTS_MAX  64u
#define NEVER_TIME UINT64_MAX

enum walk_access { WALK_READ, WALK_WRITE, WALK_FETCH };

/* One allowed outcome for a page. */
struct walk_guess {
    bool fault;
    uint32_t error;
    gpa_t page;     /* where it leads */
    unsigned depth; /* entries that it went through */
    gpa_t at[2];    /* and where they are */
};

struct walk_root {
    uint32_t cr3;
    uint64_t pdpte[4];
    uint64_t until;
};

/* Eight bytes of RAM, before a store at some time. */
struct walk_old {
    gpa_t at;
    uint64_t value;
    uint64_t until;
};

struct walk_flush {
    uint32_t page;
    bool whole; /* INVLPG: of all of a large page */
    uint64_t time;
};

struct walk_model {
    uint32_t cr0;
    uint32_t cr4;
    bool nxe;
    bool user;
    struct walk_root root;
    uint8_t *ram;
    uint8_t dirty[WALK_RAM / PAGE_SIZE]; /* frames that were stored to */
    uint64_t clock;
    uint64_t flushed_all;
    uint64_t flushed_local; /* all but global pages */
    struct walk_old old[LOG_MAX];
    unsigned old_count;
    struct walk_flush flush[FLUSH_MAX];
    unsigned flush_count;
    struct walk_root roots[ROOTS_MAX]; /* loaded once */
    unsigned root_count;
};

/* Nothing is cached. */
void walk_model_reset(struct walk_model *m);

bool walk_in_ram(gpa_t gpa);

/* Reads as ones where there is no RAM. */
uint64_t walk_model_read(const struct walk_model *m, gpa_t gpa, unsigned len);
void walk_model_store(struct walk_model *m, gpa_t gpa, const void *data,
                      unsigned len);
/* A and D, set by a walk. */
void walk_model_mark(struct walk_model *m, gpa_t gpa, uint8_t bits);

/* MOV to CR0, CR3, CR4. False: #GP(0), nothing has changed. */
bool walk_model_cr0(struct walk_model *m, uint32_t value);
bool walk_model_cr3(struct walk_model *m, uint32_t value);
bool walk_model_cr4(struct walk_model *m, uint32_t value);
/* EFER.NXE. The manual does not ask for a flush; popf does one. */
void walk_model_nxe(struct walk_model *m, bool on);
void walk_model_invlpg(struct walk_model *m, gva_t gva);
/* #PF is delivered (SDM 3A 4.10.4.1). */
void walk_model_faulted(struct walk_model *m, gva_t gva);

/* Every outcome of an access within a page, that of the present tables first. */
unsigned walk_model_page(const struct walk_model *m, gva_t gva,
                         enum walk_access access,
                         struct walk_guess guess[GUESSES]);

#endif /* TESTS_FUZZ_WALK_MODEL_H */
