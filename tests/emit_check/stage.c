/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "translator/emit_x86.h"

/* The stubs of monitor/bt_glue.c that lead out of generated code; nothing is
 * there. */
enum { EXIT_AT = 0, MISS_AT = 16, LOOKUP_AT = 32, AWAY_AT = 48, CODE_AT = 64 };

static void ignore_frame(void *opaque, gfn_t gfn)
{
    (void)opaque, (void)gfn;
}

static void ignore_region(void *opaque)
{
    (void)opaque;
}

static bool never_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    (void)opaque, (void)gfn, (void)offset;
    return false;
}

static void note_function(struct stage *stage, const struct emit *e,
                          struct emit_function function, uint64_t start)
{
    const struct mcode *mcode = tc_mcode(stage->config.tc);

    function.rx = start;
    function.code = mcode_rw(mcode, start);
    function.len = (uint32_t)(emit_rx(e) - start);
    function.away = (uint64_t)(uintptr_t)mcode->rx + AWAY_AT;
    stage->functions[stage->function_count++] = function;
}

static void write_probes(struct stage *stage, struct emit *e, uint64_t away)
{
    for (unsigned i = 0; i < 4; i++) {
        struct emit_function f = {.user = i & 1, .write = i & 2};
        uint64_t start = emit_rx(e);

        stage->config.glue.probe[f.user][f.write] = start;
        xlat_write_probe(e, &stage->config, f.user, f.write, away);
        note_function(stage, e, f, start);
    }
    stage->probe_count = stage->function_count;
}

static void write_checks(struct stage *stage, struct emit *e, uint64_t away)
{
    for (unsigned i = 0; i < SEG_COUNT * 4; i++) {
        struct emit_function f = {
            .seg = (uint8_t)(i / 4), .write = i & 1, .down = i & 2};
        uint64_t start = emit_rx(e);

        /* A code segment is neither written nor expand-down. */
        if (f.seg == SEG_CS && (f.write || f.down))
            continue;
        stage->config.glue.check[f.seg][f.write][f.down] = start;
        xlat_write_check(e, &stage->config, f.seg, f.write, f.down, away);
        note_function(stage, e, f, start);
    }
}

void stage_init(struct stage *stage, bool has_bmi2)
{
    const struct tc_host host = {.frame_empty = ignore_frame,
                                 .region_evicted = ignore_region};
    struct tc_stubs stubs;
    const struct mcode *mcode;
    struct emit e;
    uint64_t rx;

    *stage = (struct stage){
        .config = {.features = UINT32_MAX,
                   .layout = xlat_vcpu_layout,
                   .has_bmi2 = has_bmi2,
                   .is_soft = never_soft}
    };
    stage->config.stats = &stage->stats;
    ENSURE(tc_create(&stage->config.tc, TC_MIN_LEN, &stage->stats, &host) == 0);
    mcode = tc_mcode(stage->config.tc);
    rx = (uint64_t)(uintptr_t)mcode->rx;
    stage->config.glue.exit = rx + EXIT_AT;
    stage->config.glue.miss = rx + MISS_AT;
    stage->config.glue.lookup = rx + LOOKUP_AT;
    stubs = (struct tc_stubs){rx + MISS_AT, rx + LOOKUP_AT};
    tc_set_stubs(stage->config.tc, &stubs);
    emit_init(&e, mcode->rw + CODE_AT, mcode->rw + TC_GLUE_LEN, rx + CODE_AT);
    write_probes(stage, &e, rx + AWAY_AT);
    write_checks(stage, &e, rx + AWAY_AT);
    ENSURE(!e.overflow);
}

void stage_fini(struct stage *stage)
{
    tc_destroy(stage->config.tc);
}

const char *stage_check_functions(const struct stage *stage,
                                  struct emit_check *check)
{
    for (uint32_t i = 0; i < stage->function_count; i++) {
        const struct emit_function *f = &stage->functions[i];
        const char *why = i < stage->probe_count ? emit_check_probe(check, f)
                                                 : emit_check_limit(check, f);

        if (why != NULL)
            return why;
    }
    return NULL;
}
