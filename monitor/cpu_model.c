/* SPDX-License-Identifier: MIT */
#include "monitor/cpu_model.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "translator/decode/insn.h"

/* host_ecx: the bit of the host's CPUID.01H:ECX (SDM 2A "CPUID"); a feature
 * where it is 0 is part of x86-64 and so always there. */

static const struct feature {
    const char *name;
    const char *alias;
    enum insn_feature id;
    uint32_t needs; /* features that it cannot be without */
    uint32_t host_ecx;
    const char *help;
} features[] = {
    {"fpu",     "x87",    FEAT_X87,     0,                              0,          "x87 floating point"             },
    {"cmov",    NULL,     FEAT_CMOV,    0,                              0,          "CMOVcc; with fpu FCMOVcc, FCOMI"},
    {"mmx",     NULL,     FEAT_MMX,     BIT(FEAT_X87),                  0,          "MMX"                            },
    {"fxsr",    NULL,     FEAT_FXSR,    BIT(FEAT_X87),                  0,          "FXSAVE, FXRSTOR"                },
    {"sep",     NULL,     FEAT_SEP,     0,                              0,          "SYSENTER, SYSEXIT"              },
    {"clflush", "clfsh",  FEAT_CLFLUSH, 0,                              0,          "CLFLUSH"                        },
    {"sse",     NULL,     FEAT_SSE,     BIT(FEAT_FXSR) | BIT(FEAT_MMX), 0,          "SSE"                            },
    {"sse2",    NULL,     FEAT_SSE2,    BIT(FEAT_SSE),                  0,          "SSE2"                           },
    {"sse3",    "pni",    FEAT_SSE3,    BIT(FEAT_SSE2),                 bit_SSE3,   "SSE3"                           },
    {"ssse3",   NULL,     FEAT_SSSE3,   BIT(FEAT_SSE3),                 bit_SSSE3,  "SSSE3"                          },
    {"sse4.1",  "sse4-1", FEAT_SSE41,   BIT(FEAT_SSSE3),                bit_SSE4_1, "SSE4.1"                         },
    {"sse4.2",  "sse4-2", FEAT_SSE42,   BIT(FEAT_SSE41),                bit_SSE4_2, "SSE4.2"                         },
    {"popcnt",  NULL,     FEAT_POPCNT,  0,                              bit_POPCNT, "POPCNT"                         },
    {"movbe",   NULL,     FEAT_MOVBE,   0,                              bit_MOVBE,  "MOVBE"                          },
};

#define QEMU32_FEATURES                                                \
    (BIT(FEAT_BASE) | BIT(FEAT_CMOV) | BIT(FEAT_X87) | BIT(FEAT_MMX) | \
     BIT(FEAT_FXSR) | BIT(FEAT_SEP) | BIT(FEAT_SSE) | BIT(FEAT_SSE2) | \
     BIT(FEAT_SSE3))

static const struct model {
    const char *name;
    uint32_t features;
    const char *help;
} models[] = {
    {"max",    ~0u,             "everything that popf models and the host has"},
    {"qemu32", QEMU32_FEATURES, "what QEMU's default 32-bit CPU has"          },
};

static bool host_has(const struct feature *feature)
{
    unsigned eax, ebx, ecx = 0, edx;

    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    return (ecx & feature->host_ecx) == feature->host_ecx;
}

uint32_t cpu_model_max(void)
{
    uint32_t mask = BIT(FEAT_BASE);

    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        if (host_has(&features[i]))
            mask |= BIT(features[i].id);
    }
    return mask;
}

static bool name_is(const char *name, const char *text, size_t len)
{
    return name != NULL && strlen(name) == len && !memcmp(name, text, len);
}

static const struct feature *find_feature(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        if (name_is(features[i].name, name, len) ||
            name_is(features[i].alias, name, len))
            return &features[i];
    }
    return NULL;
}

static const struct model *find_model(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        if (name_is(models[i].name, name, len))
            return &models[i];
    }
    return NULL;
}

/* Drop what has lost something that it needs; the table lists needs first. */
static uint32_t close_over_needs(uint32_t mask)
{
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        if ((mask & features[i].needs) != features[i].needs)
            mask &= ~BIT(features[i].id);
    }
    return mask;
}

/* One of "+name", "-name", "name", "name=on", "name=off". */
static bool parse_feature(const char *item, size_t len, uint32_t *mask,
                          char *text, size_t text_len)
{
    bool on = true;
    size_t skip = *item == '+' || *item == '-';
    const char *equals = memchr(item, '=', len);
    size_t name_len = (equals ? (size_t)(equals - item) : len) - skip;
    const struct feature *feature = find_feature(item + skip, name_len);

    if (feature == NULL) {
        snprintf(text, text_len,
                 "unknown feature '%.*s' (-cpu help lists them)", (int)name_len,
                 item + skip);
        return false;
    }
    if (equals != NULL) {
        size_t value_len = len - (size_t)(equals + 1 - item);

        on = name_is("on", equals + 1, value_len);
        if (!on && !name_is("off", equals + 1, value_len)) {
            snprintf(text, text_len, "feature '%s' takes on or off",
                     feature->name);
            return false;
        }
    } else if (*item == '-') {
        on = false;
    }
    if (on && !host_has(feature)) {
        snprintf(text, text_len, "this host's CPU has no %s", feature->name);
        return false;
    }
    if (on)
        *mask |= BIT(feature->id) | feature->needs;
    else
        *mask &= ~BIT(feature->id);
    return true;
}

bool cpu_model_parse(const char *spec, uint32_t *mask, char *text,
                     size_t text_len)
{
    size_t len = strcspn(spec, ",");
    const struct model *model = find_model(spec, len);

    if (model == NULL) {
        snprintf(text, text_len, "unknown model '%.*s' (-cpu help lists them)",
                 (int)len, spec);
        return false;
    }
    uint32_t result = model->features & cpu_model_max();
    while (spec[len] == ',') {
        spec += len + 1;
        len = strcspn(spec, ",");
        if (len != 0 && !parse_feature(spec, len, &result, text, text_len))
            return false;
    }
    *mask = close_over_needs(result);
    return true;
}

void cpu_model_list(void)
{
    printf("Models:\n");
    for (size_t i = 0; i < ARRAY_COUNT(models); i++)
        printf("  %-8s %s\n", models[i].name, models[i].help);
    printf("Features, added by +NAME or NAME=on, removed by -NAME or "
           "NAME=off:\n");
    for (size_t i = 0; i < ARRAY_COUNT(features); i++)
        printf("  %-8s %s\n", features[i].name, features[i].help);
}
