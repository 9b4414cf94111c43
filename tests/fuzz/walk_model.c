/* SPDX-License-Identifier: MIT */
#include "walk_model.h"

#include <string.h>

/* Bits of entries (SDM 3A Tables 4-5, 4-6, 4-10, 4-11). */
#define P  BIT64(0)
#define W  BIT64(1)
#define U  BIT64(2)
#define A  BIT64(5)
#define D  BIT64(6)
#define PS BIT64(7)
#define G  BIT64(8)
#define XD BIT64(63)

/* MAXPHYADDR is 36. */
#define FRAME 0x0000000ffffff000ull
#define HIGH  0x7ffffff000000000ull

#define VALUES_MAX 64u

/* ---- RAM ---- */

bool walk_in_ram(gpa_t gpa)
{
    return gpa < 0xa0000 || (gpa >= 0xc0000 && gpa < WALK_RAM);
}

uint64_t walk_model_read(const struct walk_model *m, gpa_t gpa, unsigned len)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < len; i++)
        value |= (uint64_t)(walk_in_ram(gpa + i) ? m->ram[gpa + i] : 0xff)
                 << 8 * i;
    return value;
}

static void remember(struct walk_model *m, gpa_t at)
{
    if (m->old_count < LOG_MAX)
        m->old[m->old_count++] = (struct walk_old){
            .at = at, .value = walk_model_read(m, at, 8), .until = m->clock};
}

void walk_model_store(struct walk_model *m, gpa_t gpa, const void *data,
                      unsigned len)
{
    m->clock++;
    for (gpa_t at = gpa & ~7ull; at < gpa + len; at += 8)
        remember(m, at);
    for (unsigned i = 0; i < len; i++) {
        if (!walk_in_ram(gpa + i))
            continue;
        m->ram[gpa + i] = ((const uint8_t *)data)[i];
        m->dirty[(gpa + i) >> PAGE_SHIFT] = 1;
    }
}

void walk_model_mark(struct walk_model *m, gpa_t gpa, uint8_t bits)
{
    if (!walk_in_ram(gpa))
        return;
    m->ram[gpa] |= bits;
    m->dirty[gpa >> PAGE_SHIFT] = 1;
}

/* ---- Flushing (SDM 3A 4.10.4.1 "Operations that Invalidate TLBs and
 * Paging-Structure Caches") ---- */

void walk_model_reset(struct walk_model *m)
{
    m->clock++;
    m->flushed_all = m->clock;
    m->flushed_local = m->clock;
    m->old_count = 0;
    m->flush_count = 0;
    m->root_count = 0;
}

static bool is_pae(const struct walk_model *m)
{
    return m->cr4 & CR4_PAE;
}

/* SDM 3A 4.4.1 "PDPTE Registers": bits 1, 2, 5-8 and above MAXPHYADDR. */
static bool load_pdptes(struct walk_model *m, uint32_t cr3)
{
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = walk_model_read(m, (cr3 & 0xffffffe0) + i * 8, 8);
        if ((pdpte[i] & P) && (pdpte[i] & (HIGH | XD | 0x1e6)))
            return false;
    }
    memcpy(m->root.pdpte, pdpte, sizeof(pdpte));
    return true;
}

static void replace_root(struct walk_model *m, const struct walk_root *old)
{
    m->clock++;
    if (m->root_count == ROOTS_MAX)
        return;
    m->roots[m->root_count] = *old;
    m->roots[m->root_count++].until = m->clock;
}

bool walk_model_cr3(struct walk_model *m, uint32_t value)
{
    struct walk_root old = m->root;

    if ((m->cr0 & CR0_PG) && is_pae(m) && !load_pdptes(m, value))
        return false;
    m->root.cr3 = value;
    replace_root(m, &old);
    m->flushed_local = ++m->clock;
    if (!(m->cr4 & CR4_PGE))
        walk_model_reset(m);
    return true;
}

/* WP is looked at by each access, whatever is cached. CD and NW load PDPTEs, and
 * flush nothing. */
bool walk_model_cr0(struct walk_model *m, uint32_t value)
{
    struct walk_root old = m->root;
    uint32_t changed = value ^ m->cr0;

    if ((value & CR0_NW) && !(value & CR0_CD))
        return false;
    if ((value & CR0_PG) && is_pae(m) &&
        (changed & (CR0_PG | CR0_CD | CR0_NW)) && !load_pdptes(m, m->root.cr3))
        return false;
    m->cr0 = value;
    if (memcmp(old.pdpte, m->root.pdpte, sizeof(old.pdpte)) != 0)
        replace_root(m, &old);
    if (changed & CR0_PG)
        walk_model_reset(m);
    return true;
}

bool walk_model_cr4(struct walk_model *m, uint32_t value)
{
    uint32_t changed = value ^ m->cr4;

    if ((m->cr0 & CR0_PG) && (value & CR4_PAE) &&
        (changed & (CR4_PAE | CR4_PGE | CR4_PSE)) &&
        !load_pdptes(m, m->root.cr3))
        return false;
    m->cr4 = value;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE))
        walk_model_reset(m);
    return true;
}

void walk_model_nxe(struct walk_model *m, bool on)
{
    if (m->nxe != on)
        walk_model_reset(m);
    m->nxe = on;
}

static void flush_page(struct walk_model *m, gva_t gva, bool whole)
{
    m->clock++;
    if (m->flush_count < FLUSH_MAX)
        m->flush[m->flush_count++] = (struct walk_flush){
            .page = gva >> PAGE_SHIFT, .whole = whole, .time = m->clock};
}

void walk_model_invlpg(struct walk_model *m, gva_t gva)
{
    flush_page(m, gva, true);
}

void walk_model_faulted(struct walk_model *m, gva_t gva)
{
    flush_page(m, gva, false);
}

/* When what is cached of a page, as part of a large one or not, was last
 * flushed, global or not. */
static uint64_t flushed(const struct walk_model *m, gva_t gva, bool large)
{
    unsigned shift = is_pae(m) ? 9 : 10;
    uint32_t page = gva >> PAGE_SHIFT;
    uint64_t time = m->flushed_all;

    for (unsigned i = 0; i < m->flush_count; i++) {
        const struct walk_flush *f = &m->flush[i];

        if (f->page == page ||
            (large && f->whole && f->page >> shift == page >> shift))
            time = f->time;
    }
    return time;
}

/* ---- Walks ---- */

/* What an entry is, or was until some time. */
struct value {
    uint64_t entry;
    uint64_t until;
};

struct values {
    struct value of[VALUES_MAX];
    unsigned count;
};

/* The present value first. */
static void collect(const struct walk_model *m, gpa_t at, uint64_t since,
                    struct values *v)
{
    unsigned width = is_pae(m) ? 8 : 4;

    v->of[0] = (struct value){walk_model_read(m, at, width), NEVER_TIME};
    v->count = 1;
    for (unsigned i = 0; i < m->old_count && v->count < VALUES_MAX; i++) {
        const struct walk_old *old = &m->old[i];
        uint64_t entry = old->value;

        if (old->at != (at & ~7ull) || old->until < since)
            continue;
        if (width == 4)
            entry = entry >> (at & 4) * 8 & 0xffffffff;
        v->of[v->count++] = (struct value){entry, old->until};
    }
}

enum judgement { ABSENT, RESERVED, TABLE, LEAF };

static enum judgement judge(const struct walk_model *m, uint64_t e,
                            unsigned level)
{
    bool pae = is_pae(m);
    bool leaf = level == 1 || ((e & PS) && (pae || (m->cr4 & CR4_PSE)));
    uint64_t reserved = 0;

    if (!(e & P))
        return ABSENT;
    if (pae)
        reserved = HIGH | (m->nxe ? 0 : XD);
    if (leaf && level == 0)
        reserved |= pae ? 0x1fe000 : 0x3e0000;
    if (e & reserved)
        return RESERVED;
    return leaf ? LEAF : TABLE;
}

/* SDM 3A 4.7 "Page-Fault Exceptions". */
static void fault(const struct walk_model *m, enum walk_access access,
                  uint32_t why, struct walk_guess *g)
{
    g->fault = true;
    g->error = why | (access == WALK_WRITE ? PF_W : 0) | (m->user ? PF_U : 0);
    if (access == WALK_FETCH && is_pae(m) && m->nxe)
        g->error |= PF_I;
}

/* SDM 3A 4.6.1 "Determination of Access Rights". all, any: of both levels. */
static bool is_allowed(const struct walk_model *m, enum walk_access access,
                       uint64_t all, uint64_t any)
{
    if (m->user && !(all & U))
        return false;
    if (access == WALK_WRITE && !(all & W) && (m->user || (m->cr0 & CR0_WP)))
        return false;
    return access != WALK_FETCH || !is_pae(m) || !m->nxe || !(any & XD);
}

static gpa_t leaf_page(const struct walk_model *m, uint64_t e, unsigned level,
                       gva_t gva)
{
    if (level == 1)
        return e & FRAME;
    if (is_pae(m))
        return (e & FRAME & ~0x1fffffull) | (gva & 0x1ff000);
    return (e & 0xffc00000) | (e >> 13 & 15) << 32 | (gva & 0x3ff000);
}

struct search {
    const struct walk_model *m;
    gva_t gva;
    enum walk_access access;
    struct walk_guess *guess;
    unsigned count;
    bool root_is_old;
    uint64_t root_until;
    struct value pde;
};

/* Whether what ended at a time may still be cached; leaf: its entry. */
static bool may_be_cached(const struct search *s, uint64_t until, uint64_t leaf)
{
    const struct walk_model *m = s->m;

    if ((leaf & G) && (m->cr4 & CR4_PGE))
        return true;
    return until >= m->flushed_local && s->root_until >= m->flushed_local;
}

static struct walk_guess *add(struct search *s)
{
    struct walk_guess *g = &s->guess[s->count];

    *g = (struct walk_guess){0};
    if (s->count < GUESSES - 1)
        s->count++;
    return g;
}

/* A leaf was met, behind s->pde when level is 1. */
static void add_leaf(struct search *s, const struct value *leaf, unsigned level,
                     const gpa_t at[2])
{
    uint64_t pde = level ? s->pde.entry : leaf->entry;
    uint64_t all = pde & leaf->entry, any = pde | leaf->entry;
    bool cached = leaf->until != NEVER_TIME || s->root_is_old;
    bool allowed = is_allowed(s->m, s->access, all, any);
    struct walk_guess *g;

    if (cached && (!(leaf->entry & A) ||
                   (allowed && s->access == WALK_WRITE && !(leaf->entry & D))))
        return;
    g = add(s);
    g->depth = level + 1;
    memcpy(g->at, at, sizeof(g->at));
    g->page = leaf_page(s->m, leaf->entry, level, s->gva);
    if (!allowed)
        fault(s->m, s->access, PF_P, g);
}

static void add_fault(struct search *s, enum judgement why, unsigned level,
                      const gpa_t at[2])
{
    struct walk_guess *g = add(s);

    g->depth = level + 1;
    memcpy(g->at, at, sizeof(g->at));
    fault(s->m, s->access, why == RESERVED ? PF_P | PF_R : 0, g);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void search_table(struct search *s, gpa_t at[2])
{
    const struct walk_model *m = s->m;
    struct values v;

    at[1] = s->pde.entry & FRAME;
    at[1] += is_pae(m) ? (s->gva >> 12 & 511) * 8 : (s->gva >> 12 & 1023) * 4;
    collect(m, at[1], flushed(m, s->gva, false), &v);
    for (unsigned i = 0; i < v.count; i++) {
        enum judgement what = judge(m, v.of[i].entry, 1);
        uint64_t until = earlier(v.of[i].until, s->pde.until);

        if (i > 0 && what != LEAF)
            continue;
        if ((s->root_is_old || until != NEVER_TIME) &&
            !may_be_cached(s, until, what == LEAF ? v.of[i].entry : 0))
            continue;
        if (what == LEAF)
            add_leaf(s, &v.of[i], 1, at);
        else
            add_fault(s, what, 1, at);
    }
}

static void search_root(struct search *s, const struct walk_root *root)
{
    const struct walk_model *m = s->m;
    uint64_t pdpte = root->pdpte[s->gva >> 30];
    gpa_t at[2] = {0, 0};
    struct values v;

    if (is_pae(m)) {
        if (!(pdpte & P)) {
            if (!s->root_is_old)
                fault(m, s->access, 0, add(s));
            return;
        }
        at[0] = (pdpte & FRAME) + (s->gva >> 21 & 511) * 8;
    } else {
        at[0] = (root->cr3 & 0xfffff000) + (s->gva >> 22) * 4;
    }
    collect(m, at[0], flushed(m, s->gva, false), &v);
    for (unsigned i = 0; i < v.count; i++) {
        enum judgement what = judge(m, v.of[i].entry, 0);
        bool cached = i > 0 || s->root_is_old;

        if (cached && (what < TABLE || !(v.of[i].entry & A)))
            continue;
        if (cached && what == LEAF &&
            (v.of[i].until < flushed(m, s->gva, true) ||
             !may_be_cached(s, v.of[i].until, v.of[i].entry)))
            continue;
        s->pde = v.of[i];
        if (what == TABLE)
            search_table(s, at);
        else if (what == LEAF)
            add_leaf(s, &v.of[i], 0, at);
        else
            add_fault(s, what, 0, at);
    }
}

unsigned walk_model_page(const struct walk_model *m, gva_t gva,
                         enum walk_access access,
                         struct walk_guess guess[GUESSES])
{
    struct search s = {.m = m,
                       .gva = gva,
                       .access = access,
                       .guess = guess,
                       .root_until = NEVER_TIME};

    if (!(m->cr0 & CR0_PG)) {
        *add(&s) = (struct walk_guess){.page = gva & ~PAGE_MASK};
        return s.count;
    }
    search_root(&s, &m->root);
    for (unsigned i = 0; i < m->root_count; i++) {
        if (m->roots[i].until < flushed(m, gva, false))
            continue;
        s.root_is_old = true;
        s.root_until = m->roots[i].until;
        search_root(&s, &m->roots[i]);
    }
    return s.count;
}
