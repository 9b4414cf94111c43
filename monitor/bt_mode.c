/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

/*
 * The mode word: what of the vcpu's state shapes code, and in what state there
 * is none.
 *
 * CPL 0, 1 and 2 share code: to the MMU they are the supervisor, and what else
 * tells them apart are steps, but for CLI and STI, which obey IOPL.
 */
static bool is_32bit(const struct segment *segment)
{
    return segment->attr & SEG_DB;
}

/* A guest that takes a number for every second code segment would only have its
 * code dropped: not more often than this, some 0.4 s. */
#define CS_AGAIN (UINT64_C(1) << 30)

/* The number of CS' base and limit in the mode word; BT_CS_NONE when there are
 * no more numbers. */
static uint32_t number_code(struct bt_vcpu *bt)
{
    const struct segment *cs = &bt->vcpu->seg[SEG_CS];
    uint32_t n = 0;

    while (n < bt->cs_count &&
           (bt->cs_of[n].base != cs->base || bt->cs_of[n].limit != cs->limit))
        n++;
    if (n == MODE_CODE_COUNT)
        return BT_CS_NONE;
    if (n == bt->cs_count)
        bt->cs_of[bt->cs_count++] =
            (struct bt_cs){.base = cs->base, .limit = cs->limit};
    return n;
}

/* What was asked for last is remembered, also if there is no number for it: each
 * instruction that is interpreted asks. */
static bool has_code_number(struct bt_vcpu *bt)
{
    const struct segment *cs = &bt->vcpu->seg[SEG_CS];
    struct bt_cs *last = &bt->cs_asked;

    if (last->base != cs->base || last->limit != cs->limit) {
        *last = (struct bt_cs){.base = cs->base, .limit = cs->limit};
        bt->cs = number_code(bt);
    }
    return bt->cs != BT_CS_NONE;
}

void bt_mode_poll(struct bt_vcpu *bt)
{
    uint64_t now;

    if (bt->cs != BT_CS_NONE)
        return;
    now = __builtin_ia32_rdtsc();
    if (now - bt->cs_begun < CS_AGAIN)
        return;
    bt->cs_begun = now;
    bt_forget_space(bt, BT_KERNEL);
    bt_forget_space(bt, BT_USER);
    tc_drop_all(bt->tc);
    bt->cs_count = 1;
    bt->cs_asked = bt->cs_of[0];
    bt->cs = 0;
}

bool bt_can_translate(struct bt_vcpu *bt)
{
    const struct vcpu *v = bt->vcpu;
    bool alignment = (v->cr0 & CR0_AM) && (v->eflags & FLAG_AC) && v->cpl == 3;

    return (v->cr0 & CR0_PE) && !(v->eflags & (FLAG_VM | FLAG_TF | FLAG_RF)) &&
           !alignment && !(v->dr[7] & 0xff) && v->a20 && has_code_number(bt);
}

/* FS and GS are used for their base. */
static uint32_t segment_bits(const struct vcpu *v)
{
    const uint32_t low =
        MODE_SEG(SEG_FS, SEG_KIND_BASED) | MODE_SEG(SEG_GS, SEG_KIND_BASED);
    uint32_t bits = v->seg_kinds << MODE_SEG_SHIFT;

    return bits | (~(bits | bits >> 1) & low);
}

/* After bt_can_translate(), which numbers CS. */
uint32_t bt_current_mode(struct bt_vcpu *bt)
{
    const struct vcpu *v = bt->vcpu;
    bool x87 = !(v->cr0 & (CR0_EM | CR0_TS));
    bool tsc = v->tsc_offset == 0 && v->tsc_stopped == 0 &&
               (v->cpl == 0 || !(v->cr4 & CR4_TSD));

    return (v->cpl == 3 ? MODE_USER : 0) |
           (is_32bit(&v->seg[SEG_CS]) ? 0 : MODE_CODE16) |
           (is_32bit(&v->seg[SEG_SS]) ? 0 : MODE_STACK16) |
           (v->cpl <= vcpu_iopl(v) ? MODE_IF : 0) | (x87 ? MODE_X87 : 0) |
           (x87 && (v->cr4 & CR4_OSFXSR) ? MODE_SSE : 0) | segment_bits(v) |
           bt->cs << MODE_CODE_SHIFT |
           (tsc && !bt->deterministic ? MODE_TSC : 0) |
           (bt->count ? MODE_COUNT : 0) | (bt->single ? MODE_SINGLE : 0) |
           (bt_runs_soft(bt) ? MODE_SOFT : 0);
}
