/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_WALK_SUBJECT_H
#define TESTS_FUZZ_WALK_SUBJECT_H

/*
 * PURPOSE: what the walk target tests: the interpreter alone, or with the shadow
 * MMU in front of it as the translator has it. There an access is a host access to
 * the window; what the window must not map, the interpreter does.
 */
#include "walk_model.h"

struct subject;

/* Traces are userfaultfd's, if the host has it, or mprotect. */
enum subject_kind { SUBJECT_INTERP, SUBJECT_SHADOW, SUBJECT_MPROTECT };

struct subject *subject_create(enum subject_kind kind, uint64_t ram_len);

/* What its shadow MMU may use, and when it traces tables; for a new machine. */
#define SUBJECT_POLICIES 8u
void subject_set_policy(struct subject *s, unsigned policy);

/* The vcpu is the caller's to read; exc after a fault. */
struct vcpu *subject_vcpu(struct subject *s);
uint8_t *subject_ram(const struct subject *s);

/* A new machine with what is in RAM: CPL 0, no paging, nothing cached. */
void subject_reset(struct subject *s);

/* 1, 2, 4 or 8 bytes. False: #PF, and it was delivered. */
bool subject_access(struct subject *s, gva_t gva, bool write, void *data,
                    unsigned size);
/* An instruction's first byte. */
bool subject_fetch(struct subject *s, gva_t gva, uint8_t *byte);

/* A store by a device. */
void subject_store(struct subject *s, gpa_t gpa, const void *data,
                   unsigned len);

/* The instructions, at CPL 0. False: #GP(0). */
bool subject_load_cr(struct subject *s, unsigned cr, uint32_t value);
bool subject_set_nxe(struct subject *s, bool on);
void subject_invlpg(struct subject *s, gva_t gva);

/* NULL, or what is wrong with the shadow. */
const char *subject_verify(struct subject *s);

#endif /* TESTS_FUZZ_WALK_SUBJECT_H */
