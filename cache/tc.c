/* SPDX-License-Identifier: MIT */
#include "cache/tc.h"

#include <errno.h>
#include <stdlib.h>

#include "monitor/log.h"

/*
 * Plan of the file: hashing, placement (reserve, evict), lookup by host
 * address, frame lists, chaining, dropping.
 *
 * CCFs are hashed by (gip, gfn, mode) and, through frame_heads, by frame. Both
 * tables have a fixed size and chains: nothing a guest does makes them grow
 * beyond the number of CCFs that fit the code memory.
 */
#define HASH_BITS  15
#define HASH_COUNT (1u << HASH_BITS)

#define CROSSING_COUNT 1024u

struct region {
    uint64_t start;    /* executable address */
    uint64_t at;       /* next free byte */
    struct ccf **ccfs; /* by address; dead ones stay until eviction */
    uint32_t count;
    uint32_t capacity;
};

struct tc {
    struct mcode mcode;
    size_t region_len;
    struct region region[TC_REGIONS];
    unsigned current;
    struct ccf *hash[HASH_COUNT];
    struct ccf_source *frame[HASH_COUNT];
    struct ccf_exit *crossing[CROSSING_COUNT]; /* chains, by target page */
    uint32_t crossing_count;
    struct tc_stubs stubs;
    struct tc_host host;
    struct stats *stats;
};

static uint32_t mix(uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> (64 - HASH_BITS));
}

static struct ccf **hash_bucket(struct tc *tc, gip_t gip, gfn_t gfn,
                                uint32_t mode)
{
    return &tc->hash[mix(gip ^ (gfn << 24) ^ ((uint64_t)mode << 48))];
}

static struct ccf_source **frame_bucket(struct tc *tc, gfn_t gfn)
{
    return &tc->frame[mix(gfn)];
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
    tc->stats = stats;
    tc->host = *host;
    *out = tc;
    return 0;
}

static void ccf_free(struct ccf *ccf)
{
    free(ccf->points);
    free(ccf->exits);
    free(ccf->return_sites);
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
    struct ccf *ccf = *hash_bucket((struct tc *)tc, gip, gfn, mode);

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

static void evict(struct tc *tc, struct region *r)
{
    if (r->count) {
        stat_inc(tc->stats, STAT_TC_EVICTIONS);
        log_line(LOG_XLAT, "evicting a region of %u CCFs", r->count);
    }
    for (uint32_t i = 0; i < r->count; i++)
        if (!r->ccfs[i]->dead)
            tc_drop(tc, r->ccfs[i]);
    if (r->count)
        tc->host.region_evicted(tc->host.opaque);
    for (uint32_t i = 0; i < r->count; i++)
        ccf_free(r->ccfs[i]);
    r->count = 0;
    r->at = r->start;
}

uint64_t tc_reserve(struct tc *tc, size_t len)
{
    struct region *r = &tc->region[tc->current];

    ENSURE(len <= tc->region_len);
    if (r->at + len > r->start + tc->region_len) {
        tc->current = (tc->current + 1) % TC_REGIONS;
        r = &tc->region[tc->current];
        evict(tc, r);
    }
    return r->at;
}

static void *must_grow(void *memory, size_t len)
{
    void *grown = realloc(memory, len);

    ENSURE(grown);
    return grown;
}

static void link_source(struct tc *tc, struct ccf *ccf,
                        struct ccf_source *source)
{
    struct ccf_source **bucket = frame_bucket(tc, source->gfn);

    source->ccf = ccf;
    source->prev = NULL;
    source->next = *bucket;
    if (*bucket)
        (*bucket)->prev = source;
    *bucket = source;
}

void tc_insert(struct tc *tc, struct ccf *ccf)
{
    struct region *r = &tc->region[tc->current];
    struct ccf **bucket =
        hash_bucket(tc, ccf->gip, ccf->source[0].gfn, ccf->mode);

    ENSURE(ccf->start == r->at);
    ENSURE(ccf->host_len <= r->start + tc->region_len - r->at);
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 256;
        r->ccfs = must_grow(r->ccfs, r->capacity * sizeof(*r->ccfs));
    }
    r->ccfs[r->count++] = ccf;
    r->at += (ccf->host_len + 15u) & ~15ull;
    if (r->at > r->start + tc->region_len)
        r->at = r->start + tc->region_len;

    ccf->hash_next = *bucket;
    *bucket = ccf;
    for (uint32_t i = 0; i < ccf->source_count; i++)
        link_source(tc, ccf, &ccf->source[i]);
}

static bool is_crossing(const struct ccf_exit *exit)
{
    return ((exit->ccf->gip ^ exit->chained->gip) & ~(gip_t)PAGE_MASK) != 0;
}

static struct ccf_exit **crossing_bucket(struct tc *tc, gva_t page)
{
    return &tc->crossing[(page >> PAGE_SHIFT) % CROSSING_COUNT];
}

static void link_crossing(struct tc *tc, struct ccf_exit *exit)
{
    struct ccf_exit **bucket = crossing_bucket(tc, exit->chained->gip);

    exit->page_prev = NULL;
    exit->page_next = *bucket;
    if (*bucket)
        (*bucket)->page_prev = exit;
    *bucket = exit;
    tc->crossing_count++;
    stat_inc(tc->stats, STAT_CHAINS_CROSSING);
}

static void unlink_crossing(struct tc *tc, struct ccf_exit *exit)
{
    if (exit->page_prev)
        exit->page_prev->page_next = exit->page_next;
    else
        *crossing_bucket(tc, exit->chained->gip) = exit->page_next;
    if (exit->page_next)
        exit->page_next->page_prev = exit->page_prev;
    exit->page_next = exit->page_prev = NULL;
    tc->crossing_count--;
}

void tc_chain(struct tc *tc, struct ccf_exit *exit, struct ccf *to)
{
    ASSERT(!exit->chained && !to->dead && !exit->ccf->dead);
    mcode_patch_rel32(&tc->mcode, exit->ccf->start + exit->rel_offset,
                      to->body);
    exit->chained = to;
    exit->next = to->incoming;
    to->incoming = exit;
    if (is_crossing(exit))
        link_crossing(tc, exit);
    stat_inc(tc->stats, STAT_CHAINS);
    log_line(LOG_CHAIN, "%08x exits to %08x", exit->ccf->gip, to->gip);
}

void tc_unchain(struct tc *tc, struct ccf_exit *exit)
{
    struct ccf_exit **link = &exit->chained->incoming;

    while (*link != exit)
        link = &(*link)->next;
    *link = exit->next;
    if (is_crossing(exit))
        unlink_crossing(tc, exit);
    exit->next = NULL;
    exit->chained = NULL;
    mcode_patch_rel32(&tc->mcode, exit->ccf->start + exit->rel_offset,
                      exit->ccf->start + exit->stub_offset);
    stat_inc(tc->stats, STAT_UNCHAINS);
}

void tc_never_chain(struct tc *tc, struct ccf_exit *exit)
{
    ASSERT(!exit->chained);
    mcode_patch_rel32(&tc->mcode, exit->ccf->start + exit->rel_offset,
                      exit->ccf->start + exit->table_offset);
    exit->tabled = true;
}

void tc_unchain_page(struct tc *tc, gva_t page)
{
    struct ccf_exit *exit = *crossing_bucket(tc, page);

    while (exit) {
        struct ccf_exit *next = exit->page_next;

        if (((exit->chained->gip ^ page) & ~(gva_t)PAGE_MASK) == 0)
            tc_unchain(tc, exit);
        exit = next;
    }
}

void tc_unchain_pages(struct tc *tc)
{
    for (unsigned i = 0; i < CROSSING_COUNT && tc->crossing_count; i++)
        while (tc->crossing[i])
            tc_unchain(tc, tc->crossing[i]);
}

gva_t tc_find_crossed(const struct tc *tc,
                      bool (*is_good)(const void *opaque, gva_t page),
                      const void *opaque)
{
    for (unsigned i = 0; i < CROSSING_COUNT; i++)
        for (const struct ccf_exit *e = tc->crossing[i]; e; e = e->page_next)
            if (!is_good(opaque, e->chained->gip & ~(gva_t)PAGE_MASK))
                return e->chained->gip & ~(gva_t)PAGE_MASK;
    return TC_NO_PAGE;
}

static void unlink_source(struct tc *tc, struct ccf_source *source)
{
    if (source->prev)
        source->prev->next = source->next;
    else
        *frame_bucket(tc, source->gfn) = source->next;
    if (source->next)
        source->next->prev = source->prev;
}

static void unlink_hash(struct tc *tc, struct ccf *ccf)
{
    struct ccf **link =
        hash_bucket(tc, ccf->gip, ccf->source[0].gfn, ccf->mode);

    while (*link != ccf)
        link = &(*link)->hash_next;
    *link = ccf->hash_next;
}

void tc_drop(struct tc *tc, struct ccf *ccf)
{
    ENSURE(!ccf->dead);
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
    for (uint32_t i = 0; i < ccf->source_count; i++)
        if (!tc_frame_has_code(tc, ccf->source[i].gfn))
            tc->host.frame_empty(tc->host.opaque, ccf->source[i].gfn);
}

/* A CCF of two sources may stand twice in one list (both pages map one frame),
 * so that dropping it can take the successor away: start over after a drop. */
static struct ccf *find_overlap(struct tc *tc, gfn_t gfn, uint32_t start,
                                uint32_t end)
{
    const struct ccf_source *s = *frame_bucket(tc, gfn);

    while (s && (s->gfn != gfn || s->start >= end || start >= s->end))
        s = s->next;
    return s ? s->ccf : NULL;
}

unsigned tc_drop_range(struct tc *tc, gfn_t gfn, uint32_t offset, uint32_t len)
{
    unsigned dropped = 0;
    struct ccf *ccf;

    while ((ccf = find_overlap(tc, gfn, offset, offset + len))) {
        tc_drop(tc, ccf);
        dropped++;
    }
    stat_add(tc->stats, STAT_SMC_DROPS, dropped);
    return dropped;
}

unsigned tc_drop_frame(struct tc *tc, gfn_t gfn)
{
    return tc_drop_range(tc, gfn, 0, PAGE_SIZE);
}

void tc_drop_all(struct tc *tc)
{
    for (unsigned i = 0; i < TC_REGIONS; i++)
        for (uint32_t k = 0; k < tc->region[i].count; k++)
            if (!tc->region[i].ccfs[k]->dead)
                tc_drop(tc, tc->region[i].ccfs[k]);
}

bool tc_frame_has_code(const struct tc *tc, gfn_t gfn)
{
    const struct ccf_source *s = *frame_bucket((struct tc *)tc, gfn);

    while (s && s->gfn != gfn)
        s = s->next;
    return s != NULL;
}

/* ---- Verification ---- */

static bool in_bucket(const struct ccf *head, const struct ccf *ccf)
{
    unsigned found = 0;

    for (; head; head = head->hash_next)
        found += head == ccf;
    return found == 1;
}

static bool in_frame_list(const struct tc *tc, const struct ccf_source *source)
{
    const struct ccf_source *s = *frame_bucket((struct tc *)tc, source->gfn);
    unsigned found = 0;

    for (; s; s = s->next)
        found += s == source;
    return found == 1;
}

static bool rel32_leads_to(const struct tc *tc, uint64_t at, uint64_t target)
{
    const uint8_t *p = mcode_rw(&tc->mcode, at);
    uint32_t rel = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                   (uint32_t)p[3] << 24;

    return (uint32_t)(target - (at + 4)) == rel;
}

static bool is_incoming(const struct ccf *ccf, const struct ccf_exit *exit)
{
    const struct ccf_exit *e = ccf->incoming;

    while (e && e != exit)
        e = e->next;
    return e != NULL;
}

static bool is_listed(const struct tc *tc, const struct ccf_exit *exit)
{
    const struct ccf_exit *e =
        *crossing_bucket((struct tc *)tc, exit->chained->gip);

    while (e && e != exit)
        e = e->page_next;
    return e != NULL;
}

static const char *verify_exit(const struct tc *tc, const struct ccf_exit *exit)
{
    const struct ccf *ccf = exit->ccf;

    if (exit->kind != EXIT_JUMP && exit->kind != EXIT_CALL)
        return exit->chained ? "an exit is chained that cannot be" : NULL;
    if (!exit->chained)
        return rel32_leads_to(tc, ccf->start + exit->rel_offset,
                              ccf->start + (exit->tabled ? exit->table_offset
                                                         : exit->stub_offset))
                   ? NULL
                   : "an unchained exit does not lead to its stub";
    if (ccf->dead || exit->chained->dead)
        return "a dead CCF is chained";
    if (!is_incoming(exit->chained, exit))
        return "a chained exit is not in its target's list";
    if (is_crossing(exit) && !is_listed(tc, exit))
        return "a chain into another page is not in that page's list";
    return rel32_leads_to(tc, ccf->start + exit->rel_offset,
                          exit->chained->body)
               ? NULL
               : "a chained exit does not lead to its target";
}

static const char *verify_dead(const struct tc *tc, const struct ccf *ccf)
{
    if (ccf->incoming)
        return "a dead CCF has incoming exits";
    if (!rel32_leads_to(tc, ccf->entry + 1, tc->stubs.miss))
        return "a dead CCF can be entered";
    for (uint32_t i = 0; i < ccf->return_count; i++)
        if (!rel32_leads_to(tc, ccf->start + ccf->return_sites[i] + 1,
                            tc->stubs.lookup))
            return "a dead CCF can be returned to";
    return NULL;
}

static const char *verify_ccf(const struct tc *tc, const struct ccf *ccf)
{
    struct tc *t = (struct tc *)tc;
    const struct ccf *hash =
        *hash_bucket(t, ccf->gip, ccf->source[0].gfn, ccf->mode);
    const char *broken = NULL;

    if (ccf->dead)
        broken = verify_dead(tc, ccf);
    else if (!in_bucket(hash, ccf))
        broken = "a live CCF is not in its hash bucket";
    for (uint32_t i = 0; !ccf->dead && i < ccf->source_count; i++)
        if (!in_frame_list(tc, &ccf->source[i]))
            broken = "a live CCF is not in its frame's list";
    for (uint32_t i = 0; !broken && i < ccf->exit_count; i++)
        broken = verify_exit(tc, &ccf->exits[i]);
    return broken;
}

const char *tc_verify(const struct tc *tc)
{
    for (unsigned i = 0; i < TC_REGIONS; i++) {
        const struct region *r = &tc->region[i];
        uint64_t at = r->start;

        for (uint32_t k = 0; k < r->count; k++) {
            const char *broken = verify_ccf(tc, r->ccfs[k]);

            if (broken)
                return broken;
            if (r->ccfs[k]->start < at)
                return "CCFs of a region overlap or are out of order";
            at = r->ccfs[k]->start + r->ccfs[k]->host_len;
        }
        if (at > r->start + tc->region_len)
            return "a CCF leaves its region";
    }
    return NULL;
}
