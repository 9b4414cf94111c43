/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_PAIR_H
#define TESTS_FUZZ_PAIR_H

/*
 * PURPOSE: the same world under both engines: started alike, compared, and
 * reported when they differ.
 */
#include "world.h"

struct pair {
    struct machine *bt;
    struct machine *interp;
    struct setup setup;
    struct vcpu start; /* of the current run */
    bool crowded;      /* pair_crowd() does something */
};

/* start is the vcpu after reset. */
void pair_create(struct pair *pair, const struct setup *setup);
void pair_destroy(struct pair *pair);

/* The translator is as new, and memory as it was left. */
void pair_forget(struct pair *pair);

/* Go on behind pair_forget() with another setup, which makes machines of the same
 * kind; before a fresh pair_load(). Cheaper than a new pair. */
void pair_reset(struct pair *pair, const struct setup *setup);

/* Both get the image (world_load()) and the state in pair->start. */
void pair_load(struct pair *pair, bool wild, bool fresh);

/* Both get the state in pair->start. */
void pair_start(struct pair *pair);

/* The translation cache is full: the next TU's CCF evicts the last ones'. */
void pair_crowd(const struct pair *pair);

/* The interpreter has as much to do as the translator has done: instructions
 * and, since a fault retires nothing, exceptions. */
bool pair_is_behind(const struct pair *pair);

/* Neither is wild (world.h). */
bool pair_is_tame(const struct pair *pair);

/* An interrupt for both. */
void pair_interrupt(const struct pair *pair);

/* NULL, or what differs; *at: where, if it is memory. */
const char *pair_differ(const struct pair *pair, uint32_t *at);

/* Print where the run began, both states, the code, memory around at. */
void pair_report(const struct pair *pair, uint32_t at);

#endif /* TESTS_FUZZ_PAIR_H */
