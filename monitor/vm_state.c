/* SPDX-License-Identifier: MIT */
#include "monitor/vm_state.h"

#include <errno.h>
#include <stdlib.h>

#include "shadow_mmu/gmem.h"

#define WORDS(field, bytes) STATE_ROW(field, STATE_BYTES, bytes, NULL)

/*
 * exc is dead between two instructions, ccf_retired is added to retired
 * whenever an engine is left. seg_base, seg_check and seg_kinds are derived from
 * seg.
 */
#define STATE_OF struct vcpu
static const struct state_field vcpu_fields[] = {
    WORDS(retired, 8),
    WORDS(eip, 4),
    WORDS(regs, 4),
    WORDS(eflags, 4),
    WORDS(if_flag, 1),
    WORDS(inhibit, 1),
    WORDS(cpl, 1),
    WORDS(irq_line, 1),
    WORDS(seg, 4),
    WORDS(ldtr, 4),
    WORDS(tr, 4),
    WORDS(gdtr, 4),
    WORDS(idtr, 4),
    WORDS(cr0, 4),
    WORDS(cr2, 4),
    WORDS(cr3, 4),
    WORDS(cr4, 4),
    WORDS(pdpte, 8),
    WORDS(dr, 4),
    WORDS(efer, 8),
    WORDS(sysenter_cs, 4),
    WORDS(sysenter_esp, 4),
    WORDS(sysenter_eip, 4),
    WORDS(pat, 8),
    WORDS(misc_enable, 8),
    WORDS(mtrr_def_type, 8),
    WORDS(mtrr_fixed, 8),
    WORDS(mtrr_base, 8),
    WORDS(mtrr_mask, 8),
    WORDS(apic_base, 8),
    WORDS(tsc_offset, 8),
    WORDS(a20, 1),
    WORDS(ferr, 1),
    WORDS(ignne, 1),
    WORDS(fpu, 4),
    STATE_SKIP(seg_base),
    STATE_SKIP(seg_check),
    STATE_SKIP(seg_kinds),
    STATE_SKIP(kick),
    STATE_SKIP(bt),
    STATE_SKIP(ccf_retired),
    STATE_SKIP(user_memops),
    STATE_SKIP(user_memops_soft),
    STATE_SKIP(soft_pc),
    STATE_SKIP(held),
    STATE_SKIP(sti_gip),
    STATE_SKIP(soft_tlb),
    STATE_SKIP(tsc_stopped),
    STATE_SKIP(exc),
    STATE_SKIP(stop),
    STATE_SKIP(stats),
    STATE_SKIP(vm),
};
const struct state_table vcpu_state = STATE_TABLE("vcpu", vcpu_fields);
#undef STATE_OF

/* What the VM itself knows. */
struct moment {
    uint64_t now; /* guest time in ns */
    uint64_t tsc;
    uint64_t halted;
};

#define STATE_OF struct moment
static const struct state_field moment_fields[] = {
    STATE_FIELD(now), STATE_FIELD(tsc), STATE_FIELD(halted)};
static const struct state_table moment_state = STATE_TABLE("vm", moment_fields);
#undef STATE_OF

struct vm_state {
    struct state_image image;
    struct gmem_image *memory;
};

void vm_state_destroy(struct vm_state *state)
{
    if (state == NULL)
        return;
    state_image_fini(&state->image);
    gmem_image_destroy(state->memory);
    free(state);
}

int vm_save(const struct vm *vm, struct vm_state **out)
{
    const struct moment moment = {
        .now = clock_now(vm->clock), .tsc = vm_tsc(vm), .halted = vm->halted};
    struct vm_state *state = calloc(1, sizeof(*state));
    int error;

    if (state == NULL)
        return -ENOMEM;
    state_save(&state->image, &moment_state, &moment);
    state_save(&state->image, &vcpu_state, &vm->vcpu);
    machine_pc_save(vm->board, &state->image);
    error = state->image.failed ? -ENOMEM : gmem_save(vm->gmem, &state->memory);
    if (error != 0) {
        vm_state_destroy(state);
        return error;
    }
    *out = state;
    return 0;
}

int vm_load(struct vm *vm, struct vm_state *state)
{
    struct moment moment;
    int error;

    vm_flush(vm);
    error = gmem_restore(vm->gmem, state->memory);
    if (error != 0)
        return error;
    state->image.at = 0;
    state->image.failed = false;
    state_load(&state->image, &moment_state, &moment, vm->clock);
    state_load(&state->image, &vcpu_state, &vm->vcpu, vm->clock);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(&vm->vcpu, i, &vm->vcpu.seg[i]);
    machine_pc_load(vm->board, &state->image);
    if (state->image.failed || state->image.at != state->image.len)
        return -EINVAL;
    vm->stop = (struct stop){0};
    vm->reset_wanted = false;
    vm->halted = moment.halted;
    vm_set_time(vm, moment.now, moment.tsc);
    vm->vcpu.kick = 1;
    vm_flush(vm);
    return 0;
}

const struct state_image *vm_state_image(const struct vm_state *state)
{
    return &state->image;
}
