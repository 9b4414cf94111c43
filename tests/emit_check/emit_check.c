/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "emit_check_priv.h"

/*
 * The plan:
 *
 *   1. decode all bytes, one instruction behind the other;
 *   2. mark what leads into them, and what is known there;
 *   3. hand facts along all paths until they stand (flow.c, facts.c);
 *   4. judge each instruction by the facts before it (insn.c, memory.c, flow.c,
 *      copy.c), then the CCF's tables.
 */

struct emit_check *emit_check_create(const struct xlat_config *config)
{
    struct emit_check *check = calloc(1, sizeof(*check));

    if (check == NULL)
        return NULL;
    check->config = *config;
    /* The guest's CPU has none of the extensions that decoder modes stand for. */
    check->code32 = (ZydisDecoder){.machine_mode = ZYDIS_MACHINE_MODE_LEGACY_32,
                                   .stack_width = ZYDIS_STACK_WIDTH_32};
    check->code16 = (ZydisDecoder){.machine_mode = ZYDIS_MACHINE_MODE_LEGACY_16,
                                   .stack_width = ZYDIS_STACK_WIDTH_16};
    ZydisDecoderInit(&check->host, ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
    return check;
}

void emit_check_destroy(struct emit_check *check)
{
    if (check == NULL)
        return;
    free(check->insns);
    free(check->index_at);
    free(check);
}

void emit_check_set(struct emit_check *check, const struct xlat_config *config)
{
    check->config = *config;
}

uint64_t emit_check_count(const struct emit_check *check)
{
    return check->judged;
}

bool emit_refuse(struct emit_check *check, uint32_t index, const char *why)
{
    if (check->why == NULL) {
        check->why = why;
        check->where = index;
    }
    return false;
}

/* ---- 1. Decoding ---- */

static bool make_room(struct emit_check *check, uint32_t len)
{
    if (check->index_capacity < len) {
        free(check->index_at);
        check->index_at = malloc(len * sizeof(*check->index_at));
        check->index_capacity = check->index_at ? len : 0;
    }
    if (check->count == check->capacity) {
        uint32_t capacity = check->capacity ? 2 * check->capacity : 256;
        struct host_insn *insns =
            realloc(check->insns, capacity * sizeof(*check->insns));

        if (insns == NULL)
            return emit_refuse(check, NO_INSN, "no memory to check with");
        for (uint32_t i = check->capacity; i < capacity; i++)
            insns[i].decoded = false;
        check->insns = insns;
        check->capacity = capacity;
    }
    return check->index_at != NULL
               ? true
               : emit_refuse(check, NO_INSN, "no memory to check with");
}

/* Most code is judged more than once, and is the same but for what chaining
 * patches. What an instruction is depends on its own bytes only. */
static bool is_decoded(const struct emit_function *f, const struct host_insn *h,
                       uint32_t offset)
{
    return h->decoded && h->in.length <= f->len - offset &&
           !memcmp(h->bytes, f->code + offset, h->in.length);
}

static bool decode_one(struct emit_check *check, uint32_t offset)
{
    const struct emit_function *f = &check->function;
    struct host_insn *h = &check->insns[check->count];

    if (!is_decoded(f, h, offset)) {
        h->decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(
            &check->host, f->code + offset, f->len - offset, &h->in, h->op));
        if (!h->decoded)
            return false;
        memcpy(h->bytes, f->code + offset, h->in.length);
    }
    h->offset = offset;
    h->to = 0;
    h->landed = h->dirty = h->before.reached = false;
    if (h->in.operand_count && h->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
        h->op[0].imm.is_relative)
        ZydisCalcAbsoluteAddress(&h->in, &h->op[0], f->rx + offset, &h->to);
    return true;
}

static bool decode_all(struct emit_check *check)
{
    const struct emit_function *f = &check->function;

    check->count = 0;
    if (!make_room(check, f->len))
        return false;
    memset(check->index_at, 0xff, f->len * sizeof(*check->index_at));
    for (uint32_t at = 0; at < f->len; check->count++) {
        if (!make_room(check, f->len))
            return false;
        if (!decode_one(check, at))
            return emit_refuse(check, check->count ? check->count - 1 : NO_INSN,
                               "bytes behind it that are no instruction");
        check->index_at[at] = check->count;
        at += check->insns[check->count].in.length;
    }
    return check->count ? true : emit_refuse(check, NO_INSN, "no code");
}

/* ---- 2. Ways in ---- */

static bool enter(struct emit_check *check, uint64_t offset,
                  const struct facts *facts)
{
    uint32_t index = emit_index_at(check, offset);

    if (index == NO_INSN)
        return emit_refuse(check, NO_INSN, "a way in between instructions");
    check->insns[index].landed = true;
    if (facts_merge(&check->insns[index].before, facts))
        check->insns[index].dirty = true;
    return true;
}

static bool enter_exits(struct emit_check *check)
{
    const struct facts facts = facts_at_entry(false);
    const struct ccf *ccf = check->ccf;
    bool good = true;

    for (uint32_t i = 0; i < ccf->exit_count; i++) {
        const struct ccf_exit *exit = &ccf->exits[i];

        if (exit->resume_offset)
            good = good && enter(check, exit->resume_offset, &facts);
        if (exit->kind <= EXIT_CALL)
            good = good && enter(check, exit->stub_offset, &facts);
        if (exit->table_offset)
            good = good && enter(check, exit->table_offset, &facts);
    }
    return good;
}

/* The first point of each guest instruction: the monitor goes on there after it
 * has interpreted the one before. */
static bool enter_points(struct emit_check *check)
{
    const struct facts facts = facts_at_entry(false);
    const struct ccf *ccf = check->ccf;

    for (uint32_t i = 0; i < ccf->point_count; i++) {
        const struct ccf_point *p = &ccf->points[i];

        if (i && p->host_offset <= p[-1].host_offset)
            return emit_refuse(check, NO_INSN, "points that are not sorted");
        if (emit_index_at(check, p->host_offset) == NO_INSN)
            return emit_refuse(check, NO_INSN, "a point in an instruction");
        if ((i == 0 || p->gip_offset != p[-1].gip_offset) &&
            !enter(check, p->host_offset, &facts))
            return false;
    }
    return true;
}

static bool enter_ccf(struct emit_check *check)
{
    const struct facts from_table = facts_at_entry(true);
    const struct facts from_chain = facts_at_entry(false);
    const struct ccf *ccf = check->ccf;

    if (!enter(check, ccf->entry - ccf->start, &from_table) ||
        !enter(check, ccf->body - ccf->start, &from_chain))
        return false;
    for (uint32_t i = 0; i < ccf->return_count; i++)
        if (!enter(check, ccf->return_sites[i], &from_table))
            return false;
    return enter_exits(check) && enter_points(check);
}

/* ---- 4. Judging ---- */

static bool judge_insns(struct emit_check *check)
{
    memset(&check->guest, 0, sizeof(check->guest));
    check->guest.offset = UINT32_MAX;
    for (uint32_t i = 0; i < check->count; i++) {
        check->judged++;
        if ((check->unit == UNIT_CCF && !copy_advance(check, i)) ||
            !insn_judge(check, i) || !memory_judge(check, i) ||
            !flow_judge(check, i) || !copy_judge(check, i))
            return false;
    }
    return check->unit != UNIT_CCF || copy_end(check);
}

/* A field that chaining patches is the whole rel32 of a branch of its kind. */
static bool judge_patched(struct emit_check *check)
{
    const struct ccf *ccf = check->ccf;

    for (uint32_t i = 0; i < check->count; i++) {
        struct host_insn *h = &check->insns[i];
        uint32_t index = emit_index_at(check, h->to - check->function.rx);

        if (h->to && index != NO_INSN)
            check->insns[index].landed = true;
        h->dirty = h->to && h->in.raw.imm[0].size == 32;
    }
    for (uint32_t i = 0; i < ccf->exit_count; i++) {
        const struct ccf_exit *exit = &ccf->exits[i];
        uint32_t index = emit_index_at(check, exit->rel_offset);
        uint32_t at = exit->rel_offset;

        if (exit->kind > EXIT_CALL)
            continue;
        while (at > 0 && index == NO_INSN)
            index = emit_index_at(check, --at);
        if (index == NO_INSN || !check->insns[index].dirty ||
            check->insns[index].offset + check->insns[index].in.length !=
                exit->rel_offset + 4)
            return emit_refuse(check, index, "a chain that patches no branch");
        if ((check->insns[index].in.mnemonic == ZYDIS_MNEMONIC_CALL) !=
            (exit->kind == EXIT_CALL))
            return emit_refuse(check, index, "a chain of another kind");
    }
    return true;
}

/* When the CCF dies a jump of five bytes is written over its entry and each return
 * site: nothing may lead into the middle of those. */
static bool judge_overwritten(struct emit_check *check, uint64_t offset)
{
    const uint32_t jump_len = 5;

    for (uint64_t at = offset + 1; at < offset + jump_len; at++) {
        uint32_t index = emit_index_at(check, at);

        if (index != NO_INSN && check->insns[index].landed)
            return emit_refuse(check, index, "a way in that death overwrites");
    }
    return offset + jump_len <= check->function.len
               ? true
               : emit_refuse(check, NO_INSN, "no room for death's jump");
}

static bool judge_tables(struct emit_check *check)
{
    const struct ccf *ccf = check->ccf;

    if (!judge_patched(check) ||
        !judge_overwritten(check, ccf->entry - ccf->start))
        return false;
    for (uint32_t i = 0; i < ccf->return_count; i++)
        if (!judge_overwritten(check, ccf->return_sites[i]))
            return false;
    return true;
}

/* ---- The whole ---- */

static void begin(struct emit_check *check, enum unit unit,
                  const struct emit_function *function)
{
    check->unit = unit;
    check->function = *function;
    check->why = NULL;
    check->where = NO_INSN;
    check->count = 0;
    check->ccf = NULL;
    check->mode = function->user ? MODE_USER : 0;
}

static void take_source(struct emit_check *check, const struct ccf *ccf)
{
    check->guest_len = 0;
    for (uint32_t i = 0; i < ccf->source_count; i++) {
        const struct ccf_source *s = &ccf->source[i];

        memcpy(check->guest_bytes + check->guest_len, s->bytes,
               s->end - s->start);
        check->guest_len += s->end - s->start;
    }
}

const char *emit_check_ccf(struct emit_check *check, const struct ccf *ccf,
                           const uint8_t *code, uint64_t source)
{
    const struct emit_function function = {
        .code = code, .rx = ccf->start, .len = ccf->host_len};

    begin(check, UNIT_CCF, &function);
    check->ccf = ccf;
    check->mode = ccf->mode;
    take_source(check, ccf);
    check->source = source;
    check->source_len = ccf->checked ? check->guest_len : 0;
    if (decode_all(check) && enter_ccf(check) && flow_analyse(check) &&
        judge_insns(check))
        judge_tables(check);
    return check->why;
}

static const char *check_function(struct emit_check *check, enum unit unit,
                                  const struct emit_function *function)
{
    const struct facts facts = facts_at_function(unit);

    begin(check, unit, function);
    if (decode_all(check) && enter(check, 0, &facts) && flow_analyse(check))
        judge_insns(check);
    return check->why;
}

const char *emit_check_probe(struct emit_check *check,
                             const struct emit_function *function)
{
    return check_function(check, UNIT_PROBE, function);
}

const char *emit_check_limit(struct emit_check *check,
                             const struct emit_function *function)
{
    return check_function(check, UNIT_LIMIT, function);
}

void emit_check_print(const struct emit_check *check, FILE *stream)
{
    uint32_t where = check->where < check->count ? check->where : 0;

    fprintf(stream, "%s\n", check->why ? check->why : "nothing is wrong");
    if (check->ccf)
        fprintf(stream,
                "CCF of %08x, mode %08x; instruction at +%x:", check->ccf->gip,
                check->mode, check->guest.offset);
    for (uint32_t i = 0; check->ccf && i < check->guest_len && i < 64; i++)
        fprintf(stream, " %02x", check->guest_bytes[i]);
    fprintf(stream, "\n");
    for (uint32_t i = where < 12 ? 0 : where - 12;
         i < check->count && i < where + 4; i++) {
        const struct host_insn *h = &check->insns[i];
        const uint8_t *code = check->function.code + h->offset;
        char text[96];

        insn_format_host(code, h->in.length, check->function.rx + h->offset,
                         text, sizeof(text));
        fprintf(stream, "%s %5x  %s\n", i == check->where ? "=>" : "  ",
                h->offset, text);
    }
}
