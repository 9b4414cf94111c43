/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

/*
 * The soft path: a memory operand that must not go through the window, because
 * its site trapped there, is looked up in the soft TLB (struct soft_tlb). Both
 * the first and the last byte have to lie in the page that the tag names. The
 * flags are the guest's throughout, hence SHRX, NOT and LEA for arithmetic and
 * JECXZ for the branch:
 *
 *      (r8d = linear address)
 *      mov   r11d, 12
 *      lea   r9d, [r8 + size - 1]
 *      shrx  r9d, r9d, r11d            page of the last byte
 *      shrx  r10d, r8d, r11d           page of the first byte
 *      not   r10d
 *      mov   r11, rcx
 *      movzx ecx, r9b
 *      mov   ecx, [r15 + rcx*4 + tags] -page, or SOFT_TLB_NONE
 *      lea   ecx, [rcx + r9*2]
 *      lea   ecx, [rcx + r10 + 1]      (last - tag page) + (last - first)
 *      jecxz 1f
 *      mov   rcx, r11
 *      (step: the interpreter runs it, the engine fills the slot)
 *  1:  mov   rcx, r11
 *      movzx r9d, r9b
 *      mov   r9, [r15 + r9*8 + addend]
 *      lea   r8, [r8 + r9]
 *      (the instruction, with [r8])
 *
 * The sum is zero only if both differences are: last - first is 0, 1 or, where
 * addresses wrap, -(2^20 - 1), and last - tag page is a multiple of 256,
 * because the slot is chosen by its low eight bits, or out of reach.
 */

/* clang-format off */
static const uint8_t probe[] = {
    0x41, 0xbb, 0x0c, 0, 0, 0,          /* mov r11d, 12 */
    0x45, 0x8d, 0x48, 0,                /* lea r9d, [r8 + size - 1] */
    0xc4, 0x42, 0x23, 0xf7, 0xc9,       /* shrx r9d, r9d, r11d */
    0xc4, 0x42, 0x23, 0xf7, 0xd0,       /* shrx r10d, r8d, r11d */
    0x41, 0xf7, 0xd2,                   /* not r10d */
    0x49, 0x89, 0xcb,                   /* mov r11, rcx */
    0x41, 0x0f, 0xb6, 0xc9,             /* movzx ecx, r9b */
};
#define PROBE_SIZE 9 /* offset of size - 1 */
static const uint8_t load_tag[] = {
    0x41, 0x8b, 0x8c, 0x8f,             /* mov ecx, [r15 + rcx*4 + disp32] */
};
static const uint8_t compare[] = {
    0x42, 0x8d, 0x0c, 0x49,             /* lea ecx, [rcx + r9*2] */
    0x42, 0x8d, 0x4c, 0x11, 0x01,       /* lea ecx, [rcx + r10 + 1] */
};
static const uint8_t restore_rcx[] = {
    0x4c, 0x89, 0xd9,                   /* mov rcx, r11 */
};
static const uint8_t load_addend[] = {
    0x45, 0x0f, 0xb6, 0xc9,             /* movzx r9d, r9b */
    0x4f, 0x8b, 0x8c, 0xcf,             /* mov r9, [r15 + r9*8 + disp32] */
};
static const uint8_t add_addend[] = {
    0x4f, 0x8d, 0x04, 0x08,             /* lea r8, [r8 + r9] */
};
/* clang-format on */

#define EMIT(e, code) emit_bytes(e, code, sizeof(code))

static const struct insn_operand *memory_operand(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MEM)
            return &in->operand[i];
    return NULL;
}

/* BT and kin with a register offset reach beyond their operand. */
static bool has_bit_offset(const struct insn *in)
{
    bool bit_test = in->op == OP_BT || in->op == OP_BTS || in->op == OP_BTR ||
                    in->op == OP_BTC;

    return bit_test && in->operand[1].kind == OPERAND_REG;
}

bool xlat_soft(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    const struct insn_operand *mem = memory_operand(in);
    bool user = x->mode & MODE_USER;
    int32_t tlb = x->config.layout.soft_tlb +
                  (user ? (int32_t)sizeof(struct soft_tlb) : 0);
    struct emit_insn how = {.use_base = true, .base = HOST_R8};
    struct emit *e = &x->e;
    struct ccf_exit *exit;
    uint32_t size_at = emit_offset(e);
    struct insn copied;
    uint32_t hit;

    if (!x->config.has_bmi2 || !mem || mem->size == 0 || !in->has_modrm ||
        has_bit_offset(in) || !xlat_is_copied(x, xi))
        return false;
    xlat_sync(x);
    if (user && (x->mode & MODE_COUNT))
        xlat_add(x, x->config.layout.user_memops_soft, 1);
    if (!xlat_address(x, xi))
        return false;
    size_at = emit_offset(e) + PROBE_SIZE;
    EMIT(e, probe);
    if (!e->overflow)
        e->start[size_at] = (uint8_t)(mem->size - 1);
    EMIT(e, load_tag);
    emit_u32(
        e, (uint32_t)(tlb + (int32_t)(mem->written
                                          ? offsetof(struct soft_tlb, write)
                                          : offsetof(struct soft_tlb, read))));
    EMIT(e, compare);
    hit = emit_jecxz(e);
    EMIT(e, restore_rcx);
    exit = xlat_emit_exit(x, EXIT_STEP, xlat_gip(x, xi));
    exit->soft_miss = true;
    exit->uses_fpu = xlat_uses_fpu(in);
    exit->uncounted = x->mode & MODE_COUNT ? xi->block_rest : 0;
    exit->resume_gip = xlat_next(x, xi);
    emit_patch8(e, hit);
    EMIT(e, restore_rcx);
    EMIT(e, load_addend);
    emit_u32(e, (uint32_t)(tlb + (int32_t)offsetof(struct soft_tlb, addend)));
    EMIT(e, add_addend);
    copied = *in;
    xlat_reencode(&copied);
    if (!emit_insn(e, &copied, &how)) {
        x->exit_count--;
        return false;
    }
    exit->resume_offset = emit_offset(e);
    return true;
}
