/* SPDX-License-Identifier: MIT */
#include "segment_model.h"

/* Far transfers and the instructions around them. */

/* CS:EIP, and where the transfer goes. */
struct pointer {
    uint32_t offset;
    uint16_t selector;
};

static bool is_call(const struct seg_insn *in)
{
    return in->op == DO_CALL || in->op == DO_CALL_MEM;
}

static bool read_pointer(struct model *m, const struct seg_insn *in,
                         struct pointer *p)
{
    uint32_t selector;

    if (!model_read_seg(m, SEG_DS, in->at, in->size, &p->offset) ||
        !model_read_seg(m, SEG_DS, in->at + in->size, 2, &selector))
        return false;
    p->selector = (uint16_t)selector;
    return true;
}

/* ---- JMP and CALL (SDM 2A "JMP - Jump", "CALL - Call Procedure") ---- */

/* To CS:EIP at the same level, which the checks of type and privilege allow. */
static bool same_level(struct model *m, const struct seg_insn *in,
                       struct model_desc *cs, uint32_t eip, unsigned size)
{
    struct model_stack s = model_current_stack(m);
    uint32_t back = m->cpu.eip + in->len;

    if (!desc_present(cs))
        return model_fault_selector(m, EXC_NP, cs->selector);
    if (is_call(in) && !model_room(m, &s, 2, size))
        return false;
    if (eip > desc_limit(cs))
        return model_fault_error(m, EXC_GP, 0);
    if (!model_mark(m, cs, 1))
        return false;
    if (is_call(in) && (!model_push(m, &s, m->cpu.seg[SEG_CS].selector, size) ||
                        !model_push(m, &s, back, size)))
        return false;
    model_use_stack(m, &s);
    model_enter(m, cs, eip, m->cpu.cpl);
    return true;
}

static bool to_code(struct model *m, const struct seg_insn *in,
                    const struct pointer *p, struct model_desc *cs)
{
    unsigned dpl = desc_dpl(cs), cpl = m->cpu.cpl;

    if (desc_is_conforming(cs) ? dpl > cpl
                               : dpl != cpl || (p->selector & 3u) > cpl)
        return model_fault_selector(m, EXC_GP, p->selector);
    return same_level(m, in, cs, p->offset, in->size);
}

/* CALL, MORE-PRIVILEGE. */
static bool more_privilege(struct model *m, const struct seg_insn *in,
                           struct model_desc *cs, uint32_t eip, unsigned size,
                           unsigned params)
{
    const struct model_cpu *c = &m->cpu;
    uint32_t back = c->eip + in->len;
    uint32_t value[31];
    struct model_stack s;

    if (!model_inner_stack(m, desc_dpl(cs), &s) ||
        !model_room(m, &s, params + 4, size))
        return false;
    if (eip > desc_limit(cs))
        return model_fault_error(m, EXC_GP, 0);
    for (unsigned i = 0; i < params; i++)
        if (!model_peek(m, i * size, size, &value[i]))
            return false;
    if (!model_mark(m, cs, 1) ||
        !model_push(m, &s, c->seg[SEG_SS].selector, size) ||
        !model_push(m, &s, c->regs[REG_ESP], size))
        return false;
    for (unsigned i = params; i > 0; i--)
        if (!model_push(m, &s, value[i - 1], size))
            return false;
    if (!model_push(m, &s, c->seg[SEG_CS].selector, size) ||
        !model_push(m, &s, back, size))
        return false;
    model_use_stack(m, &s);
    model_enter(m, cs, eip, desc_dpl(cs));
    return true;
}

static bool gate_allows(struct model *m, const struct model_desc *gate)
{
    unsigned dpl = desc_dpl(gate);

    if (dpl < m->cpu.cpl || dpl < (gate->selector & 3u))
        return model_fault_selector(m, EXC_GP, gate->selector);
    return desc_present(gate) ||
           model_fault_selector(m, EXC_NP, gate->selector);
}

static bool call_gate(struct model *m, const struct seg_insn *in,
                      const struct model_desc *gate)
{
    unsigned size = desc_type(gate) & 8 ? 4 : 2;
    uint16_t selector = (uint16_t)(gate->raw >> 16);
    uint32_t eip = (uint32_t)(gate->raw & 0xffff);
    unsigned cpl = m->cpu.cpl, dpl;
    struct model_desc cs;

    if (size == 4)
        eip |= (uint32_t)(gate->raw >> 32 & 0xffff0000);
    if (!gate_allows(m, gate))
        return false;
    if (selector < 4)
        return model_fault_error(m, EXC_GP, 0);
    if (!model_descriptor(m, EXC_GP, selector, &cs))
        return false;
    dpl = desc_dpl(&cs);
    if (!desc_is_code(&cs) || dpl > cpl ||
        (!is_call(in) && !desc_is_conforming(&cs) && dpl != cpl))
        return model_fault_selector(m, EXC_GP, selector);
    if (!desc_present(&cs))
        return model_fault_selector(m, EXC_NP, selector);
    if (is_call(in) && !desc_is_conforming(&cs) && dpl < cpl)
        return more_privilege(m, in, &cs, eip, size,
                              (unsigned)(gate->raw >> 32 & 31));
    return same_level(m, in, &cs, eip, size);
}

static bool to_task(struct model *m, const struct model_desc *d)
{
    if (!gate_allows(m, d))
        return false;
    if (desc_type(d) == 5)
        return model_task_gate(m, d);
    /* SDM 3A 7.2.2 "TSS Descriptor": never in the LDT. */
    if (d->selector & 4)
        return model_fault_selector(m, EXC_GP, d->selector);
    return model_stop(m);
}

static bool far_transfer(struct model *m, const struct seg_insn *in)
{
    struct pointer p = {.offset = in->offset, .selector = in->selector};
    struct model_desc d;

    if (in->op == DO_JMP || in->op == DO_CALL)
        p.offset &= in->size == 2 ? 0xffff : 0xffffffff;
    else if (!read_pointer(m, in, &p))
        return false;
    if (p.selector < 4)
        return model_fault_error(m, EXC_GP, 0);
    if (!model_descriptor(m, EXC_GP, p.selector, &d))
        return false;
    if (desc_is_code(&d))
        return to_code(m, in, &p, &d);
    if (!desc_is_segment(&d)) {
        switch (desc_type(&d)) {
        case 4:
        case 12: return call_gate(m, in, &d);
        case 1:
        case 5:
        case 9: return to_task(m, &d);
        }
    }
    return model_fault_selector(m, EXC_GP, p.selector);
}

/* ---- RET and IRET (SDM 2B "RET", SDM 2A "IRET/IRETD") ---- */

static bool return_cs(struct model *m, uint16_t selector, struct model_desc *cs)
{
    unsigned rpl = selector & 3, dpl;

    if (selector < 4)
        return model_fault_error(m, EXC_GP, 0);
    if (!model_descriptor(m, EXC_GP, selector, cs))
        return false;
    dpl = desc_dpl(cs);
    if (!desc_is_code(cs) || rpl < m->cpu.cpl ||
        (desc_is_conforming(cs) ? dpl > rpl : dpl != rpl))
        return model_fault_selector(m, EXC_GP, selector);
    return desc_present(cs) || model_fault_selector(m, EXC_NP, selector);
}

static bool return_ss(struct model *m, uint16_t selector, unsigned rpl,
                      struct model_desc *ss)
{
    if (selector < 4)
        return model_fault_error(m, EXC_GP, 0);
    if (!model_descriptor(m, EXC_GP, selector, ss))
        return false;
    if ((selector & 3u) != rpl || !desc_is_writable(ss) || desc_dpl(ss) != rpl)
        return model_fault_selector(m, EXC_GP, selector);
    if (!desc_present(ss))
        return model_fault_selector(m, EXC_SS, selector);
    return model_mark(m, ss, 1);
}

/* What the outer level could not have loaded is null there. */
static void drop_data(struct model *m)
{
    static const enum seg data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

    for (unsigned i = 0; i < ARRAY_COUNT(data); i++) {
        struct segment *s = &m->cpu.seg[data[i]];
        bool conforming = (s->attr & 12) == 12;

        if (s->selector < 4 || ((s->attr >> 5 & 3) < m->cpu.cpl && !conforming))
            *s = (struct segment){.attr = SEG_UNUSABLE};
    }
}

/* CS:EIP lie at the top of the stack, depth bytes of it are dropped, and SRC
 * (of RET n) of the outer one as well. */
static bool far_return(struct model *m, const struct pointer *p, unsigned size,
                       uint32_t depth, uint32_t src)
{
    unsigned rpl = p->selector & 3;
    struct model_desc cs, ss;
    uint32_t esp, selector;
    bool outer;

    if (!return_cs(m, p->selector, &cs))
        return false;
    outer = rpl > m->cpu.cpl;
    if (outer && (!model_peek(m, depth, size, &esp) ||
                  !model_peek(m, depth + size, size, &selector) ||
                  !return_ss(m, (uint16_t)selector, rpl, &ss)))
        return false;
    if (p->offset > desc_limit(&cs))
        return model_fault_error(m, EXC_GP, 0);
    if (!model_mark(m, &cs, 1))
        return false;
    if (outer) {
        m->cpu.seg[SEG_SS] = desc_load(&ss, ss.selector);
        model_set_sp(m, esp + src);
    } else {
        model_set_sp(m, m->cpu.regs[REG_ESP] + depth);
    }
    model_enter(m, &cs, p->offset, rpl);
    if (outer)
        drop_data(m);
    return true;
}

static bool retf(struct model *m, const struct seg_insn *in)
{
    uint32_t src = in->op == DO_RETF_IMM ? in->imm : 0;
    struct pointer p;
    uint32_t cs;

    if (!model_peek(m, in->size, in->size, &cs) ||
        !model_peek(m, 0, in->size, &p.offset))
        return false;
    p.selector = (uint16_t)cs;
    return far_return(m, &p, in->size, 2 * in->size + src, src);
}

/* IRET, TASK-RETURN: as far as the switch. */
static bool task_return(struct model *m)
{
    uint16_t link;
    struct model_desc d;

    if (!model_read(m, m->cpu.tr.base, &link, 2, false))
        return false;
    if (link & 4)
        return model_fault_selector(m, EXC_TS, link);
    if (!model_descriptor(m, EXC_TS, link, &d))
        return false;
    if (desc_is_segment(&d) || (desc_type(&d) & 7) != 3)
        return model_fault_selector(m, EXC_TS, link);
    if (!desc_present(&d))
        return model_fault_selector(m, EXC_NP, link);
    return model_stop(m);
}

static bool iret(struct model *m, const struct seg_insn *in)
{
    uint32_t mask = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF |
                    FLAG_DF | FLAG_OF | FLAG_NT;
    unsigned size = in->size, cpl = m->cpu.cpl;
    uint32_t cs, flags;
    struct pointer p;

    if (m->cpu.eflags & FLAG_NT)
        return task_return(m);
    if (!model_peek(m, 0, size, &p.offset) || !model_peek(m, size, size, &cs) ||
        !model_peek(m, 2 * size, size, &flags))
        return false;
    if (size == 4 && (flags & FLAG_VM) && cpl == 0)
        return model_stop(m);
    if (size == 4)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (cpl <= (m->cpu.eflags >> 12 & 3))
        mask |= FLAG_IF;
    if (cpl == 0)
        mask |= FLAG_IOPL | (size == 4 ? FLAG_VIF | FLAG_VIP : 0);
    p.selector = (uint16_t)cs;
    if (!far_return(m, &p, size, 3 * size, 0))
        return false;
    m->cpu.eflags = (m->cpu.eflags & ~mask) | (flags & mask);
    return true;
}

/* ---- System instructions ---- */

/* SDM 2A "LLDT", "LTR". */
static bool load_system(struct model *m, const struct seg_insn *in)
{
    bool lldt = in->op == DO_LLDT;
    uint16_t selector = in->selector;
    struct model_desc d;

    if (m->cpu.cpl != 0)
        return model_fault_error(m, EXC_GP, 0);
    if (selector < 4) {
        if (!lldt)
            return model_fault_error(m, EXC_GP, 0);
        m->cpu.ldtr =
            (struct segment){.attr = SEG_UNUSABLE, .selector = selector};
        return true;
    }
    if (selector & 4)
        return model_fault_selector(m, EXC_GP, selector);
    if (!model_descriptor(m, EXC_GP, selector, &d))
        return false;
    if (desc_is_segment(&d) ||
        (lldt ? desc_type(&d) != 2 : (desc_type(&d) & 7) != 1))
        return model_fault_selector(m, EXC_GP, selector);
    if (!desc_present(&d))
        return model_fault_selector(m, EXC_NP, selector);
    if (!lldt && !model_mark(m, &d, 2))
        return false;
    *(lldt ? &m->cpu.ldtr : &m->cpu.tr) = desc_load(&d, selector);
    return true;
}

/* SDM 2A "LAR", Table "Segment and Gate Types"; "LSL". */
#define LAR_TYPES 0x1a3eu
#define LSL_TYPES 0x0a0eu

/* What the descriptor answers; false: ZF is cleared. */
static bool inspect(const struct model *m, const struct seg_insn *in,
                    const struct model_desc *d, uint32_t *result)
{
    unsigned dpl = desc_dpl(d);
    uint32_t types = in->op == DO_LAR ? LAR_TYPES : LSL_TYPES;

    if (!desc_is_conforming(d) &&
        (m->cpu.cpl > dpl || (d->selector & 3u) > dpl))
        return false;
    switch (in->op) {
    case DO_VERR: return desc_is_readable(d);
    case DO_VERW: return desc_is_writable(d);
    case DO_LAR: *result = (uint32_t)(d->raw >> 32 & 0xffff00); break;
    default: *result = desc_limit(d); break;
    }
    return desc_is_segment(d) || (types >> desc_type(d) & 1);
}

static bool verify(struct model *m, const struct seg_insn *in)
{
    bool writes = in->op == DO_LAR || in->op == DO_LSL;
    uint32_t *to = &m->cpu.regs[REG_EDX];
    uint32_t result = 0, mask = in->size == 2 ? 0xffff : 0xffffffff;
    struct model_desc d;
    uint32_t at;
    bool good = false;

    if (in->selector >= 4 && model_in_table(m, in->selector, &at)) {
        if (!model_descriptor(m, EXC_GP, in->selector, &d))
            return false;
        good = inspect(m, in, &d, &result);
    }
    m->cpu.eflags &= ~(uint32_t)FLAG_ZF;
    if (!good)
        return true;
    m->cpu.eflags |= FLAG_ZF;
    if (writes)
        *to = (*to & ~mask) | (result & mask);
    return true;
}

static void flat(struct model *m, uint32_t cs, unsigned cpl)
{
    uint32_t attr = SEG_G | SEG_DB | SEG_P | cpl << 5 | SEG_S;

    m->cpu.seg[SEG_CS] = (struct segment){
        .limit = 0xffffffff, .attr = attr | 11, .selector = (uint16_t)cs};
    m->cpu.seg[SEG_SS] = (struct segment){
        .limit = 0xffffffff, .attr = attr | 3, .selector = (uint16_t)(cs + 8)};
    m->cpu.cpl = cpl;
}

/* SDM 2B "SYSENTER", "SYSEXIT". */
static bool sysenter(struct model *m, const struct seg_insn *in)
{
    struct model_cpu *c = &m->cpu;
    bool leave = in->op == DO_SYSEXIT;

    if (!(c->sysenter_cs & 0xfffc) || (leave && c->cpl != 0))
        return model_fault_error(m, EXC_GP, 0);
    if (leave) {
        flat(m, (c->sysenter_cs + 16) | 3, 3);
        c->regs[REG_ESP] = c->regs[REG_ECX];
        c->eip = c->regs[REG_EDX];
        return true;
    }
    flat(m, c->sysenter_cs & 0xfffc, 0);
    c->eflags &= ~(uint32_t)(FLAG_VM | FLAG_IF);
    c->regs[REG_ESP] = c->sysenter_esp;
    c->eip = c->sysenter_eip;
    return true;
}

bool model_far(struct model *m, const struct seg_insn *in)
{
    switch (in->op) {
    case DO_JMP:
    case DO_CALL:
    case DO_JMP_MEM:
    case DO_CALL_MEM: return far_transfer(m, in);
    case DO_RETF:
    case DO_RETF_IMM: return retf(m, in);
    case DO_IRET: return iret(m, in);
    case DO_SYSENTER:
    case DO_SYSEXIT: return sysenter(m, in);
    default: break;
    }
    if (in->op == DO_LLDT || in->op == DO_LTR ? !load_system(m, in)
                                              : !verify(m, in))
        return false;
    m->cpu.eip += in->len;
    return true;
}
