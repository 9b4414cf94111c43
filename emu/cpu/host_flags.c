/* SPDX-License-Identifier: MIT */
#include "emu/cpu/host_flags.h"

/*
 * One function for each form and operand size:
 *
 *   shifts, rotates   EAX by CL          MUL, IMUL   EAX and ECX
 *   SHLD, SHRD        EAX, EDX by CL     DIV, IDIV   EDX:EAX by ECX
 *   BT and kin        EAX, bit ECX       BSF, BSR    ECX into EAX
 *
 * Which form a memory or immediate operand has makes no difference to flags.
 */
typedef uint32_t host_fn(const struct host_flags_input *input);

/* The red zone is stepped over before anything is pushed. */
#define DEFINE(name, text)                                     \
    static uint32_t name(const struct host_flags_input *input) \
    {                                                          \
        uint64_t flags = (input->flags & FLAGS_ARITH) | 0x202; \
        uint32_t eax = input->eax;                             \
        uint32_t edx = input->edx;                             \
                                                               \
        __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"          \
                         "push %0\n\t"                         \
                         "popfq\n\t" text "\n\t"               \
                         "pushfq\n\t"                          \
                         "pop %0\n\t"                          \
                         "lea 128(%%rsp), %%rsp"               \
                         : "+r"(flags), "+a"(eax), "+d"(edx)   \
                         : "c"(input->ecx)                     \
                         : "cc", "memory");                    \
        return (uint32_t)flags;                                \
    }

#define SIZES(name, byte, word, dword) \
    DEFINE(name##_1, byte)             \
    DEFINE(name##_2, word)             \
    DEFINE(name##_4, dword)

#define SHIFT(name)                                         \
    SIZES(name, #name "b %%cl, %%al", #name "w %%cl, %%ax", \
          #name "l %%cl, %%eax")
#define UNARY(name) SIZES(name, #name "b %%cl", #name "w %%cx", #name "l %%ecx")
#define WIDE(name, word, dword) \
    DEFINE(name##_2, word)      \
    DEFINE(name##_4, dword)
#define BINARY(name) WIDE(name, #name "w %%cx, %%ax", #name "l %%ecx, %%eax")

SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
UNARY(mul)
UNARY(imul)
UNARY(div)
UNARY(idiv)
WIDE(imul2, "imulw %%cx, %%ax", "imull %%ecx, %%eax")
WIDE(shld, "shldw %%cl, %%dx, %%ax", "shldl %%cl, %%edx, %%eax")
WIDE(shrd, "shrdw %%cl, %%dx, %%ax", "shrdl %%cl, %%edx, %%eax")
BINARY(bsf)
BINARY(bsr)
BINARY(bt)
BINARY(bts)
BINARY(btr)
BINARY(btc)

#define ROW3(name)                   \
    {                                \
        name##_1, name##_2, name##_4 \
    }
#define ROW2(name)               \
    {                            \
        NULL, name##_2, name##_4 \
    }

/* By operand size: 1, 2, 4. */
static host_fn *const functions[OP_COUNT][3] = {
    [OP_ROL] = ROW3(rol),   [OP_ROR] = ROW3(ror),   [OP_RCL] = ROW3(rcl),
    [OP_RCR] = ROW3(rcr),   [OP_SHL] = ROW3(shl),   [OP_SHR] = ROW3(shr),
    [OP_SAR] = ROW3(sar),   [OP_MUL] = ROW3(mul),   [OP_IMUL] = ROW3(imul),
    [OP_DIV] = ROW3(div),   [OP_IDIV] = ROW3(idiv), [OP_SHLD] = ROW2(shld),
    [OP_SHRD] = ROW2(shrd), [OP_BSF] = ROW2(bsf),   [OP_BSR] = ROW2(bsr),
    [OP_BT] = ROW2(bt),     [OP_BTS] = ROW2(bts),   [OP_BTR] = ROW2(btr),
    [OP_BTC] = ROW2(btc),
};
static host_fn *const imul2[3] = ROW2(imul2);

static bool is_imul2(const struct insn *in)
{
    return in->op == OP_IMUL && (in->map != 0 || in->opcode < 0xf6);
}

void host_flags_run(struct interp *interp, const struct insn *in,
                    const struct host_flags_input *input)
{
    struct vcpu *vcpu = interp->vcpu;
    host_fn *const *row = is_imul2(in) ? imul2 : functions[in->op];
    host_fn *fn = row[in->operand[0].size >> 1];
    uint32_t undefined =
        (insn_undefined_flags(in->op) | in->flags_undefined) & FLAGS_ARITH;

    if (fn == NULL)
        return;
    vcpu->eflags = (vcpu->eflags & ~undefined) | (fn(input) & undefined);
}
