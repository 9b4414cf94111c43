/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <string.h>

#include "choice.h"
#include "tests/machine/system.h"

/* Frames of the tables. */
#define LOW_A    0x2000u
#define TOP      0x6000u /* of both spaces */
#define LOW_B    0xa000u
#define PD_A     0xb000u /* PAE */
#define PD_B     0xc000u
#define PD_TOP   0xd000u
#define FULL     (PTE_P | PTE_W | PTE_A | PTE_D)
#define TABLE    (PTE_P | PTE_W | PTE_U | PTE_A)
#define FLAT_RAM MIB

static uint8_t image[USED];

static const struct system kernel = {
    .handler = HANDLER,
    .kernel_stack = KSTACK,
    .fs_base = DATA + 0x800,
};

/* What tame code can store to. */
static const struct {
    const char *name;
    uint32_t at;
    uint32_t len;
} stored[] = {
    {"kernel stack", KSTACK - PAGE_SIZE, PAGE_SIZE  },
    {"code",         CODE,               CODE_LEN   },
    {"memory",       DATA,               USED - DATA},
    {"large page",   BIG,                BIG_RAM    },
};

struct setup setup_choose(void)
{
    struct setup s = {0};

    s.user = below(2);
    s.count = below(8) != 0;
    s.paging = (enum paging)below(PAGINGS);
    if (s.user && s.paging == FLAT)
        s.paging = PAGING_32;
    s.write_protect = below(4) != 0;
    s.global = below(2);
    s.soft = below(3);
    return s;
}

static bool is_pae(const struct setup *setup)
{
    return setup->paging >= PAGING_PAE;
}

static uint32_t ram_len(const struct setup *setup)
{
    return setup->paging == FLAT ? FLAT_RAM : BIG + BIG_RAM;
}

struct machine *world_machine(const struct setup *setup, bool bt)
{
    const struct machine_config config = {.ram_len = ram_len(setup),
                                          .bt = bt,
                                          .count = setup->count,
                                          .deterministic = setup->count,
                                          .soft_mode = setup->soft};

    return machine_create(&config);
}

/* ---- Page tables ---- */

static void put_entry(const struct setup *setup, uint32_t table, uint32_t index,
                      uint64_t entry)
{
    if (is_pae(setup))
        memcpy(image + table + index * 8, &entry, 8);
    else
        memcpy(image + table + index * 4, &entry, 4);
}

/* Rights of a page; 0: nowhere mapped. */
static uint64_t rights_of(const struct setup *setup, uint32_t page)
{
    bool open = page >= CODE;
    uint64_t rights = FULL;

    if (page < CODE && page != KSTACK - PAGE_SIZE && page != HANDLER &&
        page != SYSTEM_GDT && page != SYSTEM_IDT && page != SYSTEM_TSS)
        return 0;
    if (page < CODE && page != KSTACK - PAGE_SIZE)
        rights &= ~(uint64_t)PTE_W;
    if (setup->user ? open : open && below(4) == 0)
        rights |= PTE_U;
    if (page >= DATA && below(6) == 0)
        rights &= ~(uint64_t)(below(2) ? PTE_P : PTE_W);
    if (open && below(4) == 0)
        rights &= ~(uint64_t)(below(2) ? PTE_D : PTE_D | PTE_A);
    if (setup->paging == PAGING_NX && open && below(page >= DATA ? 2 : 16) == 0)
        rights |= PTE_NX;
    if (setup->global && page < DATA)
        rights |= PTE_G;
    return rights;
}

static void put_pages(const struct setup *setup)
{
    for (uint32_t page = 0; page < USED; page += PAGE_SIZE) {
        bool differs = page >= DATA && page < DATA + DATA_LEN;
        uint64_t rights = rights_of(setup, page);
        uint32_t in_b = differs ? page - DATA + DATA_B : page;

        if (!rights)
            continue;
        put_entry(setup, LOW_A, page / PAGE_SIZE, page | rights);
        put_entry(setup, LOW_B, page / PAGE_SIZE, in_b | rights);
    }
    for (uint32_t at = 0; at < CODE_LEN; at += PAGE_SIZE) {
        uint64_t entry = (CODE + at) | FULL | (setup->user ? PTE_U : 0);

        put_entry(setup, LOW_A, (ALIAS + at) / PAGE_SIZE, entry);
        put_entry(setup, LOW_B, (ALIAS + at) / PAGE_SIZE, entry);
    }
}

/* The last page of all is the first of the code. */
static void put_directories(const struct setup *setup)
{
    const uint64_t big = BIG | FULL | PTE_PS | (setup->user ? PTE_U : 0);
    const uint64_t last = CODE | FULL | PTE_U;

    if (is_pae(setup)) {
        put_entry(setup, ROOT_A, 0, PD_A | PTE_P);
        put_entry(setup, ROOT_B, 0, PD_B | PTE_P);
        put_entry(setup, ROOT_A, 3, PD_TOP | PTE_P);
        put_entry(setup, ROOT_B, 3, PD_TOP | PTE_P);
        put_entry(setup, PD_A, 0, LOW_A | TABLE);
        put_entry(setup, PD_B, 0, LOW_B | TABLE);
        put_entry(setup, PD_A, BIG >> 21, big);
        put_entry(setup, PD_B, BIG >> 21, big);
        put_entry(setup, PD_TOP, 511, TOP | TABLE);
        put_entry(setup, TOP, 511, last);
        return;
    }
    put_entry(setup, ROOT_A, 0, LOW_A | TABLE);
    put_entry(setup, ROOT_B, 0, LOW_B | TABLE);
    put_entry(setup, ROOT_A, 1023, TOP | TABLE);
    put_entry(setup, ROOT_B, 1023, TOP | TABLE);
    put_entry(setup, TOP, 1023, last);
    if (setup->paging == PAGING_PSE) {
        put_entry(setup, ROOT_A, BIG >> 22, big);
        put_entry(setup, ROOT_B, BIG >> 22, big);
    }
}

/* ---- The image ---- */

/* push eax; mov eax, cr3; xor eax, ROOT_A ^ ROOT_B; mov cr3, eax; pop eax;
 * iret */
static const uint8_t switcher[] = {0x50, 0x0f, 0x20, 0xd8, 0x35, 0,    0x90,
                                   0,    0,    0x0f, 0x22, 0xd8, 0x58, 0xcf};
_Static_assert((ROOT_A ^ ROOT_B) == 0x9000, "switcher has another constant");

uint8_t *world_build(const struct setup *setup)
{
    struct choices before = choices_fork();

    memset(image, 0, sizeof(image));
    system_put(image, &kernel);
    system_put_gate(image, 0x80, SWITCHER);
    system_put_gate(image, IRQ_VECTOR, SWITCHER);
    image[HANDLER] = 0xf4; /* hlt */
    memcpy(image + SWITCHER, switcher, sizeof(switcher));
    if (setup->paging != FLAT) {
        put_pages(setup);
        put_directories(setup);
    }
    random_bytes(image + DATA, 0x1000);
    random_bytes(image + DATA_B, 0x1000);
    for (uint32_t at = 0; at < 0x2000; at += 4)
        put32(image, STACK + at, CODE + below(CODE_LEN));
    choices_resume(before);
    return image + CODE;
}

static void load_one(struct machine *m, bool wild)
{
    uint32_t len = (uint32_t)m->config.ram_len;

    memcpy(machine_ram(m, 0), image, USED);
    if (wild)
        memset(machine_ram(m, USED), 0, len - USED);
    else if (len > BIG)
        memset(machine_ram(m, BIG), 0, BIG_RAM);
    interp_flush_tlb(m->interp);
}

void world_load(struct machine *bt, struct machine *interp, bool wild,
                bool fresh)
{
    load_one(interp, wild);
    load_one(bt, wild);
    if (fresh) {
        bt_flush(bt->bt);
        return;
    }
    for (uint32_t at = 0; at < (wild ? bt->config.ram_len : USED);
         at += PAGE_SIZE)
        machine_stored(bt, at, PAGE_SIZE);
    for (uint32_t at = 0; at < BIG_RAM && bt->config.ram_len > BIG;
         at += PAGE_SIZE)
        machine_stored(bt, BIG + at, PAGE_SIZE);
}

/* Two ranges: [0, low_len()), and [BIG, BIG + BIG_RAM) if there is paging. */
static uint8_t saved[FLAT_RAM];
static uint8_t saved_big[BIG_RAM];

static uint32_t low_len(const struct machine *m)
{
    return m->config.ram_len > BIG ? USED : (uint32_t)m->config.ram_len;
}

void world_save(const struct machine *m)
{
    memcpy(saved, machine_ram(m, 0), low_len(m));
    if (m->config.ram_len > BIG)
        memcpy(saved_big, machine_ram(m, BIG), BIG_RAM);
}

void world_restore(struct machine *m)
{
    memcpy(machine_ram(m, 0), saved, low_len(m));
    if (m->config.ram_len > BIG)
        memcpy(machine_ram(m, BIG), saved_big, BIG_RAM);
}

/* ---- Registers ---- */

/* Up to 7 bytes before one of eight pages. */
static uint32_t before_page(uint32_t which)
{
    return DATA + PAGE_SIZE * (which / 8) - which % 8;
}

static uint32_t wild_value(void)
{
    static const uint32_t edge[] = {
        0,        1,   0xffffffff,   0xfffffffe, 0xfffff000,
        0x1fffff, BIG, BIG + 0xfffe, 0x7fffffff};

    switch (below(8)) {
    case 0: return edge[below(ARRAY_COUNT(edge))];
    case 1: return rnd();
    case 2: return CODE + below(CODE_LEN);
    case 3: return STACK + below(0x2000);
    case 4: return before_page(below(64));
    case 5: return below(2) ? ROOT_A : ROOT_B;
    case 6: return below(2) ? ALIAS + below(CODE_LEN) : BIG + below(BIG_RAM);
    default: return DATA + below(0x4000);
    }
}

/* Any registers, all kinds of numbers; no exception pending. */
static void put_fpu(uint8_t *fpu)
{
    const uint16_t fcw = (uint16_t)(below(4) ? 0x37f : 0x340 | below(64));
    const uint16_t top = (uint16_t)(below(8) << 11);
    uint32_t mxcsr = 0x1f80;
    struct choices before;

    if (below(4) == 0) {
        mxcsr &= rnd();
        mxcsr |= rnd() & 0xe040u;
    }
    before = choices_fork();
    memcpy(fpu, &fcw, sizeof(fcw));
    memcpy(fpu + 2, &top, sizeof(top));
    fpu[4] = (uint8_t)rnd();
    memcpy(fpu + 24, &mxcsr, sizeof(mxcsr));
    for (unsigned i = 0; i < 8; i++) {
        random_bytes(fpu + 32 + 16 * i, 10);
        if (below(4)) /* a usual exponent */
            fpu[32 + 16 * i + 9] =
                (uint8_t)((fpu[32 + 16 * i + 9] & 0x80) | 0x3f);
        if (below(4))
            fpu[32 + 16 * i + 7] |= 0x80;
    }
    random_bytes(fpu + 160, 128);
    choices_resume(before);
}

static void put_control(struct vcpu *v, const struct setup *setup)
{
    v->cr3 = below(2) ? ROOT_A : ROOT_B;
    if (setup->paging != FLAT)
        v->cr0 |= CR0_PG;
    if (!setup->write_protect)
        v->cr0 &= ~CR0_WP;
    if (below(8) == 0)
        v->cr0 |= CR0_TS;
    if (below(8) == 0)
        v->cr4 &= ~CR4_OSFXSR;
    if (below(2))
        v->cr4 |= CR4_OSXMMEXCPT;
    if (setup->paging == PAGING_PSE)
        v->cr4 |= CR4_PSE;
    if (is_pae(setup))
        v->cr4 |= CR4_PAE;
    if (setup->global)
        v->cr4 |= CR4_PGE;
    if (setup->paging == PAGING_NX)
        v->efer |= EFER_NXE;
    for (unsigned i = 0; is_pae(setup) && i < 4; i++)
        memcpy(&v->pdpte[i], image + v->cr3 + i * 8, 8);
}

/* Bases, limits and types that a guest may load, some of them in the way. */
static void make_odd(struct segment *segment)
{
    static const uint32_t base[] = {0, 0, 0x100, PAGE_SIZE, 0xffff8000};
    static const uint32_t limit[] = {UINT32_MAX,     UINT32_MAX,    0x3fffff,
                                     STACK + 0x1fff, DATA + 0x1fff, 0xff};

    segment->base = base[below(ARRAY_COUNT(base))];
    segment->limit = limit[below(ARRAY_COUNT(limit))];
    switch (below(8)) {
    case 0: segment->attr &= ~(uint32_t)SEG_WRITABLE; break;
    case 1:
        segment->attr |= SEG_DOWN;
        segment->limit = below(2) ? 0x4fff : DATA + 0xfff;
        break;
    case 2: segment->attr |= SEG_CODE; break;
    case 3: segment->attr |= SEG_UNUSABLE; break;
    }
}

static void put_odd_segments(struct vcpu *v)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        struct segment segment = v->seg[i];

        if (i == SEG_CS || below(2)) /* CS: put_odd_code() */
            continue;
        make_odd(&segment);
        if (i == SEG_SS)
            segment.attr =
                ((below(2) ? UINT32_MAX : ~(uint32_t)SEG_DB) & segment.attr &
                 ~(uint32_t)(SEG_CODE | SEG_UNUSABLE)) |
                SEG_WRITABLE;
        vcpu_set_seg(v, i, &segment);
    }
}

/* CS elsewhere, or with an end in the code. */
static void put_odd_code(struct vcpu *v)
{
    struct segment cs = v->seg[SEG_CS];

    cs.base = below(2) ? 0x8000 : below(3) * 0x7fff;
    if (below(2))
        cs.limit = CODE + below(2 * CODE_LEN) - cs.base;
    if (below(4) == 0)
        cs.attr &= ~(uint32_t)SEG_WRITABLE;
    if (below(2)) {
        cs.attr &= ~(uint32_t)SEG_DB;
        cs.base = below(2) ? CODE : CODE - 0x1000;
    }
    v->eip -= cs.base;
    vcpu_set_seg(v, SEG_CS, &cs);
}

/* What has the interpreter run it all, until code changes it. */
static void put_odd_events(struct vcpu *v)
{
    switch (below(16)) {
    case 13:
        for (unsigned i = 0; i < 4; i++)
            v->dr[i] = below(2) ? DATA + below(64) : CODE + below(CODE_LEN);
        v->dr[7] = 0x400 | (rnd() & 0xffff0055);
        break;
    case 14:
        v->cr0 |= CR0_AM;
        vcpu_set_eflags(v, vcpu_eflags(v) | FLAG_AC);
        break;
    case 15: vcpu_set_eflags(v, vcpu_eflags(v) | FLAG_TF); break;
    default: break;
    }
}

gip_t world_any_gip(const struct setup *setup)
{
    if (setup->paging == FLAT || below(8))
        return CODE + below(CODE_LEN);
    return 0xfffff000 + below(4096);
}

void world_start(struct vcpu *v, const struct setup *setup, gip_t gip)
{
    uint32_t eflags;

    system_enter(v, &kernel, setup->user);
    put_control(v, setup);
    if (below(3) == 0)
        put_odd_segments(v);
    if (!setup->user && below(4) == 0)
        v->cpl = (uint8_t)(1 + below(2));
    if (below(2))
        put_fpu(v->fpu);
    eflags = rnd() & (FLAGS_ARITH | FLAG_DF | FLAG_IF);
    eflags |= setup->user ? FLAG_IOPL : 0;
    eflags |= v->cpl % 3 ? below(4) << FLAG_IOPL_SHIFT : 0;
    vcpu_set_eflags(v, eflags);
    for (unsigned i = 0; i < REG_COUNT; i++)
        v->regs[i] = wild_value();
    if (below(4))
        v->regs[REG_ESP] = STACK + 0x1000 + below(64) * 4;
    if (below(4))
        v->regs[REG_ECX] = below(5000);
    v->eip = gip;
    if (below(4) == 0)
        put_odd_code(v);
    put_odd_events(v);
}

/* ---- Judging ---- */

bool world_is_tame(const struct vcpu *v, const struct setup *setup)
{
    uint32_t cr4 = (setup->paging == PAGING_PSE ? CR4_PSE : 0) |
                   (is_pae(setup) ? CR4_PAE : 0);

    return !(v->cr0 & CR0_PG) == (setup->paging == FLAT) && (v->cr0 & CR0_PE) &&
           (v->cr4 & (CR4_PSE | CR4_PAE)) == cr4 &&
           !(v->efer & EFER_NXE) == (setup->paging != PAGING_NX) &&
           (setup->paging == FLAT || v->cr3 == ROOT_A || v->cr3 == ROOT_B);
}

const char *world_differ(const struct machine *a, const struct machine *b,
                         uint32_t *at)
{
    for (unsigned i = 0; i < ARRAY_COUNT(stored); i++) {
        if (stored[i].at + stored[i].len > a->config.ram_len ||
            machine_same_ram(a, b, stored[i].at, stored[i].len))
            continue;
        *at = stored[i].at;
        while (machine_same_ram(a, b, *at, 1))
            ++*at;
        return stored[i].name;
    }
    return NULL;
}

uint32_t world_code_at(uint32_t eip)
{
    if (eip >= 0xfffff000)
        return CODE + (eip & PAGE_MASK);
    if (eip >= ALIAS && eip < ALIAS + CODE_LEN)
        return eip - ALIAS + CODE;
    return eip < USED - INSN_MAX_LEN ? eip : CODE;
}
