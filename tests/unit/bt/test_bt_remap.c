/* SPDX-License-Identifier: MIT */
#include "both.h"

#include <string.h>

#include "tests/machine/system.h"

/*
 * Code that is mapped to another frame while it is being run, in every way that
 * the engine goes from one page to another: direct and indirect calls, which
 * leave a host return behind, returns, and direct jumps, which may be chained.
 *
 *   CALLER:    1: (to FUNCTION); add eax, n; dec ecx; jnz 1b; int END
 *   FUNCTION:  add edx, n; int REMAP; (back)
 *   handler:   map one of the two elsewhere; flush; iret
 *
 * Both pages have two frames, with n = 1 in the one and n = 10000h in the other;
 * each round takes the other frame of the page that moves.
 *
 * An instruction that crosses into the page that moves: the function begins with
 * the last bytes of the page before.
 */
#define DIRECTORY   0x8000u
#define DIRECTORY_2 0x9000u
#define TABLE       0xa000u
#define TABLE_2     0xb000u
#define LOW_TABLE   0xc000u
#define KSTACK      0xe000u
#define HANDLER     0xe000u
#define END_HANDLER 0xf000u
#define PLACES      0x80000u  /* all lies below, but is mapped */
#define PAGES       0x400000u /* so much higher, the kernel's where it lies */
#define CALLER      (PAGES + 0x20000)
#define FUNCTION    (PAGES + 0x30000)
#define OTHER       0x1000u /* second frames are so much further */
#define USTACK      (PAGES + 0x40000)
#define BACK        (CALLER + 6)
#define BEFORE      2u /* bytes of its first instruction in the page before */
#define REMAP       0x80
#define END         0x81
#define ROUNDS      20u

enum transfer { CALL, CALL_INDIRECT, JUMP, JUMP_IF, TRANSFERS };
enum flush { INVLPG, SAME_CR3, OTHER_CR3, FLUSHES };

struct remap {
    enum transfer transfer;
    enum flush flush;
    enum soft_mode soft;
    bool user;
    bool no_host_returns;
    bool crosses;
    uint32_t moves; /* CALLER or FUNCTION */
};

/* ---- Code ---- */

static uint8_t *put(uint8_t *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static uint8_t *put_word(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

#define PUT(at, bytes) ((at) = put((at), (bytes), sizeof(bytes) - 1))

/* A direct transfer of 6 bytes, as if at this linear address. Conditions are
 * always met: ZF is clear. */
static uint8_t *put_transfer(uint8_t *at, enum transfer transfer, uint32_t from,
                             uint32_t to)
{
    if (transfer == JUMP_IF)
        PUT(at, "\x0f\x85");
    else
        *at++ = transfer == CALL ? 0xe8 : 0xe9;
    at = put_word(at, to - (from + (transfer == JUMP_IF ? 6 : 5)));
    if (transfer != JUMP_IF)
        *at++ = 0x90;
    return at;
}

static uint32_t function_of(const struct remap *r)
{
    return FUNCTION - (r->crosses ? BEFORE : 0);
}

static void put_caller(uint8_t *at, const struct remap *r, uint32_t n)
{
    if (r->transfer == CALL_INDIRECT)
        PUT(at, "\xff\xd5\x90\x90\x90\x90"); /* call ebp; nop... */
    else
        at = put_transfer(at, r->transfer, CALLER, function_of(r));
    PUT(at, "\x05"); /* add eax, n */
    at = put_word(at, n);
    PUT(at, "\x49\x75\xf2\xcd\x81"); /* dec ecx; jnz 1b; int END */
}

static void put_function(uint8_t *at, const struct remap *r, uint32_t n)
{
    PUT(at, "\x81\xc2"); /* add edx, n; int REMAP */
    at = put_word(at, n);
    PUT(at, "\xcd\x80");
    if (r->transfer >= JUMP)
        put_transfer(at, r->transfer, function_of(r) + 8, BACK);
    else
        PUT(at, "\xc3");
}

static void put_handler(uint8_t *at, const struct remap *r)
{
    if (r->flush != OTHER_CR3) {
        PUT(at, "\x81\x35"); /* xor dword [entry], OTHER */
        at = put_word(at, TABLE + (r->moves - PAGES) / PAGE_SIZE * 4);
        at = put_word(at, OTHER);
    }
    if (r->flush == INVLPG) {
        PUT(at, "\x0f\x01\x3d"); /* invlpg [page] */
        at = put_word(at, r->moves);
    } else {
        PUT(at, "\x0f\x20\xdb"); /* mov ebx, cr3 */
        if (r->flush == OTHER_CR3) {
            PUT(at, "\x81\xf3"); /* xor ebx, the two */
            at = put_word(at, DIRECTORY ^ DIRECTORY_2);
        }
        PUT(at, "\x0f\x22\xdb"); /* mov cr3, ebx */
    }
    PUT(at, "\xcf");
}

/* ---- The machine ---- */

static void put_tables(uint8_t *ram, const struct remap *r)
{
    const uint32_t rights = PTE_P | PTE_W | (r->user ? PTE_U : 0);

    put32(ram, DIRECTORY, LOW_TABLE | rights);
    put32(ram, DIRECTORY_2, LOW_TABLE | rights);
    put32(ram, DIRECTORY + 4, TABLE | rights);
    put32(ram, DIRECTORY_2 + 4, TABLE_2 | rights);
    for (uint32_t at = 0; at < PLACES; at += PAGE_SIZE) {
        uint32_t moved = at == r->moves - PAGES ? OTHER : 0;

        put32(ram, LOW_TABLE + at / PAGE_SIZE * 4, at | PTE_P | PTE_W);
        put32(ram, TABLE + at / PAGE_SIZE * 4, at | rights);
        put32(ram, TABLE_2 + at / PAGE_SIZE * 4, (at ^ moved) | rights);
    }
}

static void put_program(uint8_t *ram, const struct remap *r)
{
    uint8_t *caller = ram + (CALLER - PAGES);
    uint8_t *function = ram + (function_of(r) - PAGES);

    put_caller(caller, r, 1);
    put_caller(caller + OTHER, r, 0x10000);
    put_function(function, r, 1);
    put_function(function + OTHER, r, 0x10000);
    put_handler(ram + HANDLER, r);
    ram[END_HANDLER] = 0xf4; /* hlt */
}

static void prepare(struct machine *m, const struct remap *r)
{
    const struct system system = {.handler = END_HANDLER,
                                  .kernel_stack = KSTACK};
    uint8_t *ram = machine_ram(m, 0);
    struct vcpu v = m->vcpu;

    system_put(ram, &system);
    system_put_gate(ram, REMAP, HANDLER);
    put_tables(ram, r);
    put_program(ram, r);
    system_enter(&v, &system, r->user);
    v.cr0 |= CR0_PG;
    v.cr3 = DIRECTORY;
    v.eip = CALLER;
    v.regs[REG_ECX] = ROUNDS;
    v.regs[REG_EBP] = function_of(r);
    v.regs[REG_ESP] = USTACK + PAGE_SIZE;
    machine_set_vcpu(m, &v);
}

static struct machine *remap(const struct remap *r, bool bt)
{
    const struct machine_config config = {
        .ram_len = MIB,
        .bt = bt,
        .count = true,
        .deterministic = true,
        .soft_mode = r->soft,
        .off = r->no_host_returns ? BIT(MECHANISM_HOST_RETURNS) : 0,
    };
    struct machine *m = machine_create(&config);

    prepare(m, r);
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    return m;
}

static void check(const struct remap *r)
{
    const uint32_t half = ROUNDS / 2 * 0x10001;
    const uint32_t eax = r->moves == CALLER ? half : ROUNDS;
    const uint32_t edx = r->moves == FUNCTION ? half : ROUNDS;
    struct machine *bt = remap(r, true);
    struct machine *interp = remap(r, false);
    const char *what = machine_differ(bt, interp);

    if (bt->vcpu.regs[REG_EAX] != eax || bt->vcpu.regs[REG_EDX] != edx)
        what = "which frames ran";
    ck_assert_msg(!what,
                  "%s: transfer %d, flush %d, soft %d, user %d, host returns "
                  "%d, crosses %d, %06x moves, eax %08x edx %08x",
                  what, r->transfer, r->flush, r->soft, r->user,
                  !r->no_host_returns, r->crosses, r->moves,
                  bt->vcpu.regs[REG_EAX], bt->vcpu.regs[REG_EDX]);
    ck_assert_uint_ge(bt->stats.count[STAT_INSN_CCF], 3 * ROUNDS);
    ck_assert_pstr_eq(bt_verify(bt->bt), NULL);
    machine_destroy(bt);
    machine_destroy(interp);
}

/* The rest of the product of what a remap may be. */
static void check_each(struct remap r)
{
    for (unsigned i = 0; i < TRANSFERS * FLUSHES * 2; i++) {
        r.transfer = i % TRANSFERS;
        r.flush = i / TRANSFERS % FLUSHES;
        r.user = i / (TRANSFERS * FLUSHES);
        check(&r);
    }
}

/* With windows; without; without host returns. */
static const struct remap ways[] = {
    {.soft = SOFT_NONE},
    {                 .soft = SOFT_ALL                },
    { .soft = SOFT_NONE,                 .no_host_returns = true},
};

START_TEST(a_page_that_is_mapped_anew_is_entered_anew)
{
    struct remap r = ways[_i];

    r.moves = FUNCTION;
    check_each(r);
}
END_TEST

START_TEST(an_instruction_that_crosses_into_a_page_mapped_anew_is_read_anew)
{
    struct remap r = ways[_i];

    r.moves = FUNCTION;
    r.crosses = true;
    check_each(r);
}
END_TEST

START_TEST(a_page_that_is_mapped_anew_is_returned_to_anew)
{
    struct remap r = ways[_i];

    r.moves = CALLER;
    check_each(r);
}
END_TEST

/* Code that maps its own page elsewhere. The load finds the new translation in
 * the tables, which is allowed; behind the flush there is no other.
 *
 *   CALLER:   xor dword [entry], OTHER; mov eax, [CALLER + 800h];
 *             (flush), or call FUNCTION; add edx, n; int END
 *   FUNCTION: invlpg [CALLER]; ret
 */
enum own_flush { OWN_INVLPG, OWN_CR3, OWN_CALL, OWN_FLUSHES };

static uint8_t *put_invlpg(uint8_t *at)
{
    PUT(at, "\x0f\x01\x3d");
    return put_word(at, CALLER);
}

static void put_own_remap(uint8_t *at, enum own_flush flush, uint32_t n)
{
    const uint8_t *start = at;

    PUT(at, "\x81\x35");
    at = put_word(at, TABLE + (CALLER - PAGES) / PAGE_SIZE * 4);
    at = put_word(at, OTHER);
    PUT(at, "\xa1");
    at = put_word(at, CALLER + 0x800);
    switch (flush) {
    case OWN_INVLPG: at = put_invlpg(at); break;
    case OWN_CR3: PUT(at, "\x0f\x20\xdb\x0f\x22\xdb"); break;
    default:
        at = put_transfer(at, CALL, CALLER + (uint32_t)(at - start), FUNCTION);
        break;
    }
    PUT(at, "\x81\xc2");
    at = put_word(at, n);
    PUT(at, "\xcd\x81");
}

static struct machine *map_own_page(bool bt, enum own_flush flush)
{
    const struct remap r = {.moves = CALLER, .soft = SOFT_NONE};
    const struct machine_config config = {
        .ram_len = MIB, .bt = bt, .deterministic = true};
    struct machine *m = machine_create(&config);
    uint8_t *function = machine_ram(m, FUNCTION - PAGES);

    prepare(m, &r);
    put_own_remap(machine_ram(m, CALLER - PAGES), flush, 1);
    put_own_remap(machine_ram(m, CALLER - PAGES + OTHER), flush, 0x10000);
    function = put_invlpg(function);
    PUT(function, "\xc3");
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    return m;
}

START_TEST(code_that_maps_its_own_page_anew_goes_on_in_the_new_frame)
{
    for (unsigned bt = 0; bt < 2; bt++) {
        struct machine *m = map_own_page(bt, _i);

        ck_assert_uint_eq(m->vcpu.regs[REG_EDX], 0x10000);
        machine_destroy(m);
    }
}
END_TEST

void add_remap_tests(TCase *tcase)
{
    const int count = ARRAY_COUNT(ways);

    tcase_add_loop_test(tcase, a_page_that_is_mapped_anew_is_entered_anew, 0,
                        count);
    tcase_add_loop_test(
        tcase, an_instruction_that_crosses_into_a_page_mapped_anew_is_read_anew,
        0, count);
    tcase_add_loop_test(tcase, a_page_that_is_mapped_anew_is_returned_to_anew,
                        0, count);
    tcase_add_loop_test(
        tcase, code_that_maps_its_own_page_anew_goes_on_in_the_new_frame, 0,
        OWN_FLUSHES);
}
