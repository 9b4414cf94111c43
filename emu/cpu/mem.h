/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_MEM_H
#define EMU_CPU_MEM_H

/*
 * PURPOSE: guest memory as an instruction sees it: segmentation, then paging,
 * then RAM, ROM or MMIO, with the faults of each, in the manual's order.
 *
 * Every function that can fault returns false with vcpu->exc filled (#GP or
 * #SS for segmentation, #AC for alignment, #PF for paging) and no effect.
 * A data access that crosses a page is checked on both pages before either is
 * touched (SDM 3A 6.5, faults are precise).
 *
 * All use the vcpu's CPL; the sys_ forms are implicit supervisor accesses (to
 * descriptor tables and the TSS; SDM 3A 4.6.1) by linear address.
 */
#include "emu/cpu/interp.h"

/* offset is the effective address; size 1 2 4 8 10 16 or up to 512. */
MUST_CHECK bool mem_read(struct interp *interp, enum seg seg, uint32_t offset,
                         void *data, unsigned size);
MUST_CHECK bool mem_write(struct interp *interp, enum seg seg, uint32_t offset,
                          const void *data, unsigned size);

/* Zero-extended integers of 1, 2, 4 or 8 bytes. */
MUST_CHECK bool mem_read_uint(struct interp *interp, enum seg seg,
                              uint32_t offset, unsigned size, uint64_t *value);
MUST_CHECK bool mem_write_uint(struct interp *interp, enum seg seg,
                               uint32_t offset, unsigned size, uint64_t value);

/* Check that a write of size bytes would succeed, setting A and D as it would:
 * what read-modify-write forms do first, so that they fault with W=1. */
MUST_CHECK bool mem_probe_write(struct interp *interp, enum seg seg,
                                uint32_t offset, unsigned size);

/* For block operations: how many of the len bytes at offset can be accessed
 * directly at *hva, as if by len one-byte accesses that neither fault nor have
 * any effect beyond RAM. 0 when only the general functions know. */
unsigned mem_plain_run(struct interp *interp, enum seg seg, uint32_t offset,
                       bool write, unsigned len, uint8_t **hva);

/* Implicit supervisor accesses by linear address. */
MUST_CHECK bool sys_read(struct interp *interp, gva_t gva, void *data,
                         unsigned size);
MUST_CHECK bool sys_write(struct interp *interp, gva_t gva, const void *data,
                          unsigned size);

/* Fetch up to len (at most 15) instruction bytes at linear address gip without
 * crossing into a page that faults: *got bytes are in bytes. False with #PF
 * (I/D bit as CR4.PAE and NXE say) only when the first byte cannot be had. */
MUST_CHECK bool mem_fetch(struct interp *interp, gip_t gip, uint8_t *bytes,
                          unsigned len, unsigned *got);

/* Physical accesses, for walkers and tests; unmapped space reads as ones. */
uint64_t phys_read(struct interp *interp, gpa_t gpa, unsigned size);
void phys_write(struct interp *interp, gpa_t gpa, unsigned size,
                uint64_t value);

/* Replace the 4 or 8 aligned bytes at gpa with value if they are expected, in
 * one locked step. False: they are not. Outside RAM nothing is stored. */
MUST_CHECK bool phys_cmpxchg(struct interp *interp, gpa_t gpa, unsigned size,
                             uint64_t expected, uint64_t value);

/* Translate without side effects (no A/D, no fault): for debuggers.
 * False when no translation exists. */
bool mem_debug_translate(struct interp *interp, gva_t gva, gpa_t *gpa);

#endif /* EMU_CPU_MEM_H */
