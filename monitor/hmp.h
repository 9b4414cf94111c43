/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_HMP_H
#define MONITOR_HMP_H

/*
 * PURPOSE: the human monitor: a line editor of the simplest kind and a table of
 * commands, worded and answered as QEMU's.
 */
#include "monitor/base.h"

struct vm;
struct hmp;

/* write is where answers go. 0 or -ENOMEM. */
MUST_CHECK int hmp_create(struct hmp **out, struct vm *vm,
                          void (*write)(void *opaque, const char *text,
                                        size_t len));
void hmp_destroy(struct hmp *hmp);

/* It got the focus: greet once, and prompt. */
void hmp_show(struct hmp *hmp);

/* A key was typed. */
void hmp_feed(struct hmp *hmp, uint8_t byte);

/* Run one command line. */
void hmp_execute(struct hmp *hmp, const char *line);

#endif /* MONITOR_HMP_H */
