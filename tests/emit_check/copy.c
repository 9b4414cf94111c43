/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emit_check_priv.h"

/*
 * Which guest instruction a host instruction is of, by the CCF's points; and that
 * copied instructions are the guest's, all of them and once.
 */

static const uint8_t handler_of[OP_COUNT] = {
#define OP(mnemonic, feature, interp, xlat, undefined_flags) \
    [OP_##mnemonic] = HANDLER_##xlat,
#include "translator/decode/insn_ops.def"
#undef OP
};

static bool is_copied(const struct guest_insn *guest)
{
    return guest->handler == HANDLER_copy || guest->handler == HANDLER_x87 ||
           guest->handler == HANDLER_sse;
}

bool copy_is_guests(const struct emit_check *check, const struct host_insn *h)
{
    const struct guest_insn *guest = &check->guest;
    bool may = false;

    switch (guest->handler) {
    case HANDLER_copy:
    case HANDLER_jcc:
    case HANDLER_string: may = true; break;
    case HANDLER_x87: may = check->mode & (MODE_X87 | MODE_SSE); break;
    case HANDLER_sse: may = check->mode & MODE_SSE; break;
    case HANDLER_rdtsc: may = check->mode & MODE_TSC; break;
    default: break;
    }
    return may && h->in.mnemonic == guest->in.mnemonic;
}

/* ---- Going along ---- */

static void decode(struct emit_check *check, uint32_t offset)
{
    struct guest_insn *guest = &check->guest;
    bool code32 = !(check->mode & MODE_CODE16);
    const struct insn_mode mode = {.features = check->config.features,
                                   .code32 = code32};
    const uint8_t *bytes = check->guest_bytes + offset;
    size_t len = check->guest_len - offset;
    struct insn in;

    memset(guest, 0, sizeof(*guest));
    guest->offset = offset;
    if (insn_decode(&in, mode, bytes, len) != INSN_OK)
        return;
    guest->handler = handler_of[in.op];
    guest->decoded = ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(code32 ? &check->code32 : &check->code16, bytes,
                               len, &guest->in, guest->op));
}

/* A step in place of the instruction. */
static bool is_step(const struct emit_check *check, uint32_t offset)
{
    const struct ccf *ccf = check->ccf;

    for (uint32_t i = 0; i < ccf->exit_count; i++)
        if (ccf->exits[i].kind == EXIT_STEP &&
            ccf->exits[i].target == ccf->gip + offset)
            return true;
    return false;
}

static bool end_of_guest(struct emit_check *check, uint32_t index)
{
    if (is_copied(&check->guest) && !check->guest.copied &&
        !is_step(check, check->guest.offset))
        return emit_refuse(check, index, "the guest's instruction is missing");
    return true;
}

bool copy_advance(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];
    bool exact;
    const struct ccf_point *point =
        ccf_find_point(check->ccf, check->ccf->start + h->offset, &exact);

    if (point == NULL)
        return true;
    if (point->gip_offset >= check->guest_len)
        return emit_refuse(check, index, "a point outside of the source");
    if (check->guest.offset != point->gip_offset) {
        if (!end_of_guest(check, index))
            return false;
        decode(check, point->gip_offset);
    }
    check->guest.delta = point->esp_delta;
    check->guest.soft = point->flags & POINT_SOFT;
    return true;
}

bool copy_end(struct emit_check *check)
{
    return end_of_guest(check, check->count - 1);
}

/* ---- The same operands ---- */

static ZydisRegister renamed(ZydisRegister reg)
{
    switch (reg) {
    case ZYDIS_REGISTER_SP: return ZYDIS_REGISTER_R12W;
    case ZYDIS_REGISTER_ESP: return ZYDIS_REGISTER_R12D;
    default: return reg;
    }
}

static bool names_esp(const struct guest_insn *guest)
{
    for (unsigned i = 0; i < guest->in.operand_count_visible; i++)
        if (guest->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            renamed(guest->op[i].reg.value) != guest->op[i].reg.value)
            return true;
    return false;
}

/* Is the linear address the instruction's own? */
static bool is_plain(const struct emit_check *check,
                     const ZydisDecodedOperandMem *mem)
{
    unsigned seg = (unsigned)(mem->segment - ZYDIS_REGISTER_ES);

    return mode_seg_kind(check->mode, seg) == SEG_KIND_FLAT &&
           !(seg == SEG_SS && (check->mode & MODE_STACK16)) &&
           check->guest.in.address_width != 16 && !check->guest.soft;
}

static bool same_memory(const struct emit_check *check,
                        const ZydisDecodedOperand *g,
                        const ZydisDecodedOperand *h)
{
    const ZydisDecodedOperandMem *gm = &g->mem;
    const ZydisDecodedOperandMem *hm = &h->mem;
    uint32_t delta =
        gm->base == ZYDIS_REGISTER_ESP ? (uint32_t)check->guest.delta : 0;

    if (g->size != h->size)
        return false;
    if (!is_plain(check, gm))
        return hm->base == (check->guest.soft ? ZYDIS_REGISTER_R8
                                              : ZYDIS_REGISTER_R8D) &&
               !hm->disp.value && hm->index == ZYDIS_REGISTER_NONE;
    return hm->base == renamed(gm->base) && hm->index == renamed(gm->index) &&
           (hm->index == ZYDIS_REGISTER_NONE || hm->scale == gm->scale) &&
           (uint32_t)hm->disp.value == (uint32_t)gm->disp.value + delta;
}

/* Of BT and kin whose bit offset was split: it is in r9. */
static bool is_split(const struct guest_insn *guest)
{
    switch (guest->in.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS:
        return guest->in.raw.modrm.mod != 3 &&
               guest->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    default: return false;
    }
}

static bool same_operand(const struct emit_check *check,
                         const ZydisDecodedOperand *g,
                         const ZydisDecodedOperand *h)
{
    if (g->type != h->type)
        return false;
    switch (g->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return h->reg.value == renamed(g->reg.value) ||
               (is_split(&check->guest) &&
                register_number(h->reg.value) == R_R9);
    case ZYDIS_OPERAND_TYPE_MEMORY: return same_memory(check, g, h);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return (uint32_t)g->imm.value.u == (uint32_t)h->imm.value.u;
    default: return true;
    }
}

/* movzx r8d, r8w: cuts an address to 16 bits, and is the translator's own. */
static bool is_cut(const struct host_insn *h)
{
    return h->in.mnemonic == ZYDIS_MNEMONIC_MOVZX &&
           h->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           h->op[0].reg.value == ZYDIS_REGISTER_R8D;
}

bool copy_judge(struct emit_check *check, uint32_t index)
{
    const ZydisInstructionAttributes kept = ZYDIS_ATTRIB_HAS_LOCK;
    const struct host_insn *h = &check->insns[index];
    struct guest_insn *guest = &check->guest;

    if (!is_copied(guest) || !copy_is_guests(check, h) || is_cut(h))
        return true;
    if (guest->copied)
        return emit_refuse(check, index, "the guest's instruction again");
    guest->copied = true;
    if (h->in.operand_count_visible != guest->in.operand_count_visible ||
        (h->in.attributes & kept) != (guest->in.attributes & kept))
        return emit_refuse(check, index, "another form");
    if (names_esp(guest) && guest->delta)
        return emit_refuse(check, index, "a delta beside ESP");
    for (unsigned i = 0; i < h->in.operand_count_visible; i++)
        if (!same_operand(check, &guest->op[i], &h->op[i]))
            return emit_refuse(check, index, "another operand");
    return true;
}
