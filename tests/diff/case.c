/* SPDX-License-Identifier: MIT */
#include "tests/diff/diff.h"

#include <string.h>

/*
 * The state before an instruction: registers mostly random and corner values,
 * then adjusted so that the instruction has something to do. A memory operand
 * mostly lies in the data, now and then where it faults; divisions mostly do
 * not overflow; compare-and-exchange compares equal half of the time.
 */

/* Addresses. */

static uint32_t draw_data_address(struct diff_random *random, unsigned align)
{
    uint32_t room = DIFF_DATA_PAGES * PAGE_SIZE;
    uint32_t offset = random_below(random, room - 512);

    switch (random_below(random, 32)) {
    case 0: return DIFF_DATA + room - random_below(random, 32); /* to RO */
    case 1: return DIFF_RDONLY + offset % (PAGE_SIZE - 512);
    case 2: return DIFF_RDONLY + PAGE_SIZE - random_below(random, 32);
    case 3: return DIFF_DATA - random_below(random, 32);
    case 4: return DIFF_DATA + PAGE_SIZE - random_below(random, 32);
    default: return DIFF_DATA + offset / align * align;
    }
}

/* An address on either side of the end of a data segment that is not flat. */
static uint32_t draw_segment_edge(struct diff_random *random, uint16_t selector)
{
    const struct diff_segment *segment = &diff_segments[selector >> 3];

    return segment->base + segment->limit + 2 - random_below(random, 18);
}

static uint32_t draw_stack_address(struct diff_random *random)
{
    uint32_t size = DIFF_STACK_PAGES * PAGE_SIZE;

    switch (random_below(random, 32)) {
    case 0: return DIFF_STACK + random_below(random, 40);
    case 1: return DIFF_STACK + size - random_below(random, 40);
    case 2: return DIFF_STACK + random_below(random, size);
    default: return DIFF_STACK + 1024 + random_below(random, 256) * 4;
    }
}

/* A pointer, or a number; numbers stay below 2 GiB when they might be used as
 * an address that is not aimed (EBP of ENTER and LEAVE). */
static void draw_registers(struct diff_case *test, struct diff_random *random)
{
    uint32_t *regs = test->before.regs;

    for (unsigned i = 0; i < REG_COUNT; i++)
        regs[i] = random_one_in(random, 6) ? draw_data_address(random, 4)
                                           : random_corner(random);
    regs[REG_ESP] = draw_stack_address(random);
    regs[REG_EBP] = random_one_in(random, 8)
                        ? (random_corner(random) & 0x3fffffff) | 0x1000
                        : draw_stack_address(random);
}

/* Mostly flat, as nearly all programs are. */
static void draw_segments(struct diff_case *test, struct diff_random *random)
{
    uint16_t selector = DIFF_DS;

    if (random_one_in(random, 6))
        selector = DIFF_LDT_SELECTOR(random_below(random, DIFF_SEGMENT_COUNT));
    test->before.seg[SEG_DS] = selector;
    test->before.seg[SEG_ES] = selector;
}

static uint32_t draw_eflags(struct diff_random *random)
{
    uint32_t eflags = (uint32_t)random_u64(random) & FLAGS_ARITH;

    if (random_one_in(random, 4))
        eflags |= FLAG_DF;
    if (random_one_in(random, 16))
        eflags |= FLAG_AC;
    if (random_one_in(random, 16))
        eflags |= FLAG_ID;
    return eflags | FLAG_IF | FLAG_ONE;
}

/* Floating point. */

static uint64_t draw_double(struct diff_random *random)
{
    static const uint64_t specials[] = {
        0,
        0x8000000000000000,
        0x3ff0000000000000, /* 1 */
        0xbff0000000000000,
        0x4008000000000000, /* 3 */
        0x0000000000000001, /* denormals */
        0x800fffffffffffff,
        0x0010000000000000, /* least normal */
        0x7fefffffffffffff, /* greatest */
        0x7ff0000000000000, /* infinities */
        0xfff0000000000000,
        0x7ff8000000000000, /* quiet NaN */
        0xfff0000000000001, /* signalling NaN */
        0x41dfffffffc00000, /* 2^31 - 1 */
        0xc1e0000000200000,
        0x43e0000000000000, /* 2^63 */
        0x3fe0000000000000, /* 1/2 */
        0x7f8000007f800000, /* as singles: infinities, ... */
        0xff800001ffc00000, /* ... NaNs, ... */
        0x0000000100800000, /* ... a denormal and the least normal */
        0x3f8000003f000000, /* ... 1 and 1/2 */
        0x4f00000080000000, /* ... 2^31 and -0 */
    };

    switch (random_below(random, 4)) {
    case 0: return random_u64(random);
    case 1: return (random_u64(random) & 0x801fffffffffffff) | 0x3fe0ull << 48;
    default: return specials[random_below(random, ARRAY_COUNT(specials))];
    }
}

/* An 80-bit value, the unsupported encodings included. */
static void draw_extended(struct diff_random *random, uint8_t *bytes)
{
    static const uint16_t exponents[] = {0,      1,      0x3ffe, 0x3fff, 0x4000,
                                         0x401e, 0x403e, 0x7ffe, 0x7fff};
    static const uint64_t fractions[] = {0,
                                         1,
                                         0x8000000000000000,
                                         0x8000000000000001,
                                         0xc000000000000000,
                                         0xffffffffffffffff,
                                         0x4000000000000000,
                                         0x7fffffffffffffff};
    uint64_t fraction = random_u64(random) | 1ull << 63;
    uint16_t exponent = exponents[random_below(random, ARRAY_COUNT(exponents))];

    if (random_one_in(random, 2))
        fraction = fractions[random_below(random, ARRAY_COUNT(fractions))];
    if (random_one_in(random, 8))
        exponent = (uint16_t)random_u64(random) & 0x7fff;
    if (random_one_in(random, 2))
        exponent = (uint16_t)(0x3ff0 + random_below(random, 32));
    if (random_one_in(random, 2))
        exponent |= 0x8000;
    memcpy(bytes, &fraction, 8);
    memcpy(bytes + 8, &exponent, 2);
}

static void put16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

/* The x87 control, status and tag words: mostly as FNINIT leaves them, with
 * some registers in use. ES and B follow from the others. */
static void draw_x87_words(struct diff_random *random, uint8_t *image)
{
    uint32_t control = 0x37f;
    uint32_t status = random_below(random, 8) << 11;
    uint32_t tags = (uint32_t)random_u64(random);

    if (random_one_in(random, 3))
        control = (control & ~0xf00u) | (random_below(random, 16) << 8);
    if (random_one_in(random, 8))
        control ^= random_below(random, 64);
    if (random_one_in(random, 4))
        status |= (uint32_t)random_u64(random) & 0x4700;
    if (random_one_in(random, 8))
        status |= random_below(random, 0x80);
    if (status & ~control & 0x3f)
        status |= 0x8080;
    else
        status &= ~0x8080u;
    if (random_one_in(random, 2))
        tags = random_one_in(random, 2) ? 0xff : 0;
    put16(image, control);
    put16(image + 2, status);
    image[4] = (uint8_t)tags;
}

static void draw_mxcsr(struct diff_random *random, uint8_t *image)
{
    uint32_t mxcsr = 0x1f80;

    if (random_one_in(random, 3))
        mxcsr |= random_below(random, 4) << 13;
    if (random_one_in(random, 6))
        mxcsr |= random_one_in(random, 2) ? 0x8000 : 0x40;
    if (random_one_in(random, 6))
        mxcsr ^= random_below(random, 64) << 7;
    if (random_one_in(random, 6))
        mxcsr |= random_below(random, 64);
    put16(image + 24, mxcsr);
}

static void draw_fpu(struct diff_random *random, uint8_t *image)
{
    memset(image, 0, 512);
    draw_x87_words(random, image);
    draw_mxcsr(random, image);
    put16(image + 28, 0xffff); /* MXCSR_MASK, ignored by FXRSTOR */
    for (unsigned i = 0; i < 8; i++)
        draw_extended(random, image + 32 + 16 * i);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t half = draw_double(random);

        if (random_one_in(random, 3))
            half = random_corner(random) | (uint64_t)random_corner(random)
                                               << 32;
        memcpy(image + 160 + 8 * i, &half, 8);
    }
}

/* Memory contents. */

static void draw_bytes(struct diff_random *random, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word = random_corner(random) | (uint64_t)random_corner(random)
                                                    << 32;

        if (random_one_in(random, 3))
            word = draw_double(random);
        memcpy(bytes + i, &word, 8);
    }
    if (random_one_in(random, 4) && len >= 16)
        draw_extended(random, bytes);
    if (random_one_in(random, 8))
        memset(bytes, random_one_in(random, 2) ? 0 : 0x20, len);
    if (random_one_in(random, 16)) /* valid BCD */
        for (size_t i = 0; i < 10 && i < len; i++)
            bytes[i] = (uint8_t)(random_below(random, 10) * 16 +
                                 random_below(random, 10));
}

static bool is_named(const struct diff_case *test, const char *name)
{
    return strcmp(insn_name((enum insn_op)test->insn.op), name) == 0;
}

static void fill_operand_bytes(struct diff_case *test,
                               struct diff_random *random)
{
    struct diff_poke *poke = &test->operand;

    poke->len = 64;
    draw_bytes(random, poke->bytes, poke->len);
    if (is_named(test, "fxrstor") || is_named(test, "frstor") ||
        is_named(test, "fldenv")) {
        poke->len = 512;
        draw_fpu(random, poke->bytes);
    } else if (is_named(test, "ldmxcsr")) {
        uint8_t image[512];

        draw_fpu(random, image);
        memcpy(poke->bytes, image + 24, 4);
        if (random_one_in(random, 8))
            poke->bytes[2] = 1; /* reserved */
    }
}

/* Aim the memory operand at target by its displacement or base register; false
 * where neither can do it. */
static bool aim(struct diff_case *test, uint32_t target)
{
    struct insn *in = &test->insn;
    uint32_t *regs = test->before.regs;
    uint32_t index = 0;

    if (in->mem.seg == SEG_DS || in->mem.seg == SEG_ES)
        target -= segment_base(test->before.seg[in->mem.seg]);
    /* The stack of PUSH [ESP + index] has to stay near, too. */
    if (in->mem.base == REG_ESP && in->mem.index != INSN_NO_REG)
        regs[in->mem.index] &= 0xff;
    if (in->mem.index != INSN_NO_REG)
        index = regs[in->mem.index] * in->mem.scale;
    if (in->disp_len == 4) {
        uint32_t disp = target - index;

        if (in->mem.base != INSN_NO_REG)
            disp -= regs[in->mem.base];
        memcpy(in->bytes + in->disp_offset, &disp, 4);
        in->mem.disp = (int32_t)disp;
        return true;
    }
    if (in->mem.base == INSN_NO_REG || in->mem.base == in->mem.index)
        return false;
    regs[in->mem.base] = target - index - (uint32_t)in->mem.disp;
    return true;
}

static bool fill_memory_operand(struct diff_case *test,
                                struct diff_random *random)
{
    static const unsigned aligns[] = {1, 4, 16, 64};
    struct insn *in = &test->insn;
    unsigned align = aligns[random_below(random, ARRAY_COUNT(aligns))];
    bool is_large =
        in->operand[0].kind == OPERAND_MEM && in->operand[0].size == 0;

    test->operand.address = 0;
    if (!in->has_mem)
        return true;
    /* 16-bit addresses lie below what a process may map. */
    if (in->address_size == 2)
        return !is_large;
    test->operand.address = draw_data_address(random, align);
    if (test->before.seg[SEG_DS] != DIFF_DS && random_one_in(random, 3))
        test->operand.address =
            draw_segment_edge(random, test->before.seg[SEG_DS]);
    /* FXSAVE and kin over two pages that both fault: which one is reported? */
    if (is_large)
        test->operand.address &= ~0x3ffu;
    if (!aim(test, test->operand.address))
        return false;
    fill_operand_bytes(test, random);
    return true;
}

/* The second side of MOVS and CMPS, and counts that end. */
static void adjust_string(struct diff_case *test, struct diff_random *random)
{
    uint32_t *regs = test->before.regs;

    if (!test->insn.has_mem || test->insn.has_modrm)
        return;
    if (test->insn.mem.base == REG_ESI)
        regs[REG_EDI] = random_one_in(random, 3)
                            ? regs[REG_ESI] + random_below(random, 64) - 32
                            : draw_data_address(random, 4) -
                                  segment_base(test->before.seg[SEG_ES]);
    if (test->insn.rep != REP_NONE && !random_one_in(random, 32))
        regs[REG_ECX] = random_below(random, 40);
    if (random_one_in(random, 4))
        memset(test->operand.bytes, (uint8_t)regs[REG_EAX], 64);
}

static bool is_address_register(const struct insn *in, unsigned reg)
{
    return in->has_mem && (in->mem.base == reg || in->mem.index == reg);
}

/* A dividend whose quotient is a chosen one: random dividends nearly always
 * overflow, and never come close to the largest quotient. */
static void adjust_dividend(struct diff_case *test, struct diff_random *random)
{
    const struct insn *in = &test->insn;
    uint32_t *regs = test->before.regs;
    unsigned bits = 8u * in->operand[0].size;
    unsigned unused = 32 - bits;
    uint32_t divisor = regs[in->operand[0].index];
    uint32_t quotient = random_corner(random) << unused;
    uint64_t dividend;

    if (is_address_register(in, REG_EAX) || is_address_register(in, REG_EDX))
        return;
    if (in->has_mem)
        memcpy(&divisor, test->operand.bytes, sizeof(divisor));
    divisor <<= unused;
    if (in->op == OP_IDIV)
        dividend = (uint64_t)(((int64_t)(int32_t)quotient >> unused) *
                              ((int32_t)divisor >> unused));
    else
        dividend = (uint64_t)(quotient >> unused) * (divisor >> unused);
    if (divisor >> unused != 0)
        dividend += random_below(random, divisor >> unused);
    regs[REG_EAX] = (uint32_t)dividend;
    regs[REG_EDX] = (uint32_t)(dividend >> bits);
}

/* AL where a digit begins to overflow. */
static void adjust_decimal(struct diff_case *test, struct diff_random *random)
{
    static const uint8_t edges[] = {0x00, 0x05, 0x06, 0x09, 0x0a, 0x0f,
                                    0x90, 0x99, 0x9a, 0x9f, 0xa0, 0xff};

    memcpy(&test->before.regs[REG_EAX],
           &edges[random_below(random, sizeof(edges))], 1);
}

/* Bounds that the index lies on or next to. */
static void adjust_bounds(struct diff_case *test, struct diff_random *random)
{
    const struct insn *in = &test->insn;
    uint32_t index = test->before.regs[in->operand[0].index];
    uint32_t lower = index + random_below(random, 5) - 3;
    uint32_t upper = index + random_below(random, 5) - 1;

    memcpy(test->operand.bytes, &lower, 4);
    memcpy(test->operand.bytes + in->operand_size, &upper, 4);
}

/* Registers that instructions imply, set so that the case is no dull one. */
static void adjust_registers(struct diff_case *test, struct diff_random *random)
{
    uint32_t *regs = test->before.regs;
    const struct insn *in = &test->insn;
    switch (in->op) {
    case OP_DIV:
    case OP_IDIV:
        if (!random_one_in(random, 4))
            adjust_dividend(test, random);
        break;
    case OP_AAA:
    case OP_AAS:
    case OP_DAA:
    case OP_DAS:
        if (!random_one_in(random, 3))
            adjust_decimal(test, random);
        break;
    case OP_BOUND:
        if (!random_one_in(random, 4))
            adjust_bounds(test, random);
        break;
    case OP_CMPXCHG:
        if (in->has_mem && !is_address_register(in, REG_EAX) &&
            random_one_in(random, 2))
            memcpy(&regs[REG_EAX], test->operand.bytes, 4);
        break;
    case OP_CMPXCHG8B:
        if (!is_address_register(in, REG_EAX) &&
            !is_address_register(in, REG_EDX) && random_one_in(random, 2)) {
            memcpy(&regs[REG_EAX], test->operand.bytes, 4);
            memcpy(&regs[REG_EDX], test->operand.bytes + 4, 4);
        }
        break;
    default:
        if (!is_address_register(in, REG_ECX) && random_one_in(random, 3))
            regs[REG_ECX] = random_below(random, 40);
        break;
    }
}

/* PUSHA and POPA that fault half-way may have stored or loaded some of it
 * already, and far returns read their frame in no defined order: what counts is
 * that they can be restarted. Their stack is there. */
static void avoid_partial_work(struct diff_case *test)
{
    struct insn *in = &test->insn;

    if (in->map != 0)
        return;
    switch (in->opcode) {
    case 0xca: /* RETF imm16 */
        in->bytes[in->len - 1] = 0;
        in->bytes[in->len - 2] &= 0x3c;
        in->imm = in->bytes[in->len - 2];
        test->before.regs[REG_ESP] = DIFF_STACK + PAGE_SIZE;
        break;
    case 0x60:
    case 0x61:
    case 0xcb:
    case 0xcf: test->before.regs[REG_ESP] = DIFF_STACK + PAGE_SIZE; break;
    default: break;
    }
}

/* REP INS with a count of 0: makers differ in whether the permission is checked
 * before the count. */
static void avoid_empty_io(struct diff_case *test)
{
    if (test->insn.map == 0 && (test->insn.opcode & 0xfc) == 0x6c)
        test->before.regs[REG_ECX] |= 1;
}

/* CVTPI2PS from memory: whether it takes a pending x87 exception, as its
 * register form does, differs between makers. */
static void avoid_pending_x87(struct diff_case *test)
{
    const struct insn *in = &test->insn;

    if (in->map == 1 && in->opcode == 0x2a && in->mandatory == 0 && in->has_mem)
        test->before.fpu[2] = test->before.fpu[3] = 0;
}

static bool is_masked_store(const struct insn *in)
{
    return in->map == 1 && in->opcode == 0xf7;
}

/* Whether and when an access of more than 8 bytes makes an alignment check is
 * for the maker to say (SDM 2A "MOVUPS": "treatment of #AC varies"). */
static void avoid_wide_alignment_check(struct diff_case *test)
{
    const struct insn *in = &test->insn;

    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MEM &&
            (in->operand[i].size == 0 || in->operand[i].size > 8 ||
             is_masked_store(in)))
            test->before.eflags &= ~(uint32_t)FLAG_AC;
}

/* MASKMOVQ and MASKMOVDQU: which bytes are checked is not defined either (SDM
 * 2B "MASKMOVDQU"). */
static bool is_undefined_masked_store(const struct diff_case *test)
{
    const struct insn *in = &test->insn;

    if (!is_masked_store(in))
        return false;
    return in->address_size == 2 || in->mem.seg == SEG_CS ||
           test->before.seg[SEG_DS] != DIFF_DS ||
           test->operand.address - DIFF_DATA > DIFF_DATA_PAGES * PAGE_SIZE - 16;
}

static bool is_iret(const struct insn *in)
{
    return in->map == 0 && in->opcode == 0xcf;
}

static bool is_popf(const struct insn *in)
{
    return in->map == 0 && in->opcode == 0x9d;
}

static void fill_stack(struct diff_case *test, struct diff_random *random)
{
    test->stack.address = test->before.regs[REG_ESP];
    test->stack.len = 64;
    draw_bytes(random, test->stack.bytes, test->stack.len);
    /* A trap would come after the next instruction. */
    if (is_popf(&test->insn))
        test->stack.bytes[1] &= (uint8_t) ~(FLAG_TF >> 8);
    if (is_iret(&test->insn))
        test->stack.bytes[2 * test->insn.operand_size + 1] &=
            (uint8_t) ~(FLAG_TF >> 8);
}

/* A relative branch back into the instruction would run its tail. */
static bool branches_into_itself(const struct diff_case *test)
{
    const struct insn *in = &test->insn;
    uint32_t end = test->before.eip + in->len;
    uint32_t target = end + (uint32_t)in->imm;

    if (in->op == OP_INVALID || in->operand[0].kind != OPERAND_REL)
        return false;
    return target - (end - INSN_MAX_LEN) < INSN_MAX_LEN;
}

/* SHLD and SHRD by more than the operand's size: no result is defined
 * (SDM 2B "SHLD"). */
static unsigned shift_count(const struct diff_case *test)
{
    const struct insn *in = &test->insn;

    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_IMM)
            return (unsigned)in->imm & 0x1f;
    return test->before.regs[REG_ECX] & 0x1f;
}

static bool has_undefined_result(const struct diff_case *test)
{
    const struct insn *in = &test->insn;

    if (in->op != OP_SHLD && in->op != OP_SHRD)
        return false;
    return shift_count(test) > 8u * in->operand[0].size;
}

bool case_fill(struct diff_case *test, struct diff_random *random)
{
    struct insn *in = &test->insn;
    uint32_t end = random_one_in(random, 8) ? DIFF_CODE_CROSS : DIFF_CODE_END;

    draw_registers(test, random);
    draw_segments(test, random);
    draw_fpu(random, test->before.fpu);
    test->before.eflags = draw_eflags(random);
    test->before.eip = DIFF_CODE + end - in->len;
    if (!fill_memory_operand(test, random))
        return false;
    adjust_string(test, random);
    adjust_registers(test, random);
    avoid_partial_work(test);
    avoid_empty_io(test);
    avoid_wide_alignment_check(test);
    avoid_pending_x87(test);
    fill_stack(test, random);
    case_fill_selector(test, random);
    return !branches_into_itself(test) && !has_undefined_result(test) &&
           !is_undefined_masked_store(test) && !case_has_wild_selector(test);
}

uint32_t case_undefined_flags(const struct diff_case *test)
{
    const struct insn *in = &test->insn;
    uint32_t undefined = insn_undefined_flags((enum insn_op)in->op);
    unsigned bits = 8u * in->operand[0].size;
    unsigned count;

    switch (in->op) {
    case OP_RCL:
    case OP_RCR:
    case OP_ROL:
    case OP_ROR:
    case OP_SAR:
    case OP_SHL:
    case OP_SHR:
    case OP_SHLD:
    case OP_SHRD: break;
    default: return undefined;
    }
    count = shift_count(test);
    if (count == 0)
        return 0;
    if (count == 1)
        return undefined & ~(uint32_t)FLAG_OF;
    if ((in->op == OP_SHL || in->op == OP_SHR) && count >= bits)
        undefined |= FLAG_CF;
    return undefined;
}
