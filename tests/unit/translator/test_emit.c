/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/emit_check/stage.h"
#include "tests/suite/suite.h"

/*
 * The safety of what is emitted: whatever bytes the guest has, the host code made
 * of them keeps the rules of tests/emit_check.
 *
 * Random encodings of every opcode go through the translator, one instruction
 * a TU, in random modes.
 */
#define TRIES_PER_OPCODE 256u /* one for each ModRM byte */
#define PUSH_EAX         0x50
#define GIP              0x12345400u

static struct stage stage;
static struct emit_check *check;
/* TUs of one instruction, and of two: PUSH leaves a pending ESP delta. */
static struct xlat *xlat;
static struct xlat *xlat_pushed;
static uint8_t page[PAGE_SIZE];
static uint64_t random_state = 1;
static uint8_t guest_bytes[INSN_MAX_LEN];
static bool soft; /* the site is to be translated soft */

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

static bool is_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    (void)opaque, (void)gfn, (void)offset;
    return soft;
}

static void setup_with(bool has_bmi2)
{
    stage_init(&stage, has_bmi2);
    check = emit_check_create(&stage.config);
    ck_assert_ptr_nonnull(check);
    stage.config.is_soft = is_soft;
    stage.config.max_insns = 1;
    ck_assert_int_eq(xlat_create(&xlat, &stage.config), 0);
    stage.config.max_insns = 2;
    ck_assert_int_eq(xlat_create(&xlat_pushed, &stage.config), 0);
}

static void setup(void)
{
    setup_with(true);
}

static void setup_without_bmi2(void)
{
    setup_with(false);
}

static void teardown(void)
{
    xlat_destroy(xlat);
    xlat_destroy(xlat_pushed);
    emit_check_destroy(check);
    stage_fini(&stage);
}

static void no_offence(const char *why)
{
    if (why == NULL)
        return;
    emit_check_print(check, stdout);
    fflush(stdout);
    ck_abort_msg("%s", why);
}

/* Random bytes with this opcode and ModRM byte. */
static void make_guest(unsigned map, unsigned opcode, uint8_t mandatory,
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
}

#define ANY_STATE \
    (MODE_USER | MODE_X87 | MODE_SSE | MODE_TSC | MODE_COUNT | MODE_IF)
#define KINDS 0xfffu /* two bits a segment */

static uint32_t random_mode(void)
{
    uint32_t state = any() % 4 ? ANY_STATE : any() & ANY_STATE;

    state |= any() % 4 == 0 ? MODE_STACK16 : 0;
    if (any() % 2)
        return state | MODE_SEG(SEG_FS, SEG_KIND_BASED) |
               MODE_SEG(SEG_GS, SEG_KIND_BASED);
    state |= (any() & KINDS) << MODE_SEG_SHIFT;
    return mode_seg_kind(state, SEG_CS) == SEG_KIND_DOWN
               ? state & ~MODE_SEG(SEG_CS, 1)
               : state;
}

/* Translate; true when the interpreter is not needed. */
static bool translate(enum insn_op *op)
{
    const struct insn_mode decode = {.features = UINT32_MAX, .code32 = true};
    struct xlat_request request = {
        .gip = GIP, .cs_limit = UINT32_MAX, .page = {page}};
    bool pushed = any() % 4 == 0;
    struct ccf *ccf;
    struct insn in;
    bool stepped;

    if (insn_decode(&in, decode, guest_bytes, sizeof(guest_bytes)) != INSN_OK)
        return false;
    *op = in.op;
    soft = any() % 4 == 0;
    page[GIP & PAGE_MASK] = PUSH_EAX;
    memcpy(page + (GIP & PAGE_MASK) + pushed, guest_bytes, sizeof(guest_bytes));
    request.mode = random_mode();
    if (soft && any() % 2)
        request.mode |= MODE_SOFT;
    ccf = xlat_tu(pushed ? xlat_pushed : xlat, &request);
    ck_assert_ptr_nonnull(ccf);
    no_offence(emit_check_ccf(
        check, ccf, mcode_rw(tc_mcode(stage.config.tc), ccf->start), 0));
    stepped = ccf->exit_count && ccf->exits[0].kind == EXIT_STEP;
    tc_drop(stage.config.tc, ccf);
    return !stepped;
}

static bool is_copied(unsigned op)
{
    const char *handler = handler_of[op];

    return strcmp(handler, "copy") == 0 || strcmp(handler, "x87") == 0 ||
           strcmp(handler, "sse") == 0;
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

        make_guest(which >> 10, which & 0xff, mandatory[which >> 8 & 3],
                   i % TRIES_PER_OPCODE);
        if (!translate(&op))
            continue;
        translated++;
        ops += !native[op];
        native[op] = true;
    }
    printf("emit mnemonics=%u instructions=%u host=%llu\n", ops, translated,
           (unsigned long long)emit_check_count(check));
    for (unsigned op = OP_INVALID + 1; op < OP_COUNT; op++)
        if (is_copied(op) && !native[op])
            ck_abort_msg("%s was never translated", insn_name(op));
}
END_TEST

START_TEST(probes_and_limit_checks_touch_their_own_tables_only)
{
    no_offence(stage_check_functions(&stage, check));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emit");
    TCase *tcase = tcase_create("safety");
    TCase *plain = tcase_create("safety_without_bmi2");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, host_code_of_random_instructions_stays_in_the_window);
    tcase_add_test(tcase, probes_and_limit_checks_touch_their_own_tables_only);
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(plain, setup_without_bmi2, teardown);
    tcase_add_test(plain, probes_and_limit_checks_touch_their_own_tables_only);
    suite_add_tcase(suite, plain);
    return run_suite(suite);
}
