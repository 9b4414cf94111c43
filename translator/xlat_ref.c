/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

/*
 * Memory operands: how the linear address is made, and where that is in the
 * host. xlat_priv.h has the plan.
 */

static bool has_segment_base(unsigned seg)
{
    return seg == SEG_FS || seg == SEG_GS;
}

static bool is_usable(const struct xlat *x, unsigned seg)
{
    return !has_segment_base(seg) ||
           (x->mode & (seg == SEG_FS ? MODE_FS : MODE_GS));
}

bool xlat_ref_is_plain(const struct xlat *x, unsigned seg)
{
    return !x->soft && !has_segment_base(seg);
}

/*
 * lea r8d, [offset]
 * mov r9d, [r15 + base of FS or GS]    FS and GS only
 * lea r8d, [r8 + r9]
 */
static void linear_address(struct xlat *x, const struct xlat_insn *xi,
                           const struct xlat_operand *operand)
{
    struct emit *e = &x->e;

    if (operand->encoded)
        emit_lea_operand(e, HOST_R8, &xi->in, x->delta);
    else if (operand->base != HOST_R8 || operand->disp)
        emit_lea_rd(e, HOST_R8, operand->base, operand->disp);
    if (has_segment_base(operand->seg)) {
        emit_load_rd(e, HOST_R9, HOST_VCPU,
                     x->config.layout.seg_base + 4 * operand->seg);
        emit_lea32_rr(e, HOST_R8, HOST_R8, HOST_R9);
    }
}

bool xlat_ref(struct xlat *x, const struct xlat_insn *xi,
              const struct xlat_operand *operand, struct xlat_ref *ref)
{
    if (!is_usable(x, operand->seg) || (x->soft && operand->size == 0))
        return false;
    if (xlat_ref_is_plain(x, operand->seg)) {
        *ref = (struct xlat_ref){.window = true,
                                 .encoded = operand->encoded,
                                 .base = operand->base,
                                 .disp = operand->disp};
        return true;
    }
    linear_address(x, xi, operand);
    if (x->soft)
        xlat_probe(x, operand->size, operand->write);
    *ref = (struct xlat_ref){.window = !x->soft, .base = HOST_R8};
    return true;
}

struct xlat_operand xlat_stack(const struct xlat *x, int32_t disp, bool write)
{
    return (struct xlat_operand){.seg = SEG_SS,
                                 .size = 4,
                                 .write = write,
                                 .base = HOST_ESP,
                                 .disp = x->delta + disp};
}

void xlat_load(struct xlat *x, enum host_reg dst, const struct xlat_ref *ref)
{
    ASSERT(!ref->encoded);
    if (ref->window)
        emit_load_window(&x->e, dst, ref->base, ref->disp);
    else
        emit_load_rd(&x->e, dst, ref->base, ref->disp);
}

void xlat_store(struct xlat *x, const struct xlat_ref *ref, enum host_reg src)
{
    ASSERT(!ref->encoded);
    if (ref->window)
        emit_store_window(&x->e, ref->base, ref->disp, src);
    else
        emit_store_rd(&x->e, ref->base, ref->disp, src);
}

void xlat_store_i(struct xlat *x, const struct xlat_ref *ref, uint32_t value)
{
    ASSERT(!ref->encoded);
    if (ref->window)
        emit_store_window_i(&x->e, ref->base, ref->disp, value);
    else
        emit_store_rd_i(&x->e, ref->base, ref->disp, value);
}

void xlat_hold(struct xlat *x, enum host_reg reg)
{
    emit_store64_rd(&x->e, HOST_VCPU, x->config.layout.held, reg);
}

void xlat_held(struct xlat *x, enum host_reg reg)
{
    emit_load64_rd(&x->e, reg, HOST_VCPU, x->config.layout.held);
}

/* Where the address takes r8: mov [held], r8; (ref); mov r9, [held] */
bool xlat_store_r8(struct xlat *x, const struct xlat_insn *xi,
                   const struct xlat_operand *operand)
{
    bool plain = xlat_ref_is_plain(x, operand->seg);
    struct xlat_ref ref;

    if (!plain)
        xlat_hold(x, HOST_R8);
    if (!xlat_ref(x, xi, operand, &ref))
        return false;
    if (!plain)
        xlat_held(x, HOST_R9);
    xlat_store(x, &ref, plain ? HOST_R8 : HOST_R9);
    return true;
}
