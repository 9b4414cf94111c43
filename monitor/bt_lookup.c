/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

#include "monitor/log.h"

/*
 * From a guest instruction pointer to host code: the fetch cache gives the
 * frame, the cache the CCF, and the translator what is missing. What is found
 * goes into the lookup table of its context, where CCFs find it themselves.
 */

/* The frame of a page that is to be executed. */
static enum mmu_result fetch_frame(struct bt_vcpu *bt, enum bt_space space,
                                   gip_t gip, gfn_t *gfn)
{
    gva_t page = gip & ~(gva_t)PAGE_MASK;
    struct bt_fetch *fetch = &bt->fetch[space][bt_fetch_slot(page)];
    enum mmu_result result;

    if (fetch->page == page) {
        *gfn = fetch->gfn;
        return MMU_RETRY;
    }
    bt_fpu_save_xmm(bt);
    result = mmu_fetch(bt->mmu, gip, gfn);
    if (result != MMU_RETRY)
        return result;
    *fetch = (struct bt_fetch){.page = page, .gfn = *gfn};
    bt_page_fetched(bt, space, page);
    return result;
}

/* Trace a frame before its bytes are read, so that no store slips between. One
 * that is mixed is not traced: its CCFs look for themselves. */
static const uint8_t *code_bytes(struct bt_vcpu *bt, gfn_t gfn)
{
    uint8_t *page = NULL;

    if (gmem_lookup(bt->gmem, gfn, &page, NULL) == GMEM_NONE)
        return NULL;
    if (!bt_code_is_mixed(bt, gfn))
        mmu_trace_code(bt->mmu, gfn, true);
    bt_code_wanted(bt, gfn);
    return page;
}

/* The trace of a frame that is not mixed stands if and only if it has code:
 * translating may have failed, and it may have evicted what the frame had, and
 * with it the trace. */
static void settle_trace(struct bt_vcpu *bt, gfn_t gfn)
{
    mmu_trace_code(bt->mmu, gfn,
                   tc_frame_has_code(bt->tc, gfn) &&
                       !bt_code_is_mixed(bt, gfn));
}

/* The instruction at gip crosses into the next page: a TU of its own. There is
 * no page beyond 4 GiB: the interpreter checks the limit of CS. */
static struct ccf *translate_crossing(struct bt_vcpu *bt, enum bt_space space,
                                      struct xlat_request *request)
{
    gip_t next = (request->gip | PAGE_MASK) + 1;
    struct ccf *ccf = NULL;

    if (next == 0 || (request->mode & MODE_CHECKED) ||
        fetch_frame(bt, space, next, &request->gfn[1]) != MMU_RETRY)
        return NULL;
    /* Comparing two pages is not worth it: the interpreter runs these. */
    if (bt_code_is_mixed(bt, request->gfn[1]))
        return NULL;
    request->page[1] = code_bytes(bt, request->gfn[1]);
    if (!request->page[1])
        return NULL;
    ccf = xlat_tu(bt->xlat, request);
    settle_trace(bt, request->gfn[1]);
    return ccf;
}

static struct ccf *translate(struct bt_vcpu *bt, enum bt_space space, gip_t gip,
                             gfn_t gfn, uint32_t mode)
{
    const struct bt_cs *code = &bt->cs_of[bt->mode >> MODE_CODE_SHIFT];
    struct xlat_request request = {.gip = gip,
                                   .gfn = {gfn},
                                   .mode = mode,
                                   .cs_base = code->base,
                                   .cs_limit = code->limit};
    struct ccf *ccf;

    bt_fpu_save_xmm(bt);
    request.page[0] = code_bytes(bt, gfn);
    if (!request.page[0])
        return NULL;
    ccf = bt->off & BIT(MECHANISM_TAKE_BACK)
              ? NULL
              : tc_take_back(bt->tc, gip, gfn, mode, request.page[0]);
    if (!ccf && !bt_code_waits(bt, gfn)) {
        ccf = xlat_tu(bt->xlat, &request);
        if (!ccf)
            ccf = translate_crossing(bt, space, &request);
    }
    settle_trace(bt, gfn);
    return ccf;
}

/* A CCF that crosses into a page is good only while that page is mapped to the
 * frame it was read from. */
static struct ccf *check_second_frame(struct bt_vcpu *bt, enum bt_space space,
                                      struct ccf *ccf)
{
    gip_t next = (ccf->gip | PAGE_MASK) + 1;
    gfn_t gfn;

    if (ccf->source_count == 1)
        return ccf;
    if (fetch_frame(bt, space, next, &gfn) == MMU_RETRY &&
        gfn == ccf->source[1].gfn)
        return ccf;
    tc_drop(bt->tc, ccf);
    return NULL;
}

/* A lookup table is about to hold facts of these pages; making the CCF may have
 * evicted others, upon which all that was fetched was forgotten. */
static void note_pages(struct bt_vcpu *bt, enum bt_space space,
                       const struct ccf *ccf)
{
    gva_t page = ccf->gip & ~(gva_t)PAGE_MASK;

    bt_page_fetched(bt, space, page);
    if (ccf->source_count > 1)
        bt_page_fetched(bt, space, page + PAGE_SIZE);
}

uint64_t bt_lookup(struct bt_vcpu *bt, gip_t gip)
{
    enum bt_space space = bt->mode & MODE_USER ? BT_USER : BT_KERNEL;
    enum mmu_result result;
    struct ccf *ccf;
    uint32_t mode;
    gfn_t gfn = 0;

    stat_inc(bt->stats, STAT_LOOKUP_MISSES);
    if (bt->vcpu->eip > bt->vcpu->seg[SEG_CS].limit)
        return BT_INTERPRET;
    result = fetch_frame(bt, space, gip, &gfn);
    if (result != MMU_RETRY)
        return result == MMU_TRUE ? BT_FAULT : BT_INTERPRET;
    mode = bt->mode | (bt_code_is_mixed(bt, gfn) ? MODE_CHECKED : 0);
    ccf = tc_find(bt->tc, gip, gfn, mode);
    if (ccf)
        ccf = check_second_frame(bt, space, ccf);
    if (!ccf)
        ccf = translate(bt, space, gip, gfn, mode);
    if (!ccf)
        return BT_INTERPRET;
    note_pages(bt, space, ccf);
    if (!bt->single)
        bt_table_set(bt, gip, ccf->entry);
    return ccf->body;
}

static struct bt_site *site_of(struct bt_vcpu *bt, uint64_t key)
{
    uint64_t hash = key * 0x9e3779b97f4a7c15ull;

    return &bt->sites[hash >> 51];
}

_Static_assert(BT_SOFT_COUNT == 1u << 13, "site_of() takes 13 hash bits");

#define SITE_SOFT 4u /* traps that make a site soft */

bool bt_site_trapped(struct bt_vcpu *bt, gfn_t gfn, uint32_t offset,
                     uint32_t weight)
{
    uint64_t key = gfn << PAGE_SHIFT | offset;
    struct bt_site *site = site_of(bt, key);

    if (bt->off & BIT(MECHANISM_ADAPTIVE_SITES))
        return false;
    if (site->key != key)
        *site = (struct bt_site){.key = key};
    site->traps += weight;
    return site->traps >= SITE_SOFT;
}

bool bt_site_is_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    uint64_t key = gfn << PAGE_SHIFT | offset;
    const struct bt_site *site = site_of(opaque, key);

    return site->key == key && site->traps >= SITE_SOFT;
}
