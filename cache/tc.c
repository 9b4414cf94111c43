/* SPDX-License-Identifier: MIT */
#include "cache/tc_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "monitor/log.h"

/*
 * Plan of the file: lookup, placement (evict, reserve, insert), dropping and
 * reviving.
 */

/* The kernel gives every process 16 random bytes. */
static void draw_secrets(struct tc *tc)
{
    const void *bytes = (const void *)(uintptr_t)getauxval(AT_RANDOM);

    _Static_assert(sizeof(tc->secret) == 16, "AT_RANDOM's bytes");
    if (bytes)
        memcpy(tc->secret, bytes, sizeof(tc->secret));
    for (unsigned i = 0; i < ARRAY_COUNT(tc->secret); i++)
        tc->secret[i] = (tc->secret[i] ^ 0x9e3779b97f4a7c15ull) | 1;
}

int tc_create(struct tc **out, size_t len, struct stats *stats,
              const struct tc_host *host)
{
    struct tc *tc = calloc(1, sizeof(*tc));
    int err;

    if (!tc)
        return -ENOMEM;
    if (len < TC_MIN_LEN)
        len = TC_MIN_LEN;
    err = mcode_init(&tc->mcode, len);
    if (err) {
        free(tc);
        return err;
    }
    tc->region_len = (tc->mcode.len - TC_GLUE_LEN) / TC_REGIONS & ~63ul;
    for (unsigned i = 0; i < TC_REGIONS; i++) {
        struct region *r = &tc->region[i];

        r->start = (uint64_t)(uintptr_t)tc->mcode.rx + TC_GLUE_LEN +
                   i * tc->region_len;
        r->at = r->start;
    }
    draw_secrets(tc);
    tc->stats = stats;
    tc->host = *host;
    *out = tc;
    return 0;
}

void ccf_free(struct ccf *ccf)
{
    if (!ccf)
        return;
    free(ccf->points);
    free(ccf->exits);
    free(ccf->return_sites);
    free(ccf->source[0].bytes);
    free(ccf->source[1].bytes);
    free(ccf->saved);
    free(ccf);
}

void tc_destroy(struct tc *tc)
{
    if (!tc)
        return;
    for (unsigned i = 0; i < TC_REGIONS; i++) {
        for (uint32_t k = 0; k < tc->region[i].count; k++)
            ccf_free(tc->region[i].ccfs[k]);
        free(tc->region[i].ccfs);
    }
    mcode_fini(&tc->mcode);
    free(tc);
}

const struct mcode *tc_mcode(const struct tc *tc)
{
    return &tc->mcode;
}

void tc_set_stubs(struct tc *tc, const struct tc_stubs *stubs)
{
    tc->stubs = *stubs;
}

struct ccf *tc_find(const struct tc *tc, gip_t gip, gfn_t gfn, uint32_t mode)
{
    struct ccf *ccf = *tc_hash_bucket((struct tc *)tc, gip, gfn, mode);

    while (ccf &&
           (ccf->gip != gip || ccf->source[0].gfn != gfn || ccf->mode != mode))
        ccf = ccf->hash_next;
    return ccf;
}

struct ccf *tc_find_host(const struct tc *tc, uint64_t rx)
{
    uint64_t first = tc->region[0].start;
    uint64_t index = (rx - first) / tc->region_len;

    if (rx < first || index >= TC_REGIONS)
        return NULL;

    const struct region *r = &tc->region[index];
    uint32_t low = 0;
    uint32_t high = r->count;

    while (low < high) {
        uint32_t mid = (low + high) / 2;
        struct ccf *ccf = r->ccfs[mid];

        if (rx < ccf->start)
            high = mid;
        else if (rx >= ccf->start + ccf->host_len)
            low = mid + 1;
        else
            return ccf;
    }
    return NULL;
}

const struct ccf_point *ccf_find_point(const struct ccf *ccf, uint64_t rx,
                                       bool *exact)
{
    uint64_t offset = rx - ccf->start;
    uint32_t low = 0;
    uint32_t high = ccf->point_count;

    /* The last point at or below the address; several may share an offset. */
    while (low < high) {
        uint32_t mid = (low + high) / 2;

        if (ccf->points[mid].host_offset <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return NULL;
    *exact = ccf->points[low - 1].host_offset == offset;
    return &ccf->points[low - 1];
}

const struct ccf_point *ccf_next_insn(const struct ccf *ccf,
                                      const struct ccf_point *point)
{
    const struct ccf_point *end = ccf->points + ccf->point_count;
    uint16_t here = point->gip_offset;

    while (point < end && point->gip_offset == here)
        point++;
    return point < end ? point : NULL;
}

/* Memory for the tables of CCFs, as a multiple of that for their code. Those of
 * Linux take 0.4 to 1.4 times as much. */
#define TABLES_PER_CODE 3u

static void evict(struct tc *tc, struct region *r)
{
    if (r->count) {
        stat_inc(tc->stats, STAT_TC_EVICTIONS);
        log_line(LOG_XLAT, "evicting a region of %u CCFs, %zu bytes of tables",
                 r->count, r->table_len);
    }
    for (uint32_t i = 0; i < r->count; i++)
        tc_drop(tc, r->ccfs[i]);
    if (r->count)
        tc->host.region_evicted(tc->host.opaque);
    for (uint32_t i = 0; i < r->count; i++)
        ccf_free(r->ccfs[i]);
    tc->touched_count = TOUCHED_COUNT + 1; /* some of them are freed */
    r->count = 0;
    r->at = r->start;
    r->table_len = 0;
}

/* Room in the region's list for one more CCF. */
static bool has_slot(struct region *r)
{
    uint32_t want = r->capacity ? 2 * r->capacity : 256;
    void *grown;

    if (r->count < r->capacity)
        return true;
    grown = realloc(r->ccfs, want * sizeof(*r->ccfs));
    if (!grown)
        return false;
    r->ccfs = grown;
    r->capacity = want;
    return true;
}

/* Bytes of the heap: six blocks or so, each with the allocator's 16. */
static size_t table_len(const struct ccf *ccf)
{
    size_t len = sizeof(*ccf) + ccf->point_count * sizeof(*ccf->points) +
                 ccf->exit_count * sizeof(*ccf->exits) +
                 ccf->return_count * sizeof(*ccf->return_sites);

    for (uint32_t i = 0; i < ccf->source_count; i++)
        if (ccf->source[i].bytes)
            len += ccf->source[i].end - ccf->source[i].start;
    return len + 6u * 16;
}

/* A region is full, too, when its CCFs have little code and much else. */
static bool is_full(const struct tc *tc, const struct region *r, size_t len)
{
    return r->at + len > r->start + tc->region_len ||
           r->table_len > TABLES_PER_CODE * tc->region_len;
}

uint64_t tc_reserve(struct tc *tc, size_t len)
{
    struct region *r = &tc->region[tc->current];

    ENSURE(len <= tc->region_len);
    if (is_full(tc, r, len)) {
        tc->current = (tc->current + 1) % TC_REGIONS;
        r = &tc->region[tc->current];
        evict(tc, r);
    }
    return has_slot(r) ? r->at : 0;
}

static void link_source(struct tc *tc, struct ccf *ccf,
                        struct ccf_source *source)
{
    struct ccf_source **bucket = tc_frame_bucket(tc, source->gfn);

    source->ccf = ccf;
    source->prev = NULL;
    source->next = *bucket;
    if (*bucket)
        (*bucket)->prev = source;
    *bucket = source;
}

static void link_ccf(struct tc *tc, struct ccf *ccf)
{
    struct ccf **bucket =
        tc_hash_bucket(tc, ccf->gip, ccf->source[0].gfn, ccf->mode);

    tc_touch(tc, ccf);
    ccf->hash_next = *bucket;
    *bucket = ccf;
    for (uint32_t i = 0; i < ccf->source_count; i++)
        link_source(tc, ccf, &ccf->source[i]);
}

void tc_insert(struct tc *tc, struct ccf *ccf)
{
    struct region *r = &tc->region[tc->current];

    ENSURE(ccf->start == r->at);
    ENSURE(ccf->host_len <= r->start + tc->region_len - r->at);
    ENSURE(r->count < r->capacity);
    r->ccfs[r->count++] = ccf;
    r->table_len += table_len(ccf);
    r->at += (ccf->host_len + 15u) & ~15ull;
    if (r->at > r->start + tc->region_len)
        r->at = r->start + tc->region_len;
    link_ccf(tc, ccf);
}

static void unlink_source(struct tc *tc, struct ccf_source *source)
{
    if (source->prev)
        source->prev->next = source->next;
    else
        *tc_frame_bucket(tc, source->gfn) = source->next;
    if (source->next)
        source->next->prev = source->prev;
}

static void unlink_hash(struct tc *tc, struct ccf *ccf)
{
    struct ccf **link =
        tc_hash_bucket(tc, ccf->gip, ccf->source[0].gfn, ccf->mode);

    while (*link != ccf)
        link = &(*link)->hash_next;
    *link = ccf->hash_next;
}

/* What a jump replaces while the CCF is dead: site 0 is its entry, the others are
 * its return sites. */
static uint8_t *site_bytes(const struct tc *tc, const struct ccf *ccf,
                           uint32_t site)
{
    uint64_t at =
        site == 0 ? ccf->entry : ccf->start + ccf->return_sites[site - 1];

    return mcode_rw(&tc->mcode, at);
}

static bool save_sites(const struct tc *tc, struct ccf *ccf)
{
    ccf->saved = malloc((ccf->return_count + 1) * MCODE_JMP_LEN);
    for (uint32_t i = 0; ccf->saved && i <= ccf->return_count; i++)
        memcpy(ccf->saved + i * MCODE_JMP_LEN, site_bytes(tc, ccf, i),
               MCODE_JMP_LEN);
    return ccf->saved != NULL;
}

static void restore_sites(const struct tc *tc, struct ccf *ccf)
{
    for (uint32_t i = 0; i <= ccf->return_count; i++)
        memcpy(site_bytes(tc, ccf, i), ccf->saved + i * MCODE_JMP_LEN,
               MCODE_JMP_LEN);
    free(ccf->saved);
    ccf->saved = NULL;
}

static void kill_ccf(struct tc *tc, struct ccf *ccf)
{
    while (ccf->incoming)
        tc_unchain(tc, ccf->incoming);
    for (uint32_t i = 0; i < ccf->exit_count; i++)
        if (ccf->exits[i].chained)
            tc_unchain(tc, &ccf->exits[i]);
    mcode_patch_jmp(&tc->mcode, ccf->entry, tc->stubs.miss);
    for (uint32_t i = 0; i < ccf->return_count; i++)
        mcode_patch_jmp(&tc->mcode, ccf->start + ccf->return_sites[i],
                        tc->stubs.lookup);
    unlink_hash(tc, ccf);
    for (uint32_t i = 0; i < ccf->source_count; i++)
        unlink_source(tc, &ccf->source[i]);
    ccf->dead = true;
    tc_touch(tc, ccf);
    for (uint32_t i = 0; i < ccf->source_count; i++)
        if (!tc_frame_has_code(tc, ccf->source[i].gfn))
            tc->host.frame_empty(tc->host.opaque, ccf->source[i].gfn);
}

void tc_drop(struct tc *tc, struct ccf *ccf)
{
    if (ccf->shelved)
        tc_unshelve(tc, ccf);
    if (!ccf->dead)
        kill_ccf(tc, ccf);
}

/* One that crosses a page is a single instruction: not worth keeping. */
static void drop_and_keep(struct tc *tc, struct ccf *ccf)
{
    bool keep =
        ccf->source_count == 1 && ccf->source[0].bytes && save_sites(tc, ccf);

    kill_ccf(tc, ccf);
    if (keep)
        tc_shelve(tc, ccf);
}

void tc_drop_changed(struct tc *tc, struct ccf *ccf)
{
    if (!ccf->dead)
        drop_and_keep(tc, ccf);
}

struct ccf *tc_take_back(struct tc *tc, gip_t gip, gfn_t gfn, uint32_t mode,
                         const uint8_t *page)
{
    struct ccf *ccf =
        tc_find_shelved(tc, gip, gfn, mode, page + (gip & PAGE_MASK));

    if (!ccf)
        return NULL;
    tc_unshelve(tc, ccf);
    restore_sites(tc, ccf);
    stat_inc(tc->stats, STAT_TAKEN_BACK);
    if (ccf->source[0].gfn != gfn)
        stat_inc(tc->stats, STAT_TAKEN_ACROSS);
    ccf->source[0].gfn = gfn;
    ccf->dead = false;
    link_ccf(tc, ccf);
    return ccf;
}

/* A CCF of two sources may stand twice in one list (both pages map one frame),
 * so that dropping it can take the successor away: start over after a drop. NULL,
 * too, when the budget of sources to look at is used up. */
static struct ccf *find_overlap(struct tc *tc, gfn_t gfn, uint32_t start,
                                uint32_t end, uint32_t *budget)
{
    const struct ccf_source *s = *tc_frame_bucket(tc, gfn);

    while (s && *budget &&
           (s->gfn != gfn || s->start >= end || start >= s->end)) {
        s = s->next;
        --*budget;
    }
    return s && *budget ? s->ccf : NULL;
}

static unsigned drop_overlaps(struct tc *tc, gfn_t gfn, uint32_t start,
                              uint32_t end, uint32_t *budget)
{
    unsigned dropped = 0;
    struct ccf *ccf;

    while ((ccf = find_overlap(tc, gfn, start, end, budget))) {
        drop_and_keep(tc, ccf);
        dropped++;
    }
    stat_add(tc->stats, STAT_SMC_DROPS, dropped);
    return dropped;
}

/* There may be a CCF for each byte of the frame and each mode, and a store looks
 * at all of them, each time. If that takes long they all go, once. */
unsigned tc_drop_range(struct tc *tc, gfn_t gfn, uint32_t offset, uint32_t len)
{
    uint32_t budget = TC_FRAME_CROWD;
    unsigned dropped = drop_overlaps(tc, gfn, offset, offset + len, &budget);

    return budget ? dropped : dropped + tc_drop_frame(tc, gfn);
}

unsigned tc_drop_frame(struct tc *tc, gfn_t gfn)
{
    uint32_t budget = UINT32_MAX;

    return drop_overlaps(tc, gfn, 0, PAGE_SIZE, &budget);
}

void tc_drop_all(struct tc *tc)
{
    for (unsigned i = 0; i < TC_REGIONS; i++)
        for (uint32_t k = 0; k < tc->region[i].count; k++)
            tc_drop(tc, tc->region[i].ccfs[k]);
}

void tc_clear(struct tc *tc)
{
    for (unsigned i = 0; i < TC_REGIONS; i++)
        evict(tc, &tc->region[i]);
    memset(tc->lengths, 0, sizeof(tc->lengths));
    tc->current = 0;
}

bool tc_frame_has_code(const struct tc *tc, gfn_t gfn)
{
    const struct ccf_source *s = *tc_frame_bucket((struct tc *)tc, gfn);

    while (s && s->gfn != gfn)
        s = s->next;
    return s != NULL;
}
