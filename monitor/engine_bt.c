/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"
#include "monitor/vm.h"

/*
 * The binary-translation engine behind the engine interface.
 */
#define TC_DEFAULT_LEN (64u * MIB)

static int engine_bt_create(struct vm *vm, void **out)
{
    const struct config *config = &vm->config;
    struct bt_config bt_config = {
        .vcpu = &vm->vcpu,
        .interp = vm->interp,
        .gmem = vm->gmem,
        .tc_len = config->tc_len ? config->tc_len : TC_DEFAULT_LEN,
        .features = config->features,
        .count = config->stats != STATS_NONE || config->insn_ns != 0,
        .deterministic = config->insn_ns != 0,
        .soft_mode = config->soft_mode,
        .trace = config->trace,
        .off = config->off,
        .verify_every = config->verify_every,
    };
    struct bt_vcpu *bt;
    int err = bt_create(&bt_config, &bt);

    if (!err)
        *out = bt;
    return err;
}

static void engine_bt_destroy(void *engine)
{
    bt_destroy(engine);
}

/* The budget serves lockstep, which runs single TUs; bt has none. */
static enum vcpu_exit engine_bt_run(void *engine, uint64_t budget)
{
    (void)budget;
    return bt_run(engine);
}

static void engine_bt_flush(void *engine)
{
    bt_flush(engine);
}

static void engine_bt_ram_stored(void *engine, gpa_t gpa, unsigned len)
{
    struct bt_vcpu *bt = engine;

    mmu_ram_stored(bt->mmu, gpa, len);
}

static void engine_bt_tlb_flushed_page(void *engine, gva_t gva)
{
    bt_tlb_flushed_page(engine, gva);
}

static void engine_bt_tlb_flushed(void *engine, bool globals_too)
{
    bt_tlb_flushed(engine, globals_too);
}

static const char *engine_bt_verify(void *engine)
{
    return bt_verify(engine);
}

static void engine_bt_kicked(void *engine, void *ucontext)
{
    bt_kicked(engine, ucontext);
}

const struct engine_ops engine_bt = {
    .name = "bt",
    .help = "binary translation: near native speed",
    .create = engine_bt_create,
    .destroy = engine_bt_destroy,
    .run = engine_bt_run,
    .flush = engine_bt_flush,
    .ram_stored = engine_bt_ram_stored,
    .tlb_flushed_page = engine_bt_tlb_flushed_page,
    .tlb_flushed = engine_bt_tlb_flushed,
    .verify = engine_bt_verify,
    .kicked = engine_bt_kicked,
};
