/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Programs of each kind of test; POPF_PRECISE_PROGRAMS overrides. */
#if defined(__SANITIZE_ADDRESS__)
#    define PROGRAMS 30u
#else
#    define PROGRAMS 200u
#endif

/* ---- Comparing ---- */

void NORETURN trial_diverged(const struct trial *t, const char *what,
                             const struct guest *ref)
{
    const struct ccf *ccf = tc_find_host(t->bt->m->bt->tc, t->at);

    printf("seed %llu user %d: %s differs; event %d\n",
           (unsigned long long)t->seed, t->user, what, t->event);
    if (ccf)
        sites_print(t->bt, ccf, t->at);
    printf("translator, retired %llu:\n",
           (unsigned long long)t->bt->m->vcpu.retired);
    vcpu_dump(&t->bt->m->vcpu, stdout);
    printf("interpreter, retired %llu:\n",
           (unsigned long long)ref->m->vcpu.retired);
    vcpu_dump(&ref->m->vcpu, stdout);
    fflush(stdout);
    ck_abort_msg("%s (POPF_PRECISE_SEED=%llu)", what,
                 (unsigned long long)t->seed);
}

void trial_same(const struct trial *t)
{
    const char *what = guest_differ(t->bt, t->ref);

    if (what)
        trial_diverged(t, what, t->ref);
}

void trial_follow(const struct trial *t, const struct outcome *outcome,
                  uint64_t retired)
{
    struct machine *m = t->ref->m;

    for (unsigned i = 0; i < outcome->poked_count; i++) {
        const struct poked *poked = &outcome->poked[i];

        machine_run(m, poked->retired - m->vcpu.retired);
        probe_apply(t->ref, poked);
    }
    if (retired > m->vcpu.retired)
        machine_run(m, retired - m->vcpu.retired);
}

void trial_same_at_end(const struct trial *t, const struct outcome *outcome)
{
    guest_reset(t->ref, false);
    trial_follow(t, outcome, TRIAL_INSNS_MAX);
    trial_same(t);
    if (t->ref->m->vcpu.eip != HANDLER_END + 1)
        trial_diverged(t, "the program is not valid: it", t->ref);
}

static bool is_repeated_string(const struct guest *g)
{
    const uint8_t *code = machine_ram(g->m, g->m->vcpu.eip);

    while (*code == 0x66)
        code++;
    return *code == 0xf2 || *code == 0xf3;
}

bool trial_is_in_string(const struct trial *t)
{
    const char *what;

    if (!is_repeated_string(t->bt) || !guest_differ(t->bt, t->ref) ||
        t->bt->m->vcpu.eip != t->ref->m->vcpu.eip)
        return false;
    guest_copy(t->spare, t->bt);
    machine_run(t->spare->m, 1);
    machine_run(t->ref->m, 1);
    what = guest_differ(t->spare, t->ref);
    if (what)
        trial_diverged(t, what, t->ref);
    return true;
}

/* ---- Programs ---- */

/* Three times: exits are chained the second time. */
static void warm_up(struct trial *t)
{
    static const struct outcome nothing;

    for (unsigned i = 0; i < 3; i++) {
        guest_reset(t->bt, false);
        ck_assert_int_eq(machine_run(t->bt->m, 0), VCPU_EXIT_HLT);
        trial_same_at_end(t, &nothing);
    }
}

static void check_path(void *opaque, const struct outcome *outcome)
{
    trial_same_at_end(opaque, outcome);
}

static void find_paths(struct trial *t)
{
    sites_init(t->sites, t->bt);
    sites_update(t->sites, t->bt);
    paths_find(t->paths, t->sites, t->bt, check_path, t);
}

/* Translate the program again with every memory operand on the soft path. */
static void soften(struct trial *t)
{
    struct bt_vcpu *bt = t->bt->m->bt;

    for (uint32_t i = 0; i < t->sites->count; i++) {
        const struct site *site = &t->sites->site[i];
        bool exact;
        gip_t gip;

        if (!site->memory)
            continue;
        gip = site->owner->ccf->gip +
              ccf_find_point(site->owner->ccf, site->at, &exact)->gip_offset;
        bt_site_trapped(bt, gip >> PAGE_SHIFT, gip & PAGE_MASK, 100);
    }
    bt_flush(bt);
    warm_up(t);
}

bool trial_is_windowed(const struct trial *t)
{
    return !(t->seed & 6) && t->program.segments == SEGMENTS_FLAT;
}

/* Every fourth program has segments that are not flat. */
static enum program_segments segments_of(uint64_t seed)
{
    if ((seed & 0x18) != 0x18)
        return SEGMENTS_FLAT;
    return seed & 0x20 ? SEGMENTS_DOWN : SEGMENTS_LIMITED;
}

/* Programs of all kinds: CPL 0 or 3, windows or the soft path, that by site or
 * everywhere, flat or not. */
static void setup(struct trial *t, uint64_t seed)
{
    static struct sites sites;
    static struct paths paths;

    *t = (struct trial){
        .sites = &sites, .paths = &paths, .seed = seed, .user = seed & 1};
    program_generate(&t->program, seed, segments_of(seed));
    t->program.soft = seed & 4;
    t->program.checked = seed % 7 == 0;
    t->bt = guest_new(&t->program, true, t->user);
    t->ref = guest_new(&t->program, false, t->user);
    t->spare = guest_new(&t->program, false, t->user);
    probe_install();
    warm_up(t);
    find_paths(t);
    if ((seed & 6) == 2) {
        soften(t);
        find_paths(t);
    }
}

static void teardown(struct trial *t)
{
    ck_assert_pstr_eq(tc_verify(t->bt->m->bt->tc), NULL);
    ck_assert_pstr_eq(spt_verify(t->bt->m->bt->mmu), NULL);
    guest_free(t->bt);
    guest_free(t->ref);
    guest_free(t->spare);
}

unsigned trial_count(void)
{
    const char *text = getenv("POPF_PRECISE_PROGRAMS");

    return text ? (unsigned)atoi(text) : PROGRAMS;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("POPF_PRECISE_SEED");

    return text ? strtoull(text, NULL, 0) : 1;
}

bool trial_is_default(void)
{
    return !getenv("POPF_PRECISE_PROGRAMS") && !getenv("POPF_PRECISE_SEED");
}

void trial_for_each(void (*fn)(struct trial *t))
{
    uint64_t seed = first_seed();

    for (unsigned i = 0; i < trial_count(); i++) {
        struct trial t;

        setup(&t, seed + i);
        fn(&t);
        teardown(&t);
    }
}

/* ---- Events ---- */

struct plan trial_plan(const struct trial *t, const struct site *site,
                       const struct site *on, enum event event)
{
    const struct path *path = &t->paths->path[on->path];

    return (struct plan){.pokes = path->pokes,
                         .poke_count = path->count,
                         .at = site->at,
                         .event = event};
}

bool trial_arrive(struct trial *t, const struct plan *plan,
                  struct outcome *outcome, enum vcpu_exit *exit)
{
    t->at = plan->at;
    t->event = plan->event;
    guest_reset(t->bt, false);
    *exit = probe_run(t->bt, plan, outcome);
    if (!outcome->arrived)
        trial_same_at_end(t, outcome);
    return outcome->arrived;
}
