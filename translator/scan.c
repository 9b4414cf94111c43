/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

#include <string.h>

/*
 * Choose the TU: decode from its gip in address order, note where internal
 * branches lead, and cut it into blocks.
 */

/* Flow class by handler; whatever is not named falls through. */
#define FLOW_OF_jmp      FLOW_JUMP
#define FLOW_OF_ret      FLOW_JUMP
#define FLOW_OF_transfer FLOW_JUMP
#define FLOW_OF_jcc      FLOW_COND
#define FLOW_OF_loop     FLOW_COND
#define FLOW_OF_call     FLOW_CALL
#define FLOW_OF_fallback FLOW_NEXT
#define FLOW_OF_copy     FLOW_NEXT
#define FLOW_OF_x87      FLOW_NEXT
#define FLOW_OF_sse      FLOW_NEXT
#define FLOW_OF_mov      FLOW_NEXT
#define FLOW_OF_lea      FLOW_NEXT
#define FLOW_OF_mov_seg  FLOW_NEXT
#define FLOW_OF_push     FLOW_NEXT
#define FLOW_OF_pop      FLOW_NEXT
#define FLOW_OF_leave    FLOW_NEXT
#define FLOW_OF_string   FLOW_NEXT
#define FLOW_OF_nop      FLOW_NEXT
#define FLOW_OF_cli      FLOW_NEXT
#define FLOW_OF_sti      FLOW_NEXT
#define FLOW_OF_rdtsc    FLOW_NEXT
#define FLOW_OF_pushf    FLOW_NEXT

static const uint8_t flow_of[OP_COUNT] = {
    [OP_INVALID] = FLOW_JUMP,
#define OP(mnemonic, feature, interp, handler, undefined_flags) \
    [OP_##mnemonic] = FLOW_OF_##handler,
#include "translator/decode/insn_ops.def"
#undef OP
};

enum xlat_flow xlat_flow(const struct insn *in)
{
    return flow_of[in->op];
}

bool xlat_is_direct(const struct insn *in)
{
    return in->operand_count > 0 && in->operand[0].kind == OPERAND_REL;
}

static bool in_page(const struct xlat *x, gip_t gip)
{
    return ((gip ^ x->gip) & ~(gip_t)PAGE_MASK) == 0;
}

/* The bytes at a page offset: of the page, and of the next one when the TU's
 * first instruction may use it. Returns how many. */
static size_t source_bytes(const struct xlat *x, uint32_t offset,
                           uint8_t bytes[INSN_MAX_LEN])
{
    size_t room = PAGE_SIZE - offset;

    if (room >= INSN_MAX_LEN) {
        memcpy(bytes, x->page + offset, INSN_MAX_LEN);
        return INSN_MAX_LEN;
    }
    memcpy(bytes, x->page + offset, room);
    if (x->insn_count > 0 || !x->request->page[1])
        return room;
    memcpy(bytes + room, x->request->page[1], INSN_MAX_LEN - room);
    return INSN_MAX_LEN;
}

bool xlat_crosses(const struct xlat *x, uint32_t offset)
{
    const struct insn_mode mode = xlat_insn_mode(x);
    size_t room = PAGE_SIZE - offset;
    struct insn in;

    return room < INSN_MAX_LEN &&
           insn_decode(&in, mode, x->page + offset, room) == INSN_SHORT;
}

/* Decode one instruction at a page offset; false at the end of the TU. */
static bool decode_at(struct xlat *x, uint32_t offset)
{
    struct xlat_insn *xi = &x->insns[x->insn_count];
    struct insn_mode mode = xlat_insn_mode(x);
    uint8_t bytes[INSN_MAX_LEN];
    size_t len = source_bytes(x, offset, bytes);

    memset(xi, 0, sizeof(*xi));
    if (insn_decode(&xi->in, mode, bytes, len) == INSN_SHORT)
        return false;
    xi->offset = (uint16_t)offset;
    if ((uint64_t)xlat_eip(x, xlat_gip(x, xi)) + xi->in.len - 1 > x->cs_limit)
        return false;
    xi->flow =
        (uint8_t)(xi->in.op == OP_INVALID ? FLOW_JUMP : xlat_flow(&xi->in));
    xi->target = XLAT_NO_INSN;
    xi->host_label = XLAT_NO_LABEL;
    x->index_at[offset] = (uint16_t)x->insn_count++;
    return true;
}

/* The nearest forward branch target at or behind an offset, so close that it
 * is the same function. UINT32_MAX when there is none. */
static uint32_t pending_target(const struct xlat *x, uint32_t from)
{
    const uint32_t reach = 64;
    uint32_t best = UINT32_MAX;

    for (uint32_t i = 0; i < x->insn_count; i++) {
        const struct xlat_insn *xi = &x->insns[i];

        if (!xlat_is_direct(&xi->in) || xi->flow == FLOW_CALL)
            continue;
        gip_t target = xlat_target(x, xi);
        uint32_t offset = target & PAGE_MASK;

        if (in_page(x, target) && offset >= from && offset < from + reach &&
            offset < best)
            best = offset;
    }
    return best;
}

static void decode_all(struct xlat *x)
{
    uint32_t offset = x->gip & PAGE_MASK;
    uint32_t max = x->config.max_insns;

    x->insn_count = 0;
    while (x->insn_count < max && decode_at(x, offset)) {
        struct xlat_insn *xi = &x->insns[x->insn_count - 1];

        offset += xi->in.op == OP_INVALID ? 0u : xi->in.len;
        x->page_end = xi->offset + xi->in.len;
        if (x->config.no_regions && xi->flow != FLOW_NEXT)
            break;
        if (xi->flow == FLOW_JUMP) {
            uint32_t next = pending_target(x, offset);

            if (next == UINT32_MAX || xi->in.op == OP_INVALID)
                break;
            offset = next;
        }
        if (offset >= PAGE_SIZE)
            break;
    }
}

/* One straight run up to a store, of no more than is cheap to compare. */
static void decode_checked(struct xlat *x)
{
    const uint32_t start = x->gip & PAGE_MASK;
    bool end = false;

    x->insn_count = 0;
    while (!end && decode_at(x, x->insn_count ? x->page_end : start)) {
        struct xlat_insn *xi = &x->insns[x->insn_count - 1];

        x->page_end = xi->offset + xi->in.len;
        end = xi->flow == FLOW_JUMP || xlat_ends_checked(&xi->in) ||
              (x->config.no_regions && xi->flow != FLOW_NEXT) ||
              x->page_end >= PAGE_SIZE ||
              x->page_end - start >= XLAT_CHECKED_BYTES;
    }
}

/* An instruction whose successor in the list is not what follows it in memory
 * ends its straight line. */
static void mark_last(struct xlat *x)
{
    for (uint32_t i = 0; i < x->insn_count; i++) {
        struct xlat_insn *xi = &x->insns[i];

        xi->last = i + 1 == x->insn_count ||
                   x->insns[i + 1].offset != xi->offset + xi->in.len;
    }
}

static void mark_labels(struct xlat *x)
{
    for (uint32_t i = 0; i < x->insn_count; i++) {
        struct xlat_insn *xi = &x->insns[i];

        if (!xlat_is_direct(&xi->in) || xi->flow == FLOW_CALL)
            continue;
        gip_t target = xlat_target(x, xi);
        uint16_t index =
            in_page(x, target) ? x->index_at[target & PAGE_MASK] : XLAT_NO_INSN;

        /* Loops end a TU that is run alone: it may be left between rounds. */
        if (index == XLAT_NO_INSN || ((x->mode & MODE_SINGLE) && index <= i))
            continue;
        xi->target = index;
        x->insns[index].label = true;
    }
}

static void mark_blocks(struct xlat *x)
{
    uint16_t rest = 0;

    for (uint32_t i = 0; i < x->insn_count; i++)
        x->insns[i].block_head = i == 0 || x->insns[i].label ||
                                 x->insns[i - 1].last ||
                                 x->insns[i - 1].flow != FLOW_NEXT;
    for (uint32_t i = 1; i < x->insn_count; i++)
        if (x->insns[i - 1].flow != FLOW_NEXT) {
            stat_inc(x->config.stats, STAT_TU_REGIONS);
            break;
        }
    for (uint32_t i = x->insn_count; i-- > 0;) {
        struct xlat_insn *xi = &x->insns[i];

        if (i + 1 == x->insn_count || x->insns[i + 1].block_head)
            rest = 0;
        xi->block_rest = ++rest;
    }
}

bool xlat_scan(struct xlat *x)
{
    memset(x->index_at, 0xff, sizeof(x->index_at));
    x->page_end = (x->gip & PAGE_MASK) + 1;
    if (x->mode & MODE_CHECKED)
        decode_checked(x);
    else
        decode_all(x);
    if (!x->insn_count)
        return false;
    mark_last(x);
    mark_labels(x);
    mark_blocks(x);
    return true;
}
