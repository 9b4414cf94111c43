/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <xxhash.h>

#include "cache/tc_priv.h"

/*
 * The shelf: CCFs that a store has taken away, for the case that their source
 * bytes come back, in the same frame or in another. XXH3 over the bytes finds
 * them, memcmp with the bytes that were kept decides: a hash is no defence
 * against a guest that chooses them.
 *
 * How many bytes to hash is not known before they are decoded. So the lengths of
 * the TUs that are on the shelf for a gip are remembered, the last four.
 *
 * A shelf's CCF goes when its region is reused, which bounds the bytes that are
 * kept. XXH3 uses vector registers: what is called here comes after
 * bt_fpu_save_xmm().
 */

/* Equal hashes that are looked at; a guest can make any number. */
#define PROBES_MAX 4u

static uint64_t hash_of(const struct tc *tc, gip_t gip, uint32_t mode,
                        const void *bytes, size_t len)
{
    uint64_t seed = ((uint64_t)mode << 32 | gip) ^ tc->secret[0];

    return XXH3_64bits_withSeed(bytes, len, seed);
}

static struct ccf **shelf_bucket(struct tc *tc, uint64_t hash)
{
    return &tc->shelf[hash % SHELF_COUNT];
}

static struct tc_lengths *lengths_of(struct tc *tc, gip_t gip, uint32_t mode)
{
    return &tc->lengths[tc_mix(tc, gip, mode) % LENGTHS_COUNT];
}

static void note_length(struct tc *tc, gip_t gip, uint32_t mode, uint16_t len)
{
    struct tc_lengths *l = lengths_of(tc, gip, mode);
    unsigned i = 0;

    if (l->gip != gip || l->mode != mode)
        *l = (struct tc_lengths){.gip = gip, .mode = mode};
    while (i + 1 < LENGTHS_WAYS && l->len[i] != len)
        i++;
    memmove(l->len + 1, l->len, i * sizeof(l->len[0]));
    l->len[0] = len;
}

void tc_shelve(struct tc *tc, struct ccf *ccf)
{
    const struct ccf_source *s = &ccf->source[0];
    uint32_t len = s->end - s->start;
    struct ccf **bucket;

    ccf->bytes_hash = hash_of(tc, ccf->gip, ccf->mode, s->bytes, len);
    bucket = shelf_bucket(tc, ccf->bytes_hash);
    ccf->shelf_prev = NULL;
    ccf->shelf_next = *bucket;
    if (*bucket)
        (*bucket)->shelf_prev = ccf;
    *bucket = ccf;
    ccf->shelved = true;
    note_length(tc, ccf->gip, ccf->mode, (uint16_t)len);
}

void tc_unshelve(struct tc *tc, struct ccf *ccf)
{
    if (ccf->shelf_prev)
        ccf->shelf_prev->shelf_next = ccf->shelf_next;
    else
        *shelf_bucket(tc, ccf->bytes_hash) = ccf->shelf_next;
    if (ccf->shelf_next)
        ccf->shelf_next->shelf_prev = ccf->shelf_prev;
    ccf->shelf_next = ccf->shelf_prev = NULL;
    ccf->shelved = false;
}

bool tc_is_shelved(const struct tc *tc, const struct ccf *ccf)
{
    const struct ccf *c = *shelf_bucket((struct tc *)tc, ccf->bytes_hash);

    while (c && c != ccf)
        c = c->shelf_next;
    return c != NULL;
}

struct key {
    gip_t gip;
    uint32_t mode;
    gfn_t gfn; /* matters to those that are checked only */
};

static bool is_it(const struct ccf *ccf, const struct key *key,
                  const uint8_t *bytes, uint32_t len)
{
    const struct ccf_source *s = &ccf->source[0];

    return ccf->gip == key->gip && ccf->mode == key->mode &&
           (!ccf->checked || s->gfn == key->gfn) && s->end - s->start == len &&
           !memcmp(s->bytes, bytes, len);
}

static struct ccf *find(struct tc *tc, const struct key *key,
                        const uint8_t *bytes, uint32_t len)
{
    uint64_t hash = hash_of(tc, key->gip, key->mode, bytes, len);
    struct ccf *ccf = *shelf_bucket(tc, hash);
    unsigned probes = 0;

    for (; ccf && probes < PROBES_MAX; ccf = ccf->shelf_next) {
        probes += ccf->bytes_hash == hash;
        if (ccf->bytes_hash == hash && is_it(ccf, key, bytes, len))
            return ccf;
    }
    return NULL;
}

struct ccf *tc_find_shelved(struct tc *tc, gip_t gip, gfn_t gfn, uint32_t mode,
                            const uint8_t *bytes)
{
    const struct tc_lengths *l = lengths_of(tc, gip, mode);
    uint32_t room = PAGE_SIZE - (gip & PAGE_MASK);
    const struct key key = {gip, mode, gfn};
    struct ccf *ccf = NULL;

    if (l->gip != gip || l->mode != mode)
        return NULL;
    for (unsigned i = 0; i < LENGTHS_WAYS && l->len[i] && !ccf; i++)
        if (l->len[i] <= room)
            ccf = find(tc, &key, bytes, l->len[i]);
    return ccf;
}
