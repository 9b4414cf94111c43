/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "emu/cpu/segment.h"
#include "monitor/bt.h"

/*
 * Hostile guests: random bytes, random valid instructions and patterns picked
 * to hurt a translator, with random registers, under the translator; then as
 * many instructions of the same under the interpreter. Both have the same
 * state at the end, and every invariant of the cache and the shadow holds.
 *
 * A run ends with an exception (all handlers halt), at a HLT, when the machine
 * stops, or at a kick that the timer makes after a random time.
 *
 * FUZZ_SEED repeats a round; FUZZ_MS is how long to go on.
 */
#define RAM_LEN   (2u * MIB)
#define TABLES    0x1000u /* page directory; then the page tables */
#define LOW_TABLE 0x2000u
#define TOP_TABLE 0x6000u
#define GDT       0x3000u
#define IDT       0x4000u
#define TSS       0x5000u
#define KSTACK    0x8000u
#define HANDLER   0x9000u
#define CODE      0x10000u
#define CODE_LEN  0x3000u
#define DATA      0x20000u
#define STACK     0x30000u
#define IMAGE     0x40000u
#define RUN_US    60u
#define GIVE_UP   (20u * 1000u * 1000u) /* ns for the interpreter */

enum { KCODE = 1, KDATA, UCODE, UDATA, TASK, FSDATA, DESCRIPTORS };

struct machine {
    struct gmem *gmem;
    struct stats stats;
    struct stop stop;
    struct vcpu vcpu;
    struct interp *interp;
    struct bt_vcpu *bt;
};

struct setup {
    bool user;
    bool paging;
    bool count;
    enum soft_mode soft;
};

static struct machine *running;
static uint64_t seed;
static uint64_t first_seed; /* of the round: FUZZ_SEED repeats it */

static uint32_t rnd(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 32);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t below(uint32_t n)
{
    return rnd() % n;
}

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
    return 0x5a;
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

/* ---- Machines ---- */

static struct machine *machine_new(const struct setup *setup, bool bt)
{
    struct machine *m = aligned_alloc(64, (sizeof(*m) + 63) & ~63ul);
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
                               .features = UINT32_MAX,
                               .deterministic = setup->count,
                               .host_flags = true};
    struct bt_config config = {.vcpu = &m->vcpu,
                               .tc_len = TC_MIN_LEN,
                               .features = UINT32_MAX,
                               .count = setup->count,
                               .deterministic = true,
                               .soft_mode = setup->soft};

    memset(m, 0, sizeof(*m));
    ck_assert_int_eq(gmem_create(&m->gmem, RAM_LEN), 0);
    m->vcpu.stats = &m->stats;
    m->vcpu.stop = &m->stop;
    vcpu_reset(&m->vcpu);
    host.frame_flags = gmem_frame_flags(m->gmem);
    host.frame_count = gmem_frame_count(m->gmem);
    ck_assert_int_eq(interp_create(&m->interp, &m->vcpu, &host), 0);
    config.interp = m->interp;
    config.gmem = m->gmem;
    if (bt)
        ck_assert_int_eq(bt_create(&config, &m->bt), 0);
    return m;
}

static void machine_free(struct machine *m)
{
    if (m->bt)
        bt_destroy(m->bt);
    interp_destroy(m->interp);
    gmem_destroy(m->gmem);
    free(m);
}

/* ---- The guest's image ---- */

static uint8_t image[IMAGE];

static void put32(uint32_t at, uint32_t value)
{
    memcpy(image + at, &value, sizeof(value));
}

static void make_segments(struct segment s[DESCRIPTORS])
{
    const uint32_t flat =
        SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_DB | SEG_G;

    for (unsigned i = KCODE; i < DESCRIPTORS; i++)
        s[i] = (struct segment){
            .limit = UINT32_MAX, .attr = flat, .selector = (uint16_t)(i * 8)};
    s[KCODE].attr |= SEG_CODE;
    s[UCODE].attr |= SEG_CODE | SEG_DPL;
    s[UDATA].attr |= SEG_DPL;
    s[FSDATA].attr |= SEG_DPL;
    s[UCODE].selector |= 3;
    s[UDATA].selector |= 3;
    s[FSDATA].selector |= 3;
    s[FSDATA].base = DATA + 0x800;
    s[TASK] = (struct segment){
        .base = TSS, .limit = 0x67, .attr = SEG_P | 0xb, .selector = TASK * 8};
}

static void put_descriptors(void)
{
    struct segment s[DESCRIPTORS];

    make_segments(s);
    for (unsigned i = KCODE; i < DESCRIPTORS; i++) {
        uint32_t limit = s[i].attr & SEG_G ? s[i].limit >> 12 : s[i].limit;

        put32(GDT + i * 8, (limit & 0xffff) | s[i].base << 16);
        put32(GDT + i * 8 + 4,
              (s[i].base >> 16 & 0xff) | (s[i].attr & 0xf0ff) << 8 |
                  (limit & 0xf0000) | (s[i].base & 0xff000000));
    }
    for (unsigned i = 0; i < 256; i++) {
        put32(IDT + i * 8, 8u << 16 | (HANDLER & 0xffff));
        put32(IDT + i * 8 + 4, (HANDLER & 0xffff0000) | 0xee00);
    }
    put32(TSS + 4, KSTACK);
    put32(TSS + 8, 0x10);
    image[HANDLER] = 0xf4; /* hlt */
}

/* The identity but for holes and read-only pages among data and stack; the
 * last page of all is the first of the code. */
static void put_tables(const struct setup *setup)
{
    put32(TABLES, LOW_TABLE | 0x27);
    put32(TABLES + 1023 * 4, TOP_TABLE | 0x27);
    for (uint32_t at = 0; at < RAM_LEN; at += PAGE_SIZE) {
        bool open = at >= CODE && at < IMAGE;
        uint32_t rights = setup->user && open ? 0x67 : 0x63;

        if (at >= DATA && at < IMAGE && below(6) == 0)
            rights &= below(2) ? ~1u : ~2u;
        /* Tables that change unannounced act at any time later. */
        if (at < CODE && at != KSTACK - PAGE_SIZE)
            rights &= ~2u;
        put32(LOW_TABLE + at / PAGE_SIZE * 4, at | rights);
    }
    put32(TOP_TABLE + 1023 * 4, CODE | 0x67);
}

/* ---- Code ---- */

static void random_bytes(uint8_t *code, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        code[i] = (uint8_t)rnd();
}

/* Instructions that end a run soon are rare. */
static bool is_dull(const struct insn *in)
{
    return in->op == OP_INVALID || in->op == OP_HLT || in->address_size == 2 ||
           (insn_feature(in->op) == FEAT_BASE && in->map == 0 &&
            (in->opcode & 0xfc) == 0xec);
}

static uint32_t random_insn(uint8_t *code, uint32_t room)
{
    const struct insn_mode mode = {.features = UINT32_MAX, .code32 = true};
    uint8_t bytes[INSN_MAX_LEN];
    struct insn in;

    do {
        random_bytes(bytes, sizeof(bytes));
        if (below(3) == 0)
            bytes[0] = 0x0f;
    } while (insn_decode(&in, mode, bytes, sizeof(bytes)) != INSN_OK ||
             (is_dull(&in) && below(64)) || in.len > room);
    /* Short branches, and memory near what the registers point at. */
    if (in.disp_len == 4 && below(8))
        memset(bytes + in.disp_offset + 1, bytes[in.disp_offset] & 1 ? 0xff : 0,
               3);
    if (in.operand_count && in.operand[0].kind == OPERAND_REL &&
        in.imm_len == 4 && below(8))
        memset(bytes + in.imm_offset + 1, below(2) ? 0xff : 0, 3);
    memcpy(code, bytes, in.len);
    return in.len;
}

static void random_insns(uint8_t *code, uint32_t len)
{
    for (uint32_t at = 0; at + INSN_MAX_LEN <= len;)
        at += random_insn(code + at, len - at);
}

/* Pieces that are repeated, mixed, and cut anywhere. ? stands for a random
 * byte (any value in the pattern's mask of 1 bits). */
struct pattern {
    uint8_t len;
    uint8_t bytes[8];
    uint8_t random; /* mask of the bytes that are random */
};

static const struct pattern patterns[] = {
    {2, {0x70, 0},                               0x03}, /* jcc or what is near */
    {2, {0x75, 0},                               0x02}, /* jnz */
    {6, {0x0f, 0x85, 0, 0, 0, 0},                0x04}, /* jnz near */
    {5, {0xe8, 0, 0, 0, 0},                      0x02}, /* call */
    {5, {0xe8, 0, 0xff, 0xff, 0xff},             0x02}, /* call back */
    {1, {0xc3},                                  0   }, /* ret */
    {3, {0xc2, 0, 0},                            0x06}, /* ret n */
    {1, {0x50},                                  0   }, /* push eax */
    {1, {0x58},                                  0   }, /* pop eax */
    {1, {0x54},                                  0   }, /* push esp */
    {1, {0x5c},                                  0   }, /* pop esp */
    {1, {0x9c},                                  0   }, /* pushf */
    {1, {0x9d},                                  0   }, /* popf */
    {7, {0x8d, 0xa4, 0x24, 0, 0x0f, 0, 0},       0x08}, /* lea esp, [esp + n] */
    {7, {0x8d, 0xa4, 0x24, 0, 0xf1, 0xff, 0xff}, 0x08},
    {3, {0x8f, 0x44, 0x24},                      0   }, /* pop [esp + ...] */
    {4, {0xff, 0x74, 0x24, 0},                   0x08}, /* push [esp + n] */
    {2, {0xeb, 0xfe},                            0   }, /* jmp $ */
    {2, {0xe2, 0},                               0x02}, /* loop */
    {2, {0xe3, 0},                               0x02}, /* jecxz */
    {2, {0xf3, 0xa5},                            0   }, /* rep movsd */
    {2, {0xf3, 0xaa},                            0   }, /* rep stosb */
    {2, {0xf2, 0xae},                            0   }, /* repne scasb */
    {2, {0xf3, 0xa6},                            0   }, /* repe cmpsb */
    {1, {0xfd},                                  0   }, /* std */
    {1, {0xfc},                                  0   }, /* cld */
    {1, {0xfb},                                  0   }, /* sti */
    {1, {0xfa},                                  0   }, /* cli */
    {1, {0x66},                                  0   }, /* prefixes */
    {1, {0x67},                                  0   },
    {1, {0xf0},                                  0   },
    {1, {0xf2},                                  0   },
    {1, {0xf3},                                  0   },
    {1, {0x64},                                  0   },
    {1, {0x2e},                                  0   },
    {6, {0xc6, 0x05, 0, 0, 1, 0},                0x0c}, /* mov byte [CODE + n], ... */
    {5, {0xa3, 0, 0, 1, 0},                      0x06}, /* mov [CODE + n], eax */
    {2, {0x89, 0x00},                            0x02}, /* mov rm, r */
    {2, {0xff, 0x00},                            0x02}, /* group 5 */
    {2, {0x94, 0x41},                            0   }, /* xchg eax, esp; inc ecx */
    {3, {0x0f, 0x22, 0xc0},                      0   }, /* mov cr0, eax */
    {3, {0x0f, 0x20, 0xc0},                      0   }, /* mov eax, cr0 */
    {3, {0x0f, 0x22, 0xd8},                      0   }, /* mov cr3, eax */
    {3, {0x0f, 0x01, 0x38},                      0   }, /* invlpg [eax] */
    {2, {0x0f, 0x06},                            0   }, /* clts */
    {2, {0x8e, 0xe0},                            0   }, /* mov fs, ax */
    {1, {0x0f},                                  0   }, /* two-byte opcodes */
    {2, {0xd8, 0},                               0x03}, /* x87 and others */
    {3, {0x66, 0x0f, 0x6f},                      0   }, /* movdqa */
    {1, {0x90},                                  0   },
};

static void mixed(uint8_t *code, uint32_t len)
{
    uint32_t few = 1 + below(8);
    uint32_t pick[8];
    uint32_t at = 0;

    for (uint32_t i = 0; i < few; i++)
        pick[i] = below(ARRAY_COUNT(patterns));
    while (at + INSN_MAX_LEN <= len) {
        const struct pattern *p = &patterns[pick[below(few)]];

        if (below(4) == 0) {
            at += random_insn(code + at, len - at);
            continue;
        }
        for (unsigned i = 0; i < p->len; i++)
            code[at++] = p->random >> i & 1
                             ? (uint8_t)(p->bytes[i] ^ (rnd() & (i ? 255 : 15)))
                             : p->bytes[i];
    }
}

static void put_code(void)
{
    static void (*const fill[])(uint8_t *, uint32_t) = {
        random_bytes, random_insns, mixed, mixed, mixed};

    for (uint32_t at = 0; at < CODE_LEN; at += PAGE_SIZE / 4)
        fill[below(ARRAY_COUNT(fill))](image + CODE + at, PAGE_SIZE / 4);
}

/* SHLD and SHRD of 16 bits by more than 16 have no defined result (SDM 2B
 * "SHLD"): make them SETcc. */
static void drop_undefined(void)
{
    for (uint32_t at = CODE; at + 1 < CODE + CODE_LEN; at++)
        if (image[at] == 0x0f && (image[at + 1] & 0xf6) == 0xa4)
            image[at + 1] = 0x94;
}

static void put_image(const struct setup *setup)
{
    memset(image, 0, sizeof(image));
    put_descriptors();
    put_tables(setup);
    put_code();
    drop_undefined();
    random_bytes(image + DATA, 0x1000);
    for (uint32_t at = 0; at < 0x2000; at += 4)
        put32(STACK + at, CODE + below(CODE_LEN));
}

/* ---- Registers ---- */

static uint32_t wild(void)
{
    static const uint32_t edge[] = {0,          1,          0xffffffff,
                                    0xfffffffe, 0xfffff000, 0x1fffff,
                                    0x200000,   0xa0000,    0x7fffffff};

    switch (below(6)) {
    case 0: return edge[below(ARRAY_COUNT(edge))];
    case 1: return rnd();
    case 2: return CODE + below(CODE_LEN);
    case 3: return STACK + below(0x2000);
    case 4: return (DATA + PAGE_SIZE * below(4)) - below(8);
    default: return DATA + below(0x4000);
    }
}

static void put_registers(struct vcpu *v, const struct setup *setup)
{
    struct segment s[DESCRIPTORS];
    const uint16_t fcw = (uint16_t)(below(4) ? 0x37f : 0x340);
    const uint32_t mxcsr = below(4) ? 0x1f80 : 0x1000;

    make_segments(s);
    vcpu_reset(v);
    memset(v->fpu, 0, sizeof(v->fpu));
    memcpy(v->fpu, &fcw, sizeof(fcw));
    memcpy(v->fpu + 24, &mxcsr, sizeof(mxcsr));
    v->cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_WP;
    if (setup->paging)
        v->cr0 |= CR0_PG;
    if (below(8) == 0)
        v->cr0 |= CR0_TS;
    v->cr3 = TABLES;
    v->cr4 = CR4_OSFXSR;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(v, i, &s[setup->user ? UDATA : KDATA]);
    vcpu_set_seg(v, SEG_CS, &s[setup->user ? UCODE : KCODE]);
    vcpu_set_seg(v, SEG_FS, &s[FSDATA]);
    v->tr = s[TASK];
    v->gdtr = (struct table_reg){.base = GDT, .limit = DESCRIPTORS * 8 - 1};
    v->idtr = (struct table_reg){.base = IDT, .limit = 0x7ff};
    v->cpl = setup->user ? 3 : 0;
    vcpu_set_eflags(v, (rnd() & (FLAGS_ARITH | FLAG_DF)) |
                           (setup->user ? FLAG_IOPL : 0));
    for (unsigned i = 0; i < REG_COUNT; i++)
        v->regs[i] = wild();
    if (below(4))
        v->regs[REG_ESP] = STACK + 0x1000 + below(64) * 4;
    if (below(4))
        v->regs[REG_ECX] = below(5000);
    v->eip = below(8) ? CODE + below(CODE_LEN) : 0xfffff000 + below(4096);
}

/* ---- Running ---- */

static void on_alarm(int sig, siginfo_t *info, void *uc)
{
    (void)sig, (void)info;
    if (!running)
        return;
    running->vcpu.kick = 1;
    if (running->bt)
        bt_kicked(running->bt, uc);
}

static void alarm_in(uint32_t us)
{
    struct itimerval timer = {.it_value.tv_usec = us};

    setitimer(ITIMER_REAL, &timer, NULL);
}

static void deliver(struct machine *m)
{
    const struct exc exc = m->vcpu.exc;

    exc_deliver(m->interp, &exc);
}

/* Run the translator to the end or a kick. */
static enum vcpu_exit run_bt(struct machine *m, uint32_t us)
{
    enum vcpu_exit exit;

    m->vcpu.kick = 0;
    running = m;
    alarm_in(us);
    do {
        exit = bt_run(m->bt);
        if (exit == VCPU_EXIT_EXC)
            deliver(m);
    } while (exit == VCPU_EXIT_EXC);
    running = NULL;
    alarm_in(0);
    return m->stop.reason == STOP_NONE ? exit : VCPU_EXIT_STOP;
}

/* Run the interpreter to the same count; false: it takes too long. */
static bool run_interp(struct machine *m, uint64_t retired, bool to_end)
{
    uint64_t deadline = now_ns() + GIVE_UP;
    enum vcpu_exit exit = VCPU_EXIT_BUDGET;

    running = m;
    while (m->stop.reason == STOP_NONE && exit != VCPU_EXIT_HLT &&
           now_ns() < deadline && (to_end || m->vcpu.retired < retired)) {
        uint64_t left = to_end ? 100000 : retired - m->vcpu.retired;

        m->vcpu.kick = 0;
        alarm_in(GIVE_UP / 2000);
        exit = interp_run(m->interp, left < 100000 ? left : 100000);
        if (exit == VCPU_EXIT_EXC)
            deliver(m);
    }
    running = NULL;
    alarm_in(0);
    return now_ns() < deadline;
}

/* The delivery of an exception retires nothing: a kick may come on either side
 * of it. */
static void catch_up(struct machine *m, gip_t eip)
{
    while (m->stop.reason == STOP_NONE && m->vcpu.eip != eip) {
        m->vcpu.kick = 0;
        if (interp_step(m->interp) != VCPU_EXIT_EXC)
            return;
        deliver(m);
    }
}

/* ---- Comparing ---- */

/* FOP, FIP and FDP are not compared. */
static bool same_fpu(const uint8_t *x, const uint8_t *y)
{
    return !memcmp(x, y, 6) && !memcmp(x + 24, y + 24, 4) &&
           !memcmp(x + 32, y + 32, 288 - 32);
}

static const char *differ(const struct machine *a, const struct machine *b,
                          bool count)
{
    const struct vcpu *v = &a->vcpu;
    const struct vcpu *w = &b->vcpu;

    if (a->stop.reason != b->stop.reason)
        return "stop reason";
    if (count && v->retired != w->retired)
        return "retired count";
    if (v->eip != w->eip)
        return "eip";
    if (memcmp(v->regs, w->regs, sizeof(v->regs)))
        return "registers";
    if (vcpu_eflags(v) != vcpu_eflags(w))
        return "eflags";
    if (v->cr2 != w->cr2 || v->cr0 != w->cr0 || v->cr3 != w->cr3)
        return "control registers";
    if (v->cpl != w->cpl || memcmp(v->seg, w->seg, sizeof(v->seg)))
        return "segments";
    if (!same_fpu(v->fpu, w->fpu))
        return "FPU";
    if (memcmp(gmem_base(a->gmem) + DATA, gmem_base(b->gmem) + DATA,
               IMAGE - DATA))
        return "memory";
    return NULL;
}

struct pair {
    struct machine *bt;
    struct machine *interp;
};

static struct totals {
    unsigned runs;
    unsigned kicked;
    unsigned compared;
    uint64_t retired;
} totals;

static void load(const struct pair *p, bool fresh)
{
    const struct machine *m = p->bt;

    memcpy(gmem_base(p->interp->gmem), image, IMAGE);
    memcpy(gmem_base(p->interp->gmem) + IMAGE, gmem_base(m->gmem) + IMAGE,
           RAM_LEN - IMAGE);
    interp_flush_tlb(p->interp->interp);
    memcpy(gmem_base(m->gmem), image, IMAGE);
    interp_flush_tlb(m->interp);
    if (fresh) {
        bt_flush(m->bt);
        return;
    }
    for (uint32_t at = 0; at < IMAGE; at += PAGE_SIZE)
        mmu_ram_stored(m->bt->mmu, at, PAGE_SIZE);
    bt_tlb_flushed(m->bt, true);
}

static void set_start(struct machine *m, const struct vcpu *start)
{
    struct vcpu v = *start;

    v.bt = m->vcpu.bt;
    v.stop = m->vcpu.stop;
    v.stats = m->vcpu.stats;
    m->stop.reason = STOP_NONE;
    m->vcpu = v;
    interp_flush_tlb(m->interp);
    if (m->bt) {
        bt_soft_flush(m->bt);
        bt_tlb_flushed(m->bt, true);
    }
}

/* A run cut in the middle of a string instruction has no counterpart. */
static bool is_at_rep(const struct machine *m)
{
    struct insn_mode mode = {.features = UINT32_MAX, .code32 = true};
    gva_t at = m->vcpu.eip;
    struct insn in;

    if (at >= 0xfffff000)
        at = CODE + (at & PAGE_MASK);
    return at + INSN_MAX_LEN >= IMAGE ||
           insn_decode(&in, mode, gmem_base(m->gmem) + at, INSN_MAX_LEN) !=
               INSN_OK ||
           in.rep != REP_NONE;
}

static void one_run(const struct pair *p, const struct setup *setup)
{
    struct vcpu start = p->bt->vcpu;
    enum vcpu_exit exit;
    const char *what;

    put_registers(&start, setup);
    load(p, below(4) == 0);
    set_start(p->bt, &start);
    set_start(p->interp, &start);
    exit = run_bt(p->bt, RUN_US / 4 + below(RUN_US));
    ck_assert_pstr_eq(tc_verify(p->bt->bt->tc), NULL);
    totals.runs++;
    totals.kicked += exit == VCPU_EXIT_INTR;
    totals.retired += p->bt->vcpu.retired - start.retired;
    if ((exit == VCPU_EXIT_INTR && !setup->count) ||
        p->bt->vcpu.cr0 != start.cr0 || p->bt->vcpu.cr3 != start.cr3 ||
        !run_interp(p->interp, p->bt->vcpu.retired, exit != VCPU_EXIT_INTR))
        return;
    if (exit == VCPU_EXIT_INTR)
        catch_up(p->interp, p->bt->vcpu.eip);
    if (exit == VCPU_EXIT_INTR && is_at_rep(p->interp))
        return;
    totals.compared++;
    what = differ(p->bt, p->interp, setup->count);
    if (what && getenv("FUZZ_DUMP")) {
        vcpu_dump(&start, stdout);
        printf("pte %08x %08x\n", ((uint32_t *)(image + LOW_TABLE))[0x22],
               ((uint32_t *)(image + LOW_TABLE))[0x23]);
        for (unsigned i = 0; i < 64; i++)
            printf(" %02x", image[(start.eip & 0x1ffff) + i]);
        printf("\n");
        printf("exc bt %u %x interp %u %x\n", p->bt->vcpu.exc.vector,
               p->bt->vcpu.exc.error, p->interp->vcpu.exc.vector,
               p->interp->vcpu.exc.error);
        vcpu_dump(&p->bt->vcpu, stdout);
        vcpu_dump(&p->interp->vcpu, stdout);
        for (uint32_t i = DATA; i < IMAGE; i++)
            if (gmem_base(p->bt->gmem)[i] != gmem_base(p->interp->gmem)[i])
                printf("%08x: %02x, not %02x\n", i, gmem_base(p->bt->gmem)[i],
                       gmem_base(p->interp->gmem)[i]);
    }
    ck_assert_msg(!what,
                  "%s (FUZZ_SEED=%#llx, user %d, paging %d, count %d, soft %d)",
                  what, (unsigned long long)first_seed, setup->user,
                  setup->paging, setup->count, setup->soft);
}

static void one_round(const struct setup *setup)
{
    struct pair p = {machine_new(setup, true), machine_new(setup, false)};

    for (unsigned i = 0; i < 10; i++) {
        put_image(setup);
        for (unsigned k = 0; k < 6; k++)
            one_run(&p, setup);
    }
    ck_assert_pstr_eq(bt_verify(p.bt->bt), NULL);
    machine_free(p.bt);
    machine_free(p.interp);
}

START_TEST(hostile_code_gives_the_interpreters_state)
{
    const char *given = getenv("FUZZ_SEED");
    const char *ms = getenv("FUZZ_MS");
    uint64_t end = now_ns() + (ms ? strtoull(ms, NULL, 0) : 4000) * 1000 * 1000;
    uint64_t round = given ? strtoull(given, NULL, 0) : now_ns();

    do {
        struct setup setup;

        seed = first_seed = round;
        if (getenv("FUZZ_DUMP"))
            printf("FUZZ_SEED=%#llx\n", (unsigned long long)round);
        fflush(stdout);
        setup.user = below(2);
        setup.paging = setup.user || below(3);
        setup.count = below(4) != 0;
        setup.soft = below(3);
        one_round(&setup);
        round++;
    } while (now_ns() < end);
    printf("fuzz next_seed=%#llx runs=%u kicked=%u compared=%u retired=%llu\n",
           (unsigned long long)round, totals.runs, totals.kicked,
           totals.compared, (unsigned long long)totals.retired);
}
END_TEST

static void setup_alarm(void)
{
    struct sigaction action = {.sa_sigaction = on_alarm,
                               .sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_RESTART};

    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
}

/* FFFFFFFFh: add eax, imm32, whose immediate would be at 0. The fetch is beyond
 * the limit of CS: #GP. */
START_TEST(an_instruction_beyond_4_gib_is_a_fault)
{
    const struct setup setup = {.paging = true, .count = true};
    struct pair p = {machine_new(&setup, true), machine_new(&setup, false)};
    struct vcpu start = p.bt->vcpu;

    put_image(&setup);
    image[CODE + PAGE_MASK] = 0x05;
    put_registers(&start, &setup);
    start.regs[REG_ESP] = KSTACK;
    start.eip = UINT32_MAX;
    load(&p, true);
    set_start(p.bt, &start);
    set_start(p.interp, &start);
    ck_assert_int_eq(run_bt(p.bt, 500000), VCPU_EXIT_HLT);
    ck_assert(run_interp(p.interp, 0, true));
    ck_assert_pstr_eq(differ(p.bt, p.interp, true), NULL);
    machine_free(p.bt);
    machine_free(p.interp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz");
    TCase *tcase = tcase_create("hostile");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 50);
    tcase_add_checked_fixture(tcase, setup_alarm, NULL);
    tcase_add_test(tcase, an_instruction_beyond_4_gib_is_a_fault);
    tcase_add_test(tcase, hostile_code_gives_the_interpreters_state);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
