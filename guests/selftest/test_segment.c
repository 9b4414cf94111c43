/* SPDX-License-Identifier: MIT */
/* Segments: bases, limits, types, loads.
 * SDM Vol.3A "Protected-Mode Memory Management" and "Protection". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

static uint32_t data[4] = {0x11111111, 0x22222222, 0x33333333, 0x44444444};

/* Loads FS with a test slot over data, limit in bytes. */
static void load_fs(uint32_t limit, uint32_t access)
{
    uint32_t selector =
        slot_set(SLOT_TEST, segment((uint32_t)data, limit, access, SEG_32));

    __asm__ volatile("mov fs, %0" : : "r"(selector));
}

void segment_base(void)
{
    uint32_t value;

    load_fs(15, SEG_DATA_RW);
    __asm__ volatile("mov %0, fs:[4]" : "=r"(value));
    EXPECT_EQ(value, 0x22222222);
    __asm__ volatile("mov dword ptr fs:[%0 + 4], 7" : : "r"(8) : "memory");
    EXPECT_EQ(data[3], 7);
    data[3] = 0x44444444;
}

void data_limit(void)
{
    load_fs(11, SEG_DATA_RW);
    TRY("mov eax, fs:[8]", : : : "eax");
    EXPECT_NO_TRAP();
    TRY("mov al, fs:[11]", : : : "eax");
    EXPECT_NO_TRAP();
    TRY("mov eax, fs:[9]", : : : "eax");
    EXPECT_FAULT(EXC_GP, 0);
    TRY("mov byte ptr fs:[12], 1", : : : "memory");
    EXPECT_FAULT(EXC_GP, 0);
    TRY("mov eax, fs:[-4]", : : : "eax");
    EXPECT_FAULT(EXC_GP, 0);
}

void stack_limit(void)
{
    uint32_t limit = 0x7FFFFF;
    uint32_t selector =
        slot_set(SLOT_TEST, segment(0, limit >> 12, SEG_DATA_RW, SEG_FLAT));

    TRY("mov ecx, ss\n"
        "mov ss, eax\n"
        "mov eax, [esp + 0x800000]\n"
        "nop",
        :
        : "a"(selector)
        : "ecx");
    __asm__ volatile("mov ss, %0" : : "r"(KERNEL_DATA));
    EXPECT_TRAP(EXC_SS, 0);
}

void expand_down(void)
{
    load_fs(7, SEG_DATA_DOWN);
    TRY("mov eax, fs:[8]", : : : "eax");
    EXPECT_NO_TRAP();
    TRY("mov eax, fs:[7]", : : : "eax");
    EXPECT_FAULT(EXC_GP, 0);
    TRY("mov eax, fs:[0]", : : : "eax");
    EXPECT_FAULT(EXC_GP, 0);
}

/* Code of 3 bytes in a segment that ends after the second. */
void code_limit(void)
{
    static const uint8_t code[] = {0x90, 0x90, 0x90, 0xCB};
    struct PACKED {
        uint32_t offset;
        uint16_t selector;
    } target = {0, 0};

    target.selector = (uint16_t)slot_set(
        SLOT_TEST, segment((uint32_t)code, 1, SEG_CODE_XR, SEG_32));
    TRY("mov ebx, esp; call fword ptr [%0]",
        :
        : "r"(&target)
        : "ebx", "memory");
    __asm__ volatile("" : : : "memory");
    EXPECT_TRAP(EXC_GP, 0);
    EXPECT_EQ(last.eip, 2);
}

void read_only_segment(void)
{
    load_fs(15, SEG_DATA_RO);
    TRY("mov eax, fs:[0]", : : : "eax");
    EXPECT_NO_TRAP();
    TRY("mov dword ptr fs:[0], eax", : : : "memory");
    EXPECT_FAULT(EXC_GP, 0);
    EXPECT_EQ(data[0], 0x11111111);
}

void store_to_code(void)
{
    TRY("mov eax, cs:[%0]", : : "r"(data) : "eax");
    EXPECT_NO_TRAP();
    TRY("mov cs:[%0], eax", : : "r"(data) : "memory");
    EXPECT_FAULT(EXC_GP, 0);
}

void execute_only(void)
{
    static const uint8_t code[] = {0x2E, 0xA1, 0, 0, 0, 0, 0xCB};
    struct PACKED {
        uint32_t offset;
        uint16_t selector;
    } target = {0, 0};

    target.selector = (uint16_t)slot_set(
        SLOT_TEST, segment((uint32_t)code, 0xFF, SEG_CODE_X, SEG_32));
    TRY("call fword ptr [%0]", : : "r"(&target) : "eax", "memory");
    EXPECT_TRAP(EXC_GP, 0);
    EXPECT_EQ(last.eip, 0);
}

void null_access(void)
{
    __asm__ volatile("mov fs, %0" : : "r"(0));
    TRY("mov eax, fs:[0]", : : : "eax");
    EXPECT_FAULT(EXC_GP, 0);
    __asm__ volatile("mov fs, %0" : : "r"(3));
    TRY("mov eax, fs:[%0]", : : "r"(data) : "eax");
    EXPECT_FAULT(EXC_GP, 0);
}

void bad_loads(void)
{
    uint32_t beyond = SLOT_COUNT * 8;
    uint32_t absent =
        slot_set(SLOT_TEST,
                 segment(0, 0xFFFFF, SEG_DATA_RW & SEG_ABSENT_MASK, SEG_FLAT));
    uint32_t execute =
        slot_set(SLOT_TEST + 1, segment(0, 0xFFFFF, SEG_CODE_X, SEG_FLAT));

    TRY("mov fs, %0", : : "r"(beyond));
    EXPECT_FAULT(EXC_GP, beyond);
    TRY("mov fs, %0", : : "r"(absent));
    EXPECT_FAULT(EXC_NP, absent);
    TRY("mov gs, %0", : : "r"(execute));
    EXPECT_FAULT(EXC_GP, execute);
    TRY("mov es, %0", : : "r"(TSS_SELECTOR));
    EXPECT_FAULT(EXC_GP, TSS_SELECTOR);
    TRY("mov es, %0", : : "r"(KERNEL_DATA | 3)); /* RPL 3, DPL 0 */
    EXPECT_FAULT(EXC_GP, KERNEL_DATA);
    TRY("mov es, %0", : : "r"(KERNEL_DATA | 4)); /* no LDT */
    EXPECT_FAULT(EXC_GP, KERNEL_DATA | 4);
    TRY("mov ax, ds; mov es, ax", : : : "eax");
    EXPECT_NO_TRAP();
}

void bad_stack_loads(void)
{
    uint32_t absent =
        slot_set(SLOT_TEST,
                 segment(0, 0xFFFFF, SEG_DATA_RW & SEG_ABSENT_MASK, SEG_FLAT));
    uint32_t read_only =
        slot_set(SLOT_TEST + 1, segment(0, 0xFFFFF, SEG_DATA_RO, SEG_FLAT));

    TRY("mov ss, %0", : : "r"(0));
    EXPECT_FAULT(EXC_GP, 0);
    TRY("mov ss, %0", : : "r"(absent));
    EXPECT_FAULT(EXC_SS, absent);
    TRY("mov ss, %0", : : "r"(read_only));
    EXPECT_FAULT(EXC_GP, read_only);
    TRY("mov ss, %0", : : "r"(USER_DATA));
    EXPECT_FAULT(EXC_GP, USER_DATA & ~3u);
    TRY("mov ss, %0", : : "r"(KERNEL_CODE));
    EXPECT_FAULT(EXC_GP, KERNEL_CODE);
}

void accessed_bit(void)
{
    uint32_t selector =
        slot_set(SLOT_TEST, segment(0, 0xFFFFF, SEG_DATA_RW, SEG_FLAT));

    EXPECT_EQ(gdt[SLOT_TEST] >> 40 & 1, 0);
    __asm__ volatile("mov fs, %0" : : "r"(selector) : "memory");
    EXPECT_EQ(gdt[SLOT_TEST] >> 40 & 1, 1);
}

void local_table(void)
{
    static uint64_t ldt[4] ALIGNED(8);
    uint32_t selector = slot_set(
        SLOT_TEST, segment((uint32_t)ldt, sizeof(ldt) - 1, SEG_LDT, 0));
    uint32_t value;

    ldt[1] = segment((uint32_t)data, 15, SEG_DATA_RW, SEG_32);
    __asm__ volatile("lldt %w0" : : "r"(selector) : "memory");
    __asm__ volatile("mov fs, %1; mov %0, fs:[8]" : "=r"(value) : "r"(8 | 4));
    EXPECT_EQ(value, 0x33333333);
    TRY("mov gs, %0", : : "r"(16 | 4));
    EXPECT_FAULT(EXC_GP, 16 | 4);
    TRY("mov gs, %0", : : "r"(32 | 4)); /* beyond its limit */
    EXPECT_FAULT(EXC_GP, 32 | 4);
    TRY("lldt %w0", : : "r"(KERNEL_DATA));
    EXPECT_FAULT(EXC_GP, KERNEL_DATA);
}

/* In 16-bit code B8 iw is MOV AX and 66 CB returns with 32-bit operands. */
void code_16(void)
{
    static const uint8_t code[] = {
        0xB8, 0x34, 0x12,             /* mov ax, 1234h */
        0x66, 0x05, 0x01, 0, 0x01, 0, /* add eax, 10001h */
        0xBB, 0x04, 0x00,             /* mov bx, 4 */
        0x67, 0x66, 0x90,             /* xchg eax, eax */
        0x66, 0xCB,                   /* retfd */
    };
    struct PACKED {
        uint32_t offset;
        uint16_t selector;
    } target = {0, 0};
    uint32_t eax = 0x55550000;
    uint32_t ebx = 0x66660000;

    target.selector = (uint16_t)slot_set(
        SLOT_TEST, segment((uint32_t)code, 0xFF, SEG_CODE_XR, 0));
    __asm__ volatile("call fword ptr [%2]"
                     : "+a"(eax), "+b"(ebx)
                     : "r"(&target)
                     : "memory", "cc");
    EXPECT_EQ(eax, 0x55561235);
    EXPECT_EQ(ebx, 0x66660004);
}

/* A loop with loads, stores, calls and returns, once as 16-bit and once as 32-bit
 * code: adds each of 500..1 to EAX or AX, and to one of 64 words. */
#define APART(name, bits, cx, bx, dx, ax)                                  \
    __asm__(".pushsection .text\n.intel_syntax noprefix\n" bits "\n" #name \
            ":\n"                                                          \
            "mov " cx ", 500\n"                                            \
            "1: mov " bx ", " cx "\n"                                      \
            "and " bx ", 0x7e\n"                                           \
            "add [" bx "], cx\n"                                           \
            "call 2f\n"                                                    \
            "dec " cx "\n"                                                 \
            "jnz 1b\n"                                                     \
            "jmp 3f\n"                                                     \
            "2: push " cx "\n"                                             \
            "pop " dx "\n"                                                 \
            "add " ax ", " dx "\n"                                         \
            "ret\n"                                                        \
            "3:\n"                                                         \
            ".code32\n.popsection");                                       \
    extern const uint8_t name[]
APART(apart_16, ".code16", "cx", "bx", "dx", "ax");
__asm__(".pushsection .text\n.byte 0x66, 0xcb\n.popsection"); /* retfd */
APART(apart_32, ".code32", "ecx", "ebx", "edx", "eax");
__asm__(".pushsection .text\n.byte 0xcb\n.popsection"); /* retf */

static uint16_t apart_words[64];

static uint32_t run_apart(const uint8_t *code, uint32_t flags)
{
    struct PACKED {
        uint32_t offset;
        uint16_t selector;
    } target = {0, 0};
    uint32_t words = slot_set(SLOT_TEST + 1, segment((uint32_t)apart_words,
                                                     sizeof(apart_words) - 1,
                                                     SEG_DATA_RW, SEG_32));
    uint32_t eax = 0x55550000;

    memset(apart_words, 0, sizeof(apart_words));
    target.selector = (uint16_t)slot_set(
        SLOT_TEST, segment((uint32_t)code, 0xFF, SEG_CODE_XR, flags));
    __asm__ volatile("push ds\n\t"
                     "mov ds, %2\n\t"
                     "call fword ptr ss:[%1]\n\t"
                     "pop ds"
                     : "+a"(eax)
                     : "S"(&target), "D"(words)
                     : "ebx", "ecx", "edx", "memory", "cc");
    return eax;
}

static uint32_t apart_sum(void)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 64; i++)
        sum += apart_words[i];
    return sum;
}

void code_apart(void)
{
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_EQ(run_apart(apart_16, 0),
                  0x55550000 | (500 * 501 / 2 & 0xFFFF));
        EXPECT_EQ(apart_sum(), 500 * 501 / 2);
        EXPECT_EQ(run_apart(apart_32, SEG_32), 0x55550000 + 500 * 501 / 2);
        EXPECT_EQ(apart_sum(), 500 * 501 / 2);
    }
}

/* With a 16-bit SS a push uses SP: the upper half of ESP stays. */
void stack_16(void)
{
    static uint8_t stack[256] ALIGNED(256);
    uint32_t selector =
        slot_set(SLOT_TEST, segment((uint32_t)stack, 0xFFFF, SEG_DATA_RW, 0));
    uint32_t esp_after, popped;

    __asm__ volatile("mov ecx, esp\n\t"
                     "mov edx, ss\n\t"
                     "mov ss, %2\n\t"
                     "mov esp, 0x12340080\n\t"
                     "push 0x5A5A5A5A\n\t"
                     "mov %0, esp\n\t"
                     "pop %1\n\t"
                     "mov ss, edx\n\t"
                     "mov esp, ecx"
                     : "=&a"(esp_after), "=&b"(popped)
                     : "S"(selector)
                     : "ecx", "edx", "memory");
    EXPECT_EQ(esp_after, 0x1234007C);
    EXPECT_EQ(popped, 0x5A5A5A5A);
    EXPECT_EQ(stack[0x7C], 0x5A);
}

void inspect(void)
{
    uint32_t access = 0, limit = 0;
    bool ok, readable, writable;

    __asm__ volatile("lar %0, %2"
                     : "=r"(access), "=@ccz"(ok)
                     : "r"(KERNEL_CODE));
    EXPECT(ok);
    EXPECT_EQ(access & 0xF0FE00, 0xC09A00);
    __asm__ volatile("lsl %0, %2"
                     : "=r"(limit), "=@ccz"(ok)
                     : "r"(KERNEL_DATA));
    EXPECT(ok);
    EXPECT_EQ(limit, 0xFFFFFFFF);
    __asm__ volatile("lsl %0, %2"
                     : "=r"(limit), "=@ccz"(ok)
                     : "r"(TSS_SELECTOR));
    EXPECT(ok);
    EXPECT_EQ(limit, sizeof(tss) - 1);
    __asm__ volatile("lar %0, %2" : "=r"(access), "=@ccz"(ok) : "r"(0));
    EXPECT(!ok);
    __asm__ volatile("verr %w1" : "=@ccz"(readable) : "r"(KERNEL_CODE));
    __asm__ volatile("verw %w1" : "=@ccz"(writable) : "r"(KERNEL_CODE));
    EXPECT(readable);
    EXPECT(!writable);
    __asm__ volatile("verw %w1" : "=@ccz"(writable) : "r"(KERNEL_DATA));
    EXPECT(writable);
    __asm__ volatile("verw %w1" : "=@ccz"(writable) : "r"(SLOT_COUNT * 8));
    EXPECT(!writable);
}

void pop_and_lds(void)
{
    struct PACKED {
        uint32_t offset;
        uint16_t selector;
    } pointer = {0x1234, KERNEL_DATA};
    uint32_t eax, es;

    __asm__ volatile("push %2; pop es; mov %1, es; lfs %0, [%3]"
                     : "=&r"(eax), "=&r"(es)
                     : "i"(KERNEL_DATA), "r"(&pointer)
                     : "memory");
    EXPECT_EQ(es, KERNEL_DATA);
    EXPECT_EQ(eax, 0x1234);
    pointer.selector = SLOT_COUNT * 8;
    eax = 5;
    TRY("lfs %0, [%1]", : "+r"(eax) : "r"(&pointer));
    EXPECT_FAULT(EXC_GP, SLOT_COUNT * 8);
    EXPECT_EQ(eax, 5);
    TRY("push %0; pop es", : : "r"(SLOT_COUNT * 8));
    __asm__ volatile("" : : : "memory");
    EXPECT_TRAP(EXC_GP, SLOT_COUNT * 8);
}
