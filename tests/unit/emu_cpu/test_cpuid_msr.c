/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/cpu/system.h"
#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/protected.h"

/* CPUID and the model-specific registers. */

static struct machine *m;
static unsigned full_flushes;

static void count_flush(void *opaque, bool globals_too)
{
    (void)opaque;
    full_flushes += globals_too;
}

static void setup(void)
{
    m = protected_create();
    m->interp->host.tlb_flushed = count_flush;
    full_flushes = 0;
}

static void teardown(void)
{
    machine_destroy(m);
}

/* CPUID runs at any level. */
static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    set_level(m, 3);
    m->vcpu.eip = MACHINE_CODE;
    m->vcpu.regs[REG_EAX] = leaf;
    m->vcpu.regs[REG_ECX] = subleaf;
    ck_done(EXEC(m, "\x0f\xa2"));
    out[0] = m->vcpu.regs[REG_EAX];
    out[1] = m->vcpu.regs[REG_EBX];
    out[2] = m->vcpu.regs[REG_ECX];
    out[3] = m->vcpu.regs[REG_EDX];
}

START_TEST(leaf_0_names_the_vendor)
{
    uint32_t out[4];
    char name[13] = "";

    cpuid(0, 0, out);
    memcpy(name, &out[1], 4);
    memcpy(name + 4, &out[3], 4);
    memcpy(name + 8, &out[2], 4);
    ck_assert_str_eq(name, "GenuineIntel");
    ck_assert_uint_eq(out[0], 7);
}
END_TEST

START_TEST(leaf_1_is_an_in_order_atom_with_all_features)
{
    uint32_t out[4];

    cpuid(1, 0, out);
    ck_assert_uint_eq(out[0], 0x106ca);
    ck_assert_uint_eq(out[2], 0x00d80201);
    ck_assert_uint_eq(out[3], 0x078bf9fd);
}
END_TEST

START_TEST(leaf_1_shows_only_what_the_decoder_accepts)
{
    uint32_t out[4];

    m->interp->host.features = BIT(FEAT_BASE) | BIT(FEAT_CMOV);
    cpuid(1, 0, out);
    ck_assert_uint_eq(out[2], 0);
    ck_assert_uint_eq(out[3], 0x0003f1fc);
}
END_TEST

START_TEST(leaf_4_lists_three_caches)
{
    uint32_t out[4];

    cpuid(4, 2, out);
    ck_assert_uint_eq(((out[1] >> 22) + 1) * 64 * (out[2] + 1), 512 * KIB);
    cpuid(4, 3, out);
    ck_assert_uint_eq(out[0] & 0x1f, 0);
}
END_TEST

START_TEST(the_brand_string_is_ours)
{
    uint32_t out[12];

    for (unsigned i = 0; i < 3; i++)
        cpuid(0x80000002 + i, 0, out + 4 * i);
    ck_assert_str_eq((const char *)out, "popf virtual CPU");
}
END_TEST

START_TEST(extended_leaves_show_nx_invariant_tsc_and_sizes)
{
    uint32_t out[4];

    cpuid(0x80000000, 0, out);
    ck_assert_uint_eq(out[0], 0x80000008);
    cpuid(0x80000001, 0, out);
    ck_assert_uint_eq(out[3], BIT(20));
    cpuid(0x80000007, 0, out);
    ck_assert_uint_eq(out[3], BIT(8));
    cpuid(0x80000008, 0, out);
    ck_assert_uint_eq(out[0], 0x2024);
}
END_TEST

START_TEST(a_leaf_beyond_the_last_answers_as_the_last_basic_one)
{
    uint32_t last[4], beyond[4];

    cpuid(7, 0, last);
    ck_assert_uint_eq(last[3], BIT(29));
    cpuid(8, 0, beyond);
    ck_assert_mem_eq(last, beyond, sizeof(last));
    cpuid(0x80000009, 0, beyond);
    ck_assert_mem_eq(last, beyond, sizeof(last));
    cpuid(0x40000000, 0, beyond);
    ck_assert_mem_eq(last, beyond, sizeof(last));
}
END_TEST

static enum vcpu_exit rdmsr(uint32_t index)
{
    m->vcpu.regs[REG_ECX] = index;
    return EXEC(m, "\x0f\x32");
}

static enum vcpu_exit wrmsr(uint32_t index, uint64_t value)
{
    m->vcpu.regs[REG_ECX] = index;
    m->vcpu.regs[REG_EAX] = (uint32_t)value;
    m->vcpu.regs[REG_EDX] = (uint32_t)(value >> 32);
    return EXEC(m, "\x0f\x30");
}

static uint64_t msr_value(uint32_t index)
{
    ck_done(rdmsr(index));
    return (uint64_t)m->vcpu.regs[REG_EDX] << 32 | m->vcpu.regs[REG_EAX];
}

/* A value that a register takes, and what is read back. */
static const struct stored_case {
    uint32_t index;
    uint64_t value;
    uint64_t read;
} stored[] = {
    {0x01b,      0xfee00000,         0xfee00100        },
    {0x08b,      0,                  0x21900000000     },
    {0x174,      0x60,               0x60              },
    {0x175,      0xffffffff12345678, 0x12345678        },
    {0x176,      0xc0001000,         0xc0001000        },
    {0x1a0,      0,                  0x1800            },
    {0x1a0,      1,                  0x1801            },
    {0x200,      0xf80000006,        0xf80000006       },
    {0x20f,      0xfffff0800,        0xfffff0800       },
    {0x250,      0x0606060606060606, 0x0606060606060606},
    {0x258,      0x0001040506000104, 0x0001040506000104},
    {0x259,      6,                  6                 },
    {0x268,      5,                  5                 },
    {0x26f,      5,                  5                 },
    {0x277,      0x0007010600070106, 0x0007010600070106},
    {0x2ff,      0xc06,              0xc06             },
    {0xc0000080, EFER_NXE,           EFER_NXE          },
};

START_TEST(registers_store_their_value)
{
    const struct stored_case *c = &stored[_i];

    ck_done(wrmsr(c->index, c->value));
    ck_assert_uint_eq(msr_value(c->index), c->read);
}
END_TEST

/* Writes that are #GP(0): reserved bits, read-only and unknown registers. */
static const struct {
    uint32_t index;
    uint64_t value;
} refused[] = {
    {0x017,      0                 },
    {0x01b,      BIT64(11)         },
    {0x01b,      1                 },
    {0x01b,      BIT64(36)         },
    {0x03a,      5                 },
    {0x0fe,      0                 },
    {0x10a,      0                 },
    {0x179,      0                 },
    {0x1a0,      BIT64(22)         },
    {0x1a0,      BIT64(34)         },
    {0x200,      2                 },
    {0x200,      0x100             },
    {0x200,      BIT64(36)         },
    {0x201,      0x400             },
    {0x250,      2                 },
    {0x268,      0x0700000000000000},
    {0x277,      2                 },
    {0x277,      8                 },
    {0x2ff,      0x1000            },
    {0x2ff,      3                 },
    {0xc0000080, 1                 },
    {0xc0000080, BIT64(8)          },
    {0xc0000081, 0                 },
    {0x210,      0                 },
    {0x251,      0                 },
    {0xdeadbeef, 0                 },
};

START_TEST(bad_writes_are_a_general_protection)
{
    ck_fault(wrmsr(refused[_i].index, refused[_i].value), m, EXC_GP, 0);
}
END_TEST

START_TEST(unknown_registers_cannot_be_read)
{
    ck_fault(rdmsr(0x1a2), m, EXC_GP, 0);
    ck_fault(rdmsr(0xc0000082), m, EXC_GP, 0);
}
END_TEST

START_TEST(constants_read_as_documented)
{
    ck_assert_uint_eq(msr_value(0x017), 0);
    ck_assert_uint_eq(msr_value(0x03a), 1);
    ck_assert_uint_eq(msr_value(0x0fe), 0x508);
    ck_assert_uint_eq(msr_value(0x179), 0);
}
END_TEST

START_TEST(arch_capabilities_deny_every_known_problem)
{
    ck_assert_uint_eq(msr_value(0x10a), 0x400000000d10e17b);
}
END_TEST

START_TEST(fixed_mtrrs_do_not_overlap)
{
    static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                     0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

    for (unsigned i = 0; i < ARRAY_COUNT(fixed); i++)
        ck_done(wrmsr(fixed[i], i & 1 ? 6 : 5));
    for (unsigned i = 0; i < ARRAY_COUNT(fixed); i++)
        ck_assert_uint_eq(m->vcpu.mtrr_fixed[i], i & 1 ? 6 : 5);
}
END_TEST

START_TEST(writing_the_tsc_moves_the_offset)
{
    ck_done(wrmsr(0x10, 0x123456789));
    ck_assert_uint_eq(msr_value(0x10), 0x123456789);
    ck_assert_uint_eq(m->vcpu.tsc_offset, 0x123456789);
}
END_TEST

START_TEST(tsc_adjust_moves_with_the_tsc)
{
    ck_done(wrmsr(0x10, 0x1000));
    ck_assert_uint_eq(msr_value(0x3b), 0x1000);
    ck_done(wrmsr(0x3b, 0x700));
    ck_assert_uint_eq(msr_value(0x10), 0x700);
}
END_TEST

START_TEST(nxe_drops_every_translation)
{
    ck_done(wrmsr(0xc0000080, EFER_NXE));
    ck_assert_uint_eq(full_flushes, 1);
    ck_done(wrmsr(0xc0000080, EFER_NXE));
    ck_assert_uint_eq(full_flushes, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cpuid_msr");
    TCase *tc = tcase_create("cpuid");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, leaf_0_names_the_vendor);
    tcase_add_test(tc, leaf_1_is_an_in_order_atom_with_all_features);
    tcase_add_test(tc, leaf_1_shows_only_what_the_decoder_accepts);
    tcase_add_test(tc, leaf_4_lists_three_caches);
    tcase_add_test(tc, the_brand_string_is_ours);
    tcase_add_test(tc, extended_leaves_show_nx_invariant_tsc_and_sizes);
    tcase_add_test(tc, a_leaf_beyond_the_last_answers_as_the_last_basic_one);
    suite_add_tcase(s, tc);

    tc = tcase_create("msr");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, registers_store_their_value, 0,
                        ARRAY_COUNT(stored));
    tcase_add_loop_test(tc, bad_writes_are_a_general_protection, 0,
                        ARRAY_COUNT(refused));
    tcase_add_test(tc, unknown_registers_cannot_be_read);
    tcase_add_test(tc, constants_read_as_documented);
    tcase_add_test(tc, arch_capabilities_deny_every_known_problem);
    tcase_add_test(tc, fixed_mtrrs_do_not_overlap);
    tcase_add_test(tc, writing_the_tsc_moves_the_offset);
    tcase_add_test(tc, tsc_adjust_moves_with_the_tsc);
    tcase_add_test(tc, nxe_drops_every_translation);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
