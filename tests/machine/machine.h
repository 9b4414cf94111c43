/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MACHINE_MACHINE_H
#define TESTS_MACHINE_MACHINE_H

/*
 * PURPOSE: the machine that tests of the translator engine run code in: RAM,
 * ports that answer what the test says, nothing else. It has an interpreter
 * and, if asked for, the translator; a test makes one of each kind and
 * compares them.
 *
 * Undefined flags are the host's in both engines, so that they can be compared.
 */
#include "emu/cpu/interp.h"
#include "monitor/bt.h"
#include "shadow_mmu/gmem.h"

struct machine;

struct machine_config {
    uint64_t ram_len;
    bool bt;            /* with the translator */
    bool count;         /* CCFs count what they retire */
    bool deterministic; /* time is that count */
    size_t tc_len;      /* 0: the smallest */
    enum soft_mode soft_mode;
    bool no_bmi2;         /* the translator does without */
    uint32_t off;         /* mechanisms that it does without */
    uint64_t outside_max; /* kick it after so many accesses to MMIO and ports;
                              0: never */
    uint32_t (*port_in)(struct machine *m, uint16_t port); /* NULL: 0 */
};

struct machine {
    struct gmem *gmem;
    struct stats stats;
    struct stop stop;
    struct vcpu vcpu; /* after vcpu_reset() */
    struct interp *interp;
    struct bt_vcpu *bt; /* NULL: the interpreter runs it */
    uint64_t outside;   /* accesses to MMIO and ports so far */
    struct machine_config config;
};

/* Fails the test when the host has no memory. */
struct machine *machine_create(const struct machine_config *config);
void machine_destroy(struct machine *m);

uint8_t *machine_ram(const struct machine *m, uint32_t gpa);

/* Run until something else than an exception that is delivered happens: HLT,
 * stop, kick. max: instructions; the interpreter only, which then returns
 * VCPU_EXIT_BUDGET and goes on behind kicks. */
enum vcpu_exit machine_run(struct machine *m, uint64_t max);

bool machine_is_stopped(const struct machine *m);

/* How many were delivered. */
uint64_t machine_exceptions(const struct machine *m);

/* Deliver vcpu.exc. */
void machine_deliver(struct machine *m);

/* Replace the vcpu's state, keeping what makes it this machine's. What engines
 * derived from the old one is flushed. */
void machine_set_vcpu(struct machine *m, const struct vcpu *state);

/* The test stored to RAM itself, page tables and code included. */
void machine_stored(struct machine *m, uint32_t gpa, uint32_t len);

/* NULL when both have the same state, else what differs. All that the guest
 * can see of its CPU is compared but the x87 pointers, and the retired count
 * only if both count. */
const char *machine_differ(const struct machine *a, const struct machine *b);

/* The same of a range of RAM. */
bool machine_same_ram(const struct machine *a, const struct machine *b,
                      uint32_t gpa, uint32_t len);

#endif /* TESTS_MACHINE_MACHINE_H */
