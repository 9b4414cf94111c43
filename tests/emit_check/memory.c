/* SPDX-License-Identifier: MIT */
#include "emit_check_priv.h"

/*
 * What memory an instruction may touch.
 */

/* A field of the vcpu, by its offset and how it is accessed. */
struct field {
    int64_t at;
    unsigned size; /* bytes */
    bool load;
    bool store;
    uint32_t needs; /* mode bit */
};

static bool is_in_array(int64_t at, int64_t first, int64_t stride,
                        unsigned count)
{
    return at >= first && at < first + stride * count &&
           (at - first) % stride == 0;
}

static bool is_array_field(const struct xlat_layout *layout, int64_t at,
                           unsigned size, bool write)
{
    const int64_t selectors =
        layout->seg + (int64_t)offsetof(struct segment, selector);

    if (write)
        return false;
    return (size == 4 && is_in_array(at, layout->seg_base, 4, SEG_COUNT)) ||
           (size == 2 &&
            is_in_array(at, selectors, sizeof(struct segment), SEG_COUNT));
}

static bool is_ccf_field(const struct emit_check *check, int64_t at,
                         unsigned size, bool write)
{
    const struct xlat_layout *l = &check->config.layout;
    const struct field fields[] = {
        {l->eflags,           4, true,  false, 0         },
        {l->if_flag,          1, true,  false, 0         },
        {l->if_flag,          1, false, true,  MODE_IF   },
        {l->irq_line,         1, true,  false, MODE_IF   },
        {l->sti_gip,          4, false, true,  MODE_IF   },
        {l->retired,          8, true,  true,  MODE_COUNT},
        {l->user_memops,      8, true,  true,  MODE_COUNT},
        {l->user_memops_soft, 8, true,  true,  MODE_COUNT},
        {l->held,             8, true,  true,  0         },
    };

    for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
        const struct field *f = &fields[i];

        if (f->at == at && f->size == size && (write ? f->store : f->load) &&
            (check->mode & f->needs) == f->needs)
            return true;
    }
    return is_array_field(l, at, size, write);
}

/* The scratch field is used whole and in part. */
static bool is_scratch(const struct emit_check *check, int64_t at,
                       unsigned size)
{
    int64_t scratch = check->config.layout.soft_pc;

    return at >= scratch && at + size <= scratch + 8;
}

static bool is_limit_field(const struct emit_check *check, int64_t at,
                           unsigned size, bool write)
{
    const struct emit_function *f = &check->function;
    int64_t first = check->config.layout.seg_check +
                    f->seg * (int64_t)sizeof(struct seg_check);
    size_t bound = f->write ? offsetof(struct seg_check, write)
                            : offsetof(struct seg_check, read);

    if (is_scratch(check, at, size))
        return true;
    if (write)
        return false;
    return (size == 8 && at == first + (int64_t)bound) ||
           (size == 4 && f->down &&
            at == first + (int64_t)offsetof(struct seg_check, low)) ||
           (size == 4 && at == check->config.layout.seg_base + 4 * f->seg);
}

/* [r15 + r9 * size + a table of the soft TLB] */
static bool is_slot(const struct emit_check *check,
                    const ZydisDecodedOperand *o, const struct facts *facts)
{
    const struct emit_function *f = &check->function;
    int64_t tlb = check->config.layout.soft_tlb +
                  (f->user ? (int64_t)sizeof(struct soft_tlb) : 0);
    size_t tags = f->write ? offsetof(struct soft_tlb, write)
                           : offsetof(struct soft_tlb, read);
    unsigned index = register_number(o->mem.index);
    int64_t at = o->mem.disp.value - tlb;

    if (check->unit != UNIT_PROBE || index == R_NONE ||
        fact_bound(&facts->of[index]) >= SOFT_TLB_SLOTS ||
        o->mem.scale != o->size / 8)
        return false;
    return (o->size == 32 && at == (int64_t)tags) ||
           (o->size == 64 && at == (int64_t)offsetof(struct soft_tlb, addend));
}

static bool is_vcpu(const struct emit_check *check, const struct host_insn *h,
                    const ZydisDecodedOperand *o)
{
    bool write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    bool read = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    unsigned size = o->size / 8u;
    int64_t at = o->mem.disp.value;

    if ((h->in.mnemonic != ZYDIS_MNEMONIC_MOV &&
         h->in.mnemonic != ZYDIS_MNEMONIC_MOVZX) ||
        (write && read))
        return false;
    if (o->mem.index != ZYDIS_REGISTER_NONE)
        return !write && is_slot(check, o, &h->before);
    switch (check->unit) {
    case UNIT_CCF: return is_ccf_field(check, at, size, write);
    case UNIT_PROBE: return is_scratch(check, at, size);
    case UNIT_LIMIT: return is_limit_field(check, at, size, write);
    }
    UNREACHABLE();
}

/* jmp or call [r14 + 8 * (at most 65535)] */
static bool is_table(const struct host_insn *h, const ZydisDecodedOperand *o)
{
    const int64_t len = 0x10000 * 8;
    unsigned index = register_number(o->mem.index);
    int64_t at = o->mem.disp.value;

    if ((h->in.mnemonic != ZYDIS_MNEMONIC_JMP &&
         h->in.mnemonic != ZYDIS_MNEMONIC_CALL) ||
        o->size != 64)
        return false;
    if (index == R_NONE)
        return at >= 0 && at < len && at % 8 == 0;
    return at == 0 && o->mem.scale == 8 &&
           fact_bound(&h->before.of[index]) < 0x10000;
}

/* A register offset of BT and kin reaches beyond the operand. */
static bool has_far_bit(const struct host_insn *h, const ZydisDecodedOperand *o)
{
    unsigned bit;

    switch (h->in.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS: break;
    default: return false;
    }
    bit = h->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER
              ? register_number(h->op[1].reg.value)
              : R_NONE;
    return bit != R_NONE && fact_bound(&h->before.of[bit]) >= o->size;
}

/* [base], as a probe, a comparison or a string instruction has it. */
static bool is_known_pointer(const struct emit_check *check,
                             const struct host_insn *h,
                             const ZydisDecodedOperand *o, unsigned base)
{
    const struct fact *f = &h->before.of[base];
    bool write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    bool string = check->guest.handler == HANDLER_string &&
                  (base == R_RSI || base == R_RDI) &&
                  h->in.mnemonic == check->guest.in.mnemonic;
    bool repeated =
        h->in.attributes &
        (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
    uint64_t at = f->n + (uint64_t)o->mem.disp.value - check->source;

    if (o->mem.index != ZYDIS_REGISTER_NONE)
        return false;
    if (f->kind == FACT_CONST && (check->mode & MODE_CHECKED))
        return !write && h->in.mnemonic != ZYDIS_MNEMONIC_CALL &&
               at < check->source_len && o->size / 8u <= check->source_len - at;
    if (o->mem.disp.value)
        return false;
    if (f->kind == FACT_WINDOW)
        return string && !(check->mode & MODE_SOFT);
    return f->kind == FACT_HOST && (f->write || !write) &&
           o->size / 8u <= f->n && !has_far_bit(h, o) &&
           !(string && repeated) && (base == R_R8 || string);
}

static bool is_hidden_stack(const struct host_insn *h,
                            const ZydisDecodedOperand *o)
{
    switch (h->in.mnemonic) {
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_RET:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_POP:
        return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
               o->mem.base == ZYDIS_REGISTER_RSP;
    default: return false;
    }
}

static bool is_allowed(const struct emit_check *check,
                       const struct host_insn *h, const ZydisDecodedOperand *o)
{
    const ZydisDecodedOperandMem *mem = &o->mem;
    unsigned base = register_number(mem->base);

    if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
        return false;
    if (h->in.mnemonic == ZYDIS_MNEMONIC_LEA)
        return mem->type == ZYDIS_MEMOP_TYPE_AGEN;
    if (mem->segment == ZYDIS_REGISTER_GS)
        return check->unit == UNIT_CCF && h->in.address_width == 32 &&
               mem->type == ZYDIS_MEMOP_TYPE_MEM && !(check->mode & MODE_SOFT);
    if (mem->segment == ZYDIS_REGISTER_FS || h->in.address_width != 64 ||
        base == R_NONE || mem->type != ZYDIS_MEMOP_TYPE_MEM)
        return false;
    switch (base) {
    case R_R15: return is_vcpu(check, h, o);
    case R_R14: return is_table(h, o);
    case R_RSP: return is_hidden_stack(h, o);
    default: return is_known_pointer(check, h, o, base);
    }
}

bool memory_judge(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];

    for (unsigned i = 0; i < h->in.operand_count; i++)
        if (h->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            !is_allowed(check, h, &h->op[i]))
            return emit_refuse(check, index, "memory that it must not touch");
    return true;
}
