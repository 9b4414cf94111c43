; SPDX-License-Identifier: MIT
; The 8254 asks for an interrupt at each of its ticks, 838 ns apart, first masked,
; then with nobody to take it: the guest comes on all the same.
%include "bad.inc"

        mov al, 0xFF
        out 0x21, al
        out 0xA1, al
        mov al, 0x34                    ; channel 0, both bytes, mode 2
        out 0x43, al
        mov al, 1
        out 0x40, al
        xor al, al
        out 0x40, al
        call work
        mov al, 0xFE                    ; IRQ 0, but IF is clear
        out 0x21, al
        call work
        jmp pass

work:   mov ecx, 2000000
.next:  dec ecx
        jnz .next
        ret
