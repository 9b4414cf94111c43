/* SPDX-License-Identifier: MIT */
#include "translator/decode/insn.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/vcpu.h"
#include "tests/suite/suite.h"

/*
 * The decoder: which instruction, where its parts lie, what it reads and
 * writes. Rows give bytes as a C string; len is its length.
 */

#define CODE(text) (const uint8_t *)(text), sizeof(text) - 1

#define EVERY_FEATURE (BIT(FEAT_COUNT) - 1)

static const struct insn_mode mode32 = {EVERY_FEATURE, true};
static const struct insn_mode mode16 = {EVERY_FEATURE, false};

static struct insn decode(struct insn_mode mode, const uint8_t *bytes,
                          size_t len)
{
    struct insn in;

    ck_assert_int_eq(insn_decode(&in, mode, bytes, len), INSN_OK);
    ck_assert_uint_eq(in.len, len);
    ck_assert_mem_eq(in.bytes, bytes, len);
    return in;
}

/* Encodings that differ from the manual's main form but that CPUs take. */
static const struct alias {
    const uint8_t *bytes;
    size_t len;
    enum insn_op op;
} aliases[] = {
    {CODE("\x82\xc0\x05"),                 OP_ADD       },
    {CODE("\x82\x38\x05"),                 OP_CMP       },
    {CODE("\xd6"),                         OP_SALC      },
    {CODE("\xf1"),                         OP_INT1      },
    {CODE("\x0f\x0b"),                     OP_UD2       },
    {CODE("\x0f\xb9\xc0"),                 OP_UD1       },
    {CODE("\x0f\xff\xc0"),                 OP_UD0       },
    {CODE("\xf6\xc8\x11"),                 OP_TEST      },
    {CODE("\xf7\x08\x11\x22\x33\x44"),     OP_TEST      },
    {CODE("\xd0\xf0"),                     OP_SHL       },
    {CODE("\xc0\xf0\x03"),                 OP_SHL       },
    {CODE("\xd3\x30"),                     OP_SHL       },
    {CODE("\x0f\x18\xc0"),                 OP_NOP       },
    {CODE("\x0f\x18\x38"),                 OP_NOP       },
    {CODE("\x0f\x18\x08"),                 OP_PREFETCHT0},
    {CODE("\x0f\x19\x00"),                 OP_NOP       },
    {CODE("\x0f\x1a\x00"),                 OP_NOP       },
    {CODE("\x66\x0f\x1a\x00"),             OP_NOP       },
    {CODE("\xf3\x0f\x1a\xc0"),             OP_NOP       },
    {CODE("\xf2\x0f\x1b\x00"),             OP_NOP       },
    {CODE("\x0f\x1c\x00"),                 OP_NOP       },
    {CODE("\x0f\x1d\xc0"),                 OP_NOP       },
    {CODE("\x0f\x1e\xc0"),                 OP_NOP       },
    {CODE("\xf3\x0f\x1e\xfb"),             OP_NOP       },
    {CODE("\xf3\x0f\x1e\xfa"),             OP_NOP       },
    {CODE("\xf3\x0f\x1e\xc8"),             OP_NOP       },
    {CODE("\x0f\x1f\x44\x00\x00"),         OP_NOP       },
    {CODE("\x0f\x0d\x00"),                 OP_PREFETCH  },
    {CODE("\x0f\x0d\x08"),                 OP_PREFETCHW },
    {CODE("\x90"),                         OP_NOP       },
    {CODE("\x66\x90"),                     OP_NOP       },
    {CODE("\xf3\x90"),                     OP_PAUSE     },
    {CODE("\x0f\xbc\xc1"),                 OP_BSF       },
    {CODE("\xf3\x0f\xbc\xc1"),             OP_BSF       },
    {CODE("\xf3\x0f\xbd\x01"),             OP_BSR       },
    {CODE("\x66\xf3\x0f\xbd\xc1"),         OP_BSR       },
    {CODE("\xf3\x0f\xb8\xc1"),             OP_POPCNT    },
    {CODE("\x87\xc0"),                     OP_XCHG      },
    {CODE("\xf0\x0f\xc7\x08"),             OP_CMPXCHG8B },
    {CODE("\xf3\x0f\xc7\x08"),             OP_CMPXCHG8B },
    {CODE("\x9a\x01\x02\x03\x04\x05\x06"), OP_CALL_FAR  },
    {CODE("\xff\x18"),                     OP_CALL_FAR  },
    {CODE("\xff\x10"),                     OP_CALL      },
    {CODE("\xea\x01\x02\x03\x04\x05\x06"), OP_JMP_FAR   },
    {CODE("\xff\x28"),                     OP_JMP_FAR   },
    {CODE("\xff\x20"),                     OP_JMP       },
    {CODE("\xcb"),                         OP_RET_FAR   },
    {CODE("\xca\x01\x02"),                 OP_RET_FAR   },
    {CODE("\xc3"),                         OP_RET       },
    {CODE("\x8c\xd8"),                     OP_MOV_SEG   },
    {CODE("\x8e\x18"),                     OP_MOV_SEG   },
    {CODE("\x0f\x22\xc0"),                 OP_MOV_CR    },
    {CODE("\x0f\x20\x00"),                 OP_MOV_CR    },
    {CODE("\x0f\x21\xf8"),                 OP_MOV_DR    },
    {CODE("\x8b\xc0"),                     OP_MOV       },
    {CODE("\x9b"),                         OP_FWAIT     },
    {CODE("\xd9\xd8"),                     OP_FSTP      },
    {CODE("\xdc\xd0"),                     OP_FCOM      },
    {CODE("\xdd\xc8"),                     OP_FXCH      },
    {CODE("\xde\xd0"),                     OP_FCOMP     },
    {CODE("\xdf\xc8"),                     OP_FXCH      },
    {CODE("\xdf\xd0"),                     OP_FSTP      },
    {CODE("\x0f\x6f\xc1"),                 OP_MOVQ      },
    {CODE("\xf2\x0f\x10\xc1"),             OP_MOVSD_XMM },
    {CODE("\xf2\x0f\xc2\xc1\x07"),         OP_CMPSD_XMM },
    {CODE("\xa5"),                         OP_MOVSD     },
    {CODE("\xa7"),                         OP_CMPSD     },
    {CODE("\x62\x00"),                     OP_BOUND     },
};

START_TEST(an_alias_decodes_as_what_cpus_do)
{
    const struct alias *row = &aliases[_i];
    struct insn in = decode(mode32, row->bytes, row->len);

    ck_assert_str_eq(insn_name(in.op), insn_name(row->op));
    ck_assert_uint_eq(in.rep, REP_NONE);
}
END_TEST

static const struct bad {
    const uint8_t *bytes;
    size_t len;
    enum insn_status status;
} bad[] = {
    {CODE("\xf0\x01\xc0"),                                                     INSN_UD   }, /* lock add eax, eax */
    {CODE("\xf0\x8b\x00"),                                                     INSN_UD   }, /* lock mov eax, [eax] */
    {CODE("\xf0\x39\x00"),                                                     INSN_UD   }, /* lock cmp [eax], eax */
    {CODE("\xf0\x0f\xa3\x01"),                                                 INSN_UD   }, /* lock bt [ecx], eax */
    {CODE("\xf0\x0f\x20\xc0"),                                                 INSN_UD   }, /* lock mov eax, cr0: AMD's CR8 */
    {CODE("\xf0\x90"),                                                         INSN_UD   }, /* lock nop */
    {CODE("\xc5\xf8\x77"),                                                     INSN_UD   }, /* vzeroupper */
    {CODE("\xc5\xf8"),                                                         INSN_UD   }, /* VEX, cut off */
    {CODE("\x66\xc4\xc1"),                                                     INSN_UD   }, /* VEX, cut off */
    {CODE("\x62\xf1"),                                                         INSN_UD   }, /* EVEX, cut off */
    {CODE("\x8f\xe8"),                                                         INSN_UD   }, /* XOP, cut off */
    {CODE("\x0f\x0f\xc1\x9e"),                                                 INSN_UD   }, /* 3DNow! */
    {CODE("\x0f\x20\xc8"),                                                     INSN_UD   }, /* mov eax, cr1 */
    {CODE("\x8e\xc8"),                                                         INSN_UD   }, /* mov cs, eax */
    {CODE("\x8e\xf0"),                                                         INSN_UD   }, /* mov segment 6, eax */
    {CODE("\x8d\xc0"),                                                         INSN_UD   }, /* lea eax, eax */
    {CODE("\xff\xf8"),                                                         INSN_UD   }, /* group 5 /7 */
    {CODE("\xff\xd8"),                                                         INSN_UD   }, /* call far eax */
    {CODE("\xfe\xd0"),                                                         INSN_UD   }, /* group 4 /2 */
    {CODE("\xc6\xc8\x01"),                                                     INSN_UD   }, /* group 11 /1 */
    {CODE("\xc6\xf8\x01"),                                                     INSN_UD   }, /* xabort */
    {CODE("\xc7\xf8\x01\x02\x03\x04"),                                         INSN_UD   }, /* xbegin */
    {CODE("\x0f\xba\xc0\x01"),                                                 INSN_UD   }, /* group 8 /0 */
    {CODE("\x0f\xb8\xc1"),                                                     INSN_UD   }, /* popcnt without F3 */
    {CODE("\x0f\xc7\xc8"),                                                     INSN_UD   }, /* cmpxchg8b eax */
    {CODE("\x0f\xc7\xf0"),                                                     INSN_UD   }, /* rdrand */
    {CODE("\x0f\x01\xc1"),                                                     INSN_UD   }, /* vmcall */
    {CODE("\x0f\x01\xf9"),                                                     INSN_UD   }, /* rdtscp */
    {CODE("\x0f\x05"),                                                         INSN_UD   }, /* syscall */
    {CODE("\x0f\x0d\xc0"),                                                     INSN_UD   }, /* prefetch eax */
    {CODE("\x0f\x04"),                                                         INSN_UD   }, /* hole in the map */
    {CODE("\xf3\x0f\xae\xe8"),                                                 INSN_UD   }, /* incsspd */
    {CODE("\x0f\x38\xf6\x00"),                                                 INSN_UD   }, /* wrssd */
    {CODE("\x66\x0f\xc3\x01"),                                                 INSN_UD   }, /* movnti with 66 */
    {CODE("\xf2\x0f\x28\xc1"),                                                 INSN_UD   }, /* movaps with F2 */
    {CODE("\xd9\xd1"),                                                         INSN_UD   }, /* hole behind fnop */
    {CODE("\x0f\x71\xc1\x03"),                                                 INSN_UD   }, /* group 12 /0 */
    {CODE("\xf3"),                                                             INSN_SHORT},
    {CODE("\x0f"),                                                             INSN_SHORT},
    {CODE("\x81\xc0\x01\x02\x03"),                                             INSN_SHORT},
    {CODE("\x8b\x84\x20\x01"),                                                 INSN_SHORT},
    {CODE("\xc4"),                                                             INSN_SHORT},
    {CODE("\xc4\x05\x01"),                                                     INSN_SHORT}, /* les eax, [disp32] */
    {CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
     INSN_TOO_LONG                                                                       },
    {CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x81\xc0\x01\x02"),
     INSN_OK                                                                             },
    {CODE("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x81\xc0\x01"),
     INSN_TOO_LONG                                                                       },
};

START_TEST(what_is_no_instruction_says_why)
{
    const struct bad *row = &bad[_i];
    struct insn in;

    ck_assert_int_eq(insn_decode(&in, mode32, row->bytes, row->len),
                     row->status);
    if (row->status == INSN_UD) {
        ck_assert_uint_eq(in.op, OP_INVALID);
        ck_assert_uint_gt(in.len, 0);
        ck_assert_uint_le(in.len, row->len);
    }
}
END_TEST

START_TEST(no_bytes_are_short)
{
    struct insn in;

    ck_assert_int_eq(insn_decode(&in, mode32, (const uint8_t *)"", 0),
                     INSN_SHORT);
}
END_TEST

START_TEST(every_prefix_of_an_instruction_is_short)
{
    static const uint8_t code[] =
        "\x2e\x66\x81\x84\x88\x11\x22\x33\x44\x55\x66";
    struct insn in;

    for (size_t len = 1; len < sizeof(code) - 1; len++)
        ck_assert_int_eq(insn_decode(&in, mode32, code, len), INSN_SHORT);
    decode(mode32, code, sizeof(code) - 1);
}
END_TEST

START_TEST(a_missing_feature_makes_its_instructions_undefined)
{
    const struct insn_mode without = {EVERY_FEATURE & ~BIT(FEAT_CMOV), true};
    struct insn in;

    ck_assert_int_eq(insn_decode(&in, without, CODE("\x0f\x44\xc1")), INSN_UD);
    ck_assert_int_eq(insn_decode(&in, mode32, CODE("\x0f\x44\xc1")), INSN_OK);
}
END_TEST

START_TEST(the_xmm_form_of_an_mmx_instruction_needs_sse2)
{
    const struct insn_mode without = {EVERY_FEATURE & ~BIT(FEAT_SSE2), true};
    struct insn in;

    ck_assert_int_eq(insn_decode(&in, without, CODE("\x0f\xfc\xc1")), INSN_OK);
    ck_assert_int_eq(insn_decode(&in, without, CODE("\x66\x0f\xfc\xc1")),
                     INSN_UD);
}
END_TEST

static const struct layout {
    const uint8_t *bytes;
    size_t len;
    uint8_t prefix_len, mandatory, map, opcode;
    uint8_t disp_len, disp_offset, imm_len, imm_offset;
} layouts[] = {
    {CODE("\x90"),                                         0, 0,    0, 0x90, 0, 0, 0, 0},
    {CODE("\xc8\x10\x00\x03"),                             0, 0,    0, 0xc8, 0, 0, 3, 1},
    {CODE("\x9a\x01\x02\x03\x04\x05\x06"),                 0, 0,    0, 0x9a, 0, 0, 6, 1},
    {CODE("\x66\x9a\x01\x02\x03\x04"),                     1, 0,    0, 0x9a, 0, 0, 4, 2},
    {CODE("\xa0\x01\x02\x03\x04"),                         0, 0,    0, 0xa0, 4, 1, 0, 0},
    {CODE("\x67\xa3\x01\x02"),                             1, 0,    0, 0xa3, 2, 2, 0, 0},
    {CODE("\xe8\x01\x02\x03\x04"),                         0, 0,    0, 0xe8, 0, 0, 4, 1},
    {CODE("\x0f\x84\x01\x02\x03\x04"),                     0, 0,    1, 0x84, 0, 0, 4, 2},
    {CODE("\x8b\x44\x24\x10"),                             0, 0,    0, 0x8b, 1, 3, 0, 0},
    {CODE("\x64\x66\xc7\x84\x88\x11\x22\x33\x44\x55\x66"), 2, 0,    0, 0xc7, 4, 5,
     2,                                                                               9},
    {CODE("\x69\x05\x11\x22\x33\x44\x55\x66\x77\x88"),     0, 0,    0, 0x69, 4, 2, 4,
     6                                                                                 },
    {CODE("\x6b\x45\x08\xff"),                             0, 0,    0, 0x6b, 1, 2, 1, 3},
    {CODE("\x67\x8b\x42\xff"),                             1, 0,    0, 0x8b, 1, 3, 0, 0},
    {CODE("\x67\x8b\x06\x34\x12"),                         1, 0,    0, 0x8b, 2, 3, 0, 0},
    {CODE("\x8b\x45\x00"),                                 0, 0,    0, 0x8b, 1, 2, 0, 0},
    {CODE("\xd1\xe0"),                                     0, 0,    0, 0xd1, 0, 0, 0, 0},
    {CODE("\xf3\x0f\xb8\xc1"),                             1, 0xf3, 1, 0xb8, 0, 0, 0, 0},
    {CODE("\x66\xf3\x0f\xb8\xc1"),                         2, 0xf3, 1, 0xb8, 0, 0, 0, 0},
    {CODE("\xf3\x0f\xbc\xc1"),                             1, 0,    1, 0xbc, 0, 0, 0, 0},
    {CODE("\xf3\x0f\x10\x45\x08"),                         1, 0xf3, 1, 0x10, 1, 4, 0, 0},
    {CODE("\x66\x0f\x3a\x0f\xc1\x04"),                     1, 0x66, 3, 0x0f, 0, 0, 1, 5},
    {CODE("\x66\xf2\x0f\x38\xf1\xc1"),                     2, 0xf2, 2, 0xf1, 0, 0, 0, 0},
    {CODE("\xd9\x45\x08"),                                 0, 0,    0, 0xd9, 1, 2, 0, 0},
    {CODE("\x0f\x38\xf0\x40\x04"),                         0, 0,    2, 0xf0, 1, 4, 0, 0},
};

START_TEST(layout_says_where_each_part_lies)
{
    const struct layout *row = &layouts[_i];
    struct insn in = decode(mode32, row->bytes, row->len);

    ck_assert_uint_eq(in.prefix_len, row->prefix_len);
    ck_assert_uint_eq(in.mandatory, row->mandatory);
    ck_assert_uint_eq(in.map, row->map);
    ck_assert_uint_eq(in.opcode, row->opcode);
    ck_assert_uint_eq(in.disp_len, row->disp_len);
    ck_assert_uint_eq(in.disp_offset, row->disp_offset);
    ck_assert_uint_eq(in.imm_len, row->imm_len);
    ck_assert_uint_eq(in.imm_offset, row->imm_offset);
}
END_TEST

/* Where the effective address comes from. */
static const struct address {
    const uint8_t *bytes;
    size_t len;
    uint8_t seg, base, index, scale, address_size;
    int32_t disp;
    bool override;
} addresses[] = {
    {CODE("\x8b\x44\x24\x10"),             SEG_SS, REG_ESP,     INSN_NO_REG, 1, 4, 16,  false},
    {CODE("\x8b\x45\xf0"),                 SEG_SS, REG_EBP,     INSN_NO_REG, 1, 4, -16, false},
    {CODE("\x64\x8b\x45\x00"),             SEG_FS, REG_EBP,     INSN_NO_REG, 1, 4, 0,   true },
    {CODE("\x26\x3e\x8b\x04\x24"),         SEG_DS, REG_ESP,     INSN_NO_REG, 1, 4, 0,   true },
    {CODE("\x8b\x04\x85\x01\x02\x03\x04"), SEG_DS, INSN_NO_REG, REG_EAX,     4, 4,
     0x04030201,                                                                        false},
    {CODE("\x8b\x84\xfb\x01\x02\x03\x84"), SEG_DS, REG_EBX,     REG_EDI,     8, 4,
     (int32_t)0x84030201,                                                               false},
    {CODE("\x67\x8b\x42\xff"),             SEG_SS, REG_EBP,     REG_ESI,     1, 2, -1,  false},
    {CODE("\x67\x8b\x07"),                 SEG_DS, REG_EBX,     INSN_NO_REG, 1, 2, 0,   false},
    {CODE("\xa1\x01\x02\x03\x04"),         SEG_DS, INSN_NO_REG, INSN_NO_REG, 1, 4,
     0x04030201,                                                                        false},
    {CODE("\xa4"),                         SEG_DS, REG_ESI,     INSN_NO_REG, 1, 4, 0,   false},
    {CODE("\x64\xa5"),                     SEG_FS, REG_ESI,     INSN_NO_REG, 1, 4, 0,   true },
    {CODE("\x67\xa6"),                     SEG_DS, REG_ESI,     INSN_NO_REG, 1, 2, 0,   false},
    {CODE("\x65\xac"),                     SEG_GS, REG_ESI,     INSN_NO_REG, 1, 4, 0,   true },
    {CODE("\x6e"),                         SEG_DS, REG_ESI,     INSN_NO_REG, 1, 4, 0,   false},
    {CODE("\x64\xaa"),                     SEG_ES, REG_EDI,     INSN_NO_REG, 1, 4, 0,   false},
    {CODE("\xae"),                         SEG_ES, REG_EDI,     INSN_NO_REG, 1, 4, 0,   false},
    {CODE("\x6c"),                         SEG_ES, REG_EDI,     INSN_NO_REG, 1, 4, 0,   false},
    {CODE("\x36\xd7"),                     SEG_SS, REG_EBX,     INSN_NO_REG, 1, 4, 0,   true },
    {CODE("\x8d\x0c\x30"),                 SEG_DS, REG_EAX,     REG_ESI,     1, 4, 0,   false},
};

START_TEST(the_memory_operand_is_described)
{
    const struct address *row = &addresses[_i];
    struct insn in = decode(mode32, row->bytes, row->len);

    ck_assert_int_eq(in.has_mem, true);
    ck_assert_uint_eq(in.mem.seg, row->seg);
    ck_assert_uint_eq(in.mem.base, row->base);
    ck_assert_uint_eq(in.mem.index, row->index);
    ck_assert_uint_eq(in.mem.scale, row->scale);
    ck_assert_uint_eq(in.address_size, row->address_size);
    ck_assert_int_eq(in.mem.disp, row->disp);
    ck_assert_int_eq(in.seg_override, row->override);
}
END_TEST

START_TEST(stack_operands_are_no_memory_operand)
{
    static const char *const codes[] = {"\x50", "\x58", "\x60",
                                        "\x61", "\xc9", "\xc3"};

    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        struct insn in = decode(mode32, (const uint8_t *)codes[i], 1);

        ck_assert_int_eq(in.has_mem, false);
    }
}
END_TEST

static void check_operand(const struct insn *in, unsigned n,
                          struct insn_operand want)
{
    ck_assert_uint_lt(n, in->operand_count);
    ck_assert_uint_eq(in->operand[n].kind, want.kind);
    ck_assert_uint_eq(in->operand[n].index, want.index);
    ck_assert_uint_eq(in->operand[n].size, want.size);
    ck_assert_int_eq(in->operand[n].read, want.read);
    ck_assert_int_eq(in->operand[n].written, want.written);
    ck_assert_int_eq(in->operand[n].hidden, want.hidden);
}

static const struct operands {
    const uint8_t *bytes;
    size_t len;
    uint8_t count;
    struct insn_operand operand[INSN_MAX_OPERANDS];
    int32_t imm;
    uint16_t imm2;
} operand_rows[] = {
  /* add eax, -1 */
    {CODE("\x83\xc0\xff"),
     2,                                       {{OPERAND_REG, 0, 4, true, true, false},
      {OPERAND_IMM, 0, 4, true, false, false}},
     -1,
     0                                                                                             },
 /* add ax, -1 */
    {CODE("\x66\x83\xc0\xff"),
     2,                                       {{OPERAND_REG, 0, 2, true, true, false},
      {OPERAND_IMM, 0, 2, true, false, false}},
     -1,
     0                                                                                             },
 /* mov bl, ah */
    {CODE("\x88\xe3"),
     2,                                       {{OPERAND_REG, 3, 1, false, true, false},
      {OPERAND_REG, 4, 1, true, false, false}},
     0,                                                                                      0     },
 /* shl eax, 1 */
    {CODE("\xd1\xe0"),
     2,                                       {{OPERAND_REG, 0, 4, true, true, false},
      {OPERAND_IMM, 0, 1, true, false, false}},
     1,                                                                                      0     },
 /* shl eax, cl */
    {CODE("\xd3\xe0"),
     2,                                       {{OPERAND_REG, 0, 4, true, true, false},
      {OPERAND_REG, 1, 1, true, false, false}},
     0,                                                                                      0     },
 /* enter 16, 3 */
    {CODE("\xc8\x10\x00\x03"),
     4,                                       {{OPERAND_IMM, 0, 2, true, false, false},
      {OPERAND_IMM, 0, 1, true, false, false},
      {OPERAND_REG, REG_EBP, 4, true, true, true},
      {OPERAND_REG, REG_ESP, 4, true, true, true}},
     16,                                                                                     3     },
 /* jo -2 */
    {CODE("\x70\xfe"),                     1, {{OPERAND_REL, 0, 4, true, false, false}}, -2, 0     },
 /* imul eax, ecx, -1 */
    {CODE("\x6b\xc1\xff"),
     3,                                       {{OPERAND_REG, 0, 4, false, true, false},
      {OPERAND_REG, 1, 4, true, false, false},
      {OPERAND_IMM, 0, 4, true, false, false}},
     -1,
     0                                                                                             },
 /* lea ax, [eax]: the memory is not touched */
    {CODE("\x66\x8d\x00"),
     2,                                       {{OPERAND_REG, 0, 2, false, true, false},
      {OPERAND_MEM, 0, 4, false, false, false}},
     0,                                                                                      0     },
 /* push -1 */
    {CODE("\x6a\xff"),
     2,                                       {{OPERAND_IMM, 0, 4, true, false, false},
      {OPERAND_REG, REG_ESP, 4, true, true, true}},
     -1,
     0                                                                                             },
 /* mov ds, [eax] */
    {CODE("\x8e\x18"),
     2,                                       {{OPERAND_SEG, SEG_DS, 2, false, true, false},
      {OPERAND_MEM, 0, 2, true, false, false}},
     0,                                                                                      0     },
 /* mov eax, ds */
    {CODE("\x8c\xd8"),
     2,                                       {{OPERAND_REG, 0, 4, false, true, false},
      {OPERAND_SEG, SEG_DS, 2, true, false, false}},
     0,                                                                                      0     },
 /* mov [eax], ds */
    {CODE("\x8c\x18"),
     2,                                       {{OPERAND_MEM, 0, 2, false, true, false},
      {OPERAND_SEG, SEG_DS, 2, true, false, false}},
     0,                                                                                      0     },
 /* call 0605h:04030201h */
    {CODE("\x9a\x01\x02\x03\x04\x05\x06"),
     2,                                       {{OPERAND_FAR, 0, 6, true, false, false},
      {OPERAND_REG, REG_ESP, 4, true, true, true}},
     0x04030201,                                                                             0x0605},
 /* movsb: ES:EDI is implied */
    {CODE("\xa4"),
     3,                                       {{OPERAND_MEM, 0, 1, true, false, true},
      {OPERAND_REG, REG_EDI, 4, true, true, true},
      {OPERAND_REG, REG_ESI, 4, true, true, true}},
     0,                                                                                      0     },
 /* mov cr0, eax */
    {CODE("\x0f\x22\xc0"),
     2,                                       {{OPERAND_CR, 0, 4, false, true, false},
      {OPERAND_REG, 0, 4, true, false, false}},
     0,                                                                                      0     },
 /* mov dr7, eax */
    {CODE("\x0f\x23\xf8"),
     2,                                       {{OPERAND_DR, 7, 4, false, true, false},
      {OPERAND_REG, 0, 4, true, false, false}},
     0,                                                                                      0     },
};

START_TEST(operands_are_listed_in_written_order)
{
    const struct operands *row = &operand_rows[_i];
    struct insn in = decode(mode32, row->bytes, row->len);

    ck_assert_uint_eq(in.operand_count, row->count);
    for (unsigned n = 0; n < row->count; n++)
        check_operand(&in, n, row->operand[n]);
    ck_assert_int_eq(in.imm, row->imm);
    ck_assert_uint_eq(in.imm2, row->imm2);
}
END_TEST

static const struct rep_row {
    const uint8_t *bytes;
    size_t len;
    enum insn_rep rep;
} reps[] = {
    {CODE("\xa4"),         REP_NONE },
    {CODE("\xf3\xa4"),     REP_REPE },
    {CODE("\xf2\xa4"),     REP_REPE },
    {CODE("\xf3\xa6"),     REP_REPE },
    {CODE("\xf2\xa6"),     REP_REPNE},
    {CODE("\xf3\xf2\xae"), REP_REPNE},
    {CODE("\xf2\xf3\xae"), REP_REPE },
    {CODE("\xf3\x64\xab"), REP_REPE },
    {CODE("\xf2\x6c"),     REP_REPE },
    {CODE("\xf3\x01\xc0"), REP_NONE },
    {CODE("\xf2\x75\x00"), REP_NONE },
    {CODE("\xf3\xc3"),     REP_NONE },
};

START_TEST(only_string_instructions_repeat)
{
    struct insn in = decode(mode32, reps[_i].bytes, reps[_i].len);

    ck_assert_uint_eq(in.rep, reps[_i].rep);
}
END_TEST

START_TEST(sizes_follow_mode_and_prefixes)
{
    struct insn in = decode(mode32, CODE("\x88\x00"));

    ck_assert_uint_eq(in.operand_size, 4); /* a byte form has one too */
    in = decode(mode32, CODE("\x66\x89\x00"));
    ck_assert_uint_eq(in.operand_size, 2);
    in = decode(mode16, CODE("\x89\x00"));
    ck_assert_uint_eq(in.operand_size, 2);
    ck_assert_uint_eq(in.address_size, 2);
    in = decode(mode16, CODE("\x66\x67\x89\x00"));
    ck_assert_uint_eq(in.operand_size, 4);
    ck_assert_uint_eq(in.address_size, 4);
    in = decode(mode16, CODE("\xe8\x01\x02"));
    ck_assert_uint_eq(in.imm_len, 2);
}
END_TEST

START_TEST(conditions_are_the_low_nibble)
{
    ck_assert_uint_eq(decode(mode32, CODE("\x7f\x00")).cc, 15);
    ck_assert_uint_eq(decode(mode32, CODE("\x0f\x8c\x0\x0\x0\x0")).cc, 12);
    ck_assert_uint_eq(decode(mode32, CODE("\x0f\x95\xc0")).cc, 5);
    ck_assert_uint_eq(decode(mode32, CODE("\x0f\x42\xc1")).cc, 2);
    ck_assert_uint_eq(decode(mode32, CODE("\x89\xc0")).cc, 0);
}
END_TEST

static const struct flags_row {
    const uint8_t *bytes;
    size_t len;
    uint32_t read, written, undefined, kept;
} flags_rows[] = {
    {CODE("\x01\xc0"),     0,                           FLAGS_ARITH,            0,                 0          },
    {CODE("\x11\xc0"),     FLAG_CF,                     FLAGS_ARITH,            0,                 0          },
    {CODE("\x40"),         0,                           FLAGS_ARITH & ~FLAG_CF, 0,                 0          },
    {CODE("\x21\xc0"),     0,                           FLAGS_ARITH,            FLAG_AF,           0          },
    {CODE("\x74\x00"),     FLAG_ZF,                     0,                      0,                 0          },
    {CODE("\x7f\x00"),     FLAG_ZF | FLAG_SF | FLAG_OF, 0,                      0,                 0          },
    {CODE("\xd3\xe0"),     0,                           FLAGS_ARITH,            FLAG_OF | FLAG_AF, FLAGS_ARITH},
    {CODE("\xd1\xe0"),     0,                           FLAGS_ARITH,            FLAG_AF,           0          },
    {CODE("\xc1\xe0\x02"), 0,                           FLAGS_ARITH,            FLAG_OF | FLAG_AF, 0          },
    {CODE("\xc1\xe0\x20"), 0,                           0,                      0,                 0          },
    {CODE("\x0f\xa5\xc1"), 0,                           FLAGS_ARITH,            FLAG_OF | FLAG_AF, FLAGS_ARITH},
    {CODE("\xd1\xd0"),     FLAG_CF,                     FLAG_CF | FLAG_OF,      0,                 0          },
    {CODE("\xa6"),         FLAG_DF,                     FLAGS_ARITH,            0,                 0          },
    {CODE("\xf3\xa6"),     FLAG_DF | FLAG_ZF,           FLAGS_ARITH,            0,                 FLAGS_ARITH},
    {CODE("\x89\xc0"),     0,                           0,                      0,                 0          },
};

START_TEST(flags_say_what_liveness_needs)
{
    const struct flags_row *row = &flags_rows[_i];
    struct insn in = decode(mode32, row->bytes, row->len);

    ck_assert_uint_eq(in.flags_read, row->read);
    ck_assert_uint_eq(in.flags_written, row->written);
    ck_assert_uint_eq(in.flags_undefined, row->undefined);
    ck_assert_uint_eq(in.flags_kept, row->kept);
}
END_TEST

START_TEST(lock_is_taken_where_legal)
{
    ck_assert_int_eq(decode(mode32, CODE("\xf0\x01\x00")).lock, true);
    ck_assert_int_eq(decode(mode32, CODE("\xf0\x0f\xb1\x08")).lock, true);
    ck_assert_int_eq(decode(mode32, CODE("\x01\x00")).lock, false);
}
END_TEST

/* Every result of one decode hangs together. */
static void check_result(const struct insn *in, enum insn_status status,
                         size_t len)
{
    if (status == INSN_SHORT)
        return;
    ck_assert_uint_le(in->len, len);
    if (status != INSN_OK) {
        ck_assert_uint_eq(in->op, OP_INVALID);
        return;
    }
    ck_assert_uint_lt(in->op, OP_COUNT);
    ck_assert_uint_gt(in->len, 0);
    ck_assert_uint_le(in->operand_count, INSN_MAX_OPERANDS);
    ck_assert_int_le(in->prefix_len + in->disp_len + in->imm_len, in->len);
    ck_assert(in->operand_size == 2 || in->operand_size == 4);
    ck_assert(in->address_size == 2 || in->address_size == 4);
    ck_assert_uint_eq(in->flags_undefined & ~in->flags_written, 0);
    ck_assert_uint_eq(in->flags_kept & ~in->flags_written, 0);
    for (unsigned n = 0; n < in->operand_count; n++) {
        ck_assert_uint_ne(in->operand[n].kind, OPERAND_NONE);
        ck_assert(in->operand[n].kind != OPERAND_MEM || in->has_mem);
    }
}

START_TEST(what_is_undefined_is_so_by_the_bytes_it_counts)
{
    static const struct {
        const uint8_t *bytes;
        size_t len;
    } cases[] = {
        {CODE("\xf0\xc4\xff\x83")}, /* lock VEX: LES by its third byte */
        {CODE("\x66\x62\xf1\x7c")}, /* 66 EVEX: BOUND likewise */
        {CODE("\xc4\xc9\x00")},
    };
    struct insn in;

    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        ck_assert_int_eq(insn_decode(&in, mode32, cases[i].bytes, cases[i].len),
                         INSN_UD);
        size_t counted = in.len;

        ck_assert_int_eq(insn_decode(&in, mode32, cases[i].bytes, counted),
                         INSN_UD);
    }
}
END_TEST

START_TEST(any_bytes_decode_to_something_whole)
{
    unsigned seed = 1;
    uint8_t bytes[20];
    char text[96];
    struct insn in;

    for (unsigned i = 0; i < 100000; i++) {
        size_t len = 1 + i % sizeof(bytes);
        bool code32 = i & 1;
        enum insn_status status;

        for (size_t n = 0; n < len; n++)
            bytes[n] = (uint8_t)(rand_r(&seed) >> 7);
        if (i & 2)
            bytes[0] = 0x0f;
        status = insn_decode(&in, code32 ? mode32 : mode16, bytes, len);
        check_result(&in, status, len);
        if (status == INSN_OK && i % 16 == 0)
            insn_format(&in, 0, code32, text, sizeof(text));
    }
}
END_TEST

START_TEST(text_is_intel_syntax)
{
    struct insn in = decode(mode32, CODE("\xe8\x01\x02\x03\x04"));
    char text[64];

    insn_format(&in, 0xc0100000, true, text, sizeof(text));
    ck_assert_str_eq(text, "call 0xC4130206");
    ck_assert_uint_eq(
        insn_format_host(CODE("\x67\x65\x8b\x00"), 0, text, sizeof(text)), 4);
    ck_assert_str_eq(text, "mov eax, gs:[eax]");
    ck_assert_uint_eq(insn_format_host(CODE("\x06"), 0, text, sizeof(text)), 1);
    ck_assert_str_eq(text, "(bad)");
}
END_TEST

START_TEST(names_are_lower_case_mnemonics)
{
    ck_assert_str_eq(insn_name(OP_ADD), "add");
    ck_assert_str_eq(insn_name(OP_INVALID), "invalid");
    ck_assert_uint_eq(insn_undefined_flags(OP_AND), FLAG_AF);
    ck_assert_uint_eq(insn_feature(OP_CMOVZ), FEAT_CMOV);
}
END_TEST

static Suite *insn_suite(void)
{
    Suite *suite = suite_create("insn");
    TCase *rows = tcase_create("rows");
    TCase *rules = tcase_create("rules");

    tcase_set_timeout(rules, 30);

    tcase_add_loop_test(rows, an_alias_decodes_as_what_cpus_do, 0,
                        ARRAY_COUNT(aliases));
    tcase_add_loop_test(rows, what_is_no_instruction_says_why, 0,
                        ARRAY_COUNT(bad));
    tcase_add_loop_test(rows, layout_says_where_each_part_lies, 0,
                        ARRAY_COUNT(layouts));
    tcase_add_loop_test(rows, the_memory_operand_is_described, 0,
                        ARRAY_COUNT(addresses));
    tcase_add_loop_test(rows, operands_are_listed_in_written_order, 0,
                        ARRAY_COUNT(operand_rows));
    tcase_add_loop_test(rows, only_string_instructions_repeat, 0,
                        ARRAY_COUNT(reps));
    tcase_add_loop_test(rows, flags_say_what_liveness_needs, 0,
                        ARRAY_COUNT(flags_rows));
    suite_add_tcase(suite, rows);

    tcase_set_timeout(rules, 30);
    tcase_add_test(rules, no_bytes_are_short);
    tcase_add_test(rules, every_prefix_of_an_instruction_is_short);
    tcase_add_test(rules, a_missing_feature_makes_its_instructions_undefined);
    tcase_add_test(rules, the_xmm_form_of_an_mmx_instruction_needs_sse2);
    tcase_add_test(rules, stack_operands_are_no_memory_operand);
    tcase_add_test(rules, sizes_follow_mode_and_prefixes);
    tcase_add_test(rules, conditions_are_the_low_nibble);
    tcase_add_test(rules, lock_is_taken_where_legal);
    tcase_add_test(rules, what_is_undefined_is_so_by_the_bytes_it_counts);
    tcase_add_test(rules, any_bytes_decode_to_something_whole);
    tcase_add_test(rules, text_is_intel_syntax);
    tcase_add_test(rules, names_are_lower_case_mnemonics);
    suite_add_tcase(suite, rules);
    return suite;
}

int main(void)
{
    return run_suite(insn_suite());
}
