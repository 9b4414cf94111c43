/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <string.h>

/*
 * A program is a main part, functions it calls, and INT END_VECTOR at the end
 * of the main part. Each is a run of items; an item is a few instructions that
 * leave the invariants alone:
 *
 *   esi, edi, ebp point into the data pages, with 400h bytes of room on both
 *   sides; ecx is free unless a loop counts in it; esp is as it was before;
 *   DF is clear; the x87 stack is empty.
 */
enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };

#define FUNCTIONS 5
#define OPSIZE    0x66

struct gen {
    struct program *p;
    uint32_t function[FUNCTIONS]; /* offsets */
    unsigned functions;
    bool ecx_busy;
    unsigned pushed; /* dwords of this function on the stack */
    unsigned nesting;
};

uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 33);
}

static uint32_t pick(struct gen *g, uint32_t count)
{
    return random_next(&g->p->random) % count;
}

static void byte(struct gen *g, unsigned value)
{
    ENSURE(g->p->len < CODE_LEN);
    g->p->code[g->p->len++] = (uint8_t)value;
}

static void dword(struct gen *g, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        byte(g, value >> (8 * i) & 0xff);
}

static void bytes(struct gen *g, const char *code, size_t len)
{
    for (size_t i = 0; i < len; i++)
        byte(g, (uint8_t)code[i]);
}
#define BYTES(g, code) bytes(g, code, sizeof(code) - 1)

static uint32_t here(const struct gen *g)
{
    return CODE + g->p->len;
}

static void patch_dword(struct gen *g, uint32_t at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        g->p->code[at + i] = (uint8_t)(value >> (8 * i));
}

/* A register that may be written. */
static unsigned free_reg(struct gen *g)
{
    static const uint8_t regs[] = {EAX, EDX, EBX, ECX};

    return regs[pick(g, g->ecx_busy ? 3 : 4)];
}

/* A byte register that may be written: AL DL BL AH DH BH, CL CH. */
static unsigned free_reg8(struct gen *g)
{
    return free_reg(g) + (pick(g, 2) ? 4 : 0);
}

/* ---- Memory operands ---- */

struct ea {
    bool fs;
    uint8_t bytes[7]; /* ModRM with a zero reg field, SIB, displacement */
    unsigned len;
};

static void ea_disp(struct ea *ea, uint32_t disp, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        ea->bytes[ea->len++] = (uint8_t)(disp >> (8 * i));
}

static struct ea ea_make(unsigned modrm, int sib, uint32_t disp, unsigned len)
{
    struct ea ea = {.bytes = {(uint8_t)modrm}, .len = 1};

    if (sib >= 0)
        ea.bytes[ea.len++] = (uint8_t)sib;
    ea_disp(&ea, disp, len);
    return ea;
}

/* An address somewhere in the data pages, align a power of two. */
static uint32_t data_address(struct gen *g, uint32_t align)
{
    uint32_t at = pick(g, 8) ? pick(g, DATA_LEN - 0x40)
                             : PAGE_SIZE * (1 + pick(g, 3)) - 1 - pick(g, 3);

    return DATA + (at & ~(align - 1));
}

/* Choose an operand of the data pages or the stack. May emit an instruction
 * that bounds an index, and so changes the flags. */
static struct ea any_ea(struct gen *g)
{
    static const uint8_t base[] = {ESI, EDI, EBP};
    unsigned reg = base[pick(g, 3)];
    struct ea ea;

    switch (pick(g, 8)) {
    case 0: return ea_make(0x05, -1, data_address(g, 1), 4);
    case 1: return ea_make(0x40 | reg, -1, pick(g, 256), 1);
    case 2: return ea_make(0x80 | reg, -1, pick(g, 0x800) - 0x400, 4);
    case 3: /* 16 bytes that are pushed, or below the stack */
        if (g->pushed >= 4)
            return ea_make(0x44, 0x24, 4 * pick(g, g->pushed - 3), 1);
        return ea_make(0x44, 0x24, pick(g, 0x34) - 0x44, 1);
    case 4: /* and ebx, 7ch; [base + ebx*2 + disp8] */
        BYTES(g, "\x83\xe3\x7c");
        return ea_make(0x44, (int)(0x40 | EBX << 3 | reg), pick(g, 256), 1);
    case 5: /* and ebx, 3fch; [disp32 + ebx*4] */
        BYTES(g, "\x81\xe3\xfc\x03\x00\x00");
        return ea_make(0x04, 0x80 | EBX << 3 | 5, DATA + pick(g, 0x2800), 4);
    case 6: /* fs:[disp32] */
        ea = ea_make(0x05, -1, FS_OFFSET + pick(g, 0x1000), 4);
        ea.fs = true;
        return ea;
    default: /* and ebx, 7ch; fs:[ebx + disp32] */
        BYTES(g, "\x83\xe3\x7c");
        ea = ea_make(0x80 | EBX, -1, FS_OFFSET + pick(g, 0x1000), 4);
        ea.fs = true;
        return ea;
    }
}

static void put_ea(struct gen *g, const struct ea *ea, unsigned reg)
{
    byte(g, ea->bytes[0] | (reg & 7) << 3);
    for (unsigned i = 1; i < ea->len; i++)
        byte(g, ea->bytes[i]);
}

/* A segment other than the operand's own. */
static void override(struct gen *g)
{
    static const uint8_t data[] = {0x26, 0x36, 0x3e, 0x65}; /* ES SS DS GS */

    if (g->p->segments != SEGMENTS_FLAT && pick(g, 2))
        byte(g, data[pick(g, ARRAY_COUNT(data))]);
}

/* [seg:] [66] opcode (0Fxx as 0F in the high byte) ModRM */
static void op_mem(struct gen *g, unsigned prefix, unsigned opcode,
                   unsigned reg)
{
    struct ea ea = any_ea(g);

    if (ea.fs)
        byte(g, 0x64);
    else
        override(g);
    if (prefix)
        byte(g, prefix);
    if (opcode > 0xff)
        byte(g, opcode >> 8);
    byte(g, opcode & 0xff);
    put_ea(g, &ea, reg);
}

static void op_reg(struct gen *g, unsigned prefix, unsigned opcode,
                   unsigned reg, unsigned rm)
{
    if (prefix)
        byte(g, prefix);
    if (opcode > 0xff)
        byte(g, opcode >> 8);
    byte(g, opcode & 0xff);
    byte(g, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* cmp eax, edx: behind what leaves flags undefined, so that nothing of the
 * program depends on them. */
static void define_flags(struct gen *g)
{
    BYTES(g, "\x39\xd0");
}

static void mov_ri(struct gen *g, unsigned reg, uint32_t value)
{
    byte(g, 0xb8 | reg);
    dword(g, value);
}

/* ---- Items: integer ---- */

static void alu(struct gen *g)
{
    unsigned op = pick(g, 8) << 3;
    unsigned prefix = pick(g, 4) ? 0 : OPSIZE;

    switch (pick(g, 8)) {
    case 0: op_reg(g, prefix, op | 1, pick(g, 8), free_reg(g)); return;
    case 1: op_reg(g, prefix, op | 3, free_reg(g), pick(g, 8)); return;
    case 2: op_mem(g, prefix, op | 1, pick(g, 8)); return;
    case 3: op_mem(g, prefix, op | 3, free_reg(g)); return;
    case 4: op_mem(g, 0, op, pick(g, 8)); return;
    case 5: op_mem(g, 0, op | 2, free_reg8(g)); return;
    case 6:
        op_mem(g, prefix, 0x83, op >> 3);
        byte(g, pick(g, 256));
        return;
    default:
        op_reg(g, 0, 0x81, op >> 3, free_reg(g));
        dword(g, random_next(&g->p->random));
    }
}

/* mov r, cs:[disp32] */
static void load_through_cs(struct gen *g, unsigned reg)
{
    const struct ea ea = ea_make(0x05, -1, data_address(g, 1), 4);

    BYTES(g, "\x2e\x8b");
    put_ea(g, &ea, reg);
}

static void move(struct gen *g)
{
    unsigned prefix = pick(g, 4) ? 0 : OPSIZE;

    switch (pick(g, 10)) {
    case 0: op_mem(g, prefix, 0x89, pick(g, 8)); return;
    case 1: op_mem(g, prefix, 0x8b, free_reg(g)); return;
    case 9: load_through_cs(g, free_reg(g)); return;
    case 2: op_mem(g, 0, 0x88, pick(g, 8)); return;
    case 3: op_mem(g, 0, 0x8a, free_reg8(g)); return;
    case 4: mov_ri(g, free_reg(g), random_next(&g->p->random)); return;
    case 5: /* moffs */
        byte(g, 0xa0 | pick(g, 4));
        dword(g, data_address(g, 1));
        return;
    case 6: op_mem(g, prefix, 0x0fb6 | pick(g, 2) << 3, free_reg(g)); return;
    case 7: op_mem(g, 0, 0x8d, free_reg(g)); return;
    default: op_mem(g, 0, 0xc7, 0); dword(g, random_next(&g->p->random));
    }
}

static void unary(struct gen *g)
{
    switch (pick(g, 8)) {
    case 0: op_mem(g, 0, 0xff, pick(g, 2)); return;
    case 1: op_mem(g, pick(g, 2) ? OPSIZE : 0, 0xf7, 2 + pick(g, 2)); return;
    case 2: byte(g, 0x40 | pick(g, 2) << 3 | free_reg(g)); return;
    case 3: op_mem(g, 0, 0x0f90 | pick(g, 16), 0); return;
    case 4: op_mem(g, 0, 0x0f40 | pick(g, 16), free_reg(g)); return;
    case 5: byte(g, pick(g, 2) ? 0x99 : 0x98); return;
    case 6:
        byte(g, 0x0f);
        byte(g, 0xc8 | free_reg(g));
        return;
    default: op_reg(g, 0, 0x0f90 | pick(g, 16), 0, free_reg8(g));
    }
}

static void shift(struct gen *g)
{
    static const uint8_t kinds[] = {0, 1, 2, 3, 4, 5, 7};
    unsigned kind = kinds[pick(g, sizeof(kinds))];

    switch (pick(g, 4)) {
    case 0: op_mem(g, 0, 0xd1, kind); return;
    case 1:
        op_mem(g, 0, 0xc1, kind);
        byte(g, pick(g, 32));
        return;
    case 2: op_reg(g, 0, 0xd3, kind, free_reg(g)); return;
    default: /* shld/shrd [m], r, imm8 */
        op_mem(g, 0, pick(g, 2) ? 0x0fa4 : 0x0fac, pick(g, 8));
        byte(g, 1 + pick(g, 31));
    }
}

static void multiply(struct gen *g)
{
    switch (pick(g, 4)) {
    case 0: op_mem(g, 0, 0xf7, 4 + pick(g, 2)); return;
    case 1: op_mem(g, 0, 0x0faf, free_reg(g)); return;
    case 2:
        op_mem(g, 0, 0x6b, free_reg(g));
        byte(g, pick(g, 256));
        return;
    default: /* mov edx, 0; or ebx, 1; div ebx */
        mov_ri(g, EDX, 0);
        BYTES(g, "\x83\xcb\x01\xf7\xf3");
    }
}

static void atomic(struct gen *g)
{
    switch (pick(g, 6)) {
    case 0: op_mem(g, 0, 0x87, free_reg(g)); return;
    case 1: op_mem(g, 0xf0, 0x0fc1, free_reg(g)); return;
    case 2: op_mem(g, 0xf0, 0x0fb1, pick(g, 8)); return;
    case 3: op_mem(g, 0, 0x0fc7, 1); return;
    case 4: op_mem(g, 0xf0, 0x01 | pick(g, 7) << 3, pick(g, 8)); return;
    default: op_reg(g, 0, 0x87, free_reg(g), free_reg(g));
    }
}

/* and eax, 1fffh; bt* [m], eax: up to 1 KiB behind the operand. */
static void bits(struct gen *g)
{
    static const uint16_t form[] = {0x0fa3, 0x0fab, 0x0fb3, 0x0fbb};

    BYTES(g, "\x25\xff\x1f\x00\x00");
    if (pick(g, 2))
        byte(g, 0xf7), byte(g, 0xd8); /* neg eax */
    byte(g, form[pick(g, 4)] >> 8);
    byte(g, form[pick(g, 4)] & 0xff);
    byte(g, 0x05); /* [disp32], eax */
    dword(g, DATA + 0x400 + pick(g, DATA_LEN - 0x900));
}

static void flags(struct gen *g)
{
    switch (pick(g, 8)) {
    case 0: BYTES(g, "\x9c\x58"); return;       /* pushf; pop eax */
    case 1: BYTES(g, "\x9f\x9e"); return;       /* lahf; sahf */
    case 2: byte(g, 0xf8 | pick(g, 2)); return; /* clc, stc */
    case 3: byte(g, 0xf5); return;              /* cmc */
    case 4: byte(g, 0xfa); return;              /* cli */
    case 5: BYTES(g, "\x9c\x9d"); return;       /* pushf; popf */
    default:
        if (pick(g, 2)) { /* jcc 1f; sti; 1: */
            byte(g, 0x70 | pick(g, 16));
            byte(g, 1);
        }
        byte(g, 0xfb); /* sti, and then nop, cwde or pushf; pop eax */
        switch (pick(g, 3)) {
        case 0: byte(g, 0x90); return;
        case 1: byte(g, 0x98); return;
        default: BYTES(g, "\x9c\x58");
        }
    }
}

static void fallback(struct gen *g)
{
    switch (pick(g, 4)) {
    case 0: BYTES(g, "\xd4\x0a"); return; /* aam */
    case 1: BYTES(g, "\x60\x61"); return; /* pusha; popa */
    case 2:
        BYTES(g, "\x0f\xb6\xc0\x8d\x1d"), dword(g, DATA + 0x300), byte(g, 0xd7);
        return;                        /* movzx eax, al; ebx; xlat */
    default: BYTES(g, "\x9b"); return; /* fwait */
    }
}

/* ---- Items: x87 and SSE ---- */

static void x87(struct gen *g)
{
    static const uint16_t load[] = {0xd900, 0xdd00, 0xdb00, 0xdf00, 0xdf05};
    unsigned from = load[pick(g, 5)];

    op_mem(g, 0, from >> 8, from & 7);
    switch (pick(g, 4)) {
    case 0: op_mem(g, 0, 0xd8, pick(g, 8) & ~2u); break;
    case 1: op_mem(g, 0, 0xdc, pick(g, 8) & ~2u); break;
    case 2: BYTES(g, "\xd9\xe8\xde\xc1"); break; /* fld1; faddp */
    default: BYTES(g, "\xd9\xe0"); break;        /* fchs */
    }
    switch (pick(g, 4)) {
    case 0: op_mem(g, 0, 0xd9, 3); break;
    case 1: op_mem(g, 0, 0xdd, 3); break;
    case 2: op_mem(g, 0, 0xdb, 3); break;
    default: BYTES(g, "\xdf\xe0\xdd\xd8"); break; /* fnstsw ax; fstp st0 */
    }
}

static void sse(struct gen *g)
{
    unsigned xmm = pick(g, 8);

    switch (pick(g, 10)) {
    case 0: op_mem(g, 0, 0x0f10, xmm); return;
    case 1: op_mem(g, 0, 0x0f11, xmm); return;
    case 2: op_mem(g, 0xf3, 0x0f10, xmm); return;
    case 3: op_mem(g, 0xf2, 0x0f11, xmm); return;
    case 4: op_mem(g, 0xf2, 0x0f58 | pick(g, 2), xmm); return;
    case 5: op_mem(g, 0xf2, 0x0f2a, xmm); return;
    case 6: op_reg(g, OPSIZE, 0x0ffe, xmm, pick(g, 8)); return;
    case 7: op_reg(g, OPSIZE, 0x0f7e, xmm, free_reg(g)); return;
    case 8: op_mem(g, 0xf3, 0x0f2d, free_reg(g)); return;
    default: /* paddd xmm, aligned */
        BYTES(g, "\x66\x0f\xfe");
        byte(g, 0x05 | xmm << 3);
        dword(g, data_address(g, 16));
    }
}

/* ---- Items: strings ---- */

static void strings(struct gen *g)
{
    static const uint8_t form[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
    static const uint8_t reps[] = {0, 0xf2, 0xf3, 0xf3};
    unsigned rep = reps[pick(g, 4)];
    bool down = !pick(g, 4);
    bool keep = g->ecx_busy;

    if (keep)
        byte(g, 0x51); /* push ecx */
    mov_ri(g, ESI, DATA + 0x800 + pick(g, 0x2400));
    mov_ri(g, EDI, DATA + 0x800 + pick(g, 0x2400));
    mov_ri(g, ECX, pick(g, 8) ? pick(g, 40) : pick(g, 500));
    if (down)
        byte(g, 0xfd);
    if (!pick(g, 4))
        byte(g, OPSIZE);
    if (rep)
        byte(g, rep);
    byte(g, form[pick(g, sizeof(form))] | pick(g, 2));
    if (down)
        byte(g, 0xfc);
    mov_ri(g, ESI, DATA + 0x500 + pick(g, 0x2800));
    mov_ri(g, EDI, DATA + 0x500 + pick(g, 0x2800));
    if (keep)
        byte(g, 0x59);
}

/* ---- Items: stack and control ---- */

static void items(struct gen *g, unsigned count);

/* The address is that after the pop: do not hit the return address. */
static void pop_memory(struct gen *g)
{
    g->pushed--;
    op_mem(g, 0, 0x8f, 0);
    g->pushed++;
}

static void push_run(struct gen *g)
{
    unsigned count = 1 + pick(g, 8);

    for (unsigned i = 0; i < count; i++) {
        switch (pick(g, 4)) {
        case 0: byte(g, 0x50 | pick(g, 8)); break;
        case 1: byte(g, 0x6a), byte(g, pick(g, 256)); break;
        case 2: byte(g, 0x68), dword(g, random_next(&g->p->random)); break;
        default: op_mem(g, 0, 0xff, 6); break;
        }
        g->pushed++;
    }
    if (g->nesting < 3)
        items(g, 1 + pick(g, 2));
    for (unsigned i = 0; i < count; i++, g->pushed--) {
        switch (pick(g, 4)) {
        case 0:
        case 1: byte(g, 0x58 | free_reg(g)); break;
        case 2: pop_memory(g); break;
        default: BYTES(g, "\x8d\x64\x24\x04"); break; /* lea esp, [esp + 4] */
        }
    }
}

/* push ebp; mov ebp, esp; sub esp, 20h; mov [ebp - 8], r; ...; leave */
static void frame(struct gen *g)
{
    BYTES(g, "\x55\x89\xe5\x83\xec\x20\x89\x45\xf8\x8b\x55\x00\x01\x14\x24");
    if (pick(g, 2))
        BYTES(g, "\x8b\x5d\xf8\x83\x6c\x24\x08\x05");
    BYTES(g, "\xc9");
}

static void forward_jcc(struct gen *g)
{
    uint32_t at;

    if (pick(g, 4)) {
        byte(g, 0x0f);
        byte(g, 0x80 | pick(g, 16));
    } else {
        byte(g, 0xe9);
    }
    at = g->p->len;
    dword(g, 0);
    if (g->nesting < 3)
        items(g, 1 + pick(g, 3));
    patch_dword(g, at, g->p->len - (at + 4));
}

static void jecxz(struct gen *g)
{
    uint32_t at;

    if (g->ecx_busy) /* a loop must not be sent past 0 */
        return;
    byte(g, 0xe3);
    at = g->p->len;
    byte(g, 0);
    alu(g);
    g->p->code[at] = (uint8_t)(g->p->len - (at + 1));
}

static void counted_loop(struct gen *g)
{
    uint32_t start;

    if (g->ecx_busy || g->nesting >= 3)
        return;
    mov_ri(g, ECX, 2 + pick(g, 3));
    start = g->p->len;
    g->ecx_busy = true;
    items(g, 1 + pick(g, 3));
    g->ecx_busy = false;
    if (g->p->len - start < 100 && pick(g, 2)) {
        byte(g, 0xe2);
        byte(g, start - (g->p->len + 1));
    } else {
        byte(g, 0x49); /* dec ecx; jnz */
        byte(g, 0x0f);
        byte(g, 0x85);
        dword(g, start - (g->p->len + 4));
    }
}

/* mov eax, label; jmp eax, or through memory. */
static void indirect_jump(struct gen *g)
{
    uint32_t slot = data_address(g, 4);
    uint32_t at;

    if (pick(g, 2)) {
        byte(g, 0xb8);
        at = g->p->len;
        dword(g, 0);
        BYTES(g, "\xff\xe0");
    } else {
        BYTES(g, "\xc7\x05");
        dword(g, slot);
        at = g->p->len;
        dword(g, 0);
        BYTES(g, "\xff\x25");
        dword(g, slot);
    }
    for (unsigned i = pick(g, 4); i > 0; i--)
        byte(g, 0xcc);
    patch_dword(g, at, here(g));
}

static void call(struct gen *g)
{
    unsigned which;
    uint32_t target;
    uint32_t slot = data_address(g, 4);

    if (!g->functions || g->ecx_busy)
        return;
    which = pick(g, g->functions);
    target = CODE + g->function[which];
    byte(g, 0x51); /* the argument that RET 4 takes */
    switch (pick(g, 3)) {
    case 0:
        byte(g, 0xe8);
        dword(g, target - (here(g) + 4));
        return;
    case 1:
        mov_ri(g, EBX, target);
        BYTES(g, "\xff\xd3");
        return;
    default:
        BYTES(g, "\xc7\x05");
        dword(g, slot);
        dword(g, target);
        BYTES(g, "\xff\x15");
        dword(g, slot);
    }
}

static void shift_item(struct gen *g)
{
    shift(g);
    define_flags(g);
}

static void multiply_item(struct gen *g)
{
    multiply(g);
    define_flags(g);
}

static void bits_item(struct gen *g)
{
    bits(g);
    define_flags(g);
}

typedef void item_fn(struct gen *g);

static void item(struct gen *g)
{
    static item_fn *const item[] = {
        alu,         alu,         alu,        move,          move,
        move,        unary,       shift_item, multiply_item, atomic,
        bits_item,   flags,       fallback,   x87,           sse,
        sse,         strings,     push_run,   push_run,      frame,
        forward_jcc, forward_jcc, jecxz,      counted_loop,  indirect_jump,
        call,        call};

    item[pick(g, sizeof(item) / sizeof(item[0]))](g);
}

static void items(struct gen *g, unsigned count)
{
    g->nesting++;
    for (unsigned i = 0; i < count; i++)
        item(g);
    g->nesting--;
}

static void pointers(struct gen *g)
{
    mov_ri(g, ESI, DATA + 0x400 + pick(g, 0x3000));
    mov_ri(g, EDI, DATA + 0x400 + pick(g, 0x3000));
    mov_ri(g, EBP, DATA + 0x400 + pick(g, 0x3000));
}

void program_generate(struct program *p, uint64_t seed,
                      enum program_segments segments)
{
    struct gen g = {.p = p};
    uint32_t main_at;

    memset(p, 0, sizeof(*p));
    p->segments = segments;
    p->random = seed * 0x9e3779b97f4a7c15ull + 1;
    byte(&g, 0xe9);
    dword(&g, 0);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        uint32_t start = p->len;

        items(&g, 1 + pick(&g, 3));
        BYTES(&g, "\xc2\x04\x00");
        g.function[g.functions++] = start;
        if (i == 2 && p->len < PAGE_SIZE - 64 &&
            pick(&g, 2)) /* the rest is in another page */
            p->len = PAGE_SIZE - pick(&g, 24);
    }
    main_at = p->len;
    patch_dword(&g, 1, main_at - 5);
    pointers(&g);
    items(&g, 24);
    byte(&g, 0xcd);
    byte(&g, END_VECTOR);
}
