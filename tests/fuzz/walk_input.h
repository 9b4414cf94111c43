/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_WALK_INPUT_H
#define TESTS_FUZZ_WALK_INPUT_H

/*
 * PURPOSE: what the bytes of an input of the walk target stand for: choices among
 * few addresses and entries, so that accesses meet entries, and the tables that it
 * starts with.
 */
#include "walk_model.h"

/* Frames: those of the pool are tables, and data as well. */
#define WALK_POOL     0x10u
#define WALK_POOL_LEN 8u
#define WALK_DATA     0x20u
#define WALK_DATA_LEN 16u

/* The first bytes; what ENTRIES has above its number is the shadow's policy. Then
 * come ENTRIES entries of three, then the script. */
enum { IN_MODE, IN_ROOT, IN_RIGHTS, IN_ENTRIES, IN_BYTES };

uint32_t walk_pick_index(bool pae, uint8_t choice);
gva_t walk_pick_gva(bool pae, uint8_t a, uint8_t b);
/* low: the entry's low byte. */
uint64_t walk_pick_entry(bool pae, uint8_t target, uint8_t low);

/* A few tables, and what the len bytes of entries put over them. */
void walk_put_tables(uint8_t *ram, const uint8_t *in, const uint8_t *entries,
                     size_t len);

#endif /* TESTS_FUZZ_WALK_INPUT_H */
