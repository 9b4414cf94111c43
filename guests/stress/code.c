/* SPDX-License-Identifier: MIT */
#include "code.h"

#include "lib/cpu.h"
#include "lib/lib.h"
#include "stress.h"

enum { OP_ADD, OP_SUB, OP_XOR, OP_MOV, OP_ROL, OP_NEG, OP_INC, OP_DEC, OPS };

static const struct {
    uint8_t opcode[2];
    uint8_t opcode_len;
    uint8_t operand_len;
} ops[OPS] = {
    [OP_ADD] = {{0x05},       1, 4},
      [OP_SUB] = {{0x2D},       1, 4},
    [OP_XOR] = {{0x35},       1, 4},
      [OP_MOV] = {{0xB8},       1, 4},
    [OP_ROL] = {{0xC1, 0xC0}, 2, 1},
      [OP_NEG] = {{0xF7, 0xD8}, 2, 0},
    [OP_INC] = {{0x40},       1, 0},
      [OP_DEC] = {{0x48},       1, 0},
};

static void put_op(struct code *code, struct code_op *op)
{
    uint8_t *p = code->bytes + op->at;

    memcpy(p, ops[op->kind].opcode, ops[op->kind].opcode_len);
    memcpy(p + ops[op->kind].opcode_len, &op->operand,
           ops[op->kind].operand_len);
}

static uint32_t random_operand(uint32_t kind)
{
    return kind == OP_ROL ? random_below(32) : random_u32();
}

void code_random(struct code *code, uint32_t limit)
{
    uint32_t at = 0;

    code->count = 1 + random_below(limit);
    for (uint32_t i = 0; i < code->count; i++) {
        struct code_op *op = &code->op[i];

        op->kind = (uint8_t)random_below(OPS);
        if (op->kind == OP_MOV && i) /* it would hide what comes before */
            op->kind = OP_XOR;
        op->len = ops[op->kind].opcode_len + ops[op->kind].operand_len;
        op->at = (uint8_t)at;
        op->operand = random_operand(op->kind);
        put_op(code, op);
        at += op->len;
    }
    code->bytes[at] = 0xC3;
    code->len = at + 1;
}

static uint32_t other_kind(uint32_t kind)
{
    switch (kind) {
    case OP_INC: return OP_DEC;
    case OP_DEC: return OP_INC;
    case OP_ADD: return OP_SUB;
    case OP_SUB: return OP_XOR;
    case OP_XOR: return OP_ADD;
    default: return kind;
    }
}

void code_change(struct code *code, uint32_t *at, uint32_t *len)
{
    struct code_op *op = &code->op[random_below(code->count)];
    uint8_t old[5];
    uint32_t first = 0;
    uint32_t end = op->len;

    memcpy(old, code->bytes + op->at, op->len);
    if (one_in(2))
        op->kind = (uint8_t)other_kind(op->kind);
    if (one_in(4))
        op->operand ^= op->kind == OP_ROL ? 1 : 0xFFu << 8 * random_below(4);
    else if (one_in(2))
        op->operand = random_operand(op->kind);
    put_op(code, op);
    if (one_in(2)) { /* only what differs */
        while (first < end && old[first] == code->bytes[op->at + first])
            first++;
        while (end > first && old[end - 1] == code->bytes[op->at + end - 1])
            end--;
    }
    *at = op->at + first;
    *len = end - first;
}

uint32_t code_value(const struct code *code, uint32_t eax)
{
    for (uint32_t i = 0; i < code->count; i++) {
        const struct code_op *op = &code->op[i];

        switch (op->kind) {
        case OP_ADD: eax += op->operand; break;
        case OP_SUB: eax -= op->operand; break;
        case OP_XOR: eax ^= op->operand; break;
        case OP_MOV: eax = op->operand; break;
        case OP_ROL:
            eax = eax << (op->operand & 31) | eax >> (-op->operand & 31);
            break;
        case OP_NEG: eax = -eax; break;
        case OP_INC: eax++; break;
        case OP_DEC: eax--; break;
        }
    }
    return eax;
}

uint32_t code_call(uint32_t va, uint32_t eax)
{
    __asm__ volatile("call %1"
                     : "+a"(eax)
                     : "r"(va)
                     : "ecx", "edx", "memory", "cc");
    return eax;
}

/* With ESP at the bytes themselves: interrupts are off, nothing pushes. */
static void store_by_push(uint32_t va, uint32_t value)
{
    __asm__ volatile("mov ecx, esp\n\t"
                     "lea esp, [%0 + 4]\n\t"
                     "push %1\n\t"
                     "mov esp, ecx"
                     :
                     : "r"(va), "r"(value)
                     : "ecx", "memory");
}

static void store_dword(uint32_t va, uint32_t value)
{
    switch (random_below(4)) {
    case 0: store_by_push(va, value); break;
    case 1:
        __asm__ volatile("xchg [%1], %0" : "+r"(value) : "r"(va) : "memory");
        break;
    case 2:
        __asm__ volatile("xor [%1], %0"
                         :
                         : "r"(value ^ *mem32(va)), "r"(va)
                         : "memory", "cc");
        break;
    default: *mem32(va) = value; break;
    }
}

static void store_string(uint32_t va, const uint8_t *bytes, uint32_t len)
{
    if (one_in(2)) {
        uint32_t from = (uint32_t)bytes + len - 1;
        uint32_t to = va + len - 1;

        __asm__ volatile("std\n\trep movsb\n\tcld"
                         : "+S"(from), "+D"(to), "+c"(len)
                         :
                         : "memory");
        return;
    }
    __asm__ volatile("rep movsb"
                     : "+S"(bytes), "+D"(va), "+c"(len)
                     :
                     : "memory");
}

void bytes_store(uint32_t va, const uint8_t *bytes, uint32_t len)
{
    uint32_t value;

    if (len && one_in(4)) {
        store_string(va, bytes, len);
        return;
    }
    for (; len >= 4 && !one_in(8); va += 4, bytes += 4, len -= 4) {
        memcpy(&value, bytes, 4);
        store_dword(va, value);
    }
    for (; len; va++, bytes++, len--) {
        if (one_in(4)) {
            uint8_t was = *bytes;

            __asm__ volatile("xchg [%1], %0" : "+q"(was) : "r"(va) : "memory");
        } else {
            *mem8(va) = *bytes;
        }
    }
}
