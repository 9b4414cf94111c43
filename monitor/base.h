/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_BASE_H
#define MONITOR_BASE_H

/*
 * PURPOSE: the handful of types and macros that every folder shares.
 *
 * ASSERT(x)  we have a proof of x: no guest input can make it false. Compiled
 *            out of release builds, so x must have no side effects.
 * ENSURE(x)  as ASSERT, but kept in release because memory safety (the bounds
 *            of guest RAM and of the translation cache) rests on it.
 * NEVER(x)   yields x, and reports once when it is true; the caller handles
 *            the case all the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t gva_t; /* guest linear ("virtual") address */
typedef uint64_t gpa_t; /* guest physical address; 36 bits under PAE */
typedef uint64_t gfn_t; /* guest frame number: gpa >> PAGE_SHIFT */
typedef uint32_t gip_t; /* guest linear address of an instruction */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  0xfffu

#define KIB 1024u
#define MIB (1024u * KIB)
#define GIB (1024ull * MIB)

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)         (1u << (n))
#define BIT64(n)       (1ull << (n))
#define CONTAINER_OF(p, type, member) \
    ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define MUST_CHECK          __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, a) __attribute__((format(printf, fmt, a)))
#define NORETURN            __attribute__((noreturn))
#define UNUSED              __attribute__((unused))
#define LIKELY(x)           __builtin_expect(!!(x), 1)
#define UNLIKELY(x)         __builtin_expect(!!(x), 0)

/* Report a broken assertion (file, line, text) on stderr and abort. */
NORETURN void base_assert_fail(const char *file, int line, const char *text);

/* The host refused what popf cannot go on without, and errno says why: one line
 * on stderr, status 1. For where no caller could do anything about it. */
NORETURN void base_host_failure(const char *what);

/* Report an impossible condition that the caller survives. */
void base_never(const char *file, int line, const char *text);

#define ENSURE(x) \
    (LIKELY(x) ? (void)0 : base_assert_fail(__FILE__, __LINE__, #x))

#ifdef NDEBUG
#    define ASSERT(x) ((void)sizeof(x))
#else
#    define ASSERT(x) ENSURE(x)
#endif

#define NEVER(x) \
    (UNLIKELY(x) ? (base_never(__FILE__, __LINE__, #x), true) : false)

#define UNREACHABLE() base_assert_fail(__FILE__, __LINE__, "unreachable")

#endif /* MONITOR_BASE_H */
