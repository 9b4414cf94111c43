/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

/*
 * The soft path: an operand that must not go through the window, because its
 * site trapped there or its address space has no window yet, is looked up in the
 * soft TLB (struct soft_tlb). CCFs call one of four common functions for that,
 * the probes:
 *
 *      (r8d = linear address)
 *      lea   r10d, [r8 + size - 1]
 *      call  probe
 *      (the access, with [r8])
 *
 *   probe:
 *      rorx  r9d, r8d, 12
 *      movzx r9d, r9b                  slot, of the first byte's page
 *      mov   r11, rcx
 *      mov   ecx, [r15 + r9*4 + tags]
 *      lea   ecx, [rcx + r10]          last byte's offset in the slot's page
 *      mov   r10d, 12
 *      shrx  ecx, ecx, r10d
 *      jecxz 1f
 *      mov   rcx, r11
 *      jmp   miss
 *  1:  mov   rcx, r11
 *      mov   r9, [r15 + r9*8 + addends]
 *      lea   r8, [r8 + r9]
 *      ret
 *
 * The flags are the guest's throughout, hence RORX, SHRX and LEA for arithmetic
 * and JECXZ for the branch. A host without BMI2 shifts through memory.
 *
 * Both the first and the last byte have to lie in the page that the tag names.
 * Address plus tag is the first byte's offset in that page, or 2^20 and more: the
 * slot is chosen by the eight bits below 2^20. Adding size - 1, at most 15, and
 * dropping twelve bits leaves 0 only where both are below 4096. An access that
 * wraps at 4 GiB begins in the last page and ends outside it: it misses.
 *
 * A miss stores the return address, from which the monitor finds the point of the
 * instruction; nothing of the guest's has changed, and the interpreter runs it.
 */

/* clang-format off */
static const uint8_t slot_bmi2[] = {
    0xc4, 0x43, 0x7b, 0xf0, 0xc8, 12,   /* rorx r9d, r8d, 12 */
    0x45, 0x0f, 0xb6, 0xc9,             /* movzx r9d, r9b */
};
static const uint8_t times_16[] = {
    0x46, 0x8d, 0x0c, 0xc5, 0, 0, 0, 0, /* lea r9d, [0 + r8*8] */
    0x46, 0x8d, 0x0c, 0x4d, 0, 0, 0, 0, /* lea r9d, [0 + r9*2] */
};
static const uint8_t load_tag[] = {
    0x43, 0x8b, 0x8c, 0x8f,             /* mov ecx, [r15 + r9*4 + disp32] */
};
static const uint8_t add_last[] = {
    0x42, 0x8d, 0x0c, 0x11,             /* lea ecx, [rcx + r10] */
};
static const uint8_t page_bmi2[] = {
    0x41, 0xba, 12, 0, 0, 0,            /* mov r10d, 12 */
    0xc4, 0xe2, 0x2b, 0xf7, 0xc9,       /* shrx ecx, ecx, r10d */
};
static const uint8_t rcx_times_16[] = {
    0x48, 0x8d, 0x0c, 0xcd, 0, 0, 0, 0, /* lea rcx, [0 + rcx*8] */
    0x48, 0x8d, 0x0c, 0x4d, 0, 0, 0, 0, /* lea rcx, [0 + rcx*2] */
};
static const uint8_t load_addend[] = {
    0x4f, 0x8b, 0x8c, 0xcf,             /* mov r9, [r15 + r9*8 + disp32] */
};
static const uint8_t add_addend[] = {
    0x4f, 0x8d, 0x04, 0x08,             /* lea r8, [r8 + r9] */
};
/* clang-format on */

#define EMIT(e, code) emit_bytes(e, code, sizeof(code))

/* r9d = bits 12-19 of r8d. Without BMI2, of r8d * 16 in memory: its third byte. */
static void emit_slot(struct emit *e, const struct xlat_config *config)
{
    int32_t scratch = config->layout.soft_pc;

    if (config->has_bmi2) {
        EMIT(e, slot_bmi2);
        return;
    }
    EMIT(e, times_16);
    emit_store_rd(e, HOST_VCPU, scratch, HOST_R9);
    emit_load8_rd(e, HOST_R9, HOST_VCPU, scratch + 2);
}

/* ecx >>= 12; r10 is lost. */
static void emit_page(struct emit *e, const struct xlat_config *config)
{
    int32_t scratch = config->layout.soft_pc;

    if (config->has_bmi2) {
        EMIT(e, page_bmi2);
        return;
    }
    EMIT(e, rcx_times_16);
    emit_store64_rd(e, HOST_VCPU, scratch, HOST_RCX);
    emit_load_rd(e, HOST_RCX, HOST_VCPU, scratch + 2);
}

void xlat_write_probe(struct emit *e, const struct xlat_config *config,
                      bool user, bool write, uint64_t miss)
{
    int32_t tlb =
        config->layout.soft_tlb + (user ? (int32_t)sizeof(struct soft_tlb) : 0);
    int32_t tags = (int32_t)(write ? offsetof(struct soft_tlb, write)
                                   : offsetof(struct soft_tlb, read));
    uint32_t hit;

    emit_slot(e, config);
    emit_mov64_rr(e, HOST_R11, HOST_RCX);
    EMIT(e, load_tag);
    emit_u32(e, (uint32_t)(tlb + tags));
    EMIT(e, add_last);
    emit_page(e, config);
    hit = emit_jecxz(e);
    emit_mov64_rr(e, HOST_RCX, HOST_R11);
    emit_jmp(e, miss);
    emit_patch8(e, hit);
    emit_mov64_rr(e, HOST_RCX, HOST_R11);
    EMIT(e, load_addend);
    emit_u32(e, (uint32_t)(tlb + (int32_t)offsetof(struct soft_tlb, addend)));
    EMIT(e, add_addend);
    emit_ret(e);
}

void xlat_probe(struct xlat *x, unsigned size, bool write)
{
    bool user = x->mode & MODE_USER;

    emit_lea_rd(&x->e, HOST_R10, HOST_R8, (int32_t)size - 1);
    emit_call(&x->e, x->config.glue.probe[user][write]);
}

/* ---- BT, BTS, BTR and BTC with a register offset ---- */

/* clang-format off */
static const uint8_t split32[] = {
    0x41, 0xba, 5, 0, 0, 0,             /* mov r10d, 5 */
    0xc4, 0x42, 0x2a, 0xf7, 0xd9,       /* sarx r11d, r9d, r10d */
    0x47, 0x8d, 0x04, 0x98,             /* lea r8d, [r8 + r11*4] */
    0xc4, 0x42, 0x29, 0xf7, 0xdb,       /* shlx r11d, r11d, r10d */
    0x41, 0xf7, 0xd3,                   /* not r11d */
    0x47, 0x8d, 0x4c, 0x19, 1,          /* lea r9d, [r9 + r11 + 1] */
};
static const uint8_t split16[] = {
    0x45, 0x0f, 0xbf, 0xc9,             /* movsx r9d, r9w */
    0x41, 0xba, 4, 0, 0, 0,             /* mov r10d, 4 */
    0xc4, 0x42, 0x2a, 0xf7, 0xd9,       /* sarx r11d, r9d, r10d */
    0x47, 0x8d, 0x04, 0x58,             /* lea r8d, [r8 + r11*2] */
    0xc4, 0x42, 0x29, 0xf7, 0xdb,       /* shlx r11d, r11d, r10d */
    0x41, 0xf7, 0xd3,                   /* not r11d */
    0x47, 0x8d, 0x4c, 0x19, 1,          /* lea r9d, [r9 + r11 + 1] */
};
/* clang-format on */

static const uint8_t gs_addr32[] = {0x65, 0x67};

/* Load a general register, ESP with the pending delta applied. */
static void load_register(struct xlat *x, enum host_reg dst, unsigned reg)
{
    if (reg == REG_ESP)
        emit_lea_rd(&x->e, dst, HOST_ESP, x->delta);
    else
        emit_mov_rr(&x->e, dst, host_of(reg));
}

/*
 * bts [ea], r  =>  lea r8d, [ea]; mov r9d, r; (split)
 *                  (hold r9; ref of r8; held r9)
 *                  bts [r8], r9
 * The bit's number divided by 32 or 16, towards minus infinity, is added to the
 * address in units of the operand (SDM 2A "BT", "Bit(BitBase, BitOffset)").
 */
bool xlat_soft_bit_test(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    struct emit *e = &x->e;
    struct xlat_operand operand = {.seg = in->mem.seg,
                                   .size = in->operand_size,
                                   .write = in->operand[0].written,
                                   .base = HOST_R8};
    struct xlat_ref ref;

    if (!x->config.has_bmi2)
        return false;
    xlat_lea(x, HOST_R8, in);
    load_register(x, HOST_R9, in->operand[1].index);
    if (in->operand_size == 4)
        EMIT(e, split32);
    else
        EMIT(e, split16);
    xlat_hold(x, HOST_R9);
    if (!xlat_ref(x, xi, &operand, &ref))
        return false;
    xlat_held(x, HOST_R9);
    if (ref.window)
        emit_bytes(e, gs_addr32, sizeof(gs_addr32));
    if (in->operand_size == 2)
        emit_u8(e, 0x66);
    if (in->lock)
        emit_u8(e, 0xf0);
    emit_u8(e, 0x45); /* REX.RB */
    emit_u8(e, 0x0f);
    emit_u8(e, in->opcode);
    emit_u8(e, 0x08); /* [r8], r9 */
    return true;
}

/* ---- Single string instructions ---- */

/* clang-format off */
static const uint8_t from_host_rsi[] = {
    0x49, 0xf7, 0xd0,                   /* not r8 */
    0x42, 0x8d, 0x74, 0x06, 1,          /* lea esi, [rsi + r8 + 1] */
    0x42, 0x8d, 0x34, 0x16,             /* lea esi, [rsi + r10] */
};
static const uint8_t from_host_rdi[] = {
    0x49, 0xf7, 0xd1,                   /* not r9 */
    0x42, 0x8d, 0x7c, 0x0f, 1,          /* lea edi, [rdi + r9 + 1] */
    0x42, 0x8d, 0x3c, 0x1f,             /* lea edi, [rdi + r11] */
};
/* clang-format on */

/*
 * movs  =>  lea r8d, [rsi]; (probe); (hold r8)
 *           lea r8d, [rdi]; (probe); mov r9, r8; (held r8)
 *           mov r10, rsi; mov rsi, r8
 *           mov r11, rdi; mov rdi, r9
 *           movs
 *           esi = rsi - r8 + r10
 *           edi = rdi - r9 + r11
 * What the host adds to its pointers, by DF, the guest's registers get. Repeated
 * forms are steps: the interpreter does them by the page.
 */
bool xlat_soft_string(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    struct emit *e = &x->e;
    unsigned form = in->opcode & 0xfe;
    bool source = form == 0xa4 || form == 0xa6 || form == 0xac;
    bool dest = form != 0xac;
    uint8_t size = in->opcode & 1 ? in->operand_size : 1;
    struct xlat_operand from = {
        .seg = in->mem.seg, .size = size, .base = HOST_RSI};
    struct xlat_operand to = {.seg = SEG_ES,
                              .size = size,
                              .base = HOST_RDI,
                              .write = form == 0xa4 || form == 0xaa};
    struct xlat_ref ref;

    if (in->rep != REP_NONE || (source && !xlat_ref(x, xi, &from, &ref)))
        return false;
    if (source && dest)
        xlat_hold(x, HOST_R8);
    if (dest && !xlat_ref(x, xi, &to, &ref))
        return false;
    if (dest)
        emit_mov64_rr(e, HOST_R9, HOST_R8);
    if (source && dest)
        xlat_held(x, HOST_R8);
    if (source) {
        emit_mov64_rr(e, HOST_R10, HOST_RSI);
        emit_mov64_rr(e, HOST_RSI, HOST_R8);
    }
    if (dest) {
        emit_mov64_rr(e, HOST_R11, HOST_RDI);
        emit_mov64_rr(e, HOST_RDI, HOST_R9);
    }
    if (size == 2)
        emit_u8(e, 0x66);
    emit_u8(e, in->opcode);
    if (source)
        EMIT(e, from_host_rsi);
    if (dest)
        EMIT(e, from_host_rdi);
    return true;
}
