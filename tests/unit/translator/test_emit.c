/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "monitor/vcpu.h"
#include "translator/xlat.h"

/*
 * The safety of what is emitted: whatever bytes the guest has, the host code
 * made of them touches memory in the window, in the vcpu's few fields and on
 * the host call stack only, writes no register that is the monitor's, and
 * holds no instruction but the guest's own and the translator's.
 *
 * Random encodings of every opcode go through the translator, one instruction
 * a TU, and the host code is decoded with Zydis, which did not emit it.
 */
#define TRIES_PER_OPCODE 256u /* one for each ModRM byte */
#define PUSH_EAX         0x50
#define GIP              0x12345400u

static struct tc *tc;
/* TUs of one instruction, and of two: PUSH leaves a pending ESP delta. */
static struct xlat *xlat;
static struct xlat *xlat_pushed;
static struct stats stats;
static uint8_t page[PAGE_SIZE];
/* The guest's CPU has none of the extensions that decoder modes stand for. */
static const ZydisDecoder decoder32 = {.machine_mode =
                                           ZYDIS_MACHINE_MODE_LEGACY_32,
                                       .stack_width = ZYDIS_STACK_WIDTH_32};
static ZydisDecoder decoder64;
static uint64_t random_state = 1;

/* What is being checked, for messages. */
static ZydisDecodedInstruction guest;
static ZydisDecodedOperand guest_operands[ZYDIS_MAX_OPERAND_COUNT];
static uint8_t guest_bytes[INSN_MAX_LEN];
static const char *handler;
static bool pushed;
static bool soft;         /* the site is to be translated soft */
static int64_t probe_len; /* bytes that a probe is going to look at */
static int64_t probed;    /* bytes that one has found at r8 */
static bool probed_to_write;
static uint64_t load_probe;
static uint64_t store_probe;
static uint32_t mode;
static bool apart; /* soft, or some segment has its limit checked */

static const char *const handler_of[OP_COUNT] = {
#define OP(mnemonic, feature, interp, xlat, undefined_flags) \
    [OP_##mnemonic] = #xlat,
#include "translator/decode/insn_ops.def"
#undef OP
};

static uint32_t any(void)
{
    random_state = random_state * 6364136223846793005ull + 1;
    return (uint32_t)(random_state >> 32);
}

static void ignore_frame(void *opaque, gfn_t gfn)
{
    (void)opaque, (void)gfn;
}

static void ignore_region(void *opaque)
{
    (void)opaque;
}

static bool is_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    (void)opaque, (void)gfn, (void)offset;
    return soft;
}

static const struct xlat_layout layout = {
    .eflags = offsetof(struct vcpu, eflags),
    .if_flag = offsetof(struct vcpu, if_flag),
    .irq_line = offsetof(struct vcpu, irq_line),
    .seg_base = offsetof(struct vcpu, seg_base),
    .seg = offsetof(struct vcpu, seg),
    .sti_gip = offsetof(struct vcpu, sti_gip),
    .seg_check = offsetof(struct vcpu, seg_check),
    .retired = offsetof(struct vcpu, ccf_retired),
    .user_memops = offsetof(struct vcpu, user_memops),
    .user_memops_soft = offsetof(struct vcpu, user_memops_soft),
    .soft_tlb = offsetof(struct vcpu, soft_tlb),
    .soft_pc = offsetof(struct vcpu, soft_pc),
    .held = offsetof(struct vcpu, held)};

static void setup(void)
{
    const struct tc_host host = {.frame_empty = ignore_frame,
                                 .region_evicted = ignore_region};
    struct xlat_config config = {.stats = &stats,
                                 .features = UINT32_MAX,
                                 .max_insns = 1,
                                 .layout = layout,
                                 .has_bmi2 = true,
                                 .is_soft = is_soft};
    struct tc_stubs stubs;

    ck_assert_int_eq(tc_create(&tc, TC_MIN_LEN, &stats, &host), 0);
    config.tc = tc;
    config.glue.exit = (uint64_t)(uintptr_t)tc_mcode(tc)->rx;
    config.glue.miss = config.glue.exit + 16;
    config.glue.lookup = config.glue.exit + 32;
    load_probe = config.glue.exit + 48;
    store_probe = config.glue.exit + 64;
    for (unsigned i = 0; i < SEG_COUNT * 4; i++)
        config.glue.check[i / 4][i & 1][i >> 1 & 1] = config.glue.exit + 80 + i;
    for (unsigned user = 0; user < 2; user++) {
        config.glue.probe[user][0] = load_probe;
        config.glue.probe[user][1] = store_probe;
    }
    stubs = (struct tc_stubs){config.glue.miss, config.glue.lookup};
    tc_set_stubs(tc, &stubs);
    ck_assert_int_eq(xlat_create(&xlat, &config), 0);
    config.max_insns = 2;
    ck_assert_int_eq(xlat_create(&xlat_pushed, &config), 0);
    ZydisDecoderInit(&decoder64, ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
}

static void teardown(void)
{
    xlat_destroy(xlat);
    xlat_destroy(xlat_pushed);
    tc_destroy(tc);
}

static void NORETURN unsafe(const char *why, const ZydisDecodedInstruction *in,
                            const uint8_t *code)
{
    printf("%s: guest %s (%s):", why, ZydisMnemonicGetString(guest.mnemonic),
           handler);
    for (unsigned i = 0; i < guest.length; i++)
        printf(" %02x", guest_bytes[i]);
    printf("\n  host %s:", ZydisMnemonicGetString(in->mnemonic));
    for (unsigned i = 0; i < in->length; i++)
        printf(" %02x", code[i]);
    printf("\n");
    fflush(stdout);
    ck_abort_msg("%s", why);
}

static bool is(const char *name)
{
    return strcmp(handler, name) == 0;
}

static bool is_copied(void)
{
    return is("copy") || is("x87") || is("sse");
}

/* ---- Rules ---- */

static bool is_selector(int64_t offset)
{
    const int64_t first =
        layout.seg + (int64_t)offsetof(struct segment, selector);

    return offset >= first &&
           offset < first + SEG_COUNT * (int64_t)sizeof(struct segment) &&
           (offset - first) % (int64_t)sizeof(struct segment) == 0;
}

static bool is_vcpu_field(int64_t offset)
{
    return offset == layout.eflags || offset == layout.if_flag ||
           offset == layout.irq_line || offset == layout.retired ||
           offset == layout.user_memops || offset == layout.user_memops_soft ||
           (apart && offset == layout.held) || offset == layout.sti_gip ||
           is_selector(offset) ||
           (offset >= layout.seg_base &&
            offset < layout.seg_base + 4 * (int)SEG_COUNT);
}

static bool is_string_operand(const ZydisDecodedOperandMem *mem)
{
    return is("string") && !mem->disp.value &&
           mem->index == ZYDIS_REGISTER_NONE &&
           (mem->base == ZYDIS_REGISTER_RSI || mem->base == ZYDIS_REGISTER_RDI);
}

/* An access to what a probe has found. */
static bool is_soft_access(const ZydisDecodedOperand *operand)
{
    bool written = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;

    return operand->mem.base == ZYDIS_REGISTER_R8 &&
           operand->mem.index == ZYDIS_REGISTER_NONE &&
           !operand->mem.disp.value && operand->size / 8 <= probed &&
           (probed_to_write || !written);
}

/* May the instruction access this operand? */
static bool is_safe_memory(const ZydisDecodedInstruction *in,
                           const ZydisDecodedOperand *operand)
{
    const ZydisDecodedOperandMem *mem = &operand->mem;

    if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
        return false;
    if (in->mnemonic == ZYDIS_MNEMONIC_LEA) {
        if (in->raw.modrm.reg == 2 && mem->base == ZYDIS_REGISTER_R8)
            probe_len = mem->disp.value + 1; /* lea r10d, [r8 + size - 1] */
        return true;
    }
    if (is_soft_access(operand))
        return true;
    if (mem->segment == ZYDIS_REGISTER_GS)
        return in->address_width == 32;
    if (mem->segment == ZYDIS_REGISTER_FS || in->address_width != 64)
        return false;
    if (mem->base == ZYDIS_REGISTER_R15)
        return mem->index == ZYDIS_REGISTER_NONE &&
               is_vcpu_field(mem->disp.value);
    if (mem->base == ZYDIS_REGISTER_R14)
        return in->mnemonic == ZYDIS_MNEMONIC_JMP ||
               in->mnemonic == ZYDIS_MNEMONIC_CALL;
    if (mem->base == ZYDIS_REGISTER_RSP)
        return operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    return is_string_operand(mem);
}

static bool is_gpr(ZydisRegister reg)
{
    return reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15;
}

/* Number of the full register; AH to BH count as AL to BL. */
static unsigned full_register(ZydisRegister reg)
{
    ZydisRegister full =
        ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

    return (unsigned)(full - ZYDIS_REGISTER_RAX);
}

/* Instructions name no rsp, and no byte register that only REX gives; they
 * write none of the monitor's registers. */
static bool is_safe_register(const ZydisDecodedOperand *operand)
{
    ZydisRegister reg = operand->reg.value;
    bool written = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;

    if (!is_gpr(reg))
        return ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_SEGMENT &&
               ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_CONTROL &&
               ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_DEBUG;
    if (operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
        return true;
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_DIL)
        return false;
    switch (full_register(reg)) {
    case 10: return apart || !written;
    case 8: probed = written ? 0 : probed; return true;
    case 4: return false;     /* rsp */
    case 13:                  /* the window */
    case 14:                  /* the lookup table */
    case 15: return !written; /* the vcpu */
    default: return true;
    }
}

/* 64-bit operations are the translator's own, on scratch, rcx, rsi and rdi. */
static bool is_safe_wide(const ZydisDecodedInstruction *in,
                         const ZydisDecodedOperand *operands)
{
    unsigned to;

    if (!(in->attributes & ZYDIS_ATTRIB_HAS_REX) || !in->raw.rex.W)
        return true;
    if (in->mnemonic != ZYDIS_MNEMONIC_MOV &&
        in->mnemonic != ZYDIS_MNEMONIC_LEA &&
        !(apart && in->mnemonic == ZYDIS_MNEMONIC_NOT))
        return false;
    if (operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
        return operands[0].mem.base == ZYDIS_REGISTER_R15;
    to = full_register(operands[0].reg.value);
    return to == 9 || to == 1 || (apart && to >= 8 && to <= 11) ||
           (is("string") && (to == 6 || to == 7));
}

static bool is_bit_test(void)
{
    switch (guest.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS:
        return guest_operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    default: return false;
    }
}

/* A call of a probe: from here on r8 is where the operand is. */
static void note_probe(const ZydisDecodedInstruction *in,
                       const ZydisDecodedOperand *operands, uint64_t at)
{
    uint64_t to = 0;

    if (!soft || in->mnemonic != ZYDIS_MNEMONIC_CALL ||
        operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return;
    ZydisCalcAbsoluteAddress(in, &operands[0], at, &to);
    if (to != load_probe && to != store_probe)
        return;
    probed = probe_len;
    probe_len = 0;
    probed_to_write = to == store_probe;
}

static bool is_translators(const ZydisDecodedInstruction *in)
{
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_JECXZ: return true;
    case ZYDIS_MNEMONIC_NOT: return apart;
    case ZYDIS_MNEMONIC_SARX:
    case ZYDIS_MNEMONIC_SHLX:
    case ZYDIS_MNEMONIC_MOVSX: return apart && is_bit_test();
    case ZYDIS_MNEMONIC_MOVZX: return true;
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_POP: return is("pushf");
    case ZYDIS_MNEMONIC_RET:
    case ZYDIS_MNEMONIC_CALL: return apart || is("ret") || is("call");
    default: return false;
    }
}

static void check_host(const ZydisDecodedInstruction *in,
                       const ZydisDecodedOperand *operands, const uint8_t *code)
{
    bool same = in->mnemonic == guest.mnemonic &&
                (is_copied() || is("jcc") || is("string") || is("rdtsc"));

    if (!same && !is_translators(in))
        unsafe("a foreign instruction", in, code);
    if (in->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
        in->mnemonic != ZYDIS_MNEMONIC_SARX &&
        in->mnemonic != ZYDIS_MNEMONIC_SHLX)
        unsafe("not a legacy encoding", in, code);
    for (unsigned i = 0; i < in->operand_count; i++) {
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            !is_safe_memory(in, &operands[i]))
            unsafe("memory outside the window", in, code);
    }
    for (unsigned i = 0; i < in->operand_count; i++) {
        if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            !is_safe_register(&operands[i]))
            unsafe("a register of the monitor", in, code);
    }
    if (!is_safe_wide(in, operands))
        unsafe("a 64-bit operation", in, code);
}

/* ---- Copied instructions are the guest's ---- */

static ZydisRegister renamed(ZydisRegister reg)
{
    switch (reg) {
    case ZYDIS_REGISTER_SP: return ZYDIS_REGISTER_R12W;
    case ZYDIS_REGISTER_ESP: return ZYDIS_REGISTER_R12D;
    default: return reg;
    }
}

/* What is added to ESP: an instruction that names ESP finds it up to date. */
static uint32_t pending_delta(void)
{
    for (unsigned i = 0; i < guest.operand_count_visible; i++)
        if (guest_operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            renamed(guest_operands[i].reg.value) != guest_operands[i].reg.value)
            return 0;
    return pushed ? (uint32_t)-4 : 0;
}

static bool same_memory(const ZydisDecodedOperand *g,
                        const ZydisDecodedOperand *h)
{
    unsigned seg = (unsigned)(g->mem.segment - ZYDIS_REGISTER_ES);
    bool based =
        mode_seg_kind(mode, seg) != SEG_KIND_FLAT || guest.address_width == 16;
    uint32_t delta = g->mem.base == ZYDIS_REGISTER_ESP ? pending_delta() : 0;

    if (g->size != h->size)
        return false;
    if (h->mem.base == ZYDIS_REGISTER_R8)
        return soft;
    if (based)
        return h->mem.base == ZYDIS_REGISTER_R8D && !h->mem.disp.value &&
               h->mem.index == ZYDIS_REGISTER_NONE;
    return h->mem.base == renamed(g->mem.base) &&
           h->mem.index == renamed(g->mem.index) &&
           (h->mem.index == ZYDIS_REGISTER_NONE ||
            h->mem.scale == g->mem.scale) &&
           (uint32_t)h->mem.disp.value == (uint32_t)g->mem.disp.value + delta;
}

static bool same_operand(const ZydisDecodedOperand *g,
                         const ZydisDecodedOperand *h)
{
    if (g->type != h->type)
        return false;
    switch (g->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        if (apart && is_bit_test() && guest.raw.modrm.mod != 3 &&
            full_register(h->reg.value) == 9)
            return true;
        return h->reg.value == renamed(g->reg.value);
    case ZYDIS_OPERAND_TYPE_MEMORY: return same_memory(g, h);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return (uint32_t)g->imm.value.u == (uint32_t)h->imm.value.u;
    default: return true;
    }
}

static void check_copy(const ZydisDecodedInstruction *in,
                       const ZydisDecodedOperand *operands, const uint8_t *code)
{
    const ZydisInstructionAttributes kept = ZYDIS_ATTRIB_HAS_LOCK;

    if (in->operand_count_visible != guest.operand_count_visible ||
        (in->attributes & kept) != (guest.attributes & kept))
        unsafe("another form", in, code);
    for (unsigned i = 0; i < in->operand_count_visible; i++)
        if (!same_operand(&guest_operands[i], &operands[i]))
            unsafe("another operand", in, code);
}

/* ---- Cases ---- */

/* Random bytes with this opcode and ModRM byte; false when they are no instruction. */
static bool make_guest(unsigned map, unsigned opcode, uint8_t mandatory,
                       unsigned modrm)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0xf0, 0xf2, 0xf3, 0x67};
    unsigned at = 0;

    while (any() % 3 == 0 && at < 3)
        guest_bytes[at++] =
            prefixes[any() % (sizeof(prefixes) - (any() % 8 != 0))];
    if (mandatory)
        guest_bytes[at++] = mandatory;
    if (map)
        guest_bytes[at++] = 0x0f;
    if (map > 1)
        guest_bytes[at++] = map == 2 ? 0x38 : 0x3a;
    guest_bytes[at++] = (uint8_t)opcode;
    guest_bytes[at++] = (uint8_t)modrm;
    while (at < sizeof(guest_bytes))
        guest_bytes[at++] = any() % 4 ? (uint8_t)any() : 0x24;
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(
        &decoder32, guest_bytes, sizeof(guest_bytes), &guest, guest_operands));
}

/* movzx r8d, r8w: cuts an address to 16 bits. */
static const uint8_t movzx_r8[] = {0x45, 0x0f, 0xb7, 0xc0};

static void check_ccf(const struct ccf *ccf)
{
    uint64_t at = ccf->body;
    bool stepped = ccf->exit_count && ccf->exits[0].kind == EXIT_STEP;
    bool found = false;

    while (at < ccf->start + ccf->host_len) {
        const uint8_t *code = mcode_rw(tc_mcode(tc), at);
        ZydisDecodedInstruction in;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        size_t len = ccf->start + ccf->host_len - at;

        in.length = 0;
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeFull(&decoder64, code, len, &in, operands)))
            unsafe("not an instruction", &guest, code);
        check_host(&in, operands, code);
        note_probe(&in, operands, at);
        if (is_copied() && in.mnemonic == guest.mnemonic &&
            (guest.address_width != 16 || memcmp(code, movzx_r8, 4))) {
            check_copy(&in, operands, code);
            found = true;
        }
        at += in.length;
    }
    ck_assert(found || stepped || !is_copied());
}

#define ANY_STATE \
    (MODE_USER | MODE_X87 | MODE_SSE | MODE_TSC | MODE_COUNT | MODE_IF)
#define KINDS           0xfffu /* two bits a segment */
#define STRING_SEGS     0xff3u
#define UPPER_KIND_BITS 0x555u

static uint32_t random_mode(void)
{
    uint32_t state = any() % 4 ? ANY_STATE : any() & ANY_STATE;

    if (any() % 2)
        return state | MODE_SEG(SEG_FS, SEG_KIND_BASED) |
               MODE_SEG(SEG_GS, SEG_KIND_BASED);
    return state | (any() & KINDS) << MODE_SEG_SHIFT;
}

/* Translate; true when the interpreter is not needed. */
static bool translate(enum insn_op *op)
{
    const struct insn_mode decode = {.features = UINT32_MAX, .code32 = true};
    struct xlat_request request = {
        .gip = GIP, .cs_limit = UINT32_MAX, .page = {page}};
    struct ccf *ccf;
    struct insn in;

    if (insn_decode(&in, decode, guest_bytes, sizeof(guest_bytes)) != INSN_OK)
        return false;
    *op = in.op;
    handler = handler_of[in.op];
    pushed = any() % 4 == 0;
    soft = any() % 4 == 0;
    probed = probe_len = 0;
    page[GIP & PAGE_MASK] = PUSH_EAX;
    memcpy(page + (GIP & PAGE_MASK) + pushed, guest_bytes, sizeof(guest_bytes));
    mode = request.mode = random_mode();
    soft |= is("string") && (mode >> MODE_SEG_SHIFT & STRING_SEGS);
    apart = soft || (mode >> (MODE_SEG_SHIFT + 1) & UPPER_KIND_BITS) ||
            mode_seg_kind(mode, SEG_SS) != SEG_KIND_FLAT;
    if (soft && any() % 2)
        mode = request.mode |= MODE_SOFT;
    ccf = xlat_tu(pushed ? xlat_pushed : xlat, &request);
    ck_assert_ptr_nonnull(ccf);
    check_ccf(ccf);
    tc_drop(tc, ccf);
    return !ccf->exit_count || ccf->exits[0].kind != EXIT_STEP;
}

START_TEST(host_code_of_random_instructions_stays_in_the_window)
{
    static const uint8_t mandatory[] = {0, 0x66, 0xf2, 0xf3};
    static bool native[OP_COUNT];
    unsigned translated = 0;
    unsigned ops = 0;

    for (unsigned i = 0; i < 4 * 256 * 4 * TRIES_PER_OPCODE; i++) {
        unsigned which = i / TRIES_PER_OPCODE;
        enum insn_op op = OP_INVALID;

        if (!make_guest(which >> 10, which & 0xff, mandatory[which >> 8 & 3],
                        i % TRIES_PER_OPCODE) ||
            !translate(&op))
            continue;
        translated++;
        ops += !native[op];
        native[op] = true;
    }
    printf("emit mnemonics=%u instructions=%u\n", ops, translated);
    for (unsigned op = OP_INVALID + 1; op < OP_COUNT; op++) {
        handler = handler_of[op];
        if (is_copied() && !native[op])
            ck_abort_msg("%s was never translated", insn_name(op));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit");
    TCase *tcase = tcase_create("safety");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, host_code_of_random_instructions_stays_in_the_window);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
