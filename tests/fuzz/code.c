/* SPDX-License-Identifier: MIT */
#include "code.h"

#include <string.h>

#include "choice.h"
#include "translator/decode/insn.h"
#include "world.h"

/*
 * Hostile code of three kinds: random bytes, random valid instructions, and
 * patterns picked to hurt a translator, repeated, mixed and cut anywhere.
 */

/* Instructions that end a run soon are rare. */
static bool is_dull(const struct insn *in)
{
    return in->op == OP_INVALID || in->op == OP_HLT || in->address_size == 2 ||
           (insn_feature(in->op) == FEAT_BASE && in->map == 0 &&
            (in->opcode & 0xfc) == 0xec);
}

static uint32_t random_insn(uint8_t *code, uint32_t room)
{
    const struct insn_mode mode = {.features = UINT32_MAX, .code32 = true};
    uint8_t bytes[INSN_MAX_LEN];
    struct insn in;

    do {
        random_bytes(bytes, sizeof(bytes));
        if (below(3) == 0)
            bytes[0] = 0x0f;
    } while (insn_decode(&in, mode, bytes, sizeof(bytes)) != INSN_OK ||
             (is_dull(&in) && below(64)) || in.len > room);
    /* Short branches, and memory near what the registers point at. */
    if (in.disp_len == 4 && below(8))
        memset(bytes + in.disp_offset + 1, bytes[in.disp_offset] & 1 ? 0xff : 0,
               3);
    if (in.operand_count && in.operand[0].kind == OPERAND_REL &&
        in.imm_len == 4 && below(8))
        memset(bytes + in.imm_offset + 1, below(2) ? 0xff : 0, 3);
    memcpy(code, bytes, in.len);
    return in.len;
}

static void random_insns(uint8_t *code, uint32_t len)
{
    for (uint32_t at = 0; at + INSN_MAX_LEN <= len;)
        at += random_insn(code + at, len - at);
}

/* Pieces that are repeated, mixed, and cut anywhere. ? stands for a random
 * byte (any value in the pattern's mask of 1 bits). */
struct pattern {
    uint8_t len;
    uint8_t bytes[8];
    uint8_t random; /* mask of the bytes that are random */
};

static const struct pattern patterns[] = {
    {2, {0x70, 0},                               0x03}, /* jcc or what is near */
    {2, {0x75, 0},                               0x02}, /* jnz */
    {6, {0x0f, 0x85, 0, 0, 0, 0},                0x04}, /* jnz near */
    {5, {0xe8, 0, 0, 0, 0},                      0x02}, /* call */
    {5, {0xe8, 0, 0xff, 0xff, 0xff},             0x02}, /* call back */
    {1, {0xc3},                                  0   }, /* ret */
    {3, {0xc2, 0, 0},                            0x06}, /* ret n */
    {1, {0x50},                                  0   }, /* push eax */
    {1, {0x58},                                  0   }, /* pop eax */
    {1, {0x54},                                  0   }, /* push esp */
    {1, {0x5c},                                  0   }, /* pop esp */
    {1, {0x9c},                                  0   }, /* pushf */
    {1, {0x9d},                                  0   }, /* popf */
    {7, {0x8d, 0xa4, 0x24, 0, 0x0f, 0, 0},       0x08}, /* lea esp, [esp + n] */
    {7, {0x8d, 0xa4, 0x24, 0, 0xf1, 0xff, 0xff}, 0x08},
    {3, {0x8f, 0x44, 0x24},                      0   }, /* pop [esp + ...] */
    {4, {0xff, 0x74, 0x24, 0},                   0x08}, /* push [esp + n] */
    {2, {0xeb, 0xfe},                            0   }, /* jmp $ */
    {2, {0xe2, 0},                               0x02}, /* loop */
    {2, {0xe3, 0},                               0x02}, /* jecxz */
    {2, {0xf3, 0xa5},                            0   }, /* rep movsd */
    {2, {0xf3, 0xaa},                            0   }, /* rep stosb */
    {2, {0xf2, 0xae},                            0   }, /* repne scasb */
    {2, {0xf3, 0xa6},                            0   }, /* repe cmpsb */
    {1, {0xfd},                                  0   }, /* std */
    {1, {0xfc},                                  0   }, /* cld */
    {1, {0xfb},                                  0   }, /* sti */
    {1, {0xfa},                                  0   }, /* cli */
    {1, {0x66},                                  0   }, /* prefixes */
    {1, {0x67},                                  0   },
    {1, {0xf0},                                  0   },
    {1, {0xf2},                                  0   },
    {1, {0xf3},                                  0   },
    {1, {0x64},                                  0   },
    {1, {0x2e},                                  0   },
    {6, {0xc6, 0x05, 0, 0, 1, 0},                0x0c}, /* mov byte [CODE + n], ... */
    {5, {0xa3, 0, 0, 1, 0},                      0x06}, /* mov [CODE + n], eax */
    {2, {0x89, 0x00},                            0x02}, /* mov rm, r */
    {2, {0xff, 0x00},                            0x02}, /* group 5 */
    {2, {0x94, 0x41},                            0   }, /* xchg eax, esp; inc ecx */
    {3, {0x0f, 0x22, 0xc0},                      0   }, /* mov cr0, eax */
    {3, {0x0f, 0x20, 0xc0},                      0   }, /* mov eax, cr0 */
    {3, {0x0f, 0x22, 0xd8},                      0   }, /* mov cr3, eax */
    {2, {0xcd, 0x80},                            0   }, /* int 80h */
    {5, {0xb8, 0, 0x10, 0, 0},                   0   }, /* mov eax, ROOT_A */
    {5, {0xb8, 0, 0x80, 0, 0},                   0   }, /* mov eax, ROOT_B */
    {3, {0x0f, 0x20, 0xe0},                      0   }, /* mov eax, cr4 */
    {3, {0x0f, 0x22, 0xe0},                      0   }, /* mov cr4, eax */
    {3, {0x0f, 0xae, 0x00},                      0   }, /* fxsave [eax] */
    {2, {0xdd, 0x30},                            0   }, /* fnsave [eax] */
    {3, {0x0f, 0xae, 0x08},                      0   }, /* fxrstor [eax] */
    {6, {0xc6, 0x05, 0, 0, 6, 0},                0x0c}, /* mov byte [ALIAS + n], ... */
    {3, {0xa5, 0xa4, 0xab},                      0   }, /* movsd, movsb, stosd */
    {3, {0xf0, 0x0f, 0xb1},                      0   }, /* lock cmpxchg */
    {2, {0x0f, 0xc7},                            0   }, /* cmpxchg8b */
    {3, {0xf3, 0x0f, 0x10},                      0   }, /* movss */
    {3, {0x66, 0x0f, 0xd6},                      0   }, /* movq */
    {3, {0x0f, 0x01, 0x38},                      0   }, /* invlpg [eax] */
    {2, {0x0f, 0x06},                            0   }, /* clts */
    {2, {0x8e, 0xe0},                            0   }, /* mov fs, ax */
    {1, {0x0f},                                  0   }, /* two-byte opcodes */
    {2, {0xd8, 0},                               0x03}, /* x87 and others */
    {3, {0x66, 0x0f, 0x6f},                      0   }, /* movdqa */
    {1, {0x90},                                  0   },
};

static void mixed(uint8_t *code, uint32_t len)
{
    uint32_t few = 1 + below(8);
    uint32_t pick[8];
    uint32_t at = 0;

    for (uint32_t i = 0; i < few; i++)
        pick[i] = below(ARRAY_COUNT(patterns));
    while (at + INSN_MAX_LEN <= len) {
        const struct pattern *p = &patterns[pick[below(few)]];

        if (below(4) == 0) {
            at += random_insn(code + at, len - at);
            continue;
        }
        for (unsigned i = 0; i < p->len; i++)
            code[at++] = p->random >> i & 1
                             ? (uint8_t)(p->bytes[i] ^ (rnd() & (i ? 255 : 15)))
                             : p->bytes[i];
    }
}

static void fill_code(uint8_t *to)
{
    static void (*const fill[])(uint8_t *, uint32_t) = {
        random_bytes, random_insns, mixed, mixed, mixed};

    for (uint32_t at = 0; at < CODE_LEN; at += PAGE_SIZE / 4)
        fill[below(ARRAY_COUNT(fill))](to + at, PAGE_SIZE / 4);
}

void drop_undefined(uint8_t *code, uint32_t len)
{
    for (uint32_t at = 0; at + 1 < len; at++)
        if (code[at] == 0x0f && (code[at + 1] & 0xf6) == 0xa4)
            code[at + 1] = 0x94;
}

void put_code(uint8_t *to)
{
    fill_code(to);
    drop_undefined(to, CODE_LEN);
}
