/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/vcpu.h"
#include "tests/suite/suite.h"
#include "translator/xlat.h"

/*
 * Golden tests: README.md beside this file says how they read.
 */
#define GIP      0x10000u
#define TEXT_LEN (1u << 20)

static const char *const files[] = {"move",    "arith",   "stack",
                                    "control", "string",  "system",
                                    "fpu",     "segment", "checked"};
static bool update;
static uint8_t page[PAGE_SIZE]; /* the guest's code */

#define FS_GS \
    (MODE_SEG(SEG_FS, SEG_KIND_BASED) | MODE_SEG(SEG_GS, SEG_KIND_BASED))
#define SEGMENTS                                                             \
    (MODE_SEG(SEG_DS, SEG_KIND_LIMITED) | MODE_SEG(SEG_SS, SEG_KIND_BASED) | \
     MODE_SEG(SEG_ES, SEG_KIND_DOWN) | MODE_SEG(SEG_FS, SEG_KIND_LIMITED))

static const struct {
    const char *name;
    uint32_t mode;
    bool soft;
} kinds[] = {
    {"plain",   MODE_X87 | MODE_SSE | FS_GS | MODE_TSC | MODE_IF,   false},
    {"user",    MODE_X87 | MODE_SSE | FS_GS | MODE_USER,            false},
    {"count",   FS_GS | MODE_X87 | MODE_SSE | MODE_COUNT | MODE_IF, false},
    {"nofpu",   FS_GS | MODE_IF,                                    false},
    {"sixteen", MODE_STACK16 | MODE_CODE16 | MODE_IF,               false},
    {"segs",    MODE_X87 | MODE_SSE | SEGMENTS | MODE_IF,           false},
    {"soft",    MODE_X87 | MODE_SSE | FS_GS | MODE_IF,              true },
    {"checked", FS_GS | MODE_IF | MODE_CHECKED,                     false},
    {"young",   FS_GS | MODE_USER | MODE_COUNT | MODE_SOFT,         false},
};

/* Invented offsets, so that the text does not depend on struct vcpu. */
static const struct xlat_layout layout = {
    .eflags = 0x10,
    .if_flag = 0x18,
    .irq_line = 0x19,
    .seg_base = 0x20,
    .seg = 0x100,
    .sti_gip = 0x68,
    .seg_check = 0x200,
    .retired = 0x40,
    .user_memops = 0x48,
    .user_memops_soft = 0x50,
    .soft_tlb = 0x1000,
    .soft_pc = 0x58,
    .held = 0x60,
};

static const struct {
    const char *offset;
    const char *name;
} fields[] = {
    {"[r15+0x10]",  "[vcpu.eflags]"  },
    {"[r15+0x18]",  "[vcpu.if_flag]" },
    {"[r15+0x19]",  "[vcpu.irq_line]"},
    {"[r15+0x30]",  "[vcpu.fs_base]" },
    {"[r15+0x34]",  "[vcpu.gs_base]" },
    {"[r15+0x40]",  "[vcpu.retired]" },
    {"[r15+0x60]",  "[vcpu.held]"    },
    {"[r15+0x68]",  "[vcpu.sti_gip]" },
    {"[r15+0x14C]", "[vcpu.fs]"      },
    {"[r15+0x13C]", "[vcpu.ds]"      },
    {"[r15+0x20]",  "[vcpu.es_base]" },
    {"[r15+0x28]",  "[vcpu.ss_base]" },
    {"[r15+0x2C]",  "[vcpu.ds_base]" },
};

/* ---- Text ---- */

struct text {
    char *at;
    size_t len;
};

static void PRINTF_LIKE(2, 3) put(struct text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    t->len += (size_t)vsnprintf(t->at + t->len, TEXT_LEN - t->len, fmt, args);
    va_end(args);
    ENSURE(t->len < TEXT_LEN);
}

static char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), GOLDEN_DIR "/%s.golden", name);
    return path;
}

static char *read_golden(const char *name)
{
    char *text = calloc(1, TEXT_LEN);
    FILE *file = fopen(path_of(name), "r");

    ck_assert_msg(file != NULL, "%s", path_of(name));
    ck_assert_uint_lt(fread(text, 1, TEXT_LEN - 1, file), TEXT_LEN - 1);
    fclose(file);
    return text;
}

static void write_golden(const char *name, const struct text *t)
{
    FILE *file = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(t->at, 1, t->len, file), t->len);
    fclose(file);
}

/* ---- Translating ---- */

static struct tc *tc;
static struct stats stats;
static struct xlat_glue glue;

static void no_frame(void *opaque, gfn_t gfn)
{
    (void)opaque, (void)gfn;
}

static void no_region(void *opaque)
{
    (void)opaque;
}

static bool is_soft(void *opaque, gfn_t gfn, uint32_t offset)
{
    (void)gfn, (void)offset;
    return *(bool *)opaque;
}

static struct ccf *translate(uint32_t mode, bool soft)
{
    struct xlat_request request = {
        .gip = GIP, .mode = mode, .cs_limit = UINT32_MAX, .page = {page}};
    struct xlat_config config = {.tc = tc,
                                 .stats = &stats,
                                 .features = UINT32_MAX,
                                 .glue = glue,
                                 .layout = layout,
                                 .has_bmi2 = true,
                                 .opaque = &soft,
                                 .is_soft = is_soft};
    struct xlat *xlat;
    struct ccf *ccf;

    ck_assert_int_eq(xlat_create(&xlat, &config), 0);
    ccf = xlat_tu(xlat, &request);
    ck_assert_ptr_nonnull(ccf);
    xlat_destroy(xlat);
    return ccf;
}

/* ---- Printing ---- */

/* check_ds_load and kin. */
static void put_check(struct text *t, unsigned which)
{
    static const char *const seg[] = {"es", "cs", "ss", "ds", "fs", "gs"};

    put(t, "check_%s_%s%s", seg[which / 4], which & 1 ? "store" : "load",
        which & 2 ? "_down" : "");
}

static void put_address(struct text *t, const struct ccf *ccf, uint64_t to)
{
    if (to == glue.exit)
        put(t, "exit");
    else if (to == glue.miss)
        put(t, "miss");
    else if (to == glue.lookup)
        put(t, "lookup");
    else if (to == glue.probe[0][0] || to == glue.probe[1][0])
        put(t, "load_probe");
    else if (to == glue.probe[0][1] || to == glue.probe[1][1])
        put(t, "store_probe");
    else if (to >= glue.check[0][0][0] &&
             to < glue.check[0][0][0] + SEG_COUNT * 4)
        put_check(t, (unsigned)(to - glue.check[0][0][0]));
    else if (to - ccf->start < ccf->host_len)
        put(t, "+%llx", (unsigned long long)(to - ccf->body));
    else
        put(t, "?");
}

static void put_record(struct text *t, const struct ccf_exit *exit)
{
    static const char *const kind[] = {[EXIT_JUMP] = "jump",
                                       [EXIT_CALL] = "call",
                                       [EXIT_STEP] = "step",
                                       [EXIT_CHANGED] = "changed"};

    put(t, "mov r9, record: %s %x", kind[exit->kind], exit->target);
    if (exit->resume_offset)
        put(t, ", resume +%llx",
            (unsigned long long)(exit->ccf->start + exit->resume_offset -
                                 exit->ccf->body));
}

static void put_named(struct text *t, const char *text)
{
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        const char *at = strstr(text, fields[i].offset);

        if (at) {
            put(t, "%.*s%s%s", (int)(at - text), text, fields[i].name,
                at + strlen(fields[i].offset));
            return;
        }
    }
    put(t, "%s", text);
}

/* One host instruction; its length. */
static size_t put_host(struct text *t, const struct ccf *ccf, uint64_t at)
{
    const uint8_t *code = mcode_rw(tc_mcode(tc), at);
    size_t len = ccf->start + ccf->host_len - at;
    const char *hex;
    char text[96];

    len = insn_format_host(code, len, at, text, sizeof(text));
    put(t, "        %3llx  ", (unsigned long long)(at - ccf->body));
    for (uint32_t i = 0; i < ccf->exit_count; i++)
        if (len == 10 &&
            !memcmp(code + 2, &(uint64_t){(uintptr_t)&ccf->exits[i]}, 8)) {
            put_record(t, &ccf->exits[i]);
            put(t, "\n");
            return len;
        }
    if (len == 10 && !memcmp(code + 2, &(uint64_t){(uintptr_t)page}, 8)) {
        put(t, "mov r11, source\n");
        return len;
    }
    hex = strstr(text, " 0x0000");
    if (hex && text[0] != 'm') {
        put(t, "%.*s ", (int)(hex - text), text);
        put_address(t, ccf, strtoull(hex, NULL, 16));
    } else {
        put_named(t, text);
    }
    put(t, "\n");
    return len;
}

static void put_guest(struct text *t, const struct ccf *ccf, uint32_t offset)
{
    const struct insn_mode mode = {.features = UINT32_MAX,
                                   .code32 = !(ccf->mode & MODE_CODE16)};
    struct insn in;
    char text[96] = "(undefined)";

    if (insn_decode(&in, mode, page + offset, INSN_MAX_LEN) == INSN_OK)
        insn_format(&in, GIP + offset, mode.code32, text, sizeof(text));
    put(t, "    %s\n", text);
}

/* Skip the INT3 behind the case. */
static void put_ccf(struct text *t, const struct ccf *ccf, size_t guest_len)
{
    uint64_t stubs = ccf->start + ccf->host_len;
    uint32_t shown = UINT32_MAX;

    for (uint32_t i = 0; i < ccf->exit_count; i++)
        if (ccf->exits[i].stub_offset &&
            ccf->start + ccf->exits[i].stub_offset < stubs)
            stubs = ccf->start + ccf->exits[i].stub_offset;
    for (uint64_t at = ccf->body; at < ccf->start + ccf->host_len;) {
        bool exact = false;
        const struct ccf_point *p = ccf_find_point(ccf, at, &exact);

        if (at == stubs)
            put(t, "    leave:\n");
        if (p && exact && p->gip_offset != shown && p->gip_offset < guest_len)
            put_guest(t, ccf, shown = p->gip_offset);
        if (p && p->gip_offset >= guest_len && at < stubs) {
            char text[96];

            at += insn_format_host(mcode_rw(tc_mcode(tc), at), 16, at, text,
                                   sizeof(text));
        } else {
            at += put_host(t, ccf, at);
        }
    }
}

/* ---- Cases ---- */

/* A line "kind: bytes" and its translation. */
static void put_case(struct text *t, const char *line)
{
    const char *at = strchr(line, ':');
    unsigned kind = 0;
    size_t count = 0;
    char *end;

    ck_assert_ptr_nonnull(at);
    while (strncmp(kinds[kind].name, line, (size_t)(at - line)) != 0)
        ck_assert_msg(++kind < ARRAY_COUNT(kinds), "%s", line);
    memset(page, 0xcc, sizeof(page));
    for (at++;; at = end) {
        unsigned long value = strtoul(at, &end, 16);

        if (end == at)
            break;
        page[count++] = (uint8_t)value;
    }
    ck_assert_msg(count > 0, "%s", line);
    put(t, "%s\n", line);
    put_ccf(t, translate(kinds[kind].mode, kinds[kind].soft), count);
}

static void setup(void)
{
    const struct tc_host host = {.frame_empty = no_frame,
                                 .region_evicted = no_region};
    struct tc_stubs stubs;

    ck_assert_int_eq(tc_create(&tc, TC_MIN_LEN, &stats, &host), 0);
    glue.exit = (uint64_t)(uintptr_t)tc_mcode(tc)->rx;
    glue.miss = glue.exit + 16;
    glue.lookup = glue.exit + 32;
    glue.probe[0][0] = glue.exit + 48;
    glue.probe[0][1] = glue.exit + 64;
    glue.probe[1][0] = glue.exit + 80;
    glue.probe[1][1] = glue.exit + 96;
    for (unsigned i = 0; i < SEG_COUNT * 4; i++)
        glue.check[i / 4][i & 1][i >> 1 & 1] = glue.exit + 112 + i;
    stubs = (struct tc_stubs){glue.miss, glue.lookup};
    tc_set_stubs(tc, &stubs);
}

static void teardown(void)
{
    tc_destroy(tc);
}

START_TEST(host_code_is_what_the_golden_file_says)
{
    char *golden = read_golden(files[_i]);
    char *copy = strdup(golden);
    struct text t = {.at = calloc(1, TEXT_LEN)};
    char *rest = copy;

    for (char *line; (line = strsep(&rest, "\n"));)
        if (line[0] != ' ' && line[0] != '\0')
            put_case(&t, line);
    if (update)
        write_golden(files[_i], &t);
    else
        ck_assert_msg(strcmp(t.at, golden) == 0,
                      "%s differs; see --update in README.md:\n%s",
                      path_of(files[_i]), t.at);
    free(t.at);
    free(copy);
    free(golden);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("xlat");
    TCase *tcase = tcase_create("golden");

    update = argc == 2 && strcmp(argv[1], "--update") == 0;
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, host_code_is_what_the_golden_file_says, 0,
                        ARRAY_COUNT(files));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
