/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_SAMPLE_H
#define MONITOR_SAMPLE_H

/*
 * PURPOSE: -accel bt,sample=SECONDS: compare the engines now and then while a
 * guest runs for hours. Every so often the state of the running VM is given to
 * two others, which go on from it in lockstep for a few million instructions
 * and are dropped; to the guest, no time has passed.
 */
#include "monitor/config.h"

struct sampler;
struct vm;

/* NULL when there is no memory. */
struct sampler *sampler_create(const struct config *config);
void sampler_destroy(struct sampler *sampler);

/* Is one due at this host time? */
bool sampler_is_due(const struct sampler *sampler, uint64_t now);

/* Take a sample. vm is paused, between two instructions, and no kick timer of
 * this thread is there. False when the engines parted, reported on stderr, or
 * when the host has no room for two more machines; *why says which. */
MUST_CHECK bool sampler_take(struct sampler *sampler, const struct vm *vm,
                             const char **why);

/* Print what was compared in all. */
void sampler_report(const struct sampler *sampler);

#endif /* MONITOR_SAMPLE_H */
