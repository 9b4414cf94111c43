/* SPDX-License-Identifier: MIT */
/* compute N: N rounds of integer, memory and floating point work in user mode
 * with one number as its result. Host and guest run the same binary, so any
 * difference is the machine's. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 4096 };

static uint32_t table[COUNT];
static double matrix[3][24][24];

static uint32_t mix(uint32_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint32_t sort_round(uint32_t seed)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        seed = seed * 1664525u + 1013904223u;
        table[i] = seed;
    }
    qsort(table, COUNT, sizeof(*table), compare);
    return mix(seed, table, sizeof(table));
}

static uint32_t matrix_round(uint32_t seed)
{
    memset(matrix[2], 0, sizeof(matrix[2]));
    for (int i = 0; i < 24; i++) {
        for (int j = 0; j < 24; j++) {
            seed = seed * 1664525u + 1013904223u;
            matrix[0][i][j] = seed / 65536.0;
            matrix[1][j][i] = (seed >> 5) / 7.0;
        }
    }
    for (int i = 0; i < 24; i++) {
        for (int j = 0; j < 24; j++) {
            for (int k = 0; k < 24; k++)
                matrix[2][i][j] += matrix[0][i][k] * matrix[1][k][j];
        }
    }
    return mix(seed, matrix[2], sizeof(matrix[2]));
}

static uint32_t ackermann(uint32_t m, uint32_t n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

int main(int argc, char **argv)
{
    uint32_t hash = 2166136261u;
    int rounds = argc > 1 ? atoi(argv[1]) : 1;

    for (int i = 0; i < rounds; i++) {
        hash = sort_round(hash);
        hash = matrix_round(hash);
        hash += ackermann(2, 200);
    }
    printf("%08x\n", hash);
    return 0;
}
