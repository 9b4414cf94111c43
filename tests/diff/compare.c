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

/* The parts of the FXSAVE image that instructions can see. The instruction and
 * operand pointers are not compared: which ones the CPU keeps differs between
 * makers (AMD: only with an exception pending). */
static const struct {
    const char *name;
    uint16_t offset;
    uint16_t len;
} fpu_parts[] = {
    {"FCW",   0,   2 },
    {"FSW",   2,   2 },
    {"FTW",   4,   1 },
    {"MXCSR", 24,  4 },
    {"ST0",   32,  10},
    {"ST1",   48,  10},
    {"ST2",   64,  10},
    {"ST3",   80,  10},
    {"ST4",   96,  10},
    {"ST5",   112, 10},
    {"ST6",   128, 10},
    {"ST7",   144, 10},
    {"XMM0",  160, 16},
    {"XMM1",  176, 16},
    {"XMM2",  192, 16},
    {"XMM3",  208, 16},
    {"XMM4",  224, 16},
    {"XMM5",  240, 16},
    {"XMM6",  256, 16},
    {"XMM7",  272, 16},
};

static void add_bytes(struct report *report, const uint8_t *bytes, unsigned len)
{
    for (unsigned i = len; i > 0; i--)
        add(report, "%02x", bytes[i - 1]);
}

static void compare_fpu(struct report *report, const uint8_t *host,
                        const uint8_t *guest)
{
    for (size_t i = 0; i < ARRAY_COUNT(fpu_parts); i++) {
        unsigned offset = fpu_parts[i].offset;
        unsigned len = fpu_parts[i].len;

        if (memcmp(host + offset, guest + offset, len) == 0)
            continue;
        add(report, "  %s: host ", fpu_parts[i].name);
        add_bytes(report, host + offset, len);
        add(report, ", interpreter ");
        add_bytes(report, guest + offset, len);
        add(report, "\n");
    }
}

bool outcomes_agree(const struct diff_case *test,
                    const struct diff_outcome *host,
                    const struct diff_outcome *guest, char *text,
                    size_t text_len)
{
    static const char *const names[REG_COUNT] = {"EAX", "ECX", "EDX", "EBX",
                                                 "ESP", "EBP", "ESI", "EDI"};
    struct report report = {text, text_len, 0};
    uint32_t flags = COMPARED_FLAGS & ~case_undefined_flags(test);

    compare32(&report, "vector", (uint32_t)host->vector,
              (uint32_t)guest->vector);
    compare32(&report, "error code", host->error, guest->error);
    compare32(&report, "CR2", host->cr2, guest->cr2);
    for (unsigned i = 0; i < REG_COUNT; i++)
        compare32(&report, names[i], host->after.regs[i], guest->after.regs[i]);
    compare32(&report, "EIP", host->after.eip, guest->after.eip);
    compare32(&report, "EFLAGS", host->after.eflags & flags,
              guest->after.eflags & flags);
    compare_fpu(&report, host->after.fpu, guest->after.fpu);
    return report.used == 0;
}

/* Bytes of a stored x87 environment that hold the instruction and operand
 * pointers, for the same reason as above. */
static void forget_pointers(const struct diff_case *test,
                            struct diff_host *host, struct diff_guest *guest)
{
    const char *name = insn_name((enum insn_op)test->insn.op);
    bool is_env = strcmp(name, "fnstenv") == 0 || strcmp(name, "fnsave") == 0;
    bool is_fxsave = strcmp(name, "fxsave") == 0;
    bool wide = test->insn.operand_size == 4;
    uint32_t from = is_fxsave ? 6 : wide ? 12 : 6;
    uint32_t to = is_fxsave ? 24 : wide ? 28 : 14;
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
