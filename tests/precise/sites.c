/* SPDX-License-Identifier: MIT */
#include "sites.h"

#include <stdio.h>
#include <string.h>

/*
 * A CCF is cut into host instructions, and each is put into its place by what
 * the CCF's tables say of it and, where they say nothing, by its bytes: an
 * address check is
 *
 *      mov rcx-save; lea; jecxz 1f; mov rcx; jmp elsewhere; 1: mov rcx
 *
 * of which the fourth and fifth run when it fails. Where source bytes are compared,
 *
 *      jrcxz 1f; jmp changed; 1: ...         changed: mov rcx; mov r9, record; jmp
 *
 * what begins with a jump to the last line runs when they differ.
 */
#define JECXZ_PREFIX 0x67
#define CHECK_INSNS  6u
#define CHECK_MISS   3u /* its first instruction that runs on a miss */
#define STI          0xfb
#define JMP          0xe9

const char *const place_name[PLACE_COUNT] = {
    [PLACE_BODY] = "guest instruction",
    [PLACE_STEP] = "step",
    [PLACE_ENTRY] = "entry check",
    [PLACE_ENTRY_MISS] = "failed entry check",
    [PLACE_RETURN] = "return site",
    [PLACE_RETURN_MISS] = "failed return site",
    [PLACE_STUB] = "unchained exit",
    [PLACE_PENDING] = "interrupt pending at STI",
    [PLACE_CHANGED] = "source changed",
    [PLACE_GLUE] = "glue",
};

static const uint8_t *bytes_at(const struct guest *g, uint64_t at)
{
    return mcode_rw(tc_mcode(g->m->bt->tc), at);
}

static uint64_t insn_end(const struct guest *g, uint64_t at)
{
    char text[96];

    return at + insn_format_host(bytes_at(g, at), INSN_MAX_LEN, at, text,
                                 sizeof(text));
}

/* ---- What a guest instruction is ---- */

static bool decode(const struct guest *g, gip_t gip, struct insn *in)
{
    const struct insn_mode mode = {.features = UINT32_MAX, .code32 = true};

    return insn_decode(in, mode, machine_ram(g->m, gip), INSN_MAX_LEN) ==
           INSN_OK;
}

static bool accesses_memory(const struct insn *in)
{
    switch (in->op) {
    case OP_LEA:
    case OP_NOP: return false;
    case OP_PUSH:
    case OP_POP:
    case OP_PUSHF:
    case OP_POPF:
    case OP_CALL:
    case OP_RET:
    case OP_LEAVE: return true;
    default: return in->has_mem;
    }
}

/* A branch with two ways out of it. */
static bool is_branch(const struct insn *in)
{
    return (in->map == 0 && (in->opcode & 0xf0) == 0x70) ||
           (in->map == 1 && (in->opcode & 0xf0) == 0x80) ||
           in->op == OP_JECXZ || in->op == OP_STI;
}

static unsigned condition_of(const struct insn *in)
{
    switch (in->op) {
    case OP_JECXZ: return CC_ECX;
    case OP_STI: return CC_IF;
    default: return in->opcode & 0xf;
    }
}

static void add_branch(struct sites *s, struct site *site,
                       const struct insn *in)
{
    ENSURE(s->branch_count < BRANCHES_MAX);
    s->branch[s->branch_count++] = (struct branch){
        .cc = (uint8_t)condition_of(in), .backward = in->imm < 0};
    site->branch = s->branch_count;
}

bool condition_holds(unsigned cc, uint32_t flags)
{
    bool sf = flags & FLAG_SF;
    bool of = flags & FLAG_OF;
    const bool holds[8] = {
        of, flags & FLAG_CF, flags & FLAG_ZF, flags & (FLAG_CF | FLAG_ZF),
        sf, flags & FLAG_PF, sf != of,        (flags & FLAG_ZF) || sf != of};

    return holds[cc >> 1 & 7] != (cc & 1);
}

/* ---- Places ---- */

/* The exit whose record a MOV R9, imm64 loads, or NULL. */
static const struct ccf_exit *exit_loaded(const struct ccf *ccf,
                                          const uint8_t *code)
{
    uint64_t record;

    memcpy(&record, code + 2, sizeof(record));
    for (uint32_t i = 0; code[0] == 0x49 && code[1] == 0xb9; i++) {
        if (i == ccf->exit_count)
            return NULL;
        if (record == (uint64_t)(uintptr_t)&ccf->exits[i])
            return &ccf->exits[i];
    }
    return NULL;
}

/* Put an address check of six instructions. */
static void place_check(struct sites *s, uint32_t from, enum place place,
                        enum place miss)
{
    for (uint32_t i = 0; i < CHECK_INSNS && from + i < s->count; i++) {
        bool missed = i == CHECK_MISS || i == CHECK_MISS + 1;

        s->site[from + i].place = (uint8_t)(missed ? miss : place);
        s->site[from + i].check = from;
    }
}

/* A record and the jump behind it; in front of an STI's, RCX is restored. */
static void place_exit(struct sites *s, const struct guest *g, uint32_t i,
                       const struct ccf_exit *exit)
{
    bool sti = exit->kind == EXIT_STEP && exit->resume_offset &&
               *machine_ram(g->m, exit->target) == STI &&
               !memcmp(bytes_at(g, s->site[i - 1].at), "\x4c\x89\xc9", 3);
    uint8_t place = exit->kind != EXIT_STEP ? PLACE_STUB
                    : sti                   ? PLACE_PENDING
                                            : PLACE_STEP;

    for (uint32_t k = sti ? i - 1 : i; k <= i + 1; k++)
        s->site[k].place = place;
}

/* The comparisons that lead to a CCF's exit for changed source, which begins at
 * this site, and the exit. */
static void place_changed(struct sites *s, const struct guest *g, uint32_t from,
                          uint32_t exit)
{
    uint32_t check = 0;

    for (uint32_t i = from; i < exit; i++) {
        const uint8_t *code = bytes_at(g, s->site[i].at);
        int32_t distance;

        memcpy(&distance, code + 1, sizeof(distance));
        if (*code != JMP ||
            s->site[i].at + 5 + (uint64_t)distance != s->site[exit].at)
            continue;
        check = i - 1;
        s->site[i].place = PLACE_CHANGED;
        s->site[i].check = check;
    }
    for (uint32_t i = exit; i < exit + 3; i++) {
        s->site[i].place = PLACE_CHANGED;
        s->site[i].check = check;
    }
}

static void place_all(struct sites *s, const struct guest *g,
                      const struct ccf *ccf, uint32_t from)
{
    place_check(s, from, PLACE_ENTRY, PLACE_ENTRY_MISS);
    for (uint32_t i = from; i < s->count; i++) {
        const struct ccf_exit *exit =
            exit_loaded(ccf, bytes_at(g, s->site[i].at));

        if (exit && exit->kind == EXIT_CHANGED)
            place_changed(s, g, from, i - 1);
        else if (exit && i + 1 < s->count)
            place_exit(s, g, i, exit);
        for (uint32_t k = 0; k < ccf->return_count; k++)
            if (s->site[i].at == ccf->start + ccf->return_sites[k])
                place_check(s, i, PLACE_RETURN, PLACE_RETURN_MISS);
    }
}

/* ---- Lists ---- */

static struct site *add_site(struct sites *s, uint64_t at,
                             const struct extent *owner)
{
    ENSURE(s->count < SITES_MAX);
    s->site[s->count] = (struct site){
        .at = at, .owner = owner, .first = s->count, .path = NO_PATH};
    return &s->site[s->count++];
}

/* An instruction of the guest starts at the site, if it is its first point. */
static void begin_insn(struct sites *s, const struct guest *g,
                       struct site *site, uint16_t *last)
{
    const struct ccf *ccf = site->owner->ccf;
    bool exact = false;
    const struct ccf_point *p = ccf_find_point(ccf, site->at, &exact);
    struct insn in;

    if (!p || !exact || p->gip_offset == *last ||
        !decode(g, ccf->gip + p->gip_offset, &in))
        return;
    *last = p->gip_offset;
    site->memory = accesses_memory(&in);
    if (is_branch(&in))
        add_branch(s, site, &in);
}

static void add_ccf(struct sites *s, const struct guest *g,
                    const struct ccf *ccf)
{
    struct extent *extent = &s->ccf[s->ccf_count++];
    uint32_t first = s->count;
    uint16_t last = UINT16_MAX;

    ENSURE(s->ccf_count <= CCFS_MAX);
    *extent = (struct extent){.ccf = ccf, .first = s->count};
    for (uint64_t at = ccf->start; at < ccf->start + ccf->host_len;
         at = insn_end(g, at)) {
        struct site *site = add_site(s, at, extent);
        uint16_t before = last;

        begin_insn(s, g, site, &last);
        if (last != before)
            first = s->count - 1;
        site->first = first;
        if (at == ccf->body)
            extent->body = s->count - 1;
    }
    extent->end = s->count;
    place_all(s, g, ccf, extent->first);
}

static bool is_known(const struct sites *s, const struct ccf *ccf)
{
    for (uint32_t i = 0; i < s->ccf_count; i++)
        if (s->ccf[i].ccf == ccf)
            return true;
    return false;
}

/* CCFs lie one behind the other, region by region. */
uint32_t sites_update(struct sites *s, const struct guest *g)
{
    const struct mcode *mcode = tc_mcode(g->m->bt->tc);
    size_t region = (mcode->len - TC_GLUE_LEN) / TC_REGIONS & ~63ul;
    uint64_t start = (uint64_t)(uintptr_t)mcode->rx + TC_GLUE_LEN;
    uint32_t before = s->ccf_count;

    for (unsigned i = 0; i < TC_REGIONS; i++) {
        uint64_t at = start + i * region;
        const struct ccf *ccf;

        while ((ccf = tc_find_host(g->m->bt->tc, at)) && ccf->start == at) {
            if (!ccf->dead && !is_known(s, ccf))
                add_ccf(s, g, ccf);
            at += (ccf->host_len + 15u) & ~15ull;
        }
    }
    return s->ccf_count - before;
}

/* The jump to the world switch is followed by its address; the rest is
 * code. */
void sites_init(struct sites *s, const struct guest *g)
{
    uint64_t at = (uint64_t)(uintptr_t)tc_mcode(g->m->bt->tc)->rx;

    s->count = s->ccf_count = s->branch_count = 0;
    add_site(s, at, NULL)->place = PLACE_GLUE;
    for (at = g->m->bt->miss; bytes_at(g, at)[0] || bytes_at(g, at)[1];
         at = insn_end(g, at))
        add_site(s, at, NULL)->place = PLACE_GLUE;
}

void sites_unchain(const struct extent *extent, const struct guest *g)
{
    struct tc *tc = g->m->bt->tc;
    struct ccf *ccf = tc_find_host(tc, extent->ccf->start);

    for (uint32_t i = 0; i < ccf->exit_count; i++)
        if (ccf->exits[i].chained)
            tc_unchain(tc, &ccf->exits[i]);
}

void sites_print(const struct guest *g, const struct ccf *ccf, uint64_t mark)
{
    char text[96];

    for (uint64_t at = ccf->start; at < ccf->start + ccf->host_len;) {
        const uint8_t *code = bytes_at(g, at);

        printf("%c %4llx ", at == mark ? '>' : ' ',
               (unsigned long long)(at - ccf->start));
        at += insn_format_host(code, INSN_MAX_LEN, at, text, sizeof(text));
        printf("%s\n", text);
    }
}
