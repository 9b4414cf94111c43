; SPDX-License-Identifier: MIT
; Ways into and out of the kernel: 256 vectors, ring 3 and back, SYSENTER.

extern trap_entry
extern tss

KERNEL_DATA equ 0x10
USER_DATA   equ 0x23
TSS_ESP0    equ 4

; Vectors that push an error code (SDM Vol.3A "Error Code").
%define HAS_ERROR(v) (v=8 || (v>=10 && v<=14) || v=17 || v=21)

section .text

%assign v 0
%rep 256
vector_%[v]:
%if !HAS_ERROR(v)
        push dword 0
%endif
        push dword v
        jmp trap_common
%assign v v+1
%endrep

; Builds struct frame of trap.h and calls trap_entry(struct frame *).
trap_common:
        pushad
        push ds
        push es
        push fs
        push gs
        mov eax, KERNEL_DATA
        mov ds, eax
        mov es, eax
        cld
        push esp
        call trap_entry
        add esp, 4
        pop gs
        pop fs
        pop es
        pop ds
        popad
        add esp, 8
        iretd

; int context_save(struct context *): returns 0, and 1 after context_restore.
global context_save
context_save:
        mov eax, [esp+4]
        mov ecx, [esp]
        mov [eax], ebx
        mov [eax+4], esi
        mov [eax+8], edi
        mov [eax+12], ebp
        mov [eax+16], esp
        mov [eax+20], ecx
        xor eax, eax
        ret

; void context_restore(struct context *): continues in context_save.
global context_restore
context_restore:
        mov ecx, [esp+4]
        mov eax, KERNEL_DATA
        mov ds, eax
        mov es, eax
        mov ebx, [ecx]
        mov esi, [ecx+4]
        mov edi, [ecx+8]
        mov ebp, [ecx+12]
        mov esp, [ecx+16]
        push dword 2
        popfd
        mov edx, [ecx+20]
        mov [esp], edx
        mov eax, 1
        ret

; void ring_enter(eip, esp, eflags, eax, cs, ss): IRET to an outer ring. Traps
; from there use the stack below this call's frame; user_leave returns to the
; caller.
global ring_enter
ring_enter:
        push ebp
        push ebx
        push esi
        push edi
        mov [user_stack], esp
        mov [tss+TSS_ESP0], esp
        mov ebp, esp
        mov ecx, [ebp+40]
        push ecx
        push dword [ebp+24]
        push dword [ebp+28]
        push dword [ebp+36]
        push dword [ebp+20]
        mov eax, [ebp+32]
        mov ds, ecx
        mov es, ecx
        xor ebx, ebx
        xor edx, edx
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
        xor ecx, ecx
        iretd

global user_leave
user_leave:
        mov eax, KERNEL_DATA
        mov ds, eax
        mov es, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov esp, [user_stack]
        pop edi
        pop esi
        pop ebx
        pop ebp
        push dword 2
        popfd
        ret

; SYSENTER lands here; notes what it sees and goes straight back. SYSEXIT takes
; EIP from EDX and ESP from ECX, which the ring 3 caller has set.
global sysenter_entry
sysenter_entry:
        mov eax, KERNEL_DATA
        mov ds, eax
        mov [sysenter_seen], cs
        mov [sysenter_seen+4], ss
        mov [sysenter_seen+8], esp
        pushfd
        pop dword [sysenter_seen+12]
        mov eax, USER_DATA
        mov ds, eax
        sysexit

; The target of call gates: reads the copied parameters, notes CS, SS and ESP.
; retf 8 drops the two parameters from both stacks.
global gate_entry
gate_entry:
        push ds
        mov eax, KERNEL_DATA
        mov ds, eax
        mov [gate_seen], cs
        mov [gate_seen+4], ss
        mov [gate_seen+8], esp
        mov eax, [esp+12]               ; last parameter pushed
        mov [gate_seen+12], eax
        mov eax, [esp+16]
        mov [gate_seen+16], eax
        pop ds
        mov eax, 0x6A7E
        retf 8

section .data
global vector_table
vector_table:
%assign v 0
%rep 256
        dd vector_%[v]
%assign v v+1
%endrep

section .bss
user_stack:     resd 1
global sysenter_seen
sysenter_seen:  resd 4
global gate_seen
gate_seen:      resd 5

section .note.GNU-stack noalloc noexec nowrite progbits
