/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_IO_H
#define EMU_CPU_IO_H

/*
 * PURPOSE: access to I/O ports, and the right to it.
 */
#include "emu/cpu/interp_priv.h"

/* IOPL, else the permission bitmap of a 32-bit TSS (SDM 1 18.5 "Protected-Mode
 * I/O"). False with #GP(0), or with the fault of reading the TSS. */
MUST_CHECK bool io_check_permission(struct interp *interp, uint16_t port,
                                    unsigned size);

/* A port access that is permitted, with its debug event. */
uint32_t io_read_port(struct interp *interp, uint16_t port, unsigned size);
void io_write_port(struct interp *interp, uint16_t port, unsigned size,
                   uint32_t value);

#endif /* EMU_CPU_IO_H */
