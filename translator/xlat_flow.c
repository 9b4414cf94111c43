/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

/*
 * Handlers of control transfers and of what touches IF.
 */

/*
 * r8d is an offset in CS: make it the linear address.
 *   flat:              nothing
 *   limit of 4 GiB:    lea r8d, [r8 + base]
 *   a smaller limit:   lea r10, [r8]; call check
 */
static void code_address(struct xlat *x)
{
    if (x->cs_limit != UINT32_MAX) {
        emit_lea64_rd(&x->e, HOST_R10, HOST_R8, 0);
        emit_call(&x->e, x->config.glue.check[SEG_CS][0][0]);
    } else if (x->cs_base != 0) {
        emit_lea_rd(&x->e, HOST_R8, HOST_R8, (int32_t)x->cs_base);
    }
}

/* A direct branch within the limit of CS. */
static bool is_direct_inside(const struct xlat *x, const struct xlat_insn *xi)
{
    return xlat_is_direct(&xi->in) && xlat_is_in_cs(x, xlat_target(x, xi));
}

/*
 * jmp rel  =>  jmp label | jmp stub | table
 * jmp r/m  =>  mov r8d, r/m; movzx r9d, r8w; jmp [r14 + r9*8]
 */
bool xlat_op_jmp(struct xlat *x, const struct xlat_insn *xi)
{
    bool direct = xlat_is_direct(&xi->in);

    if (xi->in.operand[0].kind == OPERAND_FAR ||
        (direct && !is_direct_inside(x, xi)))
        return false;
    xlat_sync(x);
    if (direct) {
        xlat_goto(x, xi, -1, xlat_target(x, xi));
        return true;
    }
    if (!xlat_load_target(x, xi))
        return false;
    code_address(x);
    emit_jmp_lookup(&x->e);
    return true;
}

/* jcc rel  =>  jcc label | jcc stub */
bool xlat_op_jcc(struct xlat *x, const struct xlat_insn *xi)
{
    if (!is_direct_inside(x, xi))
        return false;
    xlat_sync(x);
    xlat_goto(x, xi, xi->in.cc, xlat_target(x, xi));
    return true;
}

/*
 * loop rel   =>  lea ecx, [rcx - 1]; jecxz 1f; jmp target; 1:
 * jecxz rel  =>  jecxz 1f; jmp 2f; 1: jmp target; 2:
 * With CX, rcx is kept in r9 while ecx is CX. LOOPE and LOOPNE are left to the
 * interpreter.
 */
bool xlat_op_loop(struct xlat *x, const struct xlat_insn *xi)
{
    gip_t target = xlat_target(x, xi);
    bool cut = xi->in.address_size == 2;
    uint32_t zero;
    uint32_t over;

    if (!is_direct_inside(x, xi) || xi->in.opcode < 0xe2)
        return false;
    xlat_sync(x);
    if (xi->in.opcode == 0xe2 && cut)
        emit_lea16_rd(&x->e, HOST_RCX, HOST_RCX, -1);
    else if (xi->in.opcode == 0xe2)
        emit_lea_rd(&x->e, HOST_RCX, HOST_RCX, -1);
    if (cut) {
        emit_mov64_rr(&x->e, HOST_R9, HOST_RCX);
        emit_movzx16_rr(&x->e, HOST_RCX, HOST_RCX);
    }
    zero = emit_jecxz(&x->e);
    if (cut)
        emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
    if (xi->in.opcode == 0xe2) {
        xlat_goto(x, xi, -1, target);
        emit_patch8(&x->e, zero);
        if (cut)
            emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
        return true;
    }
    over = emit_jmp8(&x->e);
    emit_patch8(&x->e, zero);
    if (cut)
        emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
    xlat_goto(x, xi, -1, target);
    emit_patch8(&x->e, over);
    return true;
}

/*
 * call rel  =>  mov dword gs:[r12 + delta - 4], return address
 *               lea r12d, [r12 + delta - 4]
 *               call stub | mov r8d, target; call [table]
 *               (return site)
 * call r/m  =>  mov r8d, r/m; as above; movzx r9d, r8w; call [r14 + r9*8]
 *               (r8 is held while the place on the stack is looked up)
 */
bool xlat_op_call(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    bool direct = xlat_is_direct(in);
    bool hold = !direct && !xlat_ref_is_plain(x, SEG_SS);
    const int32_t size = in->operand_size;
    struct xlat_operand top = xlat_stack(x, -size, in->operand_size, true);
    struct xlat_ref ref;

    if (in->operand[0].kind == OPERAND_FAR ||
        (direct && !is_direct_inside(x, xi)))
        return false;
    if (!direct && !xlat_load_target(x, xi))
        return false;
    if (!direct)
        code_address(x);
    if (hold)
        xlat_hold(x, HOST_TARGET);
    if (!xlat_ref(x, xi, &top, &ref))
        return false;
    xlat_store_i(x, &ref, xlat_eip(x, xlat_next(x, xi)));
    if (hold)
        xlat_held(x, HOST_TARGET);
    xlat_move_stack(x, -size);
    xlat_settle(x);
    if (direct)
        xlat_leave(x, !x->config.no_host_returns, xlat_target(x, xi));
    else if (x->config.no_host_returns)
        emit_jmp_lookup(&x->e);
    else
        emit_call_lookup(&x->e);
    xlat_return_site(x, xi);
    return true;
}

/* ret [n]  =>  mov r8d, gs:[r12 + delta]
 *              lea r12d, [r12 + delta + 4 + n]
 *              ret */
bool xlat_op_ret(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    bool far = in->opcode == 0xca || in->opcode == 0xcb;
    struct xlat_operand top = xlat_stack(x, 0, in->operand_size, false);
    struct xlat_ref ref;

    if (far || !xlat_ref(x, xi, &top, &ref))
        return false;
    xlat_load(x, HOST_TARGET, &ref);
    code_address(x);
    xlat_move_stack(x,
                    in->operand_size + (in->imm_len ? (uint16_t)in->imm : 0));
    xlat_settle(x);
    if (x->config.no_host_returns)
        emit_jmp_lookup(&x->e);
    else
        emit_ret(&x->e);
    return true;
}

/* cli  =>  mov byte [r15 + if_flag], 0
 * SDM 2A "CLI": #GP if IOPL < CPL. */
bool xlat_op_cli(struct xlat *x, const struct xlat_insn *xi)
{
    (void)xi;
    if (!(x->mode & MODE_IF))
        return false;
    emit_store8_di(&x->e, HOST_VCPU, x->config.layout.if_flag, 0);
    return true;
}

/*
 * sti  =>  mov r9, rcx
 *          movzx ecx, byte [r15 + irq_line]
 *          jecxz 1f
 *          mov rcx, r9
 *          (step: an interrupt waits)
 *     1:   mov rcx, r9
 *          mov dword [r15 + sti_gip], next
 *          mov byte [r15 + if_flag], 1
 * A kick between the STI and the next instruction knows by sti_gip to go on to
 * the boundary behind that.
 */
bool xlat_op_sti(struct xlat *x, const struct xlat_insn *xi)
{
    struct ccf_exit *exit;
    uint32_t quiet;

    if (!(x->mode & MODE_IF) || xi->last)
        return false;
    xlat_sync(x);
    emit_mov64_rr(&x->e, HOST_R9, HOST_RCX);
    emit_load8_rd(&x->e, HOST_RCX, HOST_VCPU, x->config.layout.irq_line);
    quiet = emit_jecxz(&x->e);
    emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
    exit = xlat_emit_exit(x, EXIT_STEP, xlat_gip(x, xi));
    exit->uncounted = x->mode & MODE_COUNT ? xi->block_rest : 0;
    exit->resume_gip = xlat_next(x, xi);
    emit_patch8(&x->e, quiet);
    emit_mov64_rr(&x->e, HOST_RCX, HOST_R9);
    emit_store_rd_i(&x->e, HOST_VCPU, x->config.layout.sti_gip,
                    xlat_next(x, xi));
    emit_store8_di(&x->e, HOST_VCPU, x->config.layout.if_flag, 1);
    exit->resume_offset = emit_offset(&x->e);
    return true;
}

/*
 * pushf  =>  pushfq
 *            pop r8                       live flags + 202h
 *            movzx r9d, byte [r15 + if_flag]
 *            lea r9d, [0 + r9*8]          three times: IF is bit 9
 *            lea r8d, [r8 + r9]
 *            mov r9d, [r15 + eflags]      the rest, bit 1 included
 *            lea r8d, [r8 + r9]
 *            lea r8d, [r8 - 202h]
 *            mov gs:[r12 + delta - 4], r8d
 * The bits are disjoint, so that additions, which leave the flags alone, do.
 * RF and VM are 0 in translated code (SDM 2B "PUSHF/PUSHFD").
 */
bool xlat_op_pushf(struct xlat *x, const struct xlat_insn *xi)
{
    static const uint8_t pushfq_pop_r8[] = {0x9c, 0x41, 0x58};
    struct emit *e = &x->e;
    const int32_t size = xi->in.operand_size;
    struct xlat_operand top = xlat_stack(x, -size, xi->in.operand_size, true);

    emit_bytes(e, pushfq_pop_r8, sizeof(pushfq_pop_r8));
    emit_load8_rd(e, HOST_R9, HOST_VCPU, x->config.layout.if_flag);
    for (unsigned i = 0; i < 3; i++)
        emit_lea_times8(e, HOST_R9);
    emit_lea32_rr(e, HOST_R8, HOST_R8, HOST_R9);
    emit_load_rd(e, HOST_R9, HOST_VCPU, x->config.layout.eflags);
    emit_lea32_rr(e, HOST_R8, HOST_R8, HOST_R9);
    emit_lea_rd(e, HOST_R8, HOST_R8, -0x202);
    if (!xlat_store_r8(x, xi, &top))
        return false;
    xlat_move_stack(x, -size);
    return true;
}

/* rdtsc: the TSC offset is 0 and CR4.TSD allows it. */
bool xlat_op_rdtsc(struct xlat *x, const struct xlat_insn *xi)
{
    return (x->mode & MODE_TSC) && xlat_copy(x, xi);
}
