/* SPDX-License-Identifier: MIT */
#include "emu/cpu/interp_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "emu/cpu/debug.h"
#include "emu/cpu/fpu_code.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/tlb.h"
#include "monitor/log.h"

/*
 * Plan of one instruction:
 *
 *   1. find its bytes: in place, in the host page that cs:eip translates to
 *      (struct fetch_page remembers it), or, near the page's end and outside
 *      RAM, copied into a buffer;
 *   2. find its decoded form in the decode cache;
 *   3. check the CS limit, call the handler, commit eip.
 *
 * The decode cache needs no invalidation. An entry holds the bytes that it was
 * made from and is used only if the bytes in memory are still the same, so it
 * does not matter who changed them, or which address space they are in: a
 * decoded form is a function of the bytes and of the code size alone.
 */
#define DECODE_ENTRIES 32768u

/* Bytes are compared as two words; those beyond the instruction are masked. */
struct bytes16 {
    uint64_t word[2];
};

struct decoded {
    struct bytes16 bytes;
    struct bytes16 mask;
    interp_fn *handler;
    bool code32;
    struct insn in;
};

struct decode_cache {
    struct decoded entry[DECODE_ENTRIES];
};

static interp_fn *const handlers[OP_COUNT] = {
    [OP_INVALID] = interp_ud,
#define OP(mnemonic, feature, handler, xlat, undefined_flags) \
    [OP_##mnemonic] = interp_##handler,
#include "translator/decode/insn_ops.def"
#undef OP
};

/* Instruction bytes: in RAM, or in buffer. */
struct source {
    const uint8_t *bytes;
    unsigned len; /* readable; 16 or more unless the page or space ends */
    uint8_t buffer[16];
};

static struct bytes16 load16(const uint8_t *bytes)
{
    struct bytes16 result;

    memcpy(&result, bytes, sizeof(result));
    return result;
}

static inline bool is_same(const struct decoded *entry, struct bytes16 bytes)
{
    uint64_t diff0 = (bytes.word[0] ^ entry->bytes.word[0]);
    uint64_t diff1 = (bytes.word[1] ^ entry->bytes.word[1]);

    return ((diff0 & entry->mask.word[0]) | (diff1 & entry->mask.word[1])) == 0;
}

static struct bytes16 mask_of(unsigned len)
{
    uint8_t mask[16] = {0};

    memset(mask, 0xff, len);
    return load16(mask);
}

static inline struct decoded *cache_slot(struct interp *interp, gip_t gip)
{
    uint32_t hash = gip ^ gip >> 13 ^ gip >> 20;

    return &interp->decoded->entry[hash % DECODE_ENTRIES];
}

/* Fetching. */

static inline bool is_code32(const struct vcpu *vcpu)
{
    return (vcpu->seg[SEG_CS].attr & SEG_DB) != 0;
}

static inline gip_t current_gip(const struct vcpu *vcpu)
{
    return vcpu->seg_base[SEG_CS] + vcpu->eip;
}

static inline uint32_t fetch_tag(const struct vcpu *vcpu, gip_t gip)
{
    return (gip & ~PAGE_MASK) | (vcpu->cpl == 3);
}

/* Make interp->fetch the page of gip, if that is RAM or ROM. */
static bool fetch_page_load(struct interp *interp, gip_t gip)
{
    bool user = interp->vcpu->cpl == 3;
    const struct tlb_entry *entry = tlb_lookup(interp, gip, ACCESS_FETCH, user);

    if (entry == NULL)
        return false;
    interp->fetch.tag = FETCH_NONE;
    if (entry->hva != NULL) {
        interp->fetch.tag = fetch_tag(interp->vcpu, gip);
        interp->fetch.hva = entry->hva;
    }
    return true;
}

/* Find the bytes at gip up to the end of its page. False with #PF. */
static bool source_begin(struct interp *interp, gip_t gip,
                         struct source *source)
{
    unsigned room = PAGE_SIZE - (gip & PAGE_MASK);
    unsigned got;

    if (interp->fetch.tag != fetch_tag(interp->vcpu, gip) &&
        !fetch_page_load(interp, gip))
        return false;
    if (interp->fetch.tag != FETCH_NONE && room >= 16) {
        source->bytes = interp->fetch.hva + (gip & PAGE_MASK);
        source->len = room;
        return true;
    }
    memset(source->buffer, 0, sizeof(source->buffer));
    source->len = 0;
    source->bytes = source->buffer;
    if (!mem_fetch(interp, gip, source->buffer,
                   room < INSN_MAX_LEN ? room : INSN_MAX_LEN, &got))
        return false;
    source->len = got;
    return true;
}

/* An instruction goes on in the next page: fetch that part too. False with
 * #PF at its first byte. */
static bool source_extend(struct interp *interp, gip_t gip,
                          struct source *source)
{
    unsigned have = source->len;
    unsigned got;

    if (!mem_fetch(interp, gip + have, source->buffer + have,
                   INSN_MAX_LEN - have, &got))
        return false;
    source->len = have + got;
    return true;
}

/* Decoding. */

static void remember(struct interp *interp, struct decoded *entry,
                     const struct source *source, bool code32)
{
    stat_inc(interp->vcpu->stats, STAT_DECODES);
    entry->mask = mask_of(entry->in.len);
    entry->bytes = load16(source->bytes);
    entry->code32 = code32;
    entry->handler = handlers[entry->in.op];
}

/* Decode into the entry. False with #PF on the next page, or with #GP(0) for
 * more than 15 bytes; the entry then matches nothing. */
static bool decode(struct interp *interp, gip_t gip, struct source *source,
                   struct decoded *entry)
{
    struct insn_mode mode = {.features = interp->host.features,
                             .code32 = is_code32(interp->vcpu)};
    enum insn_status status;
    unsigned len = source->len < INSN_MAX_LEN ? source->len : INSN_MAX_LEN;

    entry->handler = NULL;
    status = insn_decode(&entry->in, mode, source->bytes, len);
    if (status == INSN_SHORT && len < INSN_MAX_LEN) {
        if (!source_extend(interp, gip, source))
            return false;
        status = insn_decode(&entry->in, mode, source->bytes, source->len);
    }
    if (status == INSN_TOO_LONG || status == INSN_SHORT)
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    remember(interp, entry, source, mode.code32);
    return true;
}

static inline bool is_hit(const struct interp *interp,
                          const struct decoded *entry, const uint8_t *bytes)
{
    return entry->handler != NULL && entry->code32 == is_code32(interp->vcpu) &&
           is_same(entry, load16(bytes));
}

/* The decoded instruction at cs:eip; NULL with a fault recorded. */
static const struct decoded *find_slow(struct interp *interp, gip_t gip)
{
    struct decoded *entry = cache_slot(interp, gip);
    struct source source;

    if (!source_begin(interp, gip, &source))
        return NULL;
    if (entry->handler != NULL && entry->in.len > source.len &&
        memcmp(source.bytes, entry->in.bytes, source.len) == 0 &&
        !source_extend(interp, gip, &source))
        return NULL;
    if (is_hit(interp, entry, source.bytes) && entry->in.len <= source.len)
        return entry;
    return decode(interp, gip, &source, entry) ? entry : NULL;
}

static inline const struct decoded *find(struct interp *interp, gip_t gip)
{
    const struct decoded *entry = cache_slot(interp, gip);

    if (LIKELY(interp->fetch.tag == fetch_tag(interp->vcpu, gip) &&
               (gip & PAGE_MASK) <= PAGE_SIZE - 16) &&
        LIKELY(is_hit(interp, entry, interp->fetch.hva + (gip & PAGE_MASK))))
        return entry;
    return find_slow(interp, gip);
}

/* Execution. */

static void log_step(const struct interp *interp, const struct insn *in)
{
    const struct vcpu *vcpu = interp->vcpu;
    const uint32_t *r = vcpu->regs;
    char text[96];

    insn_format(in, current_gip(vcpu), is_code32(vcpu), text, sizeof(text));
    log_line(LOG_STEP,
             "%08x %-40s eax=%08x ecx=%08x edx=%08x ebx=%08x esp=%08x "
             "ebp=%08x esi=%08x edi=%08x efl=%08x cpl=%u",
             current_gip(vcpu), text, r[REG_EAX], r[REG_ECX], r[REG_EDX],
             r[REG_EBX], r[REG_ESP], r[REG_EBP], r[REG_ESI], r[REG_EDI],
             vcpu_eflags(vcpu), vcpu->cpl);
}

/* SDM 3A 5.3 "Limit Checking": every byte of the instruction is within CS. */
static inline bool is_inside_cs(const struct vcpu *vcpu, unsigned len)
{
    return LIKELY((uint64_t)vcpu->eip + len - 1 <= vcpu->seg[SEG_CS].limit);
}

/* Fetch, decode and execute; eip is not committed. */
static inline enum step execute(struct interp *interp)
{
    struct vcpu *vcpu = interp->vcpu;
    const struct decoded *entry;

    if (UNLIKELY(vcpu->eip > vcpu->seg[SEG_CS].limit))
        return step_fault_error(interp, EXC_GP, 0);
    entry = find(interp, current_gip(vcpu));
    if (UNLIKELY(entry == NULL))
        return STEP_FAULT;
    if (UNLIKELY(!is_inside_cs(vcpu, entry->in.len)))
        return step_fault_error(interp, EXC_GP, 0);
    interp->next_eip = vcpu->eip + entry->in.len;
    interp->op_count[entry->in.op]++;
    if (log_on(LOG_STEP))
        log_step(interp, &entry->in);
    return entry->handler(interp, &entry->in);
}

/* Real and virtual-8086 mode belong to a later piece of work. */
static bool is_mode_supported(struct interp *interp)
{
    struct vcpu *vcpu = interp->vcpu;
    const char *what = NULL;

    if (!(vcpu->cr0 & CR0_PE))
        what = "real mode";
    else if (vcpu->eflags & FLAG_VM)
        what = "virtual-8086 mode";
    if (what == NULL)
        return true;
    vcpu_stop(vcpu, STOP_UNIMPL, "%s is not supported yet (cs:eip %04x:%08x)",
              what, vcpu->seg[SEG_CS].selector, vcpu->eip);
    return false;
}

/* Anything that makes one instruction special. */
static inline bool is_special(const struct interp *interp)
{
    const struct vcpu *vcpu = interp->vcpu;

    return (vcpu->eflags & (FLAG_TF | FLAG_RF | FLAG_VM)) ||
           vcpu->inhibit != INHIBIT_NONE ||
           ((vcpu->dr[7] | interp->watch[4]) & DR7_ENABLES) ||
           !(vcpu->cr0 & CR0_PE);
}

static inline void commit(struct interp *interp)
{
    interp->vcpu->eip = interp->next_eip;
    interp->vcpu->retired++;
}

/* Raise the trap that an instruction ends in, if any: single step (SDM 3B
 * 17.3.1.4 "Single-Step Exception Condition") and data breakpoints. MOV SS
 * holds them back (SDM 3A 6.8.3). */
static enum step debug_trap(struct interp *interp, enum step step, uint32_t dr6)
{
    struct vcpu *vcpu = interp->vcpu;

    if (dr6 == 0 || vcpu->inhibit == INHIBIT_MOV_SS)
        return step;
    if (step != STEP_AGAIN)
        commit(interp);
    interp->watch_hit = 0;
    vcpu->dr[6] |= dr6;
    vcpu->exc = (struct exc){
        .kind = EXC_KIND_TRAP, .vector = EXC_DB, .return_eip = vcpu->eip};
    return STEP_FAULT;
}

/* One instruction with TF, RF, breakpoints or an inhibition. RF outlives one that
 * faults, to be restarted; software interrupts push it as 0. A REP form on its
 * way has it set: its breakpoint is met once, however often it gives way (SDM 3B
 * 17.3.1.1 "Instruction-Breakpoint Exception Condition"). Of loads of SS in a row
 * only the first inhibits (SDM 2A "MOV"); STI does so behind one, too. */
static enum step execute_special(struct interp *interp)
{
    struct vcpu *vcpu = interp->vcpu;
    uint32_t old_flags = vcpu->eflags;
    uint8_t old_inhibit = vcpu->inhibit;
    enum step step;
    uint32_t hits;

    if (!is_mode_supported(interp))
        return STEP_STOP;
    debug_sync(interp);
    hits = debug_code_hits(interp, current_gip(vcpu));
    if (hits != 0 && !(old_flags & FLAG_RF) && old_inhibit != INHIBIT_MOV_SS) {
        vcpu->dr[6] |= hits;
        return step_fault(interp, EXC_DB);
    }
    if (old_inhibit != INHIBIT_MOV_SS)
        interp->watch_hit = 0;
    vcpu->eflags &= ~(uint32_t)FLAG_RF;
    vcpu->inhibit = INHIBIT_NONE;
    step = execute(interp);
    if (old_inhibit == INHIBIT_MOV_SS && vcpu->inhibit == INHIBIT_MOV_SS)
        vcpu->inhibit = INHIBIT_NONE;
    if (step == STEP_FAULT && vcpu->exc.kind != EXC_KIND_FAULT) {
        if (old_inhibit == INHIBIT_MOV_SS)
            interp->watch_held = interp->watch_hit;
        return step;
    }
    if (step == STEP_FAULT || step == STEP_FREEZE || step == STEP_STOP) {
        vcpu->eflags |= old_flags & FLAG_RF;
        return step;
    }
    if (step == STEP_AGAIN)
        vcpu->eflags |= FLAG_RF;
    return debug_trap(interp, step,
                      interp->watch_hit | (old_flags & FLAG_TF ? DR6_BS : 0));
}

/* One instruction, committed. VCPU_EXIT_BUDGET: nothing else happened. */
static inline enum vcpu_exit step_once(struct interp *interp)
{
    enum step step = UNLIKELY(is_special(interp)) ? execute_special(interp)
                                                  : execute(interp);

    if (LIKELY(step == STEP_NEXT)) {
        commit(interp);
        return VCPU_EXIT_BUDGET;
    }
    switch (step) {
    case STEP_NEXT:
    case STEP_AGAIN: break;
    case STEP_FAULT: return VCPU_EXIT_EXC;
    case STEP_HALT: commit(interp); return VCPU_EXIT_HLT;
    case STEP_FREEZE: return VCPU_EXIT_HLT;
    case STEP_STOP: return VCPU_EXIT_STOP;
    }
    return VCPU_EXIT_BUDGET;
}

/* Leave at this boundary? An interrupt window that is open becomes a kick. */
static inline bool has_kick(struct vcpu *vcpu)
{
    if (interp_is_kicked(vcpu) && vcpu->inhibit == INHIBIT_NONE)
        vcpu->kick = 1;
    return UNLIKELY(vcpu->kick);
}

/* Public. */

enum vcpu_exit interp_run(struct interp *interp, uint64_t max)
{
    struct vcpu *vcpu = interp->vcpu;
    uint64_t start = vcpu->retired;
    enum vcpu_exit reason = VCPU_EXIT_BUDGET;

    while (reason == VCPU_EXIT_BUDGET && vcpu->retired - start < max)
        reason = has_kick(vcpu) ? VCPU_EXIT_INTR : step_once(interp);
    stat_add(vcpu->stats, STAT_INSN_INTERP, vcpu->retired - start);
    return reason;
}

enum vcpu_exit interp_step(struct interp *interp)
{
    struct vcpu *vcpu = interp->vcpu;
    uint64_t start = vcpu->retired;
    enum vcpu_exit reason = step_once(interp);

    stat_add(vcpu->stats, STAT_INSN_INTERP, vcpu->retired - start);
    if (reason == VCPU_EXIT_BUDGET && has_kick(vcpu))
        return VCPU_EXIT_INTR;
    return reason;
}

void interp_flush_page(struct interp *interp, gva_t gva)
{
    tlb_flush_page(interp, gva);
}

void interp_page_faulted(struct interp *interp, gva_t gva)
{
    tlb_page_faulted(interp, gva);
}

void interp_flush_tlb(struct interp *interp)
{
    tlb_flush_all(interp);
}

struct op_rank {
    enum insn_op op;
    uint64_t count;
};

static int more_frequent_first(const void *a, const void *b)
{
    const struct op_rank *x = a;
    const struct op_rank *y = b;

    return (x->count < y->count) - (x->count > y->count);
}

void interp_for_each_count(const struct interp *interp,
                           void (*fn)(void *opaque, const char *name,
                                      uint64_t count),
                           void *opaque)
{
    struct op_rank rank[OP_COUNT];

    for (unsigned i = 0; i < OP_COUNT; i++)
        rank[i] = (struct op_rank){.op = i, .count = interp->op_count[i]};
    qsort(rank, OP_COUNT, sizeof(rank[0]), more_frequent_first);
    for (unsigned i = 0; i < OP_COUNT && rank[i].count > 0; i++)
        fn(opaque, insn_name(rank[i].op), rank[i].count);
}

int interp_create(struct interp **out, struct vcpu *vcpu,
                  const struct interp_host *host)
{
    struct interp *interp = calloc(1, sizeof(*interp));
    int err;

    if (interp == NULL)
        return -ENOMEM;
    interp->vcpu = vcpu;
    interp->host = *host;
    interp->tlb = calloc(1, sizeof(*interp->tlb));
    interp->decoded = calloc(1, sizeof(*interp->decoded));
    if (interp->tlb == NULL || interp->decoded == NULL) {
        interp_destroy(interp);
        return -ENOMEM;
    }
    err = fpu_code_create(&interp->fpu_code);
    if (err != 0) {
        interp_destroy(interp);
        return err;
    }
    tlb_flush_all(interp);
    *out = interp;
    return 0;
}

void interp_destroy(struct interp *interp)
{
    if (interp == NULL)
        return;
    free(interp->tlb);
    fpu_code_destroy(interp->fpu_code);
    free(interp->decoded);
    free(interp);
}

uint8_t *interp_peek_page(const struct interp *interp, gva_t gva, bool user,
                          bool *writable)
{
    const struct tlb_entry *entry = tlb_peek(interp, gva, ACCESS_READ, user);
    const struct tlb_entry *write = tlb_peek(interp, gva, ACCESS_WRITE, user);

    *writable = write && write->hva && write->writable && *write->flags == 0;
    return entry ? entry->hva : NULL;
}
