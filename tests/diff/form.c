/* SPDX-License-Identifier: MIT */
#include "tests/diff/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Forms are found, not written down: every opcode of the four maps, with every
 * ModRM reg field and both kinds of rm, under every prefix that selects another
 * instruction or operand size, is decoded and filed under the op that it is.
 * Whatever the table accepts is therefore drawn from, the aliases included.
 */

/* What to put in front of an opcode. Ignored prefixes make no new form. */
static const struct {
    uint8_t bytes[2];
    uint8_t len;
} prefix_sets[] = {
    {{0},          0},
    {{0x66},       1},
    {{0xf2},       1},
    {{0xf3},       1},
    {{0x66, 0xf2}, 2},
    {{0x66, 0xf3}, 2},
    {{0x67},       1},
};

static const struct {
    uint8_t bytes[2];
    uint8_t len;
} maps[] = {
    {{0},          0},
    {{0x0f},       1},
    {{0x0f, 0x38}, 2},
    {{0x0f, 0x3a}, 2}
};

struct form {
    uint8_t prefix_set;
    uint8_t map;
    uint8_t opcode;
    uint8_t modrm; /* a memory form has only its reg field */
    bool has_modrm;
};

struct form_list {
    struct form *form;
    size_t count;
    size_t room;
};

struct diff_forms {
    struct form_list list[OP_COUNT];
};

static const struct insn_mode mode = {BIT(FEAT_COUNT) - 1, true};

/* Instructions that cannot be compared with a process of the host. */
static const struct {
    const char *name;
    const char *reason;
} exemptions[] = {
    {"cpuid",    "its values are the guest's own"                      },
    {"rdtsc",    "its value is the time"                               },
    {"rdpmc",    "CR4.PCE is the host kernel's choice"                 },
    {"sysenter", "enters the host kernel"                              },
    {"sysexit",  "privileged, but #UD in AMD's compatibility mode"     },
    {"sgdt",     "UMIP: the host kernel emulates it"                   },
    {"sidt",     "UMIP: the host kernel emulates it"                   },
    {"sldt",     "UMIP: the host kernel emulates it"                   },
    {"smsw",     "UMIP: the host kernel emulates it"                   },
    {"str",      "UMIP: the host kernel emulates it"                   },
    {"lfs",      "FS is the C library's in the host"                   },
    {"int",      "80h enters the host kernel, and gates are its choice"},
    {"int1",     "its #DB is the debugger's"                           },
};

const char *forms_exemption(enum insn_op op)
{
    for (size_t i = 0; i < ARRAY_COUNT(exemptions); i++)
        if (strcmp(insn_name(op), exemptions[i].name) == 0)
            return exemptions[i].reason;
    return NULL;
}

/* FS is the C library's in the host. */
static bool loads_fs(const struct insn *in)
{
    return in->operand[0].kind == OPERAND_SEG && in->operand[0].written &&
           in->operand[0].index == SEG_FS;
}

/* The guest has no BMI1 and LZCNT, the host has. */
static bool differs_by_feature(const struct insn *in)
{
    if (in->op != OP_BSF && in->op != OP_BSR)
        return false;
    return memchr(in->bytes, 0xf3, in->prefix_len) != NULL;
}

static bool is_usable(const struct insn *in)
{
    return !loads_fs(in) && !differs_by_feature(in);
}

static bool is_prefix_or_escape(uint8_t byte)
{
    static const uint8_t bytes[] = {0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64,
                                    0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};

    return memchr(bytes, byte, sizeof(bytes)) != NULL;
}

/* Does the prefix set make another instruction than a shorter one does? */
static bool prefixes_count(const struct insn *in, unsigned prefix_set)
{
    bool repeats =
        in->rep != REP_NONE || in->mandatory == 0xf2 || in->mandatory == 0xf3;
    bool sized = in->operand_size == 2 || in->mandatory == 0x66;

    switch (prefix_set) {
    case 0: return true;
    case 1: return sized;
    case 2:
    case 3: return repeats;
    case 4:
    case 5: return repeats && in->operand_size == 2;
    default: return in->op == OP_JCXZ;
    }
}

static size_t put_opcode(uint8_t *bytes, const struct form *form)
{
    size_t len = maps[form->map].len;

    memcpy(bytes, maps[form->map].bytes, len);
    bytes[len] = form->opcode;
    return len + 1;
}

static int add_form(struct form_list *list, const struct form *form)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 16 : 2 * list->room;
        struct form *grown = realloc(list->form, room * sizeof(*grown));

        if (grown == NULL)
            return -ENOMEM;
        list->form = grown;
        list->room = room;
    }
    list->form[list->count++] = *form;
    return 0;
}

/* Decode one form and file it. Returns whether it has a ModRM byte, so that
 * the other values need a look too; negative errno. */
static int try_form(struct diff_forms *forms, struct form form)
{
    uint8_t bytes[INSN_MAX_LEN] = {0};
    size_t len = prefix_sets[form.prefix_set].len;
    struct insn in;
    bool is_reg = form.modrm >= 0xc0;
    int error;

    memcpy(bytes, prefix_sets[form.prefix_set].bytes, len);
    len += put_opcode(bytes + len, &form);
    bytes[len] = is_reg ? form.modrm : form.modrm & 0x38;
    if (insn_decode(&in, mode, bytes, sizeof(bytes)) != INSN_OK)
        return 1;
    if (!prefixes_count(&in, form.prefix_set) || !is_usable(&in))
        return in.has_modrm;
    if (!in.has_modrm && form.modrm != 0)
        return 0;
    form.has_modrm = in.has_modrm;
    error = add_form(&forms->list[in.op], &form);
    return error != 0 ? error : in.has_modrm;
}

static int try_opcode(struct diff_forms *forms, struct form form)
{
    int result = 1;

    /* The modes of memory forms are drawn later: 64 of each kind do. */
    for (unsigned modrm = 0; modrm <= 0xff && result > 0; modrm++) {
        form.modrm = (uint8_t)modrm;
        if (modrm < 0x40 || modrm >= 0xc0)
            result = try_form(forms, form);
    }
    return result;
}

int forms_create(struct diff_forms **out)
{
    struct diff_forms *forms = calloc(1, sizeof(*forms));

    if (forms == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < ARRAY_COUNT(prefix_sets) * 4 * 256; i++) {
        struct form form = {.prefix_set = (uint8_t)(i >> 10),
                            .map = i >> 8 & 3,
                            .opcode = (uint8_t)i};

        if ((form.map == 0 && is_prefix_or_escape(form.opcode)) ||
            (form.map == 1 && (form.opcode & 0xfd) == 0x38))
            continue;
        if (try_opcode(forms, form) < 0) {
            forms_destroy(forms);
            return -ENOMEM;
        }
    }
    *out = forms;
    return 0;
}

void forms_destroy(struct diff_forms *forms)
{
    if (forms == NULL)
        return;
    for (unsigned op = 0; op < OP_COUNT; op++)
        free(forms->list[op].form);
    free(forms);
}

size_t forms_count(const struct diff_forms *forms, enum insn_op op)
{
    return forms->list[op].count;
}

/* Prefixes that change no opcode: segments (not FS, which is the C library's
 * in the host), address size, LOCK. */
static size_t draw_prefixes(struct diff_random *random, uint8_t *bytes)
{
    static const uint8_t segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x65};
    size_t len = 0;

    if (random_one_in(random, 12))
        bytes[len++] = segments[random_below(random, sizeof(segments))];
    if (random_one_in(random, 32))
        bytes[len++] = 0x67;
    if (random_one_in(random, 16))
        bytes[len++] = 0xf0;
    return len;
}

/* A memory form gets a random addressing mode. */
static size_t draw_modrm(struct diff_random *random, const struct form *form,
                         uint8_t *bytes)
{
    if (!form->has_modrm)
        return 0;
    bytes[0] = form->modrm;
    if (form->modrm < 0xc0)
        bytes[0] =
            (uint8_t)((form->modrm & 0x38) | random_below(random, 3) << 6 |
                      random_below(random, 8));
    return 1;
}

/* LOCK makes CR0 CR8 on AMD, and some AMD CPUs take LOCK VERW. */
static bool ignores_lock(const struct form *form)
{
    return form->map == 1 &&
           ((form->opcode & 0xfc) == 0x20 || form->opcode == 0);
}

bool forms_draw(const struct diff_forms *forms, struct diff_random *random,
                enum insn_op op, struct insn *in)
{
    const struct form_list *list = &forms->list[op];
    const struct form *form =
        &list->form[random_below(random, (uint32_t)list->count)];
    uint8_t bytes[32];
    uint32_t filler[4];
    size_t len;

    len = draw_prefixes(random, bytes);
    memcpy(bytes + len, prefix_sets[form->prefix_set].bytes, 2);
    len += prefix_sets[form->prefix_set].len;
    len += put_opcode(bytes + len, form);
    len += draw_modrm(random, form, bytes + len);
    for (size_t i = 0; i < ARRAY_COUNT(filler); i++)
        filler[i] = random_corner(random);
    memcpy(bytes + len, filler, sizeof(filler));
    switch (insn_decode(in, mode, bytes, INSN_MAX_LEN)) {
    case INSN_OK: return in->op == op && is_usable(in);
    /* LOCK where it is not allowed. */
    case INSN_UD: return !ignores_lock(form);
    default: return false;
    }
}
