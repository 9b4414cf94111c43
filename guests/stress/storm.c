/* SPDX-License-Identifier: MIT */
/*
 * Storms of address spaces: more roots than anybody caches, a fork bomb of
 * processes that share their pages until they write, and a gigabyte of pages
 * none of which joins its neighbour. Processes are simulated: one is a root and
 * what it must find in its memory.
 */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/trap.h"
#include "stress.h"
#include "stubs.h"

enum {
    ROOTS = 300,
    PROCESSES = 2000,
    PAGES = 6, /* of a process */
    SCATTER_FRAMES = 509,
    POOL_END = 128 << 20,
};

#define HOME_VA     0x40000000u /* of a process */
#define SCATTER_VA  0x40000000u
#define SCATTER_LEN 0x40000000u
#define STRIDE      (2 * PAGE)

struct process {
    uint32_t root;
    uint32_t frame[PAGES];
    uint32_t value[PAGES]; /* its first word */
};

static struct process processes[PROCESSES];
static uint32_t process_count, current;
static uint16_t users[POOL_END / PAGE]; /* processes that map a frame */

static void copy_page(uint32_t to, uint32_t from)
{
    uint32_t count = PAGE / 4;

    __asm__ volatile("rep movsd"
                     : "+D"(to), "+S"(from), "+c"(count)
                     :
                     : "memory");
}

static void run_as(uint32_t i)
{
    current = i;
    if (read_cr3() != processes[i].root) {
        stress_note(NOTE_STORM_SWITCH);
        write_cr3(processes[i].root);
    }
}

/* ---- Roots ---- */

static void many_roots(void)
{
    uint32_t first = read_cr3();

    stress_doing = "many roots";
    for (uint32_t i = 0; i < ROOTS; i++) {
        struct process *p = &processes[i];

        write_cr3(first);
        p->root = paging_clone();
        write_cr3(p->root);
        stress_note(NOTE_ROOTS);
        for (uint32_t k = 0; k < 2; k++) {
            p->value[k] = random_u32();
            p->frame[k] = frame_alloc();
            *mem32(p->frame[k]) = p->value[k];
            map(HOME_VA + k * PAGE, p->frame[k], PG_P | PG_W | PG_U);
        }
    }
    for (uint32_t i = 0; i < 4 * ROOTS; i++) {
        uint32_t k = random_below(2);
        struct process *p = &processes[random_below(ROOTS)];
        struct outcome o;

        run_as((uint32_t)(p - processes));
        o = stub_run(ACCESS_LOAD, one_in(2), HOME_VA + k * PAGE, 0);
        CHECK(!o.fault);
        CHECK_EQ(o.value, p->value[k]);
        p->value[k] = random_u32();
        o = stub_run(ACCESS_STORE, one_in(2), HOME_VA + k * PAGE, p->value[k]);
        CHECK(!o.fault);
        CHECK_EQ(*mem32(p->frame[k]), p->value[k]);
    }
    write_cr3(first);
}

/* ---- A fork bomb ---- */

/* Copy on write, as an operating system does it. */
static bool unshare(struct frame *frame)
{
    struct process *p = &processes[current];
    uint32_t k = (last_cr2 - HOME_VA) / PAGE;
    uint32_t old;

    if (frame->vector != EXC_PF || last_cr2 < HOME_VA || k >= PAGES)
        return false;
    CHECK_EQ(frame->error & 3, 3);
    old = p->frame[k];
    if (users[old / PAGE] > 1) {
        users[old / PAGE]--;
        p->frame[k] = frame_alloc();
        users[p->frame[k] / PAGE] = 1;
        copy_page(p->frame[k], old);
        stress_note(NOTE_COPY);
    }
    map(HOME_VA + k * PAGE, p->frame[k], PG_P | PG_W | PG_U);
    last.vector = NO_TRAP; /* the access goes on */
    return true;
}

/* A child of the current process: their pages lose W in both. */
static void fork(void)
{
    struct process *parent = &processes[current];
    struct process *child = &processes[process_count++];

    for (uint32_t k = 0; k < PAGES; k++) {
        pte_set(HOME_VA + k * PAGE, parent->frame[k] | PG_P | PG_U);
        users[parent->frame[k] / PAGE]++;
    }
    stress_note(NOTE_FORK);
    *child = *parent;
    child->root = paging_clone();
    write_cr3(child->root);
    pde_set(HOME_VA, 0); /* a table of its own */
    for (uint32_t k = 0; k < PAGES; k++)
        map(HOME_VA + k * PAGE, child->frame[k], PG_P | PG_U);
    write_cr3(parent->root);
}

static void touch(uint32_t accesses)
{
    struct process *p = &processes[current];

    while (accesses--) {
        uint32_t k = random_below(PAGES);
        struct outcome o = stub_run(ACCESS_LOAD, true, HOME_VA + k * PAGE, 0);

        CHECK(!o.fault);
        CHECK_EQ(o.value, p->value[k]);
        if (one_in(2))
            continue;
        p->value[k] = random_u32();
        o = stub_run(ACCESS_STORE, !one_in(4), HOME_VA + k * PAGE, p->value[k]);
        CHECK(!o.fault);
    }
}

static void fork_bomb(void)
{
    struct process *init = &processes[0];

    stress_doing = "a fork bomb";
    memset(users, 0, sizeof(users));
    process_count = 1;
    init->root = paging_clone();
    run_as(0);
    for (uint32_t k = 0; k < PAGES; k++) {
        init->value[k] = random_u32();
        init->frame[k] = frame_alloc();
        users[init->frame[k] / PAGE] = 1;
        *mem32(init->frame[k]) = init->value[k];
        map(HOME_VA + k * PAGE, init->frame[k], PG_P | PG_W | PG_U);
    }
    trap_hook = unshare;
    while (process_count < PROCESSES) {
        run_as(random_below(process_count));
        touch(1);
        fork();
        if (one_in(2))
            run_as(process_count - 1);
        touch(1);
    }
    for (uint32_t i = 0; i < PROCESSES; i++) {
        run_as(one_in(2) ? i : random_below(PROCESSES));
        touch(1);
    }
    trap_hook = NULL;
}

/* ---- A gigabyte of pages apart ---- */

/* The sum of every word at a stride; the count and the stride lie at the start
 * of user_page. */
USER_FUNCTION(sum_words, "mov ecx, [user_page]\n"
                         "mov edx, [user_page + 4]\n"
                         "xor ebx, ebx\n"
                         "1: add ebx, [eax]\n"
                         "rol ebx, 1\n"
                         "add eax, edx\n"
                         "dec ecx\n"
                         "jnz 1b\n"
                         "mov eax, ebx" USER_END);

static uint32_t scatter_frames[SCATTER_FRAMES];

static uint32_t scatter_frame(uint32_t page)
{
    return scatter_frames[page * 7 % SCATTER_FRAMES];
}

static void map_scattered(uint32_t pages)
{
    for (uint32_t i = 0; i < SCATTER_FRAMES; i++) {
        scatter_frames[i] = frame_alloc();
        *mem32(scatter_frames[i]) = random_u32();
    }
    for (uint32_t i = 0; i < pages; i++)
        map(SCATTER_VA + i * STRIDE, scatter_frame(i), PG_P | PG_W | PG_U);
    for (uint32_t i = 0; i < pages; i++)
        stress_note(NOTE_SCATTERED);
}

static void check_sum(uint32_t first, uint32_t count)
{
    uint32_t sum = 0;

    for (uint32_t i = first; i < first + count; i++) {
        sum += *mem32(scatter_frame(i));
        sum = sum << 1 | sum >> 31;
    }
    *mem32((uint32_t)user_page) = count;
    *mem32((uint32_t)user_page + 4) = STRIDE;
    user_run(sum_words, SCATTER_VA + first * STRIDE);
    CHECK_EQ(last.vector, VECTOR_EXIT);
    CHECK_EQ(last.eax, sum);
}

static void scattered(void)
{
    const uint32_t pages = SCATTER_LEN / STRIDE;

    stress_doing = "a gigabyte of scattered pages";
    map_scattered(pages);
    check_sum(0, pages);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t page = random_below(pages);
        struct outcome o;

        *mem32(scatter_frames[random_below(SCATTER_FRAMES)]) = random_u32();
        check_sum(page, 1 + random_below(pages - page < 50 ? 1 : 50));
        pte_set(SCATTER_VA + page * STRIDE, 0);
        o = stub_run(ACCESS_LOAD, true, SCATTER_VA + page * STRIDE, 0);
        CHECK(o.fault);
        stress_note(NOTE_SCATTERED_UNMAP);
        pte_set(SCATTER_VA + page * STRIDE,
                scatter_frame(page) | PG_P | PG_W | PG_U);
    }
}

void storm_round(uint32_t number)
{
    static void (*const parts[])(void) = {many_roots, fork_bomb, scattered};

    paging_low_end = POOL_END;
    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        machine_init(number & 1 ? PAGING_PAE : PAGING_32);
        stubs_make();
        parts[i]();
    }
}
