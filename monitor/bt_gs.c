/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/bt.h"

#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * WRGSBASE takes 12 ns, but only Linux 5.9 and later let a process use it, and
 * say so in AT_HWCAP2; before, a system call does it.
 */
#ifndef HWCAP2_FSGSBASE
#    define HWCAP2_FSGSBASE (1u << 1)
#endif

void bt_set_gs_base(struct bt_vcpu *bt, uint64_t base)
{
    if (bt->gs_base == base)
        return;
    if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
        __asm__ volatile("wrgsbase %0" : : "r"(base));
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, base);
    bt->gs_base = base;
}
