/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_VM_STATE_H
#define MONITOR_VM_STATE_H

/*
 * PURPOSE: everything that the guest can observe of a VM, apart from it: vcpu,
 * memory, devices, guest time and TSC. Taken between two instructions, and
 * given to any VM with the same RAM and the same devices, whatever its engine
 * and whatever its time is made of.
 */
#include "emu/dev/state.h"
#include "monitor/vm.h"

struct vm_state;

/* Between two instructions: not while the engine runs. 0 or -errno with *out
 * untouched. */
MUST_CHECK int vm_save(const struct vm *vm, struct vm_state **out);
void vm_state_destroy(struct vm_state *state);

/* Go on from there: guest time has stood still since. 0, or -errno: -EINVAL for
 * another board; the VM is not fit to run then. */
MUST_CHECK int vm_load(struct vm *vm, struct vm_state *state);

/* Vcpu, time and devices, for comparisons (state_difference()). */
const struct state_image *vm_state_image(const struct vm_state *state);

/* The fields of struct vcpu. */
extern const struct state_table vcpu_state;

#endif /* MONITOR_VM_STATE_H */
