/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_DESCRIPTOR_H
#define EMU_CPU_DESCRIPTOR_H

/*
 * PURPOSE: descriptors of the GDT and the LDT as values: find, read, take
 * apart, and mark accessed or busy (SDM 3A 3.4.5 "Segment Descriptors").
 */
#include "emu/cpu/interp_priv.h"

/* Types of system descriptors (SDM 3A 3.5 "System Descriptor Types"). */
enum system_type {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL_GATE16 = 4,
    SYS_TASK_GATE = 5,
    SYS_INT_GATE16 = 6,
    SYS_TRAP_GATE16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL_GATE32 = 12,
    SYS_INT_GATE32 = 14,
    SYS_TRAP_GATE32 = 15
};

/* Parts of a selector (SDM 3A 3.4.2 "Segment Selectors"). */
#define SELECTOR_RPL   3u
#define SELECTOR_LDT   BIT(2)
#define SELECTOR_INDEX 0xfffcu /* what error codes carry: index and TI */

struct descriptor {
    uint32_t lo;
    uint32_t hi;
    gva_t gva;         /* where it was read */
    uint16_t selector; /* that named it */
};

static inline bool selector_is_null(uint16_t selector)
{
    return (selector & SELECTOR_INDEX) == 0;
}

static inline unsigned descriptor_type(const struct descriptor *d)
{
    return d->hi >> 8 & 0xf;
}

/* Code or data, not a system segment or a gate. */
static inline bool descriptor_is_segment(const struct descriptor *d)
{
    return d->hi >> 8 & SEG_S;
}

static inline bool descriptor_is_code(const struct descriptor *d)
{
    return descriptor_is_segment(d) && (d->hi >> 8 & SEG_CODE);
}

static inline bool descriptor_is_conforming(const struct descriptor *d)
{
    return descriptor_is_code(d) && (d->hi >> 8 & SEG_DOWN);
}

static inline bool descriptor_is_writable(const struct descriptor *d)
{
    return descriptor_is_segment(d) && !(d->hi >> 8 & SEG_CODE) &&
           (d->hi >> 8 & SEG_WRITABLE);
}

static inline bool descriptor_is_readable(const struct descriptor *d)
{
    return descriptor_is_segment(d) &&
           (!(d->hi >> 8 & SEG_CODE) || (d->hi >> 8 & SEG_WRITABLE));
}

static inline bool descriptor_is_present(const struct descriptor *d)
{
    return d->hi >> 8 & SEG_P;
}

static inline unsigned descriptor_dpl(const struct descriptor *d)
{
    return d->hi >> 13 & 3;
}

/* Gates: the target's selector and offset (16 bits of it in 16-bit gates). */
static inline uint16_t gate_selector(const struct descriptor *d)
{
    return (uint16_t)(d->lo >> 16);
}

static inline uint32_t gate_offset(const struct descriptor *d)
{
    bool wide = descriptor_type(d) & 8;

    return (wide ? d->hi & 0xffff0000 : 0) | (d->lo & 0xffff);
}

/* Bytes that a gate pushes for each value: 2 or 4. */
static inline unsigned gate_size(const struct descriptor *d)
{
    return descriptor_type(d) & 8 ? 4 : 2;
}

/* The last valid offset of a segment or table, granularity applied. */
uint32_t descriptor_limit(const struct descriptor *d);

/* The hidden part of a segment register that d is loaded into. */
struct segment descriptor_segment(const struct descriptor *d);

/* The address of the descriptor; false when it lies outside of its table. */
MUST_CHECK bool descriptor_find(const struct vcpu *vcpu, uint16_t selector,
                                gva_t *gva);

/* Read the descriptor at gva, which selector named. False with #PF. */
MUST_CHECK bool descriptor_read(struct interp *interp, uint16_t selector,
                                gva_t gva, struct descriptor *d);

/* Find and read. False with #PF, or with vector(selector) when the selector is
 * outside of its table. */
MUST_CHECK bool descriptor_fetch(struct interp *interp, uint16_t selector,
                                 unsigned vector, struct descriptor *d);

/* Set type bits (accessed, busy), in memory too unless they are set. False
 * with #PF. */
MUST_CHECK bool descriptor_mark(struct interp *interp, struct descriptor *d,
                                unsigned type_bits);

/* True when the size bytes at offset lie within the segment's limit. As in
 * mem.c, an access that wraps at the end of a 4 GiB segment does. */
bool segment_holds(const struct segment *segment, uint32_t offset,
                   unsigned size);

/* vector(selector): the error code is the selector without its RPL. */
static inline bool selector_fault(struct interp *interp, unsigned vector,
                                  uint16_t selector)
{
    return vcpu_fault_error(interp->vcpu, vector, selector & SELECTOR_INDEX);
}

/* A handler's result after a helper returned false. */
static inline enum step step_failed(const struct interp *interp)
{
    return interp->vcpu->stop->reason != STOP_NONE ? STEP_STOP : STEP_FAULT;
}

/* #GP(0). */
static inline enum step step_gp0(struct interp *interp)
{
    return step_fault_error(interp, EXC_GP, 0);
}

/* The far pointer that is the memory operand: offset, then selector. */
MUST_CHECK bool far_pointer_read(struct interp *interp, const struct insn *in,
                                 uint32_t *offset, uint16_t *selector);

/* Stop the machine: no real mode, VM86 or task switch is modelled. */
bool not_modelled(struct interp *interp, const char *what);

#endif /* EMU_CPU_DESCRIPTOR_H */
