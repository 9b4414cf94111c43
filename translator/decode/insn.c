/* SPDX-License-Identifier: MIT */
#include "translator/decode/insn.h"

#include <string.h>

#include <Zydis/Decoder.h>
#include <Zydis/Mnemonic.h>

#include "monitor/vcpu.h"

/*
 * The plan of one decode:
 *
 *   1. Zydis finds the instruction definition and the raw layout;
 *   2. its mnemonic becomes our op; what insn_ops.def or the guest's features
 *      lack ends here, as does every VEX, EVEX, XOP and 3DNow! encoding;
 *   3. layout: where each part of the encoding is;
 *   4. Zydis decodes the operands and they are copied into our smaller form;
 *   5. flags: which bits are read, written, left undefined, perhaps kept.
 */

/*
 * All decoder modes are off: the reserved-NOP encodings that MPX, CET and
 * CLDEMOTE took over are NOPs, and F3 0F BC/BD are BSF and BSR as on every CPU
 * without BMI1 and LZCNT (SDM 2A "BSF": the prefix is ignored).
 */
static const ZydisDecoder decoder32 = {
    .machine_mode = ZYDIS_MACHINE_MODE_LEGACY_32,
    .stack_width = ZYDIS_STACK_WIDTH_32,
};
static const ZydisDecoder decoder16 = {
    .machine_mode = ZYDIS_MACHINE_MODE_LEGACY_16,
    .stack_width = ZYDIS_STACK_WIDTH_16,
};

/* The split names of insn_ops.def, as mnemonics that Zydis does not use. */
enum {
    ZYDIS_MNEMONIC_MOVSD_XMM = ZYDIS_MNEMONIC_MAX_VALUE + 1,
    ZYDIS_MNEMONIC_CMPSD_XMM,
    ZYDIS_MNEMONIC_CALL_FAR,
    ZYDIS_MNEMONIC_JMP_FAR,
    ZYDIS_MNEMONIC_RET_FAR,
    ZYDIS_MNEMONIC_MOV_SEG,
    ZYDIS_MNEMONIC_MOV_CR,
    ZYDIS_MNEMONIC_MOV_DR,
    MNEMONIC_COUNT
};

static const uint16_t op_of_mnemonic[MNEMONIC_COUNT] = {
#define OP(mnemonic, feature, interp, xlat, undefined_flags) \
    [ZYDIS_MNEMONIC_##mnemonic] = OP_##mnemonic,
#include "translator/decode/insn_ops.def"
#undef OP
};

/* What stands in for a mnemonic without a row. The x87 ones are encodings that
 * the 8087 and 80287 defined and all later units take as the plain form. */
static const struct {
    uint16_t mnemonic;
    uint16_t stand_in;
} stand_ins[] = {
    {ZYDIS_MNEMONIC_MOVSD_XMM,     ZYDIS_MNEMONIC_MOVSD},
    {ZYDIS_MNEMONIC_CMPSD_XMM,     ZYDIS_MNEMONIC_CMPSD},
    {ZYDIS_MNEMONIC_CALL_FAR,      ZYDIS_MNEMONIC_CALL },
    {ZYDIS_MNEMONIC_JMP_FAR,       ZYDIS_MNEMONIC_JMP  },
    {ZYDIS_MNEMONIC_RET_FAR,       ZYDIS_MNEMONIC_RET  },
    {ZYDIS_MNEMONIC_MOV_SEG,       ZYDIS_MNEMONIC_MOV  },
    {ZYDIS_MNEMONIC_MOV_CR,        ZYDIS_MNEMONIC_MOV  },
    {ZYDIS_MNEMONIC_MOV_DR,        ZYDIS_MNEMONIC_MOV  },
    {ZYDIS_MNEMONIC_FSTPNCE,       ZYDIS_MNEMONIC_FSTP },
    {ZYDIS_MNEMONIC_FENI8087_NOP,  ZYDIS_MNEMONIC_FNOP },
    {ZYDIS_MNEMONIC_FDISI8087_NOP, ZYDIS_MNEMONIC_FNOP },
    {ZYDIS_MNEMONIC_FSETPM287_NOP, ZYDIS_MNEMONIC_FNOP },
};

static const struct {
    uint8_t feature;
    uint16_t mnemonic;
    uint32_t undefined_flags;
} op_info[OP_COUNT] = {
#define OP(mnemonic, feature, interp, xlat, undefined_flags) \
    [OP_##mnemonic] = {feature, ZYDIS_MNEMONIC_##mnemonic, undefined_flags},
#include "translator/decode/insn_ops.def"
#undef OP
};

/* The feature an encoding needs beyond its mnemonic's: PADDB is MMX, its XMM
 * form SSE2. What is absent needs FEAT_BASE. */
static const uint8_t feature_of_isa_set[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
    [ZYDIS_ISA_SET_CMOV] = FEAT_CMOV,
    [ZYDIS_ISA_SET_FCMOV] = FEAT_CMOV,
    [ZYDIS_ISA_SET_X87] = FEAT_X87,
    [ZYDIS_ISA_SET_PENTIUMMMX] = FEAT_MMX,
    [ZYDIS_ISA_SET_FXSAVE] = FEAT_FXSR,
    [ZYDIS_ISA_SET_SSE] = FEAT_SSE,
    [ZYDIS_ISA_SET_SSEMXCSR] = FEAT_SSE,
    [ZYDIS_ISA_SET_SSE_PREFETCH] = FEAT_SSE,
    [ZYDIS_ISA_SET_SSE2] = FEAT_SSE2,
    [ZYDIS_ISA_SET_SSE2MMX] = FEAT_SSE2,
    [ZYDIS_ISA_SET_SSE3] = FEAT_SSE3,
    [ZYDIS_ISA_SET_SSE3X87] = FEAT_SSE3,
    [ZYDIS_ISA_SET_SSSE3] = FEAT_SSSE3,
    [ZYDIS_ISA_SET_SSSE3MMX] = FEAT_SSSE3,
    [ZYDIS_ISA_SET_SSE4] = FEAT_SSE41,
    [ZYDIS_ISA_SET_SSE42] = FEAT_SSE42,
    [ZYDIS_ISA_SET_POPCNT] = FEAT_POPCNT,
    [ZYDIS_ISA_SET_CLFSH] = FEAT_CLFLUSH,
    [ZYDIS_ISA_SET_MOVBE] = FEAT_MOVBE,
};

/* clang-format off */
#define EIGHT(first, kind, size) \
    [(first) + 0] = {kind, 0, size}, [(first) + 1] = {kind, 1, size}, \
    [(first) + 2] = {kind, 2, size}, [(first) + 3] = {kind, 3, size}, \
    [(first) + 4] = {kind, 4, size}, [(first) + 5] = {kind, 5, size}, \
    [(first) + 6] = {kind, 6, size}, [(first) + 7] = {kind, 7, size}

/* Zydis numbers AL..BH, ES..GS and the rest in the order of their encoding. A
 * register that is absent (EFLAGS, EIP, GDTR, ...) is OPERAND_NONE. */
static const struct {
    uint8_t kind;
    uint8_t index;
    uint8_t size;
} registers[ZYDIS_REGISTER_MAX_VALUE + 1] = {
    EIGHT(ZYDIS_REGISTER_AL, OPERAND_REG, 1),
    EIGHT(ZYDIS_REGISTER_AX, OPERAND_REG, 2),
    EIGHT(ZYDIS_REGISTER_EAX, OPERAND_REG, 4),
    EIGHT(ZYDIS_REGISTER_ST0, OPERAND_ST, 10),
    EIGHT(ZYDIS_REGISTER_MM0, OPERAND_MM, 8),
    EIGHT(ZYDIS_REGISTER_XMM0, OPERAND_XMM, 16),
    EIGHT(ZYDIS_REGISTER_CR0, OPERAND_CR, 4),
    EIGHT(ZYDIS_REGISTER_DR0, OPERAND_DR, 4),
    [ZYDIS_REGISTER_ES] = {OPERAND_SEG, SEG_ES, 2},
    [ZYDIS_REGISTER_CS] = {OPERAND_SEG, SEG_CS, 2},
    [ZYDIS_REGISTER_SS] = {OPERAND_SEG, SEG_SS, 2},
    [ZYDIS_REGISTER_DS] = {OPERAND_SEG, SEG_DS, 2},
    [ZYDIS_REGISTER_FS] = {OPERAND_SEG, SEG_FS, 2},
    [ZYDIS_REGISTER_GS] = {OPERAND_SEG, SEG_GS, 2},
};
/* clang-format on */

/* One instruction on its way from Zydis' form to ours. */
struct decoding {
    const ZydisDecoder *decoder;
    ZydisDecoderContext context;
    ZydisDecodedInstruction zydis;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    bool code32;
};

static bool is_legacy_prefix(uint8_t byte)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf0, 0xf2, 0xf3};

    return memchr(prefixes, byte, sizeof(prefixes)) != NULL;
}

/* The byte behind the prefixes is one of LES, LDS, BOUND and POP, or of a VEX, EVEX
 * or XOP encoding: the one behind it decides. Its offset plus one; 0: there is none. */
static size_t deciding_len(const uint8_t *bytes, size_t len)
{
    size_t at = 0;

    while (at < len && is_legacy_prefix(bytes[at]))
        at++;
    if (at + 2 > len)
        return 0;
    switch (bytes[at]) {
    case 0x62:
    case 0xc4:
    case 0xc5:
    case 0x8f: return at + 2;
    default: return 0;
    }
}

/* Are the bytes the start of a VEX, EVEX or XOP encoding? Without AVX its first
 * two bytes already raise #UD (LES, LDS and BOUND take no register operand and
 * POP has only /0), so that no more bytes may be asked for. */
static bool starts_unknown_encoding(const uint8_t *bytes, size_t len)
{
    size_t end = deciding_len(bytes, len);

    if (end == 0)
        return false;
    if (bytes[end - 2] == 0x8f)
        return (bytes[end - 1] & 0x38) != 0;
    return bytes[end - 1] >= 0xc0;
}

static enum insn_status undefined(struct insn *in, const uint8_t *bytes,
                                  size_t len)
{
    if (len > INSN_MAX_LEN)
        len = INSN_MAX_LEN;
    memset(in, 0, sizeof(*in));
    memcpy(in->bytes, bytes, len);
    in->len = (uint8_t)len;
    in->op = OP_INVALID;
    return INSN_UD;
}

/* Zydis did not take the bytes: say why. */
static enum insn_status refuse(struct insn *in, ZyanStatus status,
                               unsigned looked_at, const uint8_t *bytes,
                               size_t len)
{
    size_t used = looked_at < len ? looked_at : len;
    size_t decided = deciding_len(bytes, len);

    if (used == 0 && len > 0)
        used = 1;
    /* Zydis does not count a byte that it peeks at. */
    if (used < decided)
        used = decided;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) {
        undefined(in, bytes, len);
        return INSN_TOO_LONG;
    }
    if (status == ZYDIS_STATUS_NO_MORE_DATA &&
        !starts_unknown_encoding(bytes, len))
        return INSN_SHORT;
    return undefined(in, bytes, used);
}

/* The mnemonic with the split names of insn_ops.def applied. */
static unsigned split_mnemonic(const ZydisDecodedInstruction *zydis)
{
    bool is_far = zydis->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
    bool is_0f = zydis->opcode_map == ZYDIS_OPCODE_MAP_0F;

    switch (zydis->mnemonic) {
    case ZYDIS_MNEMONIC_MOVSD:
        return is_0f ? ZYDIS_MNEMONIC_MOVSD_XMM : ZYDIS_MNEMONIC_MOVSD;
    case ZYDIS_MNEMONIC_CMPSD:
        return is_0f ? ZYDIS_MNEMONIC_CMPSD_XMM : ZYDIS_MNEMONIC_CMPSD;
    case ZYDIS_MNEMONIC_CALL:
        return is_far ? ZYDIS_MNEMONIC_CALL_FAR : ZYDIS_MNEMONIC_CALL;
    case ZYDIS_MNEMONIC_JMP:
        return is_far ? ZYDIS_MNEMONIC_JMP_FAR : ZYDIS_MNEMONIC_JMP;
    case ZYDIS_MNEMONIC_RET:
        return is_far ? ZYDIS_MNEMONIC_RET_FAR : ZYDIS_MNEMONIC_RET;
    case ZYDIS_MNEMONIC_MOV:
        if (is_0f)
            return zydis->opcode & 1 ? ZYDIS_MNEMONIC_MOV_DR
                                     : ZYDIS_MNEMONIC_MOV_CR;
        if (zydis->opcode == 0x8c || zydis->opcode == 0x8e)
            return ZYDIS_MNEMONIC_MOV_SEG;
        return ZYDIS_MNEMONIC_MOV;
    default: return zydis->mnemonic;
    }
}

static uint16_t op_of(unsigned mnemonic)
{
    if (LIKELY(op_of_mnemonic[mnemonic] != OP_INVALID))
        return op_of_mnemonic[mnemonic];
    for (size_t i = 0; i < ARRAY_COUNT(stand_ins); i++)
        if (stand_ins[i].mnemonic == mnemonic)
            return op_of_mnemonic[stand_ins[i].stand_in];
    return OP_INVALID;
}

/* 0F 0D with a register: no prefetch, and no documented NOP (APM 3
 * "PREFETCHlevel": #UD). */
static bool is_register_prefetch(const ZydisDecodedInstruction *zydis)
{
    return zydis->meta.isa_set == ZYDIS_ISA_SET_PREFETCH_NOP &&
           zydis->mnemonic == ZYDIS_MNEMONIC_NOP;
}

/* OP_INVALID where the table or the guest's features have no such thing. */
static uint16_t find_op(const ZydisDecodedInstruction *zydis, uint32_t features)
{
    uint16_t op;
    uint32_t needed;

    if (zydis->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
        is_register_prefetch(zydis))
        return OP_INVALID;
    op = op_of(split_mnemonic(zydis));
    needed =
        BIT(op_info[op].feature) | BIT(feature_of_isa_set[zydis->meta.isa_set]);
    return (needed & ~features) == 0 ? op : OP_INVALID;
}

static uint8_t map_number(ZydisOpcodeMap map)
{
    switch (map) {
    case ZYDIS_OPCODE_MAP_0F: return 1;
    case ZYDIS_OPCODE_MAP_0F38: return 2;
    case ZYDIS_OPCODE_MAP_0F3A: return 3;
    default: return 0;
    }
}

static void set_prefixes(struct insn *in, const struct decoding *d)
{
    const ZydisDecodedInstruction *zydis = &d->zydis;
    uint8_t repeat = 0;
    bool has_66 = false;

    in->prefix_len = zydis->raw.prefix_count;
    for (unsigned i = 0; i < in->prefix_len; i++) {
        uint8_t prefix = zydis->raw.prefixes[i].value;

        if (zydis->raw.prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY)
            in->mandatory = prefix;
        if (prefix == 0xf2 || prefix == 0xf3)
            repeat = prefix; /* the last one counts */
        has_66 |= prefix == 0x66;
    }
    in->lock = (zydis->attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
    in->seg_override = (zydis->attributes & ZYDIS_ATTRIB_HAS_SEGMENT) != 0;
    in->address_size = zydis->address_width / 8;
    if (zydis->operand_width == 16 || zydis->operand_width == 32)
        in->operand_size = zydis->operand_width / 8;
    else
        in->operand_size = d->code32 != has_66 ? 4 : 2;

    if (repeat == 0)
        return;
    if (zydis->attributes & ZYDIS_ATTRIB_ACCEPTS_REP)
        in->rep = REP_REPE;
    else if (zydis->attributes & ZYDIS_ATTRIB_ACCEPTS_REPE)
        in->rep = repeat == 0xf2 ? REP_REPNE : REP_REPE;
}

static void set_condition(struct insn *in)
{
    uint8_t row = in->opcode & 0xf0;

    if ((in->map == 0 && row == 0x70) ||
        (in->map == 1 && (row == 0x40 || row == 0x80 || row == 0x90)))
        in->cc = in->opcode & 0xf;
}

static void set_layout(struct insn *in, const struct decoding *d,
                       const uint8_t *bytes)
{
    const ZydisDecodedInstruction *zydis = &d->zydis;

    in->len = zydis->length;
    memcpy(in->bytes, bytes, in->len);
    in->map = map_number(zydis->opcode_map);
    in->opcode = zydis->opcode;
    set_condition(in);
    set_prefixes(in, d);
    if (zydis->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
        in->has_modrm = true;
        in->modrm = bytes[zydis->raw.modrm.offset];
    }
    if (zydis->attributes & ZYDIS_ATTRIB_HAS_SIB) {
        in->has_sib = true;
        in->sib = bytes[zydis->raw.sib.offset];
    }
    in->disp_len = zydis->raw.disp.size / 8;
    in->disp_offset = zydis->raw.disp.offset;
    in->imm_len =
        (uint8_t)((zydis->raw.imm[0].size + zydis->raw.imm[1].size) / 8);
    in->imm_offset = zydis->raw.imm[0].offset;
}

static uint8_t mem_reg(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE ? INSN_NO_REG : registers[reg].index;
}

static void set_mem(struct insn *in, const ZydisDecodedOperandMem *mem)
{
    in->has_mem = true;
    in->mem.seg = registers[mem->segment].index;
    in->mem.base = mem_reg(mem->base);
    in->mem.index = mem_reg(mem->index);
    in->mem.scale = in->mem.index == INSN_NO_REG ? 1 : mem->scale;
    in->mem.disp = (int32_t)mem->disp.value;
}

/* Is this hidden memory operand one that struct insn_mem promises? The stack
 * operands are not, nor is the ES:eDI side where there is a DS:eSI one. */
static bool is_implied_mem(const struct decoding *d,
                           const ZydisDecodedOperand *operand)
{
    switch (d->zydis.meta.category) {
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_IOSTRINGOP:
        for (unsigned i = 0; i < d->zydis.operand_count; i++) {
            const ZydisDecodedOperand *other = &d->operands[i];

            if (other != operand && other->type == ZYDIS_OPERAND_TYPE_MEMORY)
                return registers[operand->mem.base].index == REG_ESI;
        }
        return true;
    default:
        return d->zydis.mnemonic == ZYDIS_MNEMONIC_XLAT ||
               d->zydis.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
               d->zydis.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU;
    }
}

/* Does the instruction only name its memory operand? */
static bool leaves_memory_alone(const ZydisDecodedInstruction *zydis)
{
    switch (zydis->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1: return true;
    default:
        return zydis->mnemonic == ZYDIS_MNEMONIC_INVLPG ||
               zydis->mnemonic == ZYDIS_MNEMONIC_LEA;
    }
}

/* Sizes above 16 bytes (FXSAVE, FNSTENV, ...) are the handler's to know. */
static uint8_t operand_bytes(const ZydisDecodedOperand *operand)
{
    unsigned bytes = operand->size / 8u;

    return (uint8_t)(bytes <= 16 && bytes != 14 ? bytes : 0);
}

static void set_immediate(struct insn *in, struct insn_operand *out,
                          const struct decoding *d,
                          const ZydisDecodedOperand *operand, unsigned number)
{
    out->kind = operand->imm.is_relative ? OPERAND_REL : OPERAND_IMM;
    out->size = operand->imm.is_signed ? d->zydis.operand_width / 8
                                       : operand_bytes(operand);
    if (number == 0)
        in->imm = (int32_t)operand->imm.value.s;
    else
        in->imm2 = (uint16_t)operand->imm.value.u;
}

/* False when the operand is none of those that are kept. */
static bool set_operand(struct insn *in, struct insn_operand *out,
                        const struct decoding *d,
                        const ZydisDecodedOperand *operand)
{
    bool hidden = operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;

    memset(out, 0, sizeof(*out));
    out->hidden = hidden;
    out->read = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
    out->written = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    switch (operand->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        out->kind = registers[operand->reg.value].kind;
        out->index = registers[operand->reg.value].index;
        out->size = registers[operand->reg.value].size;
        return out->kind != OPERAND_NONE &&
               (!hidden || out->kind != OPERAND_SEG);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        if (hidden && !is_implied_mem(d, operand))
            return false;
        set_mem(in, &operand->mem);
        out->kind = OPERAND_MEM;
        out->size = operand_bytes(operand);
        if (leaves_memory_alone(&d->zydis))
            out->read = out->written = false;
        return true;
    case ZYDIS_OPERAND_TYPE_POINTER:
        out->kind = OPERAND_FAR;
        out->size = operand_bytes(operand);
        in->imm = (int32_t)operand->ptr.offset;
        in->imm2 = operand->ptr.segment;
        return true;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: return true; /* set_operands() */
    default: return false;
    }
}

static void set_operands(struct insn *in, const struct decoding *d)
{
    unsigned immediates = 0;

    for (unsigned i = 0; i < d->zydis.operand_count; i++) {
        const ZydisDecodedOperand *operand = &d->operands[i];
        struct insn_operand *out = &in->operand[in->operand_count];

        if (in->operand_count == INSN_MAX_OPERANDS)
            return;
        if (!set_operand(in, out, d, operand))
            continue;
        if (operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            set_immediate(in, out, d, operand, immediates++);
        in->operand_count++;
    }
}

/* How the last written operand of a shift or rotate counts. */
static void refine_shift_flags(struct insn *in)
{
    unsigned count = (unsigned)in->imm & 0x1f; /* SDM 2B "SAL/SAR/SHL/SHR" */
    bool is_constant = false;

    for (unsigned i = 0; i < in->operand_count; i++)
        is_constant |= in->operand[i].kind == OPERAND_IMM;
    if (!is_constant) {
        in->flags_kept = in->flags_written;
    } else if (count == 0) {
        in->flags_written = in->flags_undefined = 0;
    } else if (count == 1) {
        in->flags_undefined &= ~(uint32_t)FLAG_OF;
    }
}

static void set_flags(struct insn *in, const ZydisDecodedInstruction *zydis)
{
    const ZydisAccessedFlags *flags = zydis->cpu_flags;

    if (flags == NULL)
        return;
    in->flags_read = flags->tested;
    in->flags_undefined = flags->undefined;
    in->flags_written =
        flags->modified | flags->set_0 | flags->set_1 | flags->undefined;
    switch (zydis->meta.category) {
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_ROTATE: refine_shift_flags(in); break;
    case ZYDIS_CATEGORY_STRINGOP:
        if (in->rep != REP_NONE)
            in->flags_kept = in->flags_written;
        break;
    default: break;
    }
}

enum insn_status insn_decode(struct insn *in, struct insn_mode mode,
                             const uint8_t *bytes, size_t len)
{
    struct decoding d;
    ZyanStatus status;
    uint16_t op;

    if (len == 0)
        return INSN_SHORT;
    d.code32 = mode.code32;
    d.decoder = mode.code32 ? &decoder32 : &decoder16;
    status = ZydisDecoderDecodeInstruction(d.decoder, &d.context, bytes, len,
                                           &d.zydis);
    if (!ZYAN_SUCCESS(status))
        return refuse(in, status, d.zydis.length, bytes, len);
    op = find_op(&d.zydis, mode.features);
    if (op == OP_INVALID)
        return undefined(in, bytes, d.zydis.length);
    status = ZydisDecoderDecodeOperands(d.decoder, &d.context, &d.zydis,
                                        d.operands, d.zydis.operand_count);
    if (!ZYAN_SUCCESS(status))
        return undefined(in, bytes, d.zydis.length);
    memset(in, 0, sizeof(*in));
    in->op = op;
    set_layout(in, &d, bytes);
    set_operands(in, &d);
    set_flags(in, &d.zydis);
    return INSN_OK;
}

const char *insn_name(enum insn_op op)
{
    static const char *const split_names[] = {
        "movsd_xmm", "cmpsd_xmm", "call_far", "jmp_far",
        "ret_far",   "mov_seg",   "mov_cr",   "mov_dr"};
    unsigned mnemonic = op < OP_COUNT ? op_info[op].mnemonic : 0u;

    if (mnemonic > ZYDIS_MNEMONIC_MAX_VALUE)
        return split_names[mnemonic - ZYDIS_MNEMONIC_MAX_VALUE - 1];
    return ZydisMnemonicGetString((ZydisMnemonic)mnemonic);
}

uint32_t insn_undefined_flags(enum insn_op op)
{
    return op < OP_COUNT ? op_info[op].undefined_flags : 0;
}

enum insn_feature insn_feature(enum insn_op op)
{
    return op < OP_COUNT ? (enum insn_feature)op_info[op].feature : FEAT_BASE;
}
