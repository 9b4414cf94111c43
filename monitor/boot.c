/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strndup */
#include "monitor/boot.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/vm.h"
#include "shadow_mmu/gmem.h"

static bool read_image(struct image *image, const char *what, const char *path,
                       uint64_t max, struct load_error *error)
{
    int code = image_read(image, path, max);

    if (code != 0)
        return load_fail(error, "could not open %s '%s': %s", what, path,
                         strerror(-code));
    return true;
}

/* "file args,file args": Multiboot modules. */
static bool open_modules(struct boot *boot, const struct config *config,
                         struct load_error *error)
{
    const char *list = config->initrd;

    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        unsigned n = boot->initrd_count;

        if (n == BOOT_MODULES_MAX)
            return load_fail(error, "more than %u modules", BOOT_MODULES_MAX);
        char *args = strndup(list, len);
        if (args == NULL)
            return load_fail(error, "out of memory");
        boot->module_args[n] = args;
        boot->initrd_count++;
        char *path = strndup(args, strcspn(args, " "));
        bool ok = path != NULL && read_image(&boot->initrd[n], "module", path,
                                             config->ram_len, error);
        free(path);
        if (!ok)
            return false;
        list += len + (list[len] == ',');
    }
    return true;
}

bool boot_open(struct boot *boot, const struct config *config,
               struct load_error *error)
{
    if (config->kernel == NULL)
        return true;
    if (!read_image(&boot->kernel, "kernel", config->kernel, config->ram_len,
                    error))
        return false;
    if (config->initrd == NULL)
        return true;
    if (!linux_detect((struct span){boot->kernel.data, boot->kernel.len}))
        return open_modules(boot, config, error);
    boot->initrd_count = 1;
    return read_image(&boot->initrd[0], "initrd", config->initrd,
                      config->ram_len, error);
}

void boot_close(struct boot *boot)
{
    image_free(&boot->kernel);
    for (unsigned i = 0; i < boot->initrd_count; i++) {
        image_free(&boot->initrd[i]);
        free(boot->module_args[i]);
    }
    *boot = (struct boot){0};
}

static void set_flat(struct vcpu *vcpu, enum seg index, uint16_t selector,
                     uint32_t type)
{
    struct segment segment = {
        .base = 0,
        .limit = UINT32_MAX,
        .attr =
            SEG_P | SEG_S | SEG_DB | SEG_G | SEG_ACCESSED | SEG_WRITABLE | type,
        .selector = selector,
    };

    vcpu_set_seg(vcpu, index, &segment);
}

/* Firmware leaves all memory write-back but for the VGA hole and the PCI hole
 * (SDM 3A 11.11 "Memory Type Range Registers (MTRRs)"). */
static void set_memory_types(struct vcpu *vcpu)
{
    const uint64_t all_write_back = 0x0606060606060606ull;
    const uint64_t address_mask = BIT64(36) - 1;

    vcpu->mtrr_def_type = 0xc06;
    for (unsigned i = 0; i < ARRAY_COUNT(vcpu->mtrr_fixed); i++)
        vcpu->mtrr_fixed[i] = i == 2 ? 0 : all_write_back; /* 2: A0000h */
    vcpu->mtrr_base[0] = RAM_LEN_MAX;
    vcpu->mtrr_mask[0] = (~(GIB - 1) & address_mask) | 0x800;
}

/* The state that both boot protocols ask for. */
static void enter(struct vcpu *vcpu, const struct load_entry *entry)
{
    set_flat(vcpu, SEG_CS, LOAD_CODE_SEL, SEG_CODE);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (i != SEG_CS)
            set_flat(vcpu, i, LOAD_DATA_SEL, 0);
    }
    vcpu->gdtr = (struct table_reg){LOAD_GDT, LOAD_GDT_LEN - 1};
    vcpu->cr0 = CR0_PE | CR0_ET;
    vcpu->eip = entry->eip;
    vcpu->regs[REG_EAX] = entry->eax;
    vcpu->regs[REG_EBX] = entry->ebx;
    vcpu->regs[REG_ESI] = entry->esi;
    set_memory_types(vcpu);
}

bool boot_start(const struct boot *boot, struct vm *vm,
                struct load_error *error)
{
    struct span initrds[BOOT_MODULES_MAX];
    struct load_ram ram = {gmem_base(vm->gmem), gmem_ram_len(vm->gmem)};
    struct load_input input = {
        .ram = ram,
        .kernel = {boot->kernel.data, boot->kernel.len},
        .initrds = initrds,
        .initrd_count = boot->initrd_count,
        .module_args = (const char *const *)boot->module_args,
        .kernel_name = vm->config.kernel,
        .cmdline = vm->config.append != NULL ? vm->config.append : "",
    };
    struct load_entry entry;
    struct load_error inner;

    for (unsigned i = 0; i < boot->initrd_count; i++)
        initrds[i] = (struct span){boot->initrd[i].data, boot->initrd[i].len};
    if (!load_kernel(&input, &entry, &inner))
        return load_fail(error, "%s: %s", vm->config.kernel, inner.text);
    if (machine_pc_write_acpi(vm->board, ram.base, ram.len) != 0)
        return load_fail(error, "the ACPI tables do not fit into RAM");
    enter(&vm->vcpu, &entry);
    return true;
}
