/* SPDX-License-Identifier: MIT */
/*
 * FPU and SSE state that stays in the registers across everything. Three tasks
 * of ring 3 run random programs of x87 and SSE instructions, each once by
 * itself, and once with all of this: the tasks take turns (FXSAVE and FXRSTOR
 * at each switch, or lazily by CR0.TS), their pages go away under them, the
 * timer ticks, and its handler uses the FPU. Both must end in the same state.
 * What is compared leaves out the pointers to the last instruction, which are
 * not kept without exceptions.
 */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/trap.h"
#include "stress.h"
#include "timer.h"

enum {
    TASKS = 3,
    PROGRAMS = 6, /* of a task, run in turn */
    PROGRAM_LEN = 640,
    STEPS = 60,
    DATA_PAGES = 3,
    IMAGE = 512,
};

#define DATA_VA(task) (0x40000000u + (task)*0x01000000u)

static struct task {
    uint8_t image[IMAGE] ALIGNED(16);    /* while it is not running */
    uint8_t expected[IMAGE] ALIGNED(16); /* at the end */
    uint32_t frame[DATA_PAGES];
    uint32_t sum; /* of the data at the end */
    uint8_t program[PROGRAMS][PROGRAM_LEN];
} tasks[TASKS];

static uint8_t fresh[IMAGE] ALIGNED(16);
static uint32_t running, owner; /* task; whose state is in the FPU */

static void fxsave(uint8_t *image)
{
    __asm__ volatile("fxsave [%0]" : : "r"(image) : "memory");
}

static void fxrstor(const uint8_t *image)
{
    __asm__ volatile("fxrstor [%0]" : : "r"(image) : "memory");
}

/* ---- Programs ---- */

struct form {
    uint8_t len;
    uint8_t bytes[5];
    uint8_t registers; /* mask of ModRM bits that may be random */
    uint8_t memory;    /* bytes accessed at [ecx]; alignment when 16 or more */
};

static const struct form forms[] = {
#define FORM(text, registers, memory, bytes) \
    {sizeof(bytes) - 1, bytes, registers, memory},
#include "fpu.def"
#undef FORM
};

static uint8_t *put_address(uint8_t *p, uint32_t task, uint32_t memory)
{
    uint32_t at = random_below(DATA_PAGES * PAGE - 512);

    if (one_in(3)) /* across two pages */
        at = (1 + random_below(DATA_PAGES - 1)) * PAGE -
             random_below(memory + 1);
    if (memory >= 16)
        at &= ~15u;
    at += DATA_VA(task);
    *p++ = 0xB9; /* mov ecx, address */
    memcpy(p, &at, 4);
    return p + 4;
}

static void make_program(uint8_t *p, uint32_t task)
{
    const uint8_t *end = p + PROGRAM_LEN - 24;

    while (p < end) {
        const struct form *form =
            &forms[random_below(sizeof(forms) / sizeof(forms[0]))];

        if (form->memory)
            p = put_address(p, task, form->memory);
        memcpy(p, form->bytes, form->len);
        if (form->registers)
            p[form->len - 1] |= random_u32() & form->registers;
        p += form->len;
    }
    *p++ = 0xCD;
    *p++ = 0x80;
}

/* ---- Tasks ---- */

static uint32_t data_sum(uint32_t task)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < DATA_PAGES * PAGE; i += 4) {
        sum += *mem32(tasks[task].frame[i / PAGE] + i % PAGE);
        sum = sum << 3 | sum >> 29;
    }
    return sum;
}

/* Registers and data as they are before the first step. */
static void reset_task(uint32_t i)
{
    memcpy(tasks[i].image, fresh, IMAGE);
    for (uint32_t k = 0; k < DATA_PAGES * PAGE; k += 4)
        *mem32(tasks[i].frame[k / PAGE] + k % PAGE) =
            0x3F800000 + k * 0x3571 + i;
}

static void step_task(uint32_t i, uint32_t step)
{
    memcpy(user_page, tasks[i].program[step % PROGRAMS], PROGRAM_LEN);
    user_run(user_page, 0);
    CHECK_EQ(last.vector, VECTOR_EXIT);
}

/* What FXSAVE keeps but for FOP, FIP and FDP (SDM Vol.1 Table 10-2). */
static void check_image(const uint8_t *got, const uint8_t *want)
{
    for (uint32_t i = 0; i < 288; i++) {
        if ((i >= 6 && i < 24) || (i >= 32 && i < 160 && i % 16 >= 10))
            continue;
        if (got[i] != want[i]) {
            print("byte %u of the FXSAVE image: ", i);
            stress_fail("FPU state", got[i], want[i]);
        }
    }
    stress_check(true, "", 0, 0);
}

/* ---- Disturbances ---- */

static bool lazy;

static bool fpu_hook(struct frame *frame)
{
    uint32_t page = last_cr2 & ~(PAGE - 1);
    uint32_t offset = page - DATA_VA(running);

    if (frame->vector == EXC_NM) {
        stress_note(NOTE_FPU_LAZY);
        __asm__ volatile("clts");
        fxsave(tasks[owner].image);
        fxrstor(tasks[running].image);
        owner = running;
        return true;
    }
    if (frame->vector != EXC_PF || offset >= DATA_PAGES * PAGE)
        return false;
    stress_note(NOTE_FPU_FAULT);
    map(page, tasks[running].frame[offset / PAGE], PG_P | PG_W | PG_U);
    return true;
}

/* The handler of the timer has uses for the FPU of its own. */
static void fpu_irq(struct frame *frame)
{
    static uint8_t image[IMAGE] ALIGNED(16);
    bool ts = read_cr0() & CR0_TS;

    if (frame->cs & 3)
        stress_note(NOTE_FPU_IRQ);
    __asm__ volatile("clts");
    fxsave(image);
    fxrstor(fresh);
    __asm__ volatile("fldpi\n\tfldl2e\n\tfaddp");
    fxrstor(image);
    if (ts)
        write_cr0(read_cr0() | CR0_TS);
}

static void switch_to(uint32_t i)
{
    running = i;
    if (lazy) {
        if (owner == i)
            __asm__ volatile("clts");
        else
            write_cr0(read_cr0() | CR0_TS);
        return;
    }
    if (owner == i)
        return;
    stress_note(NOTE_FPU_SWITCH);
    fxsave(tasks[owner].image);
    fxrstor(tasks[i].image);
    owner = i;
}

static void hide_pages(uint32_t task)
{
    for (uint32_t k = 0; k < DATA_PAGES; k++) {
        if (one_in(2))
            pte_set(DATA_VA(task) + k * PAGE, 0);
    }
}

/* ---- The two runs ---- */

static void run_alone(uint32_t i)
{
    reset_task(i);
    running = owner = i;
    fxrstor(tasks[i].image);
    for (uint32_t step = 0; step < STEPS; step++)
        step_task(i, step);
    fxsave(tasks[i].expected);
    tasks[i].sum = data_sum(i);
}

static void run_together(void)
{
    uint32_t steps[TASKS] = {0};
    uint32_t left = TASKS * STEPS;

    for (uint32_t i = 0; i < TASKS; i++)
        reset_task(i);
    running = owner = 0;
    fxrstor(tasks[0].image);
    irq_hook = fpu_irq;
    timer_start(5000);
    while (left) {
        uint32_t i = random_below(TASKS);

        if (steps[i] == STEPS)
            continue;
        switch_to(i);
        hide_pages(i);
        step_task(i, steps[i]++);
        left--;
    }
    timer_stop();
    irq_hook = NULL;
    __asm__ volatile("clts");
    fxsave(tasks[owner].image);
}

void fpu_round(uint32_t number)
{
    machine_init(number & 1 ? PAGING_PAE : PAGING_32);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("fninit");
    fxsave(fresh);
    lazy = number & 2;
    trap_hook = fpu_hook;
    for (uint32_t i = 0; i < TASKS; i++) {
        for (uint32_t k = 0; k < DATA_PAGES; k++) {
            tasks[i].frame[k] = frame_alloc();
            map(DATA_VA(i) + k * PAGE, tasks[i].frame[k], PG_P | PG_W | PG_U);
        }
        for (uint32_t k = 0; k < PROGRAMS; k++)
            make_program(tasks[i].program[k], i);
    }
    stress_doing = "a task alone";
    for (uint32_t i = 0; i < TASKS; i++)
        run_alone(i);
    stress_doing = "tasks together";
    run_together();
    for (uint32_t i = 0; i < TASKS; i++) {
        check_image(tasks[i].image, tasks[i].expected);
        CHECK_EQ(data_sum(i), tasks[i].sum);
    }
    trap_hook = NULL;
}
