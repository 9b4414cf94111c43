/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

/*
 * The soft TLB caches what the interpreter's TLB knows, for translated code to
 * look up inline. It is flushed whenever that one is, and its write tags also
 * whenever a frame gets a trace.
 */

void bt_soft_flush(struct bt_vcpu *bt)
{
    if (!bt->soft_used)
        return;
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++)
        soft_tlb_init(&bt->vcpu->soft_tlb[space]);
    bt->soft_used = false;
}

void bt_soft_fill(struct bt_vcpu *bt, gva_t gva)
{
    bool user = bt->vcpu->cpl == 3;
    struct soft_tlb *tlb = &bt->vcpu->soft_tlb[user ? BT_USER : BT_KERNEL];
    gva_t page = gva & ~(gva_t)PAGE_MASK;
    uint32_t slot = (page >> PAGE_SHIFT) % SOFT_TLB_SLOTS;
    bool writable = false;
    uint8_t *hva = interp_peek_page(bt->interp, gva, user, &writable);

    if (!hva)
        return;
    tlb->read[slot] = 0 - page;
    tlb->write[slot] = writable ? 0 - page : SOFT_TLB_NONE(slot);
    tlb->addend[slot] = (uint64_t)(uintptr_t)hva - page;
    bt->soft_used = true;
    stat_inc(bt->stats, STAT_SOFT_FILLS);
}
