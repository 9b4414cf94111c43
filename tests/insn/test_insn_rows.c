/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/suite/suite.h"
#include "tests/unit/emu_cpu/machine.h"

/*
 * Run the rows of *.tst: one instruction each, on the interpreter. README.md
 * describes their form. Whatever a row does not mention must stay as it was:
 * every register, the defined flags, both pages of memory.
 */
#define MAX_ROWS 4000u
#define ROW_EIP  (MACHINE_CODE + 0x800)

static char *rows[MAX_ROWS];
static unsigned row_count;

struct state {
    uint32_t regs[REG_COUNT];
    uint32_t flags;
    uint32_t eip;
    bool has_eip;
    bool code16;
    int vector; /* -1: none */
    uint32_t error;
};

static struct machine *m;
static uint8_t *expected_ram;

static const char *const reg_names[REG_COUNT] = {"eax", "ecx", "edx", "ebx",
                                                 "esp", "ebp", "esi", "edi"};

static uint32_t parse_flags(const char *letters)
{
    static const char names[] = "ODSZAPC";
    static const uint32_t bits[] = {FLAG_OF, FLAG_DF, FLAG_SF, FLAG_ZF,
                                    FLAG_AF, FLAG_PF, FLAG_CF};
    uint32_t flags = 0;

    for (; *letters != '\0' && *letters != '-'; letters++) {
        const char *at = strchr(names, *letters);

        ck_assert_msg(at != NULL, "no flag %s", letters);
        flags |= bits[at - names];
    }
    return flags;
}

static bool parse_register(struct state *state, const char *token,
                           uint32_t value)
{
    for (unsigned i = 0; i < REG_COUNT; i++) {
        if (strncmp(token, reg_names[i], 3) == 0) {
            state->regs[i] = value;
            return true;
        }
    }
    return false;
}

/* One word of a row's in or out part: name=hex, f=letters or [address]=hex. */
static void parse_token(struct state *state, uint8_t *ram, const char *token)
{
    const char *equals = strchr(token, '=');
    uint32_t value;

    if (strcmp(token, "code16") == 0) {
        state->code16 = true;
        return;
    }
    ck_assert_msg(equals != NULL, "bad token %s", token);
    value = (uint32_t)strtoul(equals + 1, NULL, 16);
    if (token[0] == '[') {
        memcpy(ram + strtoul(token + 1, NULL, 16), &value, sizeof(value));
    } else if (strncmp(token, "f=", 2) == 0) {
        state->flags = parse_flags(token + 2);
    } else if (strncmp(token, "eip=", 4) == 0) {
        state->eip = value;
        state->has_eip = true;
    } else if (strncmp(token, "exc=", 4) == 0) {
        state->vector = (int)value;
    } else if (strncmp(token, "err=", 4) == 0) {
        state->error = value;
    } else {
        ck_assert_msg(parse_register(state, token, value), "bad token %s",
                      token);
    }
}

static void parse_part(struct state *state, uint8_t *ram, char *text)
{
    char *save = NULL;

    for (char *token = strtok_r(text, " ", &save); token != NULL;
         token = strtok_r(NULL, " ", &save))
        parse_token(state, ram, token);
}

static size_t parse_bytes(char *text, uint8_t *bytes)
{
    char *save = NULL;
    size_t len = 0;

    for (char *token = strtok_r(text, " ", &save); token != NULL;
         token = strtok_r(NULL, " ", &save))
        bytes[len++] = (uint8_t)strtoul(token, NULL, 16);
    return len;
}

static struct insn decode_row(const uint8_t *bytes, size_t len, bool code16)
{
    struct insn_mode mode = {BIT(FEAT_COUNT) - 1, !code16};
    struct insn in = {0};

    ck_assert_int_le(insn_decode(&in, mode, bytes, len), INSN_UD);
    return in;
}

static void start_machine(const struct state *state)
{
    struct vcpu *vcpu = &m->vcpu;

    memcpy(vcpu->regs, state->regs, sizeof(vcpu->regs));
    vcpu->eflags = state->flags | FLAG_ONE;
    vcpu->eip = ROW_EIP;
    if (state->code16) {
        vcpu->seg[SEG_CS].attr &= ~SEG_DB;
        vcpu->seg[SEG_CS].limit = 0xffff;
        vcpu->seg[SEG_CS].base = vcpu->seg_base[SEG_CS] = MACHINE_CODE;
        vcpu->eip = ROW_EIP - MACHINE_CODE;
    }
}

static void compare(const char *row, const struct state *want,
                    const struct insn *in)
{
    uint32_t undefined =
        in->flags_undefined | insn_undefined_flags((enum insn_op)in->op);
    uint32_t mask = (FLAGS_ARITH | FLAG_DF) & ~undefined;

    for (unsigned i = 0; i < REG_COUNT; i++)
        ck_assert_msg(m->vcpu.regs[i] == want->regs[i], "%s: %s is %x", row,
                      reg_names[i], m->vcpu.regs[i]);
    ck_assert_msg(((m->vcpu.eflags ^ want->flags) & mask) == 0,
                  "%s: flags are %x, not %x", row, m->vcpu.eflags & mask,
                  want->flags & mask);
    ck_assert_msg(m->vcpu.eip == want->eip, "%s: eip is %x", row, m->vcpu.eip);
    ck_assert_msg(memcmp(m->ram + MACHINE_DATA, expected_ram + MACHINE_DATA,
                         PAGE_SIZE) == 0,
                  "%s: data differs", row);
    ck_assert_msg(memcmp(m->ram + (MACHINE_STACK & ~PAGE_MASK),
                         expected_ram + (MACHINE_STACK & ~PAGE_MASK),
                         PAGE_SIZE) == 0,
                  "%s: stack differs", row);
}

static void compare_exception(const char *row, const struct state *want,
                              enum vcpu_exit reason)
{
    if (want->vector < 0) {
        ck_assert_msg(reason == VCPU_EXIT_BUDGET, "%s: exit %d, vector %u", row,
                      (int)reason, m->vcpu.exc.vector);
        return;
    }
    ck_assert_msg(reason == VCPU_EXIT_EXC, "%s: no exception", row);
    ck_assert_msg(m->vcpu.exc.vector == want->vector, "%s: vector is %u", row,
                  m->vcpu.exc.vector);
    ck_assert_msg(m->vcpu.exc.error == want->error, "%s: error is %x", row,
                  m->vcpu.exc.error);
}

START_TEST(a_row_holds)
{
    char *text = strdup(rows[_i]);
    char *name = text;
    char *bytes = strchr(name, ';') + 1;
    char *in_part = strchr(bytes, ';') + 1;
    char *out_part = strstr(in_part, "=>") + 2;
    struct state state = {.vector = -1};
    enum vcpu_exit reason;
    struct insn in;
    uint8_t code[16];
    uint32_t start_eip;
    size_t len;

    bytes[-1] = in_part[-1] = out_part[-2] = '\0';
    len = parse_bytes(bytes, code);
    state.regs[REG_ESP] = MACHINE_STACK;
    parse_part(&state, m->ram, in_part);
    in = decode_row(code, len, state.code16);
    machine_put(m, ROW_EIP, code, len);
    memcpy(expected_ram, m->ram, MACHINE_RAM);
    start_machine(&state);
    start_eip = m->vcpu.eip;
    reason = interp_step(m->interp);
    parse_part(&state, expected_ram, out_part);
    if (!state.has_eip)
        state.eip = start_eip + (state.vector < 0 ? (uint32_t)len : 0);
    compare_exception(rows[_i], &state, reason);
    compare(rows[_i], &state, &in);
    free(text);
}
END_TEST

static void setup(void)
{
    m = machine_create();
    expected_ram = malloc(MACHINE_RAM);
    ck_assert_ptr_nonnull(expected_ram);
}

static void teardown(void)
{
    free(expected_ram);
    machine_destroy(m);
}

static void load_rows(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];

    ENSURE(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        ENSURE(row_count < MAX_ROWS);
        rows[row_count++] = strdup(line);
    }
    fclose(file);
}

/* The arguments are the files of rows. */
int main(int argc, char **argv)
{
    Suite *suite = suite_create("insn");
    TCase *tcase = tcase_create("rows");
    int status;

    for (int i = 1; i < argc; i++)
        load_rows(argv[i]);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_row_holds, 0, (int)row_count);
    suite_add_tcase(suite, tcase);
    status = run_suite(suite);
    for (unsigned i = 0; i < row_count; i++)
        free(rows[i]);
    return row_count ? status : EXIT_FAILURE;
}
