/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "xlat_decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <Zydis/Zydis.h>

/*
 * What is right about a decoded instruction:
 *
 *   - length, layout and sizes are Zydis';
 *   - fewer bytes are not enough, and more change nothing;
 *   - operands and parts of the encoding are within their bounds.
 */
#define MAX_INSNS 64u

static struct {
    const uint8_t *bytes;
    size_t len;
    struct insn_mode mode;
    struct insn in;
    ZydisDecodedInstruction zydis;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t *page_end;
} now;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "decode (%s): %s:", now.mode.code32 ? "32" : "16", what);
    for (size_t i = 0; i < now.len && i < INSN_MAX_LEN; i++)
        fprintf(stderr, " %02x", now.bytes[i]);
    fprintf(stderr, "\n");
    abort();
}

/* Again, from the end of a page that is followed by nothing. */
static enum insn_status decode_again(struct insn *in, size_t len)
{
    uint8_t *copy = now.page_end - len;

    memcpy(copy, now.bytes, len);
    return insn_decode(in, now.mode, copy, len);
}

/* From a buffer without room around it, so that a sanitizer sees each byte read
 * beyond it. */
static enum insn_status decode(struct insn *in, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    enum insn_status status;

    if (copy == NULL)
        abort();
    memcpy(copy, now.bytes, len);
    status = insn_decode(in, now.mode, copy, len);
    free(copy);
    return status;
}

static void check_layout(void)
{
    const struct insn *in = &now.in;
    const ZydisDecodedInstruction *z = &now.zydis;
    unsigned imm = (z->raw.imm[0].size + z->raw.imm[1].size) / 8u;

    check(in->len == z->length, "another length");
    check(z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY, "an extension");
    check(in->address_size * 8 == z->address_width, "another address size");
    check(in->has_modrm == !!(z->attributes & ZYDIS_ATTRIB_HAS_MODRM) &&
              (!in->has_modrm || in->modrm == now.bytes[z->raw.modrm.offset]),
          "another ModRM byte");
    check(in->has_sib == !!(z->attributes & ZYDIS_ATTRIB_HAS_SIB),
          "another SIB byte");
    check(in->disp_len * 8 == z->raw.disp.size, "another displacement");
    check(in->imm_len == imm, "other immediates");
    check(in->lock == !!(z->attributes & ZYDIS_ATTRIB_HAS_LOCK), "a lock");
    check(in->opcode == z->opcode, "another opcode");
    check(in->prefix_len < in->len, "nothing but prefixes");
    check(!in->disp_len || in->disp_offset + in->disp_len <= in->len,
          "a displacement beyond the end");
    check(!in->imm_len || in->imm_offset + in->imm_len <= in->len,
          "an immediate beyond the end");
    check(memcmp(in->bytes, now.bytes, in->len) == 0, "other bytes");
}

static bool is_size(unsigned size)
{
    static const uint8_t sizes[] = {0, 1, 2, 4, 6, 8, 10, 16};

    return memchr(sizes, (int)size, sizeof(sizes)) != NULL;
}

static void check_operand(const struct insn_operand *o)
{
    check(is_size(o->size), "an operand of an odd size");
    switch ((enum operand_kind)o->kind) {
    case OPERAND_REG:
        check(o->index < 8 && (o->size == 1 || o->size == 2 || o->size == 4),
              "a register that is none");
        break;
    case OPERAND_SEG: check(o->index < 6, "a segment that is none"); break;
    case OPERAND_CR:
    case OPERAND_DR:
    case OPERAND_ST:
    case OPERAND_MM:
    case OPERAND_XMM: check(o->index < 8, "a register that is none"); break;
    case OPERAND_MEM: check(now.in.has_mem, "memory without address"); break;
    case OPERAND_IMM:
    case OPERAND_REL:
    case OPERAND_FAR: check(!o->written, "a written constant"); break;
    case OPERAND_NONE: check(false, "an operand that is none"); break;
    default: check(false, "an operand of no kind");
    }
}

static void check_operands(void)
{
    const struct insn *in = &now.in;
    bool hidden = false;

    check(in->op > OP_INVALID && in->op < OP_COUNT, "no operation");
    check(now.mode.features & BIT(insn_feature(in->op)), "a missing feature");
    check(in->operand_size == 2 || in->operand_size == 4, "an operand size");
    check(in->operand_count <= INSN_MAX_OPERANDS, "too many operands");
    for (unsigned i = 0; i < in->operand_count; i++) {
        check_operand(&in->operand[i]);
        check(!hidden || in->operand[i].hidden, "written behind hidden");
        hidden = in->operand[i].hidden;
    }
    if (!in->has_mem)
        return;
    check(in->mem.seg < 6, "a segment that is none");
    check(in->mem.base < 8 || in->mem.base == INSN_NO_REG, "a base");
    check(in->mem.index < 8 || in->mem.index == INSN_NO_REG, "an index");
    check(in->mem.index == INSN_NO_REG || in->mem.scale == 1 ||
              in->mem.scale == 2 || in->mem.scale == 4 || in->mem.scale == 8,
          "a scale");
}

/* Nothing is decided before the last byte, and nothing depends on what is behind. */
static void check_length(void)
{
    struct insn other;

    for (size_t len = 0; len < now.in.len; len++)
        check(decode_again(&other, len) == INSN_SHORT,
              "decoded before its end");
    check(decode_again(&other, now.in.len) == INSN_OK && other.op == now.in.op,
          "decoded by what is behind");
}

static void check_text(void)
{
    char text[64];

    memset(text, 'x', sizeof(text));
    insn_format(&now.in, 0x1000, now.mode.code32, text, 40);
    check(memchr(text, 0, 40) != NULL && text[40] == 'x', "text out of bounds");
}

static void check_status(enum insn_status status, ZyanStatus zydis)
{
    struct insn other;

    switch (status) {
    case INSN_OK:
        check(ZYAN_SUCCESS(zydis), "decoded what Zydis does not");
        check_layout();
        check_operands();
        check_length();
        break;
    case INSN_UD:
        check(now.in.op == OP_INVALID && now.in.len > 0, "half undefined");
        check(now.in.len <= INSN_MAX_LEN && now.in.len <= now.len,
              "undefined by what is behind");
        check(!ZYAN_SUCCESS(zydis) || now.in.len <= now.zydis.length,
              "looked beyond the end");
        check(decode_again(&other, now.in.len) == INSN_UD,
              "undefined too early");
        break;
    case INSN_TOO_LONG:
        check(zydis == ZYDIS_STATUS_INSTRUCTION_TOO_LONG,
              "too long, but not for Zydis");
        break;
    case INSN_SHORT:
        check(now.len < INSN_MAX_LEN, "short with enough");
        check(zydis == ZYDIS_STATUS_NO_MORE_DATA, "short, but not for Zydis");
        break;
    }
}

static uint8_t *map_page(void)
{
    uint8_t *at = mmap(NULL, 2 * PAGE_SIZE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED ||
        mprotect(at, PAGE_SIZE, PROT_READ | PROT_WRITE) != 0)
        abort();
    return at + PAGE_SIZE;
}

void compare_decoders(const uint8_t *bytes, size_t len, struct insn_mode mode)
{
    /* The guest's CPU has none of the extensions that decoder modes stand for. */
    const ZydisDecoder decoder = {
        .machine_mode = mode.code32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                    : ZYDIS_MACHINE_MODE_LEGACY_16,
        .stack_width =
            mode.code32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16};

    if (now.page_end == NULL)
        now.page_end = map_page();
    now.mode = mode;
    for (unsigned i = 0; i < MAX_INSNS && len > 0; i++) {
        enum insn_status status;
        ZyanStatus zydis;

        now.bytes = bytes;
        now.len = len < 2 * INSN_MAX_LEN ? len : 2 * INSN_MAX_LEN;
        zydis = ZydisDecoderDecodeFull(&decoder, bytes, now.len, &now.zydis,
                                       now.operands);
        status = decode(&now.in, now.len);
        check_status(status, zydis);
        if (status == INSN_SHORT)
            return;
        check_text();
        bytes += now.in.len;
        len -= now.in.len;
    }
}
