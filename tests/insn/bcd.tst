# SPDX-License-Identifier: MIT
# Decimal and ASCII adjustment. How to read a row: README.md.
daa ; 27 ; eax=9 => f=P
daa ; 27 ; eax=3a => eax=40 f=A
daa ; 27 ; eax=9a => eax=0 f=ZAPC
daa ; 27 ; eax=ae f=C => eax=14 f=APC
daa ; 27 ; eax=15 f=A => eax=1b f=AP
daa ; 27 ; eax=ff => eax=65 f=APC
das ; 2f ; eax=9 => f=P
das ; 2f ; eax=3a => eax=34 f=A
das ; 2f ; eax=9a => eax=34 f=OAC
das ; 2f ; eax=2 f=A => eax=fc f=SAPC
das ; 2f ; eax=ae f=C => eax=48 f=OAPC
aaa ; 37 ; eax=109 => f=P
aaa ; 37 ; eax=10a => eax=200 f=AC
aaa ; 37 ; eax=ff f=A => eax=205 f=APC
aaa ; 37 ; eax=fffa => eax=100 f=APC
aas ; 3f ; eax=109 => f=P
aas ; 3f ; eax=20b => eax=105 f=APC
aas ; 3f ; eax=0 f=A => eax=fe0a f=SAPC
aas ; 3f ; eax=5 => f=P
aam ; d4 0a ; eax=63 => eax=909 f=P
aam ; d4 0a ; eax=ff => eax=1905 f=P
aam 7 ; d4 07 ; eax=20 => eax=404
aam 0 ; d4 00 ; eax=20 => exc=0
aad ; d5 0a ; eax=905 => eax=5f f=P
aad ; d5 0a ; eax=ffff => eax=f5 f=SAPC
aad 16 ; d5 10 ; eax=1203 => eax=23
