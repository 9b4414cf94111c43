/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "monitor/bt.h"
#include "monitor/vm.h"
#include "shadow_mmu/gmem.h"
#include "tests/emit_check/stage.h"

/*
 * judge_guest KERNEL INITRD
 *
 * Debian boots, works a little and powers off; then all code that is in the
 * translation cache, chained as it is, is judged. Once as users run it, once with
 * every operand on the soft path, once with nothing chained.
 */
static const struct way {
    const char *name;
    enum soft_mode soft_mode;
    uint32_t off;
} ways[] = {
    {"default",   SOFT_YOUNG, 0                           },
    {"soft",      SOFT_ALL,   0                           },
    {"unchained", SOFT_NONE,
     BIT(MECHANISM_CHAINING) | BIT(MECHANISM_HOST_RETURNS)},
};

/* CCFs are longer than that. */
#define STRIDE 16u

/* Writing the glue again says where its parts are, and changes nothing. */
static bool find_glue(struct bt_vcpu *bt, struct xlat_config *config)
{
    const struct mcode *mcode = tc_mcode(bt->tc);
    uint8_t before[TC_GLUE_LEN];

    memcpy(before, mcode->rw, sizeof(before));
    bt_glue_write(bt, config);
    return memcmp(before, mcode->rw, sizeof(before)) == 0;
}

static uint64_t source_of(const struct bt_vcpu *bt, const struct ccf *ccf)
{
    uint8_t *hva = NULL;

    if (gmem_lookup(bt->gmem, ccf->source[0].gfn, &hva, NULL) == GMEM_NONE)
        return 0;
    return (uint64_t)(uintptr_t)hva + ccf->source[0].start;
}

/* How many live CCFs there are; 0 when one breaks a rule. */
static unsigned judge_all(const struct bt_vcpu *bt, struct emit_check *check)
{
    const struct mcode *mcode = tc_mcode(bt->tc);
    uint64_t at = (uint64_t)(uintptr_t)mcode->rx + TC_GLUE_LEN;
    unsigned count = 0;

    while (mcode_contains(mcode, at)) {
        const struct ccf *ccf = tc_find_host(bt->tc, at);

        at = ccf ? ccf->start + ccf->host_len : at + STRIDE;
        if (ccf == NULL || ccf->dead)
            continue;
        count++;
        if (emit_check_ccf(check, ccf, mcode_rw(mcode, ccf->start),
                           source_of(bt, ccf)) != NULL)
            return 0;
    }
    return count;
}

static bool judge(struct vm *vm, const char *name)
{
    struct bt_vcpu *bt = vm->vcpu.bt;
    struct stage stage;
    struct emit_check *check;
    unsigned count;

    stage_init(&stage, __builtin_cpu_supports("bmi2"));
    stage.config.features = bt->features;
    if (!find_glue(bt, &stage.config)) {
        fprintf(stderr, "%s: the glue is not what was written\n", name);
        return false;
    }
    check = emit_check_create(&stage.config);
    if (check == NULL)
        return false;
    count = judge_all(bt, check);
    if (count == 0)
        emit_check_print(check, stderr);
    printf("emit way=%s ccfs=%u host=%llu\n", name, count,
           (unsigned long long)emit_check_count(check));
    fflush(stdout);
    emit_check_destroy(check);
    stage_fini(&stage);
    return count > 0;
}

static bool run(const struct way *way, const char *kernel, const char *initrd)
{
    struct load_error error;
    struct config config;
    struct vm *vm;
    bool ok;

    config_init(&config);
    config.ram_len = 128 * MIB;
    config.soft_mode = way->soft_mode;
    config.off = way->off;
    config.kernel = kernel;
    config.initrd = initrd;
    config.serial[0].kind = CHAR_NULL;
    config.monitor.kind = CHAR_NONE;
    config.append = "console=ttyS0 quiet popf.run=\"ls -lR /bin /proc/sys | "
                    "sort | gzip | md5sum; dmesg | grep -c .\"";
    vm = vm_create(&config, &error);
    if (vm == NULL) {
        fprintf(stderr, "%s\n", error.text);
        return false;
    }
    vm_run(vm);
    if (vm->stop.reason != STOP_POWER_OFF)
        fprintf(stderr, "%s: %s\n", way->name, vm->stop.text);
    ok = vm->stop.reason == STOP_POWER_OFF && judge(vm, way->name);
    vm_destroy(vm);
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = argc == 3;

    for (unsigned i = 0; i < ARRAY_COUNT(ways) && ok; i++)
        ok = run(&ways[i], argv[1], argv[2]);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
