; SPDX-License-Identifier: MIT
; Code where there is no memory: FFh FFh is #UD.
%include "bad.inc"

        mov eax, NOWHERE
        jmp eax
