/* SPDX-License-Identifier: MIT */
#include "mmu_fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Traces of page tables and of code. */

START_TEST(a_quiet_leaf_table_is_traced_and_a_store_ends_that)
{
    struct mmu_limits limits;
    mmu_get_limits(model->mmu, &limits);
    put(KERNEL, 0, frame(DATA) | RWX);
    put(KERNEL, 1, frame(KERNEL) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (unsigned i = 0; i < limits.patience; i++)
        load_root(ROOT_A);
    ck_assert_uint_eq(gmem_frame_flags(model->gmem)[KERNEL], FRAME_TABLE);
    ck_assert_int_eq(
        model_write(model, KERNEL_GVA + PAGE_SIZE, frame(DATA + 1) | RWX),
        DONE);
    ck_assert_uint_eq(counter(STAT_TRACE_FAULTS), 1);
    ck_assert_uint_eq(gmem_frame_flags(model->gmem)[KERNEL], 0);
    mmu_invlpg(model->mmu, KERNEL_GVA);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(a_traced_table_that_changed_unannounced_can_be_forgotten)
{
    const uint32_t changed = frame(DATA + 1) | RWX;
    struct mmu_limits limits;

    mmu_get_limits(model->mmu, &limits);
    put(KERNEL, 0, frame(DATA) | RWX);
    ck_reads(KERNEL_GVA, DATA);
    for (unsigned i = 0; i < limits.patience; i++)
        mmu_flush(model->mmu);
    memcpy(gmem_base(model->gmem) + frame(KERNEL), &changed, sizeof(changed));
    mmu_forget(model->mmu);
    ck_reads(KERNEL_GVA, DATA + 1);
}
END_TEST

START_TEST(a_traced_code_frame_is_writable_in_no_window)
{
    put(KERNEL, 0, frame(DATA) | RWX);
    put(KERNEL, 8, frame(DATA) | RWX);
    put(USER_A, 1, frame(DATA) | RWX | U);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x8000, 2), DONE);
    model->vcpu.cpl = 3;
    ck_assert_int_eq(model_write(model, 0x1000, 3), DONE);
    mmu_trace_code(model->mmu, DATA, true);
    ck_assert_int_eq(model_write(model, 0x1000, 4), EMULATED);
    model->vcpu.cpl = 0;
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 5), EMULATED);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x8000, 6), EMULATED);
    ck_reads(KERNEL_GVA, DATA);
    ck_sound();
    mmu_trace_code(model->mmu, DATA, false);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 7), DONE);
    ck_assert_uint_eq(model_word(model, frame(DATA)), 7);
}
END_TEST

/* Eight kernel pages in a run, the fourth of them traced. */
static void trace_one_of_eight(void)
{
    for (uint32_t i = 0; i < 8; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    ck_assert_int_eq(model_write(model, KERNEL_GVA, 1), DONE);
    mmu_trace_code(model->mmu, DATA + 3, true);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 4), EMULATED);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x2000, 4), DONE);
    ck_sound();
}

START_TEST(a_trace_by_userfaultfd_splits_no_mapping)
{
    bool split = mmu_get_trace(model->mmu) == MMU_TRACE_MPROTECT;
    trace_one_of_eight();
    ck_assert_uint_eq(counter(STAT_VMAS), split ? 3 : 1);
    mmu_trace_code(model->mmu, DATA + 3, false);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 9), DONE);
    ck_assert_uint_eq(model_word(model, frame(DATA + 3)), 9);
    ck_assert_uint_eq(counter(STAT_VMAS), 1);
    ck_sound();
}
END_TEST

/* As a container does, or a kernel without it. */
static void deny_userfaultfd(unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {ARRAY_COUNT(code), code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(a_host_that_denies_userfaultfd_gets_mprotect)
{
    static const unsigned errors[] = {EPERM, ENOSYS};
    deny_userfaultfd(errors[_i]);
    mmu_set_trace(model->mmu, MMU_TRACE_DEFAULT);
    ck_assert_int_eq(mmu_get_trace(model->mmu), MMU_TRACE_MPROTECT);
    trace_one_of_eight();
    mmu_set_trace(model->mmu, MMU_TRACE_USERFAULTFD);
    ck_assert_int_eq(mmu_get_trace(model->mmu), MMU_TRACE_MPROTECT);
    ck_sound();
}
END_TEST

START_TEST(a_traced_frame_is_protected_wherever_it_is_mapped_later)
{
    trace_one_of_eight();
    for (uint32_t i = 0; i < 8; i++) {
        put(KERNEL, 100 + i, frame(DATA + i) | RWX);
        put(USER_A, i, frame(DATA + i) | RWX | U);
    }
    ck_reads(KERNEL_GVA + 100 * 0x1000, DATA);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 103 * 0x1000, 4),
                     EMULATED);
    model->vcpu.cpl = 3;
    ck_reads(0x3000, DATA + 3);
    ck_assert_int_eq(model_write(model, 0x3000, 4), EMULATED);
    ck_assert_int_eq(model_write(model, 0x4000, 4), DONE);
    ck_sound();
}
END_TEST

START_TEST(a_trace_outlives_the_loss_and_return_of_write_permission)
{
    trace_one_of_eight();
    for (uint32_t i = 0; i < 8; i++)
        put(KERNEL, i, frame(DATA + i) | (RWX & ~W));
    mmu_flush(model->mmu);
    ck_sound();
    for (uint32_t i = 0; i < 8; i++)
        put(KERNEL, i, frame(DATA + i) | RWX);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x2000, 1), DONE);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 2), EMULATED);
    ck_sound();
    mmu_trace_code(model->mmu, DATA + 3, false);
    ck_assert_int_eq(model_write(model, KERNEL_GVA + 0x3000, 3), DONE);
    ck_assert_uint_eq(model_word(model, frame(DATA + 3)), 3);
    ck_sound();
}
END_TEST

void add_trace_tests(TCase *tcase)
{
    tcase_add_test(tcase, a_quiet_leaf_table_is_traced_and_a_store_ends_that);
    tcase_add_test(tcase,
                   a_traced_table_that_changed_unannounced_can_be_forgotten);
    tcase_add_test(tcase, a_traced_code_frame_is_writable_in_no_window);
    tcase_add_test(tcase, a_trace_by_userfaultfd_splits_no_mapping);
    tcase_add_loop_test(tcase, a_host_that_denies_userfaultfd_gets_mprotect, 0,
                        2);
    tcase_add_test(tcase,
                   a_traced_frame_is_protected_wherever_it_is_mapped_later);
    tcase_add_test(tcase,
                   a_trace_outlives_the_loss_and_return_of_write_permission);
}
