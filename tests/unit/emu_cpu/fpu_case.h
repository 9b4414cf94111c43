/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_EMU_CPU_FPU_CASE_H
#define TESTS_UNIT_EMU_CPU_FPU_CASE_H

/*
 * PURPOSE: what tests of FPU instructions share. Every case runs with EBX at
 * MACHINE_DATA, so that [ebx] is a memory operand.
 */
#include "emu/cpu/fpu.h"
#include "tests/unit/emu_cpu/machine.h"

extern struct machine *m;
extern struct fpu_image *image;

void fpu_case_setup(void);
void fpu_case_teardown(void);

struct code {
    const char *bytes;
    size_t len;
};

#define CODE(s)          \
    {                    \
        s, sizeof(s) - 1 \
    }
#define OK(s)            run_ok((struct code)CODE(s))
#define FAULT(s, vector) run_fault((struct code)CODE(s), vector)

/* The instruction retires; it faults, and EIP stays. */
void run_ok(struct code code);
void run_fault(struct code code, unsigned vector);

/* An unmasked x87 exception waits. */
void make_pending(void);

void put_double(uint32_t gpa, double value);
double get_double(uint32_t gpa);
uint16_t get16(uint32_t gpa);
unsigned top(void);

#endif /* TESTS_UNIT_EMU_CPU_FPU_CASE_H */
