/* SPDX-License-Identifier: MIT */
#include "translator/decode/insn.h"

#include <stdio.h>

#include <Zydis/Decoder.h>
#include <Zydis/Formatter.h>

/*
 * Disassembly, for logs only: each call sets up its own decoder and formatter,
 * which keeps this file without state.
 */

/* Returns the instruction's length, or 0 with text "(bad)". */
static size_t format(const ZydisDecoder *decoder, const uint8_t *bytes,
                     size_t len, uint64_t address, char *text, size_t text_len)
{
    ZydisDecodedInstruction zydis;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisFormatter formatter;

    if (text_len == 0)
        return 0;
    if (ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(decoder, bytes, len, &zydis, operands)) &&
        ZYAN_SUCCESS(
            ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)) &&
        ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
            &formatter, &zydis, operands, zydis.operand_count_visible, text,
            text_len, address, ZYAN_NULL)))
        return zydis.length;
    snprintf(text, text_len, "(bad)");
    return 0;
}

void insn_format(const struct insn *in, gip_t gip, bool code32, char *text,
                 size_t text_len)
{
    const ZydisDecoder decoder = {
        .machine_mode = code32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                               : ZYDIS_MACHINE_MODE_LEGACY_16,
        .stack_width = code32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16,
    };

    format(&decoder, in->bytes, in->len, gip, text, text_len);
}

size_t insn_format_host(const uint8_t *bytes, size_t len, uint64_t address,
                        char *text, size_t text_len)
{
    const ZydisDecoder decoder = {
        .machine_mode = ZYDIS_MACHINE_MODE_LONG_64,
        .stack_width = ZYDIS_STACK_WIDTH_64,
        .decoder_mode = {[ZYDIS_DECODER_MODE_LZCNT] = ZYAN_TRUE,
                         [ZYDIS_DECODER_MODE_TZCNT] = ZYAN_TRUE},
    };
    size_t used = format(&decoder, bytes, len, address, text, text_len);

    return used != 0 ? used : 1;
}
