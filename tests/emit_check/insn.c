/* SPDX-License-Identifier: MIT */
#include "emit_check_priv.h"

/*
 * Which instructions there may be, which registers they may name, which flags they
 * may write.
 */

/* The translator's own: anywhere, or for the guest instructions of a handler. */
static const struct {
    uint16_t mnemonic;
    uint8_t handler; /* HANDLER_none: of any */
} own[] = {
    {ZYDIS_MNEMONIC_MOV,    HANDLER_none  },
    {ZYDIS_MNEMONIC_LEA,    HANDLER_none  },
    {ZYDIS_MNEMONIC_MOVZX,  HANDLER_none  },
    {ZYDIS_MNEMONIC_JMP,    HANDLER_none  },
    {ZYDIS_MNEMONIC_JECXZ,  HANDLER_none  },
    {ZYDIS_MNEMONIC_CALL,   HANDLER_none  },
    {ZYDIS_MNEMONIC_RET,    HANDLER_ret   },
    {ZYDIS_MNEMONIC_PUSHFQ, HANDLER_pushf },
    {ZYDIS_MNEMONIC_POP,    HANDLER_pushf },
    {ZYDIS_MNEMONIC_NOT,    HANDLER_string},
    {ZYDIS_MNEMONIC_NOT,    HANDLER_copy  },
    {ZYDIS_MNEMONIC_MOVSX,  HANDLER_copy  },
    {ZYDIS_MNEMONIC_SARX,   HANDLER_copy  },
    {ZYDIS_MNEMONIC_SHLX,   HANDLER_copy  },
};

/* Of probes and limit checks. */
static const uint16_t of_functions[] = {
    ZYDIS_MNEMONIC_MOV,  ZYDIS_MNEMONIC_LEA,   ZYDIS_MNEMONIC_MOVZX,
    ZYDIS_MNEMONIC_NOT,  ZYDIS_MNEMONIC_JECXZ, ZYDIS_MNEMONIC_JMP,
    ZYDIS_MNEMONIC_RORX, ZYDIS_MNEMONIC_SHRX,  ZYDIS_MNEMONIC_RET,
};

static bool is_own(const struct emit_check *check, const struct host_insn *h)
{
    if (check->unit != UNIT_CCF) {
        for (unsigned i = 0; i < ARRAY_COUNT(of_functions); i++)
            if (of_functions[i] == h->in.mnemonic)
                return true;
        return false;
    }
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        if (own[i].mnemonic == h->in.mnemonic &&
            (own[i].handler == HANDLER_none ||
             own[i].handler == check->guest.handler))
            return true;
    return h->in.mnemonic == ZYDIS_MNEMONIC_JRCXZ &&
           (check->mode & MODE_CHECKED);
}

static bool is_flagless_shift(ZydisMnemonic mnemonic)
{
    return mnemonic == ZYDIS_MNEMONIC_SARX || mnemonic == ZYDIS_MNEMONIC_SHLX ||
           mnemonic == ZYDIS_MNEMONIC_RORX || mnemonic == ZYDIS_MNEMONIC_SHRX;
}

static bool is_encoding(const struct emit_check *check,
                        const struct host_insn *h)
{
    if (is_flagless_shift(h->in.mnemonic))
        return h->in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
               check->config.has_bmi2;
    return h->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
}

/* ---- Registers ---- */

static bool is_special(ZydisRegister reg)
{
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_FLAGS:
    case ZYDIS_REGCLASS_IP: return true;
    default:
        return reg == ZYDIS_REGISTER_X87CONTROL ||
               reg == ZYDIS_REGISTER_X87STATUS ||
               reg == ZYDIS_REGISTER_X87TAG || reg == ZYDIS_REGISTER_MXCSR;
    }
}

static bool moves_rsp(const struct host_insn *h)
{
    return h->in.mnemonic == ZYDIS_MNEMONIC_CALL ||
           h->in.mnemonic == ZYDIS_MNEMONIC_RET ||
           h->in.mnemonic == ZYDIS_MNEMONIC_PUSHFQ ||
           h->in.mnemonic == ZYDIS_MNEMONIC_POP;
}

static bool is_register_allowed(const struct emit_check *check,
                                const struct host_insn *h,
                                const ZydisDecodedOperand *o)
{
    ZydisRegister reg = o->reg.value;
    unsigned number = register_number(reg);
    bool write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    bool guests = number < R_R8 || number == R_R12;

    if (number == R_NONE)
        return is_special(reg);
    /* What only REX gives. */
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_DIL)
        return false;
    if (number == R_RSP)
        return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && moves_rsp(h);
    /* Where they are is the host's secret, too. */
    if (number >= R_R13)
        return false;
    /* Copied instructions have no business with the scratch registers. */
    return guests || !write || is_own(check, h);
}

/* LEA names the window's base for string instructions, and nothing else of the
 * monitor's. */
static bool is_address_allowed(const struct host_insn *h)
{
    const ZydisDecodedOperandMem *m = &h->op[1].mem;
    unsigned base = register_number(m->base);
    unsigned index = register_number(m->index);
    unsigned to = register_number(h->op[0].reg.value);

    if (h->in.mnemonic != ZYDIS_MNEMONIC_LEA)
        return true;
    if (index == R_R13)
        return h->op[0].size == 64 && base == to &&
               (to == R_RSI || to == R_RDI);
    return (base == R_NONE || (base < R_R13 && base != R_RSP)) &&
           (index == R_NONE || index < R_R13);
}

/* ---- The rest ---- */

/* Branches and the stack's instructions: near, of 64 bits, with no prefix but that
 * of JECXZ, and RET without a number. */
static bool is_form_allowed(const struct host_insn *h)
{
    bool jecxz = h->in.mnemonic == ZYDIS_MNEMONIC_JECXZ;

    if (h->in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return false;
    if (h->in.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE && !moves_rsp(h))
        return true;
    for (unsigned i = 0; i < h->in.raw.prefix_count; i++) {
        uint8_t prefix = h->in.raw.prefixes[i].value;

        if (!(prefix == 0x67 && jecxz) && (prefix & 0xf0) != 0x40)
            return false;
    }
    return h->in.mnemonic != ZYDIS_MNEMONIC_RET || h->in.length == 1;
}

/* 64-bit operations are the translator's own, and do no arithmetic but LEA's. */
static bool is_wide_allowed(const struct emit_check *check,
                            const struct host_insn *h)
{
    if (h->in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
        return !h->in.raw.vex.W || check->unit == UNIT_LIMIT;
    if (!(h->in.attributes & ZYDIS_ATTRIB_HAS_REX) || !h->in.raw.rex.W)
        return true;
    return h->in.mnemonic == ZYDIS_MNEMONIC_MOV ||
           h->in.mnemonic == ZYDIS_MNEMONIC_LEA ||
           h->in.mnemonic == ZYDIS_MNEMONIC_NOT;
}

static bool are_flags_allowed(const struct host_insn *h, bool copied)
{
    const uint32_t allowed = copied ? FLAGS_ARITH | FLAG_DF : 0;
    const ZydisAccessedFlags *flags = h->in.cpu_flags;

    return flags == NULL || !((flags->modified | flags->set_0 | flags->set_1 |
                               flags->undefined) &
                              ~allowed);
}

bool insn_judge(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];
    bool copied = copy_is_guests(check, h);

    if (!h->before.reached)
        return emit_refuse(check, index, "code that nothing leads to");
    if (!copied && !is_own(check, h))
        return emit_refuse(check, index, "a foreign instruction");
    if (!is_encoding(check, h))
        return emit_refuse(check, index, "not a legacy encoding");
    for (unsigned i = 0; i < h->in.operand_count; i++)
        if (h->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            !is_register_allowed(check, h, &h->op[i]))
            return emit_refuse(check, index, "a register of the monitor");
    if (!is_address_allowed(h))
        return emit_refuse(check, index, "a register of the monitor");
    if (!is_form_allowed(h))
        return emit_refuse(check, index, "another form of a branch");
    if (!is_wide_allowed(check, h))
        return emit_refuse(check, index, "a 64-bit operation");
    if (!are_flags_allowed(h, copied))
        return emit_refuse(check, index, "a write of the flags");
    if (h->in.mnemonic == ZYDIS_MNEMONIC_POP &&
        (h->before.pushed != 8 || h->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER))
        return emit_refuse(check, index, "a pop of what was not pushed");
    if (h->in.mnemonic == ZYDIS_MNEMONIC_PUSHFQ && h->before.pushed != 0)
        return emit_refuse(check, index, "pushed twice");
    return true;
}
