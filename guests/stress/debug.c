/* SPDX-License-Identifier: MIT */
/*
 * Single steps and breakpoints: random programs run in ring 3 and ring 0, first
 * without either, so that a translator has their code, then with. Every trap has
 * to be the next one of the model's list (debug_model.c).
 */
#include "debug.h"

#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/paging.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

enum { PROGRAMS = 12 };

__asm__(".text\n"
        ".globl debug_enter, debug_leave\n"
        "debug_enter:\n"
        "    pushad\n"
        "    mov [debug_esp], esp\n"
        "    mov eax, [esp + 36]\n"
        "    mov ecx, [esp + 40]\n"
        "    mov edx, [esp + 44]\n"
        "    mov esp, ecx\n"
        "    push edx\n"
        "    push cs\n"
        "    push eax\n"
        "    iretd\n"
        "debug_leave:\n"
        "    mov esp, [debug_esp]\n"
        "    popad\n"
        "    ret\n"
        ".lcomm debug_esp, 4\n");

static uint32_t code[2], data[2], demand[DEMAND_PAGES]; /* frames */
static struct program program;
static struct expected expected;
static uint32_t next; /* event */

static void load_regs(const struct debug_regs *regs)
{
    write_dr0(regs->dr[0]);
    write_dr1(regs->dr[1]);
    write_dr2(regs->dr[2]);
    write_dr3(regs->dr[3]);
    write_dr7(regs->dr7);
}

/* ---- Every trap against the list ---- */

static void tell(const struct event *event, const struct frame *frame)
{
    const struct program *p = &program;

    print("event %u of %u: vector %u eip %x esp %x flags %x, expected %u %x %x "
          "%x, ring %u\n",
          next, expected.count, frame->vector, frame->eip,
          frame->cs & 3 ? frame->user_esp : (uint32_t)&frame->user_esp,
          frame->eflags, event->vector, event->eip, event->esp, event->flags,
          p->user ? 3 : 0);
    for (uint32_t i = 0; i < p->ops; i++) {
        uint32_t at = p->at + p->op[i].at;

        if (at > event->eip + 16 || at + 16 < event->eip)
            continue;
        print("  %x:", at);
        for (uint32_t k = 0; k < p->op[i].len; k++)
            print(" %x", p->bytes[p->op[i].at + k]);
        print("\n");
    }
}

#define MATCH(got, want)        \
    do {                        \
        if ((got) != (want))    \
            tell(event, frame); \
        CHECK_EQ(got, want);    \
    } while (0)

static void check_dr6(const struct event *event, const struct frame *frame)
{
    uint32_t dr6 = read_dr6();

    MATCH(dr6 & ~(uint32_t)DR6_CAUSES, 0xFFFF0FF0u);
    MATCH(dr6 & DR6_CAUSES & ~(event->may & ~event->dr6), event->dr6);
    MATCH(read_dr7() & DR7_GD, 0);
    write_dr6(event->dr6_left);
}

static void check_event(const struct event *event, const struct frame *frame)
{
    uint32_t mask = DEBUG_FLAGS;

    if (event->any_rf || on_tcg)
        mask &= ~(uint32_t)EF_RF;
    MATCH(frame->vector, event->vector);
    MATCH(frame->eip, event->eip);
    /* QEMU says that a load faulted where something is loaded and stored to. */
    if (frame->vector != EXC_PF || !on_tcg)
        MATCH(frame->error, event->error);
    MATCH(frame->cs, program.user ? USER_CODE : KERNEL_CODE);
    MATCH(frame->cs & 3 ? frame->user_esp : (uint32_t)&frame->user_esp,
          event->esp);
    MATCH(frame->eflags & mask, event->flags & mask);
    if (frame->vector == EXC_PF)
        MATCH(last_cr2, event->cr2);
    if (frame->vector == EXC_DB)
        check_dr6(event, frame);
}

static void give_page(uint32_t page)
{
    if (page == DEBUG_CODE + PAGE)
        map(page, code[1], PG_P | PG_U);
    else
        map(page, demand[(page - DEBUG_DEMAND) / PAGE], PG_P | PG_W | PG_U);
}

static bool end(struct frame *frame)
{
    if (program.user)
        return false;
    frame->eip = (uint32_t)debug_leave;
    frame->eflags = 2;
    return true;
}

static bool debug_hook(struct frame *frame)
{
    const struct event *event = &expected.event[next];

    check_event(event, frame);
    next++;
    /* QEMU pushes RF as it is, which is clear: the manual wants it set for a
     * fault, and for a trap between two iterations of a REP. What is executed
     * next depends on it. */
    if (on_tcg)
        frame->eflags =
            (frame->eflags & ~(uint32_t)EF_RF) | (event->flags & EF_RF);
    if (event->note != NOTE_COUNT)
        stress_note(event->note);
    switch (event->action) {
    case DO_RESUME: frame->eflags |= EF_RF; break;
    case DO_DISABLE: write_dr7(event->arg); break;
    case DO_SKIP: frame->eip += event->arg; break;
    case DO_MAP: give_page(event->arg); break;
    case DO_DEBUG: load_regs(&debug_choices[event->arg]); break;
    case DO_STEP: frame->eflags |= EF_TF; break;
    case DO_NOT_STEP: frame->eflags &= ~(uint32_t)EF_TF; break;
    case DO_END: return end(frame);
    }
    return true;
}

/* ---- Programs ---- */

static const struct debug_regs no_regs = {.dr7 = DR7_ONES};

/* False when the manual leaves open what happens. */
static bool run(const struct debug_regs *regs, bool stepping)
{
    bool whole = program.at + program.len <= DEBUG_CODE + PAGE || one_in(2);
    uint32_t flags = program.flags | 2 | (stepping ? EF_TF : 0);

    debug_model(&program, regs, stepping, whole, &expected);
    if (expected.unclear)
        return false;
    for (uint32_t i = 0; i < DEMAND_PAGES; i++)
        map(DEBUG_DEMAND + i * PAGE, 0, 0);
    map(DEBUG_CODE + PAGE, whole ? code[1] : 0, whole ? PG_P | PG_U : 0);
    next = 0;
    write_dr6(0);
    if (program.flags & EF_IF && one_in(2))
        timer_start(4000);
    load_regs(regs);
    if (program.user)
        user_run_at((void *)program.at, program.esp, flags);
    else
        debug_enter(program.at, program.esp, flags);
    write_dr7(DR7_ONES);
    timer_stop();
    CHECK_EQ(next, expected.count);
    return true;
}

static void make_program(void)
{
    program.user = one_in(2);
    program.flags = (one_in(2) ? EF_IF : 0) | (one_in(2) ? EF_IOPL : 0);
    program.at = DEBUG_CODE + random_below(PAGE + 200);
    program.esp = (uint32_t)user_stack_end - random_below(4) * 4;
    debug_program(&program);
    memcpy((void *)(code[0] + program.at - DEBUG_CODE), program.bytes,
           program.len);
    stress_note(program.user ? NOTE_DEBUG_PROGRAM_3 : NOTE_DEBUG_PROGRAM_0);
}

static void make_pages(void)
{
    for (uint32_t i = 0; i < 2; i++)
        code[i] = frame_alloc(); /* contiguous */
    for (uint32_t i = 0; i < 2; i++)
        map(DEBUG_CODE + i * PAGE, code[i], PG_P | PG_U);
    for (uint32_t i = 0; i < 2; i++) {
        data[i] = frame_alloc();
        map(DEBUG_DATA + i * PAGE, data[i], PG_P | PG_W | PG_U);
        map(DEBUG_ALIAS + i * PAGE, data[i], PG_P | PG_W | PG_U);
    }
    for (uint32_t i = 0; i < DEMAND_PAGES; i++) {
        demand[i] = frame_alloc();
        map(DEBUG_DEMAND + i * PAGE, 0, 0);
    }
}

void debug_open_call(void)
{
    idt[VECTOR_CALL] |= (uint64_t)SEG_DPL3 << 40;
}

static void programs_round(void)
{
    struct debug_regs regs;

    debug_open_call();
    slot_set(SLOT_TEST,
             segment(DEBUG_FS_BASE, 0xFFFFF, SEG_DATA_RW | SEG_DPL3, SEG_FLAT));
    make_pages();
    trap_hook = debug_hook;
    for (uint32_t i = 0; i < PROGRAMS; i++) {
        make_program();
        stress_doing = "a program";
        for (uint32_t k = 0; k < 3; k++)
            run(&no_regs, false);
        stress_doing = "single steps";
        run(&no_regs, true);
        for (uint32_t k = 0; k < 8; k++) {
            debug_random_regs(&program, &regs);
            stress_doing =
                k & 1 ? "single steps to breakpoints" : "breakpoints";
            run(&regs, k & 1);
        }
        stress_doing = "a program behind breakpoints";
        run(&no_regs, false);
    }
    trap_hook = NULL;
}

void debug_round(uint32_t number)
{
    static void (*const parts[])(void) = {programs_round, debug_steps_round,
                                          debug_hot_round, ports_round};

    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        machine_init(number & 1 ? PAGING_PAE : PAGING_32);
        write_cr4(read_cr4() | CR4_DE | CR4_OSFXSR);
        parts[i]();
    }
}
