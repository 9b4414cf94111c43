; SPDX-License-Identifier: MIT
; SDM 3A 20.2.3 "Entering Virtual-8086 Mode": IRETD with VM set.
%include "bad.inc"

        push 0                          ; GS, FS, DS, ES
        push 0
        push 0
        push 0
        push 0                          ; SS:ESP
        push 0x8000
        push 0x00020002                 ; EFLAGS: VM
        push 0                          ; CS:EIP
        push 0x7C00
        iretd
