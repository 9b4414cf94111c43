/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "code.h"
#include "emu/cpu/segment.h"
#include "tests/machine/system.h"
#include "world.h"

/*
 * Hostile code under the translator; then as many instructions of the same
 * under the interpreter. Both have the same state, and every invariant of the
 * cache and the shadow holds.
 *
 * A run is a number of parts. A part ends behind one TU, or when a timer kicks
 * the translator at a random moment, wherever it is; behind it an interrupt may
 * be delivered to both. The run ends with an exception (the handlers halt), a
 * HLT, or when the machine stops.
 *
 * Runs by TU are the same each time for a seed. Those that the timer cuts are
 * not: to meet a failure again, FUZZ_SAME=1 repeats one round for FUZZ_MS.
 */
#define RUN_US   60u                   /* until a kick, at most */
#define STUCK_US 5000u                 /* in a TU */
#define GIVE_UP  (20u * 1000u * 1000u) /* ns for the interpreter */
#define PARTS    4u
#define TUS      100u

/* How the last parts ended, for reports. */
#define HISTORY 8u
struct part {
    enum vcpu_exit exit;
    uint64_t retired;
    uint64_t exceptions;
    uint32_t eip;
    uint64_t kicked_at; /* host address */
};
static struct part history[HISTORY];

struct pair {
    struct machine *bt;
    struct machine *interp;
    struct setup setup;
    struct vcpu start;
    uint64_t seed; /* of the round */
    bool by_tu;
};

static struct machine *running;
static uint64_t kicked_at; /* host address */

static struct {
    unsigned runs;
    unsigned by_tu;
    unsigned parts;
    unsigned kicked;
    unsigned interrupts;
    unsigned compared;
    unsigned switches; /* compared in the space that it did not start in */
    uint64_t retired;
} totals;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Kicks ---- */

static void on_alarm(int sig, siginfo_t *info, void *uc)
{
    (void)sig, (void)info;
    if (!running)
        return;
    kicked_at = (uint64_t)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
    running->vcpu.kick = 1;
    if (running->bt)
        bt_kicked(running->bt, uc);
}

static void alarm_in(uint32_t us)
{
    struct itimerval timer = {.it_value.tv_usec = us};

    setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- Running ---- */

static uint64_t exceptions(const struct machine *m)
{
    return m->stats.count[STAT_EXCEPTIONS];
}

static bool is_stopped(const struct machine *m)
{
    return m->stop.reason != STOP_NONE;
}

/* A part under the translator. */
static enum vcpu_exit lead(const struct pair *p)
{
    struct machine *m = p->bt;
    enum vcpu_exit exit;

    m->vcpu.kick = 0;
    running = m;
    alarm_in(p->by_tu ? STUCK_US : 1 + below(RUN_US));
    do {
        exit = p->by_tu ? bt_run_tu(m->bt) : bt_run(m->bt);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(m);
    } while (exit == VCPU_EXIT_EXC && !p->by_tu);
    running = NULL;
    alarm_in(0);
    return is_stopped(m) ? VCPU_EXIT_STOP : exit;
}

/* The interpreter has as much to do as the translator has done: instructions
 * and, since a fault retires nothing, exceptions. */
static bool is_behind(const struct pair *p)
{
    const struct machine *to = p->bt;
    const struct machine *m = p->interp;

    return m->vcpu.retired < to->vcpu.retired || exceptions(m) < exceptions(to);
}

/* The same part under the interpreter, to_end: to HLT or a stop. False: it takes
 * too long. */
static bool follow(const struct pair *p, bool to_end)
{
    uint64_t deadline = now_ns() + GIVE_UP;
    enum vcpu_exit exit = VCPU_EXIT_BUDGET;
    struct machine *m = p->interp;

    running = m;
    while (!is_stopped(m) && exit != VCPU_EXIT_HLT && now_ns() < deadline &&
           (to_end || is_behind(p))) {
        uint64_t left = p->bt->vcpu.retired - m->vcpu.retired;

        if (to_end || left > 100000)
            left = 100000;
        m->vcpu.kick = 0;
        alarm_in(GIVE_UP / 2000);
        exit = left ? interp_run(m->interp, left) : interp_step(m->interp);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(m);
    }
    running = NULL;
    alarm_in(0);
    return now_ns() < deadline;
}

/* ---- Comparing ---- */

/* A run cut in the middle of a string instruction has no counterpart. */
static bool is_at_rep(const struct machine *m)
{
    const struct insn_mode mode = {.features = UINT32_MAX,
                                   .code32 = m->vcpu.seg[SEG_CS].attr & SEG_DB};
    struct insn in;

    return insn_decode(&in, mode,
                       machine_ram(m, world_code_at(bt_gip(&m->vcpu))),
                       INSN_MAX_LEN) != INSN_OK ||
           in.rep != REP_NONE;
}

static void show_code(const struct machine *m, gip_t gip)
{
    uint32_t at = world_code_at(gip);

    printf("code at %08x (physical %08x):", gip, at);
    for (uint32_t i = 0; i < 48; i++)
        printf(" %02x", *machine_ram(m, at + i));
    printf("\n");
}

static void show_host(const struct machine *m)
{
    struct ccf *ccf = tc_find_host(m->bt->tc, kicked_at);
    char text[96];

    if (!ccf)
        return;
    printf("kicked in CCF %08x%s:\n", ccf->gip, ccf->dead ? ", dead" : "");
    for (uint64_t at = ccf->start; at < ccf->start + ccf->host_len;) {
        const uint8_t *code = mcode_rw(tc_mcode(m->bt->tc), at);

        printf("%c %4llx ", at == kicked_at ? '>' : ' ',
               (unsigned long long)(at - ccf->start));
        at += insn_format_host(code, INSN_MAX_LEN, at, text, sizeof(text));
        printf("%s\n", text);
    }
}

static void show_parts(const struct machine *m)
{
    const uint64_t code = (uint64_t)(uintptr_t)tc_mcode(m->bt->tc)->rx;

    for (unsigned i = 0; i < HISTORY; i++) {
        const struct part *part = &history[(totals.parts + 1 + i) % HISTORY];

        printf("part: exit %d, %llu retired, %llu exceptions, eip %08x, kick "
               "at code + %#llx\n",
               part->exit, (unsigned long long)part->retired,
               (unsigned long long)part->exceptions, part->eip,
               (unsigned long long)(part->kicked_at - code));
    }
}

static void NORETURN differs(const struct pair *p, const char *what,
                             uint32_t at)
{
    const struct setup *s = &p->setup;

    printf("start:\n");
    vcpu_dump(&p->start, stdout);
    show_code(p->interp, bt_gip(&p->start));
    printf("translator, %llu retired, %llu exceptions, vector %u:\n",
           (unsigned long long)p->bt->vcpu.retired,
           (unsigned long long)exceptions(p->bt), p->bt->vcpu.exc.vector);
    vcpu_dump(&p->bt->vcpu, stdout);
    printf("interpreter, %llu retired, %llu exceptions, vector %u:\n",
           (unsigned long long)p->interp->vcpu.retired,
           (unsigned long long)exceptions(p->interp),
           p->interp->vcpu.exc.vector);
    vcpu_dump(&p->interp->vcpu, stdout);
    show_code(p->interp, bt_gip(&p->interp->vcpu));
    for (uint32_t i = at & ~15u; at && i <= at + 16; i += 4)
        printf("at %08x: %08x, interpreter %08x\n", i,
               get32(machine_ram(p->bt, 0), i),
               get32(machine_ram(p->interp, 0), i));
    show_parts(p->bt);
    for (unsigned i = 0; i < 32; i++)
        printf("%s%02x/%02x", i % 16 ? " " : "\nFPU: ", p->bt->vcpu.fpu[i],
               p->interp->vcpu.fpu[i]);
    printf("\n");
    if (!p->by_tu)
        show_host(p->bt);
    fflush(stdout);
    ck_abort_msg("%s (FUZZ_SEED=%#llx%s; paging %d, user %d, count %d, wp %d, "
                 "global %d, soft %d)",
                 what, (unsigned long long)p->seed,
                 p->by_tu ? "" : " FUZZ_SAME=1", s->paging, s->user, s->count,
                 s->write_protect, s->global, s->soft);
}

static void compare(const struct pair *p)
{
    const char *what = machine_differ(p->bt, p->interp);
    uint32_t at = 0;

    if (!what)
        what = world_differ(p->bt, p->interp, &at);
    if (what)
        differs(p, what, at);
    totals.compared++;
    totals.switches += p->bt->vcpu.cr3 != p->start.cr3;
}

/* ---- Runs ---- */

static bool is_tame(const struct pair *p)
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

static void maybe_interrupt(const struct pair *p)
{
    const struct vcpu *v = &p->bt->vcpu;

    if (!v->if_flag || v->inhibit != INHIBIT_NONE || below(3))
        return;
    totals.interrupts++;
    interrupt(p->bt);
    interrupt(p->interp);
}

/* A part of both; true when there is more of the run. */
static bool one_part(const struct pair *p, bool *tame)
{
    enum vcpu_exit exit = lead(p);
    bool kicked = exit == VCPU_EXIT_INTR;
    bool ended = exit == VCPU_EXIT_HLT || exit == VCPU_EXIT_STOP;

    history[++totals.parts % HISTORY] =
        (struct part){.exit = exit,
                      .retired = p->bt->vcpu.retired,
                      .exceptions = exceptions(p->bt),
                      .eip = p->bt->vcpu.eip,
                      .kicked_at = kicked_at};
    totals.kicked += kicked;
    *tame = *tame && is_tame(p);
    if (!*tame || (!ended && !p->setup.count) || !follow(p, ended) ||
        !(*tame = is_tame(p)) || (kicked && is_at_rep(p->interp)))
        return false;
    compare(p);
    if (!ended)
        maybe_interrupt(p);
    return !ended && !is_stopped(p->bt);
}

/* wild: what the run before left in RAM is not known. */
static void one_run(struct pair *p, bool *wild)
{
    bool tame = true;
    unsigned parts;

    world_start(&p->start, &p->setup);
    p->by_tu = p->setup.count && below(3) == 0;
    world_load(p->bt, p->interp, *wild || p->setup.paging == FLAT,
               below(4) == 0);
    machine_set_vcpu(p->bt, &p->start);
    machine_set_vcpu(p->interp, &p->start);
    p->bt->stats.count[STAT_EXCEPTIONS] = 0;
    p->interp->stats.count[STAT_EXCEPTIONS] = 0;
    totals.runs++;
    totals.by_tu += p->by_tu;
    parts = p->by_tu ? TUS : PARTS;
    while (one_part(p, &tame) && --parts)
        ;
    totals.retired += p->bt->vcpu.retired - p->start.retired;
    *wild = !tame;
    ck_assert_pstr_eq(tc_verify(p->bt->bt->tc), NULL);
}

static void one_round(uint64_t seed)
{
    struct pair p = {.seed = seed};
    bool wild = true;

    random_seed(seed);
    p.setup = setup_choose();
    p.bt = world_machine(&p.setup, true);
    p.interp = world_machine(&p.setup, false);
    p.start = p.bt->vcpu;
    if (__builtin_popcountll(seed) & 1) /* pages are soon found mixed */
        p.bt->bt->mixed_window = UINT64_MAX;
    for (unsigned i = 0; i < 10; i++) {
        world_build(&p.setup);
        for (unsigned k = 0; k < 6; k++)
            one_run(&p, &wild);
    }
    ck_assert_pstr_eq(bt_verify(p.bt->bt), NULL);
    machine_destroy(p.bt);
    machine_destroy(p.interp);
}

START_TEST(hostile_code_gives_the_interpreters_state)
{
    const char *given = getenv("FUZZ_SEED");
    const char *ms = getenv("FUZZ_MS");
    uint64_t end = now_ns() + (ms ? strtoull(ms, NULL, 0) : 4000) * 1000 * 1000;
    uint64_t round = given ? strtoull(given, NULL, 0) : now_ns();

    do {
        one_round(round);
        round += getenv("FUZZ_SAME") == NULL;
    } while (now_ns() < end);
    printf("fuzz next_seed=%#llx runs=%u by_tu=%u parts=%u kicked=%u "
           "interrupts=%u compared=%u switched=%u retired=%llu\n",
           (unsigned long long)round, totals.runs, totals.by_tu, totals.parts,
           totals.kicked, totals.interrupts, totals.compared, totals.switches,
           (unsigned long long)totals.retired);
}
END_TEST

static void setup_alarm(void)
{
    struct sigaction action = {.sa_sigaction = on_alarm,
                               .sa_flags =
                                   SA_SIGINFO | SA_ONSTACK | SA_RESTART};

    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
}

/* FFFFFFFFh: add eax, imm32, whose immediate would be at 0. The fetch is beyond
 * the limit of CS: #GP. */
START_TEST(an_instruction_beyond_4_gib_is_a_fault)
{
    struct pair p = {
        .setup = {.paging = PAGING_32, .count = true}
    };

    p.bt = world_machine(&p.setup, true);
    p.interp = world_machine(&p.setup, false);
    p.start = p.bt->vcpu;
    world_build(&p.setup);
    world_start(&p.start, &p.setup);
    p.start.regs[REG_ESP] = KSTACK;
    p.start.eip = UINT32_MAX;
    world_load(p.bt, p.interp, true, true);
    *machine_ram(p.bt, CODE + PAGE_MASK) = 0x05;
    *machine_ram(p.interp, CODE + PAGE_MASK) = 0x05;
    machine_set_vcpu(p.bt, &p.start);
    machine_set_vcpu(p.interp, &p.start);
    ck_assert_int_eq(machine_run(p.bt, 0), VCPU_EXIT_HLT);
    ck_assert_int_eq(machine_run(p.interp, 1000), VCPU_EXIT_HLT);
    ck_assert_uint_eq(p.bt->vcpu.eip, HANDLER + 1);
    compare(&p);
    machine_destroy(p.bt);
    machine_destroy(p.interp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz");
    TCase *tcase = tcase_create("hostile");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup_alarm, NULL);
    tcase_add_test(tcase, an_instruction_beyond_4_gib_is_a_fault);
    tcase_add_test(tcase, hostile_code_gives_the_interpreters_state);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
