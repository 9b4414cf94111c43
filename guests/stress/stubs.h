/* SPDX-License-Identifier: MIT */
#ifndef STUBS_H
#define STUBS_H

/*
 * PURPOSE: single accesses to memory, each in many generated functions, in ring
 * 0 and ring 3. A translator treats the places of a program that access memory
 * one by one, so the same access has to come from many places.
 */
#include <stdbool.h>
#include <stdint.h>

enum access {
    ACCESS_LOAD,
    ACCESS_STORE,
    ACCESS_XOR,  /* read, modify, write */
    ACCESS_CALL, /* call what is there: it ends in RET */
    ACCESS_KINDS,
};

struct outcome {
    bool fault;     /* a page fault */
    uint32_t error; /* its code */
    uint32_t cr2;
    uint32_t value; /* of LOAD and CALL: EAX */
};

/* Write new functions; call it in every round. */
void stubs_make(void);
/* Run one of them; value is what STORE and XOR take. */
struct outcome stub_run(enum access kind, bool user, uint32_t va,
                        uint32_t value);

#endif /* STUBS_H */
