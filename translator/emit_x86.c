/* SPDX-License-Identifier: MIT */
#include "translator/emit_x86.h"

/*
 * The encodings follow SDM 2A 2.1 "Instruction Format for Protected Mode..."
 * and 2.2 "IA-32e Mode". REX is 0100WRXB.
 */
#define REX       0x40
#define REX_W     8
#define REX_R     4
#define REX_X     2
#define REX_B     1
#define GS        0x65
#define ADDR32    0x67
#define GUEST_ESP 4 /* register number in ModRM and SIB bytes */

void emit_init(struct emit *e, uint8_t *start, uint8_t *end, uint64_t rx_start)
{
    *e = (struct emit){
        .start = start, .at = start, .end = end, .rx_start = rx_start};
}

void emit_u8(struct emit *e, uint8_t value)
{
    if (e->at < e->end)
        *e->at++ = value;
    else
        e->overflow = true;
}

void emit_bytes(struct emit *e, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        emit_u8(e, bytes[i]);
}

void emit_u32(struct emit *e, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        emit_u8(e, (uint8_t)(value >> (8 * i)));
}

void emit_u64(struct emit *e, uint64_t value)
{
    emit_u32(e, (uint32_t)value);
    emit_u32(e, (uint32_t)(value >> 32));
}

/* REX for reg and rm/base, left out when it would say nothing. */
static void emit_rex(struct emit *e, unsigned w, unsigned reg, unsigned index,
                     unsigned base)
{
    unsigned rex = (w ? REX_W : 0) | (reg >= 8 ? REX_R : 0) |
                   (index >= 8 ? REX_X : 0) | (base >= 8 ? REX_B : 0);

    if (rex)
        emit_u8(e, (uint8_t)(REX | rex));
}

static void emit_modrm(struct emit *e, unsigned mod, unsigned reg, unsigned rm)
{
    emit_u8(e, (uint8_t)(mod << 6 | (reg & 7) << 3 | (rm & 7)));
}

/* ModRM, SIB and displacement of [base + disp]. */
static void emit_mem_rd(struct emit *e, unsigned reg, unsigned base,
                        int32_t disp)
{
    unsigned mod = disp == 0 && (base & 7) != 5  ? 0
                   : disp >= -128 && disp <= 127 ? 1
                                                 : 2;

    emit_modrm(e, mod, reg, base);
    if ((base & 7) == 4)
        emit_u8(e, 0x24);
    if (mod == 1)
        emit_u8(e, (uint8_t)disp);
    else if (mod == 2)
        emit_u32(e, (uint32_t)disp);
}

/* [prefixes] REX opcode ModRM(mem) */
static void emit_op_rd(struct emit *e, unsigned w, uint8_t opcode, unsigned reg,
                       unsigned base, int32_t disp)
{
    emit_rex(e, w, reg, 0, base);
    emit_u8(e, opcode);
    emit_mem_rd(e, reg, base, disp);
}

void emit_mov_rr(struct emit *e, enum host_reg dst, enum host_reg src)
{
    emit_rex(e, 0, src, 0, dst);
    emit_u8(e, 0x89);
    emit_modrm(e, 3, src, dst);
}

void emit_mov64_rr(struct emit *e, enum host_reg dst, enum host_reg src)
{
    emit_rex(e, 1, src, 0, dst);
    emit_u8(e, 0x89);
    emit_modrm(e, 3, src, dst);
}

void emit_mov16_rr(struct emit *e, enum host_reg dst, enum host_reg src)
{
    emit_u8(e, 0x66);
    emit_mov_rr(e, dst, src);
}

void emit_movzx16_rr(struct emit *e, enum host_reg dst, enum host_reg src)
{
    emit_rex(e, 0, dst, 0, src);
    emit_u8(e, 0x0f);
    emit_u8(e, 0xb7);
    emit_modrm(e, 3, dst, src);
}

void emit_mov_ri(struct emit *e, enum host_reg dst, uint32_t value)
{
    emit_rex(e, 0, 0, 0, dst);
    emit_u8(e, (uint8_t)(0xb8 | (dst & 7)));
    emit_u32(e, value);
}

void emit_mov64_ri(struct emit *e, enum host_reg dst, uint64_t value)
{
    emit_rex(e, 1, 0, 0, dst);
    emit_u8(e, (uint8_t)(0xb8 | (dst & 7)));
    emit_u64(e, value);
}

void emit_lea_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                 int32_t disp)
{
    emit_op_rd(e, 0, 0x8d, dst, base, disp);
}

void emit_lea16_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                   int32_t disp)
{
    emit_u8(e, 0x66);
    emit_lea_rd(e, dst, base, disp);
}

void emit_lea64_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                   int32_t disp)
{
    emit_op_rd(e, 1, 0x8d, dst, base, disp);
}

/* mod 1 with a zero disp8, so that every base is encodable. */
static void emit_lea_rr(struct emit *e, unsigned w, unsigned dst, unsigned base,
                        unsigned index)
{
    emit_rex(e, w, dst, index, base);
    emit_u8(e, 0x8d);
    emit_modrm(e, 1, dst, 4);
    emit_u8(e, (uint8_t)((index & 7) << 3 | (base & 7)));
    emit_u8(e, 0);
}

void emit_lea32_rr(struct emit *e, enum host_reg dst, enum host_reg base,
                   enum host_reg index)
{
    emit_lea_rr(e, 0, dst, base, index);
}

void emit_lea64_rr(struct emit *e, enum host_reg dst, enum host_reg base,
                   enum host_reg index)
{
    emit_lea_rr(e, 1, dst, base, index);
}

void emit_lea_times8(struct emit *e, enum host_reg reg)
{
    emit_u8(e, REX | REX_R | REX_X);
    emit_u8(e, 0x8d);
    emit_modrm(e, 0, reg, 4);
    emit_u8(e, (uint8_t)(3 << 6 | (reg & 7) << 3 | 5));
    emit_u32(e, 0);
}

void emit_load_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                  int32_t disp)
{
    emit_op_rd(e, 0, 0x8b, dst, base, disp);
}

void emit_store_rd(struct emit *e, enum host_reg base, int32_t disp,
                   enum host_reg src)
{
    emit_op_rd(e, 0, 0x89, src, base, disp);
}

void emit_load64_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                    int32_t disp)
{
    emit_op_rd(e, 1, 0x8b, dst, base, disp);
}

void emit_store64_rd(struct emit *e, enum host_reg base, int32_t disp,
                     enum host_reg src)
{
    emit_op_rd(e, 1, 0x89, src, base, disp);
}

void emit_store8_di(struct emit *e, enum host_reg base, int32_t disp,
                    uint8_t value)
{
    emit_op_rd(e, 0, 0xc6, 0, base, disp);
    emit_u8(e, value);
}

void emit_store_rd_i(struct emit *e, enum host_reg base, int32_t disp,
                     uint32_t value)
{
    emit_op_rd(e, 0, 0xc7, 0, base, disp);
    emit_u32(e, value);
}

void emit_load8_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                   int32_t disp)
{
    emit_rex(e, 0, dst, 0, base);
    emit_u8(e, 0x0f);
    emit_u8(e, 0xb6);
    emit_mem_rd(e, dst, base, disp);
}

void emit_load16_rd(struct emit *e, enum host_reg dst, enum host_reg base,
                    int32_t disp)
{
    emit_rex(e, 0, dst, 0, base);
    emit_u8(e, 0x0f);
    emit_u8(e, 0xb7);
    emit_mem_rd(e, dst, base, disp);
}

static void emit_window(struct emit *e, uint8_t opcode, unsigned reg,
                        unsigned base, int32_t disp)
{
    emit_u8(e, GS);
    emit_u8(e, ADDR32);
    emit_op_rd(e, 0, opcode, reg, base, disp);
}

void emit_load_window(struct emit *e, enum host_reg dst, enum host_reg base,
                      int32_t disp)
{
    emit_window(e, 0x8b, dst, base, disp);
}

void emit_load16_window(struct emit *e, enum host_reg dst, enum host_reg base,
                        int32_t disp)
{
    emit_u8(e, GS);
    emit_u8(e, ADDR32);
    emit_load16_rd(e, dst, base, disp);
}

void emit_store_window(struct emit *e, enum host_reg base, int32_t disp,
                       enum host_reg src)
{
    emit_window(e, 0x89, src, base, disp);
}

void emit_store_window_i(struct emit *e, enum host_reg base, int32_t disp,
                         uint32_t value)
{
    emit_window(e, 0xc7, 0, base, disp);
    emit_u32(e, value);
}

void emit_cmp_ri(struct emit *e, enum host_reg reg, uint32_t value)
{
    emit_u8(e, (uint8_t)(REX | (reg >= 8 ? REX_B : 0)));
    emit_u8(e, 0x81);
    emit_modrm(e, 3, 7, reg);
    emit_u32(e, value);
}

/* A rel32 counts from the end of its instruction, which it ends. */
static uint32_t emit_rel32(struct emit *e, uint64_t target)
{
    uint32_t at = emit_offset(e);

    emit_u32(e, (uint32_t)(target - (emit_rx(e) + 4)));
    return at;
}

uint32_t emit_jmp(struct emit *e, uint64_t target)
{
    emit_u8(e, 0xe9);
    return emit_rel32(e, target);
}

uint32_t emit_call(struct emit *e, uint64_t target)
{
    emit_u8(e, 0xe8);
    return emit_rel32(e, target);
}

uint32_t emit_jcc(struct emit *e, unsigned cc, uint64_t target)
{
    emit_u8(e, 0x0f);
    emit_u8(e, (uint8_t)(0x80 | cc));
    return emit_rel32(e, target);
}

uint32_t emit_jrcxz(struct emit *e)
{
    emit_u8(e, 0xe3);
    emit_u8(e, 0);
    return emit_offset(e) - 1;
}

uint32_t emit_jecxz(struct emit *e)
{
    emit_u8(e, ADDR32);
    emit_u8(e, 0xe3);
    emit_u8(e, 0);
    return emit_offset(e) - 1;
}

uint32_t emit_jmp8(struct emit *e)
{
    emit_u8(e, 0xeb);
    emit_u8(e, 0);
    return emit_offset(e) - 1;
}

void emit_patch8(struct emit *e, uint32_t at)
{
    uint32_t distance = emit_offset(e) - (at + 1);

    if (e->overflow)
        return;
    ENSURE(distance < 128);
    e->start[at] = (uint8_t)distance;
}

void emit_patch32(struct emit *e, uint32_t at)
{
    uint32_t distance = emit_offset(e) - (at + 4);

    if (e->overflow)
        return;
    for (unsigned i = 0; i < 4; i++)
        e->start[at + i] = (uint8_t)(distance >> (8 * i));
}

void emit_jmp_table(struct emit *e, uint32_t index)
{
    emit_u8(e, REX | REX_B);
    emit_u8(e, 0xff);
    emit_modrm(e, 2, 4, HOST_TABLE);
    emit_u32(e, index * 8);
}

void emit_call_table(struct emit *e, uint32_t index)
{
    emit_u8(e, REX | REX_B);
    emit_u8(e, 0xff);
    emit_modrm(e, 2, 2, HOST_TABLE);
    emit_u32(e, index * 8);
}

/* clang-format off */
void emit_jmp_lookup(struct emit *e)
{
    static const uint8_t code[] = {
        0x45, 0x0f, 0xb7, 0xc8, /* movzx r9d, r8w */
        0x43, 0xff, 0x24, 0xce, /* jmp [r14 + r9*8] */
    };
    emit_bytes(e, code, sizeof(code));
}

void emit_call_lookup(struct emit *e)
{
    static const uint8_t code[] = {
        0x45, 0x0f, 0xb7, 0xc8, /* movzx r9d, r8w */
        0x43, 0xff, 0x14, 0xce, /* call [r14 + r9*8] */
    };
    emit_bytes(e, code, sizeof(code));
}
/* clang-format on */

void emit_ret(struct emit *e)
{
    emit_u8(e, 0xc3);
}

void emit_lea_rip(struct emit *e, enum host_reg dst, uint64_t target)
{
    emit_rex(e, 1, dst, 0, 0);
    emit_u8(e, 0x8d);
    emit_modrm(e, 0, dst, 5);
    emit_rel32(e, target);
}

/* ---- Copied guest instructions ---------------------------------------- */

/* The guest's ESP is r12, which has ESP's low three bits: ModRM and SIB bytes
 * stay, and only REX bits are added. */
struct rex_need {
    unsigned bits;
    bool high_byte; /* AH CH DH BH: not encodable beside any REX */
};

static bool has_vector_operand(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_XMM ||
            in->operand[i].kind == OPERAND_MM)
            return true;
    return false;
}

/* For these 66h either selects another instruction or says nothing. */
static bool ignores_operand_size(const struct insn *in)
{
    const uint32_t integer =
        BIT(FEAT_BASE) | BIT(FEAT_CMOV) | BIT(FEAT_POPCNT) | BIT(FEAT_MOVBE);
    bool x87 = in->map == 0 && (in->opcode & 0xf8) == 0xd8;

    return x87 || has_vector_operand(in) ||
           (!(integer & BIT(insn_feature(in->op))) && in->op != OP_CRC32);
}

/* REX bits for register operands. A register field of an opcode extension
 * ignores REX.R, so it is enough that some operand is ESP. */
static struct rex_need register_rex(const struct insn *in)
{
    struct rex_need need = {0};
    bool esp = false;

    for (unsigned i = 0; i < in->operand_count; i++) {
        const struct insn_operand *o = &in->operand[i];

        if (o->kind != OPERAND_REG || o->hidden)
            continue;
        if (o->size == 1 && o->index >= 4)
            need.high_byte = true;
        else if (o->index == 4)
            esp = true;
    }
    if (!esp)
        return need;
    if (!in->has_modrm) {
        need.bits |= REX_B;
        return need;
    }
    if ((in->modrm & 0xc7) == 0xc4)
        need.bits |= REX_B;
    if ((in->modrm & 0x38) == 0x20)
        need.bits |= REX_R;
    return need;
}

/* ModRM, SIB, displacement of a window operand. */
static void emit_copied_address(struct emit *e, const struct insn *in,
                                const struct emit_insn *how)
{
    unsigned reg = (in->modrm >> 3) & 7;
    const struct insn_mem *m = &in->mem;

    if (how->use_base) {
        emit_mem_rd(e, reg, how->base, 0);
    } else if (m->base == INSN_NO_REG) {
        /* [disp32] is RIP-relative in 64-bit mode: use the SIB form. */
        emit_modrm(e, 0, reg, 4);
        emit_u8(e, (uint8_t)(m->index == INSN_NO_REG ? 0x25 : in->sib));
        emit_u32(e, (uint32_t)m->disp);
    } else if (m->base == GUEST_ESP && how->esp_delta) {
        int32_t disp = (int32_t)((uint32_t)m->disp + (uint32_t)how->esp_delta);
        unsigned mod = disp >= -128 && disp <= 127 ? 1 : 2;

        emit_modrm(e, mod, reg, 4);
        emit_u8(e, in->sib);
        if (mod == 1)
            emit_u8(e, (uint8_t)disp);
        else
            emit_u32(e, (uint32_t)disp);
    } else {
        emit_u8(e, in->modrm);
        if (in->has_sib)
            emit_u8(e, in->sib);
        emit_bytes(e, in->bytes + in->disp_offset, in->disp_len);
    }
}

static void emit_opcode(struct emit *e, const struct insn *in)
{
    static const uint8_t third[] = {0, 0, 0x38, 0x3a};

    if (in->map >= 1)
        emit_u8(e, 0x0f);
    if (in->map >= 2)
        emit_u8(e, third[in->map]);
    emit_u8(e, in->opcode);
}

bool emit_insn(struct emit *e, const struct insn *in,
               const struct emit_insn *how)
{
    struct rex_need need = register_rex(in);
    bool mem = in->has_mem && in->has_modrm;

    if (need.bits && has_vector_operand(in))
        return false;
    if (mem && how->use_base)
        need.bits |= how->base >= 8 ? REX_B : 0;
    else if (mem && in->mem.base == GUEST_ESP)
        need.bits |= REX_B;
    if (need.bits && need.high_byte)
        return false;

    if (mem && how->window) {
        emit_u8(e, GS);
        emit_u8(e, ADDR32);
    }
    if (in->operand_size == 2 && in->mandatory != 0x66 &&
        !ignores_operand_size(in))
        emit_u8(e, 0x66);
    if (in->lock)
        emit_u8(e, 0xf0);
    if (in->rep != REP_NONE)
        emit_u8(e, in->rep == REP_REPNE ? 0xf2 : 0xf3);
    if (in->mandatory)
        emit_u8(e, in->mandatory);
    if (need.bits)
        emit_u8(e, (uint8_t)(REX | need.bits));
    emit_opcode(e, in);
    if (mem)
        emit_copied_address(e, in, how);
    else if (in->has_modrm)
        emit_u8(e, in->modrm);
    emit_bytes(e, in->bytes + in->imm_offset, in->imm_len);
    return true;
}

void emit_lea_operand(struct emit *e, enum host_reg dst, const struct insn *in,
                      int32_t esp_delta)
{
    const struct insn_mem *m = &in->mem;
    bool esp_base = m->base == GUEST_ESP;
    unsigned base = esp_base ? HOST_ESP : m->base;
    int32_t disp =
        (int32_t)((uint32_t)m->disp + (esp_base ? (uint32_t)esp_delta : 0));

    if (m->base == INSN_NO_REG && m->index == INSN_NO_REG) {
        emit_mov_ri(e, dst, (uint32_t)m->disp);
        return;
    }
    if (m->index == INSN_NO_REG) {
        emit_lea_rd(e, dst, base, disp);
        return;
    }
    unsigned scale = m->scale == 8 ? 3 : m->scale == 4 ? 2 : m->scale == 2;

    emit_rex(e, 0, dst, 0, m->base == INSN_NO_REG ? 0 : base);
    emit_u8(e, 0x8d);
    emit_modrm(e, m->base == INSN_NO_REG ? 0 : 2, dst, 4);
    emit_u8(e, (uint8_t)(scale << 6 | (uint32_t)m->index << 3 |
                         (m->base == INSN_NO_REG ? 5 : (base & 7))));
    emit_u32(e, (uint32_t)disp);
}
