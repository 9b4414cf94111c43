/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_SITES_H
#define TESTS_PRECISE_SITES_H

/*
 * PURPOSE: the host instructions of all CCFs of a program, what each is there
 * for, and the branches that lead to them.
 */
#include "guest.h"

#define SITES_MAX    65536u
#define CCFS_MAX     1024u
#define BRANCHES_MAX 2048u
#define NO_PATH      UINT8_MAX

/* Why a host instruction is in the code memory, and so when it runs. */
enum place {
    PLACE_BODY,        /* a guest instruction: when the guest gets there */
    PLACE_STEP,        /* the exit of an instruction that is interpreted */
    PLACE_ENTRY,       /* address check: entered through the lookup table */
    PLACE_ENTRY_MISS,  /* the check failed: the slot is another address's */
    PLACE_RETURN,      /* address check behind a call */
    PLACE_RETURN_MISS, /* the guest did not return to where it called */
    PLACE_STUB,        /* an exit that is not chained */
    PLACE_PENDING,     /* STI finds an interrupt waiting */
    PLACE_CHANGED,     /* a comparison finds other source bytes */
    PLACE_GLUE,        /* common stubs and the soft TLB's probes */
    PLACE_COUNT
};
extern const char *const place_name[PLACE_COUNT];

struct site {
    uint64_t at;
    const struct extent *owner; /* NULL: glue */
    uint32_t first;  /* the site that its guest instruction starts at */
    uint32_t branch; /* 1 + index of the branch that starts here; 0 */
    uint32_t check;  /* PLACE_*_MISS: the site that the check starts at;
                        PLACE_CHANGED: of a comparison's branch */
    uint8_t place;   /* enum place */
    uint8_t path;    /* on which it was reached, or NO_PATH */
    bool memory;     /* a guest instruction that accesses memory starts here */
    bool kicked;
    bool faulted;
};

/* A guest branch that depends on flags or on ECX; or an STI, behind which the
 * engine goes on otherwise when IF was set before. */
struct branch {
    uint8_t cc;    /* condition; of JECXZ CC_ECX, of STI CC_IF */
    bool backward; /* closes a loop that counts in ECX */
    bool seen[2];  /* not taken, taken */
};
#define CC_ECX 16u
#define CC_IF  17u

/* The sites [first, end) are a CCF's; body is where chained exits lead. */
struct extent {
    const struct ccf *ccf;
    uint32_t first;
    uint32_t body;
    uint32_t end;
};

struct sites {
    struct site site[SITES_MAX];
    uint32_t count;
    struct extent ccf[CCFS_MAX];
    uint32_t ccf_count;
    struct branch branch[BRANCHES_MAX];
    uint32_t branch_count;
};

/* Begin anew with the glue. */
void sites_init(struct sites *sites, const struct guest *g);

/* Add the live CCFs that are not there yet; how many. */
uint32_t sites_update(struct sites *sites, const struct guest *g);

/* Unchain all exits of a CCF. */
void sites_unchain(const struct extent *extent, const struct guest *g);

/* Does a condition hold, for these flags? */
bool condition_holds(unsigned cc, uint32_t flags);

/* Print what a CCF is made of; mark one host instruction. */
void sites_print(const struct guest *g, const struct ccf *ccf, uint64_t mark);

#endif /* TESTS_PRECISE_SITES_H */
