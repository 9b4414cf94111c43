; SPDX-License-Identifier: MIT
; Multiboot 1 header and the first instructions of a test kernel.
; Multiboot Specification 0.6.96, "Machine state": flat segments, paging off,
; EAX holds the magic number and EBX the information structure.

MULTIBOOT_MAGIC equ 0x1BADB002
MULTIBOOT_FLAGS equ 0x00000003          ; page-aligned modules, memory map

section .multiboot align=4
        dd MULTIBOOT_MAGIC
        dd MULTIBOOT_FLAGS
        dd -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .text
extern machine_start
global start
start:
        mov esp, boot_stack_end
        push 0
        popfd
        push ebx
        push eax
        call machine_start
.hang:  cli
        hlt
        jmp .hang

section .bss align=4096
        resb 4096                       ; room for tests that underrun a stack
boot_stack:
        resb 262144
global boot_stack_end
boot_stack_end:

section .note.GNU-stack noalloc noexec nowrite progbits
