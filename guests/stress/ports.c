/* SPDX-License-Identifier: MIT */
/*
 * Who may touch ports and IF: IOPL, and the bitmap of the TSS (SDM Vol.1 "I/O
 * Permission Bit Map"). The TSS lies across pages, so that the two bytes of the
 * map that the processor reads may be in two, of which one is missing; the limit
 * of the TSS may end in front of them, or between them.
 */
#include "debug.h"
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/paging.h"
#include "lib/trap.h"
#include "stress.h"

#define TSS_VA 0x5C000000u

enum { TSS_PAGES = 4, IO_MAP_BASE = 102, PORTS = 200, FLAGS = 60 };

/* Nobody answers, or nobody minds (80h takes bytes). */
static const uint16_t port_groups[] = {DEBUG_PORT, 0x1240, 0x80};

static uint32_t frames[TSS_PAGES]; /* contiguous */
static struct {
    uint32_t base, limit, map;
    uint32_t absent; /* a page of it; 0 is always there */
} task;
static struct {
    uint32_t port, size;
    uint32_t at; /* eip of the instruction */
    uint32_t faults;
} try;

/* ---- The model ---- */

static uint8_t task_byte(uint32_t offset)
{
    return *mem8(frames[0] + (task.base + offset - TSS_VA));
}

static bool map_allows(void)
{
    uint32_t offset = task.map + try.port / 8;
    uint32_t bits;

    if (task.limit < IO_MAP_BASE + 1 || offset + 1 > task.limit) {
        stress_note(NOTE_PORT_LIMIT);
        return false;
    }
    bits = task_byte(offset) | task_byte(offset + 1) << 8;
    if (try.port % 8 + try.size > 8)
        stress_note(NOTE_PORT_TWO_BYTES);
    return !(bits >> (try.port % 8) & ((1u << try.size) - 1));
}

/* The first byte of the map that is read and missing; 0 if none is. */
static uint32_t missing_byte(void)
{
    uint32_t offset = task.map + try.port / 8;

    if (task.limit < IO_MAP_BASE + 1 || offset + 1 > task.limit)
        return 0;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t va = task.base + offset + i;

        if (task.absent && (va - TSS_VA) / PAGE == task.absent)
            return va;
    }
    return 0;
}

/* ---- A TSS ---- */

static void map_task(uint32_t page, bool there)
{
    map(TSS_VA + page * PAGE, frames[page], there ? PG_P | PG_W : 0);
}

static void fill_bits(void)
{
    for (uint32_t i = 0; i < TSS_PAGES * PAGE; i++) {
        uint32_t kind = random_below(4);

        *mem8(frames[0] + i) = kind == 0   ? 0xFF
                               : kind == 1 ? (uint8_t)random_u32()
                                           : 0;
    }
}

/* Lay the TSS so that the port's byte of the map comes where it is awkward. */
static void lay_task(void)
{
    uint32_t offset; /* of the byte in the TSS */
    uint32_t index = try.port / 8;

    task.base = TSS_VA + random_below(PAGE - IO_MAP_BASE - 2);
    if (one_in(2)) /* the last byte of a page, or close to it */
        offset = TSS_VA + (1 + index / PAGE + random_below(2)) * PAGE -
                 random_below(3) - task.base;
    else
        offset = index + random_below(PAGE);
    if (offset < index)
        offset = index;
    task.map = offset - index;
    switch (random_below(6)) {
    case 0: task.limit = offset - 1 + random_below(4); break;
    case 1: task.map = 0xFFFF - random_below(16); /* fall through */
    default: task.limit = TSS_PAGES * PAGE - (task.base - TSS_VA) - 1; break;
    }
    if (task.limit < IO_MAP_BASE)
        task.limit = IO_MAP_BASE; /* ESP0 and SS0 are needed */
}

static void load_task(void)
{
    static uint8_t stack[PAGE * 2] ALIGNED(16);
    struct tss *tss_here = (struct tss *)(frames[0] + (task.base - TSS_VA));

    memset(tss_here, 0, IO_MAP_BASE + 2);
    tss_here->esp0 = (uint32_t)stack + sizeof(stack);
    tss_here->ss0 = KERNEL_DATA;
    tss_here->iomap = (uint16_t)task.map;
    gdt[TSS_SELECTOR / 8] = segment(task.base, task.limit, SEG_TSS, 0);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR) : "memory");
}

/* ---- Ports ---- */

static bool ports_hook(struct frame *frame)
{
    if (frame->vector != EXC_PF)
        return false;
    CHECK_EQ(last_cr2, missing_byte());
    CHECK_EQ(frame->error, 0); /* the processor's own read */
    CHECK_EQ(frame->eip, try.at);
    map_task(task.absent, true);
    task.absent = 0;
    try.faults++;
    return true;
}

static uint8_t *put_mov(uint8_t *p, uint32_t reg, uint32_t value)
{
    *p++ = (uint8_t)(0xB8 + reg);
    memcpy(p, &value, 4);
    return p + 4;
}

/* mov edx, port; mov esi, edi, ecx; the instruction; int 80h. */
static uint8_t *put_access(uint8_t *p)
{
    static const uint8_t opcodes[] = {0xEC, 0xEE, 0x6C, 0x6E};
    uint32_t kind = random_below(4);

    p = put_mov(p, 1, 1 + random_below(3));
    p = put_mov(p, 2, try.port);
    p = put_mov(p, 6, (uint32_t)user_page + 2 * PAGE);
    p = put_mov(p, 7, (uint32_t)user_page + 3 * PAGE);
    try.at = (uint32_t)p;
    if (kind >= 2 && one_in(2))
        *p++ = 0xF3;
    if (try.size == 2)
        *p++ = 0x66;
    if (try.port < 0x100 && kind < 2 && one_in(2)) {
        *p++ = (uint8_t)(0xE4 + 2 * kind); /* by a byte of the instruction */
        *p++ = (uint8_t)try.port;
    } else {
        *p++ = opcodes[kind] | (try.size > 1);
    }
    return p;
}

static void enter(uint32_t ring, const void *code, uint32_t flags)
{
    if (ring == 3)
        user_run_flags(code, 0, flags);
    else
        ring_run(ring, code, flags);
}

static void one_access(void)
{
    uint32_t ring = one_in(3) ? 1 + random_below(2) : 3;
    uint32_t iopl = random_below(4);
    uint8_t *start = user_page + random_below(PAGE);
    bool allowed = true;
    uint8_t *p;

    try.port = port_groups[random_below(3)];
    try.size = try.port == 0x80 ? 1 : 1u << random_below(3);
    if (try.port != 0x80)
        try.port += random_below(16);
    try.faults = 0;
    lay_task();
    load_task();
    task.absent = one_in(2) ? 1 + random_below(TSS_PAGES - 1) : 0;
    for (uint32_t i = 0; i < TSS_PAGES; i++)
        map_task(i, i != task.absent || !i);
    p = put_access(start);
    *p++ = 0xCD;
    *p++ = 0x80;
    if (ring > iopl)
        allowed = map_allows();
    stress_note(ring <= iopl ? NOTE_PORT_IOPL
                : allowed    ? NOTE_PORT_ALLOWED
                             : NOTE_PORT_DENIED);
    for (uint32_t times = 2; times; times--) {
        enter(ring, start, 2 | iopl << 12);
        CHECK_EQ(last.vector, allowed ? VECTOR_EXIT : EXC_GP);
        CHECK_EQ(last.eip, allowed ? (uint32_t)p : try.at);
        CHECK_EQ(last.error, 0);
        CHECK_EQ(last.eflags & EF_IOPL, iopl << 12);
        CHECK(ring > iopl ? !missing_byte() : !try.faults);
    }
    if (try.faults)
        stress_note(NOTE_PORT_FAULT);
}

/* ---- IF ---- */

enum { CLI, STI, POPF, POPF16, IRET, CHANGES };

static uint8_t *put_push(uint8_t *p, uint32_t value)
{
    *p++ = 0x68;
    memcpy(p, &value, 4);
    return p + 4;
}

/* The change; pushfd; pop eax; int 80h. */
static void put_change(uint8_t *p, uint32_t kind, uint32_t image)
{
    static const uint8_t tail[] = {0x9C, 0x58, 0xCD, 0x80};

    switch (kind) {
    case CLI: *p++ = 0xFA; break;
    case STI: *p++ = 0xFB; break;
    case POPF:
        p = put_push(p, image);
        *p++ = 0x9D;
        break;
    case POPF16:
        p = put_push(p, image << 16);
        memcpy(p, "\x66\x59\x66\x9D", 4); /* pop cx; popf */
        p += 4;
        break;
    case IRET:
        p = put_push(p, image);
        *p++ = 0x0E; /* push cs */
        p = put_push(p, (uint32_t)p + 6);
        *p++ = 0xCF;
        break;
    }
    memcpy(p, tail, sizeof(tail));
}

/* SDM Vol.2 "CLI", "STI", "POPF", "IRET": above IOPL the former two fault, the
 * latter two leave IF alone; IOPL itself is ring 0's. */
static void one_change(void)
{
    uint32_t ring = 1 + random_below(3), iopl = random_below(4);
    uint32_t kind = random_below(CHANGES);
    uint32_t before = one_in(2) ? EF_IF : 0, after;
    uint32_t image = 2 | (one_in(2) ? EF_IF : 0) | random_below(4) << 12;
    uint8_t *start = user_page + random_below(PAGE);

    put_change(start, kind, image);
    enter(ring, start, 2 | iopl << 12 | before);
    if (ring > iopl && kind <= STI) {
        stress_note(NOTE_IF_DENIED);
        CHECK_EQ(last.vector, EXC_GP);
        CHECK_EQ(last.error, 0);
        CHECK_EQ(last.eip, (uint32_t)start);
        CHECK_EQ(last.eflags & (EF_IF | EF_IOPL), before | iopl << 12);
        return;
    }
    after = kind == CLI ? 0 : kind == STI ? EF_IF : image & EF_IF;
    if (ring > iopl)
        after = before;
    stress_note(ring > iopl ? NOTE_IF_KEPT : NOTE_IF_CHANGED);
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(last.eax & (EF_IF | EF_IOPL), after | iopl << 12);
}

void ports_round(void)
{
    stress_doing = "IF and IOPL";
    for (uint32_t i = 0; i < FLAGS; i++)
        one_change();
    stress_doing = "ports and the I/O map";
    for (uint32_t i = 0; i < TSS_PAGES; i++)
        frames[i] = frame_alloc();
    for (uint32_t i = 0; i < TSS_PAGES; i++)
        map_task(i, true);
    trap_hook = ports_hook;
    for (uint32_t i = 0; i < PORTS; i++) {
        if (i % 16 == 0)
            fill_bits();
        one_access();
    }
    trap_hook = NULL;
    desc_init(); /* the library's TSS again */
}
