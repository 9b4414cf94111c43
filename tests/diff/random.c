/* SPDX-License-Identifier: MIT */
#include "tests/diff/diff.h"

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
uint64_t random_u64(struct diff_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint32_t random_below(struct diff_random *random, uint32_t limit)
{
    return (uint32_t)(((random_u64(random) >> 32) * limit) >> 32);
}

bool random_one_in(struct diff_random *random, uint32_t n)
{
    return random_below(random, n) == 0;
}

uint32_t random_corner(struct diff_random *random)
{
    static const uint32_t corners[] = {
        0,          1,          2,          3,          7,      8,
        9,          15,         16,         17,         31,     32,
        33,         63,         0x7f,       0x80,       0x81,   0xff,
        0x100,      0x7fff,     0x8000,     0xffff,     0x9999, 0x10000,
        0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, ~0u,    0xffff8000,
        0xffffff80,
    };

    switch (random_below(random, 4)) {
    case 0: return corners[random_below(random, ARRAY_COUNT(corners))];
    case 1: return random_below(random, 64);
    default: return (uint32_t)random_u64(random);
    }
}
