/* SPDX-License-Identifier: MIT */
#include "segment_model.h"

/* One instruction: what loads a segment register, what raises an event. */

/* SDM 2A "LDS/LES/LFS/LGS/LSS": the register last. */
static bool load_far(struct model *m, const struct seg_insn *in)
{
    uint32_t *to = &m->cpu.regs[REG_EDX];
    uint32_t offset, selector;

    if (!model_read_seg(m, SEG_DS, in->at, in->size, &offset) ||
        !model_read_seg(m, SEG_DS, in->at + in->size, 2, &selector) ||
        !model_load_data(m, in->seg, (uint16_t)selector))
        return false;
    *to = in->size == 2 ? (*to & 0xffff0000) | offset : offset;
    return true;
}

static bool load(struct model *m, const struct seg_insn *in)
{
    uint32_t esp = m->cpu.regs[REG_ESP];
    uint32_t value = in->selector;

    switch (in->op) {
    case DO_MOV_MEM:
        if (!model_read_seg(m, SEG_DS, in->at, 2, &value))
            return false;
        break;
    case DO_POP:
        if (!model_peek(m, 0, in->size, &value))
            return false;
        model_set_sp(m, esp + in->size);
        break;
    case DO_LOAD_FAR: return load_far(m, in);
    default: break;
    }
    /* SDM 3A 6.8.3 "Masking Exceptions and Interrupts When Switching Stacks". */
    m->cpu.mov_ss = in->seg == SEG_SS;
    return model_load_data(m, in->seg, (uint16_t)value);
}

/* An event that the instruction asks for; it returns behind it. */
static bool event(struct model *m, const struct seg_insn *in, unsigned vector)
{
    m->exc = (struct model_exc){.vector = vector,
                                .software = in->op != DO_INT1,
                                .eip = m->cpu.eip + in->len};
    return false;
}

static bool execute(struct model *m, const struct seg_insn *in)
{
    uint32_t value;

    switch (in->op) {
    case DO_MOV_REG:
    case DO_MOV_MEM:
    case DO_POP:
    case DO_LOAD_FAR:
        if (!load(m, in))
            return false;
        break;
    case DO_INT: return event(m, in, in->imm);
    case DO_INT3: return event(m, in, EXC_BP);
    case DO_INT1: return event(m, in, EXC_DB);
    case DO_INTO:
        if (m->cpu.eflags & FLAG_OF)
            return event(m, in, EXC_OF);
        break;
    case DO_UD: return model_fault(m, EXC_UD);
    case DO_DIVIDE: return model_fault(m, EXC_DE);
    case DO_READ:
        if (!model_read_seg(m, SEG_DS, in->at, in->size, &value))
            return false;
        if (in->size == 2)
            value |= m->cpu.regs[REG_EAX] & 0xffff0000;
        m->cpu.regs[REG_EAX] = value;
        break;
    default: return model_far(m, in);
    }
    m->cpu.eip += in->len;
    return true;
}

/* SDM 3A 5.3 "Limit Checking", and paging, of the instruction's own bytes. */
static bool fetch(struct model *m, const struct seg_insn *in)
{
    const struct segment *cs = &m->cpu.seg[SEG_CS];
    uint8_t bytes[16];

    if (m->cpu.eip > cs->limit)
        return model_fault_error(m, EXC_GP, 0);
    if (!model_read(m, cs->base + m->cpu.eip, bytes, in->len, m->cpu.cpl == 3))
        return false;
    return (uint64_t)m->cpu.eip + in->len - 1 <= cs->limit ||
           model_fault_error(m, EXC_GP, 0);
}

/* A fault leaves the registers as they were. RF lasts until an instruction has
 * succeeded (SDM 3B 17.3.1.1 "Instruction-Breakpoint Exception Condition");
 * software interrupts push it as 0. */
enum model_end model_step(struct model *m, const struct seg_insn *in)
{
    struct model_cpu old = m->cpu;

    m->ext = 0;
    m->cpu.eflags &= ~(uint32_t)FLAG_RF;
    if (in->op == DO_INTERRUPT) {
        m->cpu.eflags = old.eflags;
        m->exc = (struct model_exc){.vector = in->imm, .eip = old.eip};
        return MODEL_FAULT;
    }
    if (fetch(m, in) && execute(m, in))
        return MODEL_DONE;
    if (m->stop)
        return MODEL_STOP;
    m->cpu = old;
    if (!m->exc.fault)
        m->cpu.eflags &= ~(uint32_t)FLAG_RF;
    return MODEL_FAULT;
}
