/* SPDX-License-Identifier: MIT */
#include "lib/machine.h"

#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/trap.h"

/* Multiboot Specification 0.6.96, "Boot information format". */
enum {
    MULTIBOOT_LOADER = 0x2BADB002,
    MULTIBOOT_HAS_MEMORY = 1 << 0,
    MULTIBOOT_HAS_CMDLINE = 1 << 2,
};

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device;
    const char *cmdline;
};

void machine_start(uint32_t magic, const struct multiboot_info *info);

void machine_start(uint32_t magic, const struct multiboot_info *info)
{
    struct machine_boot boot = {.words = ""};

    serial_init();
    if (magic == MULTIBOOT_LOADER && info->flags & MULTIBOOT_HAS_CMDLINE)
        boot.words = info->cmdline;
    if (magic == MULTIBOOT_LOADER && info->flags & MULTIBOOT_HAS_MEMORY)
        boot.memory_kib = info->mem_upper + 1024;
    kernel_main(&boot);
}

void machine_init(enum paging_mode mode)
{
    write_cr0((read_cr0() | CR0_NE | CR0_MP) &
              ~(uint32_t)(CR0_TS | CR0_EM | CR0_AM));
    write_cr4(read_cr4() & ~(uint32_t)(CR4_TSD | CR4_DE));
    write_dr7(0x400);
    paging_init(mode);
    desc_init();
    trap_init();
    __asm__ volatile("fninit");
}

bool machine_is_tcg(void)
{
    struct cpuid c;

    if (!(cpuid(1).ecx & 1u << 31))
        return false;
    c = cpuid(0x40000000);
    return !memcmp(&c.ebx, "TCGT", 4);
}
