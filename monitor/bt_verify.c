/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

/*
 * The invariants of the engine, all at once, or those of what was touched since
 * the last exit of a CCF. What a host fault changes in between waits until then.
 */

const char *bt_verify(struct bt_vcpu *bt)
{
    const char *broken = tc_verify(bt->tc);

    if (!broken)
        broken = bt_context_verify(bt);
    return broken ? broken : spt_verify(bt->mmu);
}

static const char *verify_touched(struct bt_vcpu *bt)
{
    const char *broken = tc_verify_touched(bt->tc);

    return broken ? broken : spt_verify_touched(bt->mmu);
}

bool bt_verify_step(struct bt_vcpu *bt)
{
    const char *broken;

    bt_fpu_save_xmm(bt);
    stat_inc(bt->stats, STAT_VERIFIED);
    broken = verify_touched(bt);
    if (!broken && ++bt->verify_count >= bt->verify_every) {
        bt->verify_count = 0;
        broken = bt_verify(bt);
    }
    if (broken)
        vcpu_stop(bt->vcpu, STOP_HOST, "verify: %s", broken);
    return broken == NULL;
}
