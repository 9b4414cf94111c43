/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/cpu/mem.h"
#include "emu/cpu/segment.h"
#include "monitor/engine.h"
#include "monitor/lockstep.h"
#include "monitor/vm.h"
#include "shadow_mmu/gmem.h"
#include "tests/suite/suite.h"

/*
 * Lockstep notices what is planted: the self-test kernel runs until paging is on
 * and it has stored something; then one thing in the translator's machine is
 * changed behind its back, after a TU. The next comparison must fail, and the
 * report must name it.
 */
#define DEBUG_EXIT 0xf4
#define STEP       2000u
#define SHORT      50u /* instructions after planting */
#define REPORT_LEN 65536u

static const char *elf; /* the self-test kernel */

struct trial {
    struct lockstep *ls;
    void (*plant)(struct vm *vm);
    bool planted;
};

static void on_hook(void *opaque, struct vm *vm)
{
    struct trial *t = opaque;

    if (!t->planted)
        t->plant(vm);
    t->planted = true;
}

static void nothing_written(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque, (void)data, (void)len;
}

/* The kernel where paging is on, both engines equal; the same place each time. */
static struct lockstep *start(void)
{
    struct load_error error;
    struct config config;
    struct lockstep *ls;

    config_init(&config);
    config.kernel = elf;
    config.ram_len = 64 * MIB;
    config.debug_exit_port = DEBUG_EXIT;
    config.insn_ns = 200;
    config.serial[0] = (struct char_config){
        .kind = CHAR_BACKEND, .backend = {.write = nothing_written}};
    ls = lockstep_create(&config, &error);
    ck_assert_msg(ls != NULL, "%s", ls ? "" : error.text);
    while (!(lockstep_vm(ls)->vcpu.cr0 & CR0_PG)) {
        uint64_t until = lockstep_vm(ls)->vcpu.retired + STEP;

        ck_assert_int_eq(lockstep_run(ls, until), LOCKSTEP_RUNNING);
    }
    return ls;
}

/* What lockstep says on stderr once this is planted. */
static const char *report_of(void (*plant)(struct vm *vm))
{
    static char report[REPORT_LEN];
    struct trial t = {.ls = start(), .plant = plant};
    uint64_t retired = lockstep_vm(t.ls)->vcpu.retired;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    enum lockstep_result result;
    size_t len;

    ck_assert(file && saved >= 0);
    dup2(fileno(file), STDERR_FILENO);
    lockstep_set_hook(t.ls, on_hook, &t);
    result = lockstep_run(t.ls, retired + SHORT);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    rewind(file);
    len = fread(report, 1, sizeof(report) - 1, file);
    report[len] = '\0';
    fclose(file);
    close(saved);
    ck_assert(t.planted);
    ck_assert_msg(result == LOCKSTEP_DIVERGED, "not noticed: %s", report);
    lockstep_destroy(t.ls);
    return report;
}

/* ---- What is planted ---- */

static void wrong_register(struct vm *vm)
{
    vm->vcpu.regs[REG_EBX] ^= 0x100;
}

static void wrong_flag(struct vm *vm)
{
    vm->vcpu.eflags ^= FLAG_CF;
}

static void wrong_interrupt_flag(struct vm *vm)
{
    vm->vcpu.if_flag ^= 1;
}

static void wrong_segment(struct vm *vm)
{
    vm->vcpu.seg[SEG_GS].limit ^= 1;
}

static void wrong_control(struct vm *vm)
{
    vm->vcpu.cr2 ^= 0x10;
}

static void wrong_msr(struct vm *vm)
{
    vm->vcpu.sysenter_eip ^= 4;
}

static void wrong_st(struct vm *vm)
{
    vm->vcpu.fpu[32 + 16 * 5] ^= 1;
}

static void wrong_xmm(struct vm *vm)
{
    vm->vcpu.fpu[160 + 16 * 7 + 15] ^= 0x80;
}

static void wrong_count(struct vm *vm)
{
    vm->vcpu.retired++;
}

static void wrong_exceptions(struct vm *vm)
{
    vm->stats.count[STAT_EXCEPTIONS]++;
}

static uint8_t *ram(struct vm *vm, gpa_t gpa)
{
    uint8_t *hva = NULL;

    ck_assert_int_ne(gmem_lookup(vm->gmem, gpa >> PAGE_SHIFT, &hva, NULL),
                     GMEM_NONE);
    return hva + (gpa & PAGE_MASK);
}

/* Below the stack's top, which the kernel stores to all the time. */
static void wrong_stack_byte(struct vm *vm)
{
    gpa_t gpa;

    ck_assert(mem_debug_translate(
        vm->interp, (vm->vcpu.regs[REG_ESP] & ~PAGE_MASK) + 64, &gpa));
    *ram(vm, gpa) ^= 0x40;
}

/* The last page of RAM, which nobody uses. */
static void wrong_distant_byte(struct vm *vm)
{
    *ram(vm, 64 * MIB - 100) ^= 0x40;
}

/* An interrupt that the reference does not take here. */
static void early_interrupt(struct vm *vm)
{
    const struct exc exc = {
        .kind = EXC_KIND_INTR, .vector = 0x20, .return_eip = vm->vcpu.eip};

    exc_deliver(vm->interp, &exc);
}

static void wrong_interrupt_line(struct vm *vm)
{
    vm->vcpu.irq_line = !vm->vcpu.irq_line;
}

/* The last entry of the tables in use for which the function holds; its
 * address. */
static uint8_t *find_entry(struct vm *vm, bool (*is_wanted)(uint32_t entry))
{
    const uint8_t *directory = ram(vm, vm->vcpu.cr3 & ~PAGE_MASK);
    uint8_t *found = NULL;

    ck_assert(!(vm->vcpu.cr4 & CR4_PAE));
    for (unsigned i = 0; i < 1024; i++) {
        uint32_t pde;

        memcpy(&pde, directory + 4 * i, 4);
        for (unsigned k = 0; (pde & 0x81) == 1 && k < 1024; k++) {
            uint8_t *at = ram(vm, (pde & ~PAGE_MASK) + 4 * k);
            uint32_t pte;

            memcpy(&pte, at, 4);
            if (is_wanted(pte))
                found = at;
        }
    }
    ck_assert_ptr_nonnull(found);
    return found;
}

static bool is_clean(uint32_t pte)
{
    return (pte & 0x61) == 0x01;
}

static bool is_accessed(uint32_t pte)
{
    return (pte & 0x61) == 0x21;
}

/* D of a page that was neither read nor written. */
static void dirty_without_a_store(struct vm *vm)
{
    *find_entry(vm, is_clean) |= 0x60;
}

static void accessed_is_cleared(struct vm *vm)
{
    /* A directory: tables have bits set in them all the time. */
    *ram(vm, vm->vcpu.cr3 & ~PAGE_MASK) &= (uint8_t)~0x20;
}

static void another_right(struct vm *vm)
{
    *find_entry(vm, is_accessed) ^= 0x04;
}

#define STATES "diverge: the states differ"

struct planted {
    const char *name;
    void (*plant)(struct vm *vm);
    const char *why;
    const char *what;
};

/* clang-format off */
static const struct planted planted[] = {
    {.name = "register", .plant = wrong_register,
     .why = STATES,
     .what = "  regs+12: bt"},
    {.name = "flag", .plant = wrong_flag,
     .why = STATES,
     .what = "  eflags+0: bt"},
    {.name = "IF", .plant = wrong_interrupt_flag,
     .why = STATES,
     .what = "  if_flag+0: bt"},
    {.name = "hidden segment limit", .plant = wrong_segment,
     .why = STATES,
     .what = "  seg+"},
    {.name = "control register", .plant = wrong_control,
     .why = STATES,
     .what = "  cr2+0: bt"},
    {.name = "MSR", .plant = wrong_msr,
     .why = STATES,
     .what = "  sysenter_eip+0: bt"},
    {.name = "x87 register", .plant = wrong_st,
     .why = STATES,
     .what = "  fpu+112: bt"},
    {.name = "XMM register", .plant = wrong_xmm,
     .why = STATES,
     .what = "  fpu+284: bt"},
    {.name = "retired count", .plant = wrong_count,
     .why = "diverge: ",
     .what = "lockstep: the engines"},
    {.name = "exception count", .plant = wrong_exceptions,
     .why = "diverge: the interpreter does not get there",
     .what = "  exceptions: bt"},
    {.name = "byte that is stored", .plant = wrong_stack_byte,
     .why = "diverge: ",
     .what = "  ram 0"},
    {.name = "distant byte", .plant = wrong_distant_byte,
     .why = "diverge: RAM differs where the interpreter did not",
     .what = "  ram 03ffff9c: bt 00000040, interp 00000000"},
    {.name = "early interrupt", .plant = early_interrupt,
     .why = "diverge: ",
     .what = "  eip+0: bt"},
    {.name = "interrupt line", .plant = wrong_interrupt_line,
     .why = STATES,
     .what = "  irq_line+0: bt"},
    {.name = "D without a store", .plant = dirty_without_a_store,
     .why = "diverge: a D bit differs, of a page that was not written",
     .what = "  ram 0"},
    {.name = "A is cleared", .plant = accessed_is_cleared,
     .why = "diverge: an A or D bit was cleared",
     .what = "  ram 0"},
    {.name = "U of an entry", .plant = another_right,
     .why = "diverge: ",
     .what = "  ram 0"},
};
/* clang-format on */

START_TEST(what_is_planted_is_reported)
{
    const struct planted *p = &planted[_i];
    const char *report = report_of(p->plant);

    ck_assert_msg(strstr(report, p->why) != NULL, "%s: no '%s' in: %.2000s",
                  p->name, p->why, report);
    ck_assert_msg(strstr(report, p->what) != NULL, "%s: no '%s' in: %.2000s",
                  p->name, p->what, report);
}
END_TEST

static void plant_nothing(struct vm *vm)
{
    (void)vm;
}

START_TEST(nothing_planted_is_no_difference)
{
    struct trial t = {.ls = start(), .plant = plant_nothing};

    lockstep_set_hook(t.ls, on_hook, &t);
    ck_assert_int_eq(lockstep_run(t.ls, lockstep_vm(t.ls)->vcpu.retired + STEP),
                     LOCKSTEP_RUNNING);
    lockstep_destroy(t.ls);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("planted");
    TCase *tcase = tcase_create("differences");

    if (argc != 2) {
        fprintf(stderr, "usage: test_planted ELF\n");
        return EXIT_FAILURE;
    }
    elf = argv[1];
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, nothing_planted_is_no_difference);
    tcase_add_loop_test(tcase, what_is_planted_is_reported, 0,
                        ARRAY_COUNT(planted));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
