/* SPDX-License-Identifier: MIT */
/* String instructions, above all what a fault in the middle leaves behind.
 * SDM Vol.2B "REP/REPE/REPZ/REPNE/REPNZ". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

#define RW  (PG_P | PG_W)
#define RWU (PG_P | PG_W | PG_U)

static uint8_t from[256], to[256];

static void fill(void)
{
    for (uint32_t i = 0; i < 256; i++)
        from[i] = (uint8_t)i;
    memset(to, 0, sizeof(to));
}

void rep_movs(void)
{
    uint32_t c = 16, s = (uint32_t)from, d = (uint32_t)to;

    fill();
    __asm__ volatile("rep movsd" : "+c"(c), "+S"(s), "+D"(d) : : "memory");
    EXPECT_EQ(c, 0);
    EXPECT_EQ(s, from + 64);
    EXPECT_EQ(d, to + 64);
    EXPECT_EQ(memcmp(from, to, 64), 0);
    c = 10; /* overlapping forwards: the first byte spreads */
    s = (uint32_t)from + 5;
    d = (uint32_t)from + 6;
    __asm__ volatile("rep movsb" : "+c"(c), "+S"(s), "+D"(d) : : "memory");
    EXPECT_EQ(from[15], 5);
    fill();
    c = 10;
    s = (uint32_t)from + 14;
    d = (uint32_t)from + 15;
    __asm__ volatile("std; rep movsb; cld"
                     : "+c"(c), "+S"(s), "+D"(d)
                     :
                     : "memory", "cc");
    EXPECT_EQ(from[15], 14);
    EXPECT_EQ(from[6], 5);
    EXPECT_EQ(s, from + 4);
}

void rep_stos(void)
{
    uint32_t c = 8, d = (uint32_t)to, a = 0x04030201, s = (uint32_t)from;

    fill();
    __asm__ volatile("rep stosw" : "+c"(c), "+D"(d) : "a"(a) : "memory");
    EXPECT_EQ(to[14] | to[15] << 8 | to[16] << 16, 0x0201);
    __asm__ volatile("lodsd; lodsb" : "+a"(a), "+S"(s) : : "memory");
    EXPECT_EQ(a, 0x03020104);
    EXPECT_EQ(s, from + 5);
    c = 0;
    d = 0xDEAD0000; /* count zero touches nothing */
    TRY("rep stosd", : "+c"(c), "+D"(d) : "a"(1) : "memory");
    EXPECT_NO_TRAP();
    EXPECT_EQ(d, 0xDEAD0000);
}

void compare_scan(void)
{
    uint32_t c = 100, s = (uint32_t)from, d = (uint32_t)to;
    bool zero, below;

    fill();
    memcpy(to, from, 256);
    to[50] = 255;
    __asm__ volatile("repe cmpsb"
                     : "+c"(c), "+S"(s), "+D"(d), "=@ccz"(zero), "=@ccb"(below)
                     :
                     : "memory");
    EXPECT_EQ(c, 49);
    EXPECT_EQ(s, from + 51);
    EXPECT(!zero);
    EXPECT(below);
    c = 256;
    d = (uint32_t)from;
    __asm__ volatile("repne scasb"
                     : "+c"(c), "+D"(d), "=@ccz"(zero)
                     : "a"(77)
                     : "memory");
    EXPECT(zero);
    EXPECT_EQ(d, from + 78);
    EXPECT_EQ(c, 256 - 78);
}

void address_16(void)
{
    uint32_t c = 0x10004, s = 0x20600, d = 0x30700;

    memset((void *)0x600, 0x5A, 8);
    memset((void *)0x700, 0, 8);
    __asm__ volatile("addr16 rep movsb"
                     : "+c"(c), "+S"(s), "+D"(d)
                     :
                     : "memory");
    EXPECT_EQ(c, 0x10000);
    EXPECT_EQ(s, 0x20604);
    EXPECT_EQ(d, 0x30704);
    EXPECT_EQ(*mem32(0x700), 0x5A5A5A5A);
    EXPECT_EQ(*mem32(0x704), 0);
}

static uint32_t faults;

static bool map_next(struct frame *frame)
{
    if (frame->vector != EXC_PF || last_cr2 < TEST_VA || ++faults > 100)
        return false;
    map(last_cr2 & ~(PAGE - 1), frame_alloc(), RWU);
    return true;
}

void restart_movs(void)
{
    uint32_t c = 2 * PAGE, s = (uint32_t)TEST_VA, d = 2 * TEST_VA + 100;

    faults = 0;
    map(TEST_VA, frame_alloc(), RW);
    for (uint32_t i = 0; i < PAGE; i++)
        *mem8(TEST_VA + i) = (uint8_t)(i * 7);
    trap_hook = map_next;
    __asm__ volatile("rep movsb" : "+c"(c), "+S"(s), "+D"(d) : : "memory");
    EXPECT_EQ(c, 0);
    EXPECT_EQ(faults, 4); /* three pages written, one more read */
    EXPECT_EQ(d, 2 * TEST_VA + 100 + 2 * PAGE);
    EXPECT_EQ(memcmp((void *)TEST_VA, (void *)(2 * TEST_VA + 100), 2 * PAGE),
              0);
}

void restart_stos(void)
{
    uint32_t c = 1024, d = TEST_VA + PAGE - 10;

    map(TEST_VA, frame_alloc(), RW);
    TRY("rep stosd", : "+c"(c), "+D"(d) : "a"(0x11223344) : "memory");
    EXPECT_PAGE_FAULT(2, TEST_VA + PAGE);
    EXPECT_EQ(last.eip, try_start);
    EXPECT_EQ(last.ecx, 1022);
    EXPECT_EQ(last.edi, TEST_VA + PAGE - 2); /* that one straddles */
    EXPECT_EQ(c, 1022);
    EXPECT_EQ(*mem32(TEST_VA + PAGE - 6), 0x11223344);
    EXPECT_EQ(*mem8(TEST_VA + PAGE - 2), 0);
    c = 5;
    d = TEST_VA + 4;
    TRY("std; rep stosd", : "+c"(c), "+D"(d) : "a"(5) : "memory", "cc");
    __asm__ volatile("cld");
    EXPECT_PAGE_FAULT(2, TEST_VA - 4);
    EXPECT_EQ(last.ecx, 3);
    EXPECT_EQ(last.edi, TEST_VA - 4);
}

void cmps_before_fault(void)
{
    uint32_t c = 100, s = TEST_VA + PAGE - 8, d = TEST_VA;

    map(TEST_VA, frame_alloc(), RW);
    *mem8(TEST_VA + 7) = 1;
    TRY("repe cmpsb", : "+c"(c), "+S"(s), "+D"(d) : : "memory", "cc");
    EXPECT_NO_TRAP();
    EXPECT_EQ(c, 92);
    *mem8(TEST_VA + 7) = 0;
    c = 100;
    s = TEST_VA + PAGE - 8;
    d = TEST_VA;
    TRY("repe cmpsb", : "+c"(c), "+S"(s), "+D"(d) : : "memory", "cc");
    EXPECT_PAGE_FAULT(0, TEST_VA + PAGE);
    EXPECT_EQ(c, 92);
    EXPECT_EQ(s, TEST_VA + PAGE);
}

USER_FUNCTION(user_copy, "mov esi, eax\n"
                         "lea edi, [eax + 0x100000]\n"
                         "mov ecx, 4096\n"
                         "rep movsd\n"
                         "mov eax, ecx" USER_END);

void restart_user(void)
{
    faults = 0;
    map(TEST_VA, frame_alloc(), RWU);
    *mem32(TEST_VA + 64) = 0xABCD;
    trap_hook = map_next;
    user_run(user_copy, TEST_VA);
    EXPECT_USER_RESULT(0);
    EXPECT_EQ(faults, 7);
    EXPECT_EQ(*mem32(TEST_VA + 0x100000 + 64), 0xABCD);
}
