; SPDX-License-Identifier: MIT
; Addresses that nobody models read as all ones and take writes, whatever
; instruction asks.
%include "bad.inc"

        mov ebx, NOWHERE
        cmp dword [ebx], -1
        jne fail
        mov dword [ebx], 0
        cmp byte [ebx + 3], -1
        jne fail
        inc dword [ebx]
        lock xadd [ebx], eax
        cmp eax, -1
        jne fail
        push dword [ebx]
        pop dword [ebx + 4]
        fild qword [ebx]
        fistp qword [ebx]
        mov esi, ebx
        mov edi, ebx
        mov ecx, 100
        rep movsd
        mov edi, ebx
        mov ecx, 100
        xor eax, eax
        rep stosb
        mov ecx, 4
        mov edi, ebx
        repe scasd
        mov esp, NOWHERE + 0x1000       ; a stack that keeps nothing
        push 1
        pop eax
        cmp eax, -1
        jne fail
        pushfd
        mov esp, 0x180000
        mov eax, [0xFFFFFFFC]           ; the last bytes, and around the end
        mov eax, [0xFFFFFFFE]
        mov [0xFFFFFFFE], eax
        jmp pass
