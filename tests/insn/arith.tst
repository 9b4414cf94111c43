# SPDX-License-Identifier: MIT
# ADD to CMP, INC to NOT, XCHG, XADD, CMPXCHG. How to read a row: README.md.
add al, bl ; 00 d8 ; eax=7f ebx=1 => eax=80 f=OSA
add al, bl ; 00 d8 ; eax=ff ebx=1 => eax=0 f=ZAPC
add al, bl ; 00 d8 ; eax=80 ebx=80 => eax=0 f=OZPC
add al, bl ; 00 d8 ; eax=0 ebx=ff f=C => eax=ff f=SP
add eax, ebx ; 01 d8 ; eax=7fffffff ebx=1 => eax=80000000 f=OSAP
add eax, ebx ; 01 d8 ; eax=80000000 ebx=ffffffff f=C => eax=7fffffff f=OPC
add ax, bx ; 66 01 d8 ; eax=1234ffff ebx=56780001 f=C => eax=12340000 f=ZAPC
add dword [esi+4], ecx ; 01 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=ZAPC [20004]=0
add ah, 0x81 ; 80 c4 81 ; eax=7f00 => eax=0 f=ZAPC
adc al, bl ; 10 d8 ; eax=7f ebx=1 => eax=80 f=OSA
adc al, bl ; 10 d8 ; eax=ff ebx=1 => eax=0 f=ZAPC
adc al, bl ; 10 d8 ; eax=80 ebx=80 => eax=0 f=OZPC
adc al, bl ; 10 d8 ; eax=0 ebx=ff f=C => f=ZAPC
adc eax, ebx ; 11 d8 ; eax=7fffffff ebx=1 => eax=80000000 f=OSAP
adc eax, ebx ; 11 d8 ; eax=80000000 ebx=ffffffff f=C => f=SAPC
adc ax, bx ; 66 11 d8 ; eax=1234ffff ebx=56780001 f=C => eax=12340001 f=AC
adc dword [esi+4], ecx ; 11 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=AC
adc ah, 0x81 ; 80 d4 81 ; eax=7f00 => eax=0 f=ZAPC
sub al, bl ; 28 d8 ; eax=7f ebx=1 => eax=7e f=P
sub al, bl ; 28 d8 ; eax=ff ebx=1 => eax=fe f=S
sub al, bl ; 28 d8 ; eax=80 ebx=80 => eax=0 f=ZP
sub al, bl ; 28 d8 ; eax=0 ebx=ff f=C => eax=1 f=AC
sub eax, ebx ; 29 d8 ; eax=7fffffff ebx=1 => eax=7ffffffe
sub eax, ebx ; 29 d8 ; eax=80000000 ebx=ffffffff f=C => eax=80000001 f=SAC
sub ax, bx ; 66 29 d8 ; eax=1234ffff ebx=56780001 f=C => eax=1234fffe f=S
sub dword [esi+4], ecx ; 29 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=AC [20004]=2
sub ah, 0x81 ; 80 ec 81 ; eax=7f00 => eax=fe00 f=OSC
sbb al, bl ; 18 d8 ; eax=7f ebx=1 => eax=7e f=P
sbb al, bl ; 18 d8 ; eax=ff ebx=1 => eax=fe f=S
sbb al, bl ; 18 d8 ; eax=80 ebx=80 => eax=0 f=ZP
sbb al, bl ; 18 d8 ; eax=0 ebx=ff f=C => f=ZAPC
sbb eax, ebx ; 19 d8 ; eax=7fffffff ebx=1 => eax=7ffffffe
sbb eax, ebx ; 19 d8 ; eax=80000000 ebx=ffffffff f=C => f=SAPC
sbb ax, bx ; 66 19 d8 ; eax=1234ffff ebx=56780001 f=C => eax=1234fffd f=S
sbb dword [esi+4], ecx ; 19 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=AC
sbb ah, 0x81 ; 80 dc 81 ; eax=7f00 => eax=fe00 f=OSC
cmp al, bl ; 38 d8 ; eax=7f ebx=1 => f=P
cmp al, bl ; 38 d8 ; eax=ff ebx=1 => f=S
cmp al, bl ; 38 d8 ; eax=80 ebx=80 => f=ZP
cmp al, bl ; 38 d8 ; eax=0 ebx=ff f=C => f=AC
cmp eax, ebx ; 39 d8 ; eax=7fffffff ebx=1 =>
cmp eax, ebx ; 39 d8 ; eax=80000000 ebx=ffffffff f=C => f=SAC
cmp ax, bx ; 66 39 d8 ; eax=1234ffff ebx=56780001 f=C => f=S
cmp dword [esi+4], ecx ; 39 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=AC
cmp ah, 0x81 ; 80 fc 81 ; eax=7f00 => f=OSC
and al, bl ; 20 d8 ; eax=7f ebx=1 => eax=1
and al, bl ; 20 d8 ; eax=ff ebx=1 => eax=1
and al, bl ; 20 d8 ; eax=80 ebx=80 => f=S
and al, bl ; 20 d8 ; eax=0 ebx=ff f=C => f=ZP
and eax, ebx ; 21 d8 ; eax=7fffffff ebx=1 => eax=1
and eax, ebx ; 21 d8 ; eax=80000000 ebx=ffffffff f=C => f=SP
and ax, bx ; 66 21 d8 ; eax=1234ffff ebx=56780001 f=C => eax=12340001 f=-
and dword [esi+4], ecx ; 21 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=-
and ah, 0x81 ; 80 e4 81 ; eax=7f00 => eax=100
or al, bl ; 08 d8 ; eax=7f ebx=1 =>
or al, bl ; 08 d8 ; eax=ff ebx=1 => f=SP
or al, bl ; 08 d8 ; eax=80 ebx=80 => f=S
or al, bl ; 08 d8 ; eax=0 ebx=ff f=C => eax=ff f=SP
or eax, ebx ; 09 d8 ; eax=7fffffff ebx=1 => f=P
or eax, ebx ; 09 d8 ; eax=80000000 ebx=ffffffff f=C => eax=ffffffff f=SP
or ax, bx ; 66 09 d8 ; eax=1234ffff ebx=56780001 f=C => f=SP
or dword [esi+4], ecx ; 09 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=SP [20004]=ffffffff
or ah, 0x81 ; 80 cc 81 ; eax=7f00 => eax=ff00 f=SP
xor al, bl ; 30 d8 ; eax=7f ebx=1 => eax=7e f=P
xor al, bl ; 30 d8 ; eax=ff ebx=1 => eax=fe f=S
xor al, bl ; 30 d8 ; eax=80 ebx=80 => eax=0 f=ZP
xor al, bl ; 30 d8 ; eax=0 ebx=ff f=C => eax=ff f=SP
xor eax, ebx ; 31 d8 ; eax=7fffffff ebx=1 => eax=7ffffffe
xor eax, ebx ; 31 d8 ; eax=80000000 ebx=ffffffff f=C => eax=7fffffff f=P
xor ax, bx ; 66 31 d8 ; eax=1234ffff ebx=56780001 f=C => eax=1234fffe f=S
xor dword [esi+4], ecx ; 31 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=S [20004]=fffffffe
xor ah, 0x81 ; 80 f4 81 ; eax=7f00 => eax=fe00 f=S
test al, bl ; 84 d8 ; eax=7f ebx=1 =>
test al, bl ; 84 d8 ; eax=ff ebx=1 =>
test al, bl ; 84 d8 ; eax=80 ebx=80 => f=S
test al, bl ; 84 d8 ; eax=0 ebx=ff f=C => f=ZP
test eax, ebx ; 85 d8 ; eax=7fffffff ebx=1 =>
test eax, ebx ; 85 d8 ; eax=80000000 ebx=ffffffff f=C => f=SP
test ax, bx ; 66 85 d8 ; eax=1234ffff ebx=56780001 f=C => f=-
test dword [esi+4], ecx ; 85 4e 04 ; esi=20000 ecx=ffffffff [20004]=1 f=C => f=-
test ah, 0x81 ; f6 c4 81 ; eax=7f00 =>
add dword [ebx+ecx*4-8], -1 ; 83 44 8b f8 ff ; ebx=20000 ecx=5 [2000c]=80000000 => f=OPC [2000c]=7fffffff
add cx, -1 ; 66 83 c1 ff ; ecx=12340000 => ecx=1234ffff f=SP
sub edx, [0x20010] ; 2b 15 10 00 02 00 ; edx=5 [20010]=7 => edx=fffffffe f=SAC
add byte [esp], 1 ; 80 04 24 01 ; [30800]=ff => f=ZAPC [30800]=0
inc eax ; 40 ; eax=0 f=C => eax=1
inc eax ; 40 ; eax=80000000 => eax=80000001 f=S
inc eax ; 40 ; eax=7fffffff f=C => eax=80000000 f=OSAPC
inc eax ; 40 ; eax=ffffffff => eax=0 f=ZAP
inc cx ; 66 41 ; ecx=12340000 => ecx=12340001
inc cx ; 66 41 ; ecx=ffff7fff => ecx=ffff8000 f=OSAP
inc byte [esi] ; fe 06 ; esi=20001 [20000]=8000 => f=SP [20000]=8100
inc byte [esi] ; fe 06 ; esi=20001 [20000]=7f00 => f=OSA [20000]=8000
dec eax ; 48 ; eax=0 f=C => eax=ffffffff f=SAPC
dec eax ; 48 ; eax=80000000 => eax=7fffffff f=OAP
dec eax ; 48 ; eax=7fffffff f=C => eax=7ffffffe
dec eax ; 48 ; eax=ffffffff => eax=fffffffe f=S
dec cx ; 66 49 ; ecx=12340000 => ecx=1234ffff f=SAP
dec cx ; 66 49 ; ecx=ffff7fff => ecx=ffff7ffe
dec byte [esi] ; fe 0e ; esi=20001 [20000]=8000 => f=OA [20000]=7f00
dec byte [esi] ; fe 0e ; esi=20001 [20000]=7f00 => f=P [20000]=7e00
neg eax ; f7 d8 ; eax=0 f=C => f=ZP
neg eax ; f7 d8 ; eax=80000000 => f=OSPC
neg eax ; f7 d8 ; eax=7fffffff f=C => eax=80000001 f=SAC
neg eax ; f7 d8 ; eax=ffffffff => eax=1 f=AC
neg cx ; 66 f7 d9 ; ecx=12340000 => f=ZP
neg cx ; 66 f7 d9 ; ecx=ffff7fff => ecx=ffff8001 f=SAC
neg byte [esi] ; f6 1e ; esi=20001 [20000]=8000 => f=OSC
neg byte [esi] ; f6 1e ; esi=20001 [20000]=7f00 => f=SAPC [20000]=8100
not eax ; f7 d0 ; eax=0 f=C => eax=ffffffff
not eax ; f7 d0 ; eax=80000000 => eax=7fffffff
not eax ; f7 d0 ; eax=7fffffff f=C => eax=80000000
not eax ; f7 d0 ; eax=ffffffff => eax=0
not cx ; 66 f7 d1 ; ecx=12340000 => ecx=1234ffff
not cx ; 66 f7 d1 ; ecx=ffff7fff => ecx=ffff8000
not byte [esi] ; f6 16 ; esi=20001 [20000]=8000 => [20000]=7f00
not byte [esi] ; f6 16 ; esi=20001 [20000]=7f00 => [20000]=8000
xchg eax, ebx ; 93 ; eax=1 ebx=2 => eax=2 ebx=1
xchg al, ah ; 86 c4 ; eax=1234 => eax=3412
xchg [esi], dx ; 66 87 16 ; esi=20000 [20000]=aaaabbbb edx=11112222 => edx=1111bbbb [20000]=aaaa2222
xchg ecx, [esi] ; 87 0e ; esi=20000 [20000]=5 ecx=6 => ecx=5 [20000]=6
xadd ecx, edx ; 0f c1 d1 ; ecx=ffffffff edx=2 => ecx=1 edx=ffffffff f=AC
xadd [esi], al ; 0f c0 06 ; esi=20000 [20000]=80 eax=80 => f=OZPC [20000]=0
xadd ecx, ecx ; 0f c1 c9 ; ecx=40000000 => ecx=80000000 f=OSP
xadd bl, bh ; 0f c0 fb ; ebx=7f01 => ebx=180 f=OSA
cmpxchg ecx, edx ; 0f b1 d1 ; eax=5 ecx=5 edx=9 => ecx=9 f=ZP
cmpxchg ecx, edx ; 0f b1 d1 ; eax=4 ecx=5 edx=9 => eax=5 f=SAPC
cmpxchg [esi], bl ; 0f b0 1e ; esi=20000 [20000]=1ff eax=ff ebx=33 => f=ZP [20000]=133
cmpxchg [esi], bl ; 0f b0 1e ; esi=20000 [20000]=1fe eax=ff ebx=33 => eax=fe
cmpxchg [esi], bx ; 66 0f b1 1e ; esi=20000 [20000]=1234 eax=99991234 ebx=33 => f=ZP [20000]=33
cmpxchg8b [esi] ; 0f c7 0e ; esi=20000 [20000]=1 [20004]=2 eax=1 edx=2 ebx=aa ecx=bb => f=Z [20000]=aa [20004]=bb
cmpxchg8b [esi] ; 0f c7 0e ; esi=20000 [20000]=1 [20004]=3 eax=1 edx=2 ebx=aa ecx=bb f=ZCO => edx=3 f=OC
