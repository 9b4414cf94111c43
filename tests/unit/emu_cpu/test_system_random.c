/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/protected.h"

/*
 * Random tables, random system instructions: whatever the guest does, the
 * machine stays consistent, a fault changes no register, and no delivery fails
 * to end.
 */

#define ROUNDS 400
#define STEPS  60

static uint64_t seed;

/* xorshift64*: the same everywhere, so that a seed is a test case. */
static uint32_t rnd(uint32_t below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)(seed * 0x2545f4914f6cdd1dull >> 33) % below;
}

static const char *const templates[] = {
    "\x8e\xd8",     "\x8e\xc0",     "\x8e\xe0",     "\x8e\xd0",
    "\x1f",         "\x07",         "\x17",         "\x0f\xa1",
    "\xc5\x0b",     "\xc4\x0b",     "\x0f\xb2\x0b", "\x0f\xb4\x0b",
    "\xff\x1b",     "\xff\x2b",     "\x66\xff\x1b", "\x66\xff\x2b",
    "\xcb",         "\xcf",         "\x66\xcb",     "\x66\xcf",
    "\xca\x04",     "\x9d",         "\x66\x9d",     "\x9c",
    "\xcd\x30",     "\xcc",         "\xfa",         "\xfb",
    "\x0f\x34",     "\x0f\x02\xc8", "\x0f\x03\xc8", "\x0f\x32",
    "\x0f\x30",     "\x0f\xa2",     "\x0f\x31",     "\x63\xc8",
    "\x0f\x22\xc0", "\x0f\x22\xd8", "\x0f\x22\xe0", "\x0f\x23\xf8",
    "\x0f\x21\xf8", "\x0f\x06",     "\x0f\x01\x13", "\x0f\x01\x3b",
    "\x0f\x01\xe0", "\x0f\x0b",     "\xf4",         "\x0f\x20\xc0",
    "\x0f\x01\xf0",
};

static uint16_t random_selector(void)
{
    uint32_t pick = rnd(16);

    if (pick == 0)
        return (uint16_t)rnd(4);
    if (pick == 1)
        return (uint16_t)rnd(0x10000);
    return (uint16_t)(rnd(GDT_LIMIT + 9) & ~(pick & 4));
}

static uint64_t random_descriptor(void)
{
    static const uint32_t limits[] = {0, 0xff, 0xfff, 0x7ffff, 0xfffff};
    uint32_t attr = rnd(0x10000) & 0xf0ff;
    uint32_t base = rnd(4) ? 0 : rnd(0x200) << 12;

    if (rnd(4))
        attr |= SEG_P;
    if (rnd(3) == 0)
        return make_gate(random_selector(), MACHINE_CODE + rnd(0x1000), rnd(16),
                         rnd(4));
    return make_descriptor(base, limits[rnd(5)], attr);
}

/* Keep the usual tables most of the time, so that transfers succeed too. */
static void shuffle_tables(struct machine *m)
{
    unsigned changes = rnd(16);

    for (unsigned i = 0; i < changes; i++)
        put_descriptor(m, (uint16_t)((3 + rnd(29)) * 8), random_descriptor());
    for (unsigned i = 0; i < changes / 8; i++)
        put_idt(m, rnd(64), random_descriptor());
    for (unsigned i = 0; i < changes / 8; i++)
        machine_put32(m, TSS_BASE + rnd(8) * 4, random_selector());
    put_idt(m, 0x30, make_gate(K_CODE, MACHINE_CODE, 14 + rnd(2), 3));
}

/* Operands: registers, and what the stack and DS:EBX hold. */
static void shuffle_operands(struct machine *m)
{
    struct vcpu *vcpu = &m->vcpu;
    uint32_t top = vcpu->regs[REG_ESP] & (MACHINE_RAM / 2 - 4);

    vcpu->regs[REG_EAX] = rnd(2) ? random_selector() : rnd(1u << 31) | CR0_PE;
    vcpu->regs[REG_ECX] = rnd(3) ? rnd(0x300) : MACHINE_STACK;
    vcpu->regs[REG_EDX] = rnd(3) ? 0 : MACHINE_CODE;
    vcpu->regs[REG_EBX] = MACHINE_DATA + rnd(2) * 0xffe;
    machine_put32(m, vcpu->regs[REG_EBX], MACHINE_CODE);
    machine_put32(m, vcpu->regs[REG_EBX] + 4, random_selector());
    machine_put32(m, vcpu->regs[REG_EBX] + 2, random_selector());
    machine_put32(m, top, MACHINE_CODE + rnd(64));
    machine_put32(m, top + 4, random_selector());
    machine_put32(m, top + 8, rnd(1u << 22) & ~(rnd(64) ? FLAG_VM : 0));
    machine_put32(m, top + 12, MACHINE_STACK + rnd(64));
    machine_put32(m, top + 16, random_selector());
}

static void check_invariants(const struct vcpu *vcpu)
{
    ck_assert_uint_eq(vcpu->seg[SEG_CS].selector & 3u, vcpu->cpl);
    ck_assert_uint_eq(vcpu->seg[SEG_SS].selector & 3u, vcpu->cpl);
    ck_assert_uint_eq(segment_dpl(&vcpu->seg[SEG_SS]), vcpu->cpl);
    ck_assert_uint_eq(vcpu->seg[SEG_SS].attr & (SEG_UNUSABLE | SEG_CODE), 0);
    ck_assert_uint_ne(vcpu->seg[SEG_CS].attr & SEG_CODE, 0);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        ck_assert_uint_eq(vcpu->seg[i].base, vcpu->seg_base[i]);
    ck_assert_uint_eq(vcpu->eflags & (FLAG_VM | FLAG_IF), 0);
    ck_assert_uint_ne(vcpu->eflags & FLAG_ONE, 0);
    ck_assert_uint_ne(vcpu->cr0 & CR0_PE, 0);
}

/* A program's segments never give it more than its level. */
static void check_privilege(const struct vcpu *vcpu)
{
    static const enum seg data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};

    for (unsigned i = 0; i < ARRAY_COUNT(data); i++) {
        const struct segment *s = &vcpu->seg[data[i]];
        bool is_conforming =
            (s->attr & (SEG_CODE | SEG_DOWN)) == (SEG_CODE | SEG_DOWN);

        if (!(s->attr & SEG_UNUSABLE) && !is_conforming)
            ck_assert_uint_ge(segment_dpl(s), vcpu->cpl);
    }
}

static void check_untouched(const struct vcpu *now, const struct vcpu *before)
{
    ck_assert_mem_eq(now->regs, before->regs, sizeof(now->regs));
    ck_assert_mem_eq(now->seg, before->seg, sizeof(now->seg));
    ck_assert_uint_eq(now->eip, before->eip);
    ck_assert_uint_eq(now->eflags, before->eflags);
    ck_assert_uint_eq(now->if_flag, before->if_flag);
    ck_assert_uint_eq(now->cpl, before->cpl);
    ck_assert_uint_eq(now->cr0, before->cr0);
    ck_assert_uint_eq(now->cr3, before->cr3);
    ck_assert_uint_eq(now->cr4, before->cr4);
}

static void put_code(struct machine *m)
{
    gva_t gip = m->vcpu.seg_base[SEG_CS] + m->vcpu.eip;
    const char *code = templates[rnd(ARRAY_COUNT(templates))];

    if (gip < MACHINE_RAM - 16) {
        memset(m->ram + gip, 0, 4);
        memcpy(m->ram + gip, code, strlen(code));
    }
}

/* False when the machine has stopped. */
static bool one_step(struct machine *m)
{
    struct vcpu before;
    enum vcpu_exit exit;

    shuffle_operands(m);
    put_code(m);
    before = m->vcpu;
    exit = interp_step(m->interp);
    if (exit == VCPU_EXIT_EXC && m->vcpu.exc.kind != EXC_KIND_TRAP)
        check_untouched(&m->vcpu, &before);
    if (exit == VCPU_EXIT_EXC)
        exc_deliver(m->interp, &m->vcpu.exc);
    check_invariants(&m->vcpu);
    return m->stop.reason == STOP_NONE;
}

/* No SYSEXIT: it alone leads outwards with the data segments as they are. */
static void one_round(struct machine *m)
{
    static const unsigned levels[] = {0, 1, 3};

    set_level(m, levels[rnd(3)]);
    shuffle_tables(m);
    vcpu_set_seg(&m->vcpu, SEG_FS, &(struct segment){.attr = SEG_UNUSABLE});
    vcpu_set_seg(&m->vcpu, SEG_GS, &(struct segment){.attr = SEG_UNUSABLE});
    for (unsigned i = 0; i < STEPS && one_step(m); i++)
        check_privilege(&m->vcpu);
}

START_TEST(no_random_sequence_breaks_the_machine)
{
    struct machine *m;

    seed = 0x9e3779b97f4a7c15ull * ((uint64_t)_i + 1);
    m = protected_create();
    one_round(m);
    machine_destroy(m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("system_random");
    TCase *tc = tcase_create("random");

    tcase_add_loop_test(tc, no_random_sequence_breaks_the_machine, 0, ROUNDS);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
