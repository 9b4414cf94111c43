/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "walk_input.h"
#include "walk_subject.h"

/*
 * Page walks on hostile tables. Input: a mode; entries of three bytes that are
 * put into page tables, which map data, each other, themselves, and places
 * without RAM; a script of four-byte steps: accesses, stores to entries, INVLPG,
 * loads of CR0, CR3, CR4 and EFER. The interpreter does it, then the shadow MMU,
 * with as much room and patience as the input says, and either kind of traces;
 * every access ends as the model allows: fault or not, error code, address, what
 * was read, where it was written, A and D. At the end all of RAM is compared.
 */
#define ENTRIES_MAX 32u
#define STEPS_MAX   48u

static struct walk_model model;
static struct subject *subjects[SUBJECT_MPROTECT + 1];
static struct subject *s; /* the one that is tested */
static uint8_t clean[WALK_RAM];
static struct {
    gva_t gva;
    gpa_t at[2]; /* entries that it was walked by */
    unsigned depth;
} last;                 /* access: the next steps are often about it */
static bool is_verbose; /* FUZZ_VERBOSE=1: every step, to look at a failure */

static void NORETURN fail(const char *what, gva_t gva)
{
    const struct vcpu *v = subject_vcpu(s);

    fprintf(stderr,
            "%s: %s at %08x\ncr0 %08x cr3 %08x cr4 %08x nxe %d cpl %u\n"
            "exc %u error %x cr2 %08x\n",
            s == subjects[SUBJECT_INTERP] ? "interpreter" : "shadow MMU", what,
            gva, v->cr0, v->cr3, v->cr4, model.nxe, v->cpl, v->exc.vector,
            v->exc.error, v->exc.cr2);
    abort();
}

static void show(const struct walk_guess *guess, unsigned count)
{
    for (unsigned i = 0; i < count && i < 16; i++)
        fprintf(stderr,
                "allowed: %s error %x page %09llx by %u entries at %09llx "
                "%09llx: %llx %llx\n",
                guess[i].fault ? "fault" : "access", guess[i].error,
                (unsigned long long)guess[i].page, guess[i].depth,
                (unsigned long long)guess[i].at[0],
                (unsigned long long)guess[i].at[1],
                (unsigned long long)walk_model_read(&model, guess[i].at[0], 8),
                (unsigned long long)walk_model_read(&model, guess[i].at[1], 8));
}

/* ---- Where things are ---- */

static bool is_pae(void)
{
    return model.cr4 & CR4_PAE;
}

/* The entry of the last access, or one by choice. */
static gpa_t entry_at(uint8_t table, uint8_t index)
{
    if ((index & 0x40) && last.depth > 0)
        return last.at[(index & 1) % last.depth];
    return ((gpa_t)(WALK_POOL + (table & 7)) << PAGE_SHIFT) +
           walk_pick_index(is_pae(), index) * (is_pae() ? 8 : 4);
}

/* ---- The start ---- */

/* Written by each input. */
static bool is_input(uint32_t at)
{
    return at >> PAGE_SHIFT >= WALK_POOL &&
           at >> PAGE_SHIFT < WALK_DATA + WALK_DATA_LEN;
}

static void load_ram(uint8_t *ram)
{
    for (uint32_t at = 0; at < WALK_RAM; at += PAGE_SIZE)
        if (model.dirty[at >> PAGE_SHIFT] || is_input(at))
            memcpy(ram + at, clean + at, PAGE_SIZE);
}

/* ---- Loads of control registers ---- */

static void load_cr(unsigned cr, uint32_t value)
{
    bool done = subject_load_cr(s, cr, value);
    bool expected = cr == 0   ? walk_model_cr0(&model, value)
                    : cr == 3 ? walk_model_cr3(&model, value)
                              : walk_model_cr4(&model, value);

    if (done != expected)
        fail("#GP, or none", value);
    if (subject_vcpu(s)->cr0 != model.cr0 ||
        subject_vcpu(s)->cr3 != model.root.cr3 ||
        subject_vcpu(s)->cr4 != model.cr4)
        fail("control registers", value);
}

static void set_nxe(bool on)
{
    if (!subject_set_nxe(s, on))
        fail("EFER", on);
    walk_model_nxe(&model, on);
}

static uint32_t root(uint8_t choice)
{
    uint32_t cr3 = (WALK_POOL + (choice & 7)) << PAGE_SHIFT;

    if (is_pae())
        cr3 |= (choice >> 3 & 3u) << 5;
    if ((choice & 0xe0) == 0xe0)
        cr3 = choice & 1 ? 0xa0000 : 0xffffffe0;
    return cr3 | (choice & 0x80 ? 0x18 : 0);
}

static void set_mode(const uint8_t *in)
{
    uint8_t mode = in[IN_MODE];

    set_nxe(mode & 1);
    load_cr(4, (mode & 2 ? CR4_PAE : 0) | (mode & 4 ? CR4_PSE : 0) |
                   (mode & 8 ? CR4_PGE : 0));
    load_cr(3, root(in[IN_ROOT] | (is_pae() && !(in[IN_ROOT] & 0x40) ? 7 : 0)));
    load_cr(0, CR0_PE | CR0_ET | (mode & 16 ? CR0_WP : 0) |
                   (mode & 32 ? 0 : CR0_PG));
    model.user = mode & 64;
    subject_vcpu(s)->cpl = mode & 64 ? 3 : 0;
}

/* ---- Accesses ---- */

struct part {
    gva_t gva;
    unsigned len;
    struct walk_guess guess[GUESSES];
    unsigned count;
    const struct walk_guess *taken;
    uint8_t *data; /* its bytes */
};

static bool data_matches(const struct part *p, const struct walk_guess *g)
{
    const uint8_t *ram = subject_ram(s);

    for (unsigned i = 0; i < p->len; i++) {
        gpa_t at = g->page + (p->gva & PAGE_MASK) + i;

        if ((walk_in_ram(at) ? ram[at] : 0xff) != p->data[i])
            return false;
    }
    return true;
}

/* Whether the bytes stored are seen there, and were not before (2); they may be
 * marks of the walk, A and D, instead (1). With those of an outcome without RAM
 * nothing is seen. */
static unsigned store_is_seen(const struct part *p, const struct walk_guess *g)
{
    gpa_t at = g->page + (p->gva & PAGE_MASK);
    uint8_t changed = 0;

    if (!walk_in_ram(at) || !data_matches(p, g))
        return 0;
    for (unsigned i = 0; i < p->len; i++)
        changed |= model.ram[at + i] ^ p->data[i];
    return changed == 0 ? 0 : changed & ~0x60u ? 2 : 1;
}

static bool is_outcome(const struct part *p, const struct walk_guess *g,
                       bool fault, bool write)
{
    if (g->fault || fault)
        return g->fault == fault && g->error == subject_vcpu(s)->exc.error;
    return p->data == NULL || (write && !walk_in_ram(g->page)) ||
           data_matches(p, g);
}

/* The outcome that it was; there is none: a defect. Without data any access will
 * do. */
static void take(struct part *p, bool fault, bool write)
{
    unsigned best = 0;

    for (unsigned i = 0; i < p->count; i++) {
        const struct walk_guess *g = &p->guess[i];

        if (!is_outcome(p, g, fault, write))
            continue;
        if (p->taken == NULL)
            p->taken = g;
        if (!fault && write && p->data != NULL && store_is_seen(p, g) > best) {
            p->taken = g;
            best = store_is_seen(p, g);
        }
    }
    if (p->taken != NULL)
        return;
    show(p->guess, p->count);
    fail(fault ? "a page fault" : "an access", p->gva);
}

static bool is_within(const struct part *p, gpa_t at)
{
    gpa_t first = p->taken->page + (p->gva & PAGE_MASK);

    return at >= first && at < first + p->len;
}

/*
 * A and D of the entries that the walk went through (SDM 3A 4.8 "Accessed and
 * Dirty Flags"). Where only one outcome is allowed, they are set by the access,
 * and by a fault perhaps A (and D, when the fault is on the other page); where
 * something else may have been cached, perhaps. Of an entry that the store itself
 * has overwritten nobody can tell, but it may be cached with them.
 */
static void check_marks(struct part *p, bool write, bool done)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct walk_guess *g = &p->guess[i];

        for (unsigned level = 0; level < g->depth; level++) {
            bool leaf = level + 1 == g->depth && !g->fault;
            uint8_t may = 0x20 | (leaf && write ? 0x40 : 0);
            gpa_t at = g->at[level];

            if (!walk_in_ram(at))
                continue;
            if (done && (p->count == 1 || (write && is_within(p, at))))
                walk_model_mark(&model, at, may);
            else
                walk_model_mark(&model, at, subject_ram(s)[at] & may);
        }
    }
}

static void store_part(const struct part *p)
{
    gpa_t at = p->taken->page + (p->gva & PAGE_MASK);

    if (walk_in_ram(at))
        walk_model_store(&model, at, p->data, p->len);
}

static void compare_entries(const struct part *p, unsigned n)
{
    for (unsigned i = 0; i < p->count; i++)
        for (unsigned level = 0; level < p->guess[i].depth; level++) {
            gpa_t at = p->guess[i].at[level] & ~7ull;

            if (walk_in_ram(at) &&
                memcmp(model.ram + at, subject_ram(s) + at, 8) != 0) {
                show(p->guess, p->count);
                fprintf(stderr, "part %u: %llx, model %llx at %llx\n", n,
                        *(unsigned long long *)(void *)(subject_ram(s) + at),
                        *(unsigned long long *)(void *)(model.ram + at),
                        (unsigned long long)at);
                fail("accessed and dirty flags", p->gva);
            }
        }
}

static void find(struct part *p, enum walk_access kind)
{
    p->count = walk_model_page(&model, p->gva, kind, p->guess);
    p->taken = NULL;
}

/* The first part has passed the walk; the second is looked at with what the
 * first has marked. Behind a fault of the first the second may have been walked
 * all the same: the access may have begun by a translation of the first page that
 * was cached, and been restarted when it no longer was. */
static void judge(struct part part[2], unsigned parts, enum walk_access kind,
                  bool done)
{
    const struct vcpu *v = subject_vcpu(s);
    bool write = kind == WALK_WRITE;
    unsigned faulted = parts;

    for (unsigned i = 0; i < parts; i++) {
        bool here = !done && v->exc.cr2 == part[i].gva;

        find(&part[i], kind);
        if (!done)
            part[i].data = NULL;
        take(&part[i], here, write);
        check_marks(&part[i], write, done);
        if (here) {
            faulted = i;
            if (i + 1 < parts) { /* see above */
                find(&part[i + 1], kind);
                check_marks(&part[i + 1], write, false);
            }
            break;
        }
    }
    if (!done && (faulted == parts || v->exc.vector != EXC_PF))
        fail("another exception", part[0].gva);
    for (unsigned i = 0; i < parts && done && write; i++)
        store_part(&part[i]);
    for (unsigned i = 0; i < parts && i <= faulted; i++)
        compare_entries(&part[i], i);
    if (!done)
        walk_model_faulted(&model, v->exc.cr2);
}

static void do_access(gva_t gva, enum walk_access kind, uint8_t *data,
                      unsigned size)
{
    static struct part part[2];
    unsigned room = PAGE_SIZE - (gva & PAGE_MASK);
    unsigned parts = size > room ? 2 : 1;
    bool done;

    part[0].gva = gva;
    part[0].len = size > room ? room : size;
    part[0].data = data;
    part[1].gva = gva + part[0].len;
    part[1].len = size - part[0].len;
    part[1].data = data + part[0].len;
    if (kind == WALK_FETCH)
        done = subject_fetch(s, gva, data);
    else
        done = subject_access(s, gva, kind == WALK_WRITE, data, size);
    judge(part, parts, kind, done);
    if (part[0].taken->depth == 0)
        return;
    last.gva = gva;
    last.depth = part[0].taken->depth;
    memcpy(last.at, part[0].taken->at, sizeof(last.at));
}

/* ---- The script ---- */

static void store(gpa_t at, const void *data, unsigned len)
{
    subject_store(s, at, data, len);
    walk_model_store(&model, at, data, len);
}

/* The entry, whole, or in two halves. */
static void store_entry(const uint8_t *p)
{
    uint64_t entry = walk_pick_entry(is_pae(), p[2], p[3]);

    if (p[1] & 0x80)
        store(entry_at(p[1] >> 4, p[1]), &entry, 4);
    else
        store(entry_at(p[0] >> 4, p[1]), &entry, is_pae() ? 8 : 4);
}

static void change_entry(const uint8_t *p)
{
    gpa_t at = entry_at(p[0] >> 4, p[1]);
    uint32_t value = (uint32_t)walk_model_read(&model, at, 4) ^ p[2] ^
                     (uint32_t)(p[3] & 3) << 12;

    store(at, &value, 4);
}

static void change_mode(const uint8_t *p)
{
    static const uint32_t cr0[] = {CR0_WP, CR0_PG, CR0_CD, CR0_CD | CR0_NW,
                                   CR0_WP, CR0_WP, CR0_PG, CR0_NW};
    static const uint32_t cr4[] = {CR4_PGE, CR4_PSE, CR4_PAE, CR4_PGE};

    switch (p[1] & 3) {
    case 0: load_cr(0, model.cr0 ^ cr0[p[2] & 7]); break;
    case 1: load_cr(4, model.cr4 ^ cr4[p[2] & 3]); break;
    case 2: set_nxe(!model.nxe); break;
    default: load_cr(3, model.root.cr3); break;
    }
}

static void write_memory(const uint8_t *p, gva_t gva, unsigned size)
{
    uint8_t data[8];
    uint64_t value = walk_pick_entry(is_pae(), p[3], 0x67) ^ (uint64_t)p[3]
                                                                 << 32;

    memcpy(data, &value, sizeof(data));
    do_access(gva, WALK_WRITE, data, size);
}

static void step(const uint8_t *p)
{
    gva_t gva = walk_pick_gva(is_pae(), p[1], p[2]);
    unsigned size = BIT(p[2] >> 4 & 3);
    uint8_t data[8] = {0};

    if (p[2] & 0x40) /* around the last */
        gva = last.gva ^ (p[1] & 0x1fu) << PAGE_SHIFT;
    if (is_verbose)
        fprintf(stderr, "%02x %02x %02x %02x: %08x, %u bytes, cpl %u\n", p[0],
                p[1], p[2], p[3], gva, size, model.user ? 3 : 0);

    switch (p[0] & 15) {
    case 4:
    case 5:
    case 6: write_memory(p, gva, size); break;
    case 7: do_access(gva, WALK_FETCH, data, 1); break;
    case 8:
    case 9: store_entry(p); break;
    case 10:
        subject_invlpg(s, gva);
        walk_model_invlpg(&model, gva);
        break;
    case 11: load_cr(3, root(p[1])); break;
    case 12: change_mode(p); break;
    case 13: change_entry(p); break;
    case 14:
        model.user = !model.user;
        subject_vcpu(s)->cpl = model.user ? 3 : 0;
        break;
    default: do_access(gva, WALK_READ, data, size); break;
    }
}

static void compare_ram(void)
{
    uint32_t at = 0;

    if (memcmp(model.ram, subject_ram(s), WALK_RAM) == 0)
        return;
    while (model.ram[at] == subject_ram(s)[at])
        at++;
    fprintf(stderr, "at %08x: %02x, model %02x\n", at, subject_ram(s)[at],
            model.ram[at]);
    fail("RAM", 0);
}

static void run(const uint8_t *in, const uint8_t *data, size_t len)
{
    const char *what;

    model.cr0 = CR0_PE | CR0_ET;
    model.cr4 = 0;
    model.nxe = false;
    model.root = (struct walk_root){0};
    memset(&last, 0, sizeof(last));
    load_ram(model.ram);
    load_ram(subject_ram(s));
    subject_reset(s);
    subject_set_policy(s, in[IN_ENTRIES] / (ENTRIES_MAX + 1));
    walk_model_reset(&model);
    set_mode(in);
    for (size_t i = 0; i + 4 <= len && i < 4 * STEPS_MAX; i += 4)
        step(data + i);
    compare_ram();
    what = subject_verify(s);
    if (what != NULL)
        fail(what, 0);
    subject_reset(s); /* now, or its cost is the next input's */
}

static void create(void)
{
    model.ram = calloc(1, WALK_RAM);
    if (model.ram == NULL)
        abort();
    for (unsigned i = 0; i < ARRAY_COUNT(subjects); i++)
        subjects[i] = subject_create((enum subject_kind)i, WALK_RAM);
    is_verbose = getenv("FUZZ_VERBOSE") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t in[IN_BYTES] = {0};
    size_t entries;

    if (subjects[0] == NULL)
        create();
    memcpy(in, data, len < IN_BYTES ? len : IN_BYTES);
    data += len < IN_BYTES ? len : IN_BYTES;
    len -= len < IN_BYTES ? len : IN_BYTES;
    entries = 3u * (in[IN_ENTRIES] % (ENTRIES_MAX + 1));
    if (entries > len)
        entries = len - len % 3;
    walk_put_tables(clean, in, data, entries);
    for (unsigned i = 0; i < ARRAY_COUNT(subjects); i++) {
        if (i == (in[IN_ROOT] & 0x20 ? SUBJECT_SHADOW : SUBJECT_MPROTECT))
            continue;
        s = subjects[i];
        run(in, data + entries, len - entries);
    }
    return 0;
}
