/* SPDX-License-Identifier: MIT */
#ifndef CODE_H
#define CODE_H

/*
 * PURPOSE: random functions of EAX whose value the test can tell, and ways to
 * change bytes that somebody executes.
 */
#include <stdbool.h>
#include <stdint.h>

enum { OPS_MAX = 24, CODE_MAX = OPS_MAX * 5 + 1 };

struct code_op {
    uint8_t kind;
    uint8_t len;
    uint8_t at; /* offset of its bytes */
    uint32_t operand;
};

struct code {
    uint32_t count;
    uint32_t len; /* with the RET */
    struct code_op op[OPS_MAX];
    uint8_t bytes[CODE_MAX];
};

/* A new function of up to `ops` operations. */
void code_random(struct code *code, uint32_t ops);
/* Change one of its operations and keep the length; the bytes that changed are
 * [*at, *at + *len). */
void code_change(struct code *code, uint32_t *at, uint32_t *len);
/* What it makes of EAX. */
uint32_t code_value(const struct code *code, uint32_t eax);
/* Call what is at va with this EAX; ring 3 functions end by int 80h. */
uint32_t code_call(uint32_t va, uint32_t eax);

/* Store bytes by a random kind of store. */
void bytes_store(uint32_t va, const uint8_t *bytes, uint32_t len);

#endif /* CODE_H */
