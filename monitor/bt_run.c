/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

#include "emu/cpu/segment.h"
#include "monitor/log.h"

/*
 * The run loop: enter a CCF, look at the exit it was left by, do what it asks,
 * go on. Per exit the plan is:
 *
 *   JUMP, CALL  find or make the target's CCF, chain the exit to it
 *   LOOKUP      the same for an indirect target; nothing to chain
 *   STEP        interpret one instruction; resume in the CCF if it fell
 *               through and nothing moved
 *   MISS        likewise, and enter the page in the soft TLB
 *   DENIED      likewise: a segment's limit or type is violated
 *   KICK        leave the engine; state is saved
 *   EXC         a true page fault; state and vcpu->exc are saved
 *   EMULATE     interpret the instruction that trapped
 *   SOFT        likewise, and retranslate its site as a STEP
 */

#define LIVE_FLAGS (FLAGS_ARITH | FLAG_DF)
#define HOST_FLAGS (FLAG_ONE | FLAG_IF)

/* What the loop does next. */
struct next {
    uint64_t pc;       /* host address to enter; 0: find code */
    uint16_t counted;  /* instructions behind pc that are counted already */
    int32_t esp_delta; /* pending at pc */
    bool leave;
    enum vcpu_exit exit; /* if leave is true */
};

/* An instruction of a CCF that the interpreter is to run, and where the CCF goes
 * on behind it. Copied out of the CCF: the step may free that. */
struct left {
    struct next next; /* pc 0: nowhere */
    gip_t next_gip;
    uint16_t uncounted; /* not done yet, it included, but counted */
    bool uses_fpu;
    bool memory;    /* a memory operand that no code counted as soft */
    bool soft_miss; /* the soft TLB lacks bt->target */
};

static const struct left left_nowhere = {.uses_fpu = true};

/* ---- Entering ---- */

/* Point the world switch at the space the vcpu is in. */
static void select_space(struct bt_vcpu *bt)
{
    struct bt_context *context = bt->context;

    if (bt->single)
        context->stack.rsp = context->stack.bottom;
    bt->window = mmu_window_base(bt->mmu);
    bt->table = (uint64_t)(uintptr_t)context->table.entry;
    bt->host_sp = context->stack.rsp;
    bt->reset_stacks = false;
    bt_set_gs_base(bt, bt->window);
}

static void move_esp(struct vcpu *vcpu, int32_t delta)
{
    vcpu->regs[REG_ESP] += (uint32_t)delta;
}

static const struct ccf_exit *enter(struct bt_vcpu *bt, const struct next *next)
{
    struct bt_stack *stack = &bt->context->stack;
    const struct ccf_exit *exit;
    struct vcpu *vcpu = bt->vcpu;
    uint64_t start = 0;

    select_space(bt);
    bt_fpu_load(bt);
    bt->flags = (vcpu->eflags & LIVE_FLAGS) | HOST_FLAGS;
    vcpu->eflags &= ~LIVE_FLAGS;
    move_esp(vcpu, -next->esp_delta);
    bt->entered = next->pc;
    if (bt->mode & MODE_SOFT)
        start = bt_soft_clock(bt);
    exit = world_enter(bt, next->pc);
    bt->last_exit = exit->kind;
    if (bt->mode & MODE_SOFT)
        bt_soft_spent(bt, bt_soft_clock(bt) - start);
    if (exit->kind == EXIT_CANCEL) {
        move_esp(vcpu, next->esp_delta);
        vcpu->ccf_retired -= next->counted;
    }
    if (exit->kind < EXIT_KICK)
        vcpu->eflags |= (uint32_t)bt->flags & LIVE_FLAGS;
    stack->rsp = bt->reset_stacks ? stack->bottom : bt->host_sp;
    return exit;
}

/* ---- Exits ---- */

static struct next leave_with(enum vcpu_exit exit)
{
    return (struct next){.leave = true, .exit = exit};
}

static struct next step(struct bt_vcpu *bt, const struct left *left);
static struct next dispatch(struct bt_vcpu *bt);

/* Move what CCFs counted into the vcpu's own count. */
static void fold_retired(struct bt_vcpu *bt)
{
    struct vcpu *vcpu = bt->vcpu;

    stat_add(bt->stats, STAT_INSN_CCF, vcpu->ccf_retired);
    vcpu->retired += vcpu->ccf_retired;
    vcpu->ccf_retired = 0;
    stat_add(bt->stats, STAT_USER_MEMOPS, vcpu->user_memops);
    stat_add(bt->stats, STAT_USER_MEMOPS_SOFT, vcpu->user_memops_soft);
    vcpu->user_memops = 0;
    vcpu->user_memops_soft = 0;
}

/* A TU is over: find code for the next one. It is the run loop that does: a guest
 * may go on for ever without any. */
static struct next go_on(struct bt_vcpu *bt)
{
    return bt->single ? leave_with(VCPU_EXIT_BUDGET) : (struct next){0};
}

/* Deliver vcpu->exc and go on in its handler. */
static struct next deliver(struct bt_vcpu *bt)
{
    struct exc exc;

    bt_fpu_save_xmm(bt);
    exc = bt->vcpu->exc;
    if (exc.vector == EXC_PF) {
        bt_soft_flush_page(bt, exc.cr2);
        interp_page_faulted(bt->interp, exc.cr2);
        mmu_page_faulted(bt->mmu, exc.cr2);
    }
    exc_deliver(bt->interp, &exc);
    return go_on(bt);
}

/* Find code for the vcpu's current instruction. */
static struct next dispatch(struct bt_vcpu *bt)
{
    struct vcpu *vcpu = bt->vcpu;
    uint64_t pc;

    if (vcpu->kick)
        return leave_with(VCPU_EXIT_INTR);
    if (vcpu->inhibit != INHIBIT_NONE || !bt_can_translate(bt))
        return step(bt, &left_nowhere);
    bt_set_mode(bt, bt_current_mode(bt));
    pc = bt_lookup(bt, bt_gip(vcpu));
    if (pc == BT_FAULT)
        return deliver(bt);
    if (pc == BT_INTERPRET)
        return step(bt, &left_nowhere);
    return (struct next){.pc = pc};
}

/* Interpret one instruction and go on behind it. */
static struct next step(struct bt_vcpu *bt, const struct left *left)
{
    struct vcpu *vcpu = bt->vcpu;
    uint64_t stale = bt->stale;
    enum vcpu_exit why;

    if (left->memory && (bt->mode & (MODE_USER | MODE_SOFT)) == MODE_USER)
        vcpu->user_memops_soft++;
    vcpu->ccf_retired -= left->uncounted;
    fold_retired(bt); /* RDTSC and devices may read the count */
    if (left->uses_fpu)
        bt_fpu_save(bt);
    else
        bt_fpu_save_xmm(bt);
    stat_inc(bt->stats, STAT_CALLOUTS);
    why = interp_step(bt->interp);
    if (why == VCPU_EXIT_EXC)
        return deliver(bt);
    if (why != VCPU_EXIT_BUDGET)
        return leave_with(why);
    if (left->soft_miss)
        bt_soft_fill(bt, bt->target);
    if (left->next.pc && !bt->single && bt_gip(vcpu) == left->next_gip &&
        stale == bt->stale && !vcpu->kick && vcpu->inhibit == INHIBIT_NONE &&
        bt_can_translate(bt) && bt_current_mode(bt) == bt->mode) {
        vcpu->ccf_retired += left->next.counted;
        return left->next;
    }
    return go_on(bt);
}

static struct next step_exit(struct bt_vcpu *bt, const struct ccf_exit *exit)
{
    struct left left = {.next_gip = exit->resume_gip,
                        .uncounted = exit->uncounted,
                        .uses_fpu = exit->uses_fpu,
                        .memory = exit->memory};

    if (exit->resume_offset)
        left.next.pc = exit->ccf->start + exit->resume_offset;
    if (exit->uncounted)
        left.next.counted = (uint16_t)(exit->uncounted - 1u);
    bt_set_gip(bt->vcpu, exit->target);
    return step(bt, &left);
}

/* A probe did not find the page, or a check does not allow the access. The guest
 * is at the point of the function's call, and goes on at the first one of the next
 * instruction. */
static struct next turned_back(struct bt_vcpu *bt, bool soft_miss)
{
    struct vcpu *vcpu = bt->vcpu;
    struct ccf *ccf = tc_find_host(bt->tc, vcpu->soft_pc);
    const struct ccf_point *point;
    const struct ccf_point *next;
    struct left left = {.soft_miss = soft_miss};
    bool exact;

    ENSURE(ccf);
    point = ccf_find_point(ccf, vcpu->soft_pc - 1, &exact);
    ENSURE(point);
    next = ccf_next_insn(ccf, point);
    left.uncounted = point->uncounted;
    left.uses_fpu = point->flags & POINT_FPU;
    if (next) {
        left.next_gip = ccf->gip + next->gip_offset;
        left.next.pc = ccf->start + next->host_offset;
        left.next.counted = next->uncounted;
        left.next.esp_delta = next->esp_delta;
    }
    bt_set_gip(vcpu, ccf->gip + point->gip_offset);
    move_esp(vcpu, point->esp_delta);
    return step(bt, &left);
}

/* Within a page a chain holds as long as both CCFs do. Across pages it holds
 * until the target's page is mapped anew, which is announced for the kernel's
 * pages (bt_forget_page()). A second page, of an instruction that crosses, is
 * looked at by every lookup only. */
static bool can_chain(const struct ccf *from, const struct ccf *to)
{
    if (to->source_count != 1)
        return false;
    if ((from->gip ^ to->gip) & ~(gip_t)PAGE_MASK)
        return !(from->mode & MODE_USER);
    return to->source[0].gfn == from->source[0].gfn;
}

static void chain(struct bt_vcpu *bt, struct ccf_exit *exit, struct ccf *to)
{
    if (log_on(LOG_CHAIN))
        bt_fpu_save_xmm(bt);
    if (can_chain(exit->ccf, to))
        tc_chain(bt->tc, exit, to);
    else if (exit->table_offset)
        tc_never_chain(bt->tc, exit);
}

static struct next chain_to(struct bt_vcpu *bt, struct ccf_exit *exit)
{
    struct vcpu *vcpu = bt->vcpu;
    uint64_t stale = bt->stale;
    struct ccf *from = exit->ccf;
    struct next next;

    bt_set_gip(vcpu, exit->target);
    next = go_on(bt);
    if (!next.leave)
        next = dispatch(bt);
    /* Anything that moved meanwhile may have freed the exit. */
    if (!(bt->off & BIT(MECHANISM_CHAINING)) && next.pc && stale == bt->stale &&
        !from->dead && !exit->chained && bt_gip(vcpu) == exit->target) {
        struct ccf *to = tc_find_host(bt->tc, next.pc);

        if (to && to->body == next.pc && to->gip == exit->target &&
            ((to->mode ^ from->mode) & ~MODE_CHECKED) == 0)
            chain(bt, exit, to);
    }
    return next;
}

/* Nothing of it was executed. */
static struct next source_changed(struct bt_vcpu *bt,
                                  const struct ccf_exit *exit)
{
    bt_set_gip(bt->vcpu, exit->target);
    bt_code_changed(bt, exit->ccf);
    return (struct next){0};
}

static struct next trapped(struct bt_vcpu *bt, uint32_t weight)
{
    struct ccf *ccf = bt->trapped;
    uint32_t offset = bt_gip(bt->vcpu) & PAGE_MASK;
    bool soft;

    bt_fpu_save_xmm(bt);
    soft = bt_site_trapped(bt, ccf->source[0].gfn, offset, weight);
    /* Several CCFs may hold the site, translated before it was found soft. What
     * traps there and is soft already, like an SSE operand that is not aligned,
     * is the guest's own fault. */
    if (soft && !bt->trapped_soft) {
        stat_inc(bt->stats, STAT_ADAPTATIONS);
        tc_drop(bt->tc, ccf);
        bt->stale++;
    }
    return step(bt, &left_nowhere);
}

static struct next handle(struct bt_vcpu *bt, const struct ccf_exit *exit)
{
    struct vcpu *vcpu = bt->vcpu;

    switch (exit->kind) {
    case EXIT_JUMP:
    case EXIT_CALL: return chain_to(bt, (struct ccf_exit *)exit);
    case EXIT_LOOKUP: bt_set_gip(vcpu, bt->target); return go_on(bt);
    case EXIT_STEP: return step_exit(bt, exit);
    case EXIT_MISS: return turned_back(bt, true);
    case EXIT_DENIED: return turned_back(bt, false);
    case EXIT_CHANGED: return source_changed(bt, exit);
    case EXIT_CANCEL:
    case EXIT_KICK: return leave_with(VCPU_EXIT_INTR);
    case EXIT_EXC: return deliver(bt);
    case EXIT_EMULATE: return trapped(bt, 1);
    case EXIT_SOFT: return trapped(bt, 4);
    }
    UNREACHABLE();
}

enum vcpu_exit bt_run(struct bt_vcpu *bt)
{
    struct next next;
    int err = bt_signal_activate(bt);

    if (err) {
        vcpu_stop(bt->vcpu, STOP_HOST, "no signal stack: error %d", -err);
        return VCPU_EXIT_STOP;
    }
    bt_code_poll(bt);
    bt_mode_poll(bt);
    next = dispatch(bt);
    while (!next.leave) {
        next = next.pc ? handle(bt, enter(bt, &next)) : dispatch(bt);
        if (UNLIKELY(bt->verify_every) && !bt_verify_step(bt))
            next = leave_with(VCPU_EXIT_STOP);
    }
    bt_fpu_save(bt);
    fold_retired(bt);
    return next.exit;
}

/* The table of a mode with MODE_SINGLE stays empty, so that whatever looks a
 * target up in it leaves, too. */
enum vcpu_exit bt_run_tu(struct bt_vcpu *bt)
{
    enum vcpu_exit exit;

    bt->single = true;
    exit = bt_run(bt);
    bt->single = false;
    return exit;
}
