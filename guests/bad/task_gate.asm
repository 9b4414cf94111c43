; SPDX-License-Identifier: MIT
; SDM 3A 6.14.2 "Interrupt Tasks": an exception through a task gate.
%include "bad.inc"

        lgdt [gdtr]
        jmp 8:.flat
.flat:  mov ax, 16
        mov ds, ax
        mov ss, ax
        mov ax, 24
        ltr ax
        lidt [idtr]
        int 0

align 8
gdt:    dq 0
        dq 0x00CF9B000000FFFF
        dq 0x00CF93000000FFFF
        dw 0x67, 0x8000, 0x8911, 0
        dw 0x67, 0x9000, 0x8911, 0
gdtr:   dw 39
        dd gdt
idt:    dw 0, 32, 0x8500, 0
idtr:   dw 7
        dd idt
