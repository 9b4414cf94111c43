/* SPDX-License-Identifier: MIT */
#include "tests/unit/emu_cpu/fpu_case.h"

#include <check.h>
#include <string.h>

struct machine *m;
struct fpu_image *image;

void fpu_case_setup(void)
{
    m = machine_create();
    image = fpu_image(&m->vcpu);
    m->vcpu.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    m->vcpu.regs[REG_EBX] = MACHINE_DATA;
    fpu_image_init(image);
}

void fpu_case_teardown(void)
{
    machine_destroy(m);
}

void run_ok(struct code code)
{
    uint32_t eip = m->vcpu.eip;

    ck_assert_int_eq(machine_exec(m, code.bytes, code.len), VCPU_EXIT_BUDGET);
    ck_assert_uint_eq(m->vcpu.eip, eip + code.len);
}

void run_fault(struct code code, unsigned vector)
{
    uint32_t eip = m->vcpu.eip;

    ck_assert_int_eq(machine_exec(m, code.bytes, code.len), VCPU_EXIT_EXC);
    ck_assert_uint_eq(m->vcpu.exc.vector, vector);
    ck_assert_uint_eq(m->vcpu.eip, eip);
}

void put_double(uint32_t gpa, double value)
{
    machine_put(m, gpa, &value, sizeof(value));
}

double get_double(uint32_t gpa)
{
    double value;

    memcpy(&value, m->ram + gpa, sizeof(value));
    return value;
}

uint16_t get16(uint32_t gpa)
{
    return (uint16_t)machine_get32(m, gpa);
}

unsigned top(void)
{
    return (image->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
}

/* Leave an unmasked division by zero pending. */
void make_pending(void)
{
    machine_put32(m, MACHINE_DATA, 0x37b);
    OK("\xd9\x2b"); /* fldcw [ebx] */
    OK("\xd9\xe8"); /* fld1 */
    OK("\xd9\xee"); /* fldz */
    OK("\xde\xf9"); /* fdivp */
}
