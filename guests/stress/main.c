/* SPDX-License-Identifier: MIT */
/*
 * The stress kernel. Words on the command line:
 *   NAME        the test to run (stress.def)
 *   seed=N      instead of a seed taken from the time stamp counter
 *   rounds=N    instead of the test's own number
 *   first=N     begin with round N: repeats a failure without what precedes it
 */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/power.h"
#include "lib/trap.h"
#include "stress.h"

struct stress {
    const char *name;
    void (*round)(uint32_t number);
    uint32_t rounds;
    const char *about;
};

static const struct stress tests[] = {
#define STRESS(name, round, rounds, about) {name, round, rounds, about},
#include "stress.def"
#undef STRESS
};

enum { ANYWHERE, NOT_ON_TCG };

static const struct {
    const char *test;
    uint8_t where;
    const char *text;
} notes[] = {
#define NOTE(id, test, where, text) {test, where, text},
#include "notes.def"
#undef NOTE
};

bool on_tcg;
const char *stress_doing = "";

static const struct stress *test;
static uint32_t seed, round_number, checks;
static uint32_t state;
static uint32_t noted[NOTE_COUNT];

/* xorshift32 (Marsaglia); the state is never 0. */
uint32_t random_u32(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state * 0x9E3779B1u;
}

uint32_t random_below(uint32_t limit)
{
    return (uint32_t)((uint64_t)random_u32() * limit >> 32);
}

bool one_in(uint32_t times)
{
    return random_below(times) == 0;
}

void stress_fail(const char *what, uint32_t got, uint32_t want)
{
    cli();
    print("not ok %s seed=%u first=%u: %s %x, want %x%s%s\n", test->name, seed,
          round_number, what, got, want, *stress_doing ? ", in " : "",
          stress_doing);
    debug_exit(false);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void stress_check(bool holds, const char *what, uint32_t got, uint32_t want)
{
    checks++;
    if (!holds)
        stress_fail(what, got, want);
}

void stress_note(enum note note)
{
    noted[note]++;
}

uint32_t stress_noted(enum note note)
{
    return noted[note];
}

/* Tests that silently skip what they are for would pass for ever. */
static void tell_notes(bool all)
{
    for (uint32_t i = 0; i < NOTE_COUNT; i++) {
        if (strcmp(notes[i].test, test->name) != 0)
            continue;
        print("%s: %u\n", notes[i].text, noted[i]);
        if (all && noted[i] == 0 && !(on_tcg && notes[i].where == NOT_ON_TCG))
            stress_fail(notes[i].text, 0, 1);
    }
}

void trap_unexpected(const struct frame *frame, uint32_t cr2)
{
    print("exception %u error %x at %x:%x cr2 %x\n", frame->vector,
          frame->error, frame->cs, frame->eip, cr2);
    stress_fail("unexpected exception", frame->vector, NO_TRAP);
}

static void run(uint32_t first, uint32_t rounds)
{
    print("%s seed=%u rounds=%u: %s\n", test->name, seed, rounds, test->about);
    for (uint32_t i = 0; i < rounds; i++) {
        round_number = first + i;
        state = (seed + 1) * 0x85EBCA6Bu ^ (round_number + 1) * 0xC2B2AE35u;
        state += !state;
        for (int k = 0; k < 8; k++)
            random_u32();
        test->round(round_number);
    }
    tell_notes(first == 0 && rounds >= test->rounds);
    print("checks: %u\nok %s\n", checks, test->name);
}

void kernel_main(const struct machine_boot *boot)
{
    uint32_t first, rounds;

    on_tcg = machine_is_tcg();
    if (!word_value(boot->words, "seed", &seed))
        seed = (uint32_t)rdtsc();
    if (!word_value(boot->words, "first", &first))
        first = 0;
    for (uint32_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (!has_word(boot->words, tests[i].name))
            continue;
        test = &tests[i];
        if (!word_value(boot->words, "rounds", &rounds))
            rounds = test->rounds;
        run(first, rounds);
    }
    if (!test)
        print("name a test on the command line\n");
    debug_exit(test != NULL);
    power_off();
}
