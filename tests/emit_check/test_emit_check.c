/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emit_check/stage.h"
#include "tests/suite/suite.h"

/*
 * Planted offences: the checker refuses host code that lets the guest out, and
 * says why; next to each kind stands code that it takes.
 *
 * A row is put behind nothing and before an exit, as the code of one guest
 * instruction.
 */
#define GIP      0x12345400u
#define CODE(s)  (const uint8_t *)(s), sizeof(s) - 1
#define NOWHERE  0x1000 /* from the glue */
#define NOP      CODE("\x90")
#define MOV      CODE("\x8b\x03") /* mov eax, [ebx] */
#define STORE    CODE("\x89\x03") /* mov [ebx], eax */
#define ADD      CODE("\x01\xd8") /* add eax, ebx */
#define MOVSD    CODE("\xa5")
#define BTS      CODE("\x0f\xab\x03") /* bts [ebx], eax */
#define PUSHF    CODE("\x9c")
#define CLI      CODE("\xfa")
#define RET      CODE("\xc3")
#define JMP      CODE("\xff\xe0") /* jmp eax */
#define FLAT     0u
#define LEA_R8   "\x44\x8d\x03" /* lea r8d, [rbx] */
#define LEA_R10  "\x45\x8d\x50" /* lea r10d, [r8 + n] */
#define CALL     "\xe8\0\0\0\0"
#define WINDOWED "\x4a\x8d\x74\x2e\0\x4a\x8d\x7c\x2f\0"
#define NARROW   "\x89\xf6\x89\xff" /* mov esi, esi; mov edi, edi */

enum to { TO_NONE, TO_LOAD, TO_STORE, TO_USER, TO_EXIT, TO_NOWHERE };

static const char memory[] = "memory that it must not touch";
static const char foreign[] = "a foreign instruction";
static const char monitors[] = "a register of the monitor";
static const char wide[] = "a 64-bit operation";
static const char nowhere[] = "a branch to nowhere";
static const char no_site[] = "a call without a return site";

static const struct row {
    const char *name;
    const uint8_t *guest;
    size_t guest_len;
    const uint8_t *code;
    size_t len;
    const char *why; /* NULL: it is taken */
    uint32_t mode;
    uint8_t rel_at; /* offset of a rel32, to: */
    uint8_t to;     /* enum to */
} rows[] = {
  /* clang-format off */
    {"nothing", NOP, CODE(""), NULL, FLAT, 0, 0},
    {"window", MOV, CODE("\x65\x67\x8b\x03"), NULL, FLAT, 0, 0},
    {"window, 64-bit address", MOV, CODE("\x65\x8b\x03"), memory, FLAT, 0, 0},
    {"window, RIP", MOV, CODE("\x65\x67\x8b\x05\0\0\0\0"), memory, FLAT, 0, 0},
    {"window in soft code", MOV, CODE("\x65\x67\x8b\x03"), memory, MODE_SOFT, 0, 0},
    {"no window", MOV, CODE("\x8b\x03"), memory, FLAT, 0, 0},
    {"32 bits, no window", MOV, CODE("\x67\x8b\x03"), memory, FLAT, 0, 0},
    {"fs", MOV, CODE("\x64\x67\x8b\x03"), memory, FLAT, 0, 0},
    {"RIP", MOV, CODE("\x8b\x05\0\0\0\0"), memory, FLAT, 0, 0},
    {"absolute", MOV, CODE("\x8b\x04\x25\0\0\0\0"), memory, FLAT, 0, 0},
    {"host stack", MOV, CODE("\x8b\x44\x24\x08"), memory, FLAT, 0, 0},

    {"vcpu, eflags", PUSHF, CODE("\x45\x8b\x4f\x24"), NULL, FLAT, 0, 0},
    {"vcpu, eflags, a store", PUSHF, CODE("\x41\x89\x47\x24"), memory, FLAT, 0, 0},
    {"vcpu, eflags, wide", PUSHF, CODE("\x4d\x8b\x4f\x24"), memory, FLAT, 0, 0},
    {"vcpu, between fields", PUSHF, CODE("\x45\x8b\x4f\x25"), memory, FLAT, 0, 0},
    {"vcpu, another field", MOV, CODE("\x41\x8b\x47\x20"), memory, FLAT, 0, 0},
    {"vcpu, indexed", MOV, CODE("\x41\x8b\x44\x07\x24"), memory, FLAT, 0, 0},
    {"vcpu, 32-bit address", MOV, CODE("\x67\x41\x8b\x47\x24"), memory, FLAT, 0, 0},
    {"vcpu, arithmetic", ADD, CODE("\x41\x03\x47\x24"), memory, FLAT, 0, 0},
    {"IF with IOPL", CLI, CODE("\x41\xc6\x47\x28\0"), NULL, MODE_IF, 0, 0},
    {"IF without IOPL", CLI, CODE("\x41\xc6\x47\x28\0"), memory, FLAT, 0, 0},

    {"table, and code behind", JMP, CODE("\x41\x89\xc0\x45\x0f\xb7\xc8\x43\xff\x24\xce"), "code that nothing leads to", FLAT, 0, 0},
    {"table, too far", JMP, CODE("\x41\x89\xc0\x41\xff\xa6\0\0\x08\0"), memory, FLAT, 0, 0},
    {"table, between entries", JMP, CODE("\x41\x89\xc0\x41\xff\x66\x01"), memory, FLAT, 0, 0},
    {"table, any index", JMP, CODE("\x41\x89\xc0\x41\xff\x24\xc6"), memory, FLAT, 0, 0},
    {"table, no target", JMP, CODE("\x41\xff\x66\x08"), "left for an address that is not in r8d", FLAT, 0, 0},
    {"table, a load", MOV, CODE("\x41\x8b\x06"), memory, FLAT, 0, 0},
    {"jmp to a register", JMP, CODE("\xff\xe0"), "left for an address that is not in r8d", FLAT, 0, 0},
    {"jmp through the window", JMP, CODE("\x65\x67\xff\x20"), "another form of a branch", FLAT, 0, 0},

    {"rsp", NOP, CODE("\x48\x89\xc4"), monitors, FLAT, 0, 0},
    {"esp", ADD, CODE("\x01\xc4"), monitors, FLAT, 0, 0},
    {"spl", CODE("\x00\xe0"), CODE("\x40\x00\xe0"), monitors, FLAT, 0, 0},
    {"r13", NOP, CODE("\x4c\x8d\x28"), monitors, FLAT, 0, 0},
    {"r14", NOP, CODE("\x49\x89\xc6"), monitors, FLAT, 0, 0},
    {"r15", NOP, CODE("\x41\x89\xc7"), monitors, FLAT, 0, 0},
    {"r15, a byte", NOP, CODE("\x41\xb7\x01"), monitors, FLAT, 0, 0},
    {"a copy to r9", ADD, CODE("\x41\x01\xc1"), monitors, FLAT, 0, 0},
    {"a segment", NOP, CODE("\x8e\xd8"), monitors, FLAT, 0, 0},
    {"a control register", NOP, CODE("\x0f\x22\xd8"), monitors, FLAT, 0, 0},

    {"r13, read", NOP, CODE("\x44\x89\xe8"), monitors, FLAT, 0, 0},
    {"r15, stored", PUSHF, CODE("\x4d\x89\x7f\x50"), monitors, FLAT, 0, 0},
    {"r14, in an address", NOP, CODE("\x41\x8d\x46\x01"), monitors, FLAT, 0, 0},
    {"r13, for no string", NOP, CODE("\x42\x8d\x44\x28\0"), monitors, FLAT, 0, 0},

    {"call far", JMP, CODE("\x41\x89\xc0\x41\xff\x5e\x08"), "another form of a branch", FLAT, 0, 0},
    {"jmp far", JMP, CODE("\x41\x89\xc0\x41\xff\x6e\x08"), "another form of a branch", FLAT, 0, 0},
    {"jmp of 16 bits", JMP, CODE("\x41\x89\xc0\x66\x41\xff\x66\x08"), "another form of a branch", FLAT, 0, 0},
    {"ret", RET, CODE("\x41\x89\xc0\xc3"), "code that nothing leads to", FLAT, 0, 0},
    {"ret far", RET, CODE("\x41\x89\xc0\xcb"), "another form of a branch", FLAT, 0, 0},
    {"ret n", RET, CODE("\x41\x89\xc0\xc2\x08\0"), "another form of a branch", FLAT, 0, 0},
    {"pop of 16 bits", PUSHF, CODE("\x9c\x66\x41\x58"), "another form of a branch", FLAT, 0, 0},

    {"push", CODE("\x50"), CODE("\x50"), foreign, FLAT, 0, 0},
    {"pop", CODE("\x58"), CODE("\x58"), foreign, FLAT, 0, 0},
    {"popf", CODE("\x9d"), CODE("\x9d"), foreign, FLAT, 0, 0},
    {"pop in pushf", PUSHF, CODE("\x41\x58"), "a pop of what was not pushed", FLAT, 0, 0},
    {"pushf", PUSHF, CODE("\x9c\x41\x58"), NULL, FLAT, 0, 0},
    {"pushf without pop", PUSHF, CODE("\x9c"), "left with a value on the host call stack", FLAT, 0, 0},
    {"syscall", CODE("\x0f\x05"), CODE("\x0f\x05"), foreign, FLAT, 0, 0},
    {"sysenter", CODE("\x0f\x34"), CODE("\x0f\x34"), foreign, FLAT, 0, 0},
    {"int 80h", CODE("\xcd\x80"), CODE("\xcd\x80"), foreign, FLAT, 0, 0},
    {"int3", CODE("\xcc"), CODE("\xcc"), foreign, FLAT, 0, 0},
    {"iret", CODE("\xcf"), CODE("\xcf"), foreign, FLAT, 0, 0},
    {"ret far", CODE("\xcb"), CODE("\xcb"), foreign, FLAT, 0, 0},
    {"in", CODE("\xec"), CODE("\xec"), foreign, FLAT, 0, 0},
    {"outsb", CODE("\x6e"), CODE("\x6e"), foreign, FLAT, 0, 0},
    {"hlt", CODE("\xf4"), CODE("\xf4"), foreign, FLAT, 0, 0},
    {"cli", CLI, CODE("\xfa"), foreign, MODE_IF, 0, 0},
    {"cpuid", CODE("\x0f\xa2"), CODE("\x0f\xa2"), foreign, FLAT, 0, 0},
    {"rdmsr", CODE("\x0f\x32"), CODE("\x0f\x32"), foreign, FLAT, 0, 0},
    {"rdtsc", CODE("\x0f\x31"), CODE("\x0f\x31"), NULL, MODE_TSC, 0, 0},
    {"rdtsc that faults", CODE("\x0f\x31"), CODE("\x0f\x31"), foreign, FLAT, 0, 0},
    {"sgdt", CODE("\x0f\x01\x03"), CODE("\x65\x67\x0f\x01\x03"), foreign, FLAT, 0, 0},
    {"wrgsbase", NOP, CODE("\xf3\x48\x0f\xae\xd8"), foreign, FLAT, 0, 0},
    {"swapgs", NOP, CODE("\x0f\x01\xf8"), foreign, FLAT, 0, 0},
    {"xbegin", NOP, CODE("\xc7\xf8\0\0\0\0"), foreign, FLAT, 0, 0},
    {"wrpkru", NOP, CODE("\x0f\x01\xef"), foreign, FLAT, 0, 0},
    {"ret", NOP, CODE("\xc3"), foreign, FLAT, 0, 0},
    {"not the guest's", ADD, CODE("\x29\xd8"), foreign, FLAT, 0, 0},
    {"x87 that faults", CODE("\xd9\xe8"), CODE("\xd9\xe8"), foreign, FLAT, 0, 0},
    {"x87", CODE("\xd9\xe8"), CODE("\xd9\xe8"), NULL, MODE_X87, 0, 0},
    {"AVX", CODE("\x0f\x28\xc1"), CODE("\xc5\xf8\x28\xc1"), foreign, MODE_X87 | MODE_SSE, 0, 0},
    {"wide addition", ADD, CODE("\x48\x01\xd8"), wide, FLAT, 0, 0},
    {"bytes", NOP, CODE("\x06"), "bytes behind it that are no instruction", FLAT, 0, 0},

    {"copy", ADD, CODE("\x01\xd8"), NULL, FLAT, 0, 0},
    {"copy of another", ADD, CODE("\x01\xc8"), "another operand", FLAT, 0, 0},
    {"copy, twice", ADD, CODE("\x01\xd8\x01\xd8"), "the guest's instruction again", FLAT, 0, 0},
    {"no copy", ADD, CODE(""), "the guest's instruction is missing", FLAT, 0, 0},
    {"lost lock", CODE("\xf0\x01\x03"), CODE("\x65\x67\x01\x03"), "another form", FLAT, 0, 0},
    {"another address", CODE("\x01\x03"), CODE("\x65\x67\x01\x43\x01"), "another operand", FLAT, 0, 0},

    {"a way out without record", NOP, CODE("\xe9\0\0\0\0"), "left without an exit record", FLAT, 1, TO_EXIT},
    {"a way elsewhere", NOP, CODE("\xe9\0\0\0\0"), nowhere, FLAT, 1, TO_NOWHERE},
    {"a condition that leaves", NOP, CODE("\x67\xe3\x7f"), nowhere, FLAT, 0, 0},
    {"a call elsewhere", NOP, CODE(CALL), no_site, FLAT, 1, TO_NOWHERE},
    {"into itself", NOP, CODE("\xeb\xff"), "a branch into an instruction", FLAT, 0, 0},
    {"dead code", NOP, CODE("\xeb\x02\x89\xc0"), "code that nothing leads to", FLAT, 0, 0},
    {"a wide guest register", NOP, CODE("\x48\x8d\x44\x18\0"), "left with a guest register that is not zero-extended", FLAT, 0, 0},
    {"perhaps wide", NOP, CODE("\x67\xe3\x05\x48\x8d\x44\x18\0"), "left with a guest register that is not zero-extended", FLAT, 0, 0},

    {"soft load", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x8b\0"), NULL, FLAT, 8, TO_LOAD},
    {"soft store", STORE, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x89\0"), NULL, FLAT, 8, TO_STORE},
    {"soft load, no probe", MOV, CODE(LEA_R8 LEA_R10 "\x03\x41\x8b\0"), memory, FLAT, 0, 0},
    {"soft load, too long", MOV, CODE(LEA_R8 LEA_R10 "\x02" CALL "\x41\x8b\0"), memory, FLAT, 8, TO_LOAD},
    {"soft load, beside", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x8b\x40\x01"), memory, FLAT, 8, TO_LOAD},
    {"soft load, indexed", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x8b\x04\0"), memory, FLAT, 8, TO_LOAD},
    {"soft store, probed to load", STORE, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x89\0"), memory, FLAT, 8, TO_LOAD},
    {"soft load, then r8 moves", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL LEA_R8 "\x41\x8b\0"), memory, FLAT, 8, TO_LOAD},
    {"soft load, r8 moves before", MOV, CODE(LEA_R8 LEA_R10 "\x03\x41\x89\xc0" CALL "\x41\x8b\0"), "a look-up of no number of bytes", FLAT, 11, TO_LOAD},
    {"soft load, wide address", MOV, CODE("\x4c\x8d\x44\x18\0" LEA_R10 "\x03" CALL "\x41\x8b\0"), "left for an address that is not in r8d", FLAT, 10, TO_LOAD},
    {"soft load, probed on one path", MOV, CODE(LEA_R8 LEA_R10 "\x03\x67\xe3\x05" CALL "\x41\x8b\0"), memory, FLAT, 11, TO_LOAD},
    {"soft load, probed for another", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x8b\x01"), memory, FLAT, 8, TO_LOAD},
    {"soft load of a user, by the kernel's probe", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x8b\0"), no_site, MODE_USER, 8, TO_LOAD},
    {"soft load of the kernel, by the user's", MOV, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x8b\0"), no_site, FLAT, 8, TO_USER},
    {"soft bit string", BTS, CODE(LEA_R8 LEA_R10 "\x03" CALL "\x41\x0f\xab\0"), memory, FLAT, 8, TO_STORE},

    {"string", MOVSD, CODE(WINDOWED "\xa5" NARROW), NULL, FLAT, 0, 0},
    {"string without window", MOVSD, CODE("\xa5"), memory, FLAT, 0, 0},
    {"string, half a window", MOVSD, CODE("\x4a\x8d\x74\x2e\0\xa5" NARROW), memory, FLAT, 0, 0},
    {"string, left wide", MOVSD, CODE(WINDOWED "\xa5"), "left with a guest register that is not zero-extended", FLAT, 0, 0},
    {"window twice", MOVSD, CODE(WINDOWED WINDOWED "\xa5" NARROW), memory, FLAT, 0, 0},
    {"load at the window", MOV, CODE("\x4a\x8d\x74\x2e\0\x8b\x06\x89\xf6"), memory, FLAT, 0, 0},
  /* clang-format on */
};

_Static_assert(offsetof(struct vcpu, eflags) == 0x24 &&
                   offsetof(struct vcpu, if_flag) == 0x28,
               "rows name them");

static struct stage stage;
static struct emit_check *check;

static void setup(void)
{
    stage_init(&stage, true);
    check = emit_check_create(&stage.config);
    ck_assert_ptr_nonnull(check);
}

static void teardown(void)
{
    emit_check_destroy(check);
    stage_fini(&stage);
}

/* A CCF made by hand. */
struct made {
    struct ccf ccf;
    struct ccf_exit exit;
    struct ccf_point point;
    uint32_t return_site;
    uint8_t code[128];
};

static uint64_t address_of(const struct made *made, enum to to)
{
    const struct xlat_glue *glue = &stage.config.glue;

    switch (to) {
    case TO_NONE: return made->ccf.start;
    case TO_LOAD: return glue->probe[0][0];
    case TO_STORE: return glue->probe[0][1];
    case TO_USER: return glue->probe[1][0];
    case TO_EXIT: return glue->exit;
    case TO_NOWHERE: return glue->exit + NOWHERE;
    }
    return 0;
}

static void set_rel32(struct made *made, uint32_t at, uint64_t target)
{
    uint32_t rel = (uint32_t)(target - (made->ccf.start + at + 4));

    memcpy(made->code + at, &rel, sizeof(rel));
}

/* mov r9, exit; jmp exit stub */
static void append_exit(struct made *made)
{
    const uint64_t record = (uint64_t)(uintptr_t)&made->exit;
    uint8_t *at = made->code + made->ccf.host_len;

    memcpy(at, "\x49\xb9", 2);
    memcpy(at + 2, &record, sizeof(record));
    at[10] = 0xe9;
    set_rel32(made, made->ccf.host_len + 11, stage.config.glue.exit);
    made->ccf.host_len += 15;
}

static void make(struct made *made, const struct row *row)
{
    memset(made, 0, sizeof(*made));
    made->ccf = (struct ccf){
        .gip = GIP,
        .mode = row->mode,
        .source = {{.start = GIP & PAGE_MASK,
                    .end = (uint32_t)((GIP & PAGE_MASK) + row->guest_len),
                    .bytes = (uint8_t *)(uintptr_t)row->guest}},
        .source_count = 1,
        .insn_count = 1,
        .host_len = (uint32_t)row->len,
        .points = &made->point,
        .point_count = 1,
        .exits = &made->exit,
        .exit_count = 1,
        .return_sites = &made->return_site};
    made->ccf.start = made->ccf.entry = made->ccf.body =
        stage.config.glue.exit + 2 * TC_GLUE_LEN;
    made->exit = (struct ccf_exit){
        .ccf = &made->ccf, .kind = EXIT_STEP, .target = GIP + 1};
    made->point.flags = strncmp(row->name, "soft", 4) == 0 ? POINT_SOFT : 0;
    memcpy(made->code, row->code, row->len);
    if (row->rel_at)
        set_rel32(made, row->rel_at, address_of(made, row->to));
    append_exit(made);
}

START_TEST(planted_code_is_taken_or_refused_for_its_own_reason)
{
    const struct row *row = &rows[_i];
    struct made made;

    make(&made, row);
    const char *why = emit_check_ccf(check, &made.ccf, made.code, 0);

    if (row->why == NULL && why != NULL)
        ck_abort_msg("%s: refused: %s", row->name, why);
    if (row->why != NULL && (why == NULL || strcmp(why, row->why) != 0))
        ck_abort_msg("%s: %s, not %s", row->name, why ? why : "taken",
                     row->why);
}
END_TEST

static void refused(struct made *made, const char *expected)
{
    const char *why = emit_check_ccf(check, &made->ccf, made->code, 0);

    ck_assert_pstr_eq(why, expected);
}

static const struct row nothing = {"nothing", NOP, CODE(""), NULL, 0, 0, 0};

START_TEST(tables_lead_to_instructions)
{
    struct made made;

    make(&made, &nothing);
    refused(&made, NULL);
    made.exit.resume_offset = 1;
    refused(&made, "a way in between instructions");
    make(&made, &nothing);
    made.point.host_offset = 1;
    refused(&made, "a point in an instruction");
    make(&made, &nothing);
    made.point.gip_offset = 1;
    refused(&made, "a point outside of the source");
    make(&made, &nothing);
    made.ccf.return_count = 1;
    made.return_site = 11;
    refused(&made, "a way in between instructions");
}
END_TEST

START_TEST(an_exit_is_of_the_code_and_of_a_kind_that_code_has)
{
    struct made made;
    struct made other;

    make(&made, &nothing);
    make(&other, &nothing);
    made.exit.ccf = &other.ccf;
    refused(&made, "an exit record of another kind");
    make(&made, &nothing);
    made.exit.kind = EXIT_EXC;
    refused(&made, "an exit record of another kind");
    make(&made, &nothing);
    memcpy(made.code, other.code, 10);
    refused(&made, "left without an exit record");
}
END_TEST

START_TEST(what_chaining_patches_is_a_branch)
{
    struct made made;

    make(&made, &nothing);
    made.exit.kind = EXIT_JUMP;
    made.exit.rel_offset = 11;
    refused(&made, NULL);
    made.exit.rel_offset = 10;
    refused(&made, "a chain that patches no branch");
    made.exit.rel_offset = 2;
    refused(&made, "a chain that patches no branch");
    made.exit.rel_offset = 11;
    made.exit.kind = EXIT_CALL;
    refused(&made, "a chain of another kind");
}
END_TEST

START_TEST(death_overwrites_no_way_in)
{
    static const struct row back = {
        "back", CODE("\x75\xfe"), CODE("\x89\xc0\x89\xc0\x75\xfc"), NULL, 0, 0,
        0};
    struct made made;

    make(&made, &back); /* the branch leads behind the first MOV */
    refused(&made, "a way in that death overwrites");
}
END_TEST

START_TEST(a_comparison_stays_within_the_source)
{
    /* mov r11, 1000h; mov r10d, [r11 + n] */
    static const struct row compare = {
        "compare",
        CODE("\x90\x90\x90\x90"),
        CODE("\x49\xbb\0\x10\0\0\0\0\0\0\x45\x8b\x53\0"),
        NULL,
        MODE_CHECKED,
        0,
        0};
    struct made made;

    make(&made, &compare);
    made.ccf.checked = true;
    ck_assert_pstr_eq(emit_check_ccf(check, &made.ccf, made.code, 0x1000),
                      NULL);
    ck_assert_pstr_eq(emit_check_ccf(check, &made.ccf, made.code, 0xfff),
                      memory);
    made.code[13] = 1;
    ck_assert_pstr_eq(emit_check_ccf(check, &made.ccf, made.code, 0x1000),
                      memory);
}
END_TEST

/* A function with one byte of it changed. */
static const char *changed(struct emit_function function, uint32_t at,
                           bool probe)
{
    uint8_t code[128];

    ck_assert_uint_lt(function.len, sizeof(code));
    memcpy(code, function.code, function.len);
    code[at] ^= 4;
    function.code = code;
    return probe ? emit_check_probe(check, &function)
                 : emit_check_limit(check, &function);
}

/* The 32-bit displacement of the first instruction with this opcode and ModRM. */
static uint32_t find(const struct emit_function *function, uint8_t opcode,
                     uint8_t modrm)
{
    for (uint32_t i = 0; i + 2 < function->len; i++)
        if (function->code[i] == opcode && function->code[i + 1] == modrm)
            return i + 2;
    ck_abort_msg("no such instruction");
    return 0;
}

START_TEST(a_probe_reads_its_own_table)
{
    const struct emit_function *probe = &stage.functions[0];
    uint32_t tags = find(probe, 0x8b, 0x8c) + 1;

    ck_assert_pstr_eq(emit_check_probe(check, probe), NULL);
    ck_assert_pstr_eq(changed(*probe, tags, true), memory);
    ck_assert_pstr_eq(changed(*probe, tags + 1, true), memory);
}
END_TEST

START_TEST(a_limit_check_reads_its_own_segment)
{
    const struct emit_function *limit = &stage.functions[stage.probe_count];
    struct emit_function other = *limit;

    ck_assert_pstr_eq(emit_check_limit(check, limit), NULL);
    other.seg++;
    ck_assert_pstr_eq(emit_check_limit(check, &other), memory);
    other = *limit;
    other.write = !other.write;
    ck_assert_pstr_eq(emit_check_limit(check, &other), memory);
    other = *limit;
    other.away += 8;
    ck_assert_pstr_eq(emit_check_limit(check, &other), nowhere);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("planted");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase,
                        planted_code_is_taken_or_refused_for_its_own_reason, 0,
                        ARRAY_COUNT(rows));
    tcase_add_test(tcase, tables_lead_to_instructions);
    tcase_add_test(tcase, an_exit_is_of_the_code_and_of_a_kind_that_code_has);
    tcase_add_test(tcase, what_chaining_patches_is_a_branch);
    tcase_add_test(tcase, death_overwrites_no_way_in);
    tcase_add_test(tcase, a_comparison_stays_within_the_source);
    tcase_add_test(tcase, a_probe_reads_its_own_table);
    tcase_add_test(tcase, a_limit_check_reads_its_own_segment);
    return run_case(tcase, "emit_check");
}
