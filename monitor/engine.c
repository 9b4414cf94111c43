/* SPDX-License-Identifier: MIT */
#include "monitor/engine.h"

#include <stdio.h>
#include <string.h>

#include "emu/cpu/interp.h"
#include "monitor/vm.h"

static int interp_engine_create(struct vm *vm, void **out)
{
    *out = vm->interp;
    return 0;
}

static void interp_engine_destroy(void *engine)
{
    (void)engine; /* the VM owns its interpreter */
}

static enum vcpu_exit interp_engine_run(void *engine, uint64_t budget)
{
    return interp_run(engine, budget);
}

const struct engine_ops engine_interp = {
    .name = "interp",
    .help = "the reference interpreter",
    .create = interp_engine_create,
    .destroy = interp_engine_destroy,
    .run = interp_engine_run,
};

static const struct engine_ops *const engines[] = {&engine_bt, &engine_interp};

const struct engine_ops *engine_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(engines); i++) {
        if (!strcmp(engines[i]->name, name))
            return engines[i];
    }
    return NULL;
}

void engine_list(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(engines); i++)
        printf("  %-8s %s\n", engines[i]->name, engines[i]->help);
}
