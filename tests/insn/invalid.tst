# SPDX-License-Identifier: MIT
# LOCK where it is allowed and where not, and encodings that are undefined. How to read a row: README.md.
lock add [esi], eax ; f0 01 06 ; esi=20000 eax=3 [20000]=5 f=C => f=- [20000]=8
lock or [esi], eax ; f0 09 06 ; esi=20000 eax=3 [20000]=5 f=C => f=- [20000]=7
lock adc [esi], eax ; f0 11 06 ; esi=20000 eax=3 [20000]=5 f=C => f=P [20000]=9
lock sbb [esi], eax ; f0 19 06 ; esi=20000 eax=3 [20000]=5 f=C => f=- [20000]=1
lock and [esi], eax ; f0 21 06 ; esi=20000 eax=3 [20000]=5 f=C => f=- [20000]=1
lock sub [esi], eax ; f0 29 06 ; esi=20000 eax=3 [20000]=5 f=C => f=- [20000]=2
lock xor [esi], eax ; f0 31 06 ; esi=20000 eax=3 [20000]=5 f=C => f=P [20000]=6
lock inc byte [esi] ; f0 fe 06 ; esi=20000 [20000]=5 => f=P [20000]=6
lock dec byte [esi] ; f0 fe 0e ; esi=20000 [20000]=5 => [20000]=4
lock not byte [esi] ; f0 f6 16 ; esi=20000 [20000]=5 => [20000]=fa
lock neg byte [esi] ; f0 f6 1e ; esi=20000 [20000]=5 => f=SAC [20000]=fb
lock xchg [esi], eax ; f0 87 06 ; esi=20000 eax=1 [20000]=5 => eax=5 [20000]=1
lock xadd [esi], eax ; f0 0f c1 06 ; esi=20000 eax=1 [20000]=5 => eax=5 f=P [20000]=6
lock cmpxchg [esi], ecx ; f0 0f b1 0e ; esi=20000 eax=5 ecx=9 [20000]=5 => f=ZP [20000]=9
lock bts [esi], eax ; f0 0f ab 06 ; esi=20000 eax=21 => [20004]=2
lock btr dword [esi], 3 ; f0 0f ba 36 03 ; esi=20000 [20000]=ff => f=C [20000]=f7
lock btc [esi], ax ; f0 66 0f bb 06 ; esi=20000 => [20000]=1
lock cmpxchg8b [esi] ; f0 0f c7 0e ; esi=20000 ebx=1 => f=Z [20000]=1
lock add eax, ebx ; f0 01 d8 ; esi=20000 => exc=6
lock cmp eax, [esi] ; f0 3b 06 ; esi=20000 => exc=6
lock cmp [esi], eax ; f0 39 06 ; esi=20000 => exc=6
lock mov [esi], eax ; f0 89 06 ; esi=20000 => exc=6
lock add eax, [esi] ; f0 03 06 ; esi=20000 => exc=6
lock bt [esi], eax ; f0 0f a3 06 ; esi=20000 => exc=6
lock nop ; f0 90 ; esi=20000 => exc=6
lock test [esi], eax ; f0 85 06 ; esi=20000 => exc=6
lock movsd ; f0 a5 ; esi=20000 => exc=6
lock shl dword [esi], 5 ; f0 c1 26 05 ; esi=20000 => exc=6
lock push eax ; f0 50 ; esi=20000 => exc=6
lock call ; f0 e8 00 00 00 00 ; esi=20000 => exc=6
lea eax, eax ; 8d c0 ; esi=20000 => exc=6
bound eax, eax ; 62 c0 ; esi=20000 => exc=6
C6 /1 ; c6 c8 05 ; esi=20000 => exc=6
8F /1 ; 8f c8 ; esi=20000 => exc=6
8F /1 ; 8f 0e ; esi=20000 => exc=6
FE /2 ; fe d0 ; esi=20000 => exc=6
FF /7 ; ff ff ; esi=20000 => exc=6
F6 /1, an alias of test ; f6 c8 05 ; esi=20000 => f=ZP
cmpxchg8b eax ; 0f c7 c8 ; esi=20000 => exc=6
ud0 ; 0f ff c0 ; esi=20000 => exc=6
ud1 ; 0f b9 c0 ; esi=20000 => exc=6
0F BA /0 ; 0f ba c0 01 ; esi=20000 => exc=6
movbe eax, eax ; 0f 38 f0 c0 ; esi=20000 => exc=6
0F 04 ; 0f 04 ; esi=20000 => exc=6
0F 24 ; 0f 24 c0 ; esi=20000 => exc=6
0F 0A ; 0f 0a ; esi=20000 => exc=6
D1 /6, an alias of shl ; d1 f0 ; esi=20000 => f=ZAP
