/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/diff/diff.h"

#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * The host CPU runs the instruction in this very process, as 32-bit code.
 *
 *   1. The regions are memfd pages, mapped at the addresses of diff.h with the
 *      instruction's rights and once more, writable, anywhere.
 *   2. host_enter() loads the whole state and jumps to the instruction.
 *   3. INT3 or the fault raises a signal; its frame holds the whole state
 *      after. The handler copies it and returns to host_leave().
 *
 * The handler finds its object through a file-scope pointer, as signal handlers
 * must; it is set only while the instruction runs.
 */

const struct diff_region diff_regions[DIFF_REGION_COUNT] = {
    {DIFF_CODE,   DIFF_CODE_PAGES,  false, true },
    {DIFF_DATA,   DIFF_DATA_PAGES,  true,  false},
    {DIFF_RDONLY, 1,                false, false},
    {DIFF_STACK,  DIFF_STACK_PAGES, true,  false},
};

const struct diff_segment diff_segments[DIFF_SEGMENT_COUNT] = {
    {DIFF_DATA + 0x200, 0x3bfe, false, true },
    {DIFF_DATA + 0x200, 0x3bfe, false, false},
    {DIFF_DATA - 0x101, 0x1234, true,  true },
};

uint32_t segment_base(uint16_t selector)
{
    for (unsigned i = 0; i < DIFF_SEGMENT_COUNT; i++)
        if (selector == DIFF_LDT_SELECTOR(i))
            return diff_segments[i].base;
    return 0;
}

int region_of(uint32_t address)
{
    for (int i = 0; i < DIFF_REGION_COUNT; i++)
        if (address - diff_regions[i].address <
            diff_regions[i].page_count * PAGE_SIZE)
            return i;
    return -1;
}

#define WRITE_LDT         0x11 /* modify_ldt(2) */
#define SIGNAL_STACK_SIZE (64 * KIB)

struct diff_host {
    uint8_t *memory[DIFF_REGION_COUNT]; /* the writable view */
    void *signal_stack;
    void *stack;                /* of host_enter(), for host_leave() */
    uint32_t code_at, code_end; /* of the instruction before */
    struct diff_outcome *outcome;
};

/* host_enter.S */
_Static_assert(offsetof(struct diff_state, regs) == 512, "CONTEXT_REGS");
_Static_assert(offsetof(struct diff_state, eip) == 544, "CONTEXT_EIP");
_Static_assert(offsetof(struct diff_state, eflags) == 548, "CONTEXT_EFLAGS");
_Static_assert(offsetof(struct diff_state, seg) == 552, "CONTEXT_SEG");

static struct diff_host *running;

void host_enter(const struct diff_state *before, void **stack);
void host_leave(void);
void host_signal(int number, siginfo_t *info, void *context);
void host_caught(int number, siginfo_t *info, void *context);

static const int caught_signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};

/* Table 6-1 of SDM 3A: the vectors that push an error code. */
#define HAS_ERROR_CODE                                                     \
    (BIT(EXC_DF) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | \
     BIT(EXC_PF) | BIT(EXC_AC))

#define PF_FETCH (PF_I | PF_U)

/* Tell the end of a case from a fault of its instruction. Running on from the
 * instruction meets INT3 (whose EIP is one beyond) or a page that cannot be
 * fetched from. */
static void set_vector(struct diff_outcome *outcome, unsigned vector,
                       uint32_t error, uint32_t cr2, uint32_t code_end)
{
    uint32_t eip = outcome->after.eip;

    outcome->vector = (int)vector;
    outcome->error = HAS_ERROR_CODE & BIT(vector) ? error : 0;
    outcome->cr2 = vector == EXC_PF ? cr2 : 0;
    if (vector == EXC_BP && eip != code_end) {
        outcome->vector = DIFF_NO_FAULT;
        outcome->after.eip = eip - 1;
    } else if (vector == EXC_PF && (error & PF_FETCH) == PF_FETCH &&
               cr2 == eip) {
        outcome->vector = DIFF_NO_FAULT;
        outcome->error = outcome->cr2 = 0;
    }
}

static void copy_state(struct diff_state *state, const mcontext_t *machine)
{
    static const int order[REG_COUNT] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                                         REG_RSP, REG_RBP, REG_RSI, REG_RDI};
    uint16_t segments[4]; /* CS GS FS SS; 64-bit frames have CS and SS */

    for (unsigned i = 0; i < REG_COUNT; i++)
        state->regs[i] = (uint32_t)machine->gregs[order[i]];
    state->eip = (uint32_t)machine->gregs[REG_RIP];
    state->eflags = (uint32_t)machine->gregs[REG_EFL];
    memcpy(state->fpu, machine->fpregs, sizeof(state->fpu));
    memcpy(&segments, &machine->gregs[REG_CSGSFS], sizeof(segments));
    state->seg[SEG_CS] = segments[0];
    state->seg[SEG_SS] = segments[3];
    state->seg[SEG_FS] = 0;
    /* These are still the instruction's. */
    __asm__("movw %%gs, %0" : "=m"(state->seg[SEG_GS]));
    __asm__("movw %%ds, %0" : "=m"(state->seg[SEG_DS]));
    __asm__("movw %%es, %0" : "=m"(state->seg[SEG_ES]));
}

static void give_up(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    sigaction(number, &action, NULL);
}

void host_caught(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    uint64_t segments = (uint64_t)machine->gregs[REG_CSGSFS];
    struct diff_host *host = running;

    (void)info;
    /* CS is not asked: a far transfer to 64-bit code is a difference, too. */
    if (host == NULL || (uint64_t)machine->gregs[REG_RIP] >> 32 != 0) {
        give_up(number); /* our own crash: let it happen again */
        return;
    }
    copy_state(&host->outcome->after, machine);
    set_vector(host->outcome, (unsigned)machine->gregs[REG_TRAPNO],
               (uint32_t)machine->gregs[REG_ERR],
               (uint32_t)machine->gregs[REG_CR2], host->code_end);
    /* CS becomes 64-bit code, SS flat data; GS and FS stay. */
    segments = (segments & 0x0000ffffffff0000) | 0x33 | 0x2bull << 48;
    machine->gregs[REG_CSGSFS] = (greg_t)segments;
    machine->gregs[REG_RIP] = (greg_t)(uintptr_t)host_leave;
    machine->gregs[REG_RSP] = (greg_t)(uintptr_t)host->stack;
    machine->gregs[REG_EFL] = 0x202;
}

static int map_region(struct diff_host *host, unsigned index)
{
    const struct diff_region *region = &diff_regions[index];
    size_t size = region->page_count * PAGE_SIZE;
    int prot = PROT_READ | (region->writable ? PROT_WRITE : 0) |
               (region->executable ? PROT_EXEC : 0);
    int fd = memfd_create("diff", MFD_CLOEXEC);
    int error = 0;
    void *view, *fixed;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0) {
        error = -errno;
        close(fd);
        return error;
    }
    view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                fd, 0);
    fixed = mmap((void *)(uintptr_t)region->address, size, prot,
                 MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, 0);
    if (view == MAP_FAILED || fixed == MAP_FAILED)
        error = -errno;
    host->memory[index] = view == MAP_FAILED ? NULL : view;
    close(fd);
    return error;
}

static int fill_ldt(void)
{
    for (unsigned i = 0; i < DIFF_SEGMENT_COUNT; i++) {
        const struct diff_segment *segment = &diff_segments[i];
        struct user_desc entry = {
            .entry_number = i,
            .base_addr = segment->base,
            .limit = segment->limit,
            .seg_32bit = 1,
            .contents = segment->expand_down ? MODIFY_LDT_CONTENTS_STACK
                                             : MODIFY_LDT_CONTENTS_DATA,
            .read_exec_only = !segment->writable,
        };

        if (syscall(SYS_modify_ldt, WRITE_LDT, &entry, sizeof(entry)) != 0)
            return -errno;
    }
    return 0;
}

static int catch_signals(struct diff_host *host)
{
    stack_t stack = {.ss_size = SIGNAL_STACK_SIZE};
    struct sigaction action = {.sa_sigaction = host_signal,
                               .sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    host->signal_stack = malloc(SIGNAL_STACK_SIZE);
    if (host->signal_stack == NULL)
        return -ENOMEM;
    stack.ss_sp = host->signal_stack;
    if (sigaltstack(&stack, NULL) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_COUNT(caught_signals); i++)
        if (sigaction(caught_signals[i], &action, NULL) < 0)
            return -errno;
    return 0;
}

int host_create(struct diff_host **out)
{
    struct diff_host *host = calloc(1, sizeof(*host));
    int error = host == NULL ? -ENOMEM : 0;

    for (unsigned i = 0; error == 0 && i < DIFF_REGION_COUNT; i++)
        error = map_region(host, i);
    if (error == 0)
        error = fill_ldt();
    if (error == 0)
        error = catch_signals(host);
    if (error != 0) {
        host_destroy(host);
        return error;
    }
    memset(host->memory[0], DIFF_INT3, DIFF_CODE_PAGES * PAGE_SIZE);
    *out = host;
    return 0;
}

void host_destroy(struct diff_host *host)
{
    stack_t off = {.ss_flags = SS_DISABLE};

    if (host == NULL)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(caught_signals); i++)
        give_up(caught_signals[i]);
    sigaltstack(&off, NULL);
    for (unsigned i = 0; i < DIFF_REGION_COUNT; i++) {
        size_t size = diff_regions[i].page_count * PAGE_SIZE;

        if (host->memory[i] == NULL)
            continue;
        munmap(host->memory[i], size);
        munmap((void *)(uintptr_t)diff_regions[i].address, size);
    }
    free(host->signal_stack);
    free(host);
}

void host_run(struct diff_host *host, const struct diff_case *test,
              struct diff_outcome *outcome)
{
    uint32_t at = test->before.eip - DIFF_CODE;
    uint32_t old = host->code_at;

    if (host->code_end != 0)
        memset(host->memory[0] + old, DIFF_INT3,
               host->code_end - DIFF_CODE - old);
    memcpy(host->memory[0] + at, test->insn.bytes, test->insn.len);
    host->code_at = at;
    host->code_end = test->before.eip + test->insn.len;
    host->outcome = outcome;
    running = host;
    host_enter(&test->before, &host->stack);
    running = NULL;
}

uint8_t *host_memory(struct diff_host *host, unsigned region)
{
    return host->memory[region];
}
