/* SPDX-License-Identifier: MIT */
#include "both.h"

#include <string.h>

#include "tests/machine/system.h"

/*
 * A region of the cache is emptied and used again: nothing may lead to what was
 * there, neither a lookup table nor a return that is still to come.
 *
 *   CODE:  mov ecx, ROUNDS; 1: call ebp; call edi; dec ecx; jnz 1b; int 80h
 *   SMALL: inc eax; ret
 *   LARGE: add edx, 1 (as often as fills the cache twice); ret
 */
#define DIRECTORY 0x8000u
#define HANDLER   0xd000u
#define KSTACK    0xd000u
#define SMALL     0x20000u
#define LARGE     0x100000u
#define ROUNDS    3u
#define ADD_LEN   6u
#define ADDS      (2u * TC_MIN_LEN / ADD_LEN)

static const struct system machine_system = {.handler = HANDLER,
                                             .kernel_stack = KSTACK};

static void put_program(uint8_t *ram)
{
    static const uint8_t code[] = {0xb9, ROUNDS, 0,    0,    0,    0xff, 0xd5,
                                   0xff, 0xd7,   0x49, 0x75, 0xf9, 0xcd, 0x80};
    static const uint8_t small[] = {0x40, 0xc3};
    static const uint8_t add[ADD_LEN] = {0x81, 0xc2, 1, 0, 0, 0};

    memcpy(ram + CODE, code, sizeof(code));
    memcpy(ram + SMALL, small, sizeof(small));
    for (uint32_t i = 0; i < ADDS; i++)
        memcpy(ram + LARGE + i * ADD_LEN, add, ADD_LEN);
    ram[LARGE + ADDS * ADD_LEN] = 0xc3;
    ram[HANDLER] = 0xf4; /* hlt */
}

static struct machine *fill_the_cache(bool bt, bool user)
{
    const struct machine_config config = {
        .ram_len = 4 * MIB, .bt = bt, .count = true, .deterministic = true};
    struct machine *m = machine_create(&config);
    struct vcpu v = m->vcpu;

    system_put(machine_ram(m, 0), &machine_system);
    put_program(machine_ram(m, 0));
    put32(machine_ram(m, 0), DIRECTORY, PTE_P | PTE_W | PTE_U | PTE_PS);
    system_enter(&v, &machine_system, user);
    v.cr0 |= CR0_PG;
    v.cr4 |= CR4_PSE;
    v.cr3 = DIRECTORY;
    v.eip = CODE;
    v.regs[REG_ESP] = STACK;
    v.regs[REG_EBP] = SMALL;
    v.regs[REG_EDI] = LARGE;
    machine_set_vcpu(m, &v);
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    return m;
}

START_TEST(code_that_was_evicted_is_found_anew)
{
    struct machine *bt = fill_the_cache(true, _i);
    struct machine *interp = fill_the_cache(false, _i);

    ck_assert_uint_eq(bt->vcpu.regs[REG_EAX], ROUNDS);
    ck_assert_uint_eq(bt->vcpu.regs[REG_EDX], ROUNDS * ADDS);
    ck_assert_pstr_eq(machine_differ(bt, interp), NULL);
    ck_assert_pstr_eq(bt_verify(bt->bt), NULL);
    ck_assert_uint_gt(bt->stats.count[STAT_TC_EVICTIONS], TC_REGIONS);
    machine_destroy(bt);
    machine_destroy(interp);
}
END_TEST

void add_eviction_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, code_that_was_evicted_is_found_anew, 0, 2);
}
