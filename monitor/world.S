/* SPDX-License-Identifier: MIT */

/*
 * The world switch between the monitor (C, System V ABI) and generated code
 * (register conventions in translator/emit_x86.h).
 *
 * The monitor's stack pointer is kept in bt->monitor_sp, that of the host call
 * stack in bt->host_sp; C never runs on the latter.
 */
#include "monitor/world_offsets.h"

        .text
        .intel_syntax noprefix

/*
 * const struct ccf_exit *world_enter(struct bt_vcpu *bt, uint64_t pc)
 *
 * From its first instruction up to world_enter_end nothing of the guest's
 * state is changed, so a kick that arrives there is answered by resuming at
 * world_cancel with rdi = bt.
 */
        .globl  world_enter, world_enter_end, world_exit, world_leave
        .globl  world_enter_restartable, world_cancel
        .type   world_enter, @function
world_enter:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [rdi + BT_MONITOR_SP], rsp
world_enter_restartable:
        mov     r15, [rdi + BT_VCPU]
        cmp     byte ptr [r15 + VCPU_KICK], 0
        jne     world_cancel
        mov     r13, [rdi + BT_WINDOW]
        mov     r14, [rdi + BT_TABLE]
        mov     r11, rsi
        push    [rdi + BT_FLAGS]
        popfq
        mov     rsp, [rdi + BT_HOST_SP]
        mov     eax, [r15 + VCPU_EAX]
        mov     ecx, [r15 + VCPU_ECX]
        mov     edx, [r15 + VCPU_EDX]
        mov     ebx, [r15 + VCPU_EBX]
        mov     ebp, [r15 + VCPU_EBP]
        mov     esi, [r15 + VCPU_ESI]
        mov     r12d, [r15 + VCPU_ESP]
        mov     edi, [r15 + VCPU_EDI]
        jmp     r11
world_enter_end:

/* Generated code is left: r9 is the exit record, r8d an indirect target. */
world_exit:
        mov     [r15 + VCPU_EAX], eax
        mov     [r15 + VCPU_ECX], ecx
        mov     [r15 + VCPU_EDX], edx
        mov     [r15 + VCPU_EBX], ebx
        mov     [r15 + VCPU_EBP], ebp
        mov     [r15 + VCPU_ESI], esi
        mov     [r15 + VCPU_EDI], edi
        mov     [r15 + VCPU_ESP], r12d
        mov     rdi, [r15 + VCPU_BT]
        mov     [rdi + BT_HOST_SP], rsp
        mov     rsp, [rdi + BT_MONITOR_SP]
        pushfq
        pop     rcx
        cld
        mov     [rdi + BT_FLAGS], rcx
        mov     [rdi + BT_TARGET], r8d
        mov     rax, r9
        jmp     world_return

/* A signal handler left generated code: it saved the guest's state and put
 * bt into rdi and the record into bt->record. */
world_leave:
        mov     rsp, [rdi + BT_MONITOR_SP]
        cld
        mov     rax, [rdi + BT_RECORD]
        jmp     world_return

/* Not entered after all. */
world_cancel:
        mov     rsp, [rdi + BT_MONITOR_SP]
        cld
        lea     rax, [rip + bt_exit_cancel]

world_return:
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret
        .size   world_enter, . - world_enter
        .section .note.GNU-stack, "", @progbits
