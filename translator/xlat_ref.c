/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

/*
 * Memory operands: how the linear address is made, and where that is in the
 * host. xlat_priv.h has the plan.
 */

enum seg_kind xlat_seg_kind(const struct xlat *x, unsigned seg)
{
    return mode_seg_kind(x->mode, seg);
}

bool xlat_ref_is_plain(const struct xlat *x, unsigned seg)
{
    return !x->soft && xlat_seg_kind(x, seg) == SEG_KIND_FLAT &&
           !(seg == SEG_SS && (x->mode & MODE_STACK16));
}

bool xlat_ref_calls(const struct xlat *x, unsigned seg)
{
    return x->soft || xlat_seg_kind(x, seg) >= SEG_KIND_LIMITED;
}

/* clang-format off */
static const uint8_t add_last[] = {
    0x4a, 0x8d, 0x0c, 0x11,             /* lea rcx, [rcx + r10] */
};
static const uint8_t upper_rcx[] = {
    0xc4, 0xe3, 0xfb, 0xf0, 0xc9, 32,   /* rorx rcx, rcx, 32 */
};
static const uint8_t not_first[] = {
    0x45, 0x89, 0xc1,                   /* mov r9d, r8d */
    0x41, 0xf7, 0xd1,                   /* not r9d */
};
static const uint8_t upper_r9[] = {
    0xc4, 0x43, 0xfb, 0xf0, 0xc9, 32,   /* rorx r9, r9, 32 */
};
/* clang-format on */

/* reg = the upper half of reg. Without BMI2 through memory. */
static void emit_upper_half(struct emit *e, const struct xlat_config *config,
                            enum host_reg reg)
{
    int32_t scratch = config->layout.soft_pc;

    if (!config->has_bmi2) {
        emit_store64_rd(e, HOST_VCPU, scratch, reg);
        emit_load_rd(e, reg, HOST_VCPU, scratch + 4);
    } else if (reg == HOST_RCX) {
        emit_bytes(e, upper_rcx, sizeof(upper_rcx));
    } else {
        emit_bytes(e, upper_r9, sizeof(upper_r9));
    }
}

/* mov r9d, [r15 + base]; lea r8d, [r8 + r9] */
static void emit_add_base(struct emit *e, const struct xlat_layout *layout,
                          unsigned seg)
{
    emit_load_rd(e, HOST_R9, HOST_VCPU, layout->seg_base + 4 * (int32_t)seg);
    emit_lea32_rr(e, HOST_R8, HOST_R8, HOST_R9);
}

/*
 * The check of an offset (struct seg_check), which makes a linear address of it.
 * Without the guest's flags, it is a carry into bit 32 that tells:
 *
 *      (r8d = offset)
 *      lea   r10, [r8 + size - 1]
 *      call  check
 *      (r8d = linear address)
 *
 *   check:
 *      mov   r11, rcx
 *      mov   rcx, [r15 + read or write]
 *      lea   rcx, [rcx + r10]
 *      rorx  rcx, rcx, 32              0 if the last byte is within
 *      mov   r9d, r8d                  DOWN only
 *      not   r9d
 *      mov   r10d, [r15 + low]
 *      lea   r9, [r9 + r10]
 *      rorx  r9, r9, 32                0 if the first byte is
 *      lea   ecx, [rcx + r9]
 *      jecxz 1f
 *      mov   rcx, r11
 *      jmp   denied
 *  1:  mov   rcx, r11
 *      mov   r9d, [r15 + base]
 *      lea   r8d, [r8 + r9]
 *      ret
 */
void xlat_write_check(struct emit *e, const struct xlat_config *config,
                      enum seg seg, bool write, bool down, uint64_t denied)
{
    int32_t at =
        config->layout.seg_check + (int32_t)(seg * sizeof(struct seg_check));
    uint32_t within;

    emit_mov64_rr(e, HOST_R11, HOST_RCX);
    emit_load64_rd(e, HOST_RCX, HOST_VCPU,
                   at + (int32_t)(write ? offsetof(struct seg_check, write)
                                        : offsetof(struct seg_check, read)));
    emit_bytes(e, add_last, sizeof(add_last));
    emit_upper_half(e, config, HOST_RCX);
    if (down) {
        emit_bytes(e, not_first, sizeof(not_first));
        emit_load_rd(e, HOST_R10, HOST_VCPU,
                     at + (int32_t)offsetof(struct seg_check, low));
        emit_lea64_rr(e, HOST_R9, HOST_R9, HOST_R10);
        emit_upper_half(e, config, HOST_R9);
        emit_lea32_rr(e, HOST_RCX, HOST_RCX, HOST_R9);
    }
    within = emit_jecxz(e);
    emit_mov64_rr(e, HOST_RCX, HOST_R11);
    emit_jmp(e, denied);
    emit_patch8(e, within);
    emit_mov64_rr(e, HOST_RCX, HOST_R11);
    emit_add_base(e, &config->layout, seg);
    emit_ret(e);
}

static void check(struct xlat *x, const struct xlat_operand *operand)
{
    bool down = xlat_seg_kind(x, operand->seg) == SEG_KIND_DOWN;

    uint64_t function =
        x->config.glue.check[operand->seg][operand->write][down];

    ENSURE(function);
    emit_lea64_rd(&x->e, HOST_R10, HOST_R8, operand->size - 1);
    emit_call(&x->e, function);
}

/*
 * lea r8d, [offset]
 * FLAT:   nothing
 * BASED:  mov r9d, [r15 + base]; lea r8d, [r8 + r9]
 * others: lea r10, [r8 + size - 1]; call check
 */
static void linear_address(struct xlat *x, const struct xlat_insn *xi,
                           const struct xlat_operand *operand)
{
    struct emit *e = &x->e;

    if (operand->encoded)
        xlat_lea(x, HOST_R8, &xi->in);
    else if (operand->base != HOST_R8 || operand->disp)
        emit_lea_rd(e, HOST_R8, operand->base, operand->disp);
    if (operand->wrap)
        emit_movzx16_rr(e, HOST_R8, HOST_R8);
    switch (xlat_seg_kind(x, operand->seg)) {
    case SEG_KIND_FLAT: break;
    case SEG_KIND_BASED:
        emit_add_base(e, &x->config.layout, operand->seg);
        break;
    case SEG_KIND_LIMITED:
    case SEG_KIND_DOWN: check(x, operand); break;
    }
}

bool xlat_ref(struct xlat *x, const struct xlat_insn *xi,
              const struct xlat_operand *operand, struct xlat_ref *ref)
{
    if (xlat_ref_calls(x, operand->seg) && operand->size == 0)
        return false;
    if (xlat_ref_is_plain(x, operand->seg) &&
        !(operand->encoded && xi->in.address_size == 2)) {
        *ref = (struct xlat_ref){.window = true,
                                 .size = operand->size,
                                 .encoded = operand->encoded,
                                 .base = operand->base,
                                 .disp = operand->disp};
        return true;
    }
    linear_address(x, xi, operand);
    if (x->soft)
        xlat_probe(x, operand->size, operand->write);
    *ref = (struct xlat_ref){
        .window = !x->soft, .size = operand->size, .base = HOST_R8};
    return true;
}

void xlat_lea(struct xlat *x, enum host_reg dst, const struct insn *in)
{
    emit_lea_operand(&x->e, dst, in, x->delta);
    if (in->address_size == 2)
        emit_movzx16_rr(&x->e, dst, dst);
}

void xlat_move_stack(struct xlat *x, int32_t by)
{
    if (x->mode & MODE_STACK16)
        emit_lea16_rd(&x->e, HOST_ESP, HOST_ESP, by);
    else
        x->delta += by;
}

struct xlat_operand xlat_stack(const struct xlat *x, int32_t disp,
                               unsigned size, bool write)
{
    return (struct xlat_operand){.seg = SEG_SS,
                                 .size = (uint8_t)size,
                                 .write = write,
                                 .wrap = x->mode & MODE_STACK16,
                                 .base = HOST_ESP,
                                 .disp = x->delta + disp};
}

void xlat_load(struct xlat *x, enum host_reg dst, const struct xlat_ref *ref)
{
    ASSERT(!ref->encoded);
    if (ref->size == 2 && ref->window)
        emit_load16_window(&x->e, dst, ref->base, ref->disp);
    else if (ref->size == 2)
        emit_load16_rd(&x->e, dst, ref->base, ref->disp);
    else if (ref->window)
        emit_load_window(&x->e, dst, ref->base, ref->disp);
    else
        emit_load_rd(&x->e, dst, ref->base, ref->disp);
}

void xlat_store(struct xlat *x, const struct xlat_ref *ref, enum host_reg src)
{
    ASSERT(!ref->encoded);
    if (ref->size == 2)
        emit_u8(&x->e, 0x66);
    if (ref->window)
        emit_store_window(&x->e, ref->base, ref->disp, src);
    else
        emit_store_rd(&x->e, ref->base, ref->disp, src);
}

void xlat_store_i(struct xlat *x, const struct xlat_ref *ref, uint32_t value)
{
    ASSERT(!ref->encoded);
    if (ref->size == 2) {
        emit_mov_ri(&x->e, HOST_R9, value & 0xffff);
        xlat_store(x, ref, HOST_R9);
        return;
    }
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
