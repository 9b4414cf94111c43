/* SPDX-License-Identifier: MIT */
#include "monitor/sample.h"

#include <stdio.h>
#include <stdlib.h>

#include "monitor/host_time.h"
#include "monitor/lockstep.h"
#include "monitor/vm_state.h"

/*
 * A quarter of a sample's instructions run in TU mode, the rest chained. Guest
 * time of the two machines is their retired count, whatever it was in the VM
 * that the state is of. They have no output, no input and no kernel file: all
 * that they are is in the state.
 */
#define NS_PER_S      1000000000ull
#define INSNS_DEFAULT 4000000u
#define TU_SHARE      4u
#define TC_LEN        (16u * MIB) /* of a machine that lives for a second */

struct sampler {
    struct config config; /* of the two machines */
    uint64_t every;       /* ns */
    uint64_t insns;
    uint64_t next; /* host ns */
    uint64_t samples;
    uint64_t ns; /* spent in samples */
    struct lockstep_counts counts;
};

/* The device stays, its output goes nowhere. */
static void silence(struct char_config *device)
{
    if (device->kind != CHAR_NONE)
        device->kind = CHAR_NULL;
}

struct sampler *sampler_create(const struct config *config)
{
    struct sampler *sampler = calloc(1, sizeof(*sampler));

    if (sampler == NULL)
        return NULL;
    sampler->config = *config;
    sampler->config.kernel = NULL;
    sampler->config.initrd = NULL;
    sampler->config.tc_len = TC_LEN;
    sampler->config.stats = STATS_NONE;
    sampler->config.sample.seconds = 0;
    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        silence(&sampler->config.serial[i]);
    silence(&sampler->config.debugcon);
    sampler->every = config->sample.seconds * NS_PER_S;
    sampler->insns =
        config->sample.insns != 0 ? config->sample.insns : INSNS_DEFAULT;
    sampler->next = host_now() + sampler->every;
    return sampler;
}

void sampler_destroy(struct sampler *sampler)
{
    free(sampler);
}

bool sampler_is_due(const struct sampler *sampler, uint64_t now)
{
    return now >= sampler->next;
}

static bool compare(struct sampler *sampler, struct lockstep *ls, uint64_t from)
{
    enum lockstep_result result =
        lockstep_run(ls, from + sampler->insns / TU_SHARE);

    lockstep_set_mode(ls, LOCKSTEP_CHAIN);
    if (result == LOCKSTEP_RUNNING)
        result = lockstep_run(ls, from + sampler->insns);
    return result != LOCKSTEP_DIVERGED;
}

static void count(struct sampler *sampler, const struct lockstep_counts *counts)
{
    struct lockstep_counts *all = &sampler->counts;

    for (unsigned i = 0; i < LOCKSTEP_MODE_COUNT; i++) {
        all->insns[i] += counts->insns[i];
        all->compares[i] += counts->compares[i];
    }
    for (unsigned i = 0; i < 256; i++) {
        all->exceptions[i] += counts->exceptions[i];
        all->interrupts[i] += counts->interrupts[i];
    }
    sampler->samples++;
}

static const char *run(struct sampler *sampler, struct vm_state *state,
                       uint64_t from)
{
    struct load_error error;
    struct lockstep *ls = lockstep_create(&sampler->config, &error);
    const char *why = NULL;

    if (ls == NULL || lockstep_load(ls, state) != 0)
        why = "lockstep sampling: no room for two more machines";
    else if (!compare(sampler, ls, from))
        why = "lockstep sampling: the engines diverge";
    else
        count(sampler, lockstep_counts(ls));
    lockstep_destroy(ls);
    return why;
}

bool sampler_take(struct sampler *sampler, const struct vm *vm,
                  const char **why)
{
    uint64_t begin = host_now();
    struct vm_state *state;

    if (vm_save(vm, &state) != 0) {
        *why = "lockstep sampling: no room for the state";
        return false;
    }
    *why = run(sampler, state, vm->vcpu.retired);
    vm_state_destroy(state);
    sampler->next = host_now();
    sampler->ns += sampler->next - begin;
    sampler->next += sampler->every;
    return *why == NULL;
}

static uint64_t sum(const uint64_t counts[256])
{
    uint64_t all = 0;

    for (unsigned i = 0; i < 256; i++)
        all += counts[i];
    return all;
}

void sampler_report(const struct sampler *sampler)
{
    const struct lockstep_counts *c = &sampler->counts;

    fprintf(stderr,
            "sample: equal samples=%llu tu_insns=%llu "
            "tu_compares=%llu chain_insns=%llu chain_compares=%llu "
            "exceptions=%llu interrupts=%llu ms=%llu\n",
            (unsigned long long)sampler->samples,
            (unsigned long long)c->insns[LOCKSTEP_TU],
            (unsigned long long)c->compares[LOCKSTEP_TU],
            (unsigned long long)c->insns[LOCKSTEP_CHAIN],
            (unsigned long long)c->compares[LOCKSTEP_CHAIN],
            (unsigned long long)sum(c->exceptions),
            (unsigned long long)sum(c->interrupts),
            (unsigned long long)(sampler->ns / 1000000));
}
