/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_XLAT_DECODE_H
#define TESTS_FUZZ_XLAT_DECODE_H

/*
 * PURPOSE: hold the decoder against Zydis as it is, and against its own promises.
 */
#include "translator/decode/insn.h"

/* Decode one instruction behind the other; aborts at a difference. */
void compare_decoders(const uint8_t *bytes, size_t len, struct insn_mode mode);

#endif /* TESTS_FUZZ_XLAT_DECODE_H */
