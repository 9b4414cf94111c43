/* SPDX-License-Identifier: MIT */
#include "emit_check_priv.h"

/*
 * Where control goes: the paths along which facts are handed on, and the ways out.
 */

enum callee flow_callee(const struct emit_check *check, uint64_t to,
                        bool *write)
{
    const struct xlat_glue *glue = &check->config.glue;
    bool user = check->mode & MODE_USER;

    for (unsigned w = 0; w < 2; w++) {
        *write = w;
        if (to == glue->probe[user][w])
            return CALLEE_PROBE;
        for (unsigned i = 0; i < SEG_COUNT * 2; i++)
            if (to == glue->check[i / 2][w][i % 2])
                return CALLEE_LIMIT;
    }
    return CALLEE_NONE;
}

static bool is_guests(unsigned reg)
{
    return (reg < R_R8 && reg != R_RSP) || reg == R_R12;
}

static bool leaves_by_itself(const struct host_insn *h)
{
    return h->in.mnemonic == ZYDIS_MNEMONIC_JMP ||
           h->in.mnemonic == ZYDIS_MNEMONIC_RET;
}

/* ---- Analysis ---- */

static void hand_on(struct emit_check *check, uint32_t to,
                    const struct facts *facts)
{
    if (to < check->count && facts_merge(&check->insns[to].before, facts))
        check->insns[to].dirty = true;
}

/* What holds behind a call. Probes and limit checks keep what is held. */
static struct facts behind_call(const struct emit_check *check,
                                const struct facts *facts, uint64_t to)
{
    struct facts after = facts_at_entry(true);
    const struct fact *last = &facts->of[R_R10];
    bool write;
    enum callee callee = flow_callee(check, to, &write);

    if (callee == CALLEE_NONE)
        return after;
    after.pushed = facts->pushed;
    after.of[R_HELD] = facts->of[R_HELD];
    if (callee == CALLEE_PROBE)
        after.of[R_R8] = (struct fact){
            .kind = last->kind == FACT_SPAN32 && last->reg == R_R8 ? FACT_HOST
                                                                   : FACT_ANY,
            .write = write,
            .n = last->n + 1};
    return after;
}

static void follow(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];
    struct facts facts;

    facts_copy(&facts, &h->before);
    facts_step(check, &facts, h);
    if (h->to)
        hand_on(check, emit_index_at(check, h->to - check->function.rx),
                &facts);
    if (h->in.mnemonic == ZYDIS_MNEMONIC_CALL)
        facts = behind_call(check, &h->before, h->to);
    if (!leaves_by_itself(h))
        hand_on(check, index + 1, &facts);
}

bool flow_analyse(struct emit_check *check)
{
    const unsigned passes = 1000; /* each weakens some fact: it ends before */
    bool again = true;

    for (unsigned pass = 0; again; pass++) {
        if (pass == passes)
            return emit_refuse(check, NO_INSN, "facts that do not settle");
        again = false;
        for (uint32_t i = 0; i < check->count; i++) {
            if (!check->insns[i].dirty)
                continue;
            check->insns[i].dirty = false;
            follow(check, i);
            again = true;
        }
    }
    return true;
}

/* ---- Ways out ---- */

/* The guest's registers as the world switch and other CCFs expect them; in a
 * function, as they were. target: r8d is an address. */
static const char *bad_state(const struct emit_check *check,
                             const struct facts *facts, bool target)
{
    bool function = check->unit != UNIT_CCF;

    if (facts->pushed)
        return "left with a value on the host call stack";
    for (unsigned r = 0; r < R_COUNT; r++) {
        const struct fact *f = &facts->of[r];

        if (!is_guests(r))
            continue;
        if (!fact_is_u32(f))
            return "left with a guest register that is not zero-extended";
        if (function && (f->kind != FACT_INITIAL || f->reg != r))
            return "a function that changes a guest register";
    }
    if (target && !fact_is_u32(&facts->of[R_R8]))
        return "left for an address that is not in r8d";
    return NULL;
}

static bool judge_state(struct emit_check *check, uint32_t index, bool target)
{
    const char *why = bad_state(check, &check->insns[index].before, target);

    return why ? emit_refuse(check, index, why) : true;
}

/* r9 has to be the address of an exit record of this CCF. */
static bool judge_exit(struct emit_check *check, uint32_t index)
{
    const struct fact *r9 = &check->insns[index].before.of[R_R9];
    const struct ccf *ccf = check->ccf;

    for (uint32_t i = 0; i < ccf->exit_count; i++) {
        const struct ccf_exit *exit = &ccf->exits[i];

        if (r9->kind != FACT_CONST || r9->n != (uint64_t)(uintptr_t)exit)
            continue;
        if (exit->ccf != ccf ||
            (exit->kind > EXIT_STEP && exit->kind != EXIT_CHANGED))
            return emit_refuse(check, index, "an exit record of another kind");
        return judge_state(check, index, false);
    }
    return emit_refuse(check, index, "left without an exit record");
}

/* The exit whose patchable field ends at a host offset, or NULL. */
static const struct ccf_exit *patched_at(const struct ccf *ccf, uint32_t end)
{
    for (uint32_t i = 0; i < ccf->exit_count; i++)
        if (ccf->exits[i].kind <= EXIT_CALL &&
            ccf->exits[i].rel_offset + 4 == end)
            return &ccf->exits[i];
    return NULL;
}

static bool judge_function_out(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];
    const struct fact *r8 = &h->before.of[R_R8];

    if (h->in.mnemonic != ZYDIS_MNEMONIC_JMP || h->to != check->function.away)
        return emit_refuse(check, index, "a branch to nowhere");
    if (r8->kind != FACT_INITIAL || r8->reg != R_R8)
        return emit_refuse(check, index, "refused with another address");
    return judge_state(check, index, true);
}

/* A relative branch out of the code. */
static bool judge_out(struct emit_check *check, uint32_t index)
{
    const struct xlat_glue *glue = &check->config.glue;
    const struct host_insn *h = &check->insns[index];
    const struct ccf_exit *exit;

    if (check->unit != UNIT_CCF)
        return judge_function_out(check, index);
    exit = patched_at(check->ccf, h->offset + h->in.length);
    if (exit && exit->chained && h->to == exit->chained->body)
        return judge_state(check, index, false);
    if (h->in.mnemonic != ZYDIS_MNEMONIC_JMP)
        return emit_refuse(check, index, "a branch to nowhere");
    if (h->to == glue->exit)
        return judge_exit(check, index);
    if (h->to == glue->lookup || h->to == glue->miss)
        return judge_state(check, index, true);
    return emit_refuse(check, index, "a branch to nowhere");
}

/* Of a probe or a limit check. */
static bool judge_arguments(struct emit_check *check, uint32_t index,
                            enum callee callee)
{
    const struct facts *facts = &check->insns[index].before;
    const struct fact *last = &facts->of[R_R10];
    unsigned kind = callee == CALLEE_PROBE ? FACT_SPAN32 : FACT_SPAN64;

    if (last->kind != kind || last->reg != R_R8 || last->n > 15)
        return emit_refuse(check, index, "a look-up of no number of bytes");
    return judge_state(check, index, true);
}

static bool is_return_site(const struct ccf *ccf, uint32_t offset)
{
    for (uint32_t i = 0; i < ccf->return_count; i++)
        if (ccf->return_sites[i] == offset)
            return true;
    return false;
}

static bool judge_call(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];
    bool write;
    enum callee callee = flow_callee(check, h->to, &write);

    if (check->unit != UNIT_CCF)
        return emit_refuse(check, index, "a call in a function");
    if (h->to && callee != CALLEE_NONE)
        return judge_arguments(check, index, callee);
    if (!is_return_site(check->ccf, h->offset + h->in.length))
        return emit_refuse(check, index, "a call without a return site");
    if (!h->to)
        return judge_state(check, index, true);
    if (emit_index_at(check, h->to - check->function.rx) != NO_INSN)
        return judge_state(check, index, false);
    return judge_out(check, index);
}

bool flow_judge(struct emit_check *check, uint32_t index)
{
    const struct host_insn *h = &check->insns[index];

    if (h->in.mnemonic == ZYDIS_MNEMONIC_CALL)
        return judge_call(check, index);
    if (h->in.mnemonic == ZYDIS_MNEMONIC_RET)
        return judge_state(check, index, check->unit != UNIT_PROBE);
    if (h->in.mnemonic == ZYDIS_MNEMONIC_JMP && !h->to)
        return judge_state(check, index, true);
    if (!leaves_by_itself(h) && index + 1 == check->count)
        return emit_refuse(check, index, "code that runs over its end");
    if (!h->to)
        return h->in.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE
                   ? true
                   : emit_refuse(check, index, "a branch of another kind");
    if (h->to - check->function.rx >= check->function.len)
        return judge_out(check, index);
    if (emit_index_at(check, h->to - check->function.rx) == NO_INSN)
        return emit_refuse(check, index, "a branch into an instruction");
    return true;
}
