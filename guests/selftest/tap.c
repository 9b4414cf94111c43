/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/paging.h"
#include "tests.h"

enum { FAILURE_NONE, FAILURE_EXPECT, FAILURE_TRAP };

static struct {
    int kind;
    const char *file;
    int line;
    const char *what;
    uint32_t got, want;
    struct frame frame;
    uint32_t cr2;
} failure;
static struct context test_context; /* where an unexpected trap goes */

void tap_fail(const char *file, int line, const char *what, uint32_t got,
              uint32_t want)
{
    if (failure.kind != FAILURE_NONE)
        return;
    failure.kind = FAILURE_EXPECT;
    failure.file = file;
    failure.line = line;
    failure.what = what;
    failure.got = got;
    failure.want = want;
}

void trap_unexpected(const struct frame *frame, uint32_t cr2)
{
    if (failure.kind == FAILURE_NONE) {
        failure.kind = FAILURE_TRAP;
        failure.frame = *frame;
        failure.cr2 = cr2;
    }
    context_restore(&test_context);
}

bool tap_failed(void)
{
    return failure.kind != FAILURE_NONE;
}

static void print_detail(void)
{
    const struct frame *f = &failure.frame;

    if (failure.kind == FAILURE_EXPECT)
        print(": %s:%d: %s is %x, not %x", failure.file, failure.line,
              failure.what, failure.got, failure.want);
    else
        print(": unexpected exception %u error %x at %x:%x cr2 %x", f->vector,
              f->error, f->cs, f->eip, failure.cr2);
}

static bool cpu_has(uint32_t need)
{
    struct cpuid c = cpuid(1);

    switch (need) {
    case NEED_NOTHING: return true;
    case NEED_NX: return paging_has_nx();
    case NEED_SEP: return c.edx & 1u << 11;
    case NEED_PGE: return c.edx & 1u << 13;
    case NEED_SSE: return c.edx & 1u << 25 && c.edx & 1u << 24;
    case NEED_CX8: return c.edx & 1u << 8;
    case NEED_CMOV: return c.edx & 1u << 15;
    default: return false;
    }
}

/* Runs one test in one paging mode; true when it is as it has to be. */
static bool run_one(const struct test *test, enum paging_mode mode,
                    uint32_t number)
{
    static const char *const mode_names[] = {"flat", "32", "pae"};
    bool todo;

    machine_init(mode);
    failure.kind = FAILURE_NONE;
    if (!cpu_has(test->need) ||
        (test->quirk == NOT_ON_TCG && machine_is_tcg())) {
        print("ok %u %s (%s) # skip not on this CPU\n", number, test->name,
              mode_names[mode]);
        return true;
    }
    if (!context_save(&test_context))
        test->run();
    machine_init(PAGING_OFF);
    todo = tap_failed() && test->quirk == TCG_DEVIATES && machine_is_tcg();
    print("%s %u %s (%s)", tap_failed() ? "not ok" : "ok", number, test->name,
          mode_names[mode]);
    if (tap_failed())
        print_detail();
    /* TAP's directive for a failure that is expected, not a mark of ours. */
    print(todo ? " # TODO QEMU's TCG deviates from the manual\n" : "\n");
    return !tap_failed() || todo;
}

static bool has_prefix(const char *s, const char *prefix)
{
    return strlen(s) >= strlen(prefix) && !memcmp(s, prefix, strlen(prefix));
}

uint32_t tap_run(const char *prefix)
{
    uint32_t number = 0;
    uint32_t failed = 0;

    for (uint32_t i = 0; i < test_count; i++) {
        for (enum paging_mode mode = PAGING_OFF; mode <= PAGING_PAE; mode++) {
            if (!(tests[i].modes & 1u << mode) ||
                !has_prefix(tests[i].name, prefix))
                continue;
            number++;
            failed += !run_one(&tests[i], mode, number);
        }
    }
    print("1..%u\n", number);
    print("# %u tests, %u failed\n", number, failed);
    return failed;
}

void tap_list(void)
{
    for (uint32_t i = 0; i < test_count; i++)
        print("%s\n", tests[i].name);
}
