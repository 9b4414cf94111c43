/* SPDX-License-Identifier: MIT */
/*
 * Parts of a program that access memory: with single instructions, and with
 * string instructions.
 */
#include "debug_code.h"
#include "lib/cpu.h"
#include "stress.h"

static const struct {
    uint8_t size, write, len;
    char bytes[3];
} accesses[] = {
    {4,  0, 1, "\xA1"        }, /* mov eax, [at] */
    {1,  0, 1, "\xA0"        }, /* mov al, [at] */
    {2,  0, 2, "\x66\xA1"    }, /* mov ax, [at] */
    {4,  1, 2, "\x89\x0D"    }, /* mov [at], ecx */
    {4,  1, 1, "\xA3"        }, /* mov [at], eax */
    {1,  1, 1, "\xA2"        }, /* mov [at], al */
    {2,  1, 2, "\x66\xA3"    }, /* mov [at], ax */
    {2,  1, 2, "\x8C\x1D"    }, /* mov [at], ds */
    {1,  0, 3, "\x0F\xB6\x05"}, /* movzx eax, byte [at] */
    {1,  1, 3, "\x0F\x94\x05"}, /* sete [at] */
    {4,  1, 2, "\xFF\x05"    }, /* inc dword [at] */
    {2,  1, 3, "\x66\xFF\x0D"}, /* dec word [at] */
    {4,  1, 2, "\xD1\x25"    }, /* shl dword [at], 1 */
    {1,  1, 2, "\x86\x05"    }, /* xchg [at], al */
    {4,  1, 3, "\xF0\x01\x0D"}, /* lock add [at], ecx */
    {4,  1, 3, "\x0F\xC1\x0D"}, /* xadd [at], ecx */
    {4,  1, 3, "\x0F\xB1\x0D"}, /* cmpxchg [at], ecx */
    {6,  1, 3, "\x0F\x01\x05"}, /* sgdt [at] */
    {2,  1, 3, "\x0F\x01\x25"}, /* smsw [at] */
    {2,  1, 2, "\xD9\x3D"    }, /* fnstcw [at] */
    {28, 1, 2, "\xD9\x35"    }, /* fnstenv [at] */
    {4,  1, 3, "\x0F\xC3\x05"}, /* movnti [at], eax */
    {16, 0, 3, "\x0F\x10\x05"}, /* movups xmm0, [at] */
    {16, 1, 3, "\x0F\x11\x05"}, /* movups [at], xmm0 */
    {8,  1, 3, "\x0F\x13\x05"}, /* movlps [at], xmm0 */
    {8,  0, 2, "\xDF\x2D"    }, /* fild qword [at] */
    {8,  1, 3, "\x0F\xC7\x0D"}, /* cmpxchg8b [at] */
};
enum { ACCESSES = sizeof(accesses) / sizeof(accesses[0]), FILD = ACCESSES - 2 };

/* Behind CMPXCHG8B QEMU has bits in EFLAGS that nobody set. */
void part_accesses(void)
{
    uint32_t count = on_tcg ? ACCESSES - 1 : ACCESSES;

    for (uint32_t n = 1 + random_below(4); n; n--) {
        uint32_t i = random_below(count);
        uint32_t at = put_address(accesses[i].size);
        struct op *op = put_bytes(OP_PLAIN, accesses[i].bytes, accesses[i].len);

        put_u32(at);
        put_touch(op, AT_ADDRESS, at, accesses[i].size, accesses[i].write);
        if (i == FILD)
            PUT(OP_PLAIN, "\xDD\xD8"); /* fstp st(0) */
    }
}

/* By a segment with a base: breakpoints are at linear addresses.
 *   mov fs, ax; mov eax, fs:[at - base] or the other way round */
void part_segment(void)
{
    uint32_t at = put_address(4);
    bool write = one_in(2);
    struct op *op;

    put_mov(EAX, DEBUG_FS);
    PUT(OP_PLAIN, "\x8E\xE0");
    op = put_bytes(OP_PLAIN, write ? "\x64\xA3" : "\x64\xA1", 2);
    put_u32(at - DEBUG_FS_BASE);
    put_touch(op, AT_ADDRESS, at, 4, write);
}

/* Of an array whose elements are each within a page. */
static uint32_t random_elements(uint32_t size, uint32_t count)
{
    uint32_t page = random_below(DEMAND_PAGES - 1);
    uint32_t at = DEBUG_DATA + PAGE;

    if (one_in(3))
        at = DEBUG_DEMAND + (page + 1) * PAGE;
    else if (one_in(5))
        at = DEBUG_ALIAS + PAGE;
    return at - random_below(count + 1) * size;
}

enum { MOVS, STOS, LODS, INS, OUTS, STRINGS };

static const struct {
    uint8_t opcode, reads, writes, port;
} strings[STRINGS] = {
    [MOVS] = {0xA4, 1, 1, 0},
      [STOS] = {0xAA, 0, 1, 0},
    [LODS] = {0xAC, 1, 0, 0},
      [INS] = {0x6C, 0, 1, 1},
    [OUTS] = {0x6E, 1, 0, 1},
};

static struct op *put_string(uint32_t kind, uint32_t size, bool rep)
{
    char bytes[3];
    uint32_t len = 0;

    if (rep)
        bytes[len++] = (char)0xF3;
    if (size == 2)
        bytes[len++] = 0x66;
    bytes[len++] = (char)(strings[kind].opcode | (size > 1));
    return put_bytes(OP_STRING, bytes, len);
}

/* ECX, ESI, EDI, EDX and DF first. The operand in memory comes in the order in
 * which it is accessed; CLD is for whoever comes next. */
void part_string(void)
{
    uint32_t kind = random_below(put_may_touch_if() ? STRINGS : INS);
    uint32_t size = 1u << random_below(3);
    bool rep = !one_in(4), down = one_in(4);
    uint32_t count = rep ? random_below(7) : 1;
    uint32_t esi = random_elements(size, count);
    uint32_t edi = random_elements(size, count);
    uint32_t port = DEBUG_PORT + random_below(8);
    uint32_t back = down && count ? (count - 1) * size : 0;
    struct op *op;

    put_mov(ECX, count);
    put_mov(ESI, esi + back);
    put_mov(EDI, edi + back);
    put_mov(EDX, port);
    if (down)
        PUT(OP_PLAIN, "\xFD");
    op = put_string(kind, size, rep);
    op->count = count;
    op->down = down;
    if (strings[kind].reads)
        put_touch(op, AT_ADDRESS, esi + back, size, false);
    if (strings[kind].writes)
        put_touch(op, AT_ADDRESS, edi + back, size, true);
    if (strings[kind].port)
        put_touch(op, AT_PORT, port, size, true);
    if (down)
        PUT(OP_PLAIN, "\xFC");
}
