/* SPDX-License-Identifier: MIT */
#ifndef TESTS_EMIT_CHECK_STAGE_H
#define TESTS_EMIT_CHECK_STAGE_H

/*
 * PURPOSE: a translator with a cache and a glue, and no machine around: what it
 * emits is judged, never run.
 */
#include "tests/emit_check/emit_check.h"

#define STAGE_FUNCTIONS (4 + 4 * SEG_COUNT)

struct stage {
    struct stats stats;
    struct xlat_config config; /* tc, layout and glue are set */
    struct emit_function functions[STAGE_FUNCTIONS];
    uint32_t probe_count; /* these come first */
    uint32_t function_count;
};

/* No site is soft unless the caller sets config.is_soft. Aborts when the host has
 * no memory. */
void stage_init(struct stage *stage, bool has_bmi2);
void stage_fini(struct stage *stage);

/* Judge probes and limit checks; NULL, or what is wrong. */
const char *stage_check_functions(const struct stage *stage,
                                  struct emit_check *check);

#endif /* TESTS_EMIT_CHECK_STAGE_H */
