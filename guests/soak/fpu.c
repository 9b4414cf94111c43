/* SPDX-License-Identifier: MIT */
#include <emmintrin.h>
#include <sched.h>

#include "soak.h"

/*
 * x87 and SSE work whose results are exact, with other processes that use the
 * FPU let in between.
 */
#define COUNT 512u

static bool x87_integers(void)
{
    long double sum = 0;
    int64_t expected = 0;

    for (int64_t i = 1; i <= 20000; i++) {
        sum += (long double)i * (long double)(i ^ 0x5555);
        expected += i * (i ^ 0x5555);
        if (i % 5000 == 0)
            sched_yield();
    }
    return (int64_t)sum == expected || soak_fail("x87 sum of products");
}

static bool x87_roots(void)
{
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t n = soak_random(65536);
        long double x = (long double)n * n, root;

        __asm__ volatile("fsqrt" : "=t"(root) : "0"(x));
        if (root != (long double)n)
            return soak_fail("x87 root of %u squared", n);
    }
    return true;
}

static bool sse_words(void)
{
    static uint32_t a[COUNT], b[COUNT], c[COUNT];

    for (uint32_t i = 0; i < COUNT; i++) {
        a[i] = soak_random(0xffffffff);
        b[i] = soak_random(0xffffffff);
    }
    for (uint32_t i = 0; i < COUNT; i += 4) {
        __m128i x = _mm_loadu_si128((const void *)&a[i]);
        __m128i y = _mm_loadu_si128((const void *)&b[i]);
        __m128i z = _mm_xor_si128(_mm_add_epi32(x, y), _mm_slli_epi32(x, 7));

        if (i % 128 == 0)
            sched_yield();
        _mm_storeu_si128((void *)&c[i], z);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        if (c[i] != ((a[i] + b[i]) ^ (a[i] << 7)))
            return soak_fail("SSE2 word %u", i);
    return true;
}

static bool sse_doubles(void)
{
    __m128d sum = _mm_setzero_pd();
    double lane[2];

    for (int i = 0; i < 10000; i++) {
        sum = _mm_add_pd(sum, _mm_mul_pd(_mm_set_pd(i, i + 1), _mm_set1_pd(3)));
        if (i % 2500 == 0)
            sched_yield();
    }
    _mm_storeu_pd(lane, sum);
    return (lane[0] == 150015000.0 && lane[1] == 149985000.0) ||
           soak_fail("SSE2 sums %f %f", lane[0], lane[1]);
}

bool soak_fpu(void)
{
    return x87_integers() && x87_roots() && sse_words() && sse_doubles();
}
