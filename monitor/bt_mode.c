/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

/*
 * The mode word: what of the vcpu's state shapes code, and in what state there
 * is none.
 *
 * CPL 0, 1 and 2 share code: to the MMU they are the supervisor, and what else
 * tells them apart are steps, but for CLI and STI, which obey IOPL.
 */
static bool is_flat(const struct segment *s, uint32_t required)
{
    return s->base == 0 && s->limit == UINT32_MAX &&
           (s->attr & (required | SEG_UNUSABLE)) == required;
}

/* FS and GS only add their base: usable, writable, 4 GiB, expand-up. */
static bool is_based(const struct segment *s)
{
    const uint32_t mask =
        SEG_P | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITABLE | SEG_UNUSABLE;

    return s->limit == UINT32_MAX &&
           (s->attr & mask) == (SEG_P | SEG_S | SEG_WRITABLE);
}

static bool is_flat_data(const struct segment *s)
{
    return is_flat(s, SEG_P | SEG_S | SEG_WRITABLE) &&
           !(s->attr & (SEG_CODE | SEG_DOWN));
}

bool bt_can_translate(const struct vcpu *v)
{
    bool alignment = (v->cr0 & CR0_AM) && (v->eflags & FLAG_AC) && v->cpl == 3;

    return (v->cr0 & CR0_PE) && !(v->eflags & (FLAG_VM | FLAG_TF | FLAG_RF)) &&
           !alignment && !(v->dr[7] & 0xff) && v->a20 &&
           is_flat(&v->seg[SEG_CS],
                   SEG_P | SEG_S | SEG_CODE | SEG_DB | SEG_WRITABLE) &&
           is_flat(&v->seg[SEG_SS], SEG_P | SEG_S | SEG_DB) &&
           is_flat_data(&v->seg[SEG_SS]) && is_flat_data(&v->seg[SEG_DS]) &&
           is_flat_data(&v->seg[SEG_ES]);
}

uint32_t bt_current_mode(struct bt_vcpu *bt)
{
    const struct vcpu *v = bt->vcpu;
    bool x87 = !(v->cr0 & (CR0_EM | CR0_TS));
    bool tsc = v->tsc_offset == 0 && v->tsc_stopped == 0 &&
               (v->cpl == 0 || !(v->cr4 & CR4_TSD));

    return (v->cpl == 3 ? MODE_USER : 0) |
           (v->cpl <= vcpu_iopl(v) ? MODE_IF : 0) | (x87 ? MODE_X87 : 0) |
           (x87 && (v->cr4 & CR4_OSFXSR) ? MODE_SSE : 0) |
           (is_based(&v->seg[SEG_FS]) ? MODE_FS : 0) |
           (is_based(&v->seg[SEG_GS]) ? MODE_GS : 0) |
           (tsc && !bt->deterministic ? MODE_TSC : 0) |
           (bt->count ? MODE_COUNT : 0) | (bt->single ? MODE_SINGLE : 0) |
           (bt_runs_soft(bt) ? MODE_SOFT : 0);
}
