/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/bt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Lookup tables and host call stacks. With the fetch cache they hold facts about
 * linear addresses: they are the instruction TLB, and go when a mapping does.
 *
 * The mode word changes at every kernel entry (the caller's FS and GS are not
 * the kernel's), so that a table emptied at each change would never fill: every
 * mode word in use has a context.
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

static int context_init(struct bt_vcpu *bt, struct bt_context *context)
{
    struct bt_table *table = &context->table;

    context->mode = BT_NO_MODE;
    table->entry = malloc(BT_TABLE_COUNT * sizeof(*table->entry));
    table->used = malloc(BT_TABLE_COUNT * sizeof(*table->used));
    if (!table->entry || !table->used)
        return -ENOMEM;
    return stack_init(bt, &context->stack);
}

static int space_init(struct bt_vcpu *bt, enum bt_space space)
{
    int err = 0;

    for (unsigned i = 0; i < BT_CONTEXTS && !err; i++)
        err = context_init(bt, &bt->contexts[space][i]);
    if (!err)
        bt_forget_space(bt, space);
    return err;
}

int bt_context_init(struct bt_vcpu *bt)
{
    int err = space_init(bt, BT_KERNEL);

    return err ? err : space_init(bt, BT_USER);
}

static void context_fini(struct bt_context *context)
{
    free(context->table.entry);
    free(context->table.used);
    if (context->stack.map)
        munmap(context->stack.map, BT_STACK_LEN + 2 * PAGE_SIZE);
}

void bt_context_fini(struct bt_vcpu *bt)
{
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++)
        for (unsigned i = 0; i < BT_CONTEXTS; i++)
            context_fini(&bt->contexts[space][i]);
}

/* ---- Tables ---- */

/* Empty the used slots of one group: those of a page's addresses. */
static void empty_group(struct bt_vcpu *bt, struct bt_table *table,
                        unsigned group)
{
    const uint16_t *used = table->used + group * PAGE_SIZE;

    for (uint32_t i = 0; i < table->used_count[group]; i++)
        table->entry[used[i]] = bt->miss;
    table->used_count[group] = 0;
}

static void empty_table(struct bt_vcpu *bt, struct bt_table *table)
{
    for (unsigned group = 0; group < BT_TABLE_GROUPS; group++)
        empty_group(bt, table, group);
}

void bt_table_set(struct bt_vcpu *bt, gip_t gip, uint64_t entry)
{
    struct bt_table *table = &bt->context->table;
    uint32_t slot = gip % BT_TABLE_COUNT;
    unsigned group = slot / PAGE_SIZE;

    if (table->entry[slot] == bt->miss) {
        /* A slot may be listed twice: see forget_entries(). */
        if (table->used_count[group] == PAGE_SIZE)
            empty_group(bt, table, group);
        table->used[group * PAGE_SIZE + table->used_count[group]++] =
            (uint16_t)slot;
    }
    table->entry[slot] = entry;
}

/* The slots of a page's addresses are one group; other pages share it, and
 * their entries are only found again through the miss stub. The slots of the
 * instructions that may cross into the page lie right before it; they stay
 * listed as used, which is harmless. */
static void forget_entries(struct bt_vcpu *bt, struct bt_table *table,
                           gva_t page)
{
    empty_group(bt, table, (page >> PAGE_SHIFT) % BT_TABLE_GROUPS);
    for (uint32_t i = 1; i <= INSN_MAX_LEN; i++)
        table->entry[(page - i) % BT_TABLE_COUNT] = bt->miss;
}

/* ---- Contexts ---- */

static enum bt_space space_of(uint32_t mode)
{
    return mode & MODE_USER ? BT_USER : BT_KERNEL;
}

static void take_over(struct bt_vcpu *bt, struct bt_context *context,
                      uint32_t mode)
{
    if (context->mode == BT_NO_MODE)
        for (uint32_t i = 0; i < BT_TABLE_COUNT; i++)
            context->table.entry[i] = bt->miss;
    else
        empty_table(bt, &context->table);
    context->stack.rsp = context->stack.bottom;
    context->mode = mode;
}

void bt_set_mode(struct bt_vcpu *bt, uint32_t mode)
{
    struct bt_context *contexts = bt->contexts[space_of(mode)];
    struct bt_context *oldest = &contexts[0];

    bt->mode = mode;
    if (bt->context && bt->context->mode == mode)
        return;
    bt->context_clock++;
    for (unsigned i = 0; i < BT_CONTEXTS; i++) {
        if (contexts[i].mode == mode) {
            bt->context = &contexts[i];
            bt->context->last_used = bt->context_clock;
            return;
        }
        if (contexts[i].last_used < oldest->last_used)
            oldest = &contexts[i];
    }
    take_over(bt, oldest, mode);
    oldest->last_used = bt->context_clock;
    bt->context = oldest;
    stat_inc(bt->stats, STAT_CONTEXTS);
}

static void reset_stacks(struct bt_vcpu *bt)
{
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++)
        for (unsigned i = 0; i < BT_CONTEXTS; i++)
            bt->contexts[space][i].stack.rsp =
                bt->contexts[space][i].stack.bottom;
    bt->host_sp = 0;
    bt->reset_stacks = true;
}

/* ---- Pages ---- */

static bool page_bit(const struct bt_pages *pages, gva_t page)
{
    return pages->bits[page >> (PAGE_SHIFT + 6)] >> (page >> PAGE_SHIFT) % 64 &
           1;
}

static void flip_page_bit(struct bt_pages *pages, gva_t page)
{
    pages->bits[page >> (PAGE_SHIFT + 6)] ^= UINT64_C(1)
                                             << (page >> PAGE_SHIFT) % 64;
}

void bt_page_fetched(struct bt_vcpu *bt, enum bt_space space, gva_t page)
{
    struct bt_pages *pages = &bt->fetched[space];

    if (page_bit(pages, page))
        return;
    flip_page_bit(pages, page);
    if (pages->count < BT_PAGE_LIST)
        pages->list[pages->count] = page;
    pages->count++;
}

/* Pages that were forgotten stay listed, and may be listed twice. */
static void clear_pages(struct bt_pages *pages)
{
    if (pages->count > BT_PAGE_LIST)
        memset(pages->bits, 0, sizeof(pages->bits));
    else
        for (uint32_t i = 0; i < pages->count; i++)
            if (page_bit(pages, pages->list[i]))
                flip_page_bit(pages, pages->list[i]);
    pages->count = 0;
}

void bt_forget_space(struct bt_vcpu *bt, enum bt_space space)
{
    for (unsigned i = 0; i < BT_CONTEXTS; i++)
        if (bt->contexts[space][i].mode != BT_NO_MODE)
            empty_table(bt, &bt->contexts[space][i].table);
    for (uint32_t i = 0; i < BT_FETCH_COUNT; i++)
        bt->fetch[space][i].page = 1;
    clear_pages(&bt->fetched[space]);
    if (space == BT_KERNEL)
        tc_unchain_pages(bt->tc);
    reset_stacks(bt);
    bt->stale++;
}

/* Most pages that a guest flushes from its TLB hold data. */
void bt_forget_page(struct bt_vcpu *bt, gva_t page)
{
    page &= ~(gva_t)PAGE_MASK;
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++) {
        struct bt_pages *pages = &bt->fetched[space];
        struct bt_fetch *fetch = &bt->fetch[space][bt_fetch_slot(page)];

        if (!page_bit(pages, page))
            continue;
        flip_page_bit(pages, page);
        if (space == BT_KERNEL)
            tc_unchain_page(bt->tc, page);
        if (fetch->page == page)
            fetch->page = 1;
        for (unsigned i = 0; i < BT_CONTEXTS; i++)
            if (bt->contexts[space][i].mode != BT_NO_MODE)
                forget_entries(bt, &bt->contexts[space][i].table, page);
        reset_stacks(bt);
        bt->stale++;
    }
}

static bool kernel_fetched(const void *opaque, gva_t page)
{
    const struct bt_vcpu *bt = opaque;

    return page_bit(&bt->fetched[BT_KERNEL], page);
}

/* A table's entry is a fact about the page of its CCF, and about the next one
 * if the CCF crosses into it: both must be known as fetched, or the entry would
 * outlive their translation. */
static bool is_known(const struct bt_vcpu *bt, enum bt_space space,
                     uint64_t entry)
{
    const struct bt_pages *pages = &bt->fetched[space];
    const struct ccf *ccf = tc_find_host(bt->tc, entry);

    if (entry == bt->miss || ccf == NULL || ccf->dead)
        return true;
    return page_bit(pages, ccf->gip) &&
           (ccf->source_count == 1 || page_bit(pages, ccf->gip + PAGE_SIZE));
}

static bool table_is_known(const struct bt_vcpu *bt, enum bt_space space,
                           const struct bt_table *table)
{
    for (unsigned group = 0; group < BT_TABLE_GROUPS; group++) {
        const uint16_t *used = table->used + group * PAGE_SIZE;

        for (uint32_t i = 0; i < table->used_count[group]; i++)
            if (!is_known(bt, space, table->entry[used[i]]))
                return false;
    }
    return true;
}

static const char *verify_tables(const struct bt_vcpu *bt)
{
    for (enum bt_space space = 0; space < BT_SPACE_COUNT; space++)
        for (unsigned i = 0; i < BT_CONTEXTS; i++)
            if (bt->contexts[space][i].mode != BT_NO_MODE &&
                !table_is_known(bt, space, &bt->contexts[space][i].table))
                return "a lookup table leads to a page that was forgotten";
    return NULL;
}

const char *bt_context_verify(const struct bt_vcpu *bt)
{
    const char *broken = verify_tables(bt);

    if (broken)
        return broken;
    return tc_find_crossed(bt->tc, kernel_fetched, bt) == TC_NO_PAGE
               ? NULL
               : "a chain leads into a page whose translation may change";
}
