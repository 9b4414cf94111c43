/* SPDX-License-Identifier: MIT */
/* Calls, returns, jumps and the stack, also where they do not match. */
#include "lib/desc.h"
#include "tap.h"
#include "tests.h"

__asm__(".text\n"
        ".intel_syntax noprefix\n"
        /* EAX += ECX + (ECX-1) + ... + 1 by recursion. */
        "recurse:\n"
        "    add eax, ecx\n"
        "    dec ecx\n"
        "    jz 1f\n"
        "    push ecx\n"
        "    call recurse\n"
        "    pop edx\n"
        "1:  ret\n"
        "drop_8:\n"
        "    mov eax, [esp + 4]\n"
        "    sub eax, [esp + 8]\n"
        "    ret 8\n");

static uint32_t fibonacci(uint32_t n);
static uint32_t (*volatile fibonacci_call)(uint32_t) = fibonacci;

static uint32_t fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci_call(n - 1) + fibonacci_call(n - 2);
}

void recursion(void)
{
    uint32_t sum = 0, depth = 10000;

    __asm__ volatile("call recurse"
                     : "+a"(sum), "+c"(depth)
                     :
                     : "edx", "memory", "cc");
    EXPECT_EQ(sum, 10000 * 10001 / 2);
    EXPECT_EQ(fibonacci(18), 2584);
}

/* Every way to use a return address that a return predictor dislikes. */
void odd_returns(void)
{
    uint32_t way = 0;
    uint32_t here = 0;

    for (int i = 0; i < 20; i++) {
        way = 0;
        __asm__ volatile("call 1f\n"
                         "1: pop %1\n\t"      /* call without ret */
                         "push offset 2f\n\t" /* ret without call */
                         "ret\n\t"
                         "ud2\n"
                         "2: add %0, 1\n\t"
                         "call 3f\n\t"
                         "ud2\n"
                         "3: mov dword ptr [esp], offset 4f\n\t"
                         "ret\n" /* ret to another place */
                         "4: add %0, 16\n\t"
                         "call 5f\n\t"
                         "ud2\n"
                         "5: call 6f\n\t"
                         "ud2\n"
                         "6: add esp, 8\n\t" /* leaves two frames */
                         "add %0, 256\n\t"
                         "call 7f\n\t"
                         "jmp 8f\n"
                         "7: push dword ptr [esp]\n\t"
                         "ret 4\n"
                         "8:"
                         : "+r"(way), "=&r"(here)
                         :
                         : "memory", "cc");
        EXPECT_EQ(way, 0x111);
    }
}

void indirect_jumps(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 64; i++) {
        __asm__ volatile("jmp [9f + %1 * 4]\n"
                         ".balign 4\n"
                         "9: .long 1f, 2f, 3f, 4f\n"
                         "1: add %0, 1; jmp 5f\n"
                         "2: add %0, 2; jmp 5f\n"
                         "3: add %0, 3; jmp 5f\n"
                         "4: add %0, 4\n"
                         "5:"
                         : "+r"(sum)
                         : "r"(i & 3)
                         : "cc");
    }
    EXPECT_EQ(sum, 160);
    __asm__ volatile("mov eax, offset 1f; jmp eax; ud2\n1: call [2f]; jmp 4f\n"
                     "2: .long 3f\n3: inc %0; ret\n4:"
                     : "+r"(sum)
                     :
                     : "eax", "cc", "memory");
    EXPECT_EQ(sum, 161);
}

void stack_frames(void)
{
    uint32_t result, esp_change;

    __asm__ volatile("mov ecx, esp\n\t"
                     "push 5\n\t"
                     "push 12\n\t"
                     "call drop_8\n\t"
                     "sub ecx, esp"
                     : "=&a"(result), "=&c"(esp_change)
                     :
                     : "memory", "cc");
    EXPECT_EQ(result, 7);
    EXPECT_EQ(esp_change, 0);
    __asm__ volatile("mov ecx, esp\n\t"
                     "mov edx, ebp\n\t"
                     "enter 16, 0\n\t"
                     "lea eax, [ecx - 20]\n\t"
                     "sub eax, esp\n\t"
                     "add ebp, 4\n\t"
                     "sub ecx, ebp\n\t"
                     "sub ebp, 4\n\t"
                     "leave"
                     : "=&a"(result), "=&c"(esp_change)
                     :
                     : "edx", "memory", "cc");
    EXPECT_EQ(result, 0);
    EXPECT_EQ(esp_change, 0);
    __asm__ volatile("mov edx, ebp\n\t"
                     "mov ecx, esp\n\t"
                     "enter 8, 2\n\t"
                     "sub ecx, esp\n\t"
                     "mov eax, [ebp - 8]\n\t"
                     "sub eax, ebp\n\t"
                     "leave\n\t"
                     "mov ebp, edx"
                     : "=&a"(result), "=&c"(esp_change)
                     :
                     : "edx", "memory", "cc");
    EXPECT_EQ(result, 0);
    EXPECT_EQ(esp_change, 4 + 8 + 8);
}

void esp_forms(void)
{
    uint32_t a, b, c;

    __asm__ volatile("mov ecx, esp\n\t"
                     "push esp\n\t"
                     "pop eax\n\t"
                     "sub eax, ecx\n\t" /* pushes the old value: 0 */
                     "push 0x1111\n\t"
                     "push 0x2222\n\t"
                     "pop [esp]\n\t" /* address after the increment */
                     "pop edx\n\t"
                     "mov ebx, esp\n\t"
                     "push ebx\n\t"
                     "pop esp\n\t"
                     "sub ebx, ecx\n\t"
                     "mov esp, ecx"
                     : "=&a"(a), "=&d"(b), "=&b"(c)
                     :
                     : "ecx", "memory", "cc");
    EXPECT_EQ(a, 0);
    EXPECT_EQ(b, 0x2222);
    EXPECT_EQ(c, 0);
    __asm__ volatile("mov ecx, esp\n\t"
                     "push [esp]\n\t"
                     "pop eax\n\t"
                     "xor eax, [esp]\n\t"
                     "pushw 0x1234\n\t"
                     "mov edx, ecx\n\t"
                     "sub edx, esp\n\t"
                     "popw bx\n\t"
                     "movzx ebx, bx"
                     : "=&a"(a), "=&d"(b), "=&b"(c)
                     :
                     : "ecx", "memory", "cc");
    EXPECT_EQ(a, 0);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, 0x1234);
}

void loop_forms(void)
{
    uint32_t count = 0, ecx = 10;

    __asm__ volatile("1: inc %0\n\tloop 1b" : "+r"(count), "+c"(ecx) : : "cc");
    EXPECT_EQ(count, 10);
    ecx = 10;
    count = 0;
    __asm__ volatile("1: inc %0\n\tcmp %0, 4\n\tloopne 1b"
                     : "+r"(count), "+c"(ecx)
                     :
                     : "cc");
    EXPECT_EQ(count, 4);
    EXPECT_EQ(ecx, 6);
    ecx = 0x10000;
    count = 0;
    __asm__ volatile("jcxz 1f\n\tinc %0\n1: jecxz 2f\n\tadd %0, 16\n2:"
                     : "+r"(count), "+c"(ecx)
                     :
                     : "cc");
    EXPECT_EQ(count, 16);
}

void register_forms(void)
{
    static const uint8_t table[4] = {9, 8, 7, 6};
    uint32_t image[8];
    uint32_t at = (uint32_t)image;
    uint32_t al = 2, b = 1, c = 2;

    __asm__ volatile(
        "mov edx, esp\n\t"
        "push ebx; push esi; push edi; push ebp\n\t"
        "mov ecx, eax\n\t"
        "mov eax, 1; mov ebx, 4; mov esi, 7; mov edi, 8\n\t"
        "mov ebp, 6\n\t"
        "pushad\n\t"
        "pop [ecx]; pop [ecx + 4]; pop [ecx + 8]; pop [ecx + 12]\n\t"
        "pop [ecx + 16]; pop [ecx + 20]; pop [ecx + 24]\n\t"
        "pop [ecx + 28]\n\t"
        "pop ebp; pop edi; pop esi; pop ebx"
        : "+a"(at)
        :
        : "ecx", "edx", "memory", "cc");
    EXPECT_EQ(image[0], 8);
    EXPECT_EQ(image[1], 7);
    EXPECT_EQ(image[2], 6);
    EXPECT_EQ(image[4], 4);
    EXPECT_EQ(image[6], image);
    EXPECT_EQ(image[5] - image[3], 16);
    __asm__ volatile("xlatb" : "+a"(al) : "b"(table) : "memory");
    EXPECT_EQ(al, 7);
    __asm__ volatile("xchg %b0, %h1" : "+a"(b), "+c"(c));
    EXPECT_EQ(b, 0);
    EXPECT_EQ(c, 0x102);
}
