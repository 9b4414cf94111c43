/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cache/tc_priv.h"

/*
 * tc_verify(): every invariant of the cache.
 */

static bool in_bucket(const struct ccf *head, const struct ccf *ccf)
{
    unsigned found = 0;

    for (; head; head = head->hash_next)
        found += head == ccf;
    return found == 1;
}

static bool in_frame_list(const struct tc *tc, const struct ccf_source *source)
{
    const struct ccf_source *s = *tc_frame_bucket((struct tc *)tc, source->gfn);
    unsigned found = 0;

    for (; s; s = s->next)
        found += s == source;
    return found == 1;
}

static bool rel32_leads_to(const struct tc *tc, uint64_t at, uint64_t target)
{
    const uint8_t *p = mcode_rw(&tc->mcode, at);
    uint32_t rel = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                   (uint32_t)p[3] << 24;

    return (uint32_t)(target - (at + 4)) == rel;
}

/* The list may be long: each exit vouches for its neighbours. */
static bool is_incoming(const struct ccf *ccf, const struct ccf_exit *exit)
{
    const struct ccf_exit *self = exit->prev ? exit->prev->next : ccf->incoming;

    return self == exit && (!exit->next || exit->next->prev == exit);
}

static bool is_listed(const struct tc *tc, const struct ccf_exit *exit)
{
    const struct ccf_exit *e =
        *tc_crossing_bucket((struct tc *)tc, exit->chained->gip);

    while (e && e != exit)
        e = e->page_next;
    return e != NULL;
}

static const char *verify_exit(const struct tc *tc, const struct ccf_exit *exit)
{
    const struct ccf *ccf = exit->ccf;

    if (exit->kind != EXIT_JUMP && exit->kind != EXIT_CALL)
        return exit->chained ? "an exit is chained that cannot be" : NULL;
    if (!exit->chained)
        return rel32_leads_to(tc, ccf->start + exit->rel_offset,
                              ccf->start + (exit->tabled ? exit->table_offset
                                                         : exit->stub_offset))
                   ? NULL
                   : "an unchained exit does not lead to its stub";
    if (ccf->dead || exit->chained->dead)
        return "a dead CCF is chained";
    if (!is_incoming(exit->chained, exit))
        return "a chained exit is not in its target's list";
    if (tc_is_crossing(exit) && !is_listed(tc, exit))
        return "a chain into another page is not in that page's list";
    return rel32_leads_to(tc, ccf->start + exit->rel_offset,
                          exit->chained->body)
               ? NULL
               : "a chained exit does not lead to its target";
}

static bool is_traced(const struct tc *tc, const struct ccf *ccf)
{
    if (ccf->checked || !tc->host.frame_is_traced)
        return true;
    for (uint32_t i = 0; i < ccf->source_count; i++)
        if (!tc->host.frame_is_traced(tc->host.opaque, ccf->source[i].gfn))
            return false;
    return true;
}

static bool bytes_stand(const struct tc *tc, const struct ccf *ccf)
{
    if (ccf->checked || !tc->host.frame_bytes)
        return true;
    for (uint32_t i = 0; i < ccf->source_count; i++) {
        const struct ccf_source *s = &ccf->source[i];
        const uint8_t *page = tc->host.frame_bytes(tc->host.opaque, s->gfn);

        if (s->bytes && memcmp(page + s->start, s->bytes, s->end - s->start))
            return false;
    }
    return true;
}

static const char *verify_dead(const struct tc *tc, const struct ccf *ccf)
{
    if (ccf->incoming)
        return "a dead CCF has incoming exits";
    if (ccf->shelved != tc_is_shelved(tc, ccf))
        return "the shelf does not hold what it should";
    if (!rel32_leads_to(tc, ccf->entry + 1, tc->stubs.miss))
        return "a dead CCF can be entered";
    for (uint32_t i = 0; i < ccf->return_count; i++)
        if (!rel32_leads_to(tc, ccf->start + ccf->return_sites[i] + 1,
                            tc->stubs.lookup))
            return "a dead CCF can be returned to";
    return NULL;
}

static const char *verify_ccf(const struct tc *tc, const struct ccf *ccf)
{
    struct tc *t = (struct tc *)tc;
    const struct ccf *hash =
        *tc_hash_bucket(t, ccf->gip, ccf->source[0].gfn, ccf->mode);
    const char *broken = NULL;

    if (ccf->dead)
        broken = verify_dead(tc, ccf);
    else if (ccf->shelved)
        broken = "a live CCF is on the shelf";
    else if (!in_bucket(hash, ccf))
        broken = "a live CCF is not in its hash bucket";
    else if (!is_traced(tc, ccf))
        broken = "a frame with a live CCF is not traced";
    else if (!bytes_stand(tc, ccf))
        broken = "a live CCF is not what its source bytes are";
    for (uint32_t i = 0; !ccf->dead && i < ccf->source_count; i++)
        if (!in_frame_list(tc, &ccf->source[i]))
            broken = "a live CCF is not in its frame's list";
    for (uint32_t i = 0; !broken && i < ccf->exit_count; i++)
        broken = verify_exit(tc, &ccf->exits[i]);
    return broken;
}

const char *tc_verify(const struct tc *tc)
{
    for (unsigned i = 0; i < TC_REGIONS; i++) {
        const struct region *r = &tc->region[i];
        uint64_t at = r->start;

        for (uint32_t k = 0; k < r->count; k++) {
            const char *broken = verify_ccf(tc, r->ccfs[k]);

            if (broken)
                return broken;
            if (r->ccfs[k]->start < at)
                return "CCFs of a region overlap or are out of order";
            at = r->ccfs[k]->start + r->ccfs[k]->host_len;
        }
        if (at > r->start + tc->region_len)
            return "a CCF leaves its region";
    }
    return NULL;
}

const char *tc_verify_touched(struct tc *tc)
{
    const char *broken = NULL;

    if (tc->touched_count > TOUCHED_COUNT)
        broken = tc_verify(tc);
    else
        for (uint32_t i = 0; i < tc->touched_count && !broken; i++)
            broken = verify_ccf(tc, tc->touched[i]);
    tc->touched_count = 0;
    return broken;
}
