/* SPDX-License-Identifier: MIT */
#include "translator/xlat.h"

#include <stddef.h>

const struct xlat_layout xlat_vcpu_layout = {
    .eflags = offsetof(struct vcpu, eflags),
    .if_flag = offsetof(struct vcpu, if_flag),
    .irq_line = offsetof(struct vcpu, irq_line),
    .seg_base = offsetof(struct vcpu, seg_base),
    .seg = offsetof(struct vcpu, seg),
    .sti_gip = offsetof(struct vcpu, sti_gip),
    .seg_check = offsetof(struct vcpu, seg_check),
    .retired = offsetof(struct vcpu, ccf_retired),
    .user_memops = offsetof(struct vcpu, user_memops),
    .user_memops_soft = offsetof(struct vcpu, user_memops_soft),
    .soft_tlb = offsetof(struct vcpu, soft_tlb),
    .soft_pc = offsetof(struct vcpu, soft_pc),
    .held = offsetof(struct vcpu, held)};
