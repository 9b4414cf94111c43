; SPDX-License-Identifier: MIT
; A page directory that is its own page table and its own code page, written
; while it is in use.
%include "bad.inc"

        mov edi, 0x200000
        mov eax, 0x200003
        mov ecx, 1024
        rep stosd
        mov dword [0x200000 + 0 * 4], 0x83      ; 4 MiB at 0: this code
        mov eax, cr4
        or al, 0x10                             ; PSE
        mov cr4, eax
        mov eax, 0x200000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000                      ; PG, WP
        mov cr0, eax
        mov ecx, 4096
.write: mov [0x00400000 + ecx], ecx             ; the directory, by itself
        mov [0xFFFFF000], ecx
        invlpg [0x00400000]
        loop .write
        mov eax, 0x00400000
        call eax                                ; whatever it is by now
        jmp fail
