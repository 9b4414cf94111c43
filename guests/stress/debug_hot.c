/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints that are switched on, and off again, while code that has run for
 * long goes on: by an interrupt in the middle of a loop, and between the runs of
 * a loop that stores to a whole page.
 */
#include "debug.h"
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/paging.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

enum { HITS = 5, WORDS = PAGE / 4 };

/* In user_page, behind the code's page. */
static volatile uint32_t *counter, *leave;

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, 4);
    return p + 4;
}

static void set_breakpoint(uint32_t n, uint32_t at, uint32_t type, uint32_t len)
{
    switch (n) {
    case 0: write_dr0(at); break;
    case 1: write_dr1(at); break;
    case 2: write_dr2(at); break;
    default: write_dr3(at); break;
    }
    write_dr6(0);
    write_dr7(DR7_ONES | 1u << (2 * n) |
              ((len - 1) << 2 | type) << (16 + 4 * n));
}

/* ---- A loop that is interrupted ---- */

/* again: inc dword [counter]; cmp dword [leave], 0; je again; int 80h */
enum { AT_INC = 0, AT_CMP = 6, AT_JE = 13, AT_END = 15 };

static struct {
    uint32_t start;
    uint32_t n, at, type; /* the breakpoint */
    uint32_t eip;         /* of its exceptions, from the loop's start */
    uint32_t hits, ticks, previous;
} loop;

static bool loop_hook(struct frame *frame)
{
    if (frame->vector != EXC_DB)
        return false;
    CHECK_EQ(frame->eip - loop.start, loop.eip);
    CHECK_EQ(read_dr6() & DR6_CAUSES, 1u << loop.n);
    write_dr6(0);
    if (loop.hits) /* once in each turn */
        CHECK_EQ(*counter, loop.previous + 1);
    loop.previous = *counter;
    loop.hits++;
    CHECK(loop.hits <= HITS);
    if (loop.hits == HITS)
        write_dr7(DR7_ONES);
    if (loop.type == BREAK_EXECUTE)
        frame->eflags |= EF_RF;
    return true;
}

/* The first tick switches the breakpoint on, the one after the last hit ends the
 * loop: nothing may come in between. */
static void loop_irq(struct frame *frame)
{
    uint32_t eip = frame->eip - loop.start;

    if (!(frame->cs & 3))
        return;
    CHECK(eip == AT_INC || eip == AT_CMP || eip == AT_JE || eip == AT_END);
    if (loop.ticks++ == 0)
        set_breakpoint(loop.n, loop.at, loop.type,
                       loop.type == BREAK_EXECUTE ? 1 : 4);
    else if (loop.hits == HITS)
        *leave = 1;
}

static void make_loop(void)
{
    uint8_t *start = user_page + random_below(PAGE / 2);
    uint8_t *p = start;

    *p++ = 0xFF;
    *p++ = 0x05;
    p = put_u32(p, (uint32_t)counter);
    *p++ = 0x83;
    *p++ = 0x3D;
    p = put_u32(p, (uint32_t)leave);
    *p++ = 0;
    *p++ = 0x74;
    *p++ = (uint8_t)-15;
    *p++ = 0xCD;
    *p++ = 0x80;
    loop.start = (uint32_t)start;
}

static void interrupted_loop(void)
{
    stress_doing = "a breakpoint that an interrupt sets";
    make_loop();
    loop.n = random_below(4);
    loop.hits = loop.ticks = 0;
    switch (random_below(4)) {
    case 0:
        loop.type = BREAK_WRITE;
        loop.at = (uint32_t)counter;
        loop.eip = AT_CMP;
        break;
    case 1:
        loop.type = BREAK_ACCESS;
        loop.at = (uint32_t)leave;
        loop.eip = AT_JE;
        break;
    default:
        loop.type = BREAK_EXECUTE;
        loop.eip = one_in(2) ? AT_INC : AT_JE;
        loop.at = loop.start + loop.eip;
        break;
    }
    *leave = 0;
    trap_hook = loop_hook;
    irq_hook = loop_irq;
    timer_start(1000);
    user_run((void *)loop.start, 0);
    timer_stop();
    trap_hook = NULL;
    irq_hook = NULL;
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(last.eip - loop.start, AT_END + 2);
    CHECK_EQ(loop.hits, HITS);
    stress_note(NOTE_BREAK_BY_IRQ);
}

/* ---- A page that is stored to all over ---- */

static struct {
    uint32_t word, eip, hits;
} page;

static bool page_hook(struct frame *frame)
{
    if (frame->vector != EXC_DB)
        return false;
    CHECK_EQ(frame->eip, page.eip);
    CHECK_EQ(frame->ecx, page.word);
    CHECK_EQ(read_dr6() & DR6_CAUSES, 1);
    write_dr6(0);
    page.hits++;
    return true;
}

/* mov ecx, WORDS - 1; again: mov [area + 4 * ecx], eax; dec ecx; jns again */
static void stored_page(void)
{
    uint32_t area = (uint32_t)user_page + 2 * PAGE;
    uint8_t *start = user_page + random_below(PAGE / 2);
    uint8_t *p = start;

    stress_doing = "a breakpoint in a hot page";
    *p++ = 0xB9;
    p = put_u32(p, WORDS - 1);
    *p++ = 0x89;
    *p++ = 0x04;
    *p++ = 0x8D;
    p = put_u32(p, area);
    page.eip = (uint32_t)p;
    memcpy(p, "\x49\x79\xF6\xCD\x80", 5);
    trap_hook = page_hook;
    for (uint32_t k = 0; k < 6; k++) {
        page.word = random_below(WORDS);
        page.hits = 0;
        if (k & 1)
            set_breakpoint(0, area + 4 * page.word + random_below(4),
                           BREAK_WRITE, 1);
        user_run(start, k);
        write_dr7(DR7_ONES);
        CHECK_EQ(last.vector, VECTOR_EXIT);
        CHECK_EQ(page.hits, k & 1);
        CHECK_EQ(*mem32(area + 4 * page.word), k);
    }
    trap_hook = NULL;
    stress_note(NOTE_BREAK_HOT_PAGE);
}

void debug_hot_round(void)
{
    counter = (volatile uint32_t *)(user_page + PAGE * 3);
    leave = counter + 16;
    for (uint32_t i = 0; i < 4; i++)
        interrupted_loop();
    for (uint32_t i = 0; i < 3; i++)
        stored_page();
}
