# SPDX-License-Identifier: MIT
# Moves, extensions, conditions, addresses. How to read a row: README.md.
mov eax, ebx ; 89 d8 ; ebx=5 => eax=5
mov ah, bl ; 88 dc ; eax=11111111 ebx=22 => eax=11112211
mov cx, 0x1234 ; 66 b9 34 12 ; ecx=ffffffff => ecx=ffff1234
mov byte [esi+ebx*2], 0x7f ; c6 04 5e 7f ; esi=20000 ebx=3 => [20004]=7f0000
mov [0x20020], eax ; a3 20 00 02 00 ; eax=5 => [20020]=5
mov al, [0x20021] ; a0 21 00 02 00 ; [20020]=aabbccdd => eax=cc
mov dword [esp-4], 7 ; c7 44 24 fc 07 00 00 00 ; => [307fc]=7
mov dx, [ebp+8] ; 66 8b 55 08 ; ebp=20000 [20008]=12345678 edx=ffffffff => edx=ffff5678
mov dh, [esi] ; 8a 36 ; esi=20002 [20000]=aabbccdd edx=0 => edx=bb00
movzx eax, bl ; 0f b6 c3 ; ebx=ff eax=11 => eax=ff
movzx ax, byte [esi] ; 66 0f b6 06 ; esi=20000 [20000]=80 eax=ffffffff => eax=ffff0080
movzx ecx, dx ; 0f b7 ca ; edx=ffff8001 => ecx=8001
movsx eax, bl ; 0f be c3 ; ebx=80 => eax=ffffff80
movsx ax, bh ; 66 0f be c7 ; ebx=8000 eax=11110000 => eax=1111ff80
movsx ecx, word [esi] ; 0f bf 0e ; esi=20000 [20000]=8000 => ecx=ffff8000
cmovo eax, ebx ; 0f 40 c3 ; eax=1 ebx=2 f=O => eax=2
cmovo eax, ebx ; 0f 40 c3 ; eax=1 ebx=2 f=- =>
seto cl ; 0f 90 c1 ; ecx=aaaa f=O => ecx=aa01
seto cl ; 0f 90 c1 ; ecx=aaaa f=- => ecx=aa00
jo $+0x10 ; 70 0e ; f=O => eip=10810
jo $+0x10 ; 70 0e ; f=- =>
cmovb eax, ebx ; 0f 42 c3 ; eax=1 ebx=2 f=C => eax=2
cmovb eax, ebx ; 0f 42 c3 ; eax=1 ebx=2 f=Z =>
setb cl ; 0f 92 c1 ; ecx=aaaa f=C => ecx=aa01
setb cl ; 0f 92 c1 ; ecx=aaaa f=Z => ecx=aa00
jb $+0x10 ; 72 0e ; f=C => eip=10810
jb $+0x10 ; 72 0e ; f=Z =>
cmovz eax, ebx ; 0f 44 c3 ; eax=1 ebx=2 f=Z => eax=2
cmovz eax, ebx ; 0f 44 c3 ; eax=1 ebx=2 f=- =>
setz cl ; 0f 94 c1 ; ecx=aaaa f=Z => ecx=aa01
setz cl ; 0f 94 c1 ; ecx=aaaa f=- => ecx=aa00
jz $+0x10 ; 74 0e ; f=Z => eip=10810
jz $+0x10 ; 74 0e ; f=- =>
cmovbe eax, ebx ; 0f 46 c3 ; eax=1 ebx=2 f=Z => eax=2
cmovbe eax, ebx ; 0f 46 c3 ; eax=1 ebx=2 f=S =>
setbe cl ; 0f 96 c1 ; ecx=aaaa f=Z => ecx=aa01
setbe cl ; 0f 96 c1 ; ecx=aaaa f=S => ecx=aa00
jbe $+0x10 ; 76 0e ; f=Z => eip=10810
jbe $+0x10 ; 76 0e ; f=S =>
cmovs eax, ebx ; 0f 48 c3 ; eax=1 ebx=2 f=S => eax=2
cmovs eax, ebx ; 0f 48 c3 ; eax=1 ebx=2 f=- =>
sets cl ; 0f 98 c1 ; ecx=aaaa f=S => ecx=aa01
sets cl ; 0f 98 c1 ; ecx=aaaa f=- => ecx=aa00
js $+0x10 ; 78 0e ; f=S => eip=10810
js $+0x10 ; 78 0e ; f=- =>
cmovp eax, ebx ; 0f 4a c3 ; eax=1 ebx=2 f=P => eax=2
cmovp eax, ebx ; 0f 4a c3 ; eax=1 ebx=2 f=- =>
setp cl ; 0f 9a c1 ; ecx=aaaa f=P => ecx=aa01
setp cl ; 0f 9a c1 ; ecx=aaaa f=- => ecx=aa00
jp $+0x10 ; 7a 0e ; f=P => eip=10810
jp $+0x10 ; 7a 0e ; f=- =>
cmovl eax, ebx ; 0f 4c c3 ; eax=1 ebx=2 f=O => eax=2
cmovl eax, ebx ; 0f 4c c3 ; eax=1 ebx=2 f=SO =>
setl cl ; 0f 9c c1 ; ecx=aaaa f=O => ecx=aa01
setl cl ; 0f 9c c1 ; ecx=aaaa f=SO => ecx=aa00
jl $+0x10 ; 7c 0e ; f=O => eip=10810
jl $+0x10 ; 7c 0e ; f=SO =>
cmovle eax, ebx ; 0f 4e c3 ; eax=1 ebx=2 f=Z => eax=2
cmovle eax, ebx ; 0f 4e c3 ; eax=1 ebx=2 f=- =>
setle cl ; 0f 9e c1 ; ecx=aaaa f=Z => ecx=aa01
setle cl ; 0f 9e c1 ; ecx=aaaa f=- => ecx=aa00
jle $+0x10 ; 7e 0e ; f=Z => eip=10810
jle $+0x10 ; 7e 0e ; f=- =>
cmovnle eax, ebx ; 0f 4f c3 ; eax=1 ebx=2 f=- => eax=2
cmovnle eax, ebx ; 0f 4f c3 ; eax=1 ebx=2 f=Z =>
setnle cl ; 0f 9f c1 ; ecx=aaaa f=- => ecx=aa01
setnle cl ; 0f 9f c1 ; ecx=aaaa f=Z => ecx=aa00
jnle $+0x10 ; 7f 0e ; f=- => eip=10810
jnle $+0x10 ; 7f 0e ; f=Z =>
cmovnl eax, ebx ; 0f 4d c3 ; eax=1 ebx=2 f=SO => eax=2
cmovnl eax, ebx ; 0f 4d c3 ; eax=1 ebx=2 f=S =>
setnl cl ; 0f 9d c1 ; ecx=aaaa f=SO => ecx=aa01
setnl cl ; 0f 9d c1 ; ecx=aaaa f=S => ecx=aa00
jnl $+0x10 ; 7d 0e ; f=SO => eip=10810
jnl $+0x10 ; 7d 0e ; f=S =>
cmovnb eax, ebx ; 0f 43 c3 ; eax=1 ebx=2 f=- => eax=2
cmovnb eax, ebx ; 0f 43 c3 ; eax=1 ebx=2 f=C =>
setnb cl ; 0f 93 c1 ; ecx=aaaa f=- => ecx=aa01
setnb cl ; 0f 93 c1 ; ecx=aaaa f=C => ecx=aa00
jnb $+0x10 ; 73 0e ; f=- => eip=10810
jnb $+0x10 ; 73 0e ; f=C =>
cmovno eax, ebx ; 0f 41 c3 ; eax=1 ebx=2 f=- => eax=2
cmovno eax, ebx ; 0f 41 c3 ; eax=1 ebx=2 f=O =>
setno cl ; 0f 91 c1 ; ecx=aaaa f=- => ecx=aa01
setno cl ; 0f 91 c1 ; ecx=aaaa f=O => ecx=aa00
jno $+0x10 ; 71 0e ; f=- => eip=10810
jno $+0x10 ; 71 0e ; f=O =>
cmovnz eax, ebx ; 0f 45 c3 ; eax=1 ebx=2 f=- => eax=2
cmovnz eax, ebx ; 0f 45 c3 ; eax=1 ebx=2 f=Z =>
setnz cl ; 0f 95 c1 ; ecx=aaaa f=- => ecx=aa01
setnz cl ; 0f 95 c1 ; ecx=aaaa f=Z => ecx=aa00
jnz $+0x10 ; 75 0e ; f=- => eip=10810
jnz $+0x10 ; 75 0e ; f=Z =>
cmovnbe eax, ebx ; 0f 47 c3 ; eax=1 ebx=2 f=- => eax=2
cmovnbe eax, ebx ; 0f 47 c3 ; eax=1 ebx=2 f=C =>
setnbe cl ; 0f 97 c1 ; ecx=aaaa f=- => ecx=aa01
setnbe cl ; 0f 97 c1 ; ecx=aaaa f=C => ecx=aa00
jnbe $+0x10 ; 77 0e ; f=- => eip=10810
jnbe $+0x10 ; 77 0e ; f=C =>
cmovns eax, ebx ; 0f 49 c3 ; eax=1 ebx=2 f=- => eax=2
cmovns eax, ebx ; 0f 49 c3 ; eax=1 ebx=2 f=S =>
setns cl ; 0f 99 c1 ; ecx=aaaa f=- => ecx=aa01
setns cl ; 0f 99 c1 ; ecx=aaaa f=S => ecx=aa00
jns $+0x10 ; 79 0e ; f=- => eip=10810
jns $+0x10 ; 79 0e ; f=S =>
cmovnp eax, ebx ; 0f 4b c3 ; eax=1 ebx=2 f=- => eax=2
cmovnp eax, ebx ; 0f 4b c3 ; eax=1 ebx=2 f=P =>
setnp cl ; 0f 9b c1 ; ecx=aaaa f=- => ecx=aa01
setnp cl ; 0f 9b c1 ; ecx=aaaa f=P => ecx=aa00
jnp $+0x10 ; 7b 0e ; f=- => eip=10810
jnp $+0x10 ; 7b 0e ; f=P =>
cmovz ax, [esi] ; 66 0f 44 06 ; esi=20000 [20000]=7777 eax=12345678 f=Z => eax=12347777
setz [esi] ; 0f 94 06 ; esi=20000 f=Z [20000]=ffffffff => [20000]=ffffff01
lea eax, [ebx+ecx*8+0x10] ; 8d 44 cb 10 ; ebx=100 ecx=ffffffff => eax=108
lea ax, [esi+5] ; 66 8d 46 05 ; esi=12345 eax=aaaaaaaa => eax=aaaa234a
lea eax, [bx+si] ; 67 8d 00 ; ebx=1ffff esi=2 => eax=1
xlatb ; d7 ; ebx=20000 eax=1105 [20004]=aabbccdd => eax=11cc
cbw ; 66 98 ; eax=12345680 => eax=1234ff80
cwde ; 98 ; eax=12348000 => eax=ffff8000
cwd ; 66 99 ; eax=8000 edx=11110000 => edx=1111ffff
cdq ; 99 ; eax=80000000 => edx=ffffffff
cdq ; 99 ; eax=7fffffff edx=1 => edx=0
