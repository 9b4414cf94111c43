; SPDX-License-Identifier: MIT
; Asleep for ever.
%include "bad.inc"

        cli
        hlt
        jmp fail
