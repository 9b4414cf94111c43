/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/tc.h"

/*
 * The translation cache with CCFs made by hand, all of one layout:
 *
 *   0   entry, body       16  return site
 *   32  jmp rel32         48  its stub      56  a jump through the table
 */
#define MODE          5u
#define HOST_LEN      64u
#define RETURN_OFFSET 16u
#define REL_OFFSET    33u
#define STUB_OFFSET   48u
#define TABLE_OFFSET  56u

static struct tc *tc;
static struct stats stats;
static struct tc_stubs stubs;
static gfn_t empty_frames[64];
static unsigned empty_count;
static unsigned evicted_count;

static void frame_empty(void *opaque, gfn_t gfn)
{
    (void)opaque;
    if (empty_count < ARRAY_COUNT(empty_frames))
        empty_frames[empty_count] = gfn;
    empty_count++;
}

static void region_evicted(void *opaque)
{
    (void)opaque;
    evicted_count++;
}

/* What is in every frame. */
static uint8_t page[PAGE_SIZE];

static const uint8_t *frame_bytes(void *opaque, gfn_t gfn)
{
    (void)opaque, (void)gfn;
    return page;
}

static gfn_t untraced;

static bool frame_is_traced(void *opaque, gfn_t gfn)
{
    (void)opaque;
    return gfn != untraced;
}

static void setup(void)
{
    const struct tc_host host = {.frame_empty = frame_empty,
                                 .region_evicted = region_evicted,
                                 .frame_bytes = frame_bytes,
                                 .frame_is_traced = frame_is_traced};

    memset(page, 0, sizeof(page));
    untraced = UINT64_MAX;

    empty_count = evicted_count = 0;
    memset(&stats, 0, sizeof(stats));
    ck_assert_int_eq(tc_create(&tc, TC_MIN_LEN, &stats, &host), 0);
    stubs.miss = (uint64_t)(uintptr_t)tc_mcode(tc)->rx;
    stubs.lookup = stubs.miss + 16;
    tc_set_stubs(tc, &stubs);
}

static void teardown(void)
{
    tc_destroy(tc);
}

/* A CCF of host_len bytes that was read from the frame's bytes [start, end). */
static struct ccf *make(gip_t gip, gfn_t gfn, uint32_t end, uint32_t host_len)
{
    const struct mcode *mcode = tc_mcode(tc);
    struct ccf *ccf = calloc(1, sizeof(*ccf));

    ccf->gip = gip;
    ccf->mode = MODE;
    ccf->start = ccf->entry = ccf->body = tc_reserve(tc, host_len);
    ccf->host_len = host_len;
    ccf->source_count = 1;
    ccf->source[0].gfn = gfn;
    ccf->source[0].start = gip & PAGE_MASK;
    ccf->source[0].end = end;
    ccf->points = calloc(2, sizeof(*ccf->points));
    ccf->point_count = 2;
    ccf->points[0].host_offset = 8;
    ccf->points[1].host_offset = 24;
    ccf->return_sites = calloc(1, sizeof(*ccf->return_sites));
    ccf->return_sites[0] = RETURN_OFFSET;
    ccf->return_count = 1;
    ccf->exits = calloc(1, sizeof(*ccf->exits));
    ccf->exit_count = 1;
    ccf->exits[0] = (struct ccf_exit){.ccf = ccf,
                                      .kind = EXIT_JUMP,
                                      .rel_offset = REL_OFFSET,
                                      .stub_offset = STUB_OFFSET,
                                      .table_offset = TABLE_OFFSET};
    memset(mcode_rw(mcode, ccf->start), 0x90, host_len);
    mcode_patch_jmp(mcode, ccf->start + REL_OFFSET - 1,
                    ccf->start + STUB_OFFSET);
    return ccf;
}

static struct ccf *add(gip_t gip, gfn_t gfn, uint32_t end)
{
    struct ccf *ccf = make(gip, gfn, end, HOST_LEN);

    tc_insert(tc, ccf);
    return ccf;
}

/* One that keeps its source bytes. */
static struct ccf *add_kept(gip_t gip, gfn_t gfn, uint32_t end)
{
    struct ccf *ccf = make(gip, gfn, end, HOST_LEN);
    uint32_t len = end - (gip & PAGE_MASK);

    ccf->source[0].bytes = malloc(len);
    memcpy(ccf->source[0].bytes, page + (gip & PAGE_MASK), len);
    tc_insert(tc, ccf);
    return ccf;
}

/* One that crosses from the end of a frame into another. */
static struct ccf *add_crossing(gip_t gip, gfn_t first, gfn_t second)
{
    struct ccf *ccf = make(gip, first, PAGE_SIZE, HOST_LEN);

    ccf->source_count = 2;
    ccf->source[1].gfn = second;
    ccf->source[1].end = 3;
    tc_insert(tc, ccf);
    return ccf;
}

/* Where the jmp rel32, or the rel32 behind it, at an address leads. */
static uint64_t rel32_target(uint64_t at)
{
    int32_t rel;

    memcpy(&rel, mcode_rw(tc_mcode(tc), at), sizeof(rel));
    return at + 4 + (uint64_t)(int64_t)rel;
}

static uint64_t jmp_target(uint64_t at)
{
    ck_assert_uint_eq(*mcode_rw(tc_mcode(tc), at), 0xe9);
    return rel32_target(at + 1);
}

static uint64_t exit_target(const struct ccf *ccf)
{
    return rel32_target(ccf->start + REL_OFFSET);
}

static void verify(void)
{
    ck_assert_pstr_eq(tc_verify(tc), NULL);
}

/* ---- Finding ---- */

START_TEST(a_ccf_is_found_by_its_whole_key)
{
    struct ccf *ccf = add(0x1000, 7, 0x10);

    ck_assert_ptr_eq(tc_find(tc, 0x1000, 7, MODE), ccf);
    ck_assert_ptr_null(tc_find(tc, 0x1001, 7, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1000, 8, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1000, 7, MODE + 1));
    verify();
}
END_TEST

START_TEST(a_ccf_is_found_by_every_address_of_its_code)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);

    for (unsigned i = 0; i < HOST_LEN; i++) {
        ck_assert_ptr_eq(tc_find_host(tc, a->start + i), a);
        ck_assert_ptr_eq(tc_find_host(tc, b->start + i), b);
    }
    ck_assert_ptr_null(tc_find_host(tc, b->start + HOST_LEN));
    ck_assert_ptr_null(tc_find_host(tc, stubs.miss));
    ck_assert_ptr_null(tc_find_host(tc, stubs.miss - 1));
    ck_assert_ptr_null(tc_find_host(tc, stubs.miss + TC_MIN_LEN));
}
END_TEST

START_TEST(the_last_point_at_or_below_an_address_governs_it)
{
    struct ccf *ccf = add(0x1000, 7, 0x10);
    bool exact;

    ck_assert_ptr_null(ccf_find_point(ccf, ccf->start + 7, &exact));
    ck_assert_ptr_eq(ccf_find_point(ccf, ccf->start + 8, &exact), ccf->points);
    ck_assert(exact);
    ck_assert_ptr_eq(ccf_find_point(ccf, ccf->start + 23, &exact), ccf->points);
    ck_assert(!exact);
    ck_assert_ptr_eq(ccf_find_point(ccf, ccf->start + 24, &exact),
                     ccf->points + 1);
    ck_assert(exact);
}
END_TEST

START_TEST(ccfs_are_placed_one_behind_the_other)
{
    struct ccf *a = make(0x1000, 7, 0x10, 70);
    struct ccf *b;

    tc_insert(tc, a);
    b = add(0x1010, 7, 0x20);
    ck_assert_uint_eq(a->start % 64, 0);
    ck_assert_uint_eq(b->start, a->start + 80);
    verify();
}
END_TEST

/* ---- Chaining ---- */

START_TEST(chaining_leads_an_exit_to_the_body)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);

    tc_chain(tc, a->exits, b);
    ck_assert_uint_eq(exit_target(a), b->body);
    ck_assert_ptr_eq(b->incoming, a->exits);
    verify();
}
END_TEST

START_TEST(unchaining_restores_the_original_jump)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);
    struct ccf *c = add(0x1020, 7, 0x30);

    tc_chain(tc, a->exits, c);
    tc_chain(tc, b->exits, c);
    tc_unchain(tc, a->exits);
    ck_assert_uint_eq(exit_target(a), a->start + STUB_OFFSET);
    ck_assert_ptr_null(a->exits->chained);
    ck_assert_ptr_eq(c->incoming, b->exits);
    ck_assert_ptr_null(b->exits->next);
    verify();
}
END_TEST

START_TEST(a_ccf_may_be_chained_to_itself)
{
    struct ccf *a = add(0x1000, 7, 0x10);

    tc_chain(tc, a->exits, a);
    verify();
    tc_drop(tc, a);
    verify();
}
END_TEST

START_TEST(a_page_undoes_the_chains_that_cross_into_it)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);
    struct ccf *c = add(0x1020, 7, 0x30);
    struct ccf *far = add(0x2000, 8, 0x10);
    struct ccf *same_bucket = add(0x2000 + 0x400000, 9, 0x10);

    tc_chain(tc, a->exits, far);
    tc_chain(tc, b->exits, same_bucket);
    tc_chain(tc, c->exits, a);
    verify();
    tc_unchain_page(tc, 0x3000);
    ck_assert_ptr_eq(a->exits->chained, far);
    tc_unchain_page(tc, 0x2000);
    ck_assert_uint_eq(exit_target(a), a->start + STUB_OFFSET);
    ck_assert_ptr_eq(b->exits->chained, same_bucket);
    verify();
    tc_unchain_pages(tc);
    ck_assert_ptr_null(b->exits->chained);
    ck_assert_ptr_eq(c->exits->chained, a);
    verify();
}
END_TEST

START_TEST(dropping_either_end_ends_a_chain_between_pages)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x2000, 8, 0x10);

    tc_chain(tc, a->exits, b);
    tc_chain(tc, b->exits, a);
    tc_drop(tc, a);
    verify();
    ck_assert_ptr_null(b->exits->chained);
    tc_unchain_page(tc, 0x1000);
    tc_unchain_pages(tc);
    verify();
}
END_TEST

START_TEST(an_exit_that_is_never_chained_uses_the_table)
{
    struct ccf *a = add(0x1000, 7, 0x10);

    tc_never_chain(tc, a->exits);
    ck_assert_uint_eq(exit_target(a), a->start + TABLE_OFFSET);
    verify();
    tc_drop(tc, a);
    verify();
}
END_TEST

static bool is_page_2000(const void *opaque, gva_t at)
{
    (void)opaque;
    return at == 0x2000;
}

START_TEST(pages_with_chains_into_them_are_told)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x2000, 8, 0x10);

    tc_chain(tc, a->exits, b);
    ck_assert_uint_eq(tc_find_crossed(tc, is_page_2000, NULL), TC_NO_PAGE);
    tc_chain(tc, b->exits, a);
    ck_assert_uint_eq(tc_find_crossed(tc, is_page_2000, NULL), 0x1000);
}
END_TEST

/* ---- Dropping ---- */

START_TEST(a_dropped_ccf_leads_to_the_lookup)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add(0x1010, 7, 0x20);
    struct ccf *c = add(0x1020, 7, 0x30);

    tc_chain(tc, a->exits, b);
    tc_chain(tc, b->exits, c);
    tc_drop(tc, b);
    ck_assert_ptr_null(tc_find(tc, 0x1010, 7, MODE));
    ck_assert_ptr_eq(tc_find_host(tc, b->start), b);
    ck_assert_uint_eq(exit_target(a), a->start + STUB_OFFSET);
    ck_assert_ptr_null(c->incoming);
    ck_assert_uint_eq(jmp_target(b->entry), stubs.miss);
    ck_assert_uint_eq(jmp_target(b->start + RETURN_OFFSET), stubs.lookup);
    verify();
}
END_TEST

START_TEST(a_range_drops_what_was_read_from_it_only)
{
    add(0x1000, 7, 0x10);
    add(0x1010, 7, 0x20);
    add(0x1020, 7, 0x30);
    add(0x1010, 8, 0x20);
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0x1f, 1), 1);
    ck_assert_ptr_nonnull(tc_find(tc, 0x1000, 7, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1010, 7, MODE));
    ck_assert_ptr_nonnull(tc_find(tc, 0x1020, 7, MODE));
    ck_assert_ptr_nonnull(tc_find(tc, 0x1010, 8, MODE));
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0x0f, 0x12), 2);
    ck_assert_uint_eq(tc_drop_range(tc, 7, 0, PAGE_SIZE), 0);
    verify();
}
END_TEST

START_TEST(either_frame_of_a_crossing_ccf_drops_it)
{
    add_crossing(0x1ffe, 7, 9);
    add_crossing(0x2ffe, 9, 7);
    ck_assert_uint_eq(tc_drop_range(tc, 9, 3, 0x100), 0);
    ck_assert_uint_eq(tc_drop_range(tc, 9, 2, 0x100), 1);
    ck_assert_ptr_null(tc_find(tc, 0x1ffe, 7, MODE));
    ck_assert_ptr_nonnull(tc_find(tc, 0x2ffe, 9, MODE));
    verify();
    ck_assert_uint_eq(tc_drop_range(tc, 9, 0xffe, 1), 1);
    ck_assert(!tc_frame_has_code(tc, 7));
    ck_assert(!tc_frame_has_code(tc, 9));
    verify();
}
END_TEST

START_TEST(a_ccf_with_one_frame_under_both_pages_is_dropped_once)
{
    add_crossing(0x1ffe, 7, 7);
    add(0x1000, 7, 0x10);
    verify();
    ck_assert_uint_eq(tc_drop_frame(tc, 7), 2);
    ck_assert(!tc_frame_has_code(tc, 7));
    verify();
}
END_TEST

START_TEST(an_empty_frame_is_reported_when_its_last_ccf_goes)
{
    struct ccf *a = add(0x1000, 7, 0x10);
    struct ccf *b = add_crossing(0x1ffe, 7, 9);

    tc_drop(tc, a);
    ck_assert_uint_eq(empty_count, 0);
    tc_drop(tc, b);
    ck_assert_uint_eq(empty_count, 2);
    ck_assert_uint_eq(empty_frames[0], 7);
    ck_assert_uint_eq(empty_frames[1], 9);
}
END_TEST

START_TEST(dropping_all_leaves_nothing)
{
    struct ccf *a = add(0x1000, 7, 0x10);

    tc_chain(tc, a->exits, add(0x1010, 8, 0x20));
    tc_drop_all(tc);
    tc_drop_all(tc);
    ck_assert_ptr_null(tc_find(tc, 0x1000, 7, MODE));
    ck_assert_ptr_null(tc_find(tc, 0x1010, 8, MODE));
    verify();
}
END_TEST

/* ---- Taking back ---- */

START_TEST(a_ccf_is_taken_back_when_its_bytes_are)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);
    uint8_t code[HOST_LEN];

    memcpy(code, mcode_rw(tc_mcode(tc), ccf->start), sizeof(code));
    page[8] = 1;
    ck_assert_uint_eq(tc_drop_range(tc, 7, 8, 1), 1);
    verify();
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    page[8] = 0;
    ck_assert_ptr_null(tc_take_back(tc, 0x1004, 7, MODE, page));
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE + 1, page));
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf);
    ck_assert_mem_eq(mcode_rw(tc_mcode(tc), ccf->start), code, sizeof(code));
    ck_assert_ptr_eq(tc_find(tc, 0x1000, 7, MODE), ccf);
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    verify();
}
END_TEST

START_TEST(another_frame_with_the_same_bytes_takes_it)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);

    tc_drop_frame(tc, 7);
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 9, MODE, page), ccf);
    ck_assert_ptr_null(tc_find(tc, 0x1000, 7, MODE));
    ck_assert_ptr_eq(tc_find(tc, 0x1000, 9, MODE), ccf);
    ck_assert_uint_eq(stats.count[STAT_TAKEN_ACROSS], 1);
    ck_assert_uint_eq(tc_drop_range(tc, 9, 0xf, 1), 1);
    verify();
}
END_TEST

START_TEST(one_that_checks_itself_stays_with_its_frame)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);

    ccf->checked = true;
    page[3] = 1;
    verify();
    tc_drop_changed(tc, ccf);
    page[3] = 0;
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 9, MODE, page));
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf);
    verify();
}
END_TEST

START_TEST(bytes_of_one_hash_are_still_compared)
{
    struct ccf *ccf = add_kept(0x1000, 7, 0x10);

    tc_drop_frame(tc, 7);
    ccf->source[0].bytes[15] ^= 1; /* the hash stays */
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    ccf->source[0].bytes[15] ^= 1;
    ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf);
}
END_TEST

START_TEST(each_of_many_versions_is_found)
{
    struct ccf *ccf[300];

    for (unsigned i = 0; i < 300; i++) {
        memcpy(page, &i, sizeof(i));
        ccf[i] = add_kept(0x1000, 7, 0x10 + i % 3);
        tc_drop_frame(tc, 7);
    }
    for (unsigned i = 0; i < 300; i++) {
        memcpy(page, &i, sizeof(i));
        ck_assert_ptr_eq(tc_take_back(tc, 0x1000, 7, MODE, page), ccf[i]);
        tc_drop_frame(tc, 7);
    }
    verify();
}
END_TEST

START_TEST(what_is_dropped_for_good_is_not_taken_back)
{
    struct ccf *kept = add_kept(0x1000, 7, 0x10);

    tc_drop(tc, add_kept(0x1010, 7, 0x20));
    tc_drop_range(tc, 7, 0, 1);
    tc_drop(tc, kept);
    ck_assert_ptr_null(tc_take_back(tc, 0x1010, 7, MODE, page));
    ck_assert_ptr_null(tc_take_back(tc, 0x1000, 7, MODE, page));
    verify();
}
END_TEST

/* ---- Eviction ---- */

/* Fill until a region is evicted; gips count up from 1. Returns the last. */
static gip_t fill_until_eviction(void)
{
    gip_t gip = 0;

    while (evicted_count == 0) {
        gip++;
        add(gip, gip >> PAGE_SHIFT, (gip & PAGE_MASK) + 1);
    }
    return gip;
}

START_TEST(a_full_cache_evicts_its_oldest_region)
{
    gip_t last = fill_until_eviction();
    unsigned per_region = 65280 / HOST_LEN;

    ck_assert_uint_eq(last, TC_REGIONS * per_region + 1);
    ck_assert_uint_eq(stats.count[STAT_TC_EVICTIONS], 1);
    for (gip_t gip = 1; gip <= last; gip++)
        ck_assert_int_eq(tc_find(tc, gip, gip >> PAGE_SHIFT, MODE) != NULL,
                         gip > per_region);
    verify();
}
END_TEST

START_TEST(an_evicted_region_leaves_nothing_to_take_back)
{
    add_kept(0x80000000, 7, 0x10);
    tc_drop_frame(tc, 7);
    fill_until_eviction();
    ck_assert_ptr_null(tc_take_back(tc, 0x80000000, 7, MODE, page));
    verify();
}
END_TEST

START_TEST(chains_into_an_evicted_region_are_undone)
{
    struct ccf *first = add(0x80000000, 0x80000, 0x10);
    struct ccf *later;

    while (tc_reserve(tc, HOST_LEN) < first->start + 70000)
        add(0x80001000, 0x80001, 0x10);
    later = add(0x80002000, 0x80002, 0x10);
    tc_chain(tc, later->exits, first);
    fill_until_eviction();
    ck_assert_ptr_eq(tc_find(tc, 0x80002000, 0x80002, MODE), later);
    ck_assert_uint_eq(exit_target(later), later->start + STUB_OFFSET);
    verify();
}
END_TEST

START_TEST(a_cache_that_wraps_many_times_stays_whole)
{
    uint64_t random = 1;

    for (unsigned i = 1; i < 100000; i++) {
        gip_t gip = i % 5000;
        struct ccf *ccf = tc_find(tc, gip, 1, MODE);
        struct ccf *other;

        random = random * 6364136223846793005ull + 1;
        if (ccf)
            tc_drop(tc, ccf);
        ccf = make(gip, 1, 5000, HOST_LEN + (uint32_t)(random >> 52));
        tc_insert(tc, ccf);
        other = tc_find(tc, (gip_t)(random >> 40) % 5000, 1, MODE);
        if (other)
            tc_chain(tc, ccf->exits, other);
        if (i % 10000 == 0)
            verify();
    }
    ck_assert_uint_gt(evicted_count, 2 * TC_REGIONS);
}
END_TEST

/* ---- The verifier ---- */

struct corruption {
    const char *message;
    void (*plant)(struct ccf *a, struct ccf *b, struct ccf *dead);
};

/* a is chained to b; dead is behind them. */
static void chained_step(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->exits->kind = EXIT_STEP;
}

static void lost_stub(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)dead;
    mcode_patch_rel32(tc_mcode(tc), b->start + REL_OFFSET, a->body);
}

static void chained_to_dead(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a;
    b->exits->chained = dead;
}

static void not_incoming(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)dead;
    b->incoming = NULL;
}

static void not_listed(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)dead;
    b->gip += PAGE_SIZE;
}

static void lost_target(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    mcode_patch_rel32(tc_mcode(tc), a->start + REL_OFFSET, a->body);
}

static void dead_with_incoming(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b;
    dead->incoming = a->exits;
}

static void dead_entered(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    mcode_patch_jmp(tc_mcode(tc), dead->entry, stubs.lookup);
}

static void dead_returned_to(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    mcode_patch_jmp(tc_mcode(tc), dead->start + RETURN_OFFSET, stubs.miss);
}

static void not_traced(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    untraced = a->source[0].gfn;
}

static void other_bytes(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->source[0].bytes[3] ^= 1;
}

static void lost_from_shelf(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    dead->bytes_hash++;
}

static void living_on_shelf(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->shelved = true;
}

static void other_bucket(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->gip += 4;
}

static void other_frame(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->source_count = 2;
    a->source[1].gfn = 99;
}

static void overlap(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->host_len += 1;
}

static void out_of_region(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    dead->host_len = 70000;
}

static const struct corruption corruptions[] = {
    {"an exit is chained that cannot be",                    chained_step      },
    {"an unchained exit does not lead to its stub",          lost_stub         },
    {"a dead CCF is chained",                                chained_to_dead   },
    {"a chained exit is not in its target's list",           not_incoming      },
    {"a chained exit does not lead to its target",           lost_target       },
    {"a chain into another page is not in that page's list", not_listed        },
    {"a dead CCF has incoming exits",                        dead_with_incoming},
    {"a dead CCF can be entered",                            dead_entered      },
    {"a dead CCF can be returned to",                        dead_returned_to  },
    {"a frame with a live CCF is not traced",                not_traced        },
    {"a live CCF is not what its source bytes are",          other_bytes       },
    {"the shelf does not hold what it should",               lost_from_shelf   },
    {"a live CCF is on the shelf",                           living_on_shelf   },
    {"a live CCF is not in its hash bucket",                 other_bucket      },
    {"a live CCF is not in its frame's list",                other_frame       },
    {"CCFs of a region overlap or are out of order",         overlap           },
    {"a CCF leaves its region",                              out_of_region     },
};

START_TEST(the_verifier_names_a_planted_corruption)
{
    const struct corruption *c = &corruptions[_i];
    struct ccf *a = add_kept(0x1000, 7, 0x10);
    struct ccf *b = add_kept(0x1010, 7, 0x20);
    struct ccf *dead = add_kept(0x1020, 7, 0x30);

    tc_chain(tc, a->exits, b);
    tc_drop_range(tc, 7, 0x20, 1);
    verify();
    c->plant(a, b, dead);
    ck_assert_pstr_eq(tc_verify(tc), c->message);
}
END_TEST

/* ---- Memory ---- */

START_TEST(no_page_is_writable_and_executable)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned views = 0;

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps)) {
        const char *rights = strchr(line, ' ') + 1;

        ck_assert_msg(rights[1] != 'w' || rights[2] != 'x', "%s", line);
        views += strstr(line, "popf-code") != NULL;
    }
    fclose(maps);
    ck_assert_uint_eq(views, 2);
}
END_TEST

START_TEST(both_views_show_the_same_bytes)
{
    const struct mcode *mcode = tc_mcode(tc);
    uint64_t at = (uint64_t)(uintptr_t)mcode->rx + mcode->len - 5;

    mcode_patch_jmp(mcode, at, at + 5);
    ck_assert_mem_eq(mcode->rx + mcode->len - 5, "\xe9\0\0\0\0", 5);
    ck_assert(mcode_contains(mcode, at + 4));
    ck_assert(!mcode_contains(mcode, at + 5));
}
END_TEST

static void add_finding(TCase *tcase)
{
    tcase_add_test(tcase, a_ccf_is_found_by_its_whole_key);
    tcase_add_test(tcase, a_ccf_is_found_by_every_address_of_its_code);
    tcase_add_test(tcase, the_last_point_at_or_below_an_address_governs_it);
    tcase_add_test(tcase, ccfs_are_placed_one_behind_the_other);
    tcase_add_test(tcase, chaining_leads_an_exit_to_the_body);
    tcase_add_test(tcase, unchaining_restores_the_original_jump);
    tcase_add_test(tcase, a_ccf_may_be_chained_to_itself);
    tcase_add_test(tcase, a_page_undoes_the_chains_that_cross_into_it);
    tcase_add_test(tcase, dropping_either_end_ends_a_chain_between_pages);
    tcase_add_test(tcase, an_exit_that_is_never_chained_uses_the_table);
    tcase_add_test(tcase, pages_with_chains_into_them_are_told);
}

static void add_dropping(TCase *tcase)
{
    tcase_add_test(tcase, a_dropped_ccf_leads_to_the_lookup);
    tcase_add_test(tcase, a_range_drops_what_was_read_from_it_only);
    tcase_add_test(tcase, either_frame_of_a_crossing_ccf_drops_it);
    tcase_add_test(tcase,
                   a_ccf_with_one_frame_under_both_pages_is_dropped_once);
    tcase_add_test(tcase, a_ccf_is_taken_back_when_its_bytes_are);
    tcase_add_test(tcase, another_frame_with_the_same_bytes_takes_it);
    tcase_add_test(tcase, one_that_checks_itself_stays_with_its_frame);
    tcase_add_test(tcase, bytes_of_one_hash_are_still_compared);
    tcase_add_test(tcase, each_of_many_versions_is_found);
    tcase_add_test(tcase, what_is_dropped_for_good_is_not_taken_back);
    tcase_add_test(tcase, an_evicted_region_leaves_nothing_to_take_back);
    tcase_add_test(tcase, an_empty_frame_is_reported_when_its_last_ccf_goes);
    tcase_add_test(tcase, dropping_all_leaves_nothing);
    tcase_add_test(tcase, a_full_cache_evicts_its_oldest_region);
    tcase_add_test(tcase, chains_into_an_evicted_region_are_undone);
    tcase_add_test(tcase, a_cache_that_wraps_many_times_stays_whole);
}

int main(void)
{
    Suite *suite = suite_create("tc");
    TCase *tcase = tcase_create("cache");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    add_finding(tcase);
    add_dropping(tcase);
    tcase_add_loop_test(tcase, the_verifier_names_a_planted_corruption, 0,
                        ARRAY_COUNT(corruptions));
    tcase_add_test(tcase, no_page_is_writable_and_executable);
    tcase_add_test(tcase, both_views_show_the_same_bytes);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
