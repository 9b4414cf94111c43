/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "emu/cpu/mem.h"
#include "monitor/lockstep_priv.h"

/*
 * What a divergence looks like: both states, the fields and pages that differ,
 * the translator's last steps, and the code of the last one, each guest
 * instruction followed by the host instructions that stand for it.
 */
#define MAX_WORDS 12u /* differing words shown of a page */

typedef unsigned long long ull;

static uint64_t element(const struct vcpu *vcpu, const struct state_field *f,
                        size_t index)
{
    uint64_t value = 0;

    memcpy(&value, (const char *)vcpu + f->offset + index * f->unit, f->unit);
    return value;
}

static void report_fields(const struct lockstep *ls)
{
    const struct vcpu *a = &ls->bt.vm->vcpu;
    const struct vcpu *b = &ls->ref.vm->vcpu;

    for (size_t i = 0; i < vcpu_state.field_count; i++) {
        const struct state_field *f = &vcpu_state.fields[i];

        for (size_t k = 0; f->kind == STATE_BYTES && k < f->len / f->unit; k++)
            if (element(a, f, k) != element(b, f, k))
                fprintf(stderr, "  %s+%zu: bt %llx, interp %llx\n", f->name,
                        k * f->unit, (ull)element(a, f, k),
                        (ull)element(b, f, k));
    }
    if (ls->bt.vm->halted != ls->ref.vm->halted)
        fprintf(stderr, "  halted: bt %d, interp %d\n", ls->bt.vm->halted,
                ls->ref.vm->halted);
    if (ls->bt.vm->stop.reason != ls->ref.vm->stop.reason)
        fprintf(stderr, "  stop: bt '%s', interp '%s'\n", ls->bt.vm->stop.text,
                ls->ref.vm->stop.text);
    if (ls->bt.vm->stats.count[STAT_EXCEPTIONS] !=
        ls->ref.vm->stats.count[STAT_EXCEPTIONS])
        fprintf(stderr, "  exceptions: bt %llu, interp %llu\n",
                (ull)ls->bt.vm->stats.count[STAT_EXCEPTIONS],
                (ull)ls->ref.vm->stats.count[STAT_EXCEPTIONS]);
    for (unsigned i = 0; i < LOCKSTEP_STREAMS; i++)
        if (ls->bt.stream[i].hash != ls->ref.stream[i].hash)
            fprintf(stderr, "  output of port %u: bt %llu bytes, interp %llu\n",
                    i, (ull)ls->bt.stream[i].count,
                    (ull)ls->ref.stream[i].count);
}

static void report_page(uint64_t offset, const uint8_t *a, const uint8_t *b)
{
    unsigned shown = 0;

    for (unsigned i = 0; i < PAGE_SIZE && shown < MAX_WORDS; i += 4) {
        uint32_t x, y;

        memcpy(&x, a + offset + i, 4);
        memcpy(&y, b + offset + i, 4);
        if (x == y)
            continue;
        fprintf(stderr, "  ram %08llx: bt %08x, interp %08x\n", (ull)offset + i,
                x, y);
        shown++;
    }
}

/* Only frames that either machine has touched: others would be allocated. */
static void report_stored(const struct lockstep *ls)
{
    for (uint32_t i = 0; i < ls->stored_count; i++) {
        uint64_t offset;
        uint8_t *hva;

        if (gmem_lookup(ls->ref.vm->gmem, ls->stored[i], &hva, &offset) !=
            GMEM_NONE)
            report_page(offset, gmem_base(ls->bt.vm->gmem),
                        gmem_base(ls->ref.vm->gmem));
    }
}

static void report_ram(const struct lockstep *ls)
{
    unsigned pages = 0;

    for (uint64_t at = 0; at < gmem_ram_len(ls->bt.vm->gmem) && pages < 8;
         at += PAGE_SIZE) {
        if (!memcmp(gmem_base(ls->bt.vm->gmem) + at,
                    gmem_base(ls->ref.vm->gmem) + at, PAGE_SIZE))
            continue;
        report_page(at, gmem_base(ls->bt.vm->gmem),
                    gmem_base(ls->ref.vm->gmem));
        pages++;
    }
}

static void report_guest(struct vm *vm, gip_t gip)
{
    struct insn_mode mode = {.features = vm->config.features,
                             .code32 = vm->vcpu.seg[SEG_CS].attr & SEG_DB};
    uint8_t bytes[INSN_MAX_LEN] = {0};
    char text[96] = "(not readable)";
    struct insn in;

    for (unsigned i = 0; i < sizeof(bytes); i++) {
        gpa_t gpa;

        if (!mem_debug_translate(vm->interp, gip + i, &gpa) ||
            gmem_read(vm->gmem, gpa, &bytes[i], 1) != 0)
            break;
    }
    if (insn_decode(&in, mode, bytes, sizeof(bytes)) == INSN_OK)
        insn_format(&in, gip, mode.code32, text, sizeof(text));
    fprintf(stderr, "    %08x  %s\n", gip, text);
}

/* Host code up to the next point. */
static void report_host(const struct ccf *ccf, uint32_t from, uint32_t to)
{
    char text[96];

    while (from < to) {
        uint64_t at = ccf->start + from;

        from += (uint32_t)insn_format_host((const uint8_t *)(uintptr_t)at,
                                           to - from, at, text, sizeof(text));
        fprintf(stderr, "              %llx  %s\n", (ull)at, text);
    }
}

static void report_code(struct lockstep *ls, uint64_t entered)
{
    struct bt_vcpu *bt = ls->bt.vm->engine_state;
    const struct ccf *ccf = entered ? tc_find_host(bt->tc, entered) : NULL;
    uint16_t last = UINT16_MAX;

    if (!ccf)
        return;
    fprintf(stderr, "last CCF entered: gip %08x, mode %02x, %u insns%s\n",
            ccf->gip, ccf->mode, ccf->insn_count, ccf->dead ? ", dead" : "");
    for (uint32_t i = 0; i < ccf->point_count; i++) {
        const struct ccf_point *p = &ccf->points[i];
        uint32_t end =
            i + 1 < ccf->point_count ? p[1].host_offset : ccf->host_len;

        if (p->gip_offset != last)
            report_guest(ls->ref.vm, ccf->gip + p->gip_offset);
        last = p->gip_offset;
        report_host(ccf, p->host_offset, end);
    }
}

static void report_history(struct lockstep *ls)
{
    uint64_t first =
        ls->steps > LOCKSTEP_HISTORY ? ls->steps - LOCKSTEP_HISTORY : 0;

    fprintf(stderr, "the translator's last steps:\n");
    for (uint64_t i = first; i < ls->steps; i++) {
        const struct lockstep_step *step = &ls->history[i % LOCKSTEP_HISTORY];

        fprintf(stderr, "  %08x at %llu, %llu exceptions%s\n", step->gip,
                (ull)step->retired, (ull)step->exceptions,
                step->entered ? "" : ", interpreted");
    }
}

void lockstep_report(struct lockstep *ls)
{
    const struct lockstep_step *last =
        &ls->history[(ls->steps - 1) % LOCKSTEP_HISTORY];

    fflush(stdout);
    fprintf(stderr,
            "\nlockstep: the engines diverge: %s\n"
            "%s mode; equal at retired count %llu, now %llu\n",
            ls->why ? ls->why : "?", ls->mode == LOCKSTEP_TU ? "TU" : "chain",
            (ull)ls->matched, (ull)ls->bt.vm->vcpu.retired);
    report_fields(ls);
    report_stored(ls);
    if (!lockstep_compare_ram(ls))
        report_ram(ls);
    fprintf(stderr, "bt:\n");
    vcpu_dump(&ls->bt.vm->vcpu, stderr);
    fprintf(stderr, "interp:\n");
    vcpu_dump(&ls->ref.vm->vcpu, stderr);
    report_history(ls);
    report_code(ls, last->entered);
    fprintf(stderr,
            "To bisect: -accel lockstep,chain-until=%llu compares every TU "
            "from before the\ndivergence on; -d guest,host,xlat -D FILE shows "
            "the translations.\n",
            (ull)(ls->matched > 1000000 ? ls->matched - 1000000 : 0));
}
