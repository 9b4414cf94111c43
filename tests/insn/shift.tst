# SPDX-License-Identifier: MIT
# Shifts and rotates. How to read a row: README.md.
shl eax, 1 ; d1 e0 ; eax=80000001 => eax=2 f=OAC
shl eax, 1 ; d1 e0 ; eax=40000000 f=C => eax=80000000 f=OSAP
shl bl, cl ; d2 e3 ; ebx=85 ecx=3 => ebx=28 f=AP
shl bl, cl ; d2 e3 ; ebx=85 ecx=8 f=C => ebx=0 f=OZAPC
shl bl, cl ; d2 e3 ; ebx=85 ecx=9 => ebx=0 f=ZAP
shl bl, cl ; d2 e3 ; ebx=aa ecx=20 f=SZAPCO =>
shl dx, 5 ; 66 c1 e2 05 ; edx=1234abcd f=C => edx=123479a0 f=OAPC
shl dx, cl ; 66 d3 e2 ; edx=8001 ecx=10 => edx=0 f=OZAPC
shl dx, cl ; 66 d3 e2 ; edx=8001 ecx=11 f=C => edx=0 f=ZAP
shl dword [esi], cl ; d3 26 ; esi=20000 [20000]=87654321 ecx=1f f=C => f=OSAP [20000]=80000000
shl eax, 0 ; c1 e0 00 ; eax=5 f=OSZAPC =>
shr eax, 1 ; d1 e8 ; eax=80000001 => eax=40000000 f=OAPC
shr eax, 1 ; d1 e8 ; eax=40000000 f=C => eax=20000000 f=AP
shr bl, cl ; d2 eb ; ebx=85 ecx=3 => ebx=10 f=AC
shr bl, cl ; d2 eb ; ebx=85 ecx=8 f=C => ebx=0 f=ZAPC
shr bl, cl ; d2 eb ; ebx=85 ecx=9 => ebx=0 f=ZAP
shr bl, cl ; d2 eb ; ebx=aa ecx=20 f=SZAPCO =>
shr dx, 5 ; 66 c1 ea 05 ; edx=1234abcd f=C => edx=1234055e f=A
shr dx, cl ; 66 d3 ea ; edx=8001 ecx=10 => edx=0 f=ZAPC
shr dx, cl ; 66 d3 ea ; edx=8001 ecx=11 f=C => edx=0 f=ZAP
shr dword [esi], cl ; d3 2e ; esi=20000 [20000]=87654321 ecx=1f f=C => f=A [20000]=1
shr eax, 0 ; c1 e8 00 ; eax=5 f=OSZAPC =>
sar eax, 1 ; d1 f8 ; eax=80000001 => eax=c0000000 f=SAPC
sar eax, 1 ; d1 f8 ; eax=40000000 f=C => eax=20000000 f=AP
sar bl, cl ; d2 fb ; ebx=85 ecx=3 => ebx=f0 f=SAPC
sar bl, cl ; d2 fb ; ebx=85 ecx=8 f=C => ebx=ff f=SAPC
sar bl, cl ; d2 fb ; ebx=85 ecx=9 => ebx=ff f=SAPC
sar bl, cl ; d2 fb ; ebx=aa ecx=20 f=SZAPCO =>
sar dx, 5 ; 66 c1 fa 05 ; edx=1234abcd f=C => edx=1234fd5e f=SA
sar dx, cl ; 66 d3 fa ; edx=8001 ecx=10 => edx=ffff f=SAPC
sar dx, cl ; 66 d3 fa ; edx=8001 ecx=11 f=C => edx=ffff f=SAPC
sar dword [esi], cl ; d3 3e ; esi=20000 [20000]=87654321 ecx=1f f=C => f=SAP [20000]=ffffffff
sar eax, 0 ; c1 f8 00 ; eax=5 f=OSZAPC =>
rol eax, 1 ; d1 c0 ; eax=80000001 => eax=3 f=OC
rol eax, 1 ; d1 c0 ; eax=40000000 f=C => eax=80000000 f=O
rol bl, cl ; d2 c3 ; ebx=85 ecx=3 => ebx=2c
rol bl, cl ; d2 c3 ; ebx=85 ecx=8 f=C =>
rol bl, cl ; d2 c3 ; ebx=85 ecx=9 => ebx=b f=OC
rol bl, cl ; d2 c3 ; ebx=aa ecx=20 f=SZAPCO =>
rol dx, 5 ; 66 c1 c2 05 ; edx=1234abcd f=C => edx=123479b5 f=OC
rol dx, cl ; 66 d3 c2 ; edx=8001 ecx=10 => f=C
rol dx, cl ; 66 d3 c2 ; edx=8001 ecx=11 f=C => edx=3 f=OC
rol dword [esi], cl ; d3 06 ; esi=20000 [20000]=87654321 ecx=1f f=C => f=O [20000]=c3b2a190
rol eax, 0 ; c1 c0 00 ; eax=5 f=OSZAPC =>
ror eax, 1 ; d1 c8 ; eax=80000001 => eax=c0000000 f=C
ror eax, 1 ; d1 c8 ; eax=40000000 f=C => eax=20000000 f=-
ror bl, cl ; d2 cb ; ebx=85 ecx=3 => ebx=b0 f=OC
ror bl, cl ; d2 cb ; ebx=85 ecx=8 f=C => f=OC
ror bl, cl ; d2 cb ; ebx=85 ecx=9 => ebx=c2 f=C
ror bl, cl ; d2 cb ; ebx=aa ecx=20 f=SZAPCO =>
ror dx, 5 ; 66 c1 ca 05 ; edx=1234abcd f=C => edx=12346d5e f=O
ror dx, cl ; 66 d3 ca ; edx=8001 ecx=10 => f=OC
ror dx, cl ; 66 d3 ca ; edx=8001 ecx=11 f=C => edx=c000
ror dword [esi], cl ; d3 0e ; esi=20000 [20000]=87654321 ecx=1f f=C => f=- [20000]=eca8643
ror eax, 0 ; c1 c8 00 ; eax=5 f=OSZAPC =>
rcl eax, 1 ; d1 d0 ; eax=80000001 => eax=2 f=OC
rcl eax, 1 ; d1 d0 ; eax=40000000 f=C => eax=80000001 f=O
rcl bl, cl ; d2 d3 ; ebx=85 ecx=3 => ebx=2a
rcl bl, cl ; d2 d3 ; ebx=85 ecx=8 f=C => ebx=c2
rcl bl, cl ; d2 d3 ; ebx=85 ecx=9 => f=O
rcl bl, cl ; d2 d3 ; ebx=aa ecx=20 f=SZAPCO =>
rcl dx, 5 ; 66 c1 d2 05 ; edx=1234abcd f=C => edx=123479ba f=OC
rcl dx, cl ; 66 d3 d2 ; edx=8001 ecx=10 => edx=4000 f=OC
rcl dx, cl ; 66 d3 d2 ; edx=8001 ecx=11 f=C =>
rcl dword [esi], cl ; d3 16 ; esi=20000 [20000]=87654321 ecx=1f f=C => f=O [20000]=e1d950c8
rcl eax, 0 ; c1 d0 00 ; eax=5 f=OSZAPC =>
rcr eax, 1 ; d1 d8 ; eax=80000001 => eax=40000000 f=OC
rcr eax, 1 ; d1 d8 ; eax=40000000 f=C => eax=a0000000 f=O
rcr bl, cl ; d2 db ; ebx=85 ecx=3 => ebx=50 f=OC
rcr bl, cl ; d2 db ; ebx=85 ecx=8 f=C => ebx=b
rcr bl, cl ; d2 db ; ebx=85 ecx=9 => f=O
rcr bl, cl ; d2 db ; ebx=aa ecx=20 f=SZAPCO =>
rcr dx, 5 ; 66 c1 da 05 ; edx=1234abcd f=C => edx=1234dd5e f=-
rcr dx, cl ; 66 d3 da ; edx=8001 ecx=10 => edx=2 f=C
rcr dx, cl ; 66 d3 da ; edx=8001 ecx=11 f=C => f=OC
rcr dword [esi], cl ; d3 1e ; esi=20000 [20000]=87654321 ecx=1f f=C => f=- [20000]=1d950c87
rcr eax, 0 ; c1 d8 00 ; eax=5 f=OSZAPC =>
shld eax, ebx, 4 ; 0f a4 d8 04 ; eax=12345678 ebx=9abcdef0 => eax=23456789 f=OAC
shld eax, ebx, cl ; 0f a5 d8 ; eax=80000000 ebx=1 ecx=1 => eax=0 f=OZAPC
shld eax, ebx, cl ; 0f a5 d8 ; eax=1 ebx=ffffffff ecx=20 f=CO =>
shld eax, ebx, cl ; 0f a5 d8 ; eax=1 ebx=80000000 ecx=1f => eax=c0000000 f=OSAP
shld [esi], bx, 4 ; 66 0f a4 1e 04 ; esi=20000 [20000]=5555abcd ebx=1234 => f=OSAP [20000]=5555bcd1
shrd eax, ebx, 4 ; 0f ac d8 04 ; eax=12345678 ebx=9abcdef7 => eax=71234567 f=OAC
shrd eax, ebx, cl ; 0f ad d8 ; eax=1 ebx=1 ecx=1 => eax=80000000 f=OSAPC
shrd eax, ebx, cl ; 0f ad d8 ; eax=5 ebx=1 ecx=0 f=SP =>
shrd [esi], bx, cl ; 66 0f ad 1e ; esi=20000 [20000]=5555abcd ebx=1234 ecx=f => f=AP [20000]=55552469
