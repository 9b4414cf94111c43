/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_HMP_PRIV_H
#define MONITOR_HMP_PRIV_H

/*
 * PURPOSE: what the monitor's commands share with its line editor.
 */
#include "monitor/base.h"
#include "monitor/hmp.h"

struct vm;

#define HMP_LINE_LEN 256u

struct hmp {
    struct vm *vm;
    void (*write)(void *opaque, const char *text, size_t len);
    bool greeted;
    char line[HMP_LINE_LEN];
    size_t len;
};

void hmp_print(struct hmp *hmp, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Commands; args is what stands behind the name, never NULL. */
typedef void hmp_command(struct hmp *hmp, const char *args);
hmp_command hmp_info_registers; /* hmp_cpu.c */
hmp_command hmp_info_mem;       /* hmp_mem.c */
hmp_command hmp_info_tlb;       /* hmp_mem.c */
hmp_command hmp_x;              /* hmp_mem.c */
hmp_command hmp_xp;             /* hmp_mem.c */

#endif /* MONITOR_HMP_PRIV_H */
