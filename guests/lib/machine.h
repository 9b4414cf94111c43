/* SPDX-License-Identifier: MIT */
#ifndef LIB_MACHINE_H
#define LIB_MACHINE_H

/*
 * PURPOSE: what the loader told, and the machine in a known state.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/paging.h"

struct machine_boot {
    const char *words;   /* the command line, "" when there is none */
    uint32_t memory_kib; /* 0 when the loader does not tell */
};

/* Every kernel has its own: called on the boot stack, with the serial port
 * ready, paging off and interrupts disabled. */
void kernel_main(const struct machine_boot *boot);

/* Fresh tables of all kinds, FPU and interrupts as after a reset, and paging in
 * the mode given. */
void machine_init(enum paging_mode mode);

/* Whether this is QEMU's translator, which deviates from the manual in places:
 * it does not check segment limits and types, for one. */
bool machine_is_tcg(void);

#endif /* LIB_MACHINE_H */
