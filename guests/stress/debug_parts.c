/* SPDX-License-Identifier: MIT */
/*
 * Parts of a program: the stack, jumps, interrupts, faults, flags, ports.
 */
#include "debug_code.h"
#include "lib/cpu.h"
#include "lib/lib.h"
#include "stress.h"

enum { DEPTH_MAX = 600 };

void part_pushes(void)
{
    for (uint32_t n = 1 + random_below(7); n && put_depth() < DEPTH_MAX; n--) {
        switch (random_below(8)) {
        case 0: put_pushes(PUT(OP_PLAIN, "\x6A\x7B"), 4); break;
        case 1: put_pushes(PUT(OP_PLAIN, "\x66\x50"), 2); break; /* push ax */
        case 2: put_pushes(PUT(OP_PLAIN, "\x60"), 32); break;    /* pushad */
        case 3: {
            uint32_t at = put_address(4);
            struct op *op = PUT(OP_PLAIN, "\xFF\x35"); /* push [at] */

            put_u32(at);
            put_touch(op, AT_ADDRESS, at, 4, false);
            put_pushes(op, 4);
            break;
        }
        default: put_pushes(PUT(OP_PLAIN, "\x51"), 4); break; /* push ecx */
        }
    }
}

void part_pops(void)
{
    for (uint32_t n = 1 + random_below(7); n && put_depth() >= 8; n--) {
        if (one_in(6)) {
            uint32_t at = put_address(4);
            struct op *op = PUT(OP_PLAIN, "\x8F\x05"); /* pop [at] */

            put_u32(at);
            put_pops(op, 4);
            put_touch(op, AT_ADDRESS, at, 4, true);
        } else if (one_in(6)) {
            put_pops(PUT(OP_PLAIN, "\x66\x59"), 2); /* pop cx */
        } else {
            put_pops(PUT(OP_PLAIN, "\x59"), 4); /* pop ecx */
        }
    }
}

/* call 1f; jmp 2f; 1: ret; 2: */
void part_call(void)
{
    uint32_t first = put_in->ops;

    put_pushes(PUT(OP_PLAIN, "\xE8\x02\0\0\0"), 4);
    PUT(OP_PLAIN, "\xEB\x01");
    put_pops(PUT(OP_PLAIN, "\xC3"), 4);
    put_in->op[first].goes = (uint16_t)(first + 2);
    put_in->op[first + 1].goes = (uint16_t)(first + 3);
    put_in->op[first + 2].goes = (uint16_t)(first + 1);
}

/* push behind; ret; behind: */
void part_return(void)
{
    put_pushes(PUT(OP_PLAIN, "\x68"), 4);
    put_u32(put_here() + 4 + 1);
    put_pops(PUT(OP_PLAIN, "\xC3"), 4);
}

/* mov dword [at], behind; jmp or call [at]; behind: */
void part_jump(void)
{
    uint32_t at = put_address(4);
    bool call = one_in(2);
    struct op *op;

    op = PUT(OP_PLAIN, "\xC7\x05");
    put_u32(at);
    put_u32(put_here() + 4 + 6);
    put_touch(op, AT_ADDRESS, at, 4, true);
    op = put_bytes(OP_PLAIN, call ? "\xFF\x15" : "\xFF\x25", 2);
    put_u32(at);
    put_touch(op, AT_ADDRESS, at, 4, false);
    if (call)
        put_pushes(op, 4);
}

/* enter 8, 0; leave */
void part_frame(void)
{
    struct op *op;

    op = PUT(OP_PLAIN, "\xC8\x08\0\0");
    put_touch(op, AT_STACK, put_esp - 4, 4, true);
    op->esp = -12;
    op = PUT(OP_PLAIN, "\xC9");
    put_touch(op, AT_STACK, put_esp - 4, 4, false);
    op->esp = 12;
}

void part_interrupt(void)
{
    switch (random_below(4)) {
    case 0: PUT(OP_SOFT, "\xCC")->vector = EXC_BP; break;
    case 1:
        PUT(OP_PLAIN, "\xB0\x7F"); /* mov al, 7Fh */
        PUT(OP_PLAIN, "\x04\x01"); /* add al, 1 */
        PUT(OP_SOFT, "\xCE")->vector = EXC_OF;
        break;
    default: PUT(OP_SOFT, "\xCD\x81")->vector = VECTOR_CALL; break;
    }
}

void part_fault(void)
{
    struct op *op;

    switch (random_below(3)) {
    case 0: PUT(OP_SKIPPED, "\x0F\x0B")->vector = EXC_UD; break;
    case 1:
        PUT(OP_PLAIN, "\x31\xC9"); /* xor ecx, ecx */
        PUT(OP_SKIPPED, "\xF7\xF1")->vector = EXC_DE;
        break;
    default:
        put_mov(EAX, 0xFFF8);
        op = PUT(OP_SKIPPED, "\x8E\xD8"); /* mov ds, ax */
        op->vector = EXC_GP;
        op->error = 0xFFF8;
        break;
    }
}

/* Change the flags in the image on the stack's top. */
static void put_change(uint32_t clear, uint32_t set)
{
    struct op *op;

    op = PUT(OP_PLAIN, "\x81\x24\x24"); /* and dword [esp], imm32 */
    put_u32(~clear);
    put_touch(op, AT_STACK, put_esp, 4, true);
    op = PUT(OP_PLAIN, "\x81\x0C\x24"); /* or dword [esp], imm32 */
    put_u32(set);
    put_touch(op, AT_STACK, put_esp, 4, true);
}

/* POPF and IRET, of TF and RF; POPF clears RF whatever the image (SDM Vol.2B
 * "POPF"). */
void part_flags(void)
{
    uint32_t tf = one_in(2) ? EF_TF : 0;
    uint32_t rf = one_in(3) ? EF_RF : 0;
    bool iret = one_in(2);
    struct op *op;

    put_pushes(PUT(OP_PLAIN, "\x9C"), 4); /* pushfd */
    put_change(EF_TF, tf | rf);
    if (iret) {
        put_pushes(PUT(OP_PLAIN, "\x0E"), 4); /* push cs */
        put_pushes(PUT(OP_PLAIN, "\x68"), 4);
        put_u32(put_here() + 4 + 1);
        op = PUT(OP_FLAGS, "\xCF");
        put_pops(op, 12);
        op->set = rf;
    } else {
        op = PUT(OP_FLAGS, "\x9D");
        put_pops(op, 4);
    }
    op->clear = EF_TF;
    op->set |= tf;
}

/* QEMU takes no trap behind STI. */
void part_if(void)
{
    struct op *op;

    if (put_may_touch_if() && on_tcg)
        return;
    if (put_may_touch_if()) {
        PUT(OP_FLAGS, "\xFA")->clear = EF_IF;
        op = PUT(OP_FLAGS, "\xFB");
        op->clear = op->set = EF_IF;
        PUT(OP_PLAIN, "\x90");
    } else {
        op = PUT(OP_SKIPPED, "\xFA");
        op->vector = EXC_GP;
    }
}

/* mov [at], esp; mov [at + 4], ss; lss esp, [at]: there is no shadow behind LSS
 * (SDM Vol.3A "Masking Exceptions and Interrupts When Switching Stacks"); in QEMU
 * there is one. */
void part_lss(void)
{
    uint32_t at = put_address(6);
    struct op *op;

    if (on_tcg)
        return;
    op = PUT(OP_PLAIN, "\x89\x25");
    put_u32(at);
    put_touch(op, AT_ADDRESS, at, 4, true);
    op = PUT(OP_PLAIN, "\x8C\x15");
    put_u32(at + 4);
    put_touch(op, AT_ADDRESS, at + 4, 2, true);
    op = PUT(OP_PLAIN, "\x0F\xB2\x25");
    put_u32(at);
    put_touch(op, AT_ADDRESS, at, 6, false);
}

/* What follows is within the shadow. */
void part_ss(void)
{
    struct op *op;
    uint32_t at;

    if (one_in(2)) {
        PUT(OP_PLAIN, "\x8C\xD0");   /* mov eax, ss */
        PUT(OP_LOAD_SS, "\x8E\xD0"); /* mov ss, eax */
    } else {
        put_pushes(PUT(OP_PLAIN, "\x16"), 4);
        put_pops(PUT(OP_LOAD_SS, "\x17"), 4);
    }
    at = DEBUG_DATA + PAGE - random_below(12);
    switch (random_below(3)) {
    case 0: PUT(OP_PLAIN, "\x90"); break;
    case 1: put_pushes(PUT(OP_PLAIN, "\x50"), 4); break;
    default:
        op = PUT(OP_PLAIN, "\xA3");
        put_u32(at);
        put_touch(op, AT_ADDRESS, at, 4, true);
    }
}

void part_port(void)
{
    static const char *const bytes[] = {"\xEC", "\xED", "\x66\xED",
                                        "\xEE", "\xEF", "\x66\xEF"};
    static const uint8_t sizes[] = {1, 4, 2, 1, 4, 2};
    uint32_t i = random_below(6);
    uint32_t port = DEBUG_PORT + random_below(8);

    if (!put_may_touch_if())
        return;
    put_mov(EDX, port);
    put_touch(put_bytes(OP_PLAIN, bytes[i], strlen(bytes[i])), AT_PORT, port,
              sizes[i], false);
}

void part_dr7(void)
{
    bool gd = one_in(2) && !on_tcg; /* which does not know DR7.GD */
    char mov[3] = {0x0F, 0x21, 0};
    uint32_t value = debug_random_dr7() | (gd ? DR7_GD : 0);

    if (put_in->user)
        return;
    put_mov(EAX, value);
    PUT(OP_SET_DR7, "\x0F\x23\xF8")->dr7 = value;
    if (!gd)
        return;
    PUT(OP_PLAIN, "\x90");
    mov[2] = (char)(0xC0 | random_below(4) << 3);
    put_bytes(OP_READ_DR, mov, sizeof(mov));
}
