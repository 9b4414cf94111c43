/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tests/diff/diff.h"

/*
 * The interpreter against the host CPU: see README.md.
 *
 * Each case draws an instruction of the table, all equally often, and a state;
 * both sides run it; all that they can see is compared. The program fails on
 * any difference, and on an instruction of the table that no case ran to its
 * end, unless form.c names it with a reason.
 */

#define MAX_REPORTS 25

struct tally {
    uint64_t cases;
    uint64_t faults;
    unsigned reports;
};

struct run {
    struct diff_random random;
    uint64_t seed;
    uint64_t count;
    const char *only; /* one mnemonic, or NULL */
    struct diff_forms *forms;
    struct diff_host *host;
    struct diff_guest *guest;
    struct tally tally[OP_COUNT];
    uint64_t failures;
    unsigned reports;
};

static void store(struct run *run, const struct diff_poke *poke)
{
    for (uint32_t i = 0; poke->address != 0 && i < poke->len; i++) {
        uint32_t address = poke->address + i;
        int region = region_of(address);
        uint32_t offset;

        if (region < 0 || diff_regions[region].executable)
            continue;
        offset = address - diff_regions[region].address;
        host_memory(run->host, (unsigned)region)[offset] = poke->bytes[i];
        guest_memory(run->guest, (unsigned)region)[offset] = poke->bytes[i];
    }
}

static void print_case(const struct diff_case *test, uint64_t number)
{
    const uint32_t *regs = test->before.regs;
    char text[96] = "(undefined)";

    if (test->insn.op != OP_INVALID)
        insn_format(&test->insn, test->before.eip, true, text, sizeof(text));
    printf("case %llu: %s  [", (unsigned long long)number, text);
    for (unsigned i = 0; i < test->insn.len; i++)
        printf(" %02x", test->insn.bytes[i]);
    printf(" ] at %08x\n", test->before.eip);
    printf("  eax %08x ecx %08x edx %08x ebx %08x\n", regs[0], regs[1], regs[2],
           regs[3]);
    printf("  esp %08x ebp %08x esi %08x edi %08x eflags %08x\n", regs[4],
           regs[5], regs[6], regs[7], test->before.eflags);
    printf("  fcw %04x fsw %04x ftw %02x mxcsr %04x",
           test->before.fpu[0] | test->before.fpu[1] << 8,
           test->before.fpu[2] | test->before.fpu[3] << 8, test->before.fpu[4],
           test->before.fpu[24] | test->before.fpu[25] << 8);
    if (test->operand.address != 0) {
        printf(" [%08x]", test->operand.address);
        for (unsigned i = 0; i < 16; i++)
            printf(" %02x", test->operand.bytes[i]);
    }
    printf("\n");
}

static void report(struct run *run, const struct diff_case *test,
                   const struct diff_outcome *guest, uint64_t number,
                   const char *text)
{
    struct tally *tally = &run->tally[test->insn.op];

    run->failures++;
    if (run->reports >= MAX_REPORTS || tally->reports++ >= 2)
        return;
    run->reports++;
    print_case(test, number);
    printf("%s", text);
    if (guest->vector == DIFF_UNSUPPORTED)
        printf("  interpreter: %s\n", guest_stop_text(run->guest));
}

static void run_case(struct run *run, struct diff_case *test, uint64_t number)
{
    struct diff_outcome host, guest;
    struct tally *tally = &run->tally[test->insn.op];
    char text[2048] = "";
    size_t used;
    bool agree;

    store(run, &test->stack);
    store(run, &test->operand); /* wins: CALL FAR [ESP] */
    host_run(run->host, test, &host);
    guest_run(run->guest, test, &guest);
    agree = outcomes_agree(test, &host, &guest, text, sizeof(text));
    used = strlen(text);
    agree &= memories_agree(test, run->host, run->guest, text + used,
                            sizeof(text) - used);
    tally->cases++;
    if (host.vector != DIFF_NO_FAULT)
        tally->faults++;
    if (!agree)
        report(run, test, &guest, number, text);
}

/* The ops that cases are drawn from. */
static unsigned list_ops(const struct run *run, uint16_t *ops)
{
    unsigned count = 0;

    for (unsigned op = 1; op < OP_COUNT; op++)
        if (forms_count(run->forms, op) != 0 && forms_exemption(op) == NULL &&
            (run->only == NULL || strcmp(run->only, insn_name(op)) == 0))
            ops[count++] = (uint16_t)op;
    return count;
}

static int run_cases(struct run *run)
{
    uint16_t ops[OP_COUNT];
    unsigned op_count = list_ops(run, ops);
    struct diff_case test = {.insn = {0}};
    uint64_t number = 0;
    uint64_t draws = 0;

    if (op_count == 0) {
        fprintf(stderr, "test_diff: no such instruction\n");
        return -1;
    }
    while (number < run->count && draws < 4 * run->count + 1000) {
        enum insn_op op = ops[draws++ % op_count];

        if (forms_draw(run->forms, &run->random, op, &test.insn) &&
            case_fill(&test, &run->random))
            run_case(run, &test, number++);
    }
    return 0;
}

/* Instructions that fault whatever their operands are. */
static bool always_faults(enum insn_op op)
{
    static const char *const names[] = {
        "bound", "clts",  "cli",   "hlt",    "in",     "insb",
        "insd",  "insw",  "int3",  "invd",   "invlpg", "lgdt",
        "lidt",  "lldt",  "lmsw",  "ltr",    "mov_cr", "mov_dr",
        "out",   "outsb", "outsd", "outsw",  "rdmsr",  "sti",
        "ud0",   "ud1",   "ud2",   "wbinvd", "wrmsr",
    };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(insn_name(op), names[i]) == 0)
            return true;
    return false;
}

/* Prints the table of coverage; returns how many instructions lack cases. */
static unsigned print_coverage(const struct run *run)
{
    unsigned column = 0;
    unsigned missing = 0;

    for (unsigned op = 1; op < OP_COUNT; op++)
        if (run->tally[op].cases != 0)
            printf("%-12s %7llu %6llu%s", insn_name(op),
                   (unsigned long long)run->tally[op].cases,
                   (unsigned long long)run->tally[op].faults,
                   ++column % 3 == 0 ? "\n" : "   ");
    printf("\n");
    for (unsigned op = 1; op < OP_COUNT; op++) {
        const struct tally *tally = &run->tally[op];

        if (forms_exemption(op) != NULL) {
            printf("exempt: %s: %s\n", insn_name(op), forms_exemption(op));
        } else if (tally->cases == 0 ||
                   (tally->cases == tally->faults && !always_faults(op))) {
            printf("NOT COVERED: %s\n", insn_name(op));
            missing++;
        }
    }
    return missing;
}

static int parse(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {
        {"cases",            required_argument, NULL, 'c'},
        {"seed",              required_argument, NULL, 's'},
        {"only",                  required_argument, NULL, 'o'},
        {0},
    };
    int option;

    run->count = 200000;
    if (getrandom(&run->seed, 4, 0) != 4)
        return -1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c': run->count = strtoull(optarg, NULL, 0); break;
        case 's': run->seed = strtoull(optarg, NULL, 0); break;
        case 'o': run->only = optarg; break;
        default: return -1;
        }
    }
    run->random.state = run->seed;
    return optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct run run;
    unsigned missing = 0;
    int error;

    if (parse(&run, argc, argv) != 0) {
        fprintf(stderr, "usage: %s [--cases N] [--seed S] [--only MNEMONIC]\n",
                argv[0]);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)run.seed);
    fflush(stdout);
    error = forms_create(&run.forms);
    if (error == 0)
        error = host_create(&run.host);
    if (error == 0)
        error = guest_create(&run.guest);
    if (error != 0) {
        fprintf(stderr, "test_diff: %s\n", strerror(-error));
        return 2;
    }
    if (run_cases(&run) != 0)
        return 2;
    if (run.only == NULL)
        missing = print_coverage(&run);
    printf("seed %llu: %llu cases, %llu differ, %u instructions not covered\n",
           (unsigned long long)run.seed, (unsigned long long)run.count,
           (unsigned long long)run.failures, missing);
    printf("checks: %llu\n", (unsigned long long)run.count);
    guest_destroy(run.guest);
    host_destroy(run.host);
    forms_destroy(run.forms);
    return run.failures == 0 && missing == 0 ? 0 : 1;
}
