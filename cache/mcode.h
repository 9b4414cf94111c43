/* SPDX-License-Identifier: MIT */
#ifndef CACHE_MCODE_H
#define CACHE_MCODE_H

/*
 * PURPOSE: the memory that generated code lives in: one memfd mapped twice,
 * read-execute and read-write, so that no page is ever writable and
 * executable. The only code that calls mmap with PROT_EXEC.
 */
#include "monitor/base.h"

struct mcode {
    uint8_t *rx;
    uint8_t *rw;
    size_t len;
};

/* len is rounded up to pages. 0 or -errno with *mcode untouched. */
MUST_CHECK int mcode_init(struct mcode *mcode, size_t len);
void mcode_fini(struct mcode *mcode);

/* The writable view of an address of the executable view. */
static inline uint8_t *mcode_rw(const struct mcode *mcode, uint64_t rx)
{
    size_t offset = (size_t)(rx - (uint64_t)(uintptr_t)mcode->rx);

    ENSURE(offset < mcode->len);
    return mcode->rw + offset;
}

static inline bool mcode_contains(const struct mcode *mcode, uint64_t rx)
{
    return rx - (uint64_t)(uintptr_t)mcode->rx < mcode->len;
}

/* Overwrite the instruction at rx with jmp rel32 to target (5 bytes). */
void mcode_patch_jmp(const struct mcode *mcode, uint64_t rx, uint64_t target);

/* Set the rel32 field at rx so that its instruction, which the field ends,
 * goes to target. */
void mcode_patch_rel32(const struct mcode *mcode, uint64_t rx, uint64_t target);

#endif /* CACHE_MCODE_H */
