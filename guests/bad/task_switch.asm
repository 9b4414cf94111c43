; SPDX-License-Identifier: MIT
; SDM 3A 7.3 "Task Switching": a far jump to an available TSS.
%include "bad.inc"

        lgdt [gdtr]
        jmp 8:.flat
.flat:  mov ax, 16
        mov ds, ax
        mov ss, ax
        mov ax, 24
        ltr ax
        jmp 32:0

align 8
gdt:    dq 0
        dq 0x00CF9B000000FFFF
        dq 0x00CF93000000FFFF
        dw 0x67, 0x8000, 0x8911, 0      ; TSS at 118000h
        dw 0x67, 0x9000, 0x8911, 0      ; TSS at 119000h
gdtr:   dw 39
        dd gdt
