/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_FPU_CODE_H
#define EMU_CPU_FPU_CODE_H

/*
 * PURPOSE: host code for one guest FPU instruction: a stub of at most eight
 * bytes, its operands in fixed places (fpu_native.h), and the table that keeps
 * the stubs. The table's memory is mapped twice, read-write and read-execute:
 * no page is ever writable and executable.
 */
#include "translator/decode/insn.h"

struct fpu_code;

/* 0, or -errno with *out untouched. */
MUST_CHECK int fpu_code_create(struct fpu_code **out);
void fpu_code_destroy(struct fpu_code *code);

/* The stub for an instruction that is not one of the FPU's state-saving ones.
 * Valid until the next call. */
const void *fpu_code_find(struct fpu_code *code, const struct insn *in);

#endif /* EMU_CPU_FPU_CODE_H */
