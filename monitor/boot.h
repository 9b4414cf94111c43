/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_BOOT_H
#define MONITOR_BOOT_H

/*
 * PURPOSE: keep the boot files of a VM and start it from them, at power-up and
 * again at every reset.
 */
#include "monitor/config.h"
#include "monitor/image.h"
#include "monitor/load.h"

struct vm;

#define BOOT_MODULES_MAX 16u

struct boot {
    struct image kernel;
    struct image initrd[BOOT_MODULES_MAX];
    char *module_args[BOOT_MODULES_MAX]; /* owned; "file args" */
    unsigned initrd_count;
};

/* Read the files that config names. False with *error filled. */
MUST_CHECK bool boot_open(struct boot *boot, const struct config *config,
                          struct load_error *error);
void boot_close(struct boot *boot);

/* Load kernel and tables into RAM, and set the vcpu, which was reset, to the
 * kernel's entry. */
MUST_CHECK bool boot_start(const struct boot *boot, struct vm *vm,
                           struct load_error *error);

#endif /* MONITOR_BOOT_H */
