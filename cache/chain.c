/* SPDX-License-Identifier: MIT */
#include "cache/tc_priv.h"
#include "monitor/log.h"

/*
 * Exits that lead straight to another CCF's body. A CCF knows the exits that
 * lead to it, and a linear page those that lead into it from another one.
 */

/* Any number of exits may lead to one CCF: nothing walks their list but to end
 * it. */
static void link_incoming(struct ccf_exit *exit)
{
    struct ccf *to = exit->chained;

    exit->prev = NULL;
    exit->next = to->incoming;
    if (to->incoming)
        to->incoming->prev = exit;
    to->incoming = exit;
}

static void unlink_incoming(struct ccf_exit *exit)
{
    if (exit->prev)
        exit->prev->next = exit->next;
    else
        exit->chained->incoming = exit->next;
    if (exit->next)
        exit->next->prev = exit->prev;
    exit->next = exit->prev = NULL;
}

static void link_crossing(struct tc *tc, struct ccf_exit *exit)
{
    struct ccf_exit **bucket = tc_crossing_bucket(tc, exit->chained->gip);

    exit->page_prev = NULL;
    exit->page_next = *bucket;
    if (*bucket)
        (*bucket)->page_prev = exit;
    *bucket = exit;
    tc->crossing_count++;
    stat_inc(tc->stats, STAT_CHAINS_CROSSING);
}

static void unlink_crossing(struct tc *tc, struct ccf_exit *exit)
{
    if (exit->page_prev)
        exit->page_prev->page_next = exit->page_next;
    else
        *tc_crossing_bucket(tc, exit->chained->gip) = exit->page_next;
    if (exit->page_next)
        exit->page_next->page_prev = exit->page_prev;
    exit->page_next = exit->page_prev = NULL;
    tc->crossing_count--;
}

void tc_chain(struct tc *tc, struct ccf_exit *exit, struct ccf *to)
{
    ASSERT(!exit->chained && !to->dead && !exit->ccf->dead);
    mcode_patch_rel32(&tc->mcode, exit->ccf->start + exit->rel_offset,
                      to->body);
    exit->chained = to;
    link_incoming(exit);
    if (tc_is_crossing(exit))
        link_crossing(tc, exit);
    tc_touch(tc, exit->ccf);
    tc_touch(tc, to);
    stat_inc(tc->stats, STAT_CHAINS);
    log_line(LOG_CHAIN, "%08x exits to %08x", exit->ccf->gip, to->gip);
}

void tc_unchain(struct tc *tc, struct ccf_exit *exit)
{
    tc_touch(tc, exit->ccf);
    tc_touch(tc, exit->chained);
    unlink_incoming(exit);
    if (tc_is_crossing(exit))
        unlink_crossing(tc, exit);
    exit->chained = NULL;
    mcode_patch_rel32(&tc->mcode, exit->ccf->start + exit->rel_offset,
                      exit->ccf->start + exit->stub_offset);
    stat_inc(tc->stats, STAT_UNCHAINS);
}

void tc_never_chain(struct tc *tc, struct ccf_exit *exit)
{
    ASSERT(!exit->chained);
    mcode_patch_rel32(&tc->mcode, exit->ccf->start + exit->rel_offset,
                      exit->ccf->start + exit->table_offset);
    exit->tabled = true;
}

void tc_unchain_page(struct tc *tc, gva_t page)
{
    struct ccf_exit *exit = *tc_crossing_bucket(tc, page);

    while (exit) {
        struct ccf_exit *next = exit->page_next;

        if (((exit->chained->gip ^ page) & ~(gva_t)PAGE_MASK) == 0)
            tc_unchain(tc, exit);
        exit = next;
    }
}

void tc_unchain_pages(struct tc *tc)
{
    for (unsigned i = 0; i < CROSSING_COUNT && tc->crossing_count; i++)
        while (tc->crossing[i])
            tc_unchain(tc, tc->crossing[i]);
}

gva_t tc_find_crossed(const struct tc *tc,
                      bool (*is_good)(const void *opaque, gva_t page),
                      const void *opaque)
{
    for (unsigned i = 0; i < CROSSING_COUNT; i++)
        for (const struct ccf_exit *e = tc->crossing[i]; e; e = e->page_next)
            if (!is_good(opaque, e->chained->gip & ~(gva_t)PAGE_MASK))
                return e->chained->gip & ~(gva_t)PAGE_MASK;
    return TC_NO_PAGE;
}
