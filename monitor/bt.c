/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The engine's life, and how its parts learn what is no longer true: upcalls of
 * the MMU and of the cache, and flushes, from the vcpu down to both.
 */

/* ---- Upcalls of the MMU ---- */

static void code_unmapped(void *opaque, gva_t page)
{
    bt_forget_page(opaque, page);
}

static void frame_traced(void *opaque, gfn_t gfn)
{
    (void)gfn;
    bt_soft_flush(opaque);
}

static void user_switched(void *opaque)
{
    struct bt_vcpu *bt = opaque;

    bt->user = NULL;
    bt_forget_space(bt, BT_USER);
}

/* ---- Upcalls of the cache ---- */

static void frame_empty(void *opaque, gfn_t gfn)
{
    struct bt_vcpu *bt = opaque;

    mmu_trace_code(bt->mmu, gfn, false);
}

static const uint8_t *frame_bytes(void *opaque, gfn_t gfn)
{
    struct bt_vcpu *bt = opaque;
    uint8_t *page = NULL;

    ENSURE(gmem_lookup(bt->gmem, gfn, &page, NULL) != GMEM_NONE);
    return page;
}

/* Nobody stores to what is not RAM. */
static bool frame_is_traced(void *opaque, gfn_t gfn)
{
    struct bt_vcpu *bt = opaque;

    return gfn >= gmem_frame_count(bt->gmem) ||
           (gmem_frame_flags(bt->gmem)[gfn] & FRAME_CODE);
}

static void region_evicted(void *opaque)
{
    bt_forget_space(opaque, BT_KERNEL);
    bt_forget_space(opaque, BT_USER);
}

/* ---- Flushes ---- */

void bt_tlb_flushed_page(struct bt_vcpu *bt, gva_t gva)
{
    bt_soft_flush_page(bt, gva);
    mmu_invlpg(bt->mmu, gva);
}

void bt_tlb_flushed(struct bt_vcpu *bt, bool globals_too)
{
    bt_soft_flush(bt);
    bt->user = NULL;
    if (globals_too)
        mmu_flush(bt->mmu);
    else
        mmu_load_cr3(bt->mmu);
}

void bt_flush(struct bt_vcpu *bt)
{
    mmu_forget(bt->mmu);
    bt_soft_flush(bt);
    bt_forget_space(bt, BT_KERNEL);
    bt_forget_space(bt, BT_USER);
    tc_drop_all(bt->tc);
}

/* ---- Life ---- */

void bt_destroy(struct bt_vcpu *bt)
{
    bt_signal_unbind(bt);
    /* The MMU goes first: dropping its windows calls back into the rest. */
    mmu_destroy(bt->mmu);
    bt_context_fini(bt);
    xlat_destroy(bt->xlat);
    tc_destroy(bt->tc);
    free(bt);
}

static int create_translator(struct bt_vcpu *bt,
                             const struct bt_config *bt_config)
{
    struct xlat_config config = {
        .tc = bt->tc,
        .stats = bt->stats,
        .features = bt_config->features,
        .layout = xlat_vcpu_layout,
        .has_bmi2 = !bt_config->no_bmi2 && __builtin_cpu_supports("bmi2"),
        .opaque = bt,
        .is_soft = bt_site_is_soft,
        .no_host_returns = (bt->off & BIT(MECHANISM_HOST_RETURNS)) != 0,
        .no_regions = (bt->off & BIT(MECHANISM_REGIONS)) != 0,
    };
    struct tc_stubs stubs;

    bt_glue_write(bt, &config);
    stubs = (struct tc_stubs){.miss = config.glue.miss,
                              .lookup = config.glue.lookup};
    tc_set_stubs(bt->tc, &stubs);
    return xlat_create(&bt->xlat, &config);
}

static void limit_mmu(struct bt_vcpu *bt)
{
    struct mmu_limits limits;

    mmu_get_limits(bt->mmu, &limits);
    limits.always_synced = (bt->off & BIT(MECHANISM_OUT_OF_SYNC)) != 0;
    limits.no_prefills = (bt->off & BIT(MECHANISM_EAGER_INSTALL)) != 0;
    mmu_set_limits(bt->mmu, &limits);
}

int bt_create(const struct bt_config *config, struct bt_vcpu **out)
{
    struct bt_vcpu *bt = calloc(1, sizeof(*bt));
    struct mmu_host mmu_host = {.opaque = bt,
                                .code_unmapped = code_unmapped,
                                .user_switched = user_switched,
                                .code_written = bt_code_written,
                                .frame_traced = frame_traced};
    struct tc_host tc_host = {.opaque = bt,
                              .frame_empty = frame_empty,
                              .region_evicted = region_evicted,
                              .frame_bytes = frame_bytes,
                              .frame_is_traced = frame_is_traced};
    int err;

    if (!bt)
        return -ENOMEM;
    bt->vcpu = config->vcpu;
    bt->interp = config->interp;
    bt->gmem = config->gmem;
    bt->stats = config->vcpu->stats;
    bt->cs_of[0].limit = UINT32_MAX;
    bt->cs_asked = bt->cs_of[0];
    bt->cs_count = 1;
    bt->count = config->count;
    bt->features = config->features;
    bt->deterministic = config->deterministic;
    bt->mixed_window = BT_MIXED_WINDOW;
    bt->mixed_patience = BT_MIXED_PATIENCE;
    bt->off = config->off;
    bt->verify_every = config->verify_every;
    bt->quick_loss = config->verify_every ? 0 : BT_QUICK_LOSS;
    bt->vcpu->bt = bt;
    bt->soft_mode = config->soft_mode;
    bt->rent = config->deterministic ? BT_RENT_INSNS : BT_RENT;
    soft_tlb_init(&bt->vcpu->soft_tlb[BT_KERNEL]);
    soft_tlb_init(&bt->vcpu->soft_tlb[BT_USER]);
    err = mmu_create(&bt->mmu, bt->gmem, bt->vcpu, &mmu_host);
    if (!err)
        err = tc_create(&bt->tc, config->tc_len, bt->stats, &tc_host);
    if (!err)
        err = create_translator(bt, config);
    if (!err)
        err = bt_context_init(bt);
    if (!err)
        err = bt_signal_bind(bt);
    if (err) {
        bt_destroy(bt);
        return err;
    }
    if (config->trace != MMU_TRACE_DEFAULT)
        mmu_set_trace(bt->mmu, config->trace);
    if (bt->off != 0)
        limit_mmu(bt);
    *out = bt;
    return 0;
}
