/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <string.h>

#include "tests/machine/machine.h"
#include "tests/machine/system.h"
#include "tests/suite/suite.h"

/*
 * Every form of memory access on the soft path, at CPL 0 and 3: it is found in
 * the soft TLB, misses, faults, crosses a page, wraps at 4 GiB, with the
 * interpreter's result. (tests/precise has kicks at every host instruction.)
 *
 * A program runs one form ROUNDS times. Each operand is in a page of its own, and
 * each of these holds the address behind the form, for those that jump there.
 */
#define RAM_LEN   (1u * MIB)
#define DIRECTORY 0x1000u
#define TABLE     0x2000u
#define TOP_TABLE 0x6000u
#define KSTACK    0x8000u
#define HANDLER   0x9000u
#define CODE      0x10000u
#define LANDING   (CODE + 0x80)
#define EBX_PAGE  0x20000u
#define ESI_PAGE  0x24000u
#define EDI_PAGE  0x28000u
#define EBP_PAGE  0x2c000u
#define ESP_PAGE  0x30000u
#define DATA_END  0x34000u
#define TOP_FRAME 0x38000u /* mapped at FFFFF000h */
#define COUNTER   0x3c000u
#define ROUNDS    30u
#define TOP_PAGE  0xfffff000u
#define MIDDLE    0x800u

struct form {
    const char *name;
    uint8_t code[8];
    uint8_t len;
    bool steps; /* the interpreter runs it */
};

/* eax = 23h, ecx = 5; ebx, esi, edi, ebp and esp point into their pages. */
static const struct form forms[] = {
    {"mov eax, [ebx]",       {0x8b, 0x03},                   2, false},
    {"mov [ebx], cl",        {0x88, 0x0b},                   2, false},
    {"add [ebx], eax",       {0x01, 0x03},                   2, false},
    {"lock xadd [ebx], eax", {0xf0, 0x0f, 0xc1, 0x03},       4, false},
    {"cmpxchg8b [ebx]",      {0x0f, 0xc7, 0x0b},             3, false},
    {"movups xmm0, [ebx]",   {0x0f, 0x10, 0x03},             3, false},
    {"movups [ebx], xmm0",   {0x0f, 0x11, 0x03},             3, false},
    {"fild dword [ebx]",     {0xdb, 0x03, 0xdd, 0xd8},       4, false},
    {"fstp tword [ebx]",     {0xd9, 0xe8, 0xdb, 0x3b},       4, false},
    {"mov eax, fs:[ebx]",    {0x64, 0x8b, 0x03},             3, false},
    {"mov [moffs], eax",     {0xa3, 0x00, 0x08, 0x02, 0x00}, 5, false},
    {"mov eax, [esp + 4]",   {0x8b, 0x44, 0x24, 0x04},       4, false},
    {"push eax",             {0x50},                         1, false},
    {"push 5",               {0x6a, 0x05},                   2, false},
    {"push esp",             {0x54},                         1, false},
    {"push [ebx]",           {0xff, 0x33},                   2, false},
    {"push fs:[ebx]",        {0x64, 0xff, 0x33},             3, false},
    {"pushf",                {0x9c},                         1, false},
    {"pop eax",              {0x58},                         1, false},
    {"pop esp",              {0x5c},                         1, false},
    {"pop [ebx]",            {0x8f, 0x03},                   2, false},
    {"pop [esp + 4]",        {0x8f, 0x44, 0x24, 0x04},       4, false},
    {"push; push; pop",      {0x50, 0x51, 0x58},             3, false},
    {"leave",                {0xc9},                         1, false},
    {"call rel",             {0xe8, 0x00, 0x00, 0x00, 0x00}, 5, false},
    {"call [ebx]",           {0xff, 0x13},                   2, false},
    {"jmp [ebx]",            {0xff, 0x23},                   2, false},
    {"ret",                  {0xc3},                         1, false},
    {"ret 8",                {0xc2, 0x08, 0x00},             3, false},
    {"movsb",                {0xa4},                         1, false},
    {"movsw",                {0x66, 0xa5},                   2, false},
    {"movsd",                {0xa5},                         1, false},
    {"std; movsd; cld",      {0xfd, 0xa5, 0xfc},             3, false},
    {"stosd",                {0xab},                         1, false},
    {"lodsb",                {0xac},                         1, false},
    {"scasd",                {0xaf},                         1, false},
    {"cmpsd",                {0xa7},                         1, false},
    {"rep movsd",            {0xf3, 0xa5},                   2, true },
    {"rep stosb",            {0xf3, 0xaa},                   2, true },
    {"repne scasd",          {0xf2, 0xaf},                   2, true },
    {"repe cmpsb",           {0xf3, 0xa6},                   2, true },
    {"bt [ebx], 37",         {0x0f, 0xba, 0x23, 0x25},       4, false},
    {"bt [ebx], eax",        {0x0f, 0xa3, 0x03},             3, false},
    {"bts [ebx], ecx",       {0x0f, 0xab, 0x0b},             3, false},
    {"lock btr [ebx], esp",  {0xf0, 0x0f, 0xb3, 0x23},       4, true },
    {"btc [ebx], ax",        {0x66, 0x0f, 0xbb, 0x03},       4, false},
    {"bts [ebx], far back",  {0xf7, 0xd0, 0x0f, 0xab, 0x03}, 5, false},
};

static const struct system machine_system = {
    .handler = HANDLER, .kernel_stack = KSTACK, .fs_base = 8};

/* How a test deviates from operands that lie well in pages that are there. */
struct setting {
    bool user;
    uint32_t offset; /* of operands in their pages */
    uint32_t page;   /* whose entry loses the bits in clear; 0: none */
    uint32_t clear;
    uint32_t set; /* and gains these */
    bool no_wp;
    bool top; /* EBX points into the last page of all */
};

static void put_tables(uint8_t *ram, const struct setting *s)
{
    put32(ram, DIRECTORY, TABLE | PTE_P | PTE_W | PTE_U | PTE_A);
    put32(ram, DIRECTORY + 4092, TOP_TABLE | PTE_P | PTE_W | PTE_U | PTE_A);
    for (uint32_t at = 0; at < RAM_LEN; at += PAGE_SIZE)
        put32(ram, TABLE + at / PAGE_SIZE * 4,
              at | PTE_P | PTE_W | (at >= CODE ? PTE_U : 0));
    put32(ram, TOP_TABLE + 4092, TOP_FRAME | PTE_P | PTE_W | PTE_U);
    if (s->page)
        put32(ram, TABLE + s->page / PAGE_SIZE * 4,
              (get32(ram, TABLE + s->page / PAGE_SIZE * 4) & ~s->clear) |
                  s->set);
}

static uint8_t *put_mov(uint8_t *at, unsigned reg, uint32_t value)
{
    *at++ = (uint8_t)(0xb8 | reg);
    memcpy(at, &value, 4);
    return at + 4;
}

/* 1: (registers); form; jmp LANDING ...
 * LANDING: dec dword [COUNTER]; jnz 1b; int 80h */
static void put_code(uint8_t *ram, const struct form *form,
                     const struct setting *s)
{
    static const uint8_t end[] = {0xff, 0x0d, 0, 0, 0, 0,    0x0f,
                                  0x85, 0,    0, 0, 0, 0xcd, 0x80};
    uint8_t *at = put_mov(ram + CODE, REG_EAX, 0x23);

    at = put_mov(at, REG_ECX, 5);
    at = put_mov(at, REG_EBX, (s->top ? TOP_PAGE : EBX_PAGE) + s->offset);
    at = put_mov(at, REG_ESI, ESI_PAGE + s->offset);
    at = put_mov(at, REG_EDI, EDI_PAGE + s->offset);
    at = put_mov(at, REG_EBP, EBP_PAGE + s->offset);
    at = put_mov(at, REG_ESP, ESP_PAGE + s->offset);
    memcpy(at, form->code, form->len);
    at += form->len;
    *at++ = 0xe9;
    put32(ram, (uint32_t)(at - ram), LANDING - (uint32_t)(at + 4 - ram));
    memcpy(ram + LANDING, end, sizeof(end));
    put32(ram, LANDING + 2, COUNTER);
    put32(ram, LANDING + 8, CODE - (LANDING + 12));
    put32(ram, COUNTER, ROUNDS);
    ck_assert_uint_le((uint32_t)(at + 4 - ram), LANDING);
}

static struct machine *bt;
static struct machine *interp;

static void setup_pair(enum soft_mode mode, bool no_bmi2)
{
    struct machine_config config = {.ram_len = RAM_LEN,
                                    .count = true,
                                    .deterministic = true,
                                    .soft_mode = mode,
                                    .no_bmi2 = no_bmi2};

    interp = machine_create(&config);
    config.bt = true;
    bt = machine_create(&config);
}

static void setup(void)
{
    setup_pair(SOFT_ALL, false);
}

static void setup_without_bmi2(void)
{
    setup_pair(SOFT_ALL, true);
}

static void setup_young(void)
{
    setup_pair(SOFT_YOUNG, false);
}

static void teardown(void)
{
    ck_assert_pstr_eq(bt_verify(bt->bt), NULL);
    machine_destroy(bt);
    machine_destroy(interp);
}

static void load(struct machine *m, const struct form *form,
                 const struct setting *s)
{
    uint8_t *ram = machine_ram(m, 0);
    struct vcpu v = m->vcpu;

    memset(ram, 0, HANDLER);
    memset(ram + HANDLER, 0xcc, RAM_LEN - HANDLER); /* int3 */
    system_put(ram, &machine_system);
    ram[HANDLER] = 0xf4; /* hlt */
    put_tables(ram, s);
    for (uint32_t at = EBX_PAGE; at < TOP_FRAME + PAGE_SIZE; at += 2)
        memcpy(ram + at, (uint8_t[]){(uint8_t)(at >> 4), (uint8_t)at}, 2);
    for (uint32_t at = EBX_PAGE; at < DATA_END; at += ESI_PAGE - EBX_PAGE)
        for (uint32_t back = 0; back <= 8; back += 4)
            put32(ram, at + s->offset + 4 - back, LANDING);
    put_code(ram, form, s);
    system_enter(&v, &machine_system, s->user);
    v.cr0 |= CR0_PG;
    if (s->no_wp)
        v.cr0 &= ~CR0_WP;
    v.cr3 = DIRECTORY;
    v.eip = CODE;
    v.retired = 0;
    if (m->bt)
        bt_flush(m->bt);
    machine_set_vcpu(m, &v);
}

/* Run under both engines and compare. Returns what the interpreter did of it. */
static uint64_t both(const struct form *form, const struct setting *s)
{
    uint64_t before = bt->stats.count[STAT_INSN_INTERP];
    const char *what;

    load(bt, form, s);
    load(interp, form, s);
    /* A kernel without its stack shuts down. */
    machine_run(interp, UINT64_MAX);
    machine_run(bt, UINT64_MAX);
    what = machine_differ(bt, interp);
    if (!what && !machine_same_ram(bt, interp, CODE, RAM_LEN - CODE))
        what = "memory";
    ck_assert_msg(!what, "%s: %s (user %d, offset %#x, page %#x, top %d)",
                  form->name, what, s->user, s->offset, s->page, s->top);
    ck_assert_uint_gt(bt->stats.count[STAT_INSN_CCF], 0);
    return bt->stats.count[STAT_INSN_INTERP] - before;
}

/* A miss for each page, INT and HLT. */
START_TEST(a_form_is_found_in_the_soft_tlb_after_one_miss)
{
    const struct form *form = &forms[_i];

    for (unsigned user = 0; user < 2; user++) {
        struct setting s = {.user = user, .offset = MIDDLE};
        uint64_t interpreted = both(form, &s);

        if (form->steps)
            continue;
        ck_assert_msg(interpreted <= 8, "%s: %llu steps", form->name,
                      (unsigned long long)interpreted);
    }
}
END_TEST

START_TEST(a_form_needs_no_bmi2)
{
    const struct setting s = {.offset = MIDDLE};

    both(&forms[_i], &s);
}
END_TEST

START_TEST(a_form_faults_as_the_interpreter_does)
{
    static const uint32_t clear[] = {PTE_P, PTE_W, PTE_U};

    for (uint32_t page = EBX_PAGE; page < DATA_END; page += ESI_PAGE - EBX_PAGE)
        for (unsigned i = 0; i < ARRAY_COUNT(clear); i++) {
            struct setting s = {.user =
                                    clear[i] == PTE_U || i == (unsigned)_i % 2,
                                .offset = MIDDLE,
                                .page = page,
                                .clear = clear[i]};

            both(&forms[_i], &s);
        }
}
END_TEST

/* Dirty, so that nothing but the rights is in the way of the store. */
START_TEST(without_wp_only_the_kernel_stores_to_read_only_pages)
{
    const struct form form = {
        "mov eax, [ebx]; mov [ebx], eax", {0x8b, 0x03, 0x89, 0x03},
         4, false
    };
    struct setting s = {.offset = MIDDLE,
                        .page = EBX_PAGE,
                        .clear = PTE_W,
                        .set = PTE_D,
                        .no_wp = true};

    both(&form, &s);
    ck_assert_uint_eq(machine_exceptions(bt), 0);
    s.user = true;
    both(&form, &s);
    ck_assert_uint_eq(machine_exceptions(bt), 1);
}
END_TEST

START_TEST(a_form_crosses_into_the_next_page)
{
    for (uint32_t offset = PAGE_SIZE - 5; offset <= PAGE_SIZE + 3; offset++)
        for (unsigned there = 0; there < 2; there++) {
            struct setting s = {.user = offset & 1,
                                .offset = offset,
                                .page = there ? 0 : EBX_PAGE + PAGE_SIZE,
                                .clear = PTE_P};

            both(&forms[_i], &s);
        }
}
END_TEST

START_TEST(a_form_wraps_at_4_gib_as_the_interpreter_does)
{
    for (uint32_t offset = PAGE_SIZE - 5; offset < PAGE_SIZE; offset++) {
        struct setting s = {.offset = offset, .top = true};

        both(&forms[_i], &s);
    }
}
END_TEST

/* ---- Young spaces ---- */

#define DIRECTORY_2 0x7000u /* the stack page of the kernel: unused here */
#define EARNS       100000u /* rounds of a dozen instructions */

/* Run the form with a step in it, at CPL 3, in the address space of cr3. */
static void run_user(uint32_t cr3, uint32_t rounds)
{
    const struct form form = {
        "rep lodsb; mov eax, [ebx]", {0xf3, 0xac, 0x8b, 0x03},
         4, true
    };
    const struct setting s = {.user = true, .offset = MIDDLE};
    struct vcpu v;

    load(bt, &form, &s);
    put32(machine_ram(bt, COUNTER), 0, rounds);
    memcpy(machine_ram(bt, DIRECTORY_2), machine_ram(bt, DIRECTORY), PAGE_SIZE);
    machine_stored(bt, DIRECTORY_2, PAGE_SIZE);
    v = bt->vcpu;
    v.cr3 = cr3;
    machine_set_vcpu(bt, &v);
    ck_assert_int_eq(machine_run(bt, UINT64_MAX), VCPU_EXIT_HLT);
}

static void check_spaces(uint64_t spaces, uint64_t conversions)
{
    ck_assert_uint_eq(bt->stats.count[STAT_SOFT_SPACES], spaces);
    ck_assert_uint_eq(bt->stats.count[STAT_SOFT_CONVERSIONS], conversions);
}

START_TEST(a_short_lived_space_maps_no_user_page)
{
    uint64_t before = bt->stats.count[STAT_FILLS];

    run_user(DIRECTORY, ROUNDS);
    check_spaces(1, 0);
    ck_assert_uint_eq(bt->stats.count[STAT_FILLS], before);
    ck_assert_uint_gt(bt->stats.count[STAT_USER_MEMOPS_SOFT], 2 * ROUNDS);
}
END_TEST

START_TEST(a_space_that_runs_for_long_gets_a_window)
{
    run_user(DIRECTORY, EARNS);
    check_spaces(1, 1);
    ck_assert_uint_gt(bt->stats.count[STAT_FILLS], 0);
    ck_assert_uint_lt(2 * bt->stats.count[STAT_USER_MEMOPS_SOFT],
                      3 * bt->stats.count[STAT_USER_MEMOPS]);
}
END_TEST

START_TEST(another_cr3_is_another_space)
{
    run_user(DIRECTORY, EARNS);
    run_user(DIRECTORY_2, EARNS);
    check_spaces(2, 2);
}
END_TEST

/* ---- Sites ---- */

static void setup_windows(void)
{
    setup_pair(SOFT_NONE, false);
}

/* The loop from its first instruction or from its second: two CCFs. */
static void run_loop_from(gip_t eip)
{
    struct vcpu v = bt->vcpu;

    system_enter(&v, &machine_system, false);
    v.cr0 |= CR0_PG;
    v.cr3 = DIRECTORY;
    v.eip = eip;
    put32(machine_ram(bt, COUNTER), 0, ROUNDS);
    machine_set_vcpu(bt, &v);
    ck_assert_int_eq(machine_run(bt, UINT64_MAX), VCPU_EXIT_HLT);
}

START_TEST(a_site_turns_soft_in_each_ccf_that_holds_it)
{
    const struct form form = {
        "mov eax, [ebx]", {0x8b, 0x03},
         2, false
    };
    const struct setting s = {
        .offset = MIDDLE, .page = EBX_PAGE, .clear = PTE_U};
    uint8_t *pte = machine_ram(bt, TABLE + EBX_PAGE / PAGE_SIZE * 4);

    load(bt, &form, &s);
    put32(machine_ram(bt, 0), TABLE + COUNTER / PAGE_SIZE * 4,
          COUNTER | PTE_P | PTE_W);
    run_loop_from(CODE);
    run_loop_from(CODE + 5);
    ck_assert_uint_eq(bt->stats.count[STAT_ADAPTATIONS], 0);
    *pte |= PTE_U;
    machine_stored(bt, TABLE, PAGE_SIZE);
    run_loop_from(CODE + 5);
    run_loop_from(CODE);
    ck_assert_uint_ge(bt->stats.count[STAT_ADAPTATIONS], 2);
    ck_assert_uint_le(bt->stats.count[STAT_CALLOUTS], 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("soft");
    TCase *tcase = tcase_create("forms");
    TCase *plain = tcase_create("without BMI2");
    const int count = ARRAY_COUNT(forms);
    TCase *young = tcase_create("young spaces");
    TCase *sites = tcase_create("sites");

    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_checked_fixture(plain, setup_without_bmi2, teardown);
    tcase_add_loop_test(tcase, a_form_is_found_in_the_soft_tlb_after_one_miss,
                        0, count);
    tcase_add_loop_test(plain, a_form_needs_no_bmi2, 0, count);
    tcase_add_loop_test(tcase, a_form_faults_as_the_interpreter_does, 0, count);
    tcase_add_test(tcase, without_wp_only_the_kernel_stores_to_read_only_pages);
    tcase_add_loop_test(tcase, a_form_crosses_into_the_next_page, 0, count);
    tcase_add_loop_test(tcase, a_form_wraps_at_4_gib_as_the_interpreter_does, 0,
                        count);
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(young, setup_young, teardown);
    tcase_add_test(young, a_short_lived_space_maps_no_user_page);
    tcase_add_test(young, a_space_that_runs_for_long_gets_a_window);
    tcase_add_test(young, another_cr3_is_another_space);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(sites, setup_windows, teardown);
    tcase_add_test(sites, a_site_turns_soft_in_each_ccf_that_holds_it);
    suite_add_tcase(suite, young);
    suite_add_tcase(suite, sites);
    return run_suite(suite);
}
