/* SPDX-License-Identifier: MIT */
#include "tests/diff/diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COMPARED_FLAGS \
    (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_NT | FLAG_IOPL | FLAG_TF)

/* A report that is cut off at the end of its buffer. */
struct report {
    char *text;
    size_t len;
    size_t used;
};

PRINTF_LIKE(2, 3)
static void add(struct report *report, const char *fmt, ...)
{
    va_list ap;
    int count;

    va_start(ap, fmt);
    count = vsnprintf(report->text + report->used, report->len - report->used,
                      fmt, ap);
    va_end(ap);
    if (count > 0)
        report->used += (size_t)count;
    if (report->used >= report->len)
        report->used = report->len - 1;
}

static void compare32(struct report *report, const char *name, uint32_t host,
                      uint32_t guest)
{
    if (host != guest)
        add(report, "  %s: host %08x, interpreter %08x\n", name, host, guest);
}

#define MXCSR_OFFSET 24
#define MXCSR_OE_UE  0x18u
#define MXCSR_PE     0x20u
#define MXCSR_FLAGS  0x3fu
#define XMM_OFFSET   160

/* The parts of the FXSAVE image that instructions can see. The instruction and
 * operand pointers are not compared: which ones the CPU keeps differs between
 * makers (AMD: only with an exception pending). */
static const struct {
    const char *name;
    uint16_t offset;
    uint16_t len;
} fpu_parts[] = {
    {"FCW",  0,   2 },
    {"FSW",  2,   2 },
    {"FTW",  4,   1 },
    {"ST0",  32,  10},
    {"ST1",  48,  10},
    {"ST2",  64,  10},
    {"ST3",  80,  10},
    {"ST4",  96,  10},
    {"ST5",  112, 10},
    {"ST6",  128, 10},
    {"ST7",  144, 10},
    {"XMM0", 160, 16},
    {"XMM1", 176, 16},
    {"XMM2", 192, 16},
    {"XMM3", 208, 16},
    {"XMM4", 224, 16},
    {"XMM5", 240, 16},
    {"XMM6", 256, 16},
    {"XMM7", 272, 16},
};

static void add_bytes(struct report *report, const uint8_t *bytes, unsigned len)
{
    for (unsigned i = len; i > 0; i--)
        add(report, "%02x", bytes[i - 1]);
}

/* What a fault leaves of MXCSR's flags: with unmasked overflow or underflow, is
 * the inexact result flagged as well? And after a fault in a product of DPPS,
 * are its sums? Makers differ. */
static uint32_t mxcsr_of(const struct diff_case *test,
                         const struct diff_outcome *outcome)
{
    bool is_dot_product =
        test->insn.map == 3 && (test->insn.opcode & 0xfe) == 0x40;
    uint32_t value;

    memcpy(&value, outcome->after.fpu + MXCSR_OFFSET, sizeof(value));
    if (outcome->vector != EXC_XM)
        return value;
    if (is_dot_product)
        return value & ~MXCSR_FLAGS;
    return value & ~(value >> 7) & MXCSR_OE_UE ? value & ~MXCSR_PE : value;
}

/* A faulting instruction with an MMX operand: has it entered the MMX state
 * (FTW, TOP)? Makers differ. */
static bool is_mmx_fault(const struct diff_case *test, int vector)
{
    const struct insn *in = &test->insn;

    if (vector == DIFF_NO_FAULT)
        return false;
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MM)
            return true;
    return false;
}

static void compare_fpu(struct report *report, const struct diff_case *test,
                        const struct diff_outcome *host_outcome,
                        const struct diff_outcome *guest_outcome)
{
    const uint8_t *host = host_outcome->after.fpu;
    const uint8_t *guest = guest_outcome->after.fpu;
    bool skip_x87 = is_mmx_fault(test, host_outcome->vector);

    compare32(report, "MXCSR", mxcsr_of(test, host_outcome),
              mxcsr_of(test, guest_outcome));

    for (size_t i = 0; i < ARRAY_COUNT(fpu_parts); i++) {
        unsigned offset = fpu_parts[i].offset;
        unsigned len = fpu_parts[i].len;

        if (skip_x87 && offset < XMM_OFFSET)
            continue;
        if (memcmp(host + offset, guest + offset, len) == 0)
            continue;
        add(report, "  %s: host ", fpu_parts[i].name);
        add_bytes(report, host + offset, len);
        add(report, ", interpreter ");
        add_bytes(report, guest + offset, len);
        add(report, "\n");
    }
}

/* FRSTOR and kin: in which order their parts are accessed is not defined. */
static bool has_large_operand(const struct diff_case *test)
{
    const struct insn *in = &test->insn;

    return in->has_mem && in->operand[0].kind == OPERAND_MEM &&
           in->operand[0].size == 0;
}

/* The host kernel's IRET clears the RPL of a null selector. */
static uint16_t comparable_selector(uint16_t selector)
{
    return selector <= 3 ? 0 : selector;
}

bool outcomes_agree(const struct diff_case *test,
                    const struct diff_outcome *host,
                    const struct diff_outcome *guest, char *text,
                    size_t text_len)
{
    static const char *const names[REG_COUNT] = {"EAX", "ECX", "EDX", "EBX",
                                                 "ESP", "EBP", "ESI", "EDI"};
    static const char *const segment_names[SEG_COUNT] = {"ES", "CS", "SS",
                                                         "DS", "FS", "GS"};
    struct report report = {text, text_len, 0};
    uint32_t cr2_mask = has_large_operand(test) ? ~PAGE_MASK : ~0u;
    uint32_t flags = COMPARED_FLAGS & ~case_undefined_flags(test);

    compare32(&report, "vector", (uint32_t)host->vector,
              (uint32_t)guest->vector);
    compare32(&report, "error code", host->error, guest->error);
    compare32(&report, "CR2", host->cr2 & cr2_mask, guest->cr2 & cr2_mask);
    for (unsigned i = 0; i < REG_COUNT; i++)
        compare32(&report, names[i], host->after.regs[i], guest->after.regs[i]);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (i != SEG_FS)
            compare32(&report, segment_names[i],
                      comparable_selector(host->after.seg[i]),
                      comparable_selector(guest->after.seg[i]));
    compare32(&report, "EIP", host->after.eip, guest->after.eip);
    compare32(&report, "EFLAGS", host->after.eflags & flags,
              guest->after.eflags & flags);
    compare_fpu(&report, test, host, guest);
    return report.used == 0;
}

/* Bytes of a stored x87 state that hold the instruction and operand pointers,
 * which are not compared for the same reason as above; after those of FXSAVE
 * comes MXCSR_MASK, the CPU's own. */
static void forget_pointers(const struct diff_case *test,
                            struct diff_host *host, struct diff_guest *guest)
{
    const char *name = insn_name((enum insn_op)test->insn.op);
    bool is_env = strcmp(name, "fnstenv") == 0 || strcmp(name, "fnsave") == 0;
    bool is_fxsave = strcmp(name, "fxsave") == 0;
    bool wide = test->insn.operand_size == 4;
    uint32_t from = is_fxsave ? 6 : wide ? 12 : 6;
    uint32_t to = is_fxsave ? 32 : wide ? 28 : 14;
    uint32_t address = test->operand.address;

    if (!is_env && !is_fxsave)
        return;
    for (uint32_t at = address + from; at < address + to; at++) {
        int region = region_of(at);
        uint32_t offset;

        if (region < 0)
            continue;
        offset = at - diff_regions[region].address;
        guest_memory(guest, (unsigned)region)[offset] =
            host_memory(host, (unsigned)region)[offset];
    }
}

bool memories_agree(const struct diff_case *test, struct diff_host *host,
                    struct diff_guest *guest, char *text, size_t text_len)
{
    struct report report = {text, text_len, 0};

    forget_pointers(test, host, guest);
    for (unsigned i = 0; i < DIFF_REGION_COUNT; i++) {
        uint32_t size = diff_regions[i].page_count * PAGE_SIZE;
        const uint8_t *a = host_memory(host, i);
        uint8_t *b = guest_memory(guest, i);

        if (!diff_regions[i].writable || memcmp(a, b, size) == 0)
            continue;
        for (uint32_t at = 0; at < size; at++)
            if (a[at] != b[at])
                add(&report, "  [%08x]: host %02x, interpreter %02x\n",
                    diff_regions[i].address + at, a[at], b[at]);
        memcpy(b, a, size);
    }
    return report.used == 0;
}
