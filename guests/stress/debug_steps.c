/* SPDX-License-Identifier: MIT */
/*
 * Single steps from one ring to the other and back, over HLT; a breakpoint that is
 * met in a handler; the debug registers as such.
 */
#include "debug.h"
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/trap.h"
#include "stress.h"

enum { STOPS_MAX = 8 };

static struct {
    uint32_t eip[STOPS_MAX], cs[STOPS_MAX];
    uint32_t count, next;
} stops;

static void stop_at(const uint8_t *eip, uint32_t cs)
{
    stops.eip[stops.count] = (uint32_t)eip;
    stops.cs[stops.count++] = cs;
}

static bool stops_hook(struct frame *frame)
{
    if (frame->vector == VECTOR_EXIT && !(frame->cs & 3)) {
        frame->eip = (uint32_t)debug_leave;
        frame->eflags = 2;
        return true;
    }
    if (frame->vector != EXC_DB)
        return false;
    CHECK(stops.next < stops.count);
    CHECK_EQ(frame->eip, stops.eip[stops.next]);
    CHECK_EQ(frame->cs, stops.cs[stops.next]);
    CHECK_EQ(frame->eflags & (EF_TF | EF_RF), EF_TF);
    CHECK_EQ(read_dr6() & DR6_CAUSES, DR6_BS);
    write_dr6(0);
    stops.next++;
    return true;
}

static void run_stops(const uint8_t *code, bool user)
{
    stops.next = 0;
    write_dr6(0);
    trap_hook = stops_hook;
    if (user)
        user_run_flags(code, 0, EF_TF | 2);
    else
        debug_enter((uint32_t)code, (uint32_t)user_stack_end, EF_TF | 2);
    trap_hook = NULL;
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(stops.next, stops.count);
    stops.count = 0;
}

/* ---- Ways to ring 0 ---- */

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, 4);
    return p + 4;
}

/* SYSENTER leaves TF alone (SDM Vol.2B "SYSENTER"), and so does SYSEXIT.
 *   mov ecx, esp; mov edx, back; sysenter; back: nop; int 80h
 *   entry: nop; sysexit */
static void step_sysenter(void)
{
    static uint8_t stack[PAGE] ALIGNED(16);
    uint8_t *code = user_page + random_below(PAGE);
    uint8_t *entry = user_page + 2 * PAGE + random_below(PAGE);
    uint8_t *p = code;

    stress_doing = "single steps through SYSENTER";
    memcpy(entry, "\x90\x0F\x35", 3);
    *p++ = 0x89;
    *p++ = 0xE1;
    *p++ = 0xBA;
    p = put_u32(p, (uint32_t)p + 4 + 2);
    memcpy(p, "\x0F\x34\x90\xCD\x80", 5);
    wrmsr(MSR_SYSENTER_CS, KERNEL_CODE);
    wrmsr(MSR_SYSENTER_ESP, (uint32_t)stack + sizeof(stack));
    wrmsr(MSR_SYSENTER_EIP, (uint32_t)entry);
    stop_at(code + 2, USER_CODE);
    stop_at(p, USER_CODE);
    stop_at(entry, KERNEL_CODE);
    stop_at(entry + 1, KERNEL_CODE);
    stop_at(p + 2, USER_CODE);
    stop_at(p + 3, USER_CODE);
    run_stops(code, true);
}

/* call far gate; nop; int 80h
 * entry: nop; retf */
static void step_call_gate(void)
{
    uint8_t *code = user_page + random_below(PAGE);
    uint8_t *entry = user_page + 2 * PAGE + random_below(PAGE);
    uint32_t selector;
    uint8_t *p = code;

    stress_doing = "single steps through a call gate";
    selector = slot_set(
        SLOT_TEST, gate(KERNEL_CODE, (uint32_t)entry, GATE_CALL | SEG_DPL3, 0));
    memcpy(entry, "\x90\xCB", 2);
    *p++ = 0x9A;
    p = put_u32(p, 0);
    *p++ = (uint8_t)(selector | 3);
    *p++ = 0;
    memcpy(p, "\x90\xCD\x80", 3);
    stop_at(entry, KERNEL_CODE);
    stop_at(entry + 1, KERNEL_CODE);
    stop_at(p, USER_CODE);
    stop_at(p + 1, USER_CODE);
    run_stops(code, true);
}

/* nop; hlt; nop; int 80h, with IF clear: a debug exception ends HLT (SDM Vol.2A
 * "HLT"). QEMU sleeps first. */
static void step_hlt(void)
{
    uint8_t *code = user_page + random_below(PAGE);

    if (on_tcg)
        return;
    stress_doing = "a single step over HLT";
    memcpy(code, "\x90\xF4\x90\xCD\x80", 5);
    stop_at(code + 1, KERNEL_CODE);
    stop_at(code + 2, KERNEL_CODE);
    stop_at(code + 3, KERNEL_CODE);
    run_stops(code, false);
}

/* ---- The registers ---- */

static bool note_int1(struct frame *frame)
{
    return frame->vector == EXC_DB;
}

/* INT1 is a trap without a cause in DR6 (SDM Vol.2A "INT n/INTO/INT3/INT1"); the
 * gate's DPL does not matter. QEMU raises #UD. */
static void int1(void)
{
    static const uint8_t code[] = {0x90, 0xF1, 0x90};
    uint32_t dr6 = one_in(2) ? 0 : DR6_BS;

    if (on_tcg)
        return;
    stress_doing = "INT1";
    write_dr6(dr6);
    trap_hook = note_int1;
    user_run_bytes(code, sizeof(code));
    trap_hook = NULL;
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(trap_count, 2);
    CHECK_EQ(read_dr6() & DR6_CAUSES, dr6);
}

/* SDM Vol.3B "Debug Registers DR4 and DR5", "Debug Status Register (DR6)", "Debug
 * Control Register (DR7)": which bits are fixed. */
static void registers(void)
{
    uint32_t kept = on_tcg ? 1 << 12 : 0; /* of DR6; it is 0 elsewhere */
    uint32_t value = random_u32(), got = 0;

    stress_doing = "debug registers";
    write_dr3(value);
    __asm__ volatile("mov %0, dr3" : "=r"(got));
    CHECK_EQ(got, value);
    write_dr6(value);
    CHECK_EQ(read_dr6() & 0xFFFF1FFF & ~kept, (value & 0xF) | 0xFFFF0FF0);
    value &= ~(uint32_t)(DR7_GD | 0xFF);
    write_dr7(value);
    CHECK_EQ(read_dr7() & 0xFFFF27FF, (value & 0xFFFF0300) | DR7_ONES);
    TRY("mov %0, dr5", : "+r"(got));
    CHECK_EQ(last.vector, EXC_UD); /* CR4.DE is set */
    write_cr4(read_cr4() & ~(uint32_t)CR4_DE);
    TRY("mov %0, dr5", : "+r"(got));
    CHECK_EQ(last.vector, NO_TRAP);
    CHECK_EQ(got, read_dr7());
    write_cr4(read_cr4() | CR4_DE);
    write_dr6(0);
    write_dr7(DR7_ONES);
}

/* ---- RF ---- */

/* pushfd; pop eax; pushfd; pop ecx; int 80h, from an IRET with RF: neither image
 * has it (SDM Vol.2B "PUSHF/PUSHFD"). */
static void pushed_rf(void)
{
    static const uint8_t code[] = {0x9C, 0x58, 0x9C, 0x59, 0xCD, 0x80};
    uint8_t *start = user_page + random_below(PAGE);

    stress_doing = "PUSHF with RF";
    memcpy(start, code, sizeof(code));
    for (uint32_t times = 4; times; times--) {
        user_run_flags(start, 0, EF_RF | EF_IF | 2);
        CHECK_EQ(last.vector, VECTOR_EXIT);
        CHECK_EQ(last.eax & (EF_RF | EF_IF), EF_IF);
        CHECK_EQ(last.ecx & (EF_RF | EF_IF), EF_IF);
        if (!on_tcg) /* which does not clear RF behind every instruction */
            CHECK_EQ(last.eflags & EF_RF, 0);
    }
}

/* ---- Breakpoints in a handler ---- */

static uint32_t handler_of(uint32_t vector)
{
    return (uint32_t)(idt[vector] & 0xFFFF) |
           (uint32_t)(idt[vector] >> 32 & 0xFFFF0000);
}

static uint32_t handler_hits;

static bool handler_hook(struct frame *frame)
{
    if (frame->vector != EXC_DB)
        return false;
    CHECK_EQ(frame->eip, handler_of(EXC_UD));
    CHECK_EQ(frame->cs, KERNEL_CODE);
    CHECK_EQ(frame->eflags & (EF_TF | EF_RF | EF_IF), 0);
    CHECK_EQ(read_dr6() & DR6_CAUSES, 1 << 2);
    write_dr6(0);
    frame->eflags |= EF_RF;
    handler_hits++;
    return true;
}

/* UD2 with RF set: RF is clear in the handler, whose first instruction has a
 * breakpoint, and set in the image. */
static void break_at_handler(void)
{
    uint8_t *code = user_page + random_below(PAGE);

    stress_doing = "a breakpoint at a handler";
    memcpy(code, "\x0F\x0B", 2);
    write_dr2(handler_of(EXC_UD));
    write_dr6(0);
    write_dr7(DR7_ONES | 1 << 4);
    handler_hits = 0;
    trap_hook = handler_hook;
    user_run_flags(code, 0, EF_RF | EF_TF | 2);
    trap_hook = NULL;
    write_dr7(DR7_ONES);
    CHECK_EQ(handler_hits, 1);
    CHECK_EQ(last.vector, EXC_UD);
    CHECK_EQ(last.eip, (uint32_t)code);
    CHECK_EQ(last.eflags & EF_TF, EF_TF);
    if (!on_tcg) /* debug_hook() of debug.c says why */
        CHECK_EQ(last.eflags & EF_RF, EF_RF);
}

static struct {
    uint32_t vector, entry, eip;
    uint32_t seen;
} held;

static bool held_hook(struct frame *frame)
{
    if (held.seen++ == 0) {
        CHECK_EQ(frame->vector, EXC_DB);
        CHECK_EQ(frame->cs, KERNEL_CODE);
        CHECK_EQ(frame->eip, held.entry);
        CHECK_EQ(frame->eflags & (EF_TF | EF_RF | EF_IF), 0);
        CHECK_EQ(read_dr6() & DR6_CAUSES, 1);
        write_dr6(0);
        return true;
    }
    CHECK(held.seen == 2 || frame->vector == VECTOR_EXIT);
    if (frame->vector == VECTOR_EXIT)
        return false;
    CHECK_EQ(frame->vector, held.vector);
    CHECK_EQ(frame->cs, USER_CODE);
    CHECK_EQ(frame->eip, held.eip);
    return true;
}

static bool based_hook(struct frame *frame)
{
    if (frame->vector != EXC_DB)
        return false;
    CHECK_EQ(frame->cs, stops.cs[0]);
    CHECK_EQ(frame->eip, stops.eip[0]);
    CHECK_EQ(read_dr6() & DR6_CAUSES, 1 << 3);
    write_dr6(0);
    frame->eflags |= EF_RF;
    handler_hits++;
    return true;
}

/* jmp far selector:offset; there: nop; int 80h, in a segment with a base. The
 * breakpoint is at the linear address. QEMU crashes. */
static void break_in_segment(void)
{
    const uint32_t base = 0x1000 * random_below(100) + random_below(16);
    uint8_t *code = user_page + random_below(PAGE);
    uint32_t selector =
        slot_set(SLOT_TEST + 2,
                 segment(base, 0xFFFFF, SEG_CODE_XR | SEG_DPL3, SEG_FLAT)) |
        3;
    uint8_t *p = code;

    if (on_tcg)
        return;
    stress_doing = "a breakpoint in a segment with a base";
    *p++ = 0xEA;
    p = put_u32(p, (uint32_t)p + 6 - base);
    *p++ = (uint8_t)selector;
    *p++ = 0;
    memcpy(p, "\x90\x90\xCD\x80", 4);
    stops.eip[0] = (uint32_t)p + 1 - base;
    stops.cs[0] = selector;
    for (uint32_t times = 0; times < 4; times++) {
        write_dr3((uint32_t)p + 1);
        write_dr6(0);
        write_dr7(DR7_ONES | (times & 1) << 6);
        handler_hits = 0;
        trap_hook = based_hook;
        user_run(code, 0);
        trap_hook = NULL;
        write_dr7(DR7_ONES);
        CHECK_EQ(last.vector, VECTOR_EXIT);
        CHECK_EQ(last.cs, selector);
        CHECK_EQ(handler_hits, times & 1);
    }
}

/* A load of SS holds its data breakpoint back until the boundary behind the next
 * instruction (SDM Vol.3A "Masking Exceptions and Interrupts When Switching
 * Stacks"): behind INT n, that is in the handler. Not so in QEMU.
 *   mov ss, [at]; int n; int 80h */
static void held_breakpoint(void)
{
    volatile uint32_t *at = (volatile uint32_t *)(user_page + 2 * PAGE);
    uint8_t *code = user_page + random_below(PAGE);
    uint8_t *p = code;

    if (on_tcg)
        return;
    stress_doing = "INT behind a load of SS that meets a breakpoint";
    held.vector = one_in(2) ? EXC_BP : VECTOR_CALL;
    held.entry = handler_of(held.vector);
    *at = USER_DATA;
    *p++ = 0x8E;
    *p++ = 0x15;
    p = put_u32(p, (uint32_t)at);
    if (held.vector == EXC_BP) {
        *p++ = 0xCC;
    } else {
        *p++ = 0xCD;
        *p++ = VECTOR_CALL;
    }
    held.eip = (uint32_t)p;
    memcpy(p, "\xCD\x80", 2);
    held.seen = 0;
    write_dr0((uint32_t)at);
    write_dr6(0);
    write_dr7(DR7_ONES | 1 | BREAK_ACCESS << 16 | 1 << 18);
    trap_hook = held_hook;
    user_run(code, 0);
    trap_hook = NULL;
    write_dr7(DR7_ONES);
    CHECK_EQ(held.seen, 3);
    stress_note(NOTE_BREAK_BEHIND_INT);
}

void debug_steps_round(void)
{
    debug_open_call();
    for (uint32_t i = 0; i < 4; i++) {
        step_sysenter();
        step_call_gate();
        step_hlt();
        int1();
        pushed_rf();
        break_at_handler();
        break_in_segment();
        held_breakpoint();
        registers();
        stress_note(NOTE_DEBUG_STEP_RING);
    }
}
