/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

/*
 * The soft TLB caches what the interpreter's TLB knows, for translated code to
 * look up. It is flushed whenever that one is, and its write tags also whenever
 * a frame gets a trace.
 *
 * Which address spaces run soft is a question of rent or buy. A page of a window
 * costs some 10 us to map and drop, and a page fault of the guest's a signal
 * besides; a soft access costs a few ns. A new space rents, and buys a window
 * when it has spent in soft code what mapping its pages might cost: at worst both
 * together are twice the better one.
 */

/* ---- The soft TLB ---- */

static void empty_slot(struct soft_tlb *tlb, uint32_t slot)
{
    tlb->read[slot] = tlb->write[slot] = SOFT_TLB_NONE(slot);
}

static void empty_space(struct bt_vcpu *bt, enum bt_space space)
{
    struct bt_soft_list *list = &bt->soft_list[space];

    for (uint32_t i = 0; i < list->count; i++)
        empty_slot(&bt->vcpu->soft_tlb[space], list->slot[i]);
    list->count = 0;
}

void bt_soft_flush(struct bt_vcpu *bt)
{
    empty_space(bt, BT_KERNEL);
    empty_space(bt, BT_USER);
}

/* INVLPG drops a large page whole (SDM 3A 4.10.4.1). */
void bt_soft_flush_page(struct bt_vcpu *bt, gva_t gva)
{
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++) {
        struct soft_tlb *tlb = &bt->vcpu->soft_tlb[space];
        struct bt_soft_list *list = &bt->soft_list[space];

        for (uint32_t i = list->count; i-- > 0;) {
            uint32_t slot = list->slot[i];

            if (((0 - tlb->read[slot]) ^ gva) >> 22)
                continue;
            empty_slot(tlb, slot);
            list->slot[i] = list->slot[--list->count];
        }
    }
}

void bt_soft_fill(struct bt_vcpu *bt, gva_t gva)
{
    bool user = bt->vcpu->cpl == 3;
    enum bt_space space = user ? BT_USER : BT_KERNEL;
    struct soft_tlb *tlb = &bt->vcpu->soft_tlb[space];
    struct bt_soft_list *list = &bt->soft_list[space];
    gva_t page = gva & ~(gva_t)PAGE_MASK;
    uint32_t slot = (page >> PAGE_SHIFT) % SOFT_TLB_SLOTS;
    bool writable = false;
    uint8_t *hva = interp_peek_page(bt->interp, gva, user, &writable);

    if (!hva)
        return;
    if (list->count == SOFT_TLB_SLOTS)
        empty_space(bt, space);
    if (tlb->read[slot] == SOFT_TLB_NONE(slot))
        list->slot[list->count++] = (uint8_t)slot;
    tlb->read[slot] = 0 - page;
    tlb->write[slot] = writable ? 0 - page : SOFT_TLB_NONE(slot);
    tlb->addend[slot] = (uint64_t)(uintptr_t)hva - page;
    stat_inc(bt->stats, STAT_SOFT_FILLS);
}

bool bt_soft_gva(const struct bt_vcpu *bt, bool user, uint32_t host, gva_t *gva)
{
    enum bt_space space = user ? BT_USER : BT_KERNEL;
    const struct soft_tlb *tlb = &bt->vcpu->soft_tlb[space];
    const struct bt_soft_list *list = &bt->soft_list[space];

    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t slot = list->slot[i];

        *gva = host - (uint32_t)tlb->addend[slot];
        if (((*gva + tlb->read[slot]) & ~(uint32_t)PAGE_MASK) == 0)
            return true;
    }
    return false;
}

/* ---- Soft spaces ---- */

uint64_t bt_soft_clock(const struct bt_vcpu *bt)
{
    return bt->deterministic ? bt->vcpu->retired + bt->vcpu->ccf_retired
                             : __builtin_ia32_rdtsc();
}

static void find_user(struct bt_vcpu *bt)
{
    uint64_t life;

    bt->user = &bt->users[mmu_user_space(bt->mmu, &life)];
    if (bt->user->life == life)
        return;
    *bt->user = (struct bt_user){.life = life};
    stat_inc(bt->stats, STAT_SOFT_SPACES);
}

bool bt_runs_soft(struct bt_vcpu *bt)
{
    const struct vcpu *vcpu = bt->vcpu;

    if (bt->soft_mode != SOFT_YOUNG)
        return bt->soft_mode == SOFT_ALL;
    if (vcpu->cpl != 3 || !(vcpu->cr0 & CR0_PG))
        return false;
    if (!bt->user)
        find_user(bt);
    return !bt->user->windowed;
}

void bt_soft_spent(struct bt_vcpu *bt, uint64_t spent)
{
    struct bt_user *user = bt->user;

    if (!user || user->windowed)
        return;
    user->spent += spent;
    if (user->spent < bt->rent)
        return;
    user->windowed = true;
    stat_inc(bt->stats, STAT_SOFT_CONVERSIONS);
}
