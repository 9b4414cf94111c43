/* SPDX-License-Identifier: MIT */
#include "both.h"

#include <string.h>

#include "emu/cpu/segment.h"

void flat_state(struct vcpu *v)
{
    struct segment data = {.selector = 0x10,
                           .limit = UINT32_MAX,
                           .attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED |
                                   SEG_DB | SEG_G};
    struct segment code = data;

    code.attr |= SEG_CODE;
    code.selector = 8;
    vcpu_reset(v);
    v->cr0 = CR0_PE | CR0_NE | CR0_ET;
    v->cr4 = CR4_OSFXSR;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(v, i, i == SEG_CS ? &code : &data);
    v->idtr.limit = 0;
    v->eip = CODE;
    v->regs[REG_ESP] = STACK;
}

/* A device that shows the time. */
uint32_t clock_port(struct machine *m, uint16_t port)
{
    (void)port;
    return (uint32_t)m->vcpu.retired;
}

struct machine *machine_new(bool bt, enum soft_mode soft)
{
    const struct machine_config config = {.ram_len = RAM_LEN,
                                          .bt = bt,
                                          .count = true,
                                          .port_in = clock_port,
                                          .soft_mode = soft};
    struct machine *m = machine_create(&config);

    flat_state(&m->vcpu);
    return m;
}

/* Run to the end: there is no IDT, so that any exception shuts down. */
void run(struct machine *m)
{
    while (m->stop.reason == STOP_NONE) {
        m->vcpu.kick = 0;
        machine_run(m, UINT64_MAX);
    }
}

void load(struct machine *m, gpa_t at, const uint8_t *code, size_t len)
{
    ck_assert_int_eq(gmem_write(m->gmem, at, code, len), 0);
}

void compare(const struct machine *a, const struct machine *b)
{
    for (unsigned i = 0; i < REG_COUNT; i++)
        ck_assert_uint_eq(a->vcpu.regs[i], b->vcpu.regs[i]);
    ck_assert_uint_eq(a->vcpu.eip, b->vcpu.eip);
    ck_assert_uint_eq(vcpu_eflags(&a->vcpu), vcpu_eflags(&b->vcpu));
    ck_assert_uint_eq(a->vcpu.retired, b->vcpu.retired);
    ck_assert(!memcmp(a->vcpu.fpu, b->vcpu.fpu, sizeof(a->vcpu.fpu)));
    ck_assert(!memcmp(gmem_base(a->gmem), gmem_base(b->gmem), RAM_LEN));
    ck_assert_pstr_eq(tc_verify(a->bt->tc), NULL);
    ck_assert_pstr_eq(spt_verify(a->bt->mmu), NULL);
}

/* Run the same program under both engines and compare. Returns the translator's
 * counters. */
struct stats both_stats(struct way way, const uint8_t *code, size_t len)
{
    struct stats stats;
    struct machine *bt = machine_new(true, way.soft);
    struct machine *interp = machine_new(false, way.soft);

    bt->bt->mixed_window = way.mixes ? UINT64_MAX : 0;
    bt->bt->quick_loss = way.waits ? UINT64_MAX : 0;
    if (way.prepare) {
        way.prepare(&bt->vcpu);
        way.prepare(&interp->vcpu);
    }
    load(bt, CODE, code, len);
    load(interp, CODE, code, len);
    run(interp);
    run(bt);
    ck_assert_int_eq(bt->stop.reason, interp->stop.reason);
    ck_assert_uint_eq(bt->vcpu.exc.vector, interp->vcpu.exc.vector);
    compare(bt, interp);
    stats = bt->stats;
    machine_destroy(bt);
    machine_destroy(interp);
    ck_assert_uint_gt(stats.count[STAT_INSN_CCF], 0);
    return stats;
}

/* Run the same program under both engines, from a state that prepare made of the
 * flat one, and compare; at most this many of its instructions may be left to
 * the interpreter, not counting misses of the soft TLB. */
void both_from(prepare_fn *prepare, const uint8_t *code, size_t len,
               uint64_t interpreted)
{
    struct way way = {.soft = SOFT_NONE, .prepare = prepare};
    struct stats stats = both_stats(way, code, len);

    ck_assert_uint_le(stats.count[STAT_INSN_INTERP], interpreted);
    way.soft = SOFT_ALL;
    both_stats(way, code, len);
}

void both(const uint8_t *code, size_t len, uint64_t interpreted)
{
    both_from(NULL, code, len, interpreted);
}
