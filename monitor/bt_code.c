/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

/*
 * Code frames that are stored to. A store to a traced frame takes away the CCFs
 * that were made from those bytes. What then becomes of the frame:
 *
 *   - It becomes data: store follows store, each of them a step or a host fault
 *     as long as code elsewhere in it keeps the trace. After CODE_STORES stores
 *     with no code of it looked for meanwhile all of it goes.
 *   - It is both, code and data, or code that is written all the time: CCFs go
 *     and come back, CODE_LOSSES times within a short time. Then it is mixed: not
 *     traced, and its CCFs compare their source (MODE_CHECKED). After a while that
 *     is tried again; each time that it was in vain the next try comes later.
 *
 * Either way, code that is changed each time before it runs is not worth a
 * translation, some 5 us and more. After STREAK translations of a frame, each soon
 * after a loss, each further one has DEBT instructions interpreted before the
 * next, and more and more of them as it goes on. What comes back does not count.
 *
 * Times are those of the host's TSC. They decide what is fast, never what is
 * right.
 */

#define CODE_STORES  8u
#define CODE_LOSSES  16u
#define AGAIN_LOSSES 4u /* for a frame that was mixed not long ago */

#define STREAK         32u
#define DEBT           64u
#define DEBT_MAX_SHIFT 6u

#define PATIENCE_MAX_SHIFT 6u /* of the shortest one */

static struct bt_code *code_of(struct bt_vcpu *bt, gfn_t gfn)
{
    struct bt_code *code = &bt->code[gfn % BT_CODE_COUNT];

    if (code->gfn != gfn)
        *code = (struct bt_code){.gfn = gfn};
    return code;
}

static uint64_t now(void)
{
    return __builtin_ia32_rdtsc();
}

bool bt_code_is_mixed(const struct bt_vcpu *bt, gfn_t gfn)
{
    for (uint32_t i = 0; i < bt->mixed_count; i++)
        if (bt->mixed[i].gfn == gfn)
            return true;
    return false;
}

void bt_code_wanted(struct bt_vcpu *bt, gfn_t gfn)
{
    if (bt->code[gfn % BT_CODE_COUNT].gfn == gfn)
        bt->code[gfn % BT_CODE_COUNT].stores = 0;
}

/* Called where bytes that a CCF was made from have not come back. What is
 * translated now is paid for before the next time. */
bool bt_code_waits(struct bt_vcpu *bt, gfn_t gfn)
{
    struct bt_code *code = &bt->code[gfn % BT_CODE_COUNT];
    uint32_t shift;

    if (code->gfn != gfn)
        return false;
    if (code->debt) {
        code->debt--;
        return true;
    }
    if (now() - code->lost_at > bt->quick_loss)
        code->streak = 0;
    else if (++code->streak >= STREAK) {
        shift = (code->streak - STREAK) / 8;
        code->debt = DEBT << (shift < DEBT_MAX_SHIFT ? shift : DEBT_MAX_SHIFT);
    }
    return false;
}

static void trace_again(struct bt_vcpu *bt, uint32_t index)
{
    gfn_t gfn = bt->mixed[index].gfn;
    struct bt_code *code = &bt->code[gfn % BT_CODE_COUNT];

    if (code->gfn == gfn) {
        code->since = now();
        code->losses = 0;
    }
    bt->mixed[index] = bt->mixed[--bt->mixed_count];
    tc_drop_frame(bt->tc, gfn);
    bt->stale++;
}

static uint32_t first_to_end(const struct bt_vcpu *bt)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i < bt->mixed_count; i++)
        if (bt->mixed[i].until < bt->mixed[first].until)
            first = i;
    return first;
}

static void mix(struct bt_vcpu *bt, struct bt_code *code)
{
    uint64_t patience = bt->mixed_patience << code->patience_shift;

    if (bt->mixed_count == BT_MIXED_MAX)
        trace_again(bt, first_to_end(bt));
    if (code->patience_shift < PATIENCE_MAX_SHIFT)
        code->patience_shift++;
    tc_drop_frame(bt->tc, code->gfn);
    mmu_trace_code(bt->mmu, code->gfn, false);
    bt->mixed[bt->mixed_count++] =
        (struct bt_mixed){.gfn = code->gfn, .until = now() + patience};
    stat_inc(bt->stats, STAT_CODE_MIXED);
}

/* The frame has lost CCFs. */
static void lost(struct bt_vcpu *bt, struct bt_code *code)
{
    uint64_t age = now() - code->since;

    /* Quiet for as long as the last patience was: innocent again. */
    if (code->patience_shift &&
        age >> (code->patience_shift - 1u) > bt->mixed_patience)
        code->patience_shift = 0;
    if (age > bt->mixed_window) {
        code->since = now();
        code->losses = 0;
    }
    code->losses++;
    if (!(bt->off & BIT(MECHANISM_SOURCE_CHECKS)) &&
        code->losses >= (code->patience_shift ? AGAIN_LOSSES : CODE_LOSSES))
        mix(bt, code);
}

void bt_code_written(void *opaque, gfn_t gfn, unsigned offset, unsigned len)
{
    struct bt_vcpu *bt = opaque;
    struct bt_code *code = code_of(bt, gfn);
    unsigned dropped = tc_drop_range(bt->tc, gfn, offset, len);

    stat_inc(bt->stats, STAT_SMC_FAULTS);
    if (++code->stores >= CODE_STORES && tc_frame_has_code(bt->tc, gfn)) {
        dropped += tc_drop_frame(bt->tc, gfn);
        stat_inc(bt->stats, STAT_CODE_RELEASED);
    }
    if (!dropped)
        return;
    bt->stale++;
    code->lost_at = now();
    lost(bt, code);
}

void bt_code_changed(struct bt_vcpu *bt, struct ccf *ccf)
{
    stat_inc(bt->stats, STAT_CODE_CHANGED);
    bt_fpu_save_xmm(bt);
    code_of(bt, ccf->source[0].gfn)->lost_at = now();
    tc_drop_changed(bt->tc, ccf);
}

void bt_code_poll(struct bt_vcpu *bt)
{
    uint64_t time;

    if (!bt->mixed_count)
        return;
    time = now();
    for (uint32_t i = bt->mixed_count; i-- > 0;)
        if (time >= bt->mixed[i].until)
            trace_again(bt, i);
}
