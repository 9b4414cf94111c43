/* SPDX-License-Identifier: MIT */
#include <check.h>

#include "emu/cpu/mem.h"
#include "emu/cpu/walk.h"
#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/machine.h"

#define PD    0x1000u
#define PT    0x2000u
#define PDPT  0x3020u /* 32-byte aligned only */
#define GVA   0x00c03123u
#define FRAME 0x00055000u

#define P   1u
#define W   2u
#define U   4u
#define A   0x20u
#define D   0x40u
#define PS  0x80u
#define G   0x100u
#define XD  BIT64(63)
#define ALL (P | W | U)

static struct machine *m;

static void setup(void)
{
    m = machine_create();
}

static void teardown(void)
{
    machine_destroy(m);
}

/* GVA is entry 3 of the page directory and entry 3 of the page table. */
static void use_32bit(uint32_t pde, uint32_t pte)
{
    m->vcpu.cr3 = PD;
    m->vcpu.cr0 |= CR0_PG | CR0_WP;
    machine_put32(m, PD + 3 * 4, pde);
    machine_put32(m, PT + 3 * 4, pte);
}

/* Under PAE it is entry 6 of its page directory and entry 3 of the table. */
static void use_pae(uint64_t pde, uint64_t pte)
{
    m->vcpu.cr3 = PDPT;
    m->vcpu.cr0 |= CR0_PG | CR0_WP;
    m->vcpu.cr4 |= CR4_PAE;
    m->vcpu.efer = EFER_NXE;
    machine_put64(m, PDPT, PD | P);
    machine_put64(m, PD + 6 * 8, pde);
    machine_put64(m, PT + 3 * 8, pte);
    ck_assert(walk_load_pdptes(m->interp, m->vcpu.cr3));
}

static bool translate(enum access access, bool user, struct walk *walk)
{
    m->vcpu.exc = (struct exc){0};
    return walk_translate(m->interp, GVA, access, user, walk);
}

/* The error code that the access faults with, or -1 when it does not. */
static int error_of(enum access access, bool user)
{
    struct walk walk;

    if (translate(access, user, &walk))
        return -1;
    ck_assert_uint_eq(m->vcpu.exc.vector, EXC_PF);
    ck_assert(m->vcpu.exc.has_error);
    ck_assert_uint_eq(m->vcpu.exc.cr2, GVA);
    return (int)m->vcpu.exc.error;
}

struct rights {
    uint32_t pde;
    uint32_t pte;
    bool wp;
    enum access access;
    bool user;
    int error; /* -1: allowed */
};

static const struct rights rights[] = {
    {0,     0,     true,  ACCESS_READ,  false, 0                 },
    {0,     0,     true,  ACCESS_WRITE, false, PF_W              },
    {0,     0,     true,  ACCESS_READ,  true,  PF_U              },
    {0,     0,     true,  ACCESS_WRITE, true,  PF_W | PF_U       },
    {0,     0,     true,  ACCESS_FETCH, true,  PF_U              },
    {ALL,   W | U, true,  ACCESS_READ,  true,  PF_U              },
    {ALL,   ALL,   true,  ACCESS_WRITE, true,  -1                },
    {ALL,   P | W, true,  ACCESS_READ,  true,  PF_P | PF_U       },
    {P | W, ALL,   true,  ACCESS_READ,  true,  PF_P | PF_U       },
    {P | W, ALL,   true,  ACCESS_FETCH, true,  PF_P | PF_U       },
    {P | W, ALL,   true,  ACCESS_WRITE, false, -1                },
    {ALL,   P | U, true,  ACCESS_WRITE, true,  PF_P | PF_W | PF_U},
    {ALL,   P | U, false, ACCESS_WRITE, true,  PF_P | PF_W | PF_U},
    {ALL,   P | U, true,  ACCESS_WRITE, false, PF_P | PF_W       },
    {P | U, ALL,   true,  ACCESS_WRITE, false, PF_P | PF_W       },
    {ALL,   P | U, false, ACCESS_WRITE, false, -1                },
    {ALL,   P | U, true,  ACCESS_READ,  true,  -1                },
};

START_TEST(rights_of_all_levels_are_combined)
{
    const struct rights *r = &rights[_i];

    use_32bit(PT | r->pde, FRAME | r->pte);
    if (!r->wp)
        m->vcpu.cr0 &= ~CR0_WP;
    ck_assert_int_eq(error_of(r->access, r->user), r->error);
}
END_TEST

START_TEST(a_page_is_translated)
{
    struct walk walk;

    use_32bit(PT | ALL, FRAME | ALL | G);
    m->vcpu.cr4 |= CR4_PGE;
    ck_assert(translate(ACCESS_READ, true, &walk));
    ck_assert_uint_eq(walk.gpa, FRAME);
    ck_assert(walk.user && walk.write && walk.global);
    ck_assert(!walk.dirty && !walk.large && !walk.no_exec);
}
END_TEST

START_TEST(a_read_sets_accessed_on_both_levels)
{
    use_32bit(PT | ALL, FRAME | ALL);
    ck_assert_int_eq(error_of(ACCESS_READ, true), -1);
    ck_assert_uint_eq(machine_get32(m, PD + 12), PT | ALL | A);
    ck_assert_uint_eq(machine_get32(m, PT + 12), FRAME | ALL | A);
}
END_TEST

START_TEST(a_write_sets_dirty_on_the_leaf_only)
{
    use_32bit(PT | ALL, FRAME | ALL);
    ck_assert_int_eq(error_of(ACCESS_WRITE, true), -1);
    ck_assert_uint_eq(machine_get32(m, PD + 12), PT | ALL | A);
    ck_assert_uint_eq(machine_get32(m, PT + 12), FRAME | ALL | A | D);
}
END_TEST

START_TEST(a_fault_sets_neither_flag)
{
    use_32bit(PT | ALL, FRAME | P);
    ck_assert_int_eq(error_of(ACCESS_WRITE, true), PF_P | PF_W | PF_U);
    ck_assert_uint_eq(machine_get32(m, PD + 12), PT | ALL);
    ck_assert_uint_eq(machine_get32(m, PT + 12), FRAME | P);
}
END_TEST

START_TEST(setting_flags_in_a_traced_table_is_announced)
{
    use_32bit(PT | ALL | A, FRAME | ALL);
    m->flags[PT >> PAGE_SHIFT] = FRAME_TABLE;
    ck_assert_int_eq(error_of(ACCESS_READ, true), -1);
    ck_assert_uint_eq(m->stored_count, 1);
    ck_assert_uint_eq(m->stored_gpa, PT + 12);
    ck_assert_uint_eq(m->stored_len, 4);
}
END_TEST

START_TEST(without_pse_bit_7_of_a_pde_is_ignored)
{
    struct walk walk;

    use_32bit(PT | ALL | PS, FRAME | ALL);
    ck_assert(translate(ACCESS_READ, true, &walk));
    ck_assert_uint_eq(walk.gpa, FRAME);
}
END_TEST

START_TEST(a_4_mib_page_has_36_address_bits)
{
    struct walk walk;

    use_32bit(0x00800000 | 0x1e000 | PS | ALL, 0);
    m->vcpu.cr4 |= CR4_PSE;
    ck_assert(translate(ACCESS_WRITE, true, &walk));
    ck_assert_uint_eq(walk.gpa, 0xf00800000ull + (GVA & 0x3ff000));
    ck_assert(walk.large);
    ck_assert_uint_eq(machine_get32(m, PD + 12) & (A | D), A | D);
}
END_TEST

START_TEST(reserved_bits_of_a_4_mib_page_fault)
{
    uint32_t bit = BIT(17 + (unsigned)_i);

    use_32bit(0x00800000 | bit | PS | ALL, 0);
    m->vcpu.cr4 |= CR4_PSE;
    ck_assert_int_eq(error_of(ACCESS_READ, false), PF_P | PF_R);
    ck_assert_int_eq(error_of(ACCESS_WRITE, true), PF_P | PF_R | PF_W | PF_U);
}
END_TEST

START_TEST(pae_translates_a_4_kib_page)
{
    struct walk walk;

    use_pae(PT | ALL, 0xf00000000ull | FRAME | ALL);
    ck_assert(translate(ACCESS_WRITE, true, &walk));
    ck_assert_uint_eq(walk.gpa, 0xf00000000ull | FRAME);
    ck_assert_uint_eq(machine_get32(m, PT + 24), FRAME | ALL | A | D);
    ck_assert_uint_eq(machine_get32(m, PD + 48), PT | ALL | A);
}
END_TEST

START_TEST(pae_translates_a_2_mib_page)
{
    struct walk walk;

    use_pae(0x00a00000 | PS | ALL | XD, 0);
    ck_assert(translate(ACCESS_READ, true, &walk));
    ck_assert_uint_eq(walk.gpa, 0x00a00000 + (GVA & 0x1ff000));
    ck_assert(walk.large && walk.no_exec);
}
END_TEST

START_TEST(fetching_from_a_no_execute_page_faults_with_i)
{
    use_pae(PT | ALL, FRAME | ALL | XD);
    ck_assert_int_eq(error_of(ACCESS_READ, true), -1);
    ck_assert_int_eq(error_of(ACCESS_FETCH, true), PF_P | PF_U | PF_I);
    ck_assert_int_eq(error_of(ACCESS_FETCH, false), PF_P | PF_I);
}
END_TEST

START_TEST(xd_of_the_page_directory_counts_too)
{
    use_pae(PT | ALL | XD, FRAME | ALL);
    ck_assert_int_eq(error_of(ACCESS_FETCH, false), PF_P | PF_I);
}
END_TEST

START_TEST(a_fetch_of_an_absent_page_has_i_with_nxe_only)
{
    use_pae(PT | ALL, 0);
    ck_assert_int_eq(error_of(ACCESS_FETCH, true), PF_U | PF_I);
    m->vcpu.efer = 0;
    ck_assert_int_eq(error_of(ACCESS_FETCH, true), PF_U);
}
END_TEST

START_TEST(without_nxe_xd_is_reserved)
{
    use_pae(PT | ALL, FRAME | ALL | XD);
    m->vcpu.efer = 0;
    ck_assert_int_eq(error_of(ACCESS_READ, false), PF_P | PF_R);
}
END_TEST

START_TEST(pae_address_bits_above_35_are_reserved)
{
    uint64_t bit = BIT64(36 + (unsigned)_i);

    use_pae(PT | ALL, FRAME | ALL | bit);
    ck_assert_int_eq(error_of(ACCESS_READ, false), PF_P | PF_R);
    use_pae(PT | ALL | bit, FRAME | ALL);
    ck_assert_int_eq(error_of(ACCESS_READ, false), PF_P | PF_R);
}
END_TEST

START_TEST(pae_2_mib_pages_reserve_bits_13_to_20)
{
    use_pae(0x00a00000 | PS | ALL | BIT(13 + (unsigned)_i), 0);
    ck_assert_int_eq(error_of(ACCESS_READ, false), PF_P | PF_R);
}
END_TEST

START_TEST(absence_is_looked_at_before_reserved_bits)
{
    use_pae(PT | ALL, (FRAME | W | U) | BIT64(40));
    ck_assert_int_eq(error_of(ACCESS_READ, false), 0);
}
END_TEST

START_TEST(an_absent_pdpte_faults_as_not_present)
{
    use_pae(PT | ALL, FRAME | ALL);
    m->vcpu.pdpte[0] = 0;
    ck_assert_int_eq(error_of(ACCESS_WRITE, true), PF_W | PF_U);
}
END_TEST

START_TEST(pdptes_are_not_read_again_by_a_walk)
{
    use_pae(PT | ALL, FRAME | ALL);
    machine_put64(m, PDPT, 0);
    ck_assert_int_eq(error_of(ACCESS_READ, true), -1);
}
END_TEST

static const uint64_t bad_pdptes[] = {
    P | 2, P | 4, P | 0x20, P | 0x100, P | BIT64(36), P | BIT64(62), P | XD};

START_TEST(a_pdpte_with_reserved_bits_is_refused_and_changes_nothing)
{
    use_pae(PT | ALL, FRAME | ALL);
    machine_put64(m, PDPT + 24, PD | bad_pdptes[_i]);
    ck_assert(!walk_load_pdptes(m->interp, PDPT));
    ck_assert_uint_eq(m->vcpu.pdpte[3], 0);
    machine_put64(m, PDPT + 24, PD | (bad_pdptes[_i] & ~(uint64_t)P));
    ck_assert(walk_load_pdptes(m->interp, PDPT));
}
END_TEST

START_TEST(peeking_sets_no_flag)
{
    gpa_t gpa;

    use_32bit(PT | ALL, FRAME | ALL);
    ck_assert(mem_debug_translate(m->interp, GVA, &gpa));
    ck_assert_uint_eq(gpa, FRAME | (GVA & PAGE_MASK));
    ck_assert_uint_eq(machine_get32(m, PT + 12), FRAME | ALL);
    ck_assert(!mem_debug_translate(m->interp, GVA + 0x400000, &gpa));
}
END_TEST

/* The TLB on top of the walker: mem_* as a guest sees it. */

static int read_error(void)
{
    uint32_t value;

    if (mem_read(m->interp, SEG_DS, GVA, &value, 1))
        return -1;
    return (int)m->vcpu.exc.error;
}

static int write_error(void)
{
    uint8_t value = 0x5a;

    if (mem_write(m->interp, SEG_DS, GVA, &value, 1))
        return -1;
    return (int)m->vcpu.exc.error;
}

START_TEST(the_first_write_after_a_read_sets_dirty)
{
    use_32bit(PT | ALL, FRAME | ALL);
    ck_assert_int_eq(read_error(), -1);
    ck_assert_uint_eq(machine_get32(m, PT + 12), FRAME | ALL | A);
    ck_assert_int_eq(write_error(), -1);
    ck_assert_uint_eq(machine_get32(m, PT + 12), FRAME | ALL | A | D);
    ck_assert_uint_eq(m->ram[FRAME + 0x123], 0x5a);
}
END_TEST

START_TEST(a_cached_supervisor_page_stays_closed_to_the_user)
{
    use_32bit(PT | ALL, FRAME | P | W);
    ck_assert_int_eq(write_error(), -1);
    machine_user(m);
    ck_assert_int_eq(read_error(), PF_P | PF_U);
    ck_assert_int_eq(write_error(), PF_P | PF_U | PF_W);
}
END_TEST

START_TEST(a_change_of_wp_counts_for_cached_pages)
{
    use_32bit(PT | ALL, FRAME | P | U);
    m->vcpu.cr0 &= ~CR0_WP;
    ck_assert_int_eq(write_error(), -1);
    m->vcpu.cr0 |= CR0_WP;
    ck_assert_int_eq(write_error(), PF_P | PF_W);
    m->vcpu.cr0 &= ~CR0_WP;
    ck_assert_int_eq(write_error(), -1);
}
END_TEST

START_TEST(a_translation_is_kept_until_it_is_flushed)
{
    use_32bit(PT | ALL, FRAME | ALL);
    ck_assert_int_eq(read_error(), -1);
    machine_put32(m, PT + 12, 0);
    ck_assert_int_eq(read_error(), -1);
    tlb_flush_page(m->interp, GVA);
    ck_assert_int_eq(read_error(), 0);
}
END_TEST

START_TEST(global_pages_survive_a_non_global_flush)
{
    use_32bit(PT | ALL, FRAME | ALL | G);
    m->vcpu.cr4 |= CR4_PGE;
    ck_assert_int_eq(read_error(), -1);
    machine_put32(m, PT + 12, 0);
    tlb_flush_non_global(m->interp);
    ck_assert_int_eq(read_error(), -1);
    tlb_flush_all(m->interp);
    ck_assert_int_eq(read_error(), 0);
}
END_TEST

START_TEST(invlpg_drops_every_piece_of_a_large_page)
{
    m->vcpu.cr4 |= CR4_PSE;
    use_32bit(0 | PS | ALL, 0);
    ck_assert_int_eq(read_error(), -1);
    machine_put32(m, PD + 12, 0);
    tlb_flush_page(m->interp, GVA + 0x100000);
    ck_assert_int_eq(read_error(), 0);
}
END_TEST

START_TEST(a_closed_a20_gate_clears_address_bit_20)
{
    uint32_t value;

    machine_put32(m, 0x5000, 0x11111111);
    machine_put32(m, 0x105000, 0x22222222);
    m->vcpu.a20 = false;
    ck_assert(mem_read(m->interp, SEG_DS, 0x105000, &value, 4));
    ck_assert_uint_eq(value, 0x11111111);
    m->vcpu.a20 = true;
    interp_flush_tlb(m->interp);
    ck_assert(mem_read(m->interp, SEG_DS, 0x105000, &value, 4));
    ck_assert_uint_eq(value, 0x22222222);
}
END_TEST

static TCase *walker_case(void)
{
    TCase *tcase = tcase_create("walker");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, rights_of_all_levels_are_combined, 0,
                        ARRAY_COUNT(rights));
    tcase_add_test(tcase, a_page_is_translated);
    tcase_add_test(tcase, a_read_sets_accessed_on_both_levels);
    tcase_add_test(tcase, a_write_sets_dirty_on_the_leaf_only);
    tcase_add_test(tcase, a_fault_sets_neither_flag);
    tcase_add_test(tcase, setting_flags_in_a_traced_table_is_announced);
    tcase_add_test(tcase, without_pse_bit_7_of_a_pde_is_ignored);
    tcase_add_test(tcase, a_4_mib_page_has_36_address_bits);
    tcase_add_loop_test(tcase, reserved_bits_of_a_4_mib_page_fault, 0, 5);
    tcase_add_test(tcase, pae_translates_a_4_kib_page);
    tcase_add_test(tcase, pae_translates_a_2_mib_page);
    tcase_add_test(tcase, fetching_from_a_no_execute_page_faults_with_i);
    tcase_add_test(tcase, xd_of_the_page_directory_counts_too);
    tcase_add_test(tcase, a_fetch_of_an_absent_page_has_i_with_nxe_only);
    tcase_add_test(tcase, without_nxe_xd_is_reserved);
    tcase_add_loop_test(tcase, pae_address_bits_above_35_are_reserved, 0, 27);
    tcase_add_loop_test(tcase, pae_2_mib_pages_reserve_bits_13_to_20, 0, 8);
    tcase_add_test(tcase, absence_is_looked_at_before_reserved_bits);
    tcase_add_test(tcase, an_absent_pdpte_faults_as_not_present);
    tcase_add_test(tcase, pdptes_are_not_read_again_by_a_walk);
    tcase_add_loop_test(
        tcase, a_pdpte_with_reserved_bits_is_refused_and_changes_nothing, 0,
        ARRAY_COUNT(bad_pdptes));
    tcase_add_test(tcase, peeking_sets_no_flag);
    return tcase;
}

static TCase *tlb_case(void)
{
    TCase *tcase = tcase_create("tlb");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_first_write_after_a_read_sets_dirty);
    tcase_add_test(tcase, a_cached_supervisor_page_stays_closed_to_the_user);
    tcase_add_test(tcase, a_change_of_wp_counts_for_cached_pages);
    tcase_add_test(tcase, a_translation_is_kept_until_it_is_flushed);
    tcase_add_test(tcase, global_pages_survive_a_non_global_flush);
    tcase_add_test(tcase, invlpg_drops_every_piece_of_a_large_page);
    tcase_add_test(tcase, a_closed_a20_gate_clears_address_bit_20);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("walk");

    suite_add_tcase(suite, walker_case());
    suite_add_tcase(suite, tlb_case());
    return run_suite(suite);
}
