/* SPDX-License-Identifier: MIT */
#include "guest_model.h"
#include "tests/suite/suite.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Random page-table scripts. A pool of frames serves as page directories, page
 * tables and data at once, so that tables map each other and themselves. Each
 * step changes entries, roots, modes or privilege, flushes, fetches, or
 * accesses memory through the window; the verifier runs after each. The outcome
 * of an access is compared with the manual's where nothing may be stale.
 */

#define POOL_FIRST 0x200u /* frames that are tables (and data) */
#define POOL_COUNT 8u
#define STEPS      4000u
#ifdef NDEBUG
#    define VERIFY_EVERY 4 /* steps */
#else
#    define VERIFY_EVERY 1
#endif

static struct model *model;
static uint64_t random_state;
static bool fresh; /* nothing was changed since the last full flush */

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % n;
}

static bool chance(uint32_t percent)
{
    return random_below(100) < percent;
}

static bool is_pae(void)
{
    return model->vcpu.cr4 & CR4_PAE;
}

static gfn_t pool_frame(void)
{
    return POOL_FIRST + random_below(POOL_COUNT);
}

static bool is_pool(gfn_t gfn)
{
    return gfn >= POOL_FIRST && gfn < POOL_FIRST + POOL_COUNT;
}

/* Few enough indices that accesses meet entries. */
static uint32_t pick_index(void)
{
    static const uint32_t some[] = {0, 1, 2, 3, 62, 63, 64, 65, 508, 509};
    if (chance(10))
        return random_below(is_pae() ? 512 : 1024);
    return some[random_below(ARRAY_COUNT(some))];
}

static uint32_t pick_region(void)
{
    static const uint32_t some[] = {0, 1, 0x300, 0x301};
    return some[random_below(ARRAY_COUNT(some))] * (is_pae() ? 2 : 1);
}

/* Addresses that were good for something come again. */
static gva_t remembered[16];

static gva_t pick_gva(void)
{
    gva_t again = remembered[random_below(16)];
    if (again != 0 && chance(60))
        return again;
    uint32_t page = pick_region() * (is_pae() ? 512 : 1024) + pick_index();
    return page << PAGE_SHIFT | (random_below(1024) * 4);
}

static uint64_t pick_flags(void)
{
    uint64_t flags = 0;
    bool user = chance(60);
    flags |= chance(95) ? 1 : 0;
    flags |= chance(80) ? 2 : 0;
    flags |= user ? 4 : 0;
    flags |= chance(70) ? 0x20 : 0;
    flags |= chance(60) ? 0x40 : 0;
    flags |= chance(20) ? 0x100 : 0;
    flags |= random_below(8) << 9;
    if (is_pae() && chance(10))
        flags |= BIT64(63);
    return flags;
}

static gfn_t pick_target(void)
{
    if (chance(30))
        return pool_frame();
    if (chance(5))
        return 0xa0 + random_below(0x20); /* VGA: MMIO */
    if (chance(3))
        return MODEL_FRAMES + random_below(4);
    return 0x400 + random_below(64);
}

static void store_entry(gfn_t table, uint32_t index, uint64_t value)
{
    unsigned width = is_pae() ? 8 : 4;
    model_store(model, (table << PAGE_SHIFT) + index * width, &value, width);
    fresh = false;
}

/* Entries that map consecutive frames alike, or one at random. */
static void change_leaf_entries(void)
{
    uint32_t index = pick_index(), limit = is_pae() ? 512 : 1024;
    uint32_t count = chance(30) ? 1 + random_below(70) : 1;
    gfn_t table = pool_frame(), target = pick_target();
    uint64_t flags = pick_flags();
    for (uint32_t i = 0; i < count && index + i < limit; i++)
        store_entry(table, index + i, (target + i) << PAGE_SHIFT | flags);
}

static void change_directory(void)
{
    uint64_t value = pick_flags() | pool_frame() << PAGE_SHIFT;
    if (chance(20))
        value = (pick_flags() | 0x80) + random_below(4) * 4 * MIB;
    if (chance(3))
        value |= BIT(18) | 0x80;
    store_entry(pool_frame(), pick_region() & (is_pae() ? 511 : 1023), value);
}

/* Give the current root tables and the current regions pages: scripts that
 * only destroy end in true faults everywhere. */
static void plant(void)
{
    const struct vcpu *vcpu = &model->vcpu;
    uint32_t region = pick_region();
    uint64_t user = chance(50) ? 4 : 0, write = chance(80) ? 2 : 0;
    gfn_t table = pool_frame();
    gpa_t root = is_pae() ? vcpu->pdpte[region >> 9] : vcpu->cr3;
    store_entry(root >> PAGE_SHIFT, region & (is_pae() ? 511 : 1023),
                table << PAGE_SHIFT | 3 | user);
    uint32_t index = pick_index() & ~3u;
    for (uint32_t i = 0; i < 8 && index + i < 512; i++)
        store_entry(table, index + i,
                    (0x400 + random_below(2) * 8 + i) << PAGE_SHIFT | 0x21 |
                        user | write);
}

static void load_cr3(void)
{
    struct vcpu *vcpu = &model->vcpu;
    vcpu->cr3 = (uint32_t)(pool_frame() << PAGE_SHIFT);
    if (is_pae()) {
        vcpu->cr3 += random_below(3) * 32;
        for (unsigned i = 0; i < 4; i++)
            vcpu->pdpte[i] = pool_frame() << PAGE_SHIFT | !chance(5);
    }
    mmu_load_cr3(model->mmu);
    /* Fresh now, if there are no global pages. */
    fresh = fresh || !(vcpu->cr4 & CR4_PGE);
    for (unsigned i = 0; i < 4; i++)
        plant();
}

static void change_mode(void)
{
    struct vcpu *vcpu = &model->vcpu;
    uint32_t pae = vcpu->cr4 & CR4_PAE;
    switch (random_below(5)) {
    case 0: vcpu->cr0 ^= chance(70) ? CR0_WP : CR0_PG; break;
    case 1: vcpu->cr4 ^= CR4_PSE; break;
    case 2: vcpu->cr4 ^= CR4_PGE; break;
    case 3: vcpu->efer ^= EFER_NXE; break;
    case 4: vcpu->cr4 ^= CR4_PAE; break;
    }
    if (chance(50))
        vcpu->cr0 |= CR0_PG;
    if (pae != (vcpu->cr4 & CR4_PAE)) {
        vcpu->cr3 &= ~PAGE_MASK;
        for (unsigned i = 0; i < 4; i++)
            vcpu->pdpte[i] = pool_frame() << PAGE_SHIFT | 1;
    }
    model->wp_seen |= (vcpu->cr0 & CR0_WP) != 0;
    mmu_flush(model->mmu);
    fresh = true;
}

static void reload_cr3(void)
{
    mmu_load_cr3(model->mmu);
    fresh = fresh || !(model->vcpu.cr4 & CR4_PGE);
}

/* A guest that flushes all there is: the strict verifier must agree. */
static void flush(void)
{
    mmu_flush(model->mmu);
    fresh = true;
    ck_assert_pstr_eq(spt_verify_flushed(model->mmu), NULL);
}

static void check_outcome(gva_t gva, const struct expectation *e,
                          enum outcome got)
{
    /* A region of the kernel window that thrashed was given up. */
    if (got == SOFT && e->outcome != TRUE_FAULT && model->vcpu.cpl != 3 &&
        model->stats.count[STAT_SOFT_REGIONS] != 0)
        return;
    ck_assert_msg(got == e->outcome, "gva %08x: outcome %d, expected %d", gva,
                  got, e->outcome);
    if (got != TRUE_FAULT)
        return;
    ck_assert_uint_eq(model->vcpu.exc.error, e->error);
    ck_assert_uint_eq(model->vcpu.exc.cr2, gva);
}

static void check_marks(const struct expectation *e, uint32_t marks)
{
    if ((model->vcpu.cr0 & CR0_PG) && e->outcome != TRUE_FAULT)
        ck_assert_uint_eq(model_word(model, e->leaf) & marks, marks);
}

static void read_window(gva_t gva)
{
    struct expectation e = model_expect(model, gva, false, false);
    uint32_t value = 0;
    enum outcome got = model_read(model, gva, &value);
    if (got == DONE)
        remembered[random_below(16)] = gva;
    if (!fresh)
        return;
    check_outcome(gva, &e, got);
    if (got == DONE) {
        ck_assert_uint_eq(
            value, model_word(model, (e.gfn << PAGE_SHIFT) + (gva & 0xffc)));
        check_marks(&e, 0x20);
    }
}

static void write_window(gva_t gva)
{
    struct expectation e = model_expect(model, gva, true, false);
    uint32_t value = random_below(UINT32_MAX);
    if (is_pool(e.gfn))
        value = (uint32_t)(pick_target() << PAGE_SHIFT | pick_flags());
    gpa_t gpa = (e.gfn << PAGE_SHIFT) + (gva & 0xffc);
    enum outcome got = model_write(model, gva, value);
    bool exact = fresh;
    if (got == DONE && (!exact || is_pool(e.gfn)))
        fresh = false;
    if (!exact)
        return;
    check_outcome(gva, &e, got);
    if (got == DONE) {
        ck_assert_uint_eq(model_word(model, gpa), value);
        if (!is_pool(e.gfn))
            check_marks(&e, 0x60);
    } else if (got == EMULATED && e.frame_is_ram) {
        unsigned before = model->code_written;
        model_store(model, gpa, &value, 4);
        ck_assert_uint_gt(model->code_written, before);
        fresh = fresh && !is_pool(e.gfn);
    }
}

static void fetch(gva_t gva)
{
    struct expectation e = model_expect(model, gva, false, true);
    gfn_t gfn = 0;
    enum mmu_result result = mmu_fetch(model->mmu, gva, &gfn);
    bool user = model->vcpu.cpl == 3 && (model->vcpu.cr0 & CR0_PG);
    enum outcome got = result == MMU_RETRY  ? DONE
                       : result == MMU_TRUE ? TRUE_FAULT
                                            : EMULATED;
    /* A fetch walks, so it is exact even where windows are stale. */
    check_outcome(gva, &e, got);
    if (got != DONE)
        return;
    ck_assert_uint_eq(gfn, e.gfn);
    (user ? model->fetched_user : model->fetched_kernel)[gva >> PAGE_SHIFT] =
        gfn + 1;
}

/* What code was fetched from must still be there, or have been called off. */
static void check_fetched(void)
{
    uint8_t cpl = model->vcpu.cpl;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t pages = is_pae() ? 1024 : 1024;
        static const uint32_t first[] = {0, 0x400, 0xc0000, 0xc0400};
        for (uint32_t page = first[i]; page < first[i] + pages; page++) {
            gfn_t kernel = model->fetched_kernel[page];
            gfn_t user = model->fetched_user[page];
            struct expectation e;
            model->vcpu.cpl = 0;
            if (kernel != 0)
                e = model_expect(model, page << PAGE_SHIFT, false, true);
            if (kernel != 0)
                ck_assert_uint_eq(e.gfn + 1, kernel);
            model->vcpu.cpl = 3;
            if (user != 0)
                e = model_expect(model, page << PAGE_SHIFT, false, true);
            if (user != 0)
                ck_assert_uint_eq(e.gfn + 1, user);
        }
    }
    model->vcpu.cpl = cpl;
}

/* Change the last entry of an address, INVLPG it, and look: exact at once. */
static void change_and_invlpg(void)
{
    gva_t gva = pick_gva();
    struct expectation e = model_expect(model, gva, false, false);
    if (!(model->vcpu.cr0 & CR0_PG) || e.leaf == 0 || e.outcome == EMULATED)
        return;
    uint64_t value = pick_target() << PAGE_SHIFT | pick_flags();
    model_store(model, e.leaf, &value, is_pae() ? 8 : 4);
    mmu_invlpg(model->mmu, gva);
    fresh = true;
    if (chance(50))
        read_window(gva);
    else
        write_window(gva);
    fresh = false;
}

static void trace_code(void)
{
    gfn_t gfn = chance(20) ? pool_frame() : 0x400 + random_below(64);
    mmu_trace_code(model->mmu, gfn, chance(60));
}

static void step(void)
{
    uint32_t what = random_below(1000);
    if (what < 40)
        change_leaf_entries();
    else if (what < 60)
        change_directory();
    else if (what < 140)
        plant();
    else if (what < 160)
        flush();
    else if (what < 220)
        load_cr3();
    else if (what < 240)
        change_mode();
    else if (what < 300)
        flush();
    else if (what < 335)
        reload_cr3();
    else if (what < 350)
        mmu_prefill(model->mmu, pick_gva());
    else if (what < 380)
        model->vcpu.cpl = chance(50) ? 3 : 0;
    else if (what < 450)
        fetch(pick_gva());
    else if (what < 500)
        change_and_invlpg();
    else if (what < 520)
        trace_code();
    else if (what < 760)
        read_window(pick_gva());
    else
        write_window(pick_gva());
}

static void run(uint64_t seed, unsigned vmas, unsigned windows)
{
    random_state = seed * 0x9e3779b97f4a7c15ull + 1;
    fresh = true;
    struct mmu_limits limits = {
        .vmas = vmas, .user_windows = windows, .patience = 3};
    mmu_set_limits(model->mmu, &limits);
    for (uint32_t i = 0; i < POOL_COUNT; i++)
        memset(gmem_base(model->gmem) + ((POOL_FIRST + i) << PAGE_SHIFT), 0,
               PAGE_SIZE);
    model->vcpu.cr0 |= CR0_PE | CR0_PG;
    model->vcpu.cr4 = seed % 2 ? CR4_PAE : CR4_PSE;
    load_cr3();
    for (uint32_t i = 0; i < 200; i++) {
        change_directory();
        change_leaf_entries();
    }
    flush();
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
        const char *why = i % VERIFY_EVERY ? NULL : spt_verify(model->mmu);
        ck_assert_msg(why == NULL, "seed %llu step %u: %s",
                      (unsigned long long)seed, i, why);
        if (fresh && i % 16 == 0)
            check_fetched();
    }
    ck_assert_pstr_eq(spt_verify(model->mmu), NULL);
    ck_assert_pstr_eq(spt_verify_host(model->mmu), NULL);
}

static void setup_mprotect(void)
{
    model = model_create(MMU_TRACE_MPROTECT);
}

static void setup_userfaultfd(void)
{
    model = model_create(MMU_TRACE_USERFAULTFD);
}

static void teardown(void)
{
    model_destroy(model);
}

START_TEST(windows_do_what_the_guests_tables_say)
{
    run((uint64_t)_i, 1000, 32);
    ck_assert_uint_gt(model->stats.count[STAT_HIDDEN_FAULTS], 100);
    ck_assert_uint_gt(model->stats.count[STAT_TRUE_FAULTS], 20);
}
END_TEST

START_TEST(small_budgets_force_evictions_and_nothing_else)
{
    run(1000 + (uint64_t)_i, 24, 2);
    ck_assert_uint_gt(model->stats.count[STAT_WINDOW_EVICTIONS], 0);
}
END_TEST

/* A seed that changes each run; it is printed so that it can be repeated by
 * POPF_SEED. */
START_TEST(a_new_seed_each_run_passes_too)
{
    const char *text = getenv("POPF_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0)
                                 : (uint64_t)time(NULL) & 0xffffff;
    printf("test_mmu_random: POPF_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    run(seed, 200, 8);
}
END_TEST

static TCase *make_tcase(const char *name, SFun setup)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 50);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, windows_do_what_the_guests_tables_say, 0, 8);
    tcase_add_loop_test(tcase, small_budgets_force_evictions_and_nothing_else,
                        0, 4);
    tcase_add_test(tcase, a_new_seed_each_run_passes_too);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("mmu_random");
    suite_add_tcase(suite, make_tcase("mprotect", setup_mprotect));
    suite_add_tcase(suite, make_tcase("userfaultfd", setup_userfaultfd));
    return run_suite(suite);
}
