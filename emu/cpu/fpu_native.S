/* SPDX-License-Identifier: MIT */
#include "emu/cpu/fpu_native.h"

/*
 * fpu_native_run(call, image, stub): what the guest's instruction does happens
 * between FXRSTOR and FXSAVE, neither of which takes an exception. FXSAVE in
 * 64-bit mode without REX.W writes the 32-bit form of the pointers (SDM 2A
 * "FXSAVE"); XMM8-15 came from the same image and no guest instruction names
 * them. Afterwards the x87 stack is empty and the control words are the
 * caller's, as the C ABI asks.
 *
 *   rbx  call       rdi  the memory operand: call->buffer
 *   rbp  image      eax  the general-register operand
 *   r12  stub       edx  what PCMPESTRx reads besides; ecx what it writes
 */
        .text
        .globl  fpu_native_run
        .type   fpu_native_run, @function
fpu_native_run:
        .cfi_startproc
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        push    %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        sub     $16, %rsp
        .cfi_adjust_cfa_offset 16
        mov     %rdi, %rbx
        mov     %rsi, %rbp
        mov     %rdx, %r12
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        fxrstor (%rbp)
        mov     FPU_CALL_EAX(%rbx), %eax
        mov     FPU_CALL_EDX(%rbx), %edx
        cmpl    $0, FPU_CALL_USE_FLAGS(%rbx)
        jne     1f
        call    *%r12
        jmp     2f
1:      pushq   FPU_CALL_FLAGS(%rbx)
        popfq
        call    *%r12
        pushfq
        popq    FPU_CALL_FLAGS(%rbx)
2:      mov     %eax, FPU_CALL_EAX(%rbx)
        mov     %ecx, FPU_CALL_ECX(%rbx)
        fxsave  (%rbp)
        fninit
        fldcw   4(%rsp)
        ldmxcsr (%rsp)
        add     $16, %rsp
        .cfi_adjust_cfa_offset -16
        pop     %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        ret
        .cfi_endproc
        .size   fpu_native_run, . - fpu_native_run

        .globl  fpu_native_serialize
        .type   fpu_native_serialize, @function
fpu_native_serialize:
        mov     %rsp, %rax
        mov     %ss, %ecx
        push    %rcx
        push    %rax
        pushfq
        mov     %cs, %ecx
        push    %rcx
        lea     1f(%rip), %rcx
        push    %rcx
        iretq
1:      ret
        .size   fpu_native_serialize, . - fpu_native_serialize

        .section .note.GNU-stack, "", @progbits
