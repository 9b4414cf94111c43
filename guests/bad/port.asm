; SPDX-License-Identifier: MIT
; Ports that nobody models read as all ones and take writes.
%include "bad.inc"

        mov dx, 0x5678
        in al, dx
        cmp al, 0xFF
        jne fail
        in ax, dx
        cmp ax, 0xFFFF
        jne fail
        in eax, dx
        cmp eax, -1
        jne fail
        out dx, al
        out dx, ax
        out dx, eax
        mov dx, 0xFFFF                  ; the last port, and past it
        in eax, dx
        out dx, eax
        mov edi, buffer
        mov ecx, 64
        mov dx, 0x5678
        rep insd
        mov esi, buffer
        mov ecx, 64
        rep outsb
        cmp dword [buffer + 252], -1
        jne fail
        jmp pass

align 4
buffer: times 64 dd 0
