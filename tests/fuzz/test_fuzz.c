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

#include "choice.h"
#include "code.h"
#include "pair.h"

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

struct round {
    struct pair pair;
    uint64_t seed;
    bool by_tu; /* the current run */
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

/* A part under the translator. */
static enum vcpu_exit lead(const struct round *r)
{
    struct machine *m = r->pair.bt;
    enum vcpu_exit exit;

    m->vcpu.kick = 0;
    running = m;
    alarm_in(r->by_tu ? STUCK_US : 1 + below(RUN_US));
    do {
        exit = r->by_tu ? bt_run_tu(m->bt) : bt_run(m->bt);
        if (exit == VCPU_EXIT_EXC)
            machine_deliver(m);
    } while (exit == VCPU_EXIT_EXC && !r->by_tu);
    running = NULL;
    alarm_in(0);
    return machine_is_stopped(m) ? VCPU_EXIT_STOP : exit;
}

/* The same part under the interpreter, to_end: to HLT or a stop. False: it takes
 * too long. */
static bool follow(const struct pair *p, bool to_end)
{
    uint64_t deadline = now_ns() + GIVE_UP;
    enum vcpu_exit exit = VCPU_EXIT_BUDGET;
    struct machine *m = p->interp;

    running = m;
    while (!machine_is_stopped(m) && exit != VCPU_EXIT_HLT &&
           now_ns() < deadline && (to_end || pair_is_behind(p))) {
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

static void NORETURN differs(const struct round *r, const char *what,
                             uint32_t at)
{
    pair_report(&r->pair, at);
    show_parts(r->pair.bt);
    if (!r->by_tu)
        show_host(r->pair.bt);
    fflush(stdout);
    ck_abort_msg("%s (FUZZ_SEED=%#llx%s)", what, (unsigned long long)r->seed,
                 r->by_tu ? "" : " FUZZ_SAME=1");
}

static void compare(const struct round *r)
{
    const struct pair *p = &r->pair;
    uint32_t at;
    const char *what = pair_differ(p, &at);

    if (what)
        differs(r, what, at);
    totals.compared++;
    totals.switches += p->bt->vcpu.cr3 != p->start.cr3;
}

/* ---- Runs ---- */

static void maybe_interrupt(const struct pair *p)
{
    const struct vcpu *v = &p->bt->vcpu;

    if (!v->if_flag || v->inhibit != INHIBIT_NONE || below(3))
        return;
    totals.interrupts++;
    pair_interrupt(p);
}

/* A part of both; true when there is more of the run. */
static bool one_part(const struct round *r, bool *tame)
{
    const struct pair *p = &r->pair;
    enum vcpu_exit exit = lead(r);
    bool kicked = exit == VCPU_EXIT_INTR;
    bool ended = exit == VCPU_EXIT_HLT || exit == VCPU_EXIT_STOP;

    history[++totals.parts % HISTORY] =
        (struct part){.exit = exit,
                      .retired = p->bt->vcpu.retired,
                      .exceptions = machine_exceptions(p->bt),
                      .eip = p->bt->vcpu.eip,
                      .kicked_at = kicked_at};
    totals.kicked += kicked;
    *tame = *tame && pair_is_tame(p);
    if (!*tame || (!ended && !p->setup.count) || !follow(p, ended) ||
        !(*tame = pair_is_tame(p)) || (kicked && is_at_rep(p->interp)))
        return false;
    compare(r);
    if (!ended)
        maybe_interrupt(p);
    return !ended && !machine_is_stopped(p->bt);
}

/* wild: what the run before left in RAM is not known. */
static void one_run(struct round *r, bool *wild)
{
    struct pair *p = &r->pair;
    bool tame = true;
    unsigned parts;

    world_start(&p->start, &p->setup, world_any_gip(&p->setup));
    r->by_tu = p->setup.count && below(3) == 0;
    pair_load(p, *wild, below(4) == 0);
    totals.runs++;
    totals.by_tu += r->by_tu;
    parts = r->by_tu ? TUS : PARTS;
    while (one_part(r, &tame) && --parts)
        ;
    totals.retired += p->bt->vcpu.retired - p->start.retired;
    *wild = !tame;
    ck_assert_pstr_eq(tc_verify(p->bt->bt->tc), NULL);
}

static void one_round(uint64_t seed)
{
    struct round r = {.seed = seed};
    struct setup setup;
    bool wild = true;

    choices_from_seed(seed);
    setup = setup_choose();
    pair_create(&r.pair, &setup);
    if (__builtin_popcountll(seed) & 1) /* pages are soon found mixed */
        r.pair.bt->bt->mixed_window = UINT64_MAX;
    for (unsigned i = 0; i < 10; i++) {
        put_code(world_build(&setup));
        for (unsigned k = 0; k < 6; k++)
            one_run(&r, &wild);
    }
    ck_assert_pstr_eq(bt_verify(r.pair.bt->bt), NULL);
    pair_destroy(&r.pair);
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
    const struct setup setup = {.paging = PAGING_32, .count = true};
    struct round r = {0};
    struct pair *p = &r.pair;

    pair_create(p, &setup);
    world_build(&setup)[PAGE_MASK] = 0x05;
    world_start(&p->start, &setup, UINT32_MAX);
    p->start.regs[REG_ESP] = KSTACK;
    p->start.eip = UINT32_MAX;
    pair_load(p, true, true);
    ck_assert_int_eq(machine_run(p->bt, 0), VCPU_EXIT_HLT);
    ck_assert_int_eq(machine_run(p->interp, 1000), VCPU_EXIT_HLT);
    ck_assert_uint_eq(p->bt->vcpu.eip, HANDLER + 1);
    compare(&r);
    pair_destroy(p);
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
