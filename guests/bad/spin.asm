; SPDX-License-Identifier: MIT
; For ever, without an interrupt.
%include "bad.inc"

        cli
        jmp $
