/* SPDX-License-Identifier: MIT */
#include "choice.h"

static struct choices now;

void choices_from_seed(uint64_t seed)
{
    now = (struct choices){.state = seed};
}

void choices_from_input(const uint8_t *bytes, size_t len)
{
    now = (struct choices){.input = bytes, .left = len};
}

struct choices choices_fork(void)
{
    uint32_t seed = rnd();
    struct choices before = now;

    choices_from_seed(seed);
    return before;
}

void choices_resume(struct choices before)
{
    now = before;
}

static uint32_t take(unsigned len)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < len && now.left > 0; i++, now.left--)
        value |= (uint32_t)*now.input++ << 8 * i;
    return value;
}

uint32_t rnd(void)
{
    if (now.input != NULL)
        return take(4);
    now.state = now.state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(now.state >> 32);
}

uint32_t below(uint32_t n)
{
    if (now.input == NULL)
        return rnd() % n;
    return take(n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4) % n;
}

void random_bytes(uint8_t *to, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        to[i] = (uint8_t)rnd();
}
