/* SPDX-License-Identifier: MIT
 *
 * Into 32-bit code and back. The way in is IRETQ, which loads CS, EIP, SS, ESP
 * and EFLAGS at once and serialises after the code was written through another
 * mapping. The only way out is a signal: INT3 behind the instruction, or its
 * fault; host.c's handler then returns to host_leave.
 */
#define CONTEXT_REGS   512
#define CONTEXT_EIP    544
#define CONTEXT_EFLAGS 548
#define CONTEXT_SEG    552

        .text

/* void host_enter(const struct diff_state *before, void **stack) */
        .globl  host_enter
        .type   host_enter, @function
host_enter:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, (%rsi)
        fxrstor (%rdi)
        movzwl  CONTEXT_SEG+0(%rdi), %eax
        mov     %eax, %es
        movzwl  CONTEXT_SEG+6(%rdi), %eax
        mov     %eax, %ds
        mov     $0x2b, %eax             /* flat data, as a 32-bit program has */
        mov     %eax, %gs               /* FS is the C library's */
        push    %rax                    /* SS */
        mov     CONTEXT_REGS+16(%rdi), %eax
        push    %rax                    /* ESP */
        mov     CONTEXT_EFLAGS(%rdi), %eax
        push    %rax
        pushq   $0x23                   /* CS: 32-bit code */
        mov     CONTEXT_EIP(%rdi), %eax
        push    %rax
        mov     CONTEXT_REGS+0(%rdi), %eax
        mov     CONTEXT_REGS+4(%rdi), %ecx
        mov     CONTEXT_REGS+8(%rdi), %edx
        mov     CONTEXT_REGS+12(%rdi), %ebx
        mov     CONTEXT_REGS+20(%rdi), %ebp
        mov     CONTEXT_REGS+24(%rdi), %esi
        mov     CONTEXT_REGS+28(%rdi), %edi
        iretq
        .size   host_enter, . - host_enter

/* Reached by signal return with RSP as host_enter() saved it. */
        .globl  host_leave
        .type   host_leave, @function
host_leave:
        pushq   $0x202                  /* NT outlives a signal; IRETQ minds */
        popfq
        fninit
        ldmxcsr default_mxcsr(%rip)
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
        .size   host_leave, . - host_leave

/* The signal handler: EFLAGS.AC is still the instruction's, and compiled code
 * is free to access memory unaligned. */
        .globl  host_signal
        .type   host_signal, @function
host_signal:
        pushfq
        andl    $~0x40000, (%rsp)
        popfq
        jmp     host_caught
        .size   host_signal, . - host_signal

        .section .rodata
        .balign 4
default_mxcsr:
        .long   0x1f80

        .section .note.GNU-stack, "", @progbits
