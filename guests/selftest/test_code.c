/* SPDX-License-Identifier: MIT */
/* Self-modifying code and code that moves, as a processor since the Pentium
 * sees it: a store is visible to the next instruction.
 * SDM Vol.3A "Handling Self- and Cross-Modifying Code". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

#define RWU (PG_P | PG_W | PG_U)

static uint8_t buffer[4 * PAGE] ALIGNED(PAGE);

/* mov eax, value; ret */
static void put_function(void *at, uint32_t value)
{
    uint8_t *code = at;

    code[0] = 0xB8;
    memcpy(code + 1, &value, 4);
    code[5] = 0xC3;
    __asm__ volatile("" : : : "memory");
}

static uint32_t call(const void *code)
{
    uint32_t result;

    __asm__ volatile("call %1"
                     : "=a"(result)
                     : "r"(code)
                     : "ecx", "edx", "memory", "cc");
    return result;
}

void modify_next(void)
{
    uint32_t result;

    for (uint32_t i = 0; i < 10; i++) {
        __asm__ volatile("mov dword ptr [1f + 1], %1\n"
                         "1: mov eax, 0x55555555"
                         : "=&a"(result)
                         : "r"(i)
                         : "memory");
        EXPECT_EQ(result, i);
    }
    /* The store turns the INC behind it into a DEC and back. */
    for (uint32_t i = 0; i < 10; i++) {
        __asm__ volatile("mov eax, 10\n\t"
                         "xor byte ptr [1f], 8\n\t"
                         "nop\n"
                         "1: inc eax"
                         : "=&a"(result)
                         :
                         : "memory", "cc");
        EXPECT_EQ(result, i & 1 ? 11 : 9);
    }
}

void modify_loop(void)
{
    uint32_t sum = 0;

    __asm__ volatile("mov ecx, 200\n\t"
                     "mov dword ptr [1f + 2], 1\n"
                     "1: add edx, 0x55555555\n\t"
                     "inc dword ptr [1b + 2]\n\t"
                     "dec ecx\n\t"
                     "jnz 1b"
                     : "+d"(sum)
                     :
                     : "ecx", "memory", "cc");
    EXPECT_EQ(sum, 200 * 201 / 2);
}

void modify_other_page(void)
{
    for (uint32_t i = 0; i < 100; i++) {
        put_function(buffer + 16 * (i & 7), i);
        EXPECT_EQ(call(buffer + 16 * (i & 7)), i);
    }
    put_function(buffer, 1);
    put_function(buffer + PAGE, 2);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(call(buffer), 1);
        EXPECT_EQ(call(buffer + PAGE), 2);
    }
    put_function(buffer, 3);
    EXPECT_EQ(call(buffer), 3);
    EXPECT_EQ(call(buffer + PAGE), 2);
}

void modify_alias(void)
{
    uint32_t frame = frame_alloc();

    map(TEST_VA, frame, RWU);
    map(2 * TEST_VA, frame, RWU);
    for (uint32_t i = 0; i < 50; i++) {
        put_function((void *)(i & 1 ? TEST_VA : frame), i);
        EXPECT_EQ(call((void *)(2 * TEST_VA)), i);
        EXPECT_EQ(call((void *)frame), i);
    }
}

void modify_string(void)
{
    static uint8_t source[64];

    for (uint32_t i = 0; i < 20; i++) {
        uint32_t count = 6;
        void *to = buffer + PAGE - 3;
        void *from = source;

        put_function(source, i);
        __asm__ volatile("rep movsb"
                         : "+c"(count), "+D"(to), "+S"(from)
                         :
                         : "memory");
        EXPECT_EQ(call(buffer + PAGE - 3), i);
    }
}

void crossing_code(void)
{
    for (uint32_t back = 1; back < 6; back++) {
        put_function(buffer + PAGE - back, 0x1000 + back);
        EXPECT_EQ(call(buffer + PAGE - back), 0x1000 + back);
    }
    /* A long straight run over three pages. */
    memset(buffer, 0x40, 3 * PAGE); /* inc eax */
    buffer[0] = 0x31;
    buffer[1] = 0xC0; /* xor eax, eax */
    buffer[3 * PAGE] = 0xC3;
    EXPECT_EQ(call(buffer), 3 * PAGE - 2);
}

void crossing_modify(void)
{
    put_function(buffer + PAGE - 2, 0x04030201);
    EXPECT_EQ(call(buffer + PAGE - 2), 0x04030201);
    buffer[PAGE + 1] = 0x77; /* third byte of the operand */
    EXPECT_EQ(call(buffer + PAGE - 2), 0x04770201);
    buffer[PAGE - 1] = 0x55; /* first byte */
    EXPECT_EQ(call(buffer + PAGE - 2), 0x04770255);
}

void crossing_fetch(void)
{
    uint32_t low = frame_alloc();
    uint32_t high = frame_alloc();
    uint32_t start = TEST_VA + PAGE - 2;

    map(TEST_VA, low, RWU);
    map(TEST_VA + PAGE, high, RWU);
    put_function((void *)start, 0x123);
    EXPECT_EQ(call((void *)start), 0x123);
    map(TEST_VA + PAGE, high, 0);
    TRY("call %0", : : "r"(start) : "eax", "memory");
    EXPECT_PAGE_FAULT(paging_has_nx() ? 16 : 0, TEST_VA + PAGE);
    EXPECT_EQ(last.eip, start);
    map(TEST_VA + PAGE, high, RWU);
    EXPECT_EQ(call((void *)start), 0x123);
}

void remap_code(void)
{
    uint32_t a = frame_alloc();
    uint32_t b = frame_alloc();

    put_function((void *)a, 0xA);
    put_function((void *)b, 0xB);
    for (int i = 0; i < 50; i++) {
        map(TEST_VA, i & 1 ? b : a, RWU);
        EXPECT_EQ(call((void *)TEST_VA), i & 1 ? 0xB : 0xA);
        put_function((void *)(i & 1 ? a : b), i & 1 ? 0xA : 0xB);
    }
}

/* Direct transfers into a page go where it is mapped now. The caller: call +
 * jump into the page behind its own. */
void remap_target(void)
{
    uint32_t caller = frame_alloc();
    uint32_t frame[2] = {frame_alloc(), frame_alloc()};
    uint8_t *code = (uint8_t *)caller;
    uint32_t to_first = PAGE - 5;
    uint32_t to_second = PAGE + 16 - 10;

    code[0] = 0xE8; /* call TEST_VA + PAGE */
    memcpy(code + 1, &to_first, 4);
    code[5] = 0xE9; /* jmp TEST_VA + PAGE + 16 */
    memcpy(code + 6, &to_second, 4);
    for (uint32_t i = 0; i < 2; i++) {
        memcpy((void *)frame[i], "\xB9\0\0\0\0\xC3", 6); /* mov ecx, i; ret */
        memcpy((void *)(frame[i] + 1), &i, 4);
        memcpy((void *)(frame[i] + 16), "\x8D\x41\x07\xC3", 4);
        *(uint8_t *)(frame[i] + 18) += i; /* lea eax, [ecx + 7 + i]; ret */
    }
    map(TEST_VA, caller, PG_P | PG_W | PG_G);
    for (uint32_t i = 0; i < 60; i++) {
        map(TEST_VA + PAGE, frame[i / 3 & 1], PG_P | PG_W | (i & 1 ? PG_G : 0));
        EXPECT_EQ(call((void *)TEST_VA), 7 + 2 * (i / 3 & 1));
        EXPECT_EQ(call((void *)TEST_VA), 7 + 2 * (i / 3 & 1));
    }
    map(TEST_VA + PAGE, frame[0], 0);
    TRY("call %0", : : "r"(TEST_VA) : "eax", "ecx", "memory");
    EXPECT_PAGE_FAULT(paging_has_nx() ? 16 : 0, TEST_VA + PAGE);
}

void two_space_code(void)
{
    uint32_t first = read_cr3();
    uint32_t second = paging_clone();

    map(TEST_VA, frame_alloc(), RWU);
    put_function((void *)TEST_VA, 1);
    write_cr3(second);
    map(TEST_VA, frame_alloc(), RWU);
    put_function((void *)TEST_VA, 2);
    for (int i = 0; i < 50; i++) {
        write_cr3(first);
        EXPECT_EQ(call((void *)TEST_VA), 1);
        write_cr3(second);
        EXPECT_EQ(call((void *)TEST_VA), 2);
    }
}

void data_beside_code(void)
{
    volatile uint32_t *data = (volatile uint32_t *)(buffer + 64);

    put_function(buffer, 42);
    *data = 0;
    for (uint32_t i = 0; i < 500; i++) {
        *data += call(buffer);
        EXPECT_EQ(*data, 42 * (i + 1));
    }
}

/* A counter in the cache line of the code that counts, and another behind the
 * next instruction's operand, for so long that the page is known to be both. */
void data_in_code(void)
{
    uint32_t *counter = (uint32_t *)(buffer + 16);
    uint32_t sum = 0;

    /* inc dword ptr [counter]; mov eax, [counter]; ret */
    memcpy(buffer, "\xFF\x05\0\0\0\0\xA1\0\0\0\0\xC3", 12);
    memcpy(buffer + 2, &counter, 4);
    memcpy(buffer + 7, &counter, 4);
    *counter = 0;
    for (uint32_t i = 1; i <= 2000; i++)
        EXPECT_EQ(call(buffer), i);
    /* add dword ptr [operand], 5; add edx, operand */
    __asm__ volatile("mov ecx, 2000\n\t"
                     "mov dword ptr [2f + 2], 0\n"
                     "1: add dword ptr [2f + 2], 5\n"
                     "2: add edx, 0x55555555\n\t"
                     "loop 1b"
                     : "+d"(sum)
                     :
                     : "ecx", "memory", "cc");
    EXPECT_EQ(sum, 5 * 2000 * 2001 / 2);
}

/* A compiler at run time: 10,000 functions, written alike or not, in place or by
 * another address, at the start of a page, across two, and in turn. */
void rewrite_functions(void)
{
    uint32_t frame[2] = {frame_alloc(), frame_alloc()};
    static const uint32_t at[] = {0, 64, 2048, PAGE - 3, PAGE + 100};
    const uint32_t alias = 2 * TEST_VA;

    for (uint32_t i = 0; i < 2; i++) {
        map(TEST_VA + i * PAGE, frame[i], RWU);
        map(alias + i * PAGE, frame[i], RWU);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t offset = at[i % 5];
        uint32_t value = i / 100 & 1 ? i / 5 % 3 : 7;

        put_function((void *)((i & 1 ? alias : TEST_VA) + offset), value);
        EXPECT_EQ(call((void *)((i & 2 ? alias : TEST_VA) + offset)), value);
    }
}

USER_FUNCTION(user_modifies, "mov ecx, 50\n"
                             "xor ebx, ebx\n"
                             "mov dword ptr [1f + 2], 1\n"
                             "1: add ebx, 0x55555555\n"
                             "inc dword ptr [1b + 2]\n"
                             "loop 1b\n"
                             "mov eax, ebx" USER_END);

void modify_user(void)
{
    for (int i = 0; i < 3; i++) {
        user_run(user_modifies, 0);
        EXPECT_USER_RESULT(50 * 51 / 2);
    }
}
