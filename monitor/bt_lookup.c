/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/bt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "monitor/log.h"

/*
 * From a guest instruction pointer to host code: the fetch cache gives the
 * frame, the cache the CCF, and the translator what is missing. What is found
 * goes into the lookup table of its space, where CCFs find it themselves.
 *
 * The tables, the fetch cache and the host call stacks hold facts about
 * linear addresses: they are the instruction TLB, and go when a mapping does.
 */

static int stack_init(struct bt_vcpu *bt, struct bt_stack *stack)
{
    size_t len = BT_STACK_LEN + 2 * PAGE_SIZE;
    uint8_t *map = mmap(NULL, len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    stack->map = map;
    if (mprotect(map, PAGE_SIZE, PROT_NONE) < 0)
        return -errno;
    stack->bottom = (uint64_t)(uintptr_t)(map + len - 64);
    memcpy(map + len - 64, &bt->sentinel, sizeof(bt->sentinel));
    stack->rsp = stack->bottom;
    return 0;
}

static int table_init(struct bt_vcpu *bt, struct bt_table *table)
{
    table->entry = malloc(BT_TABLE_COUNT * sizeof(*table->entry));
    table->used = malloc(BT_TABLE_COUNT * sizeof(*table->used));
    if (!table->entry || !table->used)
        return -ENOMEM;
    for (uint32_t i = 0; i < BT_TABLE_COUNT; i++)
        table->entry[i] = bt->miss;
    return 0;
}

int bt_lookup_init(struct bt_vcpu *bt)
{
    for (unsigned i = 0; i < BT_SPACE_COUNT; i++) {
        int err = table_init(bt, &bt->tables[i]);

        if (!err)
            err = stack_init(bt, &bt->stacks[i]);
        if (err)
            return err;
        bt_forget_space(bt, i);
    }
    return 0;
}

void bt_lookup_fini(struct bt_vcpu *bt)
{
    for (unsigned i = 0; i < BT_SPACE_COUNT; i++) {
        free(bt->tables[i].entry);
        free(bt->tables[i].used);
        if (bt->stacks[i].map)
            munmap(bt->stacks[i].map, BT_STACK_LEN + 2 * PAGE_SIZE);
    }
}

void bt_reset_stacks(struct bt_vcpu *bt)
{
    for (unsigned i = 0; i < BT_SPACE_COUNT; i++)
        bt->stacks[i].rsp = bt->stacks[i].bottom;
    bt->host_sp = 0;
    bt->reset_stacks = true;
}

/* Empty the used slots of one group: those of a page's addresses. */
static void empty_group(struct bt_vcpu *bt, struct bt_table *table,
                        unsigned group)
{
    const uint16_t *used = table->used + group * PAGE_SIZE;

    for (uint32_t i = 0; i < table->used_count[group]; i++)
        table->entry[used[i]] = bt->miss;
    table->used_count[group] = 0;
}

void bt_empty_table(struct bt_vcpu *bt, enum bt_space space)
{
    for (unsigned group = 0; group < BT_TABLE_GROUPS; group++)
        empty_group(bt, &bt->tables[space], group);
}

void bt_forget_space(struct bt_vcpu *bt, enum bt_space space)
{
    bt_empty_table(bt, space);
    for (uint32_t i = 0; i < BT_FETCH_COUNT; i++)
        bt->fetch[space][i].page = 1;
    bt_reset_stacks(bt);
    bt->stale++;
}

static struct bt_fetch *fetch_slot(struct bt_vcpu *bt, enum bt_space space,
                                   gva_t page)
{
    return &bt->fetch[space][(page >> PAGE_SHIFT) % BT_FETCH_COUNT];
}

/* The slots of a page's addresses are one group; other pages share it, and
 * their entries are only found again through the miss stub. The slots of the
 * instructions that may cross into the page lie right before it; they stay
 * listed as used, which is harmless. */
void bt_forget_page(struct bt_vcpu *bt, gva_t page)
{
    page &= ~(gva_t)PAGE_MASK;
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++) {
        struct bt_fetch *fetch = fetch_slot(bt, space, page);
        struct bt_table *table = &bt->tables[space];

        empty_group(bt, table, (page >> PAGE_SHIFT) % BT_TABLE_GROUPS);
        for (uint32_t i = 1; i <= INSN_MAX_LEN; i++)
            table->entry[(page - i) % BT_TABLE_COUNT] = bt->miss;
        if (fetch->page == page)
            fetch->page = 1;
    }
    bt_reset_stacks(bt);
    bt->stale++;
}

static void table_set(struct bt_vcpu *bt, enum bt_space space, gip_t gip,
                      uint64_t entry)
{
    struct bt_table *table = &bt->tables[space];
    uint32_t slot = gip % BT_TABLE_COUNT;
    unsigned group = slot / PAGE_SIZE;

    if (table->entry[slot] == bt->miss) {
        /* A slot may be listed twice: see bt_forget_page(). */
        if (table->used_count[group] == PAGE_SIZE)
            empty_group(bt, table, group);
        table->used[group * PAGE_SIZE + table->used_count[group]++] =
            (uint16_t)slot;
    }
    table->entry[slot] = entry;
}

/* The frame of a page that is to be executed. */
static enum mmu_result fetch_frame(struct bt_vcpu *bt, enum bt_space space,
                                   gip_t gip, gfn_t *gfn)
{
    gva_t page = gip & ~(gva_t)PAGE_MASK;
    struct bt_fetch *fetch = fetch_slot(bt, space, page);
    enum mmu_result result;

    if (fetch->page == page) {
        *gfn = fetch->gfn;
        return MMU_RETRY;
    }
    bt_fpu_save_xmm(bt);
    result = mmu_fetch(bt->mmu, gip, gfn);
    if (result == MMU_RETRY)
        *fetch = (struct bt_fetch){.page = page, .gfn = *gfn};
    return result;
}

/* Trace a frame before its bytes are read, so that no store slips between. */
static const uint8_t *code_bytes(struct bt_vcpu *bt, gfn_t gfn)
{
    uint8_t *page = NULL;

    if (gmem_lookup(bt->gmem, gfn, &page, NULL) == GMEM_NONE)
        return NULL;
    if (!tc_frame_has_code(bt->tc, gfn))
        mmu_trace_code(bt->mmu, gfn, true);
    return page;
}

static void release_if_unused(struct bt_vcpu *bt, gfn_t gfn)
{
    if (!tc_frame_has_code(bt->tc, gfn))
        mmu_trace_code(bt->mmu, gfn, false);
}

/* The instruction at gip crosses into the next page: a TU of its own. There is
 * no page beyond 4 GiB: the interpreter checks the limit of CS. */
static struct ccf *translate_crossing(struct bt_vcpu *bt, enum bt_space space,
                                      struct xlat_request *request)
{
    gip_t next = (request->gip | PAGE_MASK) + 1;
    struct ccf *ccf = NULL;

    if (next == 0 ||
        fetch_frame(bt, space, next, &request->gfn[1]) != MMU_RETRY)
        return NULL;
    request->page[1] = code_bytes(bt, request->gfn[1]);
    if (!request->page[1])
        return NULL;
    ccf = xlat_tu(bt->xlat, request);
    release_if_unused(bt, request->gfn[1]);
    return ccf;
}

static struct ccf *translate(struct bt_vcpu *bt, enum bt_space space, gip_t gip,
                             gfn_t gfn)
{
    struct xlat_request request = {.gip = gip, .gfn = {gfn}, .mode = bt->mode};
    struct ccf *ccf;

    bt_fpu_save_xmm(bt);
    request.page[0] = code_bytes(bt, gfn);
    if (!request.page[0])
        return NULL;
    ccf = xlat_tu(bt->xlat, &request);
    if (!ccf)
        ccf = translate_crossing(bt, space, &request);
    release_if_unused(bt, gfn);
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

uint64_t bt_lookup(struct bt_vcpu *bt, gip_t gip)
{
    enum bt_space space = bt->mode & MODE_USER ? BT_USER : BT_KERNEL;
    enum mmu_result result;
    struct ccf *ccf;
    gfn_t gfn = 0;

    stat_inc(bt->stats, STAT_LOOKUP_MISSES);
    result = fetch_frame(bt, space, gip, &gfn);
    if (result != MMU_RETRY)
        return result == MMU_TRUE ? BT_FAULT : BT_INTERPRET;
    ccf = tc_find(bt->tc, gip, gfn, bt->mode);
    if (ccf)
        ccf = check_second_frame(bt, space, ccf);
    if (!ccf)
        ccf = translate(bt, space, gip, gfn);
    if (!ccf)
        return BT_INTERPRET;
    if (!bt->single)
        table_set(bt, space, gip, ccf->entry);
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
    bool was_soft;

    if (site->key != key)
        *site = (struct bt_site){.key = key};
    was_soft = site->traps >= SITE_SOFT;
    site->traps += weight;
    return !was_soft && site->traps >= SITE_SOFT;
}

bool bt_site_is_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    uint64_t key = gfn << PAGE_SHIFT | offset;
    const struct bt_site *site = site_of(opaque, key);

    return site->key == key && site->traps >= SITE_SOFT;
}
