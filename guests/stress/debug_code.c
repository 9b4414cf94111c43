/* SPDX-License-Identifier: MIT */
#include "debug_code.h"

#include "lib/cpu.h"
#include "lib/lib.h"
#include "stress.h"

/*
 * Random programs for the model of debug exceptions, and breakpoints that they may
 * meet.
 */
enum { WINDOW = 24 };

struct program *put_in;
uint32_t put_esp;

/* ---- Instructions ---- */

struct op *put_bytes(enum op_kind kind, const char *bytes, uint32_t len)
{
    struct op *op = &put_in->op[put_in->ops++];

    *op = (struct op){.kind = (uint8_t)kind,
                      .len = (uint8_t)len,
                      .at = (uint16_t)put_in->len,
                      .goes = (uint16_t)put_in->ops};
    memcpy(put_in->bytes + put_in->len, bytes, len);
    put_in->len += len;
    return op;
}

void put_u32(uint32_t value)
{
    memcpy(put_in->bytes + put_in->len, &value, sizeof(value));
    put_in->len += sizeof(value);
    put_in->op[put_in->ops - 1].len += sizeof(value);
}

void put_touch(struct op *op, enum touch_base base, uint32_t at, uint32_t size,
               bool write)
{
    op->touch[op->touches++] = (struct touch){
        .at = at, .base = (uint8_t)base, .size = (uint8_t)size, .write = write};
}

void put_pushes(struct op *op, uint32_t size)
{
    put_esp -= size;
    op->esp = (int8_t)(0 - size);
    put_touch(op, AT_STACK, put_esp, size, true);
}

void put_pops(struct op *op, uint32_t size)
{
    put_touch(op, AT_STACK, put_esp, size, false);
    op->esp = (int8_t)size;
    put_esp += size;
}

void put_mov(uint8_t reg, uint32_t value)
{
    char opcode = (char)(0xB8 + reg);

    put_bytes(OP_PLAIN, &opcode, 1);
    put_u32(value);
}

uint32_t put_here(void)
{
    return put_in->at + put_in->len;
}

uint32_t put_depth(void)
{
    return put_in->esp - put_esp;
}

bool put_may_touch_if(void)
{
    return !put_in->user || (put_in->flags & EF_IOPL) == EF_IOPL;
}

uint32_t put_address(uint32_t size)
{
    uint32_t offset = size < WINDOW
                          ? PAGE - WINDOW / 2 + random_below(WINDOW - size)
                          : PAGE - random_below(size);

    if (one_in(10))
        return DEBUG_DEMAND + random_below(DEMAND_PAGES) * PAGE +
               random_below(8);
    return (one_in(6) ? DEBUG_ALIAS : DEBUG_DATA) + offset;
}

/* ---- Whole programs ---- */

void debug_program(struct program *p)
{
    static void (*const parts[])(void) = {
        part_pushes, part_pops,      part_call,     part_return,   part_frame,
        part_jump,   part_accesses,  part_accesses, part_accesses, part_string,
        part_string, part_interrupt, part_fault,    part_flags,    part_if,
        part_ss,     part_lss,       part_port,     part_dr7,
    };

    put_in = p;
    p->ops = 0;
    p->len = 0;
    put_esp = p->esp;
    for (uint32_t n = 4 + random_below(24); n && p->ops < OPS_MAX - 24; n--) {
        parts[random_below(sizeof(parts) / sizeof(parts[0]))]();
        if (one_in(4))
            PUT(OP_PLAIN, "\x90");
    }
    PUT(OP_SOFT, "\xCD\x80")->vector = VECTOR_EXIT;
}

/* A LEN other than 0 for execution is undefined, as is LEN 2. QEMU's breakpoints
 * do not obey RF in a REP and the shadow of MOV SS, stop in the middle of PUSHAD,
 * take a port for one byte, do not align the address and forget one of two that
 * are met at once: its programs do without (debug_hot.c has
 * some). */
uint32_t debug_random_dr7(void)
{
    static const uint8_t lengths[] = {0, 1, 3};
    uint32_t dr7 = DR7_ONES | (random_below(4) << 8);

    for (uint32_t n = 0; n < 4; n++) {
        uint32_t type = random_below(4);
        uint32_t len = type == BREAK_EXECUTE ? 0 : lengths[random_below(3)];

        dr7 |= (len << 2 | type) << (16 + 4 * n);
        if (!on_tcg && !one_in(4))
            dr7 |= (1 + random_below(3)) << (2 * n);
    }
    return dr7;
}

/* What the program touches somewhere; 0 when this one touches nothing. */
static uint32_t random_touch(const struct program *p, enum touch_base base)
{
    const struct op *op = &p->op[random_below(p->ops)];
    const struct touch *touch;

    if (!op->touches)
        return 0;
    touch = &op->touch[random_below(op->touches)];
    if ((touch->base == AT_PORT) != (base == AT_PORT))
        return 0;
    /* Ring 0's stack is the handlers', too. */
    if (touch->base == AT_STACK && !p->user)
        return 0;
    if (op->kind == OP_STRING && op->count)
        return touch->at + (touch->base == AT_ADDRESS
                                ? random_below(op->count) * touch->size
                                : 0);
    return touch->at + random_below(touch->size);
}

static uint32_t random_breakpoint(const struct program *p, uint32_t type)
{
    const struct op *op = &p->op[random_below(p->ops)];
    uint32_t at = 0;

    if (type == BREAK_EXECUTE)
        return p->at + op->at + (op->len > 1 && one_in(8));
    for (uint32_t i = 0; i < 40 && !at; i++)
        at = random_touch(p, type == BREAK_IO ? AT_PORT : AT_ADDRESS);
    if (!at)
        return type == BREAK_IO ? DEBUG_PORT : DEBUG_DATA;
    return at;
}

void debug_random_regs(const struct program *p, struct debug_regs *regs)
{
    regs->dr7 = debug_random_dr7();
    for (uint32_t n = 0; n < 4; n++)
        regs->dr[n] = random_breakpoint(p, regs->dr7 >> (16 + 4 * n) & 3);
}
