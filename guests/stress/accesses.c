/* SPDX-License-Identifier: MIT */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "pages.h"
#include "paging.h"
#include "stress.h"
#include "stubs.h"

/* Accesses, and whether the tables, now or before a flush, allow what they did. */

enum {
    PF_P = 1,
    PF_W = 2,
    PF_U = 4,
    PF_RSVD = 8,
    PF_ID = 16,
};

static uint32_t counter;

struct request {
    enum access kind;
    bool user;
    bool write_protect; /* CR0.WP */
    uint32_t value;
};

static bool writes(enum access kind)
{
    return kind == ACCESS_STORE || kind == ACCESS_XOR;
}

static bool grants(const struct xlate *x, const struct request *q)
{
    if (!x->present || (q->user && !x->user))
        return false;
    if (writes(q->kind) && !x->writable && (q->user || q->write_protect))
        return false;
    return q->kind != ACCESS_CALL || !x->no_exec;
}

static uint32_t error_of(const struct xlate *x, const struct request *q)
{
    return (x->present ? PF_P : 0) | (x->reserved ? PF_P | PF_RSVD : 0) |
           (writes(q->kind) ? PF_W : 0) | (q->user ? PF_U : 0) |
           (q->kind == ACCESS_CALL && paging_has_nx() ? PF_ID : 0);
}

static bool same_error(uint32_t got, uint32_t want, enum access kind)
{
    uint32_t ignored = on_tcg && kind == ACCESS_XOR ? PF_W : 0;

    return ((got ^ want) & ~ignored) == 0;
}

/* The translation that the engine may have used, number n; the tables' own
 * comes first. False: there are no more. */
static bool candidate(const struct page *page, uint32_t n, struct xlate *x)
{
    if (n > page->stale_count)
        return false;
    *x = n == 0 ? walk(root, page->va) : page->stale[n - 1];
    return true;
}

static bool fault_fits(const struct page *page, const struct request *q,
                       uint32_t error)
{
    struct xlate x;

    for (uint32_t n = 0; candidate(page, n, &x); n++) {
        if (!grants(&x, q) && same_error(error, error_of(&x, q), q->kind))
            return true;
    }
    return false;
}

/* Whether frame f may be what was accessed, by what is seen now. */
static bool access_fits(uint32_t f, uint32_t slot, const struct request *q,
                        const struct outcome *o)
{
    uint32_t was = model[f][slot];

    switch (q->kind) {
    case ACCESS_STORE: return *frame_slot(f, slot) == q->value;
    case ACCESS_XOR: return *frame_slot(f, slot) == (was ^ q->value);
    default: return o->value == was;
    }
}

/* A and D after an access through the tables as they are. */
static void check_bits(const struct page *page, bool write)
{
    struct xlate x = walk(root, page->va);
    uint64_t entry = x.large ? x.pde : x.pte;

    CHECK(x.pde & PG_A);
    CHECK(entry & PG_A);
    CHECK(!write || entry & PG_D);
}

/* D means that the page was written, never that it might be. */
static void check_clean(const struct page *page)
{
    struct xlate x = walk(root, page->va);
    uint64_t entry = x.large ? x.pde : x.pte;

    if (x.present && entry & PG_D)
        CHECK(may_be_dirty(leaf_slot(page)));
}

static void note_success(const struct xlate *x, const struct request *q,
                         bool is_stale)
{
    if (is_stale)
        stress_note(NOTE_STALE);
    if (x->large)
        stress_note(NOTE_LARGE);
    if (q->kind == ACCESS_CALL)
        stress_note(NOTE_EXECUTE);
    if (!q->user && x->user)
        stress_note(NOTE_KERNEL_ON_USER);
    if (writes(q->kind) && !x->writable)
        stress_note(NOTE_WITHOUT_WP);
}

static void note_fault(const struct page *page, uint32_t error)
{
    if (error & PF_RSVD)
        stress_note(NOTE_FAULT_RESERVED);
    else if (!(error & PF_P))
        stress_note(NOTE_FAULT_ABSENT);
    else if (error & PF_ID)
        stress_note(NOTE_FAULT_FETCH);
    else if (error & PF_W)
        stress_note(NOTE_FAULT_WRITE);
    else
        stress_note(NOTE_FAULT_READ);
    if (page->stale_count)
        stress_note(NOTE_FAULT_FORGETS);
}

static void check_success(struct page *page, uint32_t slot,
                          const struct request *q, const struct outcome *o)
{
    struct xlate x;

    for (uint32_t n = 0; candidate(page, n, &x); n++) {
        int f = frame_of(x.frame);

        if (!grants(&x, q) || f < 0 || !access_fits((uint32_t)f, slot, q, o))
            continue;
        if (writes(q->kind))
            model[f][slot] = *frame_slot((uint32_t)f, slot);
        note_success(&x, q, n != 0);
        stress_check(true, "", 0, 0);
        return;
    }
    candidate(page, 0, &x);
    print("va %x kind %u user %u stale %u pde %x pte %x value %x error %x\n",
          page->va, q->kind, q->user, page->stale_count, (uint32_t)x.pde,
          (uint32_t)x.pte, q->value, o->error);
    stress_fail("an access that nothing allows gave", o->value, 0);
}

static void check_fault(struct page *page, const struct request *q,
                        const struct outcome *o)
{
    struct xlate x;
    uint32_t kept = 0;

    if (!fault_fits(page, q, o->error)) {
        candidate(page, 0, &x);
        print("va %x kind %u user %u stale %u pde %x pte %x wp %u\n", page->va,
              q->kind, q->user, page->stale_count, (uint32_t)x.pde,
              (uint32_t)x.pte, q->write_protect);
        stress_fail("a page fault with error code", o->error, error_of(&x, q));
    }
    note_fault(page, o->error);
    stress_check(true, "", 0, 0);
    /* SDM Vol.3A 4.10.4.1: a page fault invalidates what is cached of it. */
    for (uint32_t k = 0; k < page->stale_count; k++) {
        if (on_tcg || page->stale[k].global)
            page->stale[kept++] = page->stale[k];
    }
    page->stale_count = kept;
}

static struct request random_request(void)
{
    struct request q = {.kind = random_below(ACCESS_KINDS),
                        .user = one_in(2),
                        .write_protect = read_cr0() & CR0_WP};

    counter += 0x01000102;
    q.value = (random_u32() ^ counter << 4) & ~SLOT_ZERO;
    return q;
}

/* See the head of paging.c. */
static void spare_tcg(struct request *q, uint32_t stale_count)
{
    if (on_tcg && q->kind == ACCESS_XOR && stale_count)
        q->kind = ACCESS_STORE;
}

static void access_page(struct page *page)
{
    struct request q = random_request();
    uint32_t slot, at;
    struct outcome o;

    stress_doing = "access";
    spare_tcg(&q, page->stale_count);
    slot = q.kind == ACCESS_CALL ? SLOT_CODE : random_below(SLOTS);
    at = q.kind == ACCESS_CALL ? CODE_OFFSET : slot_offset[slot];
    check_clean(page);
    o = stub_run(q.kind, q.user, page->va + at, q.value);
    if (o.fault) {
        /* A TLB may forget between the function's two instructions. */
        if (q.kind != ACCESS_CALL || o.cr2 != page->va + at + 5)
            CHECK_EQ(o.cr2, page->va + at);
        check_fault(page, &q, &o);
        return;
    }
    check_success(page, slot, &q, &o);
    if (writes(q.kind))
        note_dirty(leaf_slot(page));
    if (page->stale_count == 0)
        check_bits(page, writes(q.kind));
}

/* Two bytes of the last slot of one page and two of the first of the next. */
static uint32_t joined(uint32_t low, uint32_t high)
{
    return low >> 16 | high << 16;
}

static bool cross_fits(uint32_t low, uint32_t high, const struct request *q,
                       const struct outcome *o)
{
    uint32_t was = joined(model[low][SLOT_LAST], model[high][SLOT_FIRST]);
    uint32_t now =
        joined(*frame_slot(low, SLOT_LAST), *frame_slot(high, SLOT_FIRST));

    switch (q->kind) {
    case ACCESS_STORE: return now == q->value;
    case ACCESS_XOR: return now == (was ^ q->value);
    default: return o->value == was;
    }
}

static void check_cross(struct page *low, struct page *high,
                        const struct request *q, const struct outcome *o)
{
    struct xlate a, b;

    for (uint32_t n = 0; candidate(low, n, &a); n++) {
        for (uint32_t m = 0; candidate(high, m, &b); m++) {
            int f = frame_of(a.frame), g = frame_of(b.frame);

            if (!grants(&a, q) || !grants(&b, q) || f < 0 || g < 0 ||
                !cross_fits((uint32_t)f, (uint32_t)g, q, o))
                continue;
            stress_note(NOTE_TWO_PAGES);
            model[f][SLOT_LAST] = *frame_slot((uint32_t)f, SLOT_LAST);
            model[g][SLOT_FIRST] = *frame_slot((uint32_t)g, SLOT_FIRST);
            stress_check(true, "", 0, 0);
            return;
        }
    }
    stress_fail("an access across pages that nothing allows gave", o->value, 0);
}

/* Whether halves of the value tell the frames they went to from all others. */
static bool is_telling(const struct request *q)
{
    if (!(q->value & 0xFFFF) || !(q->value >> 16))
        return false;
    for (uint32_t f = 0; f < FRAMES; f++) {
        if (model[f][SLOT_LAST] >> 16 == (q->value & 0xFFFF) ||
            (model[f][SLOT_FIRST] & 0xFFFF) == q->value >> 16)
            return false;
    }
    return true;
}

/* An access to two pages that are neighbours. */
static void access_two(struct page *low, struct page *high)
{
    struct request q;
    struct outcome o;

    do
        q = random_request();
    while (!is_telling(&q));
    q.kind = random_below(ACCESS_CALL);
    spare_tcg(&q, low->stale_count + high->stale_count);
    stress_doing = "access across pages";
    if (writes(q.kind)) { /* one page may be marked before the other faults */
        note_dirty(leaf_slot(low));
        note_dirty(leaf_slot(high));
    }
    o = stub_run(q.kind, q.user, high->va - 2, q.value);
    if (o.fault) {
        CHECK(o.cr2 == high->va - 2 || o.cr2 == high->va);
        check_fault(o.cr2 == high->va ? high : low, &q, &o);
        return;
    }
    check_cross(low, high, &q, &o);
}

void access_some(uint32_t region, uint32_t page)
{
    switch (random_below(6)) {
    case 0: access_two(&pages[region][0], &pages[region][1]); break;
    case 1: access_two(&pages[0][PAGES - 1], &pages[1][0]); break;
    case 2: access_two(&pages[region][6], &pages[region][7]); break;
    case 3:
        access_page(&pages[random_below(REGIONS)][random_below(PAGES)]);
        break;
    default: access_page(&pages[region][page]); break;
    }
}

void access_region(uint32_t region, uint32_t count)
{
    while (count--)
        access_page(&pages[region][random_below(PAGES)]);
}
