/* SPDX-License-Identifier: MIT */
#include "segment_model.h"

#include <string.h>

/* Memory, descriptors, stacks and the delivery of events. */

/* ---- Faults ---- */

bool model_fault(struct model *m, unsigned vector)
{
    m->exc =
        (struct model_exc){.vector = vector, .fault = true, .eip = m->cpu.eip};
    return false;
}

bool model_fault_error(struct model *m, unsigned vector, uint32_t error)
{
    model_fault(m, vector);
    m->exc.has_error = true;
    m->exc.error = error | m->ext;
    return false;
}

bool model_fault_selector(struct model *m, unsigned vector, uint16_t selector)
{
    return model_fault_error(m, vector, selector & 0xfffcu);
}

bool model_stop(struct model *m)
{
    m->stop = true;
    return false;
}

/* ---- Memory ---- */

/* SDM 3A 4.6 "Access Rights", 4.7 "Page-Fault Exceptions". */
static bool page_allows(struct model *m, uint32_t at, bool write, bool user)
{
    uint32_t error = (write ? PF_W : 0) | (user ? PF_U : 0);
    unsigned rights = at / PAGE_SIZE < MODEL_PAGES ? m->rights[at >> 12] : 0;

    if (!m->paging)
        return true;
    if (rights & 1) {
        if ((!write || (rights & 2)) && (!user || (rights & 4)))
            return true;
        error |= PF_P;
    }
    model_fault(m, EXC_PF);
    m->exc.has_error = true;
    m->exc.error = error;
    m->exc.cr2 = at;
    return false;
}

/* Both pages, before either is touched. */
static bool range_allows(struct model *m, uint32_t at, unsigned len, bool write,
                         bool user)
{
    uint32_t last = at + len - 1;

    return page_allows(m, at, write, user) &&
           (last >> 12 == at >> 12 ||
            page_allows(m, last & ~PAGE_MASK, write, user));
}

bool model_read(struct model *m, uint32_t at, void *to, unsigned len, bool user)
{
    if (!range_allows(m, at, len, false, user))
        return false;
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)to)[i] = m->is_ram(at + i) ? m->ram[at + i] : 0xff;
    return true;
}

bool model_write(struct model *m, uint32_t at, const void *from, unsigned len,
                 bool user)
{
    if (!range_allows(m, at, len, true, user))
        return false;
    for (unsigned i = 0; i < len; i++)
        if (m->is_ram(at + i))
            m->ram[at + i] = ((const uint8_t *)from)[i];
    return true;
}

/* SDM 3A 5.3 "Limit Checking". An access that wraps in a 4 GiB segment may
 * fault or not: not. */
static bool limit_allows(const struct segment *s, uint32_t offset,
                         unsigned size)
{
    uint64_t last = (uint64_t)offset + size - 1;

    if ((s->attr & (SEG_CODE | SEG_DOWN)) == SEG_DOWN)
        return offset > s->limit &&
               last <= (s->attr & SEG_DB ? 0xffffffffu : 0xffffu);
    return s->limit == 0xffffffff || last <= s->limit;
}

bool model_read_seg(struct model *m, enum seg seg, uint32_t offset,
                    unsigned size, uint32_t *value)
{
    const struct segment *s = &m->cpu.seg[seg];

    *value = 0;
    if ((s->attr & SEG_UNUSABLE) ||
        (s->attr & (SEG_CODE | SEG_WRITABLE)) == SEG_CODE ||
        !limit_allows(s, offset, size))
        return model_fault_error(m, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    return model_read(m, s->base + offset, value, size, m->cpu.cpl == 3);
}

/* ---- Descriptors (SDM 3A 3.4.5 "Segment Descriptors") ---- */

uint32_t desc_limit(const struct model_desc *d)
{
    uint32_t limit = (uint32_t)((d->raw & 0xffff) | (d->raw >> 32 & 0xf0000));

    return d->raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

struct segment desc_load(const struct model_desc *d, uint16_t selector)
{
    return (struct segment){
        .base =
            (uint32_t)((d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000)),
        .limit = desc_limit(d),
        .attr = (uint32_t)(d->raw >> 40 & 0xf0ff),
        .selector = selector,
    };
}

bool model_in_table(const struct model *m, uint16_t selector, uint32_t *at)
{
    const struct model_cpu *c = &m->cpu;
    uint32_t base = selector & 4 ? c->ldtr.base : c->gdtr.base;
    uint32_t limit = selector & 4 ? c->ldtr.limit : c->gdtr.limit;

    *at = base + (selector & 0xfff8u);
    return !((selector & 4) && (c->ldtr.attr & SEG_UNUSABLE)) &&
           (selector | 7u) <= limit;
}

static bool read_desc(struct model *m, uint32_t at, uint16_t selector,
                      struct model_desc *d)
{
    d->at = at;
    d->selector = selector;
    if (m->touched_count < MODEL_TOUCHED_MAX)
        m->touched[m->touched_count++] = at;
    return model_read(m, at, &d->raw, 8, false);
}

bool model_descriptor(struct model *m, unsigned vector, uint16_t selector,
                      struct model_desc *d)
{
    uint32_t at;

    if (!model_in_table(m, selector, &at))
        return model_fault_selector(m, vector, selector);
    return read_desc(m, at, selector, d);
}

bool model_mark(struct model *m, struct model_desc *d, uint64_t type_bits)
{
    uint64_t raw = d->raw | type_bits << 40;
    uint8_t byte = (uint8_t)(raw >> 40);

    if (raw == d->raw)
        return true;
    d->raw = raw;
    return model_write(m, d->at + 5, &byte, 1, false);
}

/* SDM 2B "MOV - Move": loading SS, DS, ES, FS, GS. */
bool model_load_data(struct model *m, enum seg seg, uint16_t selector)
{
    struct model_desc d;
    unsigned rpl = selector & 3, cpl = m->cpu.cpl;

    if (selector < 4) {
        if (seg == SEG_SS)
            return model_fault_error(m, EXC_GP, 0);
        m->cpu.seg[seg] =
            (struct segment){.attr = SEG_UNUSABLE, .selector = selector};
        return true;
    }
    if (!model_descriptor(m, EXC_GP, selector, &d))
        return false;
    if (seg == SEG_SS) {
        if (rpl != cpl || !desc_is_writable(&d) || desc_dpl(&d) != cpl)
            return model_fault_selector(m, EXC_GP, selector);
        if (!desc_present(&d))
            return model_fault_selector(m, EXC_SS, selector);
    } else {
        if (!desc_is_readable(&d) ||
            (!desc_is_conforming(&d) &&
             (rpl > desc_dpl(&d) || cpl > desc_dpl(&d))))
            return model_fault_selector(m, EXC_GP, selector);
        if (!desc_present(&d))
            return model_fault_selector(m, EXC_NP, selector);
    }
    if (!model_mark(m, &d, 1))
        return false;
    m->cpu.seg[seg] = desc_load(&d, selector);
    return true;
}

/* ---- Stacks ---- */

static uint32_t sp_mask(const struct segment *ss)
{
    return ss->attr & SEG_DB ? 0xffffffff : 0xffff;
}

bool model_peek(struct model *m, uint32_t depth, unsigned size, uint32_t *value)
{
    uint32_t offset =
        (m->cpu.regs[REG_ESP] + depth) & sp_mask(&m->cpu.seg[SEG_SS]);

    return model_read_seg(m, SEG_SS, offset, size, value);
}

void model_set_sp(struct model *m, uint32_t esp)
{
    uint32_t mask = sp_mask(&m->cpu.seg[SEG_SS]);
    uint32_t *reg = &m->cpu.regs[REG_ESP];

    *reg = (*reg & ~mask) | (esp & mask);
}

struct model_stack model_current_stack(const struct model *m)
{
    return (struct model_stack){.ss = m->cpu.seg[SEG_SS],
                                .esp = m->cpu.regs[REG_ESP]};
}

/* SDM 2A "CALL" and "INT n", MORE- and INTER-PRIVILEGE: SS:ESP of the TSS. */
bool model_inner_stack(struct model *m, unsigned dpl, struct model_stack *s)
{
    const struct segment *tr = &m->cpu.tr;
    bool wide = tr->attr & 8;
    uint32_t at = wide ? dpl * 8 + 4 : dpl * 4 + 2;
    uint16_t raw[3] = {0};
    uint16_t selector;
    struct model_desc d;

    if (at + (wide ? 5 : 3) > tr->limit)
        return model_fault_selector(m, EXC_TS, tr->selector);
    if (!model_read(m, tr->base + at, raw, wide ? 6 : 4, false))
        return false;
    selector = wide ? raw[2] : raw[1];
    if (selector < 4)
        return model_fault_error(m, EXC_TS, 0);
    if (!model_descriptor(m, EXC_TS, selector, &d))
        return false;
    if ((selector & 3u) != dpl || desc_dpl(&d) != dpl || !desc_is_writable(&d))
        return model_fault_selector(m, EXC_TS, selector);
    if (!desc_present(&d))
        return model_fault_selector(m, EXC_SS, selector);
    if (!model_mark(m, &d, 1))
        return false;
    *s = (struct model_stack){.ss = desc_load(&d, selector),
                              .esp = wide ? raw[0] | (uint32_t)raw[1] << 16
                                          : raw[0],
                              .inner = true};
    return true;
}

bool model_room(struct model *m, const struct model_stack *s, unsigned count,
                unsigned size)
{
    for (unsigned i = 1; i <= count; i++)
        if (!limit_allows(&s->ss, (s->esp - i * size) & sp_mask(&s->ss), size))
            return model_fault_selector(m, EXC_SS,
                                        s->inner ? s->ss.selector : 0);
    return true;
}

/* Inner stacks are written with supervisor rights (SDM 3A 4.6.1 "Determination
 * of Access Rights": implicit accesses). */
bool model_push(struct model *m, struct model_stack *s, uint32_t value,
                unsigned size)
{
    uint32_t mask = sp_mask(&s->ss);

    s->esp = (s->esp & ~mask) | ((s->esp - size) & mask);
    return model_write(m, s->ss.base + (s->esp & mask), &value, size,
                       !s->inner && m->cpu.cpl == 3);
}

void model_use_stack(struct model *m, const struct model_stack *s)
{
    m->cpu.seg[SEG_SS] = s->ss;
    model_set_sp(m, s->esp);
}

void model_enter(struct model *m, const struct model_desc *cs, uint32_t eip,
                 unsigned cpl)
{
    m->cpu.seg[SEG_CS] =
        desc_load(cs, (uint16_t)((cs->selector & 0xfffcu) | cpl));
    m->cpu.cpl = cpl;
    m->cpu.eip = eip;
}

/* ---- Events (SDM 2A "INT n/INTO/INT3/INT1", Operation) ---- */

bool model_task_gate(struct model *m, const struct model_desc *gate)
{
    uint16_t selector = (uint16_t)(gate->raw >> 16);
    struct model_desc d;
    uint32_t at;

    if ((selector & 4) || !model_in_table(m, selector, &at))
        return model_fault_selector(m, EXC_GP, selector);
    if (!read_desc(m, at, selector, &d))
        return false;
    if (desc_is_segment(&d) || (desc_type(&d) & 7) != 1)
        return model_fault_selector(m, EXC_GP, selector);
    if (!desc_present(&d))
        return model_fault_selector(m, EXC_NP, selector);
    return model_stop(m);
}

/* Bits 3, 6, 7, 11, 14, 15: error codes name the IDT (SDM 3A 6.13). */
static bool idt_fault(struct model *m, unsigned vector,
                      const struct model_exc *e)
{
    return model_fault_error(m, vector, e->vector * 8 + 2);
}

static bool get_gate(struct model *m, const struct model_exc *e,
                     struct model_desc *gate)
{
    if (e->vector * 8 + 7 > m->cpu.idtr.limit)
        return idt_fault(m, EXC_GP, e);
    if (!read_desc(m, m->cpu.idtr.base + e->vector * 8, 0, gate))
        return false;
    if (desc_is_segment(gate) || !(0xc0e0u >> desc_type(gate) & 1))
        return idt_fault(m, EXC_GP, e);
    if (e->software && desc_dpl(gate) < m->cpu.cpl)
        return idt_fault(m, EXC_GP, e);
    if (!desc_present(gate))
        return idt_fault(m, EXC_NP, e);
    return true;
}

/* SDM 3B 17.3.1.1: RF of the image is set for faults, clear for software
 * interrupts, else what it was. */
static uint32_t flags_image(const struct model *m, const struct model_exc *e)
{
    uint32_t flags = m->cpu.eflags;

    return e->fault ? flags | FLAG_RF : flags;
}

static bool push_frame(struct model *m, struct model_stack *s,
                       const struct model_exc *e, unsigned size)
{
    const struct model_cpu *c = &m->cpu;

    if (s->inner && (!model_push(m, s, c->seg[SEG_SS].selector, size) ||
                     !model_push(m, s, c->regs[REG_ESP], size)))
        return false;
    return model_push(m, s, flags_image(m, e), size) &&
           model_push(m, s, c->seg[SEG_CS].selector, size) &&
           model_push(m, s, e->eip, size) &&
           (!e->has_error || model_push(m, s, e->error, size));
}

static bool deliver_once(struct model *m, const struct model_exc *e)
{
    struct model_stack s = model_current_stack(m);
    struct model_desc gate, cs;
    unsigned dpl, size;
    uint16_t selector;
    uint32_t eip;
    bool inner;

    if (!get_gate(m, e, &gate))
        return false;
    if (desc_type(&gate) == 5)
        return model_task_gate(m, &gate);
    size = desc_type(&gate) & 8 ? 4 : 2;
    selector = (uint16_t)(gate.raw >> 16);
    eip = (uint32_t)((gate.raw & 0xffff) | (gate.raw >> 32 & 0xffff0000));
    if (size == 2)
        eip &= 0xffff;
    if (selector < 4)
        return model_fault_error(m, EXC_GP, 0);
    if (!model_descriptor(m, EXC_GP, selector, &cs))
        return false;
    dpl = desc_dpl(&cs);
    if (!desc_is_code(&cs) || dpl > m->cpu.cpl)
        return model_fault_selector(m, EXC_GP, selector);
    if (!desc_present(&cs))
        return model_fault_selector(m, EXC_NP, selector);
    inner = !desc_is_conforming(&cs) && dpl < m->cpu.cpl;
    if (inner && !model_inner_stack(m, dpl, &s))
        return false;
    if (!model_room(m, &s, (inner ? 5u : 3u) + e->has_error, size))
        return false;
    if (eip > desc_limit(&cs))
        return model_fault_error(m, EXC_GP, 0);
    if (!model_mark(m, &cs, 1) || !push_frame(m, &s, e, size))
        return false;
    model_use_stack(m, &s);
    model_enter(m, &cs, eip, inner ? dpl : m->cpu.cpl);
    m->cpu.eflags &= ~(uint32_t)(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT);
    if (!(desc_type(&gate) & 1))
        m->cpu.eflags &= ~(uint32_t)FLAG_IF;
    return true;
}

/* SDM 3A Table 6-5 "Conditions for Generating a Double Fault". */
static bool is_contributory(const struct model_exc *e)
{
    return e->fault && (e->vector == EXC_DE ||
                        (e->vector >= EXC_TS && e->vector <= EXC_GP));
}

static bool doubles(const struct model_exc *first,
                    const struct model_exc *second)
{
    if (first->fault && first->vector == EXC_PF)
        return is_contributory(second) || second->vector == EXC_PF;
    return is_contributory(first) && is_contributory(second);
}

enum model_end model_deliver(struct model *m)
{
    for (;;) {
        struct model_exc e = m->exc;

        if (e.fault && e.vector == EXC_PF)
            m->cpu.cr2 = e.cr2;
        m->ext = !e.software;
        m->cpu.mov_ss = false;
        if (deliver_once(m, &e))
            return MODEL_DONE;
        if (m->stop)
            return MODEL_STOP;
        if (e.fault && e.vector == EXC_DF)
            return MODEL_SHUTDOWN;
        if (!doubles(&e, &m->exc))
            continue;
        if (m->exc.vector == EXC_PF)
            m->cpu.cr2 = m->exc.cr2;
        model_fault(m, EXC_DF);
        m->exc.has_error = true;
    }
}
