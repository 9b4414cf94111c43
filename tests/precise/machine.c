/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emu/cpu/segment.h"

#define RAM_LEN (2u * MIB)
#define GDT     0x3000u
#define IDT     0x4000u
#define TSS     0x5000u

/* ---- What the interpreter asks for ---- */

static struct host_page page(void *opaque, gfn_t gfn)
{
    struct machine *m = opaque;
    struct host_page p = {0};

    p.writable = gmem_lookup(m->gmem, gfn, &p.hva, NULL) == GMEM_RAM;
    return p;
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    (void)opaque, (void)gpa, (void)size;
    return UINT64_MAX;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t value)
{
    (void)opaque, (void)gpa, (void)size, (void)value;
}

static uint32_t port_in(void *opaque, uint16_t port, unsigned size)
{
    (void)opaque, (void)port, (void)size;
    return 0;
}

static void port_out(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
    (void)opaque, (void)port, (void)size, (void)value;
}

static uint64_t tsc(void *opaque)
{
    (void)opaque;
    return 0;
}

static void ram_stored(void *opaque, gpa_t gpa, unsigned len)
{
    struct machine *m = opaque;

    if (m->bt)
        mmu_ram_stored(m->bt->mmu, gpa, len);
}

static void flushed_page(void *opaque, gva_t gva)
{
    struct machine *m = opaque;

    if (m->bt)
        bt_tlb_flushed_page(m->bt, gva);
}

static void flushed(void *opaque, bool globals_too)
{
    struct machine *m = opaque;

    if (m->bt)
        bt_tlb_flushed(m->bt, globals_too);
}

/* ---- Memory image ---- */

static uint8_t *ram(const struct machine *m, uint32_t at)
{
    return gmem_base(m->gmem) + at;
}

static void put32(const struct machine *m, uint32_t at, uint32_t value)
{
    memcpy(ram(m, at), &value, sizeof(value));
}

static void put_tables(const struct machine *m, bool user)
{
    put32(m, TABLES, PTE_TABLE | PTE_P | PTE_W | PTE_U | PTE_A);
    for (uint32_t at = 0; at < RAM_LEN; at += PAGE_SIZE) {
        bool open = user && at >= CODE && at < STACK + STACK_LEN;

        put32(m, PTE_TABLE + at / PAGE_SIZE * 4,
              at | PTE_P | PTE_W | PTE_A | PTE_D | (open ? PTE_U : 0));
    }
}

static void put_descriptor(const struct machine *m, unsigned index,
                           const struct segment *s)
{
    uint32_t limit = s->attr & SEG_G ? s->limit >> 12 : s->limit;

    put32(m, GDT + index * 8, (limit & 0xffff) | s->base << 16);
    put32(m, GDT + index * 8 + 4,
          (s->base >> 16 & 0xff) | (s->attr & 0xf0ff) << 8 | (limit & 0xf0000) |
              (s->base & 0xff000000));
}

static void put_gate(const struct machine *m, unsigned vector, uint32_t handler)
{
    put32(m, IDT + vector * 8, 8u << 16 | (handler & 0xffff));
    put32(m, IDT + vector * 8 + 4, (handler & 0xffff0000) | 0xee00);
}

static void put_handlers(const struct machine *m)
{
    /* hlt; add esp, 4; iret */
    memcpy(ram(m, HANDLER_PF), (uint8_t[]){0xf4, 0x83, 0xc4, 4, 0xcf}, 5);
    *ram(m, HANDLER_END) = 0xf4;
    *ram(m, HANDLER_BAD) = 0xf4;
    for (unsigned i = 0; i <= END_VECTOR; i++)
        put_gate(m, i, HANDLER_BAD);
    put_gate(m, EXC_PF, HANDLER_PF);
    put_gate(m, END_VECTOR, HANDLER_END);
    put32(m, TSS + 4, KERNEL_STACK);
    put32(m, TSS + 8, 0x10);
}

/* ---- Registers ---- */

enum { KCODE = 1, KDATA, UCODE, UDATA, TASK, FSDATA };

static void make_segments(struct segment s[FSDATA + 1])
{
    const uint32_t flat =
        SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB | SEG_G;

    for (unsigned i = KCODE; i <= FSDATA; i++)
        s[i] = (struct segment){
            .limit = UINT32_MAX, .attr = flat, .selector = (uint16_t)(i * 8)};
    s[KCODE].attr |= SEG_CODE;
    s[UCODE].attr |= SEG_CODE | SEG_DPL;
    s[UDATA].attr |= SEG_DPL;
    s[FSDATA].attr |= SEG_DPL;
    s[UCODE].selector |= 3;
    s[UDATA].selector |= 3;
    s[FSDATA].selector |= 3;
    s[FSDATA].base = FS_BASE;
    s[TASK] = (struct segment){
        .base = TSS, .limit = 0x67, .attr = SEG_P | 0xb, .selector = TASK * 8};
}

static void put_registers(struct machine *m, bool user)
{
    struct vcpu *v = &m->vcpu;
    struct segment s[FSDATA + 1];
    const uint16_t fcw = 0x37f;
    const uint32_t mxcsr = 0x1f80;

    make_segments(s);
    for (unsigned i = KCODE; i <= FSDATA; i++)
        put_descriptor(m, i, &s[i]);
    vcpu_reset(v);
    memset(v->fpu, 0, sizeof(v->fpu));
    memcpy(v->fpu, &fcw, sizeof(fcw));
    memcpy(v->fpu + 24, &mxcsr, sizeof(mxcsr));
    v->cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG | CR0_WP;
    v->cr3 = TABLES;
    v->cr4 = CR4_OSFXSR;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(v, i, &s[user ? UDATA : KDATA]);
    vcpu_set_seg(v, SEG_CS, &s[user ? UCODE : KCODE]);
    vcpu_set_seg(v, SEG_FS, &s[FSDATA]);
    v->tr = s[TASK];
    v->gdtr = (struct table_reg){.base = GDT, .limit = (FSDATA + 1) * 8 - 1};
    v->idtr = (struct table_reg){.base = IDT, .limit = 0x7ff};
    v->cpl = user ? 3 : 0;
    vcpu_set_eflags(v, user ? FLAG_IOPL : 0);
    v->eip = CODE;
    v->regs[REG_ESP] = STACK_TOP;
}

/* ---- Life ---- */

static void create_engines(struct machine *m, bool bt, bool soft)
{
    struct interp_host host = {.opaque = m,
                               .page = page,
                               .mmio_read = mmio_read,
                               .mmio_write = mmio_write,
                               .port_in = port_in,
                               .port_out = port_out,
                               .tsc = tsc,
                               .ram_stored = ram_stored,
                               .tlb_flushed_page = flushed_page,
                               .tlb_flushed = flushed,
                               .features = UINT32_MAX};
    struct bt_config config = {.vcpu = &m->vcpu,
                               .gmem = m->gmem,
                               .tc_len = TC_MIN_LEN,
                               .features = UINT32_MAX,
                               .count = true,
                               .soft_mode = soft ? SOFT_ALL : SOFT_NONE};

    host.frame_flags = gmem_frame_flags(m->gmem);
    host.frame_count = gmem_frame_count(m->gmem);
    ck_assert_int_eq(interp_create(&m->interp, &m->vcpu, &host), 0);
    config.interp = m->interp;
    if (bt)
        ck_assert_int_eq(bt_create(&config, &m->bt), 0);
}

struct machine *machine_new(const struct program *program, bool bt, bool user)
{
    struct machine *m = aligned_alloc(64, (sizeof(*m) + 63) & ~63ul);
    uint64_t random = program->random;

    memset(m, 0, sizeof(*m));
    ck_assert_int_eq(gmem_create(&m->gmem, RAM_LEN), 0);
    m->vcpu.stats = &m->stats;
    m->vcpu.stop = &m->stop;
    put_tables(m, user);
    put_handlers(m);
    put_registers(m, user);
    memcpy(ram(m, CODE), program->code, CODE_LEN);
    for (uint32_t at = 0; at < DATA_LEN; at += 4)
        put32(m, DATA + at, random_next(&random));
    create_engines(m, bt, program->soft);
    m->start = m->vcpu;
    m->image = malloc(IMAGE);
    memcpy(m->image, ram(m, 0), IMAGE);
    return m;
}

void machine_free(struct machine *m)
{
    if (m->bt)
        bt_destroy(m->bt);
    interp_destroy(m->interp);
    gmem_destroy(m->gmem);
    free(m->image);
    free(m);
}

/* Tables the shadow knows of are only written by who tells it. */
static void flush_tables(struct machine *m)
{
    interp_flush_tlb(m->interp);
    if (m->bt) {
        mmu_ram_stored(m->bt->mmu, PTE_TABLE, PAGE_SIZE);
        bt_tlb_flushed(m->bt, true);
    }
}

void machine_reset(struct machine *m, bool tables)
{
    memcpy(ram(m, DATA), m->image + DATA, DATA_LEN);
    memcpy(ram(m, STACK), m->image + STACK, STACK_LEN);
    memcpy(ram(m, KERNEL_STACK - PAGE_SIZE),
           m->image + KERNEL_STACK - PAGE_SIZE, PAGE_SIZE);
    m->vcpu = m->start;
    if (tables) {
        memcpy(ram(m, PTE_TABLE), m->image + PTE_TABLE, PAGE_SIZE);
        flush_tables(m);
    }
}

enum vcpu_exit machine_run(struct machine *m, uint64_t max)
{
    uint64_t end = m->vcpu.retired + max;
    enum vcpu_exit exit;

    do {
        if (m->bt) {
            exit = bt_run(m->bt);
        } else if (m->vcpu.retired == end) {
            return VCPU_EXIT_BUDGET;
        } else {
            m->vcpu.kick = 0;
            exit = interp_run(m->interp, end - m->vcpu.retired);
        }
        if (exit == VCPU_EXIT_EXC) {
            const struct exc exc = m->vcpu.exc;

            exc_deliver(m->interp, &exc);
        }
    } while (exit == VCPU_EXIT_EXC || (!m->bt && exit == VCPU_EXIT_INTR));
    return exit;
}

uint32_t machine_pte(const struct machine *m, uint32_t page_at)
{
    uint32_t pte;

    memcpy(&pte, ram(m, PTE_TABLE + page_at / PAGE_SIZE * 4), sizeof(pte));
    return pte;
}

void machine_set_pte(struct machine *m, uint32_t page_at, uint32_t pte)
{
    uint32_t at = PTE_TABLE + page_at / PAGE_SIZE * 4;

    put32(m, at, pte);
    if (m->bt) {
        mmu_ram_stored(m->bt->mmu, at, 4);
        bt_tlb_flushed_page(m->bt, page_at);
    }
    interp_flush_page(m->interp, page_at);
}

/* FOP, FIP and FDP are not compared: the host's instruction is elsewhere. */
static bool same_fpu(const struct machine *a, const struct machine *b)
{
    const uint8_t *x = a->vcpu.fpu;
    const uint8_t *y = b->vcpu.fpu;

    return !memcmp(x, y, 6) && !memcmp(x + 24, y + 24, 4) &&
           !memcmp(x + 32, y + 32, 288 - 32);
}

const char *machine_differ(const struct machine *a, const struct machine *b)
{
    const struct vcpu *v = &a->vcpu;
    const struct vcpu *w = &b->vcpu;

    if (v->retired != w->retired)
        return "retired count";
    if (v->eip != w->eip)
        return "eip";
    if (memcmp(v->regs, w->regs, sizeof(v->regs)))
        return "registers";
    if (vcpu_eflags(v) != vcpu_eflags(w))
        return "eflags";
    if (v->cr2 != w->cr2)
        return "cr2";
    if (v->cpl != w->cpl)
        return "cpl";
    if (!same_fpu(a, b))
        return "FPU";
    if (memcmp(ram(a, 0), ram(b, 0), IMAGE))
        return "memory";
    return NULL;
}

void machine_copy(struct machine *to, const struct machine *from)
{
    struct vcpu v = from->vcpu;

    v.bt = to->vcpu.bt;
    v.stop = to->vcpu.stop;
    v.stats = to->vcpu.stats;
    v.kick = 0;
    to->vcpu = v;
    memcpy(ram(to, 0), ram(from, 0), IMAGE);
    interp_flush_tlb(to->interp);
}
