/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_IO_H
#define EMU_CPU_IO_H

/*
 * PURPOSE: the right to use I/O ports.
 */
#include "emu/cpu/interp_priv.h"

/* IOPL, else the permission bitmap of a 32-bit TSS (SDM 1 18.5 "Protected-Mode
 * I/O"). False with #GP(0), or with the fault of reading the TSS. */
MUST_CHECK bool io_check_permission(struct interp *interp, uint16_t port,
                                    unsigned size);

#endif /* EMU_CPU_IO_H */
