/* SPDX-License-Identifier: MIT */
#include "emit_check_priv.h"

/*
 * What is known of the registers, and how instructions change it. Whatever is not
 * named below makes what it writes unknown, which no rule accepts.
 */

static const struct fact any = {.kind = FACT_ANY};
static const struct fact u32 = {.kind = FACT_UPTO, .n = UINT32_MAX};

static bool is_guests(unsigned reg)
{
    return (reg < R_R8 && reg != R_RSP) || reg == R_R12;
}

bool fact_is_u32(const struct fact *fact)
{
    return fact_bound(fact) <= UINT32_MAX;
}

uint64_t fact_bound(const struct fact *fact)
{
    switch ((enum fact_kind)fact->kind) {
    case FACT_ANY:
    case FACT_SPAN64:
    case FACT_WINDOW:
    case FACT_HOST: return UINT64_MAX;
    case FACT_UPTO:
    case FACT_CONST: return fact->n;
    case FACT_INITIAL:
        return is_guests(fact->reg) || fact->reg == R_R8 ? UINT32_MAX
                                                         : UINT64_MAX;
    case FACT_SPAN32:
    case FACT_SAR:
    case FACT_SHL:
    case FACT_NOT: return UINT32_MAX;
    }
    UNREACHABLE();
}

struct facts facts_at_entry(bool target)
{
    struct facts facts = {.reached = true};

    for (unsigned r = 0; r < R_COUNT; r++)
        facts.of[r] = is_guests(r) || (r == R_R8 && target) ? u32 : any;
    return facts;
}

struct facts facts_at_function(enum unit unit)
{
    struct facts facts = {.reached = true};

    for (unsigned r = 0; r < R_COUNT; r++)
        if (is_guests(r) || r == R_R8)
            facts.of[r] =
                (struct fact){.kind = FACT_INITIAL, .reg = (uint8_t)r};
    if (unit == UNIT_PROBE)
        facts.of[R_R10] = u32;
    return facts;
}

/* ---- Joining ---- */

static bool same_fact(const struct fact *a, const struct fact *b)
{
    return a->kind == b->kind && a->reg == b->reg && a->write == b->write &&
           a->n == b->n;
}

static struct fact joined(const struct fact *a, const struct fact *b)
{
    uint64_t bound_a;
    uint64_t bound_b;

    if (same_fact(a, b))
        return *a;
    bound_a = fact_bound(a);
    bound_b = fact_bound(b);
    if (a->kind == FACT_HOST && b->kind == FACT_HOST)
        return (struct fact){.kind = FACT_HOST,
                             .write = a->write && b->write,
                             .n = a->n < b->n ? a->n : b->n};
    if (bound_a <= UINT32_MAX && bound_b <= UINT32_MAX)
        return (struct fact){.kind = FACT_UPTO,
                             .n = bound_a > bound_b ? bound_a : bound_b};
    return any;
}

bool facts_merge(struct facts *to, const struct facts *from)
{
    bool changed = false;

    if (!to->reached) {
        facts_copy(to, from);
        return true;
    }
    for (unsigned r = 0; r < R_COUNT; r++) {
        struct fact fact = joined(&to->of[r], &from->of[r]);

        changed |= !same_fact(&fact, &to->of[r]);
        to->of[r] = fact;
    }
    if (to->pushed != from->pushed && to->pushed != PUSHED_MIXED) {
        to->pushed = PUSHED_MIXED;
        changed = true;
    }
    return changed;
}

/* ---- Instructions ---- */

unsigned register_number(ZydisRegister reg)
{
    ZydisRegister full;

    if (reg < ZYDIS_REGISTER_AL || reg > ZYDIS_REGISTER_R15)
        return R_NONE;
    if (reg >= ZYDIS_REGISTER_RAX)
        return (unsigned)(reg - ZYDIS_REGISTER_RAX);
    full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    return (unsigned)(full - ZYDIS_REGISTER_RAX);
}

static bool refers_to(const struct fact *fact, unsigned reg)
{
    return fact->reg == reg && fact->kind >= FACT_SPAN32 &&
           fact->kind <= FACT_NOT;
}

/* What is left of a fact about another register when that changes. */
static struct fact on_its_own(const struct fact *fact)
{
    return fact_is_u32(fact) ? u32 : any;
}

static void set(struct facts *facts, unsigned reg, struct fact fact)
{
    for (unsigned r = 0; r < R_COUNT; r++)
        if (refers_to(&facts->of[r], reg))
            facts->of[r] = on_its_own(&facts->of[r]);
    facts->of[reg] = refers_to(&fact, reg) ? on_its_own(&fact) : fact;
}

/* Of an operand that is written, or may be. */
static struct fact after_write(const struct facts *facts, unsigned reg,
                               unsigned bits)
{
    if (bits == 64)
        return any;
    return bits == 32 || fact_is_u32(&facts->of[reg]) ? u32 : any;
}

static bool is_register(const ZydisDecodedOperand *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_REGISTER;
}

static unsigned number_of(const ZydisDecodedOperand *o)
{
    return is_register(o) ? register_number(o->reg.value) : R_NONE;
}

static bool is_held(const struct emit_check *check,
                    const ZydisDecodedOperand *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->size == 64 &&
           o->mem.base == ZYDIS_REGISTER_R15 &&
           o->mem.index == ZYDIS_REGISTER_NONE &&
           o->mem.disp.value == check->config.layout.held;
}

/* mov dst, src; false: nothing is known of it. */
static bool of_mov(const struct emit_check *check, const struct facts *facts,
                   const struct host_insn *h, struct fact *fact)
{
    const ZydisDecodedOperand *from = &h->op[1];
    unsigned reg = number_of(from);

    if (h->op[0].size < 32)
        return false;
    if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        *fact =
            (struct fact){.kind = FACT_CONST,
                          .n = h->op[0].size == 32 ? (uint32_t)from->imm.value.u
                                                   : from->imm.value.u};
    else if (is_held(check, from))
        *fact = facts->of[R_HELD];
    else if (reg != R_NONE &&
             (h->op[0].size == 64 || fact_is_u32(&facts->of[reg])))
        *fact = facts->of[reg];
    else
        return false;
    return true;
}

static bool of_lea(const struct facts *facts, const struct host_insn *h,
                   struct fact *fact)
{
    const ZydisDecodedOperandMem *m = &h->op[1].mem;
    unsigned base = register_number(m->base);
    unsigned index = register_number(m->index);
    bool wide = h->op[0].size == 64;

    if (h->op[0].size < 32 || base == R_NONE)
        return false;
    if (index == R_NONE && m->disp.value >= 0) {
        *fact = (struct fact){.kind = wide ? FACT_SPAN64 : FACT_SPAN32,
                              .reg = (uint8_t)base,
                              .n = (uint64_t)m->disp.value};
        return true;
    }
    /* lea rsi, [rsi + r13] */
    if (wide && index == R_R13 && m->scale == 1 && !m->disp.value &&
        fact_is_u32(&facts->of[base])) {
        *fact = (struct fact){.kind = FACT_WINDOW};
        return true;
    }
    /* The remainder: r + ~(r >> n << n) + 1. */
    if (!wide && index != R_NONE && facts->of[index].kind == FACT_NOT &&
        facts->of[index].reg == base && m->scale == 1 && m->disp.value == 1) {
        *fact =
            (struct fact){.kind = FACT_UPTO, .n = BIT(facts->of[index].n) - 1};
        return true;
    }
    return false;
}

/* sarx a, r, n; shlx a, a, n; not a. */
static bool of_shift(const struct facts *facts, const struct host_insn *h,
                     struct fact *fact)
{
    unsigned from = number_of(&h->op[h->in.mnemonic != ZYDIS_MNEMONIC_NOT]);
    unsigned by = number_of(&h->op[2]);

    if (h->op[0].size != 32 || from == R_NONE)
        return false;
    *fact = facts->of[from];
    if (h->in.mnemonic == ZYDIS_MNEMONIC_NOT) {
        fact->kind = FACT_NOT;
        return facts->of[from].kind == FACT_SHL;
    }
    if (by == R_NONE || facts->of[by].kind != FACT_CONST ||
        facts->of[by].n > 31)
        return false;
    if (h->in.mnemonic == ZYDIS_MNEMONIC_SARX) {
        *fact = (struct fact){
            .kind = FACT_SAR, .reg = (uint8_t)from, .n = facts->of[by].n};
        return true;
    }
    fact->kind = FACT_SHL;
    return facts->of[from].kind == FACT_SAR &&
           facts->of[from].n == facts->of[by].n;
}

/* What the first operand becomes. */
static bool of_first(const struct emit_check *check, const struct facts *facts,
                     const struct host_insn *h, struct fact *fact)
{
    switch (h->in.mnemonic) {
    case ZYDIS_MNEMONIC_MOV: return of_mov(check, facts, h, fact);
    case ZYDIS_MNEMONIC_LEA: return of_lea(facts, h, fact);
    case ZYDIS_MNEMONIC_SARX:
    case ZYDIS_MNEMONIC_SHLX:
    case ZYDIS_MNEMONIC_NOT: return of_shift(facts, h, fact);
    case ZYDIS_MNEMONIC_MOVZX:
        *fact = (struct fact){.kind = FACT_UPTO, .n = BIT(h->op[1].size) - 1};
        return h->op[0].size == 32;
    default: return false;
    }
}

/* The count of a repeated string instruction only goes down. */
static bool is_count(const struct host_insn *h, unsigned reg)
{
    return reg == R_RCX &&
           (h->in.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                ZYDIS_ATTRIB_HAS_REPNE));
}

void facts_step(const struct emit_check *check, struct facts *facts,
                const struct host_insn *h)
{
    const struct facts *before = &h->before;
    struct fact first;
    bool known = is_register(&h->op[0]) && of_first(check, before, h, &first);

    if (h->in.mnemonic == ZYDIS_MNEMONIC_PUSHFQ)
        facts->pushed += 8;
    if (h->in.mnemonic == ZYDIS_MNEMONIC_POP)
        facts->pushed -= 8;
    if (h->in.mnemonic == ZYDIS_MNEMONIC_MOV && is_held(check, &h->op[0]))
        set(facts, R_HELD,
            number_of(&h->op[1]) == R_NONE ? any
                                           : before->of[number_of(&h->op[1])]);
    for (unsigned i = 0; i < h->in.operand_count; i++) {
        const ZydisDecodedOperand *o = &h->op[i];
        unsigned reg = number_of(o);

        if (reg == R_NONE || reg == R_RSP ||
            !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        if (i == 0 && known)
            set(facts, reg, first);
        else if (!is_count(h, reg) || !fact_is_u32(&before->of[reg]))
            set(facts, reg, after_write(before, reg, o->size));
    }
}
