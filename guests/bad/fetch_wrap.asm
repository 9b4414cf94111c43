; SPDX-License-Identifier: MIT
; Code that runs around the end of the address space.
%include "bad.inc"

        mov eax, 0xFFFFFFFE
        call eax
