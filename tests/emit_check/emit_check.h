/* SPDX-License-Identifier: MIT */
#ifndef TESTS_EMIT_CHECK_H
#define TESTS_EMIT_CHECK_H

/*
 * PURPOSE: tell whether host code that the translator made keeps the guest in. It
 * is decoded with Zydis, which did not emit it, and every instruction of it is
 * judged by what is known of the registers on every path that leads there.
 *
 * The rules, and why each of them holds the guest:
 *
 *   bytes      Every byte belongs to one instruction that some way in reaches, and
 *              every branch, point, exit and patchable field is at a boundary of
 *              those: nothing is executed that was not judged.
 *   insns      An instruction is the one that the guest wrote, where its handler
 *              copies it, or of the translator's few own ones: an allow-list. So
 *              there is no system call, segment load, port, privileged or wide
 *              instruction, and none of VEX, EVEX or XOP but four flagless shifts.
 *   flags      The translator's own write no flags, copied ones only the arithmetic
 *              ones and DF: TF, AC or NT are the monitor's.
 *   registers  rsp, r13, r14 and r15 are no operand, but rsp of CALL, RET and the
 *              PUSHFQ and POP of PUSHF, in balance: the window, the lookup table,
 *              the vcpu and the host call stack stay what they are, and where they
 *              are is not told. At whatever leaves or enters, the guest's registers
 *              are zero-extended.
 *   memory     An operand is at gs: with a 32-bit address (the window and the gaps
 *              around it are all that this can name); or in a field of the vcpu
 *              that code may use, of its size; or in the lookup table, to jump
 *              there; or at [r8], as many bytes and in the way as a probe has
 *              allowed on every path to it, in the same guest instruction; or, for
 *              string instructions, at r13 plus 32 bits; or in the TU's source, to
 *              compare it.
 *   copies     A copied instruction has the guest's operands, ESP being r12 plus the
 *              point's delta, and is there once, or a step is in its place.
 *   ways out   A path ends at the exit stub with r9 an exit record of this CCF, at
 *              the lookup, in the table, in a chained CCF's body or by RET; calls
 *              lead to probes and limit checks, whose arguments are as they want
 *              them, or are the guest's and have a return site behind them.
 *
 * Not judged: whether the address that is computed is the one that the guest meant;
 * tests/lockstep and tests/fuzz compare results.
 */
#include <stdio.h>

#include "cache/ccf.h"
#include "translator/xlat.h"

struct emit_check;

/* 0 or NULL when there is no memory. config is copied: features, glue, layout. */
struct emit_check *emit_check_create(const struct xlat_config *config);
void emit_check_destroy(struct emit_check *check);

/* Go on with another configuration. */
void emit_check_set(struct emit_check *check, const struct xlat_config *config);

/*
 * Judge a live CCF; code: its bytes in a readable view; source: where a checked
 * CCF's first source byte is in the monitor's memory. NULL, or what rule is broken.
 */
const char *emit_check_ccf(struct emit_check *check, const struct ccf *ccf,
                           const uint8_t *code, uint64_t source);

/* A function for glue.probe or glue.check, and where it leads to otherwise. */
struct emit_function {
    const uint8_t *code;
    uint64_t rx;
    uint32_t len;
    uint64_t away; /* the miss or the denied stub */
    uint8_t seg;   /* checks only */
    bool user;     /* probes only */
    bool write;
    bool down;
};
const char *emit_check_probe(struct emit_check *check,
                             const struct emit_function *function);
const char *emit_check_limit(struct emit_check *check,
                             const struct emit_function *function);

/* Print what is wrong with the last one, with the code around it. */
void emit_check_print(const struct emit_check *check, FILE *stream);

/* Host instructions judged so far. */
uint64_t emit_check_count(const struct emit_check *check);

#endif /* TESTS_EMIT_CHECK_H */
