/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

/*
 * Handlers of instructions that are copied, and of data movement with the
 * stack. The emitted host code stands above each handler.
 */

/* Does an explicit operand name ESP or SP as a register? */
static bool names_esp(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++) {
        const struct insn_operand *o = &in->operand[i];

        if (o->kind == OPERAND_REG && !o->hidden && o->index == REG_ESP &&
            o->size >= 2)
            return true;
    }
    return false;
}

static bool names_system_register(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_SEG ||
            in->operand[i].kind == OPERAND_CR ||
            in->operand[i].kind == OPERAND_DR)
            return true;
    return false;
}

static const struct insn_operand *memory_operand(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MEM)
            return &in->operand[i];
    return NULL;
}

/* BT and kin with a register offset reach beyond their operand. */
static bool has_bit_offset(const struct insn *in)
{
    bool bit_test = in->op == OP_BT || in->op == OP_BTS || in->op == OP_BTR ||
                    in->op == OP_BTC;

    return bit_test && in->has_mem && in->operand[1].kind == OPERAND_REG;
}

/* The instruction itself, its memory operand wherever xlat_ref() says. */
bool xlat_copy(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    const struct insn_operand *mem = memory_operand(in);
    struct xlat_operand operand = {.encoded = true};
    struct xlat_ref ref = {.encoded = true};
    struct emit_insn how;

    if (names_system_register(in))
        return false;
    if (in->has_mem && (!in->has_modrm || in->modrm >= 0xc0))
        return false;
    if (names_esp(in))
        xlat_sync(x);
    if (has_bit_offset(in) && in->address_size == 2)
        return false;
    if (has_bit_offset(in) && xlat_ref_calls(x, in->mem.seg))
        return xlat_soft_bit_test(x, xi);
    if (in->has_mem) {
        operand.seg = in->mem.seg;
        operand.size = mem ? mem->size : 0;
        operand.write = mem && mem->written;
        if (!xlat_ref(x, xi, &operand, &ref))
            return false;
    }
    how = (struct emit_insn){.esp_delta = x->delta,
                             .use_base = !ref.encoded,
                             .base = ref.base,
                             .window = ref.window};
    return emit_insn(&x->e, in, &how);
}

void xlat_reencode(struct insn *in)
{
    if (in->map == 0 && (in->opcode & 0xf0) == 0x40) {
        in->modrm = (uint8_t)(0xc0 | (in->opcode & 0xf));
        in->opcode = 0xff;
        in->has_modrm = true;
    } else if (in->map == 0 && in->opcode == 0x82) {
        in->opcode = 0x80;
    }
}

bool xlat_op_copy(struct xlat *x, const struct xlat_insn *xi)
{
    struct xlat_insn other = *xi;

    xlat_reencode(&other.in);
    return xlat_copy(x, &other);
}

/* Some mnemonics are MMX and, with the prefix 66h, SSE2. Without CR4.OSFXSR only
 * the latter are #UD (SDM 3A 2.5 "Control Registers"). */
static bool names_xmm(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_XMM)
            return true;
    return false;
}

bool xlat_op_x87(struct xlat *x, const struct xlat_insn *xi)
{
    uint32_t need = names_xmm(&xi->in) ? MODE_SSE : MODE_X87;

    return (x->mode & need) && xlat_copy(x, xi);
}

bool xlat_op_sse(struct xlat *x, const struct xlat_insn *xi)
{
    return (x->mode & MODE_SSE) && xlat_copy(x, xi);
}

bool xlat_op_nop(struct xlat *x, const struct xlat_insn *xi)
{
    (void)x;
    (void)xi;
    return true;
}

bool xlat_op_fallback(struct xlat *x, const struct xlat_insn *xi)
{
    (void)x;
    (void)xi;
    return false;
}

bool xlat_op_transfer(struct xlat *x, const struct xlat_insn *xi)
{
    (void)x;
    (void)xi;
    return false;
}

/* mov al/ax/eax, [moffs] and back (A0-A3) => 8A 8B 88 89 with [disp32]: in
 * 64-bit mode moffs is eight bytes, and 67h before it stalls the decoder. */
static bool mov_moffs(struct xlat *x, const struct xlat_insn *xi)
{
    static const uint8_t opcode[] = {0x8a, 0x8b, 0x88, 0x89};
    struct xlat_insn other = *xi;

    other.in.opcode = opcode[xi->in.opcode & 3];
    other.in.has_modrm = true;
    other.in.modrm = 0x05;
    other.in.imm_len = 0;
    other.in.disp_len = 4;
    return xlat_copy(x, &other);
}

/* mov r, esp  =>  lea r, [r12 + delta];  mov esp, r  =>  mov r12d, r */
bool xlat_op_mov(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    const struct insn_operand *to = &in->operand[0];
    const struct insn_operand *from = &in->operand[1];

    if (in->has_mem && !in->has_modrm)
        return mov_moffs(x, xi);
    if (to->kind != OPERAND_REG || from->kind != OPERAND_REG || to->size != 4 ||
        from->size != 4 || to->index == from->index)
        return xlat_copy(x, xi);
    if (from->index == REG_ESP) {
        emit_lea_rd(&x->e, host_of(to->index), HOST_ESP, x->delta);
        return true;
    }
    if (to->index == REG_ESP) {
        emit_mov_rr(&x->e, HOST_ESP, host_of(from->index));
        x->delta = 0;
        return true;
    }
    return xlat_copy(x, xi);
}

/* movzx r, word [r15 + selector] */
static void load_selector(struct xlat *x, enum host_reg dst, unsigned seg)
{
    emit_load16_rd(&x->e, dst, HOST_VCPU,
                   x->config.layout.seg +
                       (int32_t)(seg * sizeof(struct segment) +
                                 offsetof(struct segment, selector)));
}

/* mov r32, sreg  =>  movzx r32, word [selector]. Loads of a segment register are
 * left to the interpreter. */
bool xlat_op_mov_seg(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn_operand *to = &xi->in.operand[0];

    if (to->kind != OPERAND_REG || to->size != 4 || to->index == REG_ESP)
        return false;
    load_selector(x, host_of(to->index), xi->in.operand[1].index);
    return true;
}

/* lea r, [ea]; lea esp, [esp + n] only moves the pending delta. */
bool xlat_op_lea(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    unsigned to = in->operand[0].index;
    const struct insn_mem *m = &in->mem;

    if (!in->has_mem)
        return false;
    if (in->operand[0].size == 2) {
        xlat_sync(x);
        xlat_lea(x, HOST_R8, in);
        emit_mov16_rr(&x->e, host_of(to), HOST_R8);
        return true;
    }
    if (!(x->mode & MODE_STACK16) && in->address_size == 4 && to == REG_ESP &&
        m->base == REG_ESP && m->index == INSN_NO_REG && m->disp > -4096 &&
        m->disp < 4096 && x->delta > -16384 && x->delta < 16384) {
        x->delta += m->disp;
        return true;
    }
    xlat_lea(x, host_of(to), in);
    if (to == REG_ESP)
        x->delta = 0;
    return true;
}

/* Load the operand into r8d. */
bool xlat_load_target(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn_operand *o = &xi->in.operand[0];
    struct xlat_operand operand = {
        .seg = xi->in.mem.seg, .size = o->size, .base = HOST_R8};
    struct xlat_ref ref;

    if (o->size != 4 && o->size != 2)
        return false;
    if (o->kind == OPERAND_REG) {
        if (o->index == REG_ESP)
            emit_lea_rd(&x->e, HOST_R8, HOST_ESP, x->delta);
        else
            emit_mov_rr(&x->e, HOST_R8, host_of(o->index));
        if (o->size == 2)
            emit_movzx16_rr(&x->e, HOST_R8, HOST_R8);
    } else if (o->kind == OPERAND_MEM) {
        xlat_lea(x, HOST_R8, &xi->in);
        if (!xlat_ref(x, xi, &operand, &ref))
            return false;
        xlat_load(x, HOST_R8, &ref);
    } else {
        return false;
    }
    return true;
}

/*
 * push r    =>  mov gs:[r12 + delta - 4], r
 * push imm  =>  mov dword gs:[r12 + delta - 4], imm
 * push m    =>  mov r8d, m; mov gs:[r12 + delta - 4], r8d
 * push sreg =>  movzx r8d, word [selector]; as above
 * The delta moves afterwards, so that a fault leaves ESP as it was.
 */
bool xlat_op_push(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    const struct insn_operand *o = &in->operand[0];
    const int32_t size = in->operand_size;
    struct xlat_operand top = xlat_stack(x, -size, in->operand_size, true);
    bool direct = o->kind == OPERAND_REG && o->index != REG_ESP;
    struct xlat_ref ref;

    if (o->kind == OPERAND_IMM || direct) {
        if (!xlat_ref(x, xi, &top, &ref))
            return false;
        if (direct)
            xlat_store(x, &ref, host_of(o->index));
        else
            xlat_store_i(x, &ref, (uint32_t)in->imm);
    } else {
        if (o->kind == OPERAND_SEG)
            load_selector(x, HOST_R8, o->index);
        else if (!xlat_load_target(x, xi))
            return false;
        if (!xlat_store_r8(x, xi, &top))
            return false;
    }
    xlat_move_stack(x, -size);
    return true;
}

/* pop m: the address is computed with ESP as it is after the pop (SDM 2B
 * "POP"): mov r11d, gs:[r12 + delta]; lea r8d, [ea]; mov gs:[r8], r11d.
 * Where the address takes r11: mov [held], r11; (ref); mov r9, [held] */
static bool pop_memory(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    struct xlat_operand top = xlat_stack(x, 0, 4, false);
    struct xlat_operand to = {
        .seg = in->mem.seg, .size = 4, .write = true, .base = HOST_R8};
    struct xlat_ref ref;

    if (in->operand_size != 4 || (x->mode & MODE_STACK16) ||
        !xlat_ref(x, xi, &top, &ref))
        return false;
    xlat_load(x, HOST_R11, &ref);
    if (xlat_ref_calls(x, to.seg))
        xlat_hold(x, HOST_R11);
    x->delta += 4;
    xlat_lea(x, HOST_R8, in);
    if (!xlat_ref(x, xi, &to, &ref))
        return false;
    if (xlat_ref_calls(x, to.seg))
        xlat_held(x, HOST_R11);
    xlat_store(x, &ref, HOST_R11);
    return true;
}

/* pop r    =>  mov r, gs:[r12 + delta]
 * pop r16  =>  movzx r8d, word gs:[r12 + delta]; mov r16, r8w */
bool xlat_op_pop(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    const struct insn_operand *o = &in->operand[0];
    const int32_t size = in->operand_size;
    bool cut = size == 2 || (x->mode & MODE_STACK16);
    struct xlat_operand top = xlat_stack(x, 0, in->operand_size, false);
    struct xlat_ref ref;

    if (o->kind == OPERAND_MEM)
        return pop_memory(x, xi);
    if (o->kind != OPERAND_REG || (o->index == REG_ESP && cut) ||
        !xlat_ref(x, xi, &top, &ref))
        return false;
    if (size == 2) {
        xlat_load(x, HOST_R8, &ref);
        emit_mov16_rr(&x->e, host_of(o->index), HOST_R8);
    } else {
        xlat_load(x, host_of(o->index), &ref);
    }
    if (o->index == REG_ESP)
        x->delta = 0;
    else
        xlat_move_stack(x, size);
    return true;
}

/* leave  =>  mov r8d, gs:[ebp]; lea r12d, [rbp + 4]; mov ebp, r8d */
bool xlat_op_leave(struct xlat *x, const struct xlat_insn *xi)
{
    const uint8_t size = xi->in.operand_size;
    struct xlat_operand frame = {.seg = SEG_SS,
                                 .size = size,
                                 .wrap = x->mode & MODE_STACK16,
                                 .base = HOST_RBP};
    struct xlat_ref ref;

    if (!xlat_ref(x, xi, &frame, &ref))
        return false;
    xlat_load(x, HOST_R8, &ref);
    if (x->mode & MODE_STACK16)
        emit_lea16_rd(&x->e, HOST_ESP, HOST_RBP, size);
    else
        emit_lea_rd(&x->e, HOST_ESP, HOST_RBP, size);
    if (size == 2)
        emit_mov16_rr(&x->e, HOST_RBP, HOST_R8);
    else
        emit_mov_rr(&x->e, HOST_RBP, HOST_R8);
    x->delta = 0;
    return true;
}

/*
 * String forms take 64-bit pointers into the window; r13 is its base, which
 * is 4 GiB aligned, so that truncation gives the guest's register back. ES
 * cannot be overridden to GS, hence no segment prefix. Faults and kicks find
 * the instruction restartable with ecx, esi and edi as they stand.
 *
 *   lea rsi, [rsi + r13]
 *   lea rdi, [rdi + r13]
 *   rep movsd
 *   mov esi, esi
 *   mov edi, edi
 */
bool xlat_op_string(struct xlat *x, const struct xlat_insn *xi)
{
    const struct insn *in = &xi->in;
    unsigned form = in->opcode & 0xfe;
    bool source = form == 0xa4 || form == 0xa6 || form == 0xac;
    bool dest = form != 0xac;

    if (in->address_size != 4)
        return false;
    if (x->soft)
        return xlat_soft_string(x, xi);
    if (source)
        emit_lea64_rr(&x->e, HOST_RSI, HOST_RSI, HOST_WINDOW);
    if (dest)
        emit_lea64_rr(&x->e, HOST_RDI, HOST_RDI, HOST_WINDOW);
    xlat_point(x);
    if (in->operand_size == 2 && (in->opcode & 1))
        emit_u8(&x->e, 0x66);
    if (in->rep != REP_NONE)
        emit_u8(&x->e, in->rep == REP_REPNE ? 0xf2 : 0xf3);
    emit_u8(&x->e, in->opcode);
    if (source)
        emit_mov_rr(&x->e, HOST_RSI, HOST_RSI);
    if (dest)
        emit_mov_rr(&x->e, HOST_RDI, HOST_RDI);
    return true;
}
