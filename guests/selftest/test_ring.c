/* SPDX-License-Identifier: MIT */
/* Rings 1 and 2: the supervisor to paging, unprivileged to all else.
 * SDM Vol.3A "Privilege Levels", "Page-Level Protection". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

/* A function for an outer ring in the supervisor's pages. */
#define RING_FUNCTION(name, text)                                \
    __asm__(".pushsection .text\n"                               \
            ".intel_syntax noprefix\n" #name ":\n" text USER_END \
            ".popsection");                                      \
    extern const char name[]

static uint32_t iopl(uint32_t ring)
{
    return ring << 12;
}

static const struct {
    uint8_t bytes[4];
    uint8_t len;
} ring0_only[] = {
  /* clang-format off */
    {{0xF4}, 1},                                /* hlt */
    {{0x0F, 0x06}, 2},                          /* clts */
    {{0x0F, 0x20, 0xC0}, 3},                    /* mov eax, cr0 */
    {{0x0F, 0x22, 0xC0}, 3},                    /* mov cr0, eax */
    {{0x0F, 0x01, 0x10}, 3},                    /* lgdt [eax] */
    {{0x0F, 0x01, 0x38}, 3},                    /* invlpg [eax] */
    {{0x0F, 0x32}, 2},                          /* rdmsr */
  /* clang-format on */
};

void ring_privileged(void)
{
    static uint8_t code[8];

    for (uint32_t i = 0; i < sizeof(ring0_only) / sizeof(*ring0_only); i++) {
        for (uint32_t ring = 1; ring <= 2; ring++) {
            memcpy(code, ring0_only[i].bytes, ring0_only[i].len);
            ring_run(ring, code, 2 | iopl(3));
            EXPECT_TRAP(EXC_GP, 0);
            EXPECT_EQ(last.eip, code);
            EXPECT_EQ(last.cs & 3, ring);
        }
    }
}

RING_FUNCTION(ring_cli, "cli\npushfd\npop eax\nsti\npushfd\npop ebx");
RING_FUNCTION(ring_sti, "sti\nnop");
RING_FUNCTION(ring_out, "out 0x80, al");

/* The same code at an IOPL that allows it and at one that does not. */
void ring_iopl(void)
{
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t ring = 1 + (i & 1);

        ring_run(ring, ring_cli, 2 | EF_IF | iopl(ring));
        EXPECT_USER_RESULT(2 | iopl(ring));
        EXPECT_EQ(last.ebx, 2 | EF_IF | iopl(ring));
        ring_run(ring, ring_out, 2 | iopl(ring));
        EXPECT_EQ(last.vector, VECTOR_EXIT);
        ring_run(ring, ring_cli, 2 | EF_IF | iopl(ring - 1));
        EXPECT_TRAP(EXC_GP, 0);
        EXPECT_EQ(last.eip, ring_cli);
        EXPECT(last.eflags & EF_IF);
        ring_run(ring, ring_sti, 2 | iopl(ring - 1));
        EXPECT_TRAP(EXC_GP, 0);
        ring_run(ring, ring_out, 2 | iopl(ring - 1));
        EXPECT_TRAP(EXC_GP, 0); /* the I/O bitmap denies it */
    }
}

RING_FUNCTION(ring_popf, "push 0x3202\npopfd\npushfd\npop eax");

void ring_flags(void)
{
    ring_run(1, ring_popf, 2 | iopl(1)); /* IF changes, IOPL does not */
    EXPECT_USER_RESULT(2 | EF_IF | iopl(1));
    ring_run(2, ring_popf, 2 | iopl(1));
    EXPECT_USER_RESULT(2 | iopl(1));
    ring_run(2, ring_popf, 2 | iopl(3));
    EXPECT_USER_RESULT(2 | EF_IF | iopl(3));
}

static uint32_t ring_words[64];

RING_FUNCTION(ring_loop, "mov ebx, offset ring_words\n"
                         "mov ecx, 20000\n"
                         "1: mov edx, ecx\n"
                         "and edx, 63\n"
                         "add [ebx + edx * 4], ecx\n"
                         "call 2f\n"
                         "loop 1b\n"
                         "jmp 3f\n"
                         "2: inc eax\n"
                         "ret\n"
                         "3: mov edx, cs");

/* Supervisor pages are within reach, and CS keeps the ring. */
void ring_compute(void)
{
    for (uint32_t ring = 1; ring <= 2; ring++) {
        uint32_t sum = 0;

        memset(ring_words, 0, sizeof(ring_words));
        ring_run(ring, ring_loop, 2 | EF_IF);
        EXPECT_USER_RESULT(20000);
        EXPECT_EQ(last.edx & 3, ring);
        for (uint32_t i = 0; i < 64; i++)
            sum += ring_words[i];
        EXPECT_EQ(sum, 20000 * 20001 / 2);
    }
}
