# SPDX-License-Identifier: MIT
# String instructions, with and without repetition. How to read a row: README.md.
movsb ; a4 ; esi=20010 edi=20020 [20010]=12345678 => esi=20011 edi=20021 [20020]=78
movsb ; a4 ; esi=20010 edi=20020 [20010]=12345678 f=D => esi=2000f edi=2001f [20020]=78
stosb ; aa ; edi=20020 eax=12345678 => edi=20021 [20020]=78
stosb ; aa ; edi=20020 eax=12345678 f=D => edi=2001f [20020]=78
lodsb ; ac ; esi=20020 [20020]=aabbccdd eax=12345678 => eax=123456dd esi=20021
scasb ; ae ; edi=20020 [20020]=12345678 eax=12345678 => edi=20021 f=ZP
scasb ; ae ; edi=20020 [20020]=12345678 eax=ffffff00 f=D => edi=2001f f=DSAPC
cmpsb ; a6 ; esi=20010 edi=20020 [20010]=12345678 [20020]=12345679 => esi=20011 edi=20021 f=SAPC
cmpsb ; a6 ; esi=20010 edi=20020 [20010]=12345678 [20020]=12345678 => esi=20011 edi=20021 f=ZP
rep movsb ; f3 a4 ; esi=20010 edi=20020 ecx=3 [20010]=11223344 [20014]=55667788 [20018]=99aabbcc => ecx=0 esi=20013 edi=20023 [20020]=223344
rep movsb ; f3 a4 ; esi=20010 edi=20020 ecx=0 =>
rep stosb ; f3 aa ; edi=20020 ecx=5 eax=aabbccdd => ecx=0 edi=20025 [20020]=dddddddd [20024]=dd
repe cmpsb ; f3 a6 ; esi=20010 edi=20020 ecx=4 [20010]=1 [20020]=1 [20014]=2 [20024]=3 => ecx=0 esi=20014 edi=20024 f=ZP
repe cmpsb ; f3 a6 ; esi=20010 edi=20020 ecx=2 f=C => ecx=0 esi=20012 edi=20022 f=ZP
repe cmpsb ; f3 a6 ; esi=20010 edi=20020 ecx=0 f=C =>
repne scasb ; f2 ae ; edi=20020 ecx=10 [20024]=78 eax=78 => ecx=b edi=20025 f=ZP
movsw ; 66 a5 ; esi=20010 edi=20020 [20010]=12345678 => esi=20012 edi=20022 [20020]=5678
movsw ; 66 a5 ; esi=20010 edi=20020 [20010]=12345678 f=D => esi=2000e edi=2001e [20020]=5678
stosw ; 66 ab ; edi=20020 eax=12345678 => edi=20022 [20020]=5678
stosw ; 66 ab ; edi=20020 eax=12345678 f=D => edi=2001e [20020]=5678
lodsw ; 66 ad ; esi=20020 [20020]=aabbccdd eax=12345678 => eax=1234ccdd esi=20022
scasw ; 66 af ; edi=20020 [20020]=12345678 eax=12345678 => edi=20022 f=ZP
scasw ; 66 af ; edi=20020 [20020]=12345678 eax=ffffff00 f=D => edi=2001e f=DSAP
cmpsw ; 66 a7 ; esi=20010 edi=20020 [20010]=12345678 [20020]=12345679 => esi=20012 edi=20022 f=SAPC
cmpsw ; 66 a7 ; esi=20010 edi=20020 [20010]=12345678 [20020]=12345678 => esi=20012 edi=20022 f=ZP
rep movsw ; f3 66 a5 ; esi=20010 edi=20020 ecx=3 [20010]=11223344 [20014]=55667788 [20018]=99aabbcc => ecx=0 esi=20016 edi=20026 [20020]=11223344 [20024]=7788
rep movsw ; f3 66 a5 ; esi=20010 edi=20020 ecx=0 =>
rep stosw ; f3 66 ab ; edi=20020 ecx=5 eax=aabbccdd => ecx=0 edi=2002a [20020]=ccddccdd [20024]=ccddccdd [20028]=ccdd
repe cmpsw ; f3 66 a7 ; esi=20010 edi=20020 ecx=4 [20010]=1 [20020]=1 [20014]=2 [20024]=3 => ecx=1 esi=20016 edi=20026 f=SAPC
repe cmpsw ; f3 66 a7 ; esi=20010 edi=20020 ecx=2 f=C => ecx=0 esi=20014 edi=20024 f=ZP
repe cmpsw ; f3 66 a7 ; esi=20010 edi=20020 ecx=0 f=C =>
repne scasw ; f2 66 af ; edi=20020 ecx=10 [20024]=78 eax=78 => ecx=d edi=20026 f=ZP
movsd ; a5 ; esi=20010 edi=20020 [20010]=12345678 => esi=20014 edi=20024 [20020]=12345678
movsd ; a5 ; esi=20010 edi=20020 [20010]=12345678 f=D => esi=2000c edi=2001c [20020]=12345678
stosd ; ab ; edi=20020 eax=12345678 => edi=20024 [20020]=12345678
stosd ; ab ; edi=20020 eax=12345678 f=D => edi=2001c [20020]=12345678
lodsd ; ad ; esi=20020 [20020]=aabbccdd eax=12345678 => eax=aabbccdd esi=20024
scasd ; af ; edi=20020 [20020]=12345678 eax=12345678 => edi=20024 f=ZP
scasd ; af ; edi=20020 [20020]=12345678 eax=ffffff00 f=D => edi=2001c f=DSAP
cmpsd ; a7 ; esi=20010 edi=20020 [20010]=12345678 [20020]=12345679 => esi=20014 edi=20024 f=SAPC
cmpsd ; a7 ; esi=20010 edi=20020 [20010]=12345678 [20020]=12345678 => esi=20014 edi=20024 f=ZP
rep movsd ; f3 a5 ; esi=20010 edi=20020 ecx=3 [20010]=11223344 [20014]=55667788 [20018]=99aabbcc => ecx=0 esi=2001c edi=2002c [20020]=11223344 [20024]=55667788 [20028]=99aabbcc
rep movsd ; f3 a5 ; esi=20010 edi=20020 ecx=0 =>
rep stosd ; f3 ab ; edi=20020 ecx=5 eax=aabbccdd => ecx=0 edi=20034 [20020]=aabbccdd [20024]=aabbccdd [20028]=aabbccdd [2002c]=aabbccdd [20030]=aabbccdd
repe cmpsd ; f3 a7 ; esi=20010 edi=20020 ecx=4 [20010]=1 [20020]=1 [20014]=2 [20024]=3 => ecx=2 esi=20018 edi=20028 f=SAPC
repe cmpsd ; f3 a7 ; esi=20010 edi=20020 ecx=2 f=C => ecx=0 esi=20018 edi=20028 f=ZP
repe cmpsd ; f3 a7 ; esi=20010 edi=20020 ecx=0 f=C =>
repne scasd ; f2 af ; edi=20020 ecx=10 [20024]=78 eax=78 => ecx=e edi=20028 f=ZP
rep movsb ; f3 a4 ; esi=20010 edi=20011 ecx=8 [20010]=5a => ecx=0 esi=20018 edi=20019 [20010]=5a5a5a5a [20014]=5a5a5a5a [20018]=5a
rep movsb ; f3 a4 ; esi=20011 edi=20010 ecx=8 [20010]=11223344 [20014]=55667788 [20018]=99 => ecx=0 esi=20019 edi=20018 [20010]=88112233 [20014]=99556677
rep movsb ; f3 a4 ; esi=20017 edi=20018 ecx=8 [20010]=11223344 [20014]=55667788 f=D => ecx=0 esi=2000f edi=20010 [20010]=22334444 [20014]=66778811 [20018]=55
rep movsd ; f3 a5 ; esi=20010 edi=20012 ecx=3 [20010]=11223344 => ecx=0 esi=2001c edi=2001e [20010]=33443344 [20014]=11221122
rep lodsb ; f3 ac ; esi=20010 ecx=3 [20010]=112233 eax=ffffffff => eax=ffffff11 ecx=0 esi=20013
