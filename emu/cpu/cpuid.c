/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/cpu/system.h"
#include "emu/cpu/walk.h"

/*
 * CPUID of the one CPU model: an in-order Atom (family 6, model 1Ch), because
 * no speculation problem is known of it: a guest that goes by the model number
 * runs no mitigations, and one that goes by IA32_ARCH_CAPABILITIES (msr.c) finds
 * the same there. Nothing is offered that the interpreter and the board lack:
 * no APIC, no HT, no VME, no performance counters. Machine checks are offered,
 * with no bank that could report one: systems call a CPU without them broken.
 *
 * The feature bits that gate instructions come from interp_host.features, so
 * that the decoder and CPUID agree.
 */

enum { EAX, EBX, ECX, EDX };

#define BASIC_LEAVES    7u
#define EXTENDED_FIRST  0x80000000u
#define EXTENDED_LEAVES 0x80000008u
#define BRAND_FIRST     0x80000002u

/* Family 6, model 1Ch, stepping 10. */
#define SIGNATURE 0x000106cau

static const char vendor[] = "GenuineIntel";
static const char brand[48] = "popf virtual CPU";

/* Bits of leaf 1 that stand for instructions (SDM 2A "CPUID" Tables 3-10 and
 * 3-11, feature information returned in ECX and EDX). */
static const struct {
    uint8_t feature;
    uint8_t reg;
    uint8_t bit;
} gated[] = {
    {FEAT_X87,     EDX, 0 },
    {FEAT_SEP,     EDX, 11},
    {FEAT_CMOV,    EDX, 15},
    {FEAT_CLFLUSH, EDX, 19},
    {FEAT_MMX,     EDX, 23},
    {FEAT_FXSR,    EDX, 24},
    {FEAT_SSE,     EDX, 25},
    {FEAT_SSE2,    EDX, 26},
    {FEAT_SSE3,    ECX, 0 },
    {FEAT_SSSE3,   ECX, 9 },
    {FEAT_SSE41,   ECX, 19},
    {FEAT_SSE42,   ECX, 20},
    {FEAT_MOVBE,   ECX, 22},
    {FEAT_POPCNT,  ECX, 23},
};

/* DE PSE TSC MSR PAE MCE CX8 MTRR PGE MCA PAT PSE-36: always there. */
#define FEATURES_EDX                                                          \
    (BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(12) | \
     BIT(13) | BIT(14) | BIT(16) | BIT(17))

/* Leaf 4, deterministic cache parameters: 24 KiB data, 32 KiB code, 512 KiB. */
static const struct {
    uint8_t type; /* 1 data, 2 instruction, 3 unified */
    uint8_t level;
    uint8_t ways;
    uint16_t sets;
} caches[] = {
    {1, 1, 6, 64  },
    {2, 1, 8, 64  },
    {3, 2, 8, 1024},
};

#define CACHE_LINE 64u

static bool has_feature(const struct interp *interp, enum insn_feature feature)
{
    return interp->host.features & BIT(feature);
}

static void leaf_features(const struct interp *interp, uint32_t out[4])
{
    out[EAX] = SIGNATURE;
    if (has_feature(interp, FEAT_CLFLUSH))
        out[EBX] = CACHE_LINE / 8 << 8;
    out[EDX] = FEATURES_EDX;
    for (unsigned i = 0; i < ARRAY_COUNT(gated); i++)
        if (has_feature(interp, gated[i].feature))
            out[gated[i].reg] |= BIT(gated[i].bit);
}

static void leaf_caches(uint32_t index, uint32_t out[4])
{
    if (index >= ARRAY_COUNT(caches))
        return;
    out[EAX] = caches[index].type | (uint32_t)caches[index].level << 5 | BIT(8);
    out[EBX] = (CACHE_LINE - 1) | (caches[index].ways - 1u) << 22;
    out[ECX] = caches[index].sets - 1u;
}

static void leaf_extended(uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000: out[EAX] = EXTENDED_LEAVES; break;
    case 0x80000001: out[EDX] = BIT(20); break; /* NX */
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: memcpy(out, brand + (leaf - BRAND_FIRST) * 16, 16); break;
    case 0x80000006: out[ECX] = 512u << 16 | 6u << 12 | CACHE_LINE; break;
    case 0x80000007: out[EDX] = BIT(8); break; /* invariant TSC */
    case 0x80000008: out[EAX] = 32u << 8 | MAXPHYADDR; break;
    default: break;
    }
}

static void leaf_basic(const struct interp *interp, uint32_t leaf,
                       uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        out[EAX] = BASIC_LEAVES;
        memcpy(&out[EBX], vendor, 4);
        memcpy(&out[EDX], vendor + 4, 4);
        memcpy(&out[ECX], vendor + 8, 4);
        break;
    case 1: leaf_features(interp, out); break;
    case 2: /* descriptors of an Atom's TLBs and caches */
        out[EAX] = 0x4fba5901;
        out[EBX] = 0x0e3080c0;
        break;
    case 4: leaf_caches(subleaf, out); break;
    case 7:
        if (subleaf == 0) {
            out[EBX] = BIT(1);  /* IA32_TSC_ADJUST */
            out[EDX] = BIT(29); /* IA32_ARCH_CAPABILITIES */
        }
        break;
    default: break;
    }
}

/* A leaf above the highest answers as the highest basic one (SDM 2A "CPUID"):
 * with the subleaf asked for. */
void cpuid_leaf(const struct interp *interp, uint32_t leaf, uint32_t subleaf,
                uint32_t out[4])
{
    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf >= EXTENDED_FIRST && leaf <= EXTENDED_LEAVES)
        leaf_extended(leaf, out);
    else
        leaf_basic(interp, leaf > BASIC_LEAVES ? BASIC_LEAVES : leaf, subleaf,
                   out);
}

uint32_t cpuid_cr4_mask(const struct interp *interp)
{
    uint32_t mask =
        CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE;

    if (has_feature(interp, FEAT_FXSR))
        mask |= CR4_OSFXSR;
    if (has_feature(interp, FEAT_SSE))
        mask |= CR4_OSXMMEXCPT;
    return mask;
}
