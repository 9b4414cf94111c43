# SPDX-License-Identifier: MIT
# Multiplication and division. How to read a row: README.md.
mul bl ; f6 e3 ; eax=ff10 ebx=10 => eax=100 f=OC
mul bl ; f6 e3 ; eax=10 ebx=2 => eax=20
mul bx ; 66 f7 e3 ; eax=8000 ebx=2 edx=12345678 => eax=0 edx=12340001 f=OC
mul ebx ; f7 e3 ; eax=80000000 ebx=4 edx=1 => eax=0 edx=2 f=OC
mul ebx ; f7 e3 ; eax=3 ebx=5 edx=1 => eax=f edx=0
mul dword [esi] ; f7 26 ; esi=20000 [20000]=ffffffff eax=ffffffff => eax=1 edx=fffffffe f=OC
imul bl ; f6 eb ; eax=ff ebx=ff => eax=1
imul bl ; f6 eb ; eax=40 ebx=2 => eax=80 f=OC
imul bl ; f6 eb ; eax=80 ebx=80 => eax=4000 f=OC
imul cx ; 66 f7 e9 ; eax=8000 ecx=8000 => eax=0 edx=4000 f=OC
imul cx ; 66 f7 e9 ; eax=ffff ecx=1 edx=aaaa5555 => edx=aaaaffff
imul ecx ; f7 e9 ; eax=ffffffff ecx=7 => eax=fffffff9 edx=ffffffff
imul ecx ; f7 e9 ; eax=10000 ecx=10000 => eax=0 edx=1 f=OC
imul ecx, edx ; 0f af ca ; ecx=fffffffe edx=3 => ecx=fffffffa
imul ecx, edx ; 0f af ca ; ecx=40000000 edx=2 => ecx=80000000 f=OC
imul cx, dx ; 66 0f af ca ; ecx=11110100 edx=0100 => ecx=11110000 f=OC
imul cx, dx ; 66 0f af ca ; ecx=7 edx=fffd => ecx=ffeb
imul ecx, edx, -3 ; 6b ca fd ; edx=5 => ecx=fffffff1
imul ecx, edx, -3 ; 6b ca fd ; edx=60000000 => ecx=e0000000 f=OC
imul ecx, [esi], 100000 ; 69 0e a0 86 01 00 ; esi=20000 [20000]=20 => ecx=30d400
imul ecx, [esi], 100000 ; 69 0e a0 86 01 00 ; esi=20000 [20000]=ffff => ecx=869e7960 f=OC
imul cx, [esi], 300 ; 66 69 0e 2c 01 ; esi=20000 [20000]=ff38 => ecx=15a0 f=OC
div bl ; f6 f3 ; eax=105 ebx=10 => eax=510 f=A
div bl ; f6 f3 ; eax=1000 ebx=10 => exc=0
div bl ; f6 f3 ; eax=5 ebx=0 => exc=0
div bx ; 66 f7 f3 ; eax=1 edx=1 ebx=3 => eax=5555 edx=2 f=A
div bx ; 66 f7 f3 ; eax=0 edx=3 ebx=3 => exc=0
div ebx ; f7 f3 ; eax=1 edx=1 ebx=3 => eax=55555555 edx=2 f=A
div ebx ; f7 f3 ; eax=7 edx=0 ebx=2 => eax=3 edx=1 f=A
div ebx ; f7 f3 ; eax=0 edx=2 ebx=2 => exc=0
div ebx ; f7 f3 ; eax=1 ebx=0 => exc=0
idiv bl ; f6 fb ; eax=fff9 ebx=2 => eax=fffd f=A
idiv bl ; f6 fb ; eax=fff9 ebx=fe => eax=ff03 f=A
idiv bl ; f6 fb ; eax=ff80 ebx=ff => exc=0
idiv bl ; f6 fb ; eax=4000 ebx=40 => exc=0
idiv bx ; 66 f7 fb ; eax=8000 edx=ffff ebx=ffff => exc=0
idiv bx ; 66 f7 fb ; eax=fff9 edx=ffff ebx=2 => eax=fffd f=A
idiv ebx ; f7 fb ; eax=80000000 edx=ffffffff ebx=ffffffff => exc=0
idiv ebx ; f7 fb ; eax=0 edx=80000000 ebx=ffffffff => exc=0
idiv ebx ; f7 fb ; eax=fffffff9 edx=ffffffff ebx=fffffffe => eax=3 f=A
idiv ebx ; f7 fb ; eax=1 edx=0 ebx=0 => exc=0
