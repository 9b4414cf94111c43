; SPDX-License-Identifier: MIT
; CR3 outside RAM: the directory reads as all ones.
%include "bad.inc"

        mov eax, NOWHERE
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        jmp fail
