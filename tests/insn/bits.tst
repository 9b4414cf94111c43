# SPDX-License-Identifier: MIT
# Bit tests, scans, counts and byte swaps. How to read a row: README.md.
bt eax, ebx ; 0f a3 d8 ; eax=80000000 ebx=1f => f=C
bt eax, ebx ; 0f a3 d8 ; eax=0 ebx=21 f=CZ => f=Z
bt [esi], ebx ; 0f a3 1e ; esi=20010 ebx=ffffffff [2000c]=80000000 => f=C
bt [esi], ebx ; 0f a3 1e ; esi=20010 ebx=45 [20018]=0 f=C => f=-
bt [esi], bx ; 66 0f a3 1e ; esi=20010 ebx=8fff0 [2000c]=10000 => f=C
bt dword [esi], 37 ; 0f ba 26 25 ; esi=20010 [20010]=20 => f=C
bt cx, 15 ; 66 0f ba e1 0f ; ecx=12348000 => f=C
bts eax, ebx ; 0f ab d8 ; eax=80000000 ebx=1f => f=C
bts eax, ebx ; 0f ab d8 ; eax=0 ebx=21 f=CZ => eax=2 f=Z
bts [esi], ebx ; 0f ab 1e ; esi=20010 ebx=ffffffff [2000c]=80000000 => f=C
bts [esi], ebx ; 0f ab 1e ; esi=20010 ebx=45 [20018]=0 f=C => f=- [20018]=20
bts [esi], bx ; 66 0f ab 1e ; esi=20010 ebx=8fff0 [2000c]=10000 => f=C
bts dword [esi], 37 ; 0f ba 2e 25 ; esi=20010 [20010]=20 => f=C
bts cx, 15 ; 66 0f ba e9 0f ; ecx=12348000 => f=C
btr eax, ebx ; 0f b3 d8 ; eax=80000000 ebx=1f => eax=0 f=C
btr eax, ebx ; 0f b3 d8 ; eax=0 ebx=21 f=CZ => f=Z
btr [esi], ebx ; 0f b3 1e ; esi=20010 ebx=ffffffff [2000c]=80000000 => f=C [2000c]=0
btr [esi], ebx ; 0f b3 1e ; esi=20010 ebx=45 [20018]=0 f=C => f=-
btr [esi], bx ; 66 0f b3 1e ; esi=20010 ebx=8fff0 [2000c]=10000 => f=C [2000c]=0
btr dword [esi], 37 ; 0f ba 36 25 ; esi=20010 [20010]=20 => f=C [20010]=0
btr cx, 15 ; 66 0f ba f1 0f ; ecx=12348000 => ecx=12340000 f=C
btc eax, ebx ; 0f bb d8 ; eax=80000000 ebx=1f => eax=0 f=C
btc eax, ebx ; 0f bb d8 ; eax=0 ebx=21 f=CZ => eax=2 f=Z
btc [esi], ebx ; 0f bb 1e ; esi=20010 ebx=ffffffff [2000c]=80000000 => f=C [2000c]=0
btc [esi], ebx ; 0f bb 1e ; esi=20010 ebx=45 [20018]=0 f=C => f=- [20018]=20
btc [esi], bx ; 66 0f bb 1e ; esi=20010 ebx=8fff0 [2000c]=10000 => f=C [2000c]=0
btc dword [esi], 37 ; 0f ba 3e 25 ; esi=20010 [20010]=20 => f=C [20010]=0
btc cx, 15 ; 66 0f ba f9 0f ; ecx=12348000 => ecx=12340000 f=C
bsf eax, ebx ; 0f bc c3 ; ebx=80000000 eax=7 => eax=1f
bsf eax, ebx ; 0f bc c3 ; ebx=c eax=7 => eax=2
bsf eax, ebx ; 0f bc c3 ; ebx=0 eax=1234 => f=ZP
bsr eax, ebx ; 0f bd c3 ; ebx=80000001 => eax=1f
bsr eax, ebx ; 0f bd c3 ; ebx=1 => f=P
bsr eax, ebx ; 0f bd c3 ; ebx=0 eax=77 => f=ZP
bsf ax, bx ; 66 0f bc c3 ; ebx=f0000 eax=aaaa5555 => f=ZP
bsf ax, bx ; 66 0f bc c3 ; ebx=10 eax=aaaa5555 => eax=aaaa0004
bsr eax, [esi] ; 0f bd 06 ; esi=20000 [20000]=4000 => eax=e
popcnt eax, ebx ; f3 0f b8 c3 ; ebx=ffff00ff => eax=18
popcnt eax, ebx ; f3 0f b8 c3 ; ebx=0 f=OSC => f=Z
popcnt ax, bx ; 66 f3 0f b8 c3 ; ebx=fffff00f eax=12345678 => eax=12340008
bswap edx ; 0f ca ; edx=12345678 => edx=78563412
movbe eax, [esi] ; 0f 38 f0 06 ; esi=20000 [20000]=12345678 => eax=78563412
movbe [esi], ax ; 66 0f 38 f1 06 ; esi=20000 eax=abcd => [20000]=cdab
movbe cx, [esi] ; 66 0f 38 f0 0e ; esi=20000 [20000]=1234 ecx=aaaaaaaa => ecx=aaaa3412
