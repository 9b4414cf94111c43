/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_BT_BOTH_H
#define TESTS_UNIT_BT_BOTH_H

/*
 * PURPOSE: the same small program under the translator and the interpreter,
 * flat protected mode, paging off: same registers, flags and memory at the end.
 */
#include <check.h>

#include "tests/machine/machine.h"

#define RAM_LEN (16u * MIB)
#define CODE    0x10000u
#define STACK   0x80000u
#define DATA    0x90000u

typedef void prepare_fn(struct vcpu *vcpu);

/* How a program is run. */
struct way {
    enum soft_mode soft;
    prepare_fn *prepare; /* what it makes of the flat state; may be NULL */
    bool mixes;          /* a page that is code and data is soon found mixed */
    bool waits;          /* code that changes is not translated each time */
};

void flat_state(struct vcpu *v);

/* A device that shows the time. */
uint32_t clock_port(struct machine *m, uint16_t port);

struct machine *machine_new(bool bt, enum soft_mode soft);

/* Run to the end: there is no IDT, so that any exception shuts down. */
void run(struct machine *m);

void load(struct machine *m, gpa_t at, const uint8_t *code, size_t len);

void compare(const struct machine *a, const struct machine *b);

/* Run the same program under both engines and compare. Returns the translator's
 * counters. */
struct stats both_stats(struct way way, const uint8_t *code, size_t len);

/* Run the same program under both engines, from a state that prepare made of the
 * flat one, and compare; at most this many of its instructions may be left to
 * the interpreter, not counting misses of the soft TLB. */
void both_from(prepare_fn *prepare, const uint8_t *code, size_t len,
               uint64_t interpreted);

void both(const uint8_t *code, size_t len, uint64_t interpreted);

/* Programs are assembled by hand; ud2 (0F 0B) ends them with an exception. */
#define BOTH(...)                                    \
    do {                                             \
        static const uint8_t code[] = {__VA_ARGS__}; \
        both(code, sizeof(code), 4);                 \
    } while (0)
#define UD2 0x0f, 0x0b

/* The tests of each file. */
void add_entry_tests(TCase *tcase);
void add_eviction_tests(TCase *tcase);
void add_remap_tests(TCase *tcase);
void add_segment_tests(TCase *tcase);
void add_written_code_tests(TCase *tcase);

#endif /* TESTS_UNIT_BT_BOTH_H */
