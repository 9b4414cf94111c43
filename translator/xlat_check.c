/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "translator/xlat_priv.h"

/*
 * Code in a page that is stored to all the time. Its frame is not traced, so
 * nobody says when its bytes change. Instead, whoever enters the body of such a
 * CCF, by a chain or otherwise, compares the bytes it was made from with those
 * that are there, and nothing in it changes memory before the last instruction.
 */

/* What a handler's instructions may do: store, or anything at all. */
#define ENDS_jmp      false
#define ENDS_ret      false
#define ENDS_jcc      false
#define ENDS_loop     false
#define ENDS_copy     false
#define ENDS_x87      false
#define ENDS_sse      false
#define ENDS_mov      false
#define ENDS_lea      false
#define ENDS_pop      false
#define ENDS_leave    false
#define ENDS_nop      false
#define ENDS_cli      false
#define ENDS_sti      false
#define ENDS_rdtsc    false
#define ENDS_transfer true
#define ENDS_call     true
#define ENDS_fallback true
#define ENDS_push     true
#define ENDS_string   true
#define ENDS_pushf    true
#define ENDS_mov_seg  true

static const bool ends[OP_COUNT] = {
    [OP_INVALID] = true,
#define OP(mnemonic, feature, interp, handler, undefined_flags) \
    [OP_##mnemonic] = ENDS_##handler,
#include "translator/decode/insn_ops.def"
#undef OP
};

bool xlat_ends_checked(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MEM && in->operand[i].written)
            return true;
    return ends[in->op];
}

static void changed_unless_zero(struct xlat *x, uint32_t skip)
{
    ENSURE(x->changed_count < ARRAY_COUNT(x->changed));
    x->changed[x->changed_count++] = emit_jmp(&x->e, 0);
    emit_patch8(&x->e, skip);
}

/*
 * mov rcx, -expected
 * mov r10, [r11 + at]
 * lea rcx, [r10 + rcx]
 * jrcxz 1f
 * jmp changed
 * 1:
 */
static void compare8(struct xlat *x, uint32_t at, const uint8_t *bytes)
{
    uint64_t expected;

    memcpy(&expected, bytes + at, sizeof(expected));
    emit_mov64_ri(&x->e, HOST_RCX, 0 - expected);
    emit_load64_rd(&x->e, HOST_R10, HOST_R11, (int32_t)at);
    emit_lea64_rr(&x->e, HOST_RCX, HOST_R10, HOST_RCX);
    changed_unless_zero(x, emit_jrcxz(&x->e));
}

/*
 * mov r10d, [r11 + at]
 * lea ecx, [r10 - expected]
 * jecxz 1f
 * jmp changed
 * 1:
 */
static void compare4(struct xlat *x, uint32_t at, const uint8_t *bytes)
{
    uint32_t expected;

    memcpy(&expected, bytes + at, sizeof(expected));
    emit_load_rd(&x->e, HOST_R10, HOST_R11, (int32_t)at);
    emit_lea_rd(&x->e, HOST_RCX, HOST_R10, (int32_t)(0 - expected));
    changed_unless_zero(x, emit_jecxz(&x->e));
}

static void compare1(struct xlat *x, uint32_t at, const uint8_t *bytes)
{
    emit_load8_rd(&x->e, HOST_R10, HOST_R11, (int32_t)at);
    emit_lea_rd(&x->e, HOST_RCX, HOST_R10, -(int32_t)bytes[at]);
    changed_unless_zero(x, emit_jecxz(&x->e));
}

/*
 * mov r9, rcx
 * mov r11, address of the source in guest RAM
 * (comparisons; the last one overlaps the one before)
 * mov rcx, r9
 */
void xlat_emit_source_check(struct xlat *x)
{
    uint32_t start = x->gip & PAGE_MASK;
    uint32_t len = x->page_end - start;
    const uint8_t *bytes = x->page + start;
    uint32_t at = 0;

    emit_mov64_rr(&x->e, HOST_R9, HOST_RCX);
    emit_mov64_ri(&x->e, HOST_R11, (uint64_t)(uintptr_t)bytes);
    for (; at + 8 <= len; at += 8)
        compare8(x, at, bytes);
    if (at < len && len >= 8)
        compare8(x, len - 8, bytes);
    else if (at < len && len >= 4) {
        compare4(x, 0, bytes);
        compare4(x, len - 4, bytes);
    } else
        for (; at < len; at++)
            compare1(x, at, bytes);
    emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
}

/*
 * mov rcx, r9
 * mov r9, record; jmp exit
 */
void xlat_emit_source_exit(struct xlat *x)
{
    for (uint32_t i = 0; i < x->changed_count; i++)
        emit_patch32(&x->e, x->changed[i]);
    emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
    xlat_emit_exit(x, EXIT_CHANGED, x->gip);
}
