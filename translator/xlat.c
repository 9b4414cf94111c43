/* SPDX-License-Identifier: MIT */
#include "translator/xlat_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/log.h"

/*
 * The passes, in order: scan (choose and decode the TU), emit the entry check,
 * emit each instruction through its handler, emit the stubs of its exits, tie
 * up the tables, hand the CCF to the cache.
 *
 * Nothing that is emitted touches the guest's flags but the guest's own
 * instructions: even the address checks at entries and return sites are made
 * without flags, because a check that fails leads to code that may need them.
 */

int xlat_create(struct xlat **out, const struct xlat_config *config)
{
    struct xlat *x = calloc(1, sizeof(*x));

    if (!x)
        return -ENOMEM;
    x->config = *config;
    if (!x->config.max_insns || x->config.max_insns > XLAT_MAX_INSNS)
        x->config.max_insns = XLAT_MAX_INSNS;
    *out = x;
    return 0;
}

void xlat_destroy(struct xlat *x)
{
    free(x);
}

bool xlat_uses_fpu(const struct insn *in)
{
    const uint32_t integer = BIT(FEAT_BASE) | BIT(FEAT_CMOV) | BIT(FEAT_SEP) |
                             BIT(FEAT_POPCNT) | BIT(FEAT_CLFLUSH) |
                             BIT(FEAT_MOVBE);

    /* FCMOVcc and FCOMI are offered by the feature of CMOVcc. */
    bool x87 = in->map == 0 && (in->opcode & 0xf8) == 0xd8;

    return in->op != OP_INVALID &&
           (x87 || !(integer & BIT(insn_feature(in->op))));
}

static void add_point(struct xlat *x, uint16_t gip_offset, uint16_t uncounted)
{
    struct ccf_point *p = &x->points[x->point_count];
    uint32_t offset = emit_offset(&x->e);

    /* The last point of an address wins. */
    if (x->point_count && p[-1].host_offset == offset)
        p--;
    else
        x->point_count++;
    ENSURE(x->point_count <= ARRAY_COUNT(x->points));
    *p = (struct ccf_point){
        .host_offset = offset,
        .gip_offset = gip_offset,
        .esp_delta = (int16_t)x->delta,
        .uncounted = uncounted,
        .flags = (x->soft ? POINT_SOFT : 0) |
                 (xlat_uses_fpu(&x->insns[x->current].in) ? POINT_FPU : 0),
    };
}

static uint16_t gip_offset(const struct xlat *x, const struct xlat_insn *xi)
{
    return (uint16_t)(xi->offset - (x->gip & PAGE_MASK));
}

static uint16_t uncounted(const struct xlat *x, const struct xlat_insn *xi)
{
    return x->mode & MODE_COUNT ? xi->block_rest : 0;
}

void xlat_point(struct xlat *x)
{
    const struct xlat_insn *xi = &x->insns[x->current];

    add_point(x, gip_offset(x, xi), uncounted(x, xi));
}

void xlat_settle(struct xlat *x)
{
    if (x->delta)
        emit_lea_rd(&x->e, HOST_ESP, HOST_ESP, x->delta);
    x->delta = 0;
}

/* lea r12d, [r12 + delta] */
void xlat_sync(struct xlat *x)
{
    if (!x->delta)
        return;
    xlat_settle(x);
    xlat_point(x);
}

/*
 * mov r9, imm64 record
 * jmp exit
 */
struct ccf_exit *xlat_emit_exit(struct xlat *x, enum exit_kind kind,
                                gip_t target)
{
    struct ccf_exit *exit = &x->exits[x->exit_count];

    ENSURE(x->exit_count < ARRAY_COUNT(x->exits));
    ASSERT(x->delta == 0);
    *exit = (struct ccf_exit){.kind = kind, .target = target};
    emit_u8(&x->e, 0x49);
    emit_u8(&x->e, 0xb9);
    x->record_at[x->exit_count++] = emit_offset(&x->e);
    emit_u64(&x->e, 0);
    emit_jmp(&x->e, x->config.glue.exit);
    return exit;
}

void xlat_step(struct xlat *x, const struct xlat_insn *xi)
{
    struct ccf_exit *exit;

    xlat_sync(x);
    exit = xlat_emit_exit(x, EXIT_STEP, xlat_gip(x, xi));
    exit->uncounted = uncounted(x, xi);
    exit->resume_gip = xlat_next(x, xi);
    exit->uses_fpu = xlat_uses_fpu(&xi->in);
    exit->memory = xlat_accesses_memory(&xi->in);
    if (xi->flow == FLOW_NEXT)
        exit->resume_offset = emit_offset(&x->e);
}

static uint32_t table_index(gip_t gip)
{
    return gip & 0xffff;
}

static bool same_page(const struct xlat *x, gip_t target)
{
    return ((target ^ x->gip) & ~(gip_t)PAGE_MASK) == 0;
}

/* Where a chain may lead: it stands until the target's page is mapped anew. In
 * the kernel's space that is announced page by page, a user space goes as a
 * whole, and often. An instruction that crosses out of this page is reached by
 * lookups only. */
static bool can_chain(const struct xlat *x, gip_t target)
{
    if (same_page(x, target))
        return !xlat_crosses(x, target & PAGE_MASK);
    return !(x->mode & MODE_USER);
}

static void add_stub(struct xlat *x, uint32_t at, gip_t target, bool call)
{
    ENSURE(x->stub_count < ARRAY_COUNT(x->stubs));
    x->stubs[x->stub_count++] =
        (struct xlat_stub){.at = at,
                           .target = target,
                           .chainable = can_chain(x, target),
                           .call = call};
}

/*
 * Chainable:  jmp/call stub       (chained: the other CCF's body)
 * otherwise:  mov r8d, target
 *             jmp/call [r14 + (target & ffffh) * 8]
 */
void xlat_leave(struct xlat *x, bool call, gip_t target)
{
    ASSERT(x->delta == 0);
    if (can_chain(x, target)) {
        add_stub(x, call ? emit_call(&x->e, 0) : emit_jmp(&x->e, 0), target,
                 call);
        return;
    }
    emit_mov_ri(&x->e, HOST_TARGET, target);
    if (call)
        emit_call_table(&x->e, table_index(target));
    else
        emit_jmp_table(&x->e, table_index(target));
}

/* jcc/jmp to an instruction of the TU. */
static void internal_branch(struct xlat *x, uint16_t index, int cc)
{
    const struct xlat_insn *to = &x->insns[index];
    uint32_t at =
        cc < 0 ? emit_jmp(&x->e, 0) : emit_jcc(&x->e, (unsigned)cc, 0);

    if (to->host_label != XLAT_NO_LABEL) {
        mcode_patch_rel32(tc_mcode(x->config.tc), x->e.rx_start + at,
                          x->e.rx_start + to->host_label);
        return;
    }
    ENSURE(x->fixup_count < ARRAY_COUNT(x->fixups));
    x->fixups[x->fixup_count++] =
        (struct xlat_fixup){.at = at, .target = index};
}

void xlat_goto(struct xlat *x, const struct xlat_insn *xi, int cc, gip_t target)
{
    if (xi->target != XLAT_NO_INSN)
        internal_branch(x, xi->target, cc);
    else if (cc < 0)
        xlat_leave(x, false, target);
    else
        add_stub(x, emit_jcc(&x->e, (unsigned)cc, 0), target, false);
}

/*
 * Is r8d the address? Without flags:
 *     mov r9, rcx
 *     lea ecx, [r8 - address]
 *     jecxz 1f
 *     mov rcx, r9
 *     jmp elsewhere
 * 1:  mov rcx, r9
 */
static void emit_address_check(struct emit *e, gip_t address,
                               uint64_t elsewhere)
{
    uint32_t ok;

    emit_mov64_rr(e, HOST_R9, HOST_RCX);
    emit_lea_rd(e, HOST_RCX, HOST_TARGET, (int32_t)(0 - address));
    ok = emit_jecxz(e);
    emit_mov64_rr(e, HOST_RCX, HOST_R9);
    emit_jmp(e, elsewhere);
    emit_patch8(e, ok);
    emit_mov64_rr(e, HOST_RCX, HOST_R9);
}

void xlat_return_site(struct xlat *x, const struct xlat_insn *xi)
{
    ENSURE(x->return_count < ARRAY_COUNT(x->return_sites));
    x->return_sites[x->return_count++] = emit_offset(&x->e);
    if (!x->config.no_host_returns)
        stat_inc(x->config.stats, STAT_RETURN_SITES);
    emit_address_check(&x->e, xlat_next(x, xi), x->config.glue.lookup);
}

/*
 * mov r9, [r15 + counter]
 * lea r9, [r9 + count]
 * mov [r15 + counter], r9
 */
void xlat_add(struct xlat *x, int32_t counter, uint32_t count)
{
    emit_load64_rd(&x->e, HOST_R9, HOST_VCPU, counter);
    emit_lea64_rd(&x->e, HOST_R9, HOST_R9, (int32_t)count);
    emit_store64_rd(&x->e, HOST_VCPU, counter, HOST_R9);
}

bool xlat_accesses_memory(const struct insn *in)
{
    bool address_only = in->op == OP_LEA || in->op == OP_NOP;

    for (unsigned i = 0; i < in->operand_count && !address_only; i++)
        if (in->operand[i].kind == OPERAND_MEM)
            return true;
    return in->op == OP_PUSH || in->op == OP_POP || in->op == OP_CALL ||
           in->op == OP_RET || in->op == OP_LEAVE;
}

/* Instructions with memory operands from a block head to the block's end. */
static uint32_t block_memops(const struct xlat_insn *head)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < head->block_rest; i++)
        count += xlat_accesses_memory(&head[i].in);
    return count;
}

/* Block heads count their block in advance. */
static void emit_count(struct xlat *x, const struct xlat_insn *xi)
{
    const struct xlat_layout *layout = &x->config.layout;
    uint32_t memops;

    if (!(x->mode & MODE_COUNT) || !xi->block_head)
        return;
    add_point(x, gip_offset(x, xi), 0);
    xlat_add(x, layout->retired, xi->block_rest);
    memops = x->mode & MODE_USER ? block_memops(xi) : 0;
    if (memops)
        xlat_add(x, layout->user_memops, memops);
    if (memops && (x->mode & MODE_SOFT))
        xlat_add(x, layout->user_memops_soft, memops);
}

static xlat_fn *const handlers[OP_COUNT] = {
#define OP(mnemonic, feature, interp, handler, undefined_flags) \
    [OP_##mnemonic] = xlat_op_##handler,
#include "translator/decode/insn_ops.def"
#undef OP
};

/* A string instruction on segments that are not flat: its registers would hold
 * window addresses that are not the offsets, if it faulted there. */
static bool is_string_apart(const struct xlat *x, const struct insn *in)
{
    unsigned form = in->opcode & 0xfe;
    bool source = form == 0xa4 || form == 0xa6 || form == 0xac;

    return handlers[in->op] == xlat_op_string &&
           ((source && !xlat_ref_is_plain(x, in->mem.seg)) ||
            (form != 0xac && !xlat_ref_is_plain(x, SEG_ES)));
}

static bool is_soft(const struct xlat *x, const struct xlat_insn *xi)
{
    return (x->mode & MODE_SOFT) || is_string_apart(x, &xi->in) ||
           x->config.is_soft(x->config.opaque, x->gfn, xi->offset);
}

/* A store with a CS prefix is a #GP in protected mode (SDM 3A 5.5 "Type
 * Checking"); DS, ES and SS are writable where CCFs run. */
static bool stores_through_cs(const struct insn *in)
{
    if (!in->has_mem || in->mem.seg != SEG_CS)
        return false;
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MEM && in->operand[i].written)
            return true;
    return false;
}

/* Is it to be counted as soft, which its block's head has not done? */
static bool counts_alone(const struct xlat *x, const struct xlat_insn *xi)
{
    const uint32_t count = MODE_USER | MODE_COUNT;

    return x->soft && (x->mode & (count | MODE_SOFT)) == count &&
           xlat_accesses_memory(&xi->in);
}

/* Forget what a handler emitted that gave up half-way. */
struct mark {
    uint8_t *at;
    int32_t delta;
    uint32_t point_count;
};

/* True when control may go on behind it. */
static bool emit_one(struct xlat *x, struct xlat_insn *xi)
{
    struct mark mark;

    x->soft = false;
    x->soft = is_soft(x, xi);

    xi->host_start = emit_offset(&x->e);
    xlat_point(x);
    mark = (struct mark){x->e.at, x->delta, x->point_count};
    if (counts_alone(x, xi))
        xlat_add(x, x->config.layout.user_memops_soft, 1);
    if (xi->in.op != OP_INVALID && !stores_through_cs(&xi->in) &&
        handlers[xi->in.op](x, xi))
        return xi->flow != FLOW_JUMP;
    x->e.at = mark.at;
    x->delta = mark.delta;
    x->point_count = mark.point_count;
    xlat_step(x, xi);
    return xi->flow == FLOW_NEXT;
}

static void emit_body(struct xlat *x)
{
    for (x->current = 0; x->current < x->insn_count; x->current++) {
        struct xlat_insn *xi = &x->insns[x->current];

        if (xi->label) {
            xlat_sync(x);
            xi->host_label = emit_offset(&x->e);
        }
        emit_count(x, xi);
        if (emit_one(x, xi) && xi->last) {
            xlat_settle(x);
            xlat_leave(x, false, xlat_next(x, xi));
        }
    }
}

/*
 * Chainable:       mov r9, record; jmp exit
 * In another page: mov r8d, target
 *                  jmp [r14 + (target & ffffh) * 8]
 */
static void emit_stub(struct xlat *x, const struct xlat_stub *stub)
{
    uint32_t offset = emit_offset(&x->e);

    emit_patch32(&x->e, stub->at);
    if (stub->chainable) {
        struct ccf_exit *exit =
            xlat_emit_exit(x, stub->call ? EXIT_CALL : EXIT_JUMP, stub->target);

        exit->rel_offset = stub->at;
        exit->stub_offset = offset;
        if (same_page(x, stub->target))
            return;
        exit->table_offset = emit_offset(&x->e);
    }
    emit_mov_ri(&x->e, HOST_TARGET, stub->target);
    emit_jmp_table(&x->e, table_index(stub->target));
}

static void bind_fixups(struct xlat *x)
{
    for (uint32_t i = 0; i < x->fixup_count; i++) {
        const struct xlat_fixup *f = &x->fixups[i];
        uint32_t label = x->insns[f->target].host_label;

        ENSURE(label != XLAT_NO_LABEL);
        mcode_patch_rel32(tc_mcode(x->config.tc), x->e.rx_start + f->at,
                          x->e.rx_start + label);
    }
}

/* NULL when the host has no memory left. */
static void *copy_of(const void *data, size_t len)
{
    void *copy = malloc(len ? len : 1);

    if (copy)
        memcpy(copy, data, len);
    return copy;
}

static void bind_exits(struct xlat *x, struct ccf *ccf)
{
    for (uint32_t i = 0; i < x->exit_count; i++) {
        uint64_t record = (uint64_t)(uintptr_t)&ccf->exits[i];

        ccf->exits[i].ccf = ccf;
        memcpy(x->e.start + x->record_at[i], &record, sizeof(record));
    }
}

static void set_source(struct ccf_source *source, gfn_t gfn,
                       const uint8_t *page, uint32_t start, uint32_t end)
{
    source->gfn = gfn;
    source->start = start;
    source->end = end;
    source->bytes = copy_of(page + start, end - start);
}

static void set_sources(const struct xlat *x, struct ccf *ccf)
{
    const struct xlat_request *r = x->request;
    bool crosses = x->page_end > PAGE_SIZE;

    ccf->source_count = crosses ? 2 : 1;
    set_source(&ccf->source[0], r->gfn[0], r->page[0], x->gip & PAGE_MASK,
               crosses ? PAGE_SIZE : x->page_end);
    if (crosses)
        set_source(&ccf->source[1], r->gfn[1], r->page[1], 0,
                   x->page_end - PAGE_SIZE);
}

static bool has_bytes(const struct ccf *ccf)
{
    for (uint32_t i = 0; i < ccf->source_count; i++)
        if (!ccf->source[i].bytes)
            return false;
    return true;
}

static struct ccf *make_ccf(struct xlat *x, uint32_t body)
{
    struct ccf *ccf = calloc(1, sizeof(*ccf));

    if (!ccf)
        return NULL;
    ccf->gip = x->gip;
    ccf->mode = x->mode;
    set_sources(x, ccf);
    ccf->checked = x->mode & MODE_CHECKED;
    ccf->insn_count = x->insn_count;
    ccf->start = ccf->entry = x->e.rx_start;
    ccf->body = ccf->start + body;
    ccf->host_len = emit_offset(&x->e);
    ccf->point_count = x->point_count;
    ccf->points = copy_of(x->points, x->point_count * sizeof(*x->points));
    ccf->exit_count = x->exit_count;
    ccf->exits = copy_of(x->exits, x->exit_count * sizeof(*x->exits));
    ccf->return_count = x->return_count;
    ccf->return_sites =
        copy_of(x->return_sites, x->return_count * sizeof(*x->return_sites));
    if (!ccf->points || !ccf->exits || !ccf->return_sites || !has_bytes(ccf)) {
        ccf_free(ccf);
        return NULL;
    }
    bind_exits(x, ccf);
    return ccf;
}

/* The largest TU fits a region of the smallest cache. */
_Static_assert(XLAT_MAX_INSNS *XLAT_MAX_BYTES + XLAT_MAX_EXTRA + 64 <=
                   (TC_MIN_LEN - TC_GLUE_LEN) / TC_REGIONS,
               "a TU may be larger than a region");

static bool begin(struct xlat *x)
{
    size_t room = x->insn_count * XLAT_MAX_BYTES + XLAT_MAX_EXTRA;
    uint64_t rx = tc_reserve(x->config.tc, room);
    uint8_t *rw;

    if (!rx)
        return false;
    rw = mcode_rw(tc_mcode(x->config.tc), rx);
    emit_init(&x->e, rw, rw + room, rx);
    x->delta = 0;
    x->point_count = x->exit_count = x->return_count = 0;
    x->fixup_count = x->stub_count = x->changed_count = 0;
    return true;
}

/* The guest instruction that begins at a host offset, or NULL. */
static const struct xlat_insn *insn_begun_at(const struct xlat *x, uint32_t at)
{
    for (uint32_t i = 0; i < x->insn_count; i++)
        if (x->insns[i].host_start == at)
            return &x->insns[i];
    return NULL;
}

/* Guest code on the left, the host code made from it on the right. */
static void log_side_by_side(const struct xlat *x, const struct ccf *ccf)
{
    char guest[64];
    char host[96];

    for (uint32_t at = 0; at < ccf->host_len;) {
        const struct xlat_insn *xi = insn_begun_at(x, at);
        uint64_t rx = ccf->start + at;

        guest[0] = '\0';
        if (xi && log_on(LOG_GUEST))
            insn_format(&xi->in, xlat_gip(x, xi), xlat_insn_mode(x).code32,
                        guest, sizeof(guest));
        at += (uint32_t)insn_format_host(x->e.start + at, ccf->host_len - at,
                                         rx, host, sizeof(host));
        if (xi)
            log_line(LOG_HOST, "%08x  %-40s  %llx  %s", xlat_gip(x, xi), guest,
                     (unsigned long long)rx, host);
        else
            log_line(LOG_HOST, "%-50s  %llx  %s", "", (unsigned long long)rx,
                     host);
    }
}

static void log_guest(const struct xlat *x)
{
    char text[96];

    for (uint32_t i = 0; i < x->insn_count; i++) {
        const struct xlat_insn *xi = &x->insns[i];

        insn_format(&xi->in, xlat_gip(x, xi), xlat_insn_mode(x).code32, text,
                    sizeof(text));
        log_line(LOG_GUEST, "%08x  %s", xlat_gip(x, xi), text);
    }
}

static void log_tu(const struct xlat *x, const struct ccf *ccf)
{
    log_line(LOG_XLAT, "TU %08x frame %05llx mode %02x: %u insns, %u bytes",
             ccf->gip, (unsigned long long)x->gfn, ccf->mode, ccf->insn_count,
             ccf->host_len);
    if (log_on(LOG_HOST))
        log_side_by_side(x, ccf);
    else if (log_on(LOG_GUEST))
        log_guest(x);
}

struct ccf *xlat_tu(struct xlat *x, const struct xlat_request *request)
{
    struct ccf *ccf;
    uint32_t body;

    x->request = request;
    x->gip = request->gip;
    x->gfn = request->gfn[0];
    x->mode = request->mode;
    x->cs_base = request->cs_base;
    x->cs_limit = request->cs_limit;
    x->page = request->page[0];
    if (!xlat_scan(x))
        return NULL;

    if (!begin(x))
        return NULL;
    emit_address_check(&x->e, x->gip, x->config.glue.miss);
    body = emit_offset(&x->e);
    if (x->mode & MODE_CHECKED)
        xlat_emit_source_check(x);
    emit_body(x);
    if (x->mode & MODE_CHECKED)
        xlat_emit_source_exit(x);
    for (uint32_t i = 0; i < x->stub_count; i++)
        emit_stub(x, &x->stubs[i]);
    ENSURE(!x->e.overflow);
    bind_fixups(x);

    ccf = make_ccf(x, body);
    if (!ccf)
        return NULL;
    tc_insert(x->config.tc, ccf);
    stat_inc(x->config.stats, STAT_TU_TRANSLATED);
    stat_add(x->config.stats, STAT_TU_INSNS, ccf->insn_count);
    stat_add(x->config.stats, STAT_TU_HOST_BYTES, ccf->host_len);
    log_tu(x, ccf);
    return ccf;
}
