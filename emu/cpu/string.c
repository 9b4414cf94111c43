/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/cpu/debug.h"
#include "emu/cpu/flags.h"
#include "emu/cpu/interp_priv.h"
#include "emu/cpu/io.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

/*
 * Plan. A string instruction is one iteration, which moves the index registers
 * when it has succeeded, and a loop around it that counts eCX down, so that a
 * fault or a kick leaves a state from which the instruction goes on (SDM 2B
 * "REP"). MOVS and STOS have a bulk form for what lies in one page of plain RAM
 * and counts up; it does whole elements only, in order, and is invisible.
 */
struct string_op {
    /* One element of size bytes. False with a fault and nothing changed. */
    bool (*iterate)(struct interp *interp, const struct insn *in,
                    unsigned size);

    /* Up to count elements; how many were done, 0 if it does not apply. */
    uint32_t (*bulk)(struct interp *interp, const struct insn *in,
                     unsigned size, uint32_t count);

    bool tests_zf; /* REPE and REPNE end by ZF */
};

static unsigned element_size(const struct insn *in)
{
    return in->opcode & 1 ? in->operand_size : 1;
}

static uint32_t index_of(const struct interp *interp, const struct insn *in,
                         enum reg reg)
{
    return reg_read(interp->vcpu, reg, in->address_size);
}

static void advance(struct interp *interp, const struct insn *in, enum reg reg,
                    uint32_t bytes)
{
    struct vcpu *vcpu = interp->vcpu;

    if (vcpu->eflags & FLAG_DF)
        bytes = -bytes;
    reg_write(vcpu, reg, in->address_size, vcpu->regs[reg] + bytes);
}

static bool load_source(struct interp *interp, const struct insn *in,
                        unsigned size, uint32_t *value)
{
    *value = 0;
    return mem_read(interp, operand_seg(in), index_of(interp, in, REG_ESI),
                    value, size);
}

static bool load_destination(struct interp *interp, const struct insn *in,
                             unsigned size, uint32_t *value)
{
    *value = 0;
    return mem_read(interp, SEG_ES, index_of(interp, in, REG_EDI), value, size);
}

static bool store_destination(struct interp *interp, const struct insn *in,
                              unsigned size, uint32_t value)
{
    return mem_write(interp, SEG_ES, index_of(interp, in, REG_EDI), &value,
                     size);
}

static bool ends_loop(const struct interp *interp, const struct insn *in,
                      const struct string_op *op)
{
    bool zf = (interp->vcpu->eflags & FLAG_ZF) != 0;

    return op->tests_zf && zf != (in->rep == REP_REPE);
}

static uint32_t do_some(struct interp *interp, const struct insn *in,
                        const struct string_op *op, uint32_t count)
{
    unsigned size = element_size(in);
    uint32_t done = 0;

    if (op->bulk != NULL &&
        !(interp->vcpu->eflags & (FLAG_DF | FLAG_TF | FLAG_AC)))
        done = op->bulk(interp, in, size, count);
    if (done > 0)
        return done;
    return op->iterate(interp, in, size) ? 1 : 0;
}

static enum step repeat(struct interp *interp, const struct insn *in,
                        const struct string_op *op)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t count = index_of(interp, in, REG_ECX);

    while (count > 0) {
        uint32_t done = do_some(interp, in, op, count);

        if (done == 0)
            return STEP_FAULT;
        count -= done;
        reg_write(vcpu, REG_ECX, in->address_size, count);
        if (ends_loop(interp, in, op))
            break;
        if (count > 0 && (interp_is_kicked(vcpu) || interp->watch_hit != 0 ||
                          (vcpu->eflags & FLAG_TF)))
            return STEP_AGAIN;
    }
    return STEP_NEXT;
}

static enum step run_string(struct interp *interp, const struct insn *in,
                            const struct string_op *op)
{
    if (in->rep != REP_NONE)
        return repeat(interp, in, op);
    return op->iterate(interp, in, element_size(in)) ? STEP_NEXT : STEP_FAULT;
}

/* Plain RAM at an index register, without wrapping a 16-bit address. */
static uint32_t plain_run(struct interp *interp, const struct insn *in,
                          enum seg seg, enum reg reg, bool write, uint32_t len,
                          uint8_t **hva)
{
    uint32_t offset = index_of(interp, in, reg);

    if (in->address_size == 2 && len > 0x10000 - offset)
        len = 0x10000 - offset;
    return mem_plain_run(interp, seg, offset, write, len, hva);
}

/* Bytes of a page's worth of elements at most. */
static uint32_t bulk_len(unsigned size, uint32_t count)
{
    return count < PAGE_SIZE ? count * size : PAGE_SIZE;
}

/* Where the destination starts within the source, elements just stored are
 * read again: copy in order. */
static void copy_forward(uint8_t *to, const uint8_t *from, uint32_t len,
                         unsigned size)
{
    if ((uintptr_t)to - (uintptr_t)from >= len) {
        memmove(to, from, len);
        return;
    }
    for (uint32_t i = 0; i < len; i += size)
        memmove(to + i, from + i, size);
}

static uint32_t movs_bulk(struct interp *interp, const struct insn *in,
                          unsigned size, uint32_t count)
{
    uint32_t len = bulk_len(size, count);
    uint8_t *from;
    uint8_t *to;

    len = plain_run(interp, in, operand_seg(in), REG_ESI, false, len, &from);
    if (len >= size)
        len = plain_run(interp, in, SEG_ES, REG_EDI, true, len, &to);
    if (len < size)
        return 0;
    len -= len % size;
    copy_forward(to, from, len, size);
    advance(interp, in, REG_ESI, len);
    advance(interp, in, REG_EDI, len);
    return len / size;
}

static bool movs_once(struct interp *interp, const struct insn *in,
                      unsigned size)
{
    uint32_t value;

    if (!load_source(interp, in, size, &value) ||
        !store_destination(interp, in, size, value))
        return false;
    advance(interp, in, REG_ESI, size);
    advance(interp, in, REG_EDI, size);
    return true;
}

enum step interp_movs(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {movs_once, movs_bulk, false};

    return run_string(interp, in, &op);
}

/* The first element, and then copies of what is there already. */
static void fill(uint8_t *to, uint32_t value, uint32_t len, unsigned size)
{
    uint32_t done = size;

    memcpy(to, &value, size);
    while (done < len) {
        uint32_t step = done < len - done ? done : len - done;

        memcpy(to + done, to, step);
        done += step;
    }
}

static uint32_t stos_bulk(struct interp *interp, const struct insn *in,
                          unsigned size, uint32_t count)
{
    uint32_t len = bulk_len(size, count);
    uint8_t *to;

    len = plain_run(interp, in, SEG_ES, REG_EDI, true, len, &to);
    len -= len % size;
    if (len == 0)
        return 0;
    fill(to, interp->vcpu->regs[REG_EAX], len, size);
    advance(interp, in, REG_EDI, len);
    return len / size;
}

static bool stos_once(struct interp *interp, const struct insn *in,
                      unsigned size)
{
    if (!store_destination(interp, in, size, interp->vcpu->regs[REG_EAX]))
        return false;
    advance(interp, in, REG_EDI, size);
    return true;
}

enum step interp_stos(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {stos_once, stos_bulk, false};

    return run_string(interp, in, &op);
}

static bool lods_once(struct interp *interp, const struct insn *in,
                      unsigned size)
{
    uint32_t value;

    if (!load_source(interp, in, size, &value))
        return false;
    reg_write(interp->vcpu, REG_EAX, size, value);
    advance(interp, in, REG_ESI, size);
    return true;
}

enum step interp_lods(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {lods_once, NULL, false};

    return run_string(interp, in, &op);
}

static void set_compare_flags(struct vcpu *vcpu, uint32_t a, uint32_t b,
                              unsigned size)
{
    flags_set(vcpu, FLAGS_ARITH, flags_of_sub(a, b, a - b, size));
}

static bool scas_once(struct interp *interp, const struct insn *in,
                      unsigned size)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t value;

    if (!load_destination(interp, in, size, &value))
        return false;
    set_compare_flags(vcpu, reg_read(vcpu, REG_EAX, size), value, size);
    advance(interp, in, REG_EDI, size);
    return true;
}

enum step interp_scas(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {scas_once, NULL, true};

    return run_string(interp, in, &op);
}

static bool cmps_once(struct interp *interp, const struct insn *in,
                      unsigned size)
{
    uint32_t a;
    uint32_t b;

    if (!load_source(interp, in, size, &a) ||
        !load_destination(interp, in, size, &b))
        return false;
    set_compare_flags(interp->vcpu, a, b, size);
    advance(interp, in, REG_ESI, size);
    advance(interp, in, REG_EDI, size);
    return true;
}

enum step interp_cmps(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {cmps_once, NULL, true};

    return run_string(interp, in, &op);
}

static uint16_t port_of(const struct interp *interp)
{
    return (uint16_t)interp->vcpu->regs[REG_EDX];
}

/* The store is checked first: a port must not be read twice. */
static bool ins_once(struct interp *interp, const struct insn *in,
                     unsigned size)
{
    uint16_t port = port_of(interp);
    uint32_t value;

    if (!io_check_permission(interp, port, size) ||
        !mem_probe_write(interp, SEG_ES, index_of(interp, in, REG_EDI), size))
        return false;
    value = io_read_port(interp, port, size);
    if (!store_destination(interp, in, size, value))
        return false;
    advance(interp, in, REG_EDI, size);
    return true;
}

enum step interp_ins(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {ins_once, NULL, false};

    return run_string(interp, in, &op);
}

static bool outs_once(struct interp *interp, const struct insn *in,
                      unsigned size)
{
    uint16_t port = port_of(interp);
    uint32_t value;

    if (!io_check_permission(interp, port, size) ||
        !load_source(interp, in, size, &value))
        return false;
    io_write_port(interp, port, size, value);
    advance(interp, in, REG_ESI, size);
    return true;
}

enum step interp_outs(struct interp *interp, const struct insn *in)
{
    static const struct string_op op = {outs_once, NULL, false};

    return run_string(interp, in, &op);
}
