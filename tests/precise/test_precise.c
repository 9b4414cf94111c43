/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "machine.h"
#include "translator/decode/insn.h"

/*
 * Precision: whatever host instruction of a CCF an event arrives at, the guest
 * is left in a state that the interpreter has, too, between two instructions.
 *
 * A breakpoint in the code memory makes the event happen at a chosen place; it
 * is gone before the instruction runs.
 */

/* Programs of each kind of test; POPF_PRECISE_PROGRAMS overrides. */
#if defined(__SANITIZE_ADDRESS__)
#    define PROGRAMS 60u
#else
#    define PROGRAMS 250u
#endif
#define SITES_MAX  65536u
#define STEPS_MAX  200u /* of the host, from a kick to a boundary */
#define FAULTS_MAX 64u
#define INT3       0xcc
#define CALL       0xe8
#define RET        0xc3

struct site {
    uint64_t at;
    bool memory; /* a guest instruction with a memory operand starts here */
};

enum event { KICK, FORGET, CHANGE };

/* The breakpoint. */
static struct {
    struct machine *m;
    uint64_t at;
    uint8_t saved;
    bool armed;
    bool arrived;
    enum event event;
    struct sigaction engine; /* the engine's own SIGTRAP handler */
    unsigned steps;
    uint64_t retired; /* at arrival */
    uint32_t clear;   /* CHANGE: PTE bits of the pages */
    uint32_t set;
    uint32_t pages; /* CHANGE: which of them, a bit each */
} probe;

static struct {
    uint64_t ccfs;
    uint64_t instructions;
    uint64_t kicked;
    uint64_t unreached;
    uint64_t rolled;
    uint64_t operands;
    uint64_t faults;
    uint64_t hidden;
} count;

static struct site sites[SITES_MAX];
static unsigned site_count;
static unsigned ccf_count;

/* ---- Events ---- */

#define OPEN_PAGES ((DATA_LEN + STACK_LEN) / PAGE_SIZE)

static uint32_t open_page(unsigned index)
{
    uint32_t data = DATA_LEN / PAGE_SIZE;

    return index < data ? DATA + index * PAGE_SIZE
                        : STACK + (index - data) * PAGE_SIZE;
}

static void change_tables(struct machine *m)
{
    for (unsigned i = 0; i < OPEN_PAGES; i++) {
        uint32_t page = open_page(i);

        if (probe.pages & BIT(i))
            machine_set_pte(m, page,
                            (machine_pte(m, page) & ~probe.clear) | probe.set);
    }
}

static void note_retired(struct bt_vcpu *bt, uint64_t rip)
{
    struct ccf *ccf = tc_find_host(bt->tc, rip);
    bool exact = false;
    const struct ccf_point *p = ccf ? ccf_find_point(ccf, rip, &exact) : NULL;

    probe.retired = bt->vcpu->retired + bt->vcpu->ccf_retired;
    if (p)
        probe.retired -= p->uncounted;
}

/* The shadow changed under a running CCF: as after a hidden fault. */
static void apply_reset(struct bt_vcpu *bt, greg_t *g)
{
    if (bt->reset_stacks)
        g[REG_RSP] = (greg_t)bt->context->stack.bottom;
    bt->reset_stacks = false;
}

static void arrive(ucontext_t *uc)
{
    struct bt_vcpu *bt = probe.m->bt;
    greg_t *g = uc->uc_mcontext.gregs;

    g[REG_RIP] = (greg_t)probe.at;
    *mcode_rw(tc_mcode(bt->tc), probe.at) = probe.saved;
    probe.armed = false;
    probe.arrived = true;
    note_retired(bt, probe.at);
    if (probe.event == KICK) {
        bt->vcpu->kick = 1;
        bt_kicked(bt, uc);
    } else if (probe.event == FORGET) {
        bt_tlb_flushed(bt, true);
        apply_reset(bt, g);
    } else {
        change_tables(probe.m);
        apply_reset(bt, g);
    }
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    struct bt_vcpu *bt = probe.m->bt;

    if (probe.armed && (uint64_t)uc->uc_mcontext.gregs[REG_RIP] - 1 == probe.at)
        arrive(uc);
    else if (bt->stepping && ++probe.steps < STEPS_MAX)
        probe.engine.sa_sigaction(sig, info, context);
    else
        signal(sig, SIG_DFL); /* and die of it */
}

static void arm(struct machine *m, uint64_t at, enum event event)
{
    struct sigaction action = {.sa_sigaction = on_trap,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    uint8_t *byte = mcode_rw(tc_mcode(m->bt->tc), at);

    sigfillset(&action.sa_mask);
    ck_assert_int_eq(sigaction(SIGTRAP, &action, &probe.engine), 0);
    probe.m = m;
    probe.at = at;
    probe.saved = *byte;
    probe.armed = true;
    probe.arrived = false;
    probe.event = event;
    probe.steps = 0;
    *byte = INT3;
}

static void disarm(void)
{
    uint8_t *byte = mcode_rw(tc_mcode(probe.m->bt->tc), probe.at);

    if (probe.armed && *byte == INT3)
        *byte = probe.saved;
    probe.armed = false;
    sigaction(SIGTRAP, &probe.engine, NULL);
}

/* ---- Sites ---- */

/* Is the host instruction one that accesses guest memory? LEA R10D, [R8 + ...]
 * stands for the soft path. */
static bool is_memory(const uint8_t *code)
{
    if (code[0] == 0x65 || !memcmp(code, "\x45\x8d\x50", 3) ||
        !memcmp(code, "\x45\x8d\x10", 3))
        return true;
    while (*code == 0x66 || *code == 0xf2 || *code == 0xf3)
        code++;
    return (*code >= 0xa4 && *code <= 0xa7) || (*code >= 0xaa && *code <= 0xaf);
}

static void add_site(uint64_t at)
{
    ENSURE(site_count < SITES_MAX);
    sites[site_count++] = (struct site){.at = at};
}

/* The instructions of a probe that a CCF calls. */
static void add_probe(const struct mcode *mcode, const uint8_t *call,
                      uint64_t at)
{
    const uint8_t *code = call;
    char text[96];
    int32_t rel;

    memcpy(&rel, call + 1, sizeof(rel));
    at += 5 + (uint64_t)(int64_t)rel;
    if (*call != CALL || at - (uint64_t)(uintptr_t)mcode->rx >= TC_GLUE_LEN)
        return;
    for (unsigned i = 0; i < site_count; i++)
        if (sites[i].at == at)
            return;
    do {
        add_site(at);
        code = mcode_rw(mcode, at);
        at += insn_format_host(code, 16, at, text, sizeof(text));
    } while (*code != RET);
}

static void add_ccf(const struct mcode *mcode, const struct ccf *ccf)
{
    struct site *boundary = NULL;
    uint64_t end = ccf->start + ccf->host_len;

    ccf_count++;
    for (uint64_t at = ccf->start; at < end;) {
        const uint8_t *code = mcode_rw(mcode, at);
        char text[96];
        bool exact = false;

        add_site(at);
        if (ccf_find_point(ccf, at, &exact) && exact)
            boundary = &sites[site_count - 1];
        if (boundary && is_memory(code))
            boundary->memory = true;
        add_probe(mcode, code, at);
        at += insn_format_host(code, end - at, at, text, sizeof(text));
    }
}

static void find_sites(struct machine *m)
{
    const struct mcode *mcode = tc_mcode(m->bt->tc);
    uint64_t start = (uint64_t)(uintptr_t)mcode->rx;

    site_count = ccf_count = 0;
    add_site(m->bt->miss);
    add_site(m->bt->sentinel);
    for (uint64_t at = start + TC_GLUE_LEN; at < start + mcode->len; at += 16) {
        const struct ccf *ccf = tc_find_host(m->bt->tc, at);

        if (ccf && ccf->start == at && !ccf->dead)
            add_ccf(mcode, ccf);
    }
}

/* ---- Comparing ---- */

struct trio {
    struct program program;
    struct machine *bt;
    struct machine *ref;  /* the interpreter, wherever it is wanted */
    struct machine *last; /* the interpreter at the end */
    struct machine *spare;
    uint64_t seed;
    bool user;
};

static void NORETURN diverged(const struct trio *t, const char *what,
                              const struct machine *ref)
{
    char text[96];
    struct ccf *ccf = tc_find_host(t->bt->bt->tc, probe.at);

    printf("seed %llu user %d: %s differs; event %d at offset %#llx\n",
           (unsigned long long)t->seed, t->user, what, probe.event,
           (unsigned long long)(ccf ? probe.at - ccf->start : 0));
    for (uint64_t at = ccf ? ccf->start : 0;
         ccf && at < ccf->start + ccf->host_len;) {
        const uint8_t *code = mcode_rw(tc_mcode(t->bt->bt->tc), at);

        printf("%c %4llx ", at == probe.at ? '>' : ' ',
               (unsigned long long)(at - ccf->start));
        at += insn_format_host(code, 16, at, text, sizeof(text));
        printf("%s\n", text);
    }
    printf("translator, retired %llu:\n",
           (unsigned long long)t->bt->vcpu.retired);
    vcpu_dump(&t->bt->vcpu, stdout);
    printf("interpreter, retired %llu:\n",
           (unsigned long long)ref->vcpu.retired);
    vcpu_dump(&ref->vcpu, stdout);
    for (uint32_t i = 0; i < IMAGE; i++)
        if (gmem_base(t->bt->gmem)[i] != gmem_base(ref->gmem)[i]) {
            printf("memory from %x\n", i);
            break;
        }
    fflush(stdout);
    ck_abort_msg("%s", what);
}

static void same(const struct trio *t, const struct machine *ref)
{
    const char *what = machine_differ(t->bt, ref);

    if (what)
        diverged(t, what, ref);
}

static bool is_repeated_string(const struct machine *m)
{
    const uint8_t *code = gmem_base(m->gmem) + m->vcpu.eip;

    while (*code == 0x66)
        code++;
    return *code == 0xf2 || *code == 0xf3;
}

/* Run the interpreter to a retired count. Flags that its last instruction
 * leaves undefined are made the translator's. */
static void run_to(const struct trio *t, uint64_t retired)
{
    const struct insn_mode mode = {.features = UINT32_MAX, .code32 = true};
    struct machine *m = t->ref;
    struct insn in;
    uint32_t mask;

    if (retired == 0)
        return;
    machine_run(m, retired - 1);
    insn_decode(&in, mode, gmem_base(m->gmem) + m->vcpu.eip, INSN_MAX_LEN);
    mask = in.flags_undefined;
    machine_run(m, 1);
    m->vcpu.eflags &= ~mask;
    m->vcpu.eflags |= t->bt->vcpu.eflags & mask;
}

/* The translator stopped somewhere: the interpreter gets there, too. A string
 * instruction may have been left between two iterations: what is left to do of
 * it leads to where the whole does. */
static void same_at_kick(struct trio *t)
{
    machine_reset(t->ref, false);
    run_to(t, t->bt->vcpu.retired);
    if (is_repeated_string(t->bt) && machine_differ(t->bt, t->ref) &&
        t->bt->vcpu.eip == t->ref->vcpu.eip) {
        const char *what;

        machine_copy(t->spare, t->bt);
        machine_run(t->spare, 1);
        machine_run(t->ref, 1);
        what = machine_differ(t->spare, t->ref);
        if (what)
            diverged(t, what, t->ref);
        return;
    }
    same(t, t->ref);
}

/* Right after an STI that set IF, or after MOV SS, nothing may be delivered:
 * the run loop must be told. */
static void not_inhibited(const struct trio *t)
{
    if (t->ref->vcpu.inhibit != INHIBIT_NONE &&
        t->bt->vcpu.inhibit == INHIBIT_NONE)
        diverged(t, "inhibition", t->ref);
}

/* ---- Tests ---- */

/* Twice: exits are chained the second time. */
static void warm_up(struct trio *t)
{
    for (unsigned i = 0; i < 3; i++) {
        machine_reset(t->bt, false);
        ck_assert_int_eq(machine_run(t->bt, 0), VCPU_EXIT_HLT);
        same(t, t->last);
    }
}

/* Translate the program again with every memory operand on the soft path. */
static void soften(struct trio *t)
{
    struct bt_vcpu *bt = t->bt->bt;

    for (unsigned i = 0; i < site_count; i++) {
        struct ccf *ccf = tc_find_host(bt->tc, sites[i].at);
        bool exact;

        if (!sites[i].memory)
            continue;
        gip_t gip =
            ccf->gip + ccf_find_point(ccf, sites[i].at, &exact)->gip_offset;
        bt_site_trapped(bt, gip >> PAGE_SHIFT, gip & PAGE_MASK, 100);
    }
    bt_flush(bt);
    warm_up(t);
}

/* Programs of all kinds: CPL 0 or 3, windows or the soft path, that by site or
 * everywhere. */
static void setup(struct trio *t, uint64_t seed)
{
    t->seed = seed;
    t->user = seed & 1;
    program_generate(&t->program, seed);
    t->program.soft = seed & 4;
    t->bt = machine_new(&t->program, true, t->user);
    t->ref = machine_new(&t->program, false, t->user);
    t->last = machine_new(&t->program, false, t->user);
    t->spare = machine_new(&t->program, false, t->user);
    ck_assert_int_eq(machine_run(t->last, 100000), VCPU_EXIT_HLT);
    if (t->last->vcpu.eip != HANDLER_END + 1)
        diverged(t, "the program is not valid: it", t->last);
    warm_up(t);
    find_sites(t->bt);
    if ((seed & 6) == 2) {
        soften(t);
        find_sites(t->bt);
    }
    count.ccfs += ccf_count;
    count.instructions += site_count;
}

static void teardown(struct trio *t)
{
    ck_assert_pstr_eq(tc_verify(t->bt->bt->tc), NULL);
    ck_assert_pstr_eq(spt_verify(t->bt->bt->mmu), NULL);
    machine_free(t->bt);
    machine_free(t->ref);
    machine_free(t->last);
    machine_free(t->spare);
}

/* Exits that lead to their stubs are reached when they are not chained. */
static void unchain_all(struct machine *m, const struct site *site)
{
    struct ccf *ccf = tc_find_host(m->bt->tc, site->at);

    for (uint32_t i = 0; ccf && i < ccf->exit_count; i++)
        if (ccf->exits[i].chained)
            tc_unchain(m->bt->tc, &ccf->exits[i]);
}

/* Run until the kick, or to the end when the place is not reached. */
static enum vcpu_exit run_to_kick(struct trio *t, const struct site *site)
{
    enum vcpu_exit exit;

    machine_reset(t->bt, false);
    arm(t->bt, site->at, KICK);
    exit = machine_run(t->bt, 0);
    disarm();
    if (!probe.arrived)
        same(t, t->last);
    return exit;
}

static void kick_at(struct trio *t, const struct site *site)
{
    enum vcpu_exit exit = run_to_kick(t, site);

    if (!probe.arrived) {
        unchain_all(t->bt, site);
        exit = run_to_kick(t, site);
    }
    count.unreached += !probe.arrived;
    if (!probe.arrived)
        return;
    count.kicked++;
    count.rolled += probe.steps != 0;
    /* The last TU before the end is left by HLT. */
    ck_assert(exit == VCPU_EXIT_INTR || exit == VCPU_EXIT_HLT);
    ck_assert(exit == VCPU_EXIT_INTR ||
              t->bt->vcpu.retired == t->last->vcpu.retired);
    same_at_kick(t);
    if (exit == VCPU_EXIT_HLT)
        return;
    not_inhibited(t);
    t->bt->vcpu.kick = 0;
    ck_assert_int_eq(machine_run(t->bt, 0), VCPU_EXIT_HLT);
    same(t, t->last);
}

static void forget_at(struct trio *t, const struct site *site)
{
    machine_reset(t->bt, false);
    arm(t->bt, site->at, FORGET);
    ck_assert_int_eq(machine_run(t->bt, 0), VCPU_EXIT_HLT);
    disarm();
    count.hidden += probe.arrived;
    same(t, t->last);
}

/* Change the tables at a boundary; answer each fault as a guest would, by
 * fixing the page; the interpreter goes through the same. */
static void change_at(struct trio *t, const struct site *site)
{
    unsigned faults = 0;

    machine_reset(t->bt, true);
    machine_reset(t->ref, true);
    arm(t->bt, site->at, CHANGE);
    ck_assert_int_eq(machine_run(t->bt, 0), VCPU_EXIT_HLT);
    disarm();
    if (!probe.arrived)
        return;
    machine_run(t->ref, probe.retired);
    change_tables(t->ref);
    machine_run(t->ref, 100000);
    same(t, t->ref);
    while (t->bt->vcpu.eip == HANDLER_PF + 1) {
        uint32_t page = t->bt->vcpu.cr2 & ~(uint32_t)PAGE_MASK;
        uint32_t pte;

        ck_assert_uint_lt(++faults, FAULTS_MAX);
        memcpy(&pte, t->bt->image + PTE_TABLE + page / PAGE_SIZE * 4, 4);
        machine_set_pte(t->bt, page, pte);
        machine_set_pte(t->ref, page, pte);
        ck_assert_int_eq(machine_run(t->bt, 0), VCPU_EXIT_HLT);
        machine_run(t->ref, 100000);
        same(t, t->ref);
    }
    count.operands += faults != 0;
    count.faults += faults;
    ck_assert_uint_eq(t->bt->vcpu.eip, HANDLER_END + 1);
}

static unsigned program_count(void)
{
    const char *text = getenv("POPF_PRECISE_PROGRAMS");

    return text ? (unsigned)atoi(text) : PROGRAMS;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("POPF_PRECISE_SEED");

    return text ? strtoull(text, NULL, 0) : 1;
}

START_TEST(a_kick_at_every_host_instruction_gives_the_interpreters_state)
{
    uint64_t seed = first_seed();

    for (unsigned i = 0; i < program_count(); i++) {
        struct trio t;

        setup(&t, seed + i);
        for (unsigned k = 0; k < site_count; k++)
            kick_at(&t, &sites[k]);
        teardown(&t);
    }
    printf("kicks programs=%u ccfs=%llu host_instructions=%llu kicked=%llu "
           "stepped=%llu unreached=%llu\n",
           program_count(), (unsigned long long)count.ccfs,
           (unsigned long long)count.instructions,
           (unsigned long long)count.kicked, (unsigned long long)count.rolled,
           (unsigned long long)count.unreached);
}
END_TEST

/* What is done to the entries of the pages. */
static const struct {
    uint32_t clear;
    uint32_t set;
} change[] = {
    {PTE_P,         0    },
    {PTE_W,         0    },
    {PTE_U,         0    },
    {PTE_A | PTE_D, 0    },
    {0,             PTE_U},
};

/* A kernel's program has its fault frames on its own stack. */
static uint32_t changeable(const struct trio *t)
{
    return t->user ? BIT(OPEN_PAGES) - 1 : BIT(DATA_LEN / PAGE_SIZE) - 1;
}

static void fault_at(struct trio *t, const struct site *site, uint64_t *random)
{
    unsigned kind = 1 + random_next(random) % (ARRAY_COUNT(change) - 1);

    if (!site->memory)
        return;
    probe.clear = PTE_P;
    probe.set = 0;
    probe.pages = changeable(t);
    change_at(t, site);
    probe.clear = change[kind].clear;
    probe.set = change[kind].set;
    probe.pages = changeable(t) & random_next(random);
    change_at(t, site);
}

START_TEST(a_page_fault_at_every_operand_gives_the_interpreters_state)
{
    uint64_t seed = first_seed();

    for (unsigned i = 0; i < program_count(); i++) {
        uint64_t random = seed + i;
        struct trio t;

        setup(&t, seed + i);
        for (unsigned k = 0; k < site_count; k++)
            fault_at(&t, &sites[k], &random);
        teardown(&t);
    }
    printf("faults programs=%u ccfs=%llu operands=%llu faults=%llu\n",
           program_count(), (unsigned long long)count.ccfs,
           (unsigned long long)count.operands,
           (unsigned long long)count.faults);
}
END_TEST

START_TEST(a_hidden_fault_at_every_operand_is_not_seen)
{
    uint64_t seed = first_seed();

    for (unsigned i = 0; i < program_count(); i++) {
        struct trio t;

        setup(&t, seed + i);
        for (unsigned k = 0; k < site_count; k++)
            if (sites[k].memory)
                forget_at(&t, &sites[k]);
        teardown(&t);
    }
    printf("hidden programs=%u ccfs=%llu operands=%llu\n", program_count(),
           (unsigned long long)count.ccfs, (unsigned long long)count.hidden);
}
END_TEST

static void on_alarm(int sig, siginfo_t *info, void *uc)
{
    (void)sig, (void)info;
    probe.m->vcpu.kick = 1;
    bt_kicked(probe.m->bt, uc);
}

static void kick_in_loop(const struct program *program, gip_t eip, int if_flag)
{
    struct sigaction action = {.sa_sigaction = on_alarm,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};

    probe.m = machine_new(program, true, false);
    sigfillset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    ualarm(10000, 0);
    ck_assert_int_eq(machine_run(probe.m, 0), VCPU_EXIT_INTR);
    ck_assert_uint_eq(probe.m->vcpu.eip, eip);
    ck_assert_int_eq(probe.m->vcpu.if_flag, if_flag);
    machine_free(probe.m);
}

/* sti; 1: jmp 1b. The loop is a place after STI only once. */
START_TEST(a_kick_ends_a_loop_that_begins_right_after_sti)
{
    static struct program program = {
        .code = {0xfb, 0xeb, 0xfe}
    };

    kick_in_loop(&program, CODE + 1, 1);
}
END_TEST

/* xor eax, eax; jz 1f; sti; 1: jmp 1b. The loop is never a place after STI. */
START_TEST(a_kick_ends_a_loop_behind_an_sti_that_is_jumped_over)
{
    static struct program program = {
        .code = {0x31, 0xc0, 0x74, 1, 0xfb, 0xeb, 0xfe}
    };

    kick_in_loop(&program, CODE + 5, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("precise");
    TCase *tcase = tcase_create("events");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tcase, 240);
    tcase_add_test(
        tcase, a_kick_at_every_host_instruction_gives_the_interpreters_state);
    tcase_add_test(tcase,
                   a_page_fault_at_every_operand_gives_the_interpreters_state);
    tcase_add_test(tcase, a_hidden_fault_at_every_operand_is_not_seen);
    tcase_add_test(tcase, a_kick_ends_a_loop_that_begins_right_after_sti);
    tcase_add_test(tcase, a_kick_ends_a_loop_behind_an_sti_that_is_jumped_over);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
