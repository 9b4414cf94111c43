# SPDX-License-Identifier: MIT
# Branches, stack, flags and instructions that do nothing. How to read a row: README.md.
jmp $+0x1000 ; e9 fb 0f 00 00 ; => eip=11800
jmp $-0x20 ; eb de ; => eip=107e0
jmp eax ; ff e0 ; eax=10900 => eip=10900
jmp [esi] ; ff 26 ; esi=20000 [20000]=10a00 => eip=10a00
call $+0x100 ; e8 fb 00 00 00 ; => esp=307fc eip=10900 [307fc]=10805
call ecx ; ff d1 ; ecx=10900 => esp=307fc eip=10900 [307fc]=10802
call [esp] ; ff 14 24 ; [30800]=10980 => esp=307fc eip=10980 [307fc]=10803
ret ; c3 ; [30800]=10990 => esp=30804 eip=10990
ret 8 ; c2 08 00 ; [30800]=10990 => esp=3080c eip=10990
loop $+0x10 ; e2 0e ; ecx=2 => ecx=1 eip=10810
loop $+0x10 ; e2 0e ; ecx=1 => ecx=0
loop $+0x10 ; e2 0e ; ecx=0 => ecx=ffffffff eip=10810
loope $+0x10 ; e1 0e ; ecx=2 f=Z => ecx=1 eip=10810
loope $+0x10 ; e1 0e ; ecx=2 => ecx=1
loope $+0x10 ; e1 0e ; ecx=1 f=Z => ecx=0
loopne $+0x10 ; e0 0e ; ecx=2 f=Z => ecx=1
loopne $+0x10 ; e0 0e ; ecx=2 => ecx=1 eip=10810
jecxz $+0x10 ; e3 0e ; ecx=0 => eip=10810
jecxz $+0x10 ; e3 0e ; ecx=1 =>
a16 loop $+0x10 ; 67 e2 0d ; ecx=10001 => ecx=10000
a16 loop $+0x10 ; 67 e2 0d ; ecx=20000 => ecx=2ffff eip=10810
jcxz $+0x10 ; 67 e3 0d ; ecx=10000 => eip=10810
push eax ; 50 ; eax=12345678 => esp=307fc [307fc]=12345678
push word 0x1234 ; 66 68 34 12 ; => esp=307fe [307fc]=12340000
push -1 ; 6a ff ; => esp=307fc [307fc]=ffffffff
push esp ; 54 ; => esp=307fc [307fc]=30800
push dword [esp] ; ff 34 24 ; [30800]=99 => esp=307fc [307fc]=99
push bx ; 66 53 ; ebx=abcdef01 => esp=307fe [307fc]=ef010000
pop eax ; 58 ; [30800]=12345678 => eax=12345678 esp=30804
pop esp ; 5c ; [30800]=30100 => esp=30100
pop cx ; 66 59 ; [30800]=12345678 ecx=ffffffff => ecx=ffff5678 esp=30802
pop dword [esp+4] ; 8f 44 24 04 ; [30800]=77 => esp=30804 [30808]=77
pop dword [esi] ; 8f 06 ; [30800]=77 esi=20000 => esp=30804 [20000]=77
pop word [esi] ; 66 8f 06 ; [30800]=aaaa5555 esi=20000 => esp=30802 [20000]=5555
pusha ; 60 ; eax=1 ecx=2 edx=3 ebx=4 ebp=5 esi=6 edi=7 => esp=307e0 [307e0]=7 [307e4]=6 [307e8]=5 [307ec]=30800 [307f0]=4 [307f4]=3 [307f8]=2 [307fc]=1
pushaw ; 66 60 ; eax=1 ecx=2 edx=3 ebx=4 ebp=5 esi=6 edi=7 => esp=307f0 [307f0]=60007 [307f4]=8000005 [307f8]=30004 [307fc]=10002
popa ; 61 ; [30800]=1 [30804]=2 [30808]=3 [3080c]=4 [30810]=5 [30814]=6 [30818]=7 [3081c]=8 => eax=8 ecx=7 edx=6 ebx=5 esp=30820 ebp=3 esi=2 edi=1
popaw ; 66 61 ; [30800]=10002 [30804]=30004 [30808]=50006 [3080c]=70008 eax=ffff0000 => eax=ffff0007 ecx=8 edx=5 ebx=6 esp=30810 ebp=4 esi=1 edi=2
enter 16, 0 ; c8 10 00 00 ; ebp=20000 => esp=307ec ebp=307fc [307fc]=20000
enter 8, 1 ; c8 08 00 01 ; ebp=20000 => esp=307f0 ebp=307fc [307f8]=307fc [307fc]=20000
enter 8, 3 ; c8 08 00 03 ; ebp=30900 [308fc]=11 [308f8]=22 => esp=307e8 ebp=307fc [307f0]=307fc [307f4]=22 [307f8]=11 [307fc]=30900
leave ; c9 ; ebp=30700 [30700]=5555 => esp=30704 ebp=5555
nop ; 90 ; =>
raw ; 0f 1f 44 00 00 ; =>
pause ; f3 90 ; =>
prefetcht0 [0] ; 0f 18 0d 00 00 00 00 ; =>
raw ; f3 0f 1e fb ; =>
ud2 ; 0f 0b ; => exc=6
ud1 ; 0f b9 c0 ; => exc=6
clc ; f8 ; f=C => f=-
stc ; f9 ; => f=C
cmc ; f5 ; f=C => f=-
cmc ; f5 ; f=- => f=C
std ; fd ; => f=D
cld ; fc ; f=D => f=-
lahf ; 9f ; f=SZAPC => eax=d700
lahf ; 9f ; f=O => eax=200
sahf ; 9e ; eax=ff00 => f=SZAPC
sahf ; 9e ; eax=200 f=OSZAPC => f=O
salc ; d6 ; f=C eax=1 => eax=ff
salc ; d6 ; eax=12345678 => eax=12345600
bound ebx, [esi] ; 62 1e ; esi=20000 [20000]=5 [20004]=9 ebx=5 =>
bound ebx, [esi] ; 62 1e ; esi=20000 [20000]=fffffffb [20004]=9 ebx=fffffffb =>
