# SPDX-License-Identifier: MIT
# 16-bit code: a CS of base 10000h and limit FFFFh with D clear. How to read a row: README.md.
add ax, bx ; 01 d8 ; code16 eax=1234ffff ebx=1 => eax=12340000 f=ZAPC
add eax, ebx ; 66 01 d8 ; code16 eax=ffffffff ebx=1 => eax=0 f=ZAPC
inc cx ; 41 ; code16 ecx=ffffffff => ecx=ffff0000 f=ZAP
adc al, 5 ; 14 05 ; code16 eax=ff f=C => eax=5 f=APC
mov ax, 0x1234 ; b8 34 12 ; code16 eax=ffffffff => eax=ffff1234
mov eax, 0x12345678 ; 66 b8 78 56 34 12 ; code16 => eax=12345678
mov eax, [dword esi+4] ; 66 67 8b 86 04 00 00 00 ; code16 esi=20000 [20004]=12345678 => eax=12345678
mov ax, [dword esi+ecx*2] ; 67 8b 84 4e 00 00 00 00 ; code16 esi=20000 ecx=1 [20000]=12345678 eax=ffffffff => eax=ffff1234
mov [dword edi], bl ; 67 88 9f 00 00 00 00 ; code16 edi=20003 ebx=7f => [20000]=7f000000
movzx ax, bl ; 0f b6 c3 ; code16 ebx=ff eax=ffffffff => eax=ffff00ff
movsx eax, bx ; 66 0f bf c3 ; code16 ebx=8000 => eax=ffff8000
cwd ; 99 ; code16 eax=8000 => edx=ffff
cdq ; 66 99 ; code16 eax=80000000 => edx=ffffffff
cbw ; 98 ; code16 eax=80 => eax=ff80
cwde ; 66 98 ; code16 eax=8000 => eax=ffff8000
lea ax, [bx+di+5] ; 8d 41 05 ; code16 ebx=ffff edi=3 eax=ffffffff => eax=ffff0007
lea eax, [bp+si] ; 66 8d 02 ; code16 ebp=ffff esi=2 => eax=1
lea ax, [dword ebx+ecx*4] ; 67 8d 84 8b 00 00 00 00 ; code16 ebx=12345 ecx=1 => eax=2349
jmp short $+0x20 ; eb 1e ; code16 => eip=820
jmp $-0x700 ; e9 fd f8 ; code16 => eip=100
jmp $+0x7000 ; e9 fd 6f ; code16 => eip=7800
jmp ax ; ff e0 ; code16 eax=99990900 => eip=900
jmp eax ; 66 ff e0 ; code16 eax=900 => eip=900
jz $+0x10 ; 74 0e ; code16 f=Z => eip=810
jz $+0x10 ; 74 0e ; code16 f=- =>
jz near $-0x900 ; 0f 84 fc f6 ; code16 f=Z => eip=ff00
call $+0x100 ; e8 fd 00 ; code16 => esp=307fe eip=900 [307fc]=8030000
call dword $+0x100 ; 66 e8 fa 00 00 00 ; code16 => esp=307fc eip=900 [307fc]=806
call bx ; ff d3 ; code16 ebx=aaaa0900 => esp=307fe eip=900 [307fc]=8020000
ret ; c3 ; code16 [30800]=99990900 => esp=30802 eip=900
o32 ret ; 66 c3 ; code16 [30800]=900 => esp=30804 eip=900
ret 6 ; c2 06 00 ; code16 [30800]=900 => esp=30808 eip=900
push ax ; 50 ; code16 eax=12345678 => esp=307fe [307fc]=56780000
push eax ; 66 50 ; code16 eax=12345678 => esp=307fc [307fc]=12345678
push 0x1234 ; 68 34 12 ; code16 => esp=307fe [307fc]=12340000
pop cx ; 59 ; code16 [30800]=12345678 ecx=ffffffff => ecx=ffff5678 esp=30802
pop ecx ; 66 59 ; code16 [30800]=12345678 => ecx=12345678 esp=30804
pusha ; 60 ; code16 eax=1 ecx=2 edx=3 ebx=4 ebp=5 esi=6 edi=7 => esp=307f0 [307f0]=60007 [307f4]=8000005 [307f8]=30004 [307fc]=10002
popa ; 61 ; code16 [30800]=10002 [30804]=30004 [30808]=50006 [3080c]=70008 => eax=7 ecx=8 edx=5 ebx=6 esp=30810 ebp=4 esi=1 edi=2
enter 8, 0 ; c8 08 00 00 ; code16 ebp=20000 => esp=307f6 ebp=207fe
leave ; c9 ; code16 ebp=30700 [30700]=5555 => esp=30702 ebp=35555
loop $+0x10 ; e2 0e ; code16 ecx=10001 => ecx=10000
loop $+0x10 ; e2 0e ; code16 ecx=2 => ecx=1 eip=810
a32 loop $+0x10 ; 67 e2 0d ; code16 ecx=10001 => ecx=10000 eip=810
jcxz $+0x10 ; e3 0e ; code16 ecx=10000 => eip=810
jecxz $+0x10 ; 67 e3 0d ; code16 ecx=10000 =>
shl eax, 4 ; 66 c1 e0 04 ; code16 eax=12345678 => eax=23456780 f=OAC
rcr bx, 1 ; d1 db ; code16 ebx=12340001 => ebx=12340000 f=C
mul bx ; f7 e3 ; code16 eax=1234 ebx=100 => eax=3400 edx=12 f=OC
imul eax, ebx, 3 ; 66 6b c3 03 ; code16 ebx=7 => eax=15
div bl ; f6 f3 ; code16 eax=105 ebx=10 => eax=510 f=A
idiv bx ; f7 fb ; code16 eax=fff9 edx=ffff ebx=2 => eax=fffd f=A
a32 movsw ; 67 a5 ; code16 esi=20010 edi=20020 [20010]=12345678 => esi=20012 edi=20022 [20020]=5678
a32 rep stosd ; f3 66 67 ab ; code16 edi=20020 ecx=3 eax=aabbccdd => ecx=0 edi=2002c [20020]=aabbccdd [20024]=aabbccdd [20028]=aabbccdd
a32 lodsb ; 67 ac ; code16 esi=20020 [20020]=aabbccdd => eax=dd esi=20021
a32 repne scasw ; f2 67 af ; code16 edi=20020 ecx=10 [20024]=78 eax=78 => ecx=d edi=20026 f=ZP
bsf ax, bx ; 0f bc c3 ; code16 ebx=10000 eax=5 => f=ZP
bsf ax, bx ; 0f bc c3 ; code16 ebx=18000 => eax=f f=P
bt [dword esi], bx ; 67 0f a3 9e 00 00 00 00 ; code16 esi=20010 ebx=8fff0 [2000c]=10000 => f=C
bswap eax ; 66 0f c8 ; code16 eax=12345678 => eax=78563412
xchg ax, bx ; 93 ; code16 eax=11111234 ebx=22225678 => eax=11115678 ebx=22221234
aam ; d4 0a ; code16 => f=ZP
nop ; 90 ; code16 =>
ud2 ; 0f 0b ; code16 => exc=6
lahf ; 9f ; code16 f=SZ => eax=c200
std ; fd ; code16 => f=D
