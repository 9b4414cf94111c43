/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/bt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "monitor/log.h"

/*
 * Host signals that arrive in generated code.
 *
 * A fault in a CCF interrupts generated code, never C, so the handler may use
 * the whole monitor (malloc included). A hidden fault is resolved right here,
 * on the signal stack, and the instruction is restarted by sigreturn with
 * every host register as it was. Otherwise the guest's state, precise at the
 * start of its instruction, is taken out of the signal context with the help
 * of the CCF's points, and the context is redirected to world_leave.
 *
 * A fault in a window is one of three things: SIGSEGV, the page is not mapped or
 * not for this access; SIGBUS on a page that userfaultfd protects, a store to a
 * traced frame; any other SIGBUS, the host cannot give the memory behind the
 * page, which ends the VM. A fault anywhere else is a bug of ours, and that,
 * like a signal that a process sent, goes to the handler that was there before
 * (crash.c).
 */

static _Thread_local struct bt_vcpu *bound;

/* The signals of generated code, and who handled them before. */
static const int handled[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
static struct sigaction before[ARRAY_COUNT(handled)];

#define PF_ERR_WRITE      2
#define TRAP_PF           14
#define TRAP_AC           17
#define EFL_TF            0x100
#define OPCODE_PUSHFQ     0x9c
#define OPCODE_POPFQ      0x9d
#define HANDLER_STACK_LEN (256 * KIB)

static bool in_generated_code(const struct bt_vcpu *bt, uint64_t rip)
{
    return mcode_contains(tc_mcode(bt->tc), rip);
}

/* The guest's state at a point, out of the host registers. */
static void save_state(struct bt_vcpu *bt, const greg_t *g, struct ccf *ccf,
                       const struct ccf_point *point)
{
    static const struct {
        int host;
        enum reg guest;
    } map[] = {
        {REG_RAX, REG_EAX},
        {REG_RCX, REG_ECX},
        {REG_RDX, REG_EDX},
        {REG_RBX, REG_EBX},
        {REG_RBP, REG_EBP},
        {REG_RSI, REG_ESI},
        {REG_RDI, REG_EDI}
    };
    struct vcpu *vcpu = bt->vcpu;
    const uint32_t live = FLAGS_ARITH | FLAG_DF; /* vcpu's are 0 meanwhile */

    for (unsigned i = 0; i < ARRAY_COUNT(map); i++)
        vcpu->regs[map[i].guest] = (uint32_t)g[map[i].host];
    vcpu->regs[REG_ESP] =
        (uint32_t)g[REG_R12] + (uint32_t)(int32_t)point->esp_delta;
    bt_set_gip(vcpu, ccf->gip + point->gip_offset);
    vcpu->eflags |= (uint32_t)g[REG_EFL] & live;
    vcpu->ccf_retired -= point->uncounted;
    bt->host_sp = (uint64_t)g[REG_RSP];
    bt->trapped = ccf;
    bt->trapped_soft = point->flags & POINT_SOFT;
}

/* Continue in the monitor instead. */
static void redirect(struct bt_vcpu *bt, greg_t *g,
                     const struct ccf_exit *record)
{
    bt->record = record;
    bt->stepping = false;
    g[REG_EFL] &= ~(greg_t)EFL_TF;
    g[REG_RDI] = (greg_t)(uintptr_t)bt;
    g[REG_RIP] = (greg_t)(uintptr_t)world_leave;
}

/* ---- Faults ---- */

/* Not the guest's: leave it to whoever handled the signal before. An instruction
 * that raised it raises it again; what a process sent is sent again. */
static void hand_on(int sig, const siginfo_t *info)
{
    for (unsigned i = 0; i < ARRAY_COUNT(handled); i++)
        if (handled[i] == sig)
            sigaction(sig, &before[i], NULL);
    if (info->si_code <= 0 || sig == SIGTRAP)
        raise(sig);
}

static bool is_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

/* The host call stack is full of returns that never came (longjmp, context
 * switches): drop them and make the call again. */
static bool stack_overflow(struct bt_vcpu *bt, greg_t *g, uint64_t address)
{
    const struct bt_stack *stack = &bt->context->stack;

    if (address - (uint64_t)(uintptr_t)stack->map >= PAGE_SIZE)
        return false;
    g[REG_RSP] = (greg_t)stack->bottom;
    return true;
}

static enum mmu_result window_fault(struct bt_vcpu *bt, const greg_t *g,
                                    uint64_t address)
{
    bool write = g[REG_ERR] & PF_ERR_WRITE;

    return mmu_fault(bt->mmu, (gva_t)(address - bt->window), write);
}

/* A SIGBUS that no trace explains: a memory error, or no memory for the page.
 * The instruction would only fault again. */
static bool is_host_failure(const struct bt_vcpu *bt, int sig, const greg_t *g,
                            uint64_t address)
{
    if (sig != SIGBUS || g[REG_TRAPNO] == TRAP_AC)
        return false;
    return g[REG_TRAPNO] != TRAP_PF || address - bt->window >= 4 * GIB ||
           !mmu_is_traced(bt->mmu, (gva_t)(address - bt->window));
}

/* A page fault that no operand of the guest's leads to: the 4 GiB on each side of
 * a window are reached by operands that wrap, and hold nothing. */
static bool is_stray(const struct bt_vcpu *bt, int sig, const greg_t *g,
                     uint64_t address)
{
    return sig == SIGSEGV && g[REG_TRAPNO] == TRAP_PF &&
           address - (bt->window - 4 * GIB) >= 12 * GIB;
}

/* A hidden fault may find that the page of this very code, or of one that waits
 * for a return, is mapped elsewhere. The guest's flush will then find nothing to
 * tell of, so that the code must be left now. */
static void ccf_fault(struct bt_vcpu *bt, int sig, greg_t *g, struct ccf *ccf,
                      uint64_t address)
{
    static const struct ccf_exit *const record[] = {
        [MMU_EMULATE] = &bt_exit_emulate,
        [MMU_SOFT] = &bt_exit_soft,
        [MMU_TRUE] = &bt_exit_exc,
    };
    enum mmu_result result = MMU_EMULATE;
    const struct ccf_point *point;
    bool exact;

    point = ccf_find_point(ccf, (uint64_t)g[REG_RIP], &exact);
    ENSURE(point);
    bt_set_gip(bt->vcpu, ccf->gip + point->gip_offset);
    if (is_host_failure(bt, sig, g, address)) {
        save_state(bt, g, ccf, point);
        vcpu_stop(bt->vcpu, STOP_HOST,
                  "the host failed to provide guest memory at %08x",
                  (gva_t)(address - bt->window));
        redirect(bt, g, &bt_exit_kick);
        return;
    }
    if (g[REG_TRAPNO] == TRAP_PF && address - bt->window < 4 * GIB)
        result = window_fault(bt, g, address);
    if (result == MMU_RETRY && bt->reset_stacks)
        result = MMU_EMULATE;
    if (result == MMU_RETRY)
        return;
    save_state(bt, g, ccf, point);
    redirect(bt, g, record[result]);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    struct bt_vcpu *bt = bound;
    struct ccf *ccf;

    if (!bt || is_sent(info) || !in_generated_code(bt, (uint64_t)g[REG_RIP])) {
        hand_on(sig, info);
        return;
    }
    if (sig == SIGSEGV && stack_overflow(bt, g, address))
        return;
    ccf = tc_find_host(bt->tc, (uint64_t)g[REG_RIP]);
    if (!ccf || is_stray(bt, sig, g, address)) {
        hand_on(sig, info);
        return;
    }
    ccf_fault(bt, sig, g, ccf, address);
}

/* ---- Kicks ---- */

static uint64_t *stack_top(const greg_t *g)
{
    return (uint64_t *)(uintptr_t)g[REG_RSP];
}

/* Nothing is delivered between an STI and the end of the next instruction (SDM
 * 2B "STI"). The address may also have been reached without the STI: then
 * delivery is late by an instruction. But who comes back to it, or begins the
 * next iteration of it, has ended it. */
static bool in_sti_shadow(struct bt_vcpu *bt, uint64_t rip, gip_t gip,
                          bool retired)
{
    if (gip != bt->vcpu->sti_gip || retired ||
        (bt->shadow && rip <= bt->shadow))
        return false;
    if (!bt->shadow)
        bt->shadow = rip;
    return true;
}

/* Leave if the guest is between two instructions; otherwise single-step the
 * host until it is. TF must not leak into the image that a PUSHFQ stores, nor
 * be lost by a POPFQ. retired: a step has just ended where it began, at an
 * iteration of REP or a jump to itself. */
static void leave_at_boundary(struct bt_vcpu *bt, greg_t *g, bool retired)
{
    uint64_t rip = (uint64_t)g[REG_RIP];
    struct ccf *ccf = tc_find_host(bt->tc, rip);
    bool exact = false;
    const struct ccf_point *point =
        ccf ? ccf_find_point(ccf, rip, &exact) : NULL;

    if (point && exact &&
        !in_sti_shadow(bt, rip, ccf->gip + point->gip_offset, retired)) {
        stat_inc(bt->stats, STAT_KICKS);
        save_state(bt, g, ccf, point);
        redirect(bt, g, &bt_exit_kick);
        return;
    }
    bt->stepping = true;
    bt->step_from = rip;
    if (*(const uint8_t *)(uintptr_t)rip == OPCODE_POPFQ)
        *stack_top(g) |= EFL_TF;
    g[REG_EFL] |= EFL_TF;
}

static bool in_restartable(uint64_t rip)
{
    return rip >= (uint64_t)(uintptr_t)world_enter_restartable &&
           rip < (uint64_t)(uintptr_t)world_enter_end;
}

static void kick_context(struct bt_vcpu *bt, greg_t *g, bool stepped)
{
    uint64_t rip = (uint64_t)g[REG_RIP];
    bool retired = stepped && rip == bt->step_from;

    if (!bt->stepping)
        bt->shadow = 0;
    /* A second kick may come before the step was made. */
    if (bt->stepping && rip != bt->step_from &&
        *(const uint8_t *)(uintptr_t)bt->step_from == OPCODE_PUSHFQ)
        *stack_top(g) &= ~(uint64_t)EFL_TF;
    bt->stepping = false;
    g[REG_EFL] &= ~(greg_t)EFL_TF;
    if (in_generated_code(bt, rip)) {
        leave_at_boundary(bt, g, retired);
    } else if (in_restartable(rip)) {
        g[REG_RDI] = (greg_t)(uintptr_t)bt;
        g[REG_RIP] = (greg_t)(uintptr_t)world_cancel;
    }
}

void bt_kicked(struct bt_vcpu *bt, void *context)
{
    kick_context(bt, ((ucontext_t *)context)->uc_mcontext.gregs, false);
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    if (bound && bound->stepping && !is_sent(info))
        kick_context(bound, g, true);
    else
        hand_on(sig, info);
}

/* ---- Set-up ---- */

/* The handlers serve every bt_vcpu of the process: they are installed once, and
 * stay. */
static int install(int number, struct sigaction *previous)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old;

    sigfillset(&action.sa_mask);
    action.sa_sigaction = number == SIGTRAP ? on_trap : on_fault;
    if (sigaction(number, &action, &old) < 0)
        return -errno;
    if (old.sa_sigaction != action.sa_sigaction)
        *previous = old;
    return 0;
}

int bt_signal_install(void)
{
    int err = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(handled) && !err; i++)
        err = install(handled[i], &before[i]);
    return err;
}

/* The thread's signal stack and its handlers serve one bt_vcpu at a time. */
int bt_signal_activate(struct bt_vcpu *bt)
{
    stack_t stack = {.ss_sp = bt->handler_stack,
                     .ss_size = bt->handler_stack_len};

    if (bound == bt)
        return 0;
    if (sigaltstack(&stack, NULL) < 0)
        return -errno;
    bound = bt;
    bt->gs_base = BT_GS_UNKNOWN;
    return 0;
}

int bt_signal_bind(struct bt_vcpu *bt)
{
    size_t len = HANDLER_STACK_LEN + getauxval(AT_MINSIGSTKSZ);
    int err = bt_signal_install();

    if (err)
        return err;
    bt->handler_stack = malloc(len);
    if (!bt->handler_stack)
        return -ENOMEM;
    bt->handler_stack_len = len;
    return bt_signal_activate(bt);
}

void bt_signal_unbind(struct bt_vcpu *bt)
{
    stack_t none = {.ss_flags = SS_DISABLE};

    if (bound == bt) {
        sigaltstack(&none, NULL);
        bound = NULL;
    }
    free(bt->handler_stack);
    bt->handler_stack = NULL;
}
