; SPDX-License-Identifier: MIT
; SDM 3A 9.9.2 "Switching Back to Real-Address Mode".
%include "bad.inc"

        mov eax, cr0
        and al, 0xFE
        mov cr0, eax
        jmp 0:0x7C00
