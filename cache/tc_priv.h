/* SPDX-License-Identifier: MIT */
#ifndef CACHE_TC_PRIV_H
#define CACHE_TC_PRIV_H

/*
 * PURPOSE: what the files of the cache share: the object and its buckets.
 *
 * CCFs are hashed by (gip, gfn, mode) and their sources by frame. The tables
 * have a fixed size and chains: nothing a guest does makes them grow beyond the
 * number of CCFs that fit the code memory. The hashes have secret factors, or a
 * guest could choose addresses that make one chain of all its CCFs.
 */
#include "cache/tc.h"

#define HASH_BITS  15
#define HASH_COUNT (1u << HASH_BITS)

#define CROSSING_COUNT 1024u
#define MCODE_JMP_LEN  5u /* of what mcode_patch_jmp() writes */
#define SHELF_COUNT    8192u
#define LENGTHS_COUNT  4096u
#define LENGTHS_WAYS   4u
#define TOUCHED_COUNT  64u

/* How long the TUs were that are on the shelf for a gip and mode; a hint,
 * collisions overwrite. */
struct tc_lengths {
    gip_t gip;
    uint32_t mode;
    uint16_t len[LENGTHS_WAYS]; /* the last ones first; 0: none */
};

struct region {
    uint64_t start;    /* executable address */
    uint64_t at;       /* next free byte */
    struct ccf **ccfs; /* by address; dead ones stay until eviction */
    uint32_t count;
    uint32_t capacity;
    size_t table_len; /* bytes of its CCFs' tables */
};

struct tc {
    struct mcode mcode;
    uint64_t secret[2]; /* odd */
    size_t region_len;
    struct region region[TC_REGIONS];
    unsigned current;
    struct ccf *hash[HASH_COUNT];
    struct ccf_source *frame[HASH_COUNT];
    struct ccf_exit *crossing[CROSSING_COUNT]; /* chains, by target page */
    uint32_t crossing_count;
    struct ccf *shelf[SHELF_COUNT]; /* dead CCFs, by their source bytes */
    struct tc_lengths lengths[LENGTHS_COUNT];
    struct tc_stubs stubs;
    struct tc_host host;
    struct stats *stats;
    struct ccf *touched[TOUCHED_COUNT]; /* for tc_verify_touched() */
    uint32_t touched_count;             /* more than there is room for: all */
};

static inline void tc_touch(struct tc *tc, struct ccf *ccf)
{
    if (tc->touched_count < TOUCHED_COUNT)
        tc->touched[tc->touched_count++] = ccf;
    else
        tc->touched_count = TOUCHED_COUNT + 1;
}

/* Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair
 * Problem": the upper bits of products with secret odd factors. */
static inline uint32_t tc_mix(const struct tc *tc, uint64_t key, uint32_t mode)
{
    uint64_t sum = key * tc->secret[0] + mode * tc->secret[1];

    return (uint32_t)(sum >> (64 - HASH_BITS));
}

static inline struct ccf **tc_hash_bucket(struct tc *tc, gip_t gip, gfn_t gfn,
                                          uint32_t mode)
{
    return &tc->hash[tc_mix(tc, gfn << 32 | gip, mode)];
}

static inline struct ccf_source **tc_frame_bucket(struct tc *tc, gfn_t gfn)
{
    return &tc->frame[tc_mix(tc, gfn, 0)];
}

static inline struct ccf_exit **tc_crossing_bucket(struct tc *tc, gva_t page)
{
    return &tc->crossing[(page >> PAGE_SHIFT) % CROSSING_COUNT];
}

/* A chain that leads into another linear page. */
static inline bool tc_is_crossing(const struct ccf_exit *exit)
{
    return ((exit->ccf->gip ^ exit->chained->gip) & ~(gip_t)PAGE_MASK) != 0;
}

/* Keep a dead CCF in case its source bytes come back; undo that. (shelf.c) */
void tc_shelve(struct tc *tc, struct ccf *ccf);
void tc_unshelve(struct tc *tc, struct ccf *ccf);
bool tc_is_shelved(const struct tc *tc, const struct ccf *ccf);

/* The shelf's CCF whose source begins at gip and whose bytes these are; bytes
 * are readable to the end of their page. */
struct ccf *tc_find_shelved(struct tc *tc, gip_t gip, gfn_t gfn, uint32_t mode,
                            const uint8_t *bytes);

#endif /* CACHE_TC_PRIV_H */
