/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_TRIAL_H
#define TESTS_PRECISE_TRIAL_H

/*
 * PURPOSE: one program, the machines that run it, and the paths through it; the
 * comparison of the translator with the interpreter. A difference ends the test
 * with both states and the CCF's code.
 */
#include "paths.h"

/* Of the host instructions and operands of so many CCFs every one must be
 * reached; and of so many that compare their source. */
#if defined(__SANITIZE_ADDRESS__)
#    define TRIAL_COMPLETE 120u
#    define TRIAL_CHECKED  100u
#    define TRIAL_ALL_GLUE false /* too few programs are not flat */
#else
#    define TRIAL_COMPLETE 1000u
#    define TRIAL_CHECKED  1000u
#    define TRIAL_ALL_GLUE true
#endif
#define TRIAL_INSNS_MAX 100000u

struct trial {
    struct program program;
    struct guest *bt;
    struct guest *ref;   /* the interpreter */
    struct guest *spare; /* likewise */
    struct sites *sites;
    struct paths *paths;
    uint64_t seed;
    bool user;
    uint64_t at; /* of the event, for reports */
    enum event event;
};

/* Call the function with each program; how many there are. */
void trial_for_each(void (*fn)(struct trial *t));
unsigned trial_count(void);

/* All memory operands go through windows. */
bool trial_is_windowed(const struct trial *t);

/* The environment asks for nothing else. */
bool trial_is_default(void);

/* An event at a site, on the path of another one. */
struct plan trial_plan(const struct trial *t, const struct site *site,
                       const struct site *on, enum event event);

/* Run the translator to the event; false, having compared the end, when it is
 * not reached. */
bool trial_arrive(struct trial *t, const struct plan *plan,
                  struct outcome *outcome, enum vcpu_exit *exit);

/* Bring the interpreter to a retired count, on the path that the translator
 * went. */
void trial_follow(const struct trial *t, const struct outcome *outcome,
                  uint64_t retired);

/* A string instruction may have been left between two iterations: what is left
 * to do of it leads to where the whole does. True: the interpreter is behind
 * the instruction now. */
bool trial_is_in_string(const struct trial *t);

/* Compare now; compare both ends, the interpreter's found anew. */
void trial_same(const struct trial *t);
void trial_same_at_end(const struct trial *t, const struct outcome *outcome);
void NORETURN trial_diverged(const struct trial *t, const char *what,
                             const struct guest *ref);

#endif /* TESTS_PRECISE_TRIAL_H */
