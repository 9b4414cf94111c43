/* SPDX-License-Identifier: MIT */
#include "cache_fixture.h"

#include <stdlib.h>
#include <string.h>

struct tc *tc;
struct stats stats;
struct tc_stubs stubs;
gfn_t empty_frames[64];
unsigned empty_count;
unsigned evicted_count;

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
uint8_t page[PAGE_SIZE];

static const uint8_t *frame_bytes(void *opaque, gfn_t gfn)
{
    (void)opaque, (void)gfn;
    return page;
}

gfn_t untraced;

static bool frame_is_traced(void *opaque, gfn_t gfn)
{
    (void)opaque;
    return gfn != untraced;
}

static void setup_len(size_t len)
{
    const struct tc_host host = {.frame_empty = frame_empty,
                                 .region_evicted = region_evicted,
                                 .frame_bytes = frame_bytes,
                                 .frame_is_traced = frame_is_traced};

    memset(page, 0, sizeof(page));
    untraced = UINT64_MAX;

    empty_count = evicted_count = 0;
    memset(&stats, 0, sizeof(stats));
    ck_assert_int_eq(tc_create(&tc, len, &stats, &host), 0);
    stubs.miss = (uint64_t)(uintptr_t)tc_mcode(tc)->rx;
    stubs.lookup = stubs.miss + 16;
    tc_set_stubs(tc, &stubs);
}

void setup(void)
{
    setup_len(TC_MIN_LEN);
}

void setup_large(void)
{
    setup_len(24 * MIB);
}

void teardown(void)
{
    tc_destroy(tc);
}

/* A CCF of host_len bytes that was read from the frame's bytes [start, end). */
struct ccf *make(gip_t gip, gfn_t gfn, uint32_t end, uint32_t host_len)
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

struct ccf *add(gip_t gip, gfn_t gfn, uint32_t end)
{
    struct ccf *ccf = make(gip, gfn, end, HOST_LEN);

    tc_insert(tc, ccf);
    return ccf;
}

/* One that keeps its source bytes. */
struct ccf *add_kept(gip_t gip, gfn_t gfn, uint32_t end)
{
    struct ccf *ccf = make(gip, gfn, end, HOST_LEN);
    uint32_t len = end - (gip & PAGE_MASK);

    ccf->source[0].bytes = malloc(len);
    memcpy(ccf->source[0].bytes, page + (gip & PAGE_MASK), len);
    tc_insert(tc, ccf);
    return ccf;
}

/* One that crosses from the end of a frame into another. */
struct ccf *add_crossing(gip_t gip, gfn_t first, gfn_t second)
{
    struct ccf *ccf = make(gip, first, PAGE_SIZE, HOST_LEN);

    ccf->source_count = 2;
    ccf->source[1].gfn = second;
    ccf->source[1].end = 3;
    tc_insert(tc, ccf);
    return ccf;
}

/* Where the jmp rel32, or the rel32 behind it, at an address leads. */
uint64_t rel32_target(uint64_t at)
{
    int32_t rel;

    memcpy(&rel, mcode_rw(tc_mcode(tc), at), sizeof(rel));
    return at + 4 + (uint64_t)(int64_t)rel;
}

uint64_t jmp_target(uint64_t at)
{
    ck_assert_uint_eq(*mcode_rw(tc_mcode(tc), at), 0xe9);
    return rel32_target(at + 1);
}

uint64_t exit_target(const struct ccf *ccf)
{
    return rel32_target(ccf->start + REL_OFFSET);
}

void verify(void)
{
    ck_assert_pstr_eq(tc_verify(tc), NULL);
}
