/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create */
#include "emu/cpu/fpu_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu/cpu/fpu_native.h"

/*
 * A stub is the guest's instruction and a RET:
 *
 *   [66|F2|F3] [0F [38|3A]] opcode modrm [imm8] C3
 *
 * Only the mandatory prefix is kept: segments, address size and redundant
 * prefixes mean nothing here, and in 64-bit mode the operand size of the x87
 * and MMX/SSE forms is the same without them. The memory operand becomes [rdi],
 * the general register eax; ST, MM and XMM numbers stay. That leaves at most
 * seven bytes, so that a stub is a 64-bit word and the word is its own key:
 * the table of stubs is an open hash of words, and what runs is the word.
 *
 * A word is written once. When a probe sequence is full, the whole table is
 * dropped. Either way the new code is executed only after serialisation.
 */
#define STUB_COUNT 8192u
#define PROBES     8u
#define TABLE_LEN  (STUB_COUNT * sizeof(uint64_t))

#define MODRM_MOD 0xc0u
#define MODRM_REG 0x38u
#define MODRM_RM  0x07u

#define HOST_RET     0xc3
#define HOST_RM_MEM  7u /* mod 0: [rdi] */
#define HOST_REG_EAX 0u

struct fpu_code {
    uint64_t *stubs;       /* the read-write view */
    const uint64_t *entry; /* the read-execute view */
};

static bool has_general_register(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_REG && !in->operand[i].hidden)
            return true;
    return false;
}

/* Is the general register in ModRM.reg? CVT(T)xx2SI, MOVMSKPx, PEXTRW and
 * PMOVMSKB; all others have it in ModRM.rm. */
static bool is_register_in_reg(const struct insn *in)
{
    static const uint8_t opcodes[] = {0x2c, 0x2d, 0x50, 0xc5, 0xd7};

    return in->map == 1 && memchr(opcodes, in->opcode, sizeof(opcodes));
}

static uint8_t stub_modrm(const struct insn *in)
{
    uint8_t modrm = in->modrm;

    if ((modrm & MODRM_MOD) != MODRM_MOD)
        modrm = (uint8_t)((modrm & MODRM_REG) | HOST_RM_MEM);
    if (!has_general_register(in))
        return modrm;
    if (is_register_in_reg(in))
        return (uint8_t)(modrm & ~MODRM_REG) | HOST_REG_EAX;
    if ((modrm & MODRM_MOD) == MODRM_MOD)
        return (uint8_t)(modrm & ~MODRM_RM) | HOST_REG_EAX;
    return modrm;
}

static uint64_t stub_of(const struct insn *in)
{
    uint8_t bytes[8] = {0};
    unsigned len = 0;
    uint64_t stub;

    if (in->mandatory != 0)
        bytes[len++] = in->mandatory;
    if (in->map >= 1)
        bytes[len++] = 0x0f;
    if (in->map >= 2)
        bytes[len++] = in->map == 2 ? 0x38 : 0x3a;
    bytes[len++] = in->opcode;
    if (in->has_modrm)
        bytes[len++] = stub_modrm(in);
    if (in->imm_len == 1)
        bytes[len++] = in->bytes[in->imm_offset];
    bytes[len] = HOST_RET;
    memcpy(&stub, bytes, sizeof(stub));
    return stub;
}

static const void *stub_add(struct fpu_code *code, unsigned slot, uint64_t stub)
{
    code->stubs[slot] = stub;
    fpu_native_serialize();
    return &code->entry[slot];
}

const void *fpu_code_find(struct fpu_code *code, const struct insn *in)
{
    uint64_t stub = stub_of(in);
    unsigned first = (unsigned)((stub * 0x9e3779b97f4a7c15ull) >> 40);

    for (unsigned i = 0; i < PROBES; i++) {
        unsigned slot = (first + i) % STUB_COUNT;

        if (LIKELY(code->stubs[slot] == stub))
            return &code->entry[slot];
        if (code->stubs[slot] == 0)
            return stub_add(code, slot, stub);
    }
    memset(code->stubs, 0, TABLE_LEN);
    return stub_add(code, first % STUB_COUNT, stub);
}

static int map_views(struct fpu_code *code, int fd)
{
    void *view;

    if (ftruncate(fd, (off_t)TABLE_LEN) < 0)
        return -errno;
    view = mmap(NULL, TABLE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (view == MAP_FAILED)
        return -errno;
    code->stubs = view;
    view = mmap(NULL, TABLE_LEN, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (view == MAP_FAILED)
        return -errno;
    code->entry = view;
    return 0;
}

int fpu_code_create(struct fpu_code **out)
{
    struct fpu_code *code = calloc(1, sizeof(*code));
    int err;
    int fd;

    if (code == NULL)
        return -ENOMEM;
    fd = memfd_create("popf-fpu", MFD_CLOEXEC);
    err = fd < 0 ? -errno : map_views(code, fd);
    if (fd >= 0)
        close(fd);
    if (err != 0) {
        fpu_code_destroy(code);
        return err;
    }
    *out = code;
    return 0;
}

void fpu_code_destroy(struct fpu_code *code)
{
    if (code == NULL)
        return;
    if (code->entry != NULL)
        munmap((void *)(uintptr_t)code->entry, TABLE_LEN);
    if (code->stubs != NULL)
        munmap(code->stubs, TABLE_LEN);
    free(code);
}
