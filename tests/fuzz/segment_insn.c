/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "segment_world.h"

/* The bytes of the instruction that an input chose. */

/* clang-format off */
static const struct {
    uint8_t bytes[4];
    uint8_t len; /* of opcode and ModRM */
    enum { TAIL_NONE, TAIL_DISP, TAIL_FAR, TAIL_IMM8, TAIL_IMM16 } tail;
} forms[DO_COUNT] = {
    [DO_MOV_REG] = {{0x8e, 0xc0},       2, TAIL_NONE },
    [DO_MOV_MEM] = {{0x8e, 0x05},       2, TAIL_DISP },
    [DO_POP] = {{0},                0, TAIL_NONE },
    [DO_LOAD_FAR] = {{0},                0, TAIL_DISP },
    [DO_JMP] = {{0xea},             1, TAIL_FAR  },
    [DO_CALL] = {{0x9a},             1, TAIL_FAR  },
    [DO_JMP_MEM] = {{0xff, 0x2d},       2, TAIL_DISP },
    [DO_CALL_MEM] = {{0xff, 0x1d},       2, TAIL_DISP },
    [DO_RETF] = {{0xcb},             1, TAIL_NONE },
    [DO_RETF_IMM] = {{0xca},             1, TAIL_IMM16},
    [DO_IRET] = {{0xcf},             1, TAIL_NONE },
    [DO_INT] = {{0xcd},             1, TAIL_IMM8 },
    [DO_INT3] = {{0xcc},             1, TAIL_NONE },
    [DO_INTO] = {{0xce},             1, TAIL_NONE },
    [DO_INT1] = {{0xf1},             1, TAIL_NONE },
    [DO_UD] = {{0x0f, 0x0b},       2, TAIL_NONE },
    [DO_DIVIDE] = {{0xf7, 0xf3},       2, TAIL_NONE }, /* by EBX */
    [DO_READ] = {{0xa1},             1, TAIL_DISP },
    [DO_INTERRUPT] = {{0x90},             1, TAIL_NONE },
    [DO_LLDT] = {{0x0f, 0x00, 0xd0}, 3, TAIL_NONE },
    [DO_LTR] = {{0x0f, 0x00, 0xd8}, 3, TAIL_NONE },
    [DO_LAR] = {{0x0f, 0x02, 0xd0}, 3, TAIL_NONE }, /* to EDX */
    [DO_LSL] = {{0x0f, 0x03, 0xd0}, 3, TAIL_NONE },
    [DO_VERR] = {{0x0f, 0x00, 0xe0}, 3, TAIL_NONE },
    [DO_VERW] = {{0x0f, 0x00, 0xe8}, 3, TAIL_NONE },
    [DO_SYSENTER] = {{0x0f, 0x34},       2, TAIL_NONE },
    [DO_SYSEXIT] = {{0x0f, 0x35},       2, TAIL_NONE },
};
/* clang-format on */

/* Opcodes that are different for each segment register. */
static unsigned put_opcode(const struct seg_insn *insn, uint8_t *to)
{
    static const uint8_t pops[SEG_COUNT][2] = {
        {0x07, 0   },
        {0,    0   },
        {0x17, 0   },
        {0x1f, 0   },
        {0x0f, 0xa1},
        {0x0f, 0xa9}
    };
    static const uint8_t loads[SEG_COUNT][2] = {
        {0xc4, 0   },
        {0,    0   },
        {0x0f, 0xb2},
        {0xc5, 0   },
        {0x0f, 0xb4},
        {0x0f, 0xb5}
    };
    const uint8_t *from = forms[insn->op].bytes;
    unsigned len = forms[insn->op].len;

    if (insn->op == DO_POP || insn->op == DO_LOAD_FAR) {
        from = (insn->op == DO_POP ? pops : loads)[insn->seg];
        len = from[1] ? 2 : 1;
    }
    memcpy(to, from, len);
    if (insn->op == DO_LOAD_FAR)
        to[len++] = 0x15; /* EDX, [disp32] */
    if (insn->op == DO_MOV_REG || insn->op == DO_MOV_MEM)
        to[1] |= (uint8_t)(insn->seg << 3);
    return len;
}

void seg_insn_encode(struct seg_insn *insn, uint8_t *to, bool code16)
{
    unsigned len = 0;

    if ((insn->size == 2) != code16)
        to[len++] = 0x66;
    if (code16)
        to[len++] = 0x67;
    len += put_opcode(insn, to + len);
    switch (forms[insn->op].tail) {
    case TAIL_NONE: break;
    case TAIL_DISP:
        memcpy(to + len, &insn->at, 4);
        len += 4;
        break;
    case TAIL_FAR:
        memcpy(to + len, &insn->offset, insn->size);
        len += insn->size;
        memcpy(to + len, &insn->selector, 2);
        len += 2;
        break;
    case TAIL_IMM8: to[len++] = (uint8_t)insn->imm; break;
    case TAIL_IMM16:
        memcpy(to + len, &insn->imm, 2);
        len += 2;
        break;
    }
    insn->len = len;
    to[len] = 0xf4; /* hlt */
}
