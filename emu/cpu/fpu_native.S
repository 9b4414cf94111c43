/* SPDX-License-Identifier: MIT */
#include "emu/cpu/fpu_native.h"

/*
 * fpu_native_run(call, image, stub) and fpu_native_run_sse(call, image, stub):
 * what the guest's instruction does happens between loading its registers and
 * storing them, none of which takes an exception. Afterwards the x87 stack is
 * empty and the control words are the caller's, as the C ABI asks.
 *
 *   rbx  call       rdi  the memory operand: call->buffer
 *   rbp  image      eax  the general-register operand
 *   r12  stub       edx  what PCMPESTRx reads besides; ecx what it writes
 */
        .macro  enter
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
        .endm

        .macro  leave_and_return
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
        .endm

        .macro  run_stub
        mov     FPU_CALL_EAX(%rbx), %eax
        mov     FPU_CALL_EDX(%rbx), %edx
        cmpl    $0, FPU_CALL_USE_FLAGS(%rbx)
        jne     1f
        call    *%r12
        jmp     2f
1:      pushq   FPU_CALL_FLAGS(%rbx)
        .cfi_adjust_cfa_offset 8
        popfq
        .cfi_adjust_cfa_offset -8
        call    *%r12
        pushfq
        .cfi_adjust_cfa_offset 8
        popq    FPU_CALL_FLAGS(%rbx)
        .cfi_adjust_cfa_offset -8
2:      mov     %eax, FPU_CALL_EAX(%rbx)
        mov     %ecx, FPU_CALL_ECX(%rbx)
        .endm

        .text

/* FXSAVE in 64-bit mode without REX.W writes the 32-bit form of the pointers
 * (SDM 2A "FXSAVE"); XMM8-15 came from the same image and no guest instruction
 * names them. EMMS empties the x87 stack for a fraction of what FNINIT costs, but
 * both it and FLDCW would take an exception that the guest's instruction left
 * pending. */
        .globl  fpu_native_run
        .type   fpu_native_run, @function
fpu_native_run:
        .cfi_startproc
        enter
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        fxrstor (%rbp)
        run_stub
        fxsave  (%rbp)
        testb   $FPU_IMAGE_FSW_ES, FPU_IMAGE_FSW(%rbp)
        jnz     3f
        emms
        jmp     4f
3:      fninit
4:      fldcw   4(%rsp)
        ldmxcsr (%rsp)
        leave_and_return
        .cfi_endproc
        .size   fpu_native_run, . - fpu_native_run

        .globl  fpu_native_run_sse
        .type   fpu_native_run_sse, @function
fpu_native_run_sse:
        .cfi_startproc
        enter
        stmxcsr (%rsp)
        ldmxcsr FPU_IMAGE_MXCSR(%rbp)
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        movaps  FPU_IMAGE_XMM + 16 * \n(%rbp), %xmm\n
        .endr
        run_stub
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        movaps  %xmm\n, FPU_IMAGE_XMM + 16 * \n(%rbp)
        .endr
        stmxcsr FPU_IMAGE_MXCSR(%rbp)
        ldmxcsr (%rsp)
        leave_and_return
        .cfi_endproc
        .size   fpu_native_run_sse, . - fpu_native_run_sse

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
