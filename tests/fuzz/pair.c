/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <stdio.h>
#include <string.h>

#include "cache/tc_priv.h"
#include "emu/cpu/segment.h"
#include "tests/machine/system.h"

/* ---- Life ---- */

void pair_create(struct pair *p, const struct setup *setup)
{
    *p = (struct pair){.setup = *setup};
    p->bt = world_machine(setup, true);
    p->interp = world_machine(setup, false);
    p->start = p->bt->vcpu;
}

void pair_destroy(struct pair *p)
{
    machine_destroy(p->bt);
    machine_destroy(p->interp);
}

/* Which context is whose; all are empty. */
static void forget_contexts(struct bt_vcpu *bt)
{
    bt->context = NULL;
    bt->context_clock = 0;
    for (unsigned space = 0; space < BT_SPACE_COUNT; space++)
        for (unsigned i = 0; i < BT_CONTEXTS; i++) {
            struct bt_context *context = &bt->contexts[space][i];

            context->last_used = 0;
            if (context->mode != BT_NO_MODE) /* which must be filled */
                context->mode = BT_NO_MODE - 1 - i;
        }
}

/* The translator's hints are no state of the guest's: it keeps them when it
 * forgets everything. */
void pair_forget(struct pair *p)
{
    struct bt_vcpu *bt = p->bt->bt;

    vcpu_reset(&p->bt->vcpu);
    bt_flush(bt);
    tc_clear(bt->tc);
    forget_contexts(bt);
    memset(bt->sites, 0, sizeof(bt->sites));
    memset(bt->code, 0, sizeof(bt->code));
    memset(bt->users, 0, sizeof(bt->users));
    bt->mixed_count = 0;
    bt->cs_count = 1;
    bt->cs_asked = bt->cs_of[0];
    bt->cs = 0;
}

void pair_reset(struct pair *p, const struct setup *setup)
{
    p->setup = *setup;
    p->start = p->bt->vcpu;
    p->start.retired = 0; /* which is the guest's time */
    p->bt->bt->soft_mode = setup->soft;
    p->bt->outside = 0;
    p->interp->outside = 0;
}

void pair_load(struct pair *p, bool wild, bool fresh)
{
    world_load(p->bt, p->interp, wild || p->setup.paging == FLAT, fresh);
    pair_start(p);
}

void pair_start(struct pair *p)
{
    machine_set_vcpu(p->bt, &p->start);
    machine_set_vcpu(p->interp, &p->start);
    p->bt->stats.count[STAT_EXCEPTIONS] = 0;
    p->interp->stats.count[STAT_EXCEPTIONS] = 0;
}

/* ---- Running ---- */

void pair_crowd(const struct pair *p)
{
    struct tc *tc = p->bt->bt->tc;
    struct region *before;

    if (!p->crowded)
        return;
    tc->current = (tc->current + TC_REGIONS - 1) % TC_REGIONS;
    before = &tc->region[tc->current];
    before->at = before->start + tc->region_len;
}

bool pair_is_behind(const struct pair *p)
{
    const struct machine *to = p->bt;
    const struct machine *m = p->interp;

    return m->vcpu.retired < to->vcpu.retired ||
           machine_exceptions(m) < machine_exceptions(to);
}

bool pair_is_tame(const struct pair *p)
{
    return world_is_tame(&p->bt->vcpu, &p->setup) &&
           world_is_tame(&p->interp->vcpu, &p->setup);
}

static void interrupt(struct machine *m)
{
    const struct exc exc = {
        .kind = EXC_KIND_INTR, .vector = IRQ_VECTOR, .return_eip = m->vcpu.eip};

    exc_deliver(m->interp, &exc);
}

void pair_interrupt(const struct pair *p)
{
    interrupt(p->bt);
    interrupt(p->interp);
}

/* ---- Comparing ---- */

const char *pair_differ(const struct pair *p, uint32_t *at)
{
    const char *what = machine_differ(p->bt, p->interp);

    *at = 0;
    return what ? what : world_differ(p->bt, p->interp, at);
}

static void show_code(const struct machine *m, gip_t gip)
{
    uint32_t at = world_code_at(gip);

    printf("code at %08x (physical %08x):", gip, at);
    for (uint32_t i = 0; i < 48; i++)
        printf(" %02x", *machine_ram(m, at + i));
    printf("\n");
}

static void show_state(const struct machine *m, const char *name)
{
    printf("%s, %llu retired, %llu exceptions, vector %u, stop %d:\n", name,
           (unsigned long long)m->vcpu.retired,
           (unsigned long long)machine_exceptions(m), m->vcpu.exc.vector,
           m->stop.reason);
    vcpu_dump(&m->vcpu, stdout);
}

void pair_report(const struct pair *p, uint32_t at)
{
    const struct setup *s = &p->setup;

    printf("paging %d, user %d, count %d, wp %d, global %d, soft %d; start:\n",
           s->paging, s->user, s->count, s->write_protect, s->global, s->soft);
    vcpu_dump(&p->start, stdout);
    show_code(p->interp, bt_gip(&p->start));
    show_state(p->bt, "translator");
    show_state(p->interp, "interpreter");
    show_code(p->interp, bt_gip(&p->interp->vcpu));
    for (uint32_t i = at & ~15u; at && i <= at + 16; i += 4)
        printf("at %08x: %08x, interpreter %08x\n", i,
               get32(machine_ram(p->bt, 0), i),
               get32(machine_ram(p->interp, 0), i));
    for (unsigned i = 0; i < sizeof(p->bt->vcpu.fpu); i++)
        if (p->bt->vcpu.fpu[i] != p->interp->vcpu.fpu[i])
            printf("FPU image, byte %u: %02x, interpreter %02x\n", i,
                   p->bt->vcpu.fpu[i], p->interp->vcpu.fpu[i]);
    fflush(stdout);
}
