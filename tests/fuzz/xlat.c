/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"
#include "tests/emit_check/stage.h"
#include "xlat_decode.h"

/*
 * The decoder and the translator on hostile code. Input: how to translate, in
 * bytes that struct choice lists, then guest code. One TU is made of it, and the
 * host code judged by tests/emit_check: as it was made, with its exits chained, and
 * after it was dropped and taken back.
 */
struct choice {
    uint8_t options;   /* OPTION_* */
    uint8_t max_insns; /* per TU; 0: the default */
    uint8_t offset[2]; /* of the code in its page, 12 bits; CHOICE_* above */
    uint8_t mode[3];   /* MODE_*, made valid */
    uint8_t soft;      /* bit n: sites at offsets n modulo 8 are soft */
    uint8_t cs;        /* base and limit of CS */
    uint8_t features;  /* of the guest's CPU */
};

#define OPTION_BMI2       BIT(0)
#define OPTION_NO_RETURNS BIT(1)
#define OPTION_NO_REGIONS BIT(2)
#define OPTION_NEXT_PAGE  BIT(3) /* the page behind is there */
#define OPTION_CHAIN      BIT(4) /* chain what leads back to the TU */
#define OPTION_TABLE      BIT(5) /* exits that may use the table do */
#define OPTION_TAKE_BACK  BIT(6) /* drop the TU and take it back */

#define PAGE_BASE 0xc0ffe000u
#define FILLER    0x90 /* NOP */

/* Caches are dear: there is one with BMI2 and one without, emptied each time. */
static struct stage stages[2];
static struct emit_check *check;
static uint8_t *pages; /* two, with nothing around them */
static uint8_t soft_sites;
static struct {
    uint64_t inputs;
    uint64_t tus;
    uint64_t guest_insns;
} totals;

static void NORETURN fail(const char *why)
{
    fprintf(stderr, "xlat: %s\n", why);
    abort();
}

static uint8_t *map_pages(void)
{
    uint8_t *at = mmap(NULL, 4 * PAGE_SIZE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED ||
        mprotect(at + PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE) != 0)
        abort();
    return at + PAGE_SIZE;
}

static void print_totals(void)
{
    fprintf(stderr,
            "xlat inputs=%llu tus=%llu guest_insns=%llu host_insns=%llu\n",
            (unsigned long long)totals.inputs, (unsigned long long)totals.tus,
            (unsigned long long)totals.guest_insns,
            (unsigned long long)emit_check_count(check));
}

/* Once. FUZZ_STATS=1: say at the end what was done. */
static void begin(void)
{
    pages = map_pages();
    for (unsigned i = 0; i < ARRAY_COUNT(stages); i++)
        stage_init(&stages[i], i);
    check = emit_check_create(&stages[0].config);
    if (check == NULL)
        abort();
    if (getenv("FUZZ_STATS") != NULL && atexit(print_totals) != 0)
        abort();
}

static bool is_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    (void)opaque, (void)gfn;
    return soft_sites >> offset % 8 & 1;
}

/* What the monitor can ask for (monitor/bt_mode.c). */
static uint32_t valid_mode(uint32_t mode)
{
    const uint32_t used = MODE_SEG(SEG_GS + 1, 1) - 1;

    mode &= used | MODE_CODE16;
    if (!(mode & MODE_X87))
        mode &= ~MODE_SSE;
    if (mode_seg_kind(mode, SEG_CS) == SEG_KIND_DOWN)
        mode &= ~MODE_SEG(SEG_CS, 1);
    for (unsigned seg = SEG_FS; seg <= SEG_GS; seg++)
        if (mode_seg_kind(mode, seg) == SEG_KIND_FLAT)
            mode |= MODE_SEG(seg, SEG_KIND_BASED);
    return mode;
}

static struct xlat_request make_request(const struct choice *choice)
{
    static const uint32_t bases[] = {
        0,    0,       PAGE_BASE,  0xc0000000,
        0x10, 0xf0000, 0xfffffff0, PAGE_BASE + 0x800};
    static const uint32_t limits[] = {UINT32_MAX, UINT32_MAX, 0xffff, 0xfff};
    uint32_t offset =
        (choice->offset[0] | (uint32_t)choice->offset[1] << 8) & PAGE_MASK;
    uint32_t mode = choice->mode[0] | (uint32_t)choice->mode[1] << 8 |
                    (uint32_t)choice->mode[2] << 16;
    struct xlat_request request = {
        .gip = PAGE_BASE + offset,
        .mode = valid_mode(mode),
        .cs_base = bases[choice->cs & 7],
        .cs_limit = limits[choice->cs >> 3 & 3],
        .gfn = {1, 2},
        .page = {pages}
    };

    if (choice->options & OPTION_NEXT_PAGE)
        request.page[1] = pages + PAGE_SIZE;
    if (request.cs_base || request.cs_limit != UINT32_MAX)
        request.mode |= BIT(MODE_CODE_SHIFT);
    return request;
}

static uint32_t features_of(uint8_t choice)
{
    return choice ? BIT(FEAT_BASE) | (uint32_t)choice << 1 |
                        (uint32_t)(choice & 0x7f) << 8
                  : UINT32_MAX;
}

/* ---- What has to hold ---- */

static void judge(const struct stage *stage, const struct ccf *ccf)
{
    const uint8_t *code = mcode_rw(tc_mcode(stage->config.tc), ccf->start);
    uint64_t source = (uint64_t)(uintptr_t)pages + (ccf->gip & PAGE_MASK);
    const char *why = emit_check_ccf(check, ccf, code, source);

    if (why != NULL) {
        emit_check_print(check, stderr);
        fail(why);
    }
    why = tc_verify(stage->config.tc);
    if (why != NULL)
        fail(why);
}

/* The source is what was read: of one page, or one instruction of two. */
static void judge_source(const struct ccf *ccf)
{
    const uint32_t start = ccf->gip & PAGE_MASK;

    if (ccf->insn_count == 0 || ccf->source_count == 0)
        fail("an empty TU");
    if (ccf->source_count == 2 &&
        (ccf->insn_count != 1 || ccf->source[0].end != PAGE_SIZE ||
         ccf->source[1].end >= INSN_MAX_LEN))
        fail("more than one instruction of two pages");
    for (uint32_t i = 0; i < ccf->source_count; i++) {
        const struct ccf_source *s = &ccf->source[i];

        if (s->start != (i ? 0 : start) || s->end <= s->start ||
            s->end > PAGE_SIZE ||
            memcmp(s->bytes, pages + i * PAGE_SIZE + s->start,
                   s->end - s->start) != 0)
            fail("a source that is not the page's");
    }
}

/* There is a reason for no TU. */
static void judge_refusal(const struct xlat_request *request, uint32_t features)
{
    const struct insn_mode mode = {.features = features,
                                   .code32 = !(request->mode & MODE_CODE16)};
    uint32_t offset = request->gip & PAGE_MASK;
    size_t room = PAGE_SIZE - offset;
    struct insn in;

    if (request->page[1] != NULL)
        room += INSN_MAX_LEN;
    if (insn_decode(&in, mode, pages + offset, room) == INSN_SHORT)
        return;
    if ((uint64_t)(request->gip - request->cs_base) + in.len - 1 <=
        request->cs_limit)
        fail("no TU of what can be decoded");
}

static void change_exits(struct tc *tc, struct ccf *ccf, uint8_t options)
{
    for (uint32_t i = 0; i < ccf->exit_count; i++) {
        struct ccf_exit *exit = &ccf->exits[i];

        if (exit->kind > EXIT_CALL)
            continue;
        if ((options & OPTION_CHAIN) && exit->target == ccf->gip)
            tc_chain(tc, exit, ccf);
        else if ((options & OPTION_TABLE) && exit->table_offset)
            tc_never_chain(tc, exit);
    }
}

static void translate(const struct stage *stage, const struct choice *choice)
{
    const struct xlat_request request = make_request(choice);
    struct tc *tc = stage->config.tc;
    struct xlat *xlat;
    struct ccf *ccf;

    if (xlat_create(&xlat, &stage->config) != 0)
        abort();
    ccf = xlat_tu(xlat, &request);
    xlat_destroy(xlat);
    if (ccf == NULL) {
        judge_refusal(&request, stage->config.features);
        return;
    }
    totals.tus++;
    totals.guest_insns += ccf->insn_count;
    judge_source(ccf);
    judge(stage, ccf);
    if (choice->options & (OPTION_CHAIN | OPTION_TABLE)) {
        change_exits(tc, ccf, choice->options);
        judge(stage, ccf);
    }
    if (!(choice->options & OPTION_TAKE_BACK))
        return;
    tc_drop_frame(tc, request.gfn[0]);
    ccf = tc_take_back(tc, request.gip, request.gfn[0], request.mode, pages);
    if (ccf != NULL)
        judge(stage, ccf);
}

static struct stage *get_stage(const struct choice *choice,
                               const struct insn_mode *mode)
{
    struct stage *stage = &stages[(choice->options & OPTION_BMI2) != 0];

    stage->config.features = mode->features;
    stage->config.max_insns = choice->max_insns;
    stage->config.no_host_returns = choice->options & OPTION_NO_RETURNS;
    stage->config.no_regions = choice->options & OPTION_NO_REGIONS;
    stage->config.is_soft = is_soft;
    soft_sites = choice->soft;
    emit_check_set(check, &stage->config);
    return stage;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct choice choice;
    struct insn_mode mode;
    struct stage *stage;
    uint32_t offset;

    if (len <= sizeof(choice))
        return 0;
    memcpy(&choice, data, sizeof(choice));
    data += sizeof(choice);
    len -= sizeof(choice);
    if (pages == NULL)
        begin();
    totals.inputs++;
    offset = (choice.offset[0] | (uint32_t)choice.offset[1] << 8) & PAGE_MASK;
    memset(pages, FILLER, 2 * PAGE_SIZE);
    if (len > 2 * PAGE_SIZE - offset)
        len = 2 * PAGE_SIZE - offset;
    memcpy(pages + offset, data, len);

    mode = (struct insn_mode){.features = features_of(choice.features),
                              .code32 = !(choice.mode[2] & MODE_CODE16 >> 16)};
    compare_decoders(data, len, mode);
    stage = get_stage(&choice, &mode);
    translate(stage, &choice);
    tc_clear(stage->config.tc); /* now, or its cost is the next input's */
    return 0;
}
