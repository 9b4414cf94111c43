/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stddef.h>

#include "emu/cpu/mem.h"
#include "emu/cpu/system.h"
#include "emu/cpu/walk.h"
#include "monitor/log.h"

/*
 * Model-specific registers: a table of ranges, each with how it is read and
 * written. What is not in the table is #GP(0), as are reserved bits (SDM 2B
 * "WRMSR"; the registers are those of SDM 3C chapter 35 "Model-Specific
 * Registers (MSRs)").
 */

#define PHYS_BITS ((1ull << MAXPHYADDR) - 1)
#define PHYS_PAGE (PHYS_BITS & ~(uint64_t)PAGE_MASK)

#define APIC_BASE_BSP BIT64(8)

/* Eight variable ranges, the fixed ones, write combining. */
#define MTRR_CAP (8u | BIT(8) | BIT(10))

/* Branch-trace and precise-event storage are unavailable: read-only ones. */
#define MISC_ENABLE_FIXED (BIT64(11) | BIT64(12))
#define MISC_ENABLE_FAST  BIT64(0) /* fast strings */

/* Locked, nothing enabled: there is no VMX. */
#define FEATURE_CONTROL 1u

/* Not susceptible to: RDCL, L1D flush on VM entry, SSB, MDS, page-size-change
 * machine checks, TAA, SBDR/SSDP, FBSDP, PSDP, BHI, PBRSB, GDS, RFDS, ITS; and
 * IBRS_ALL. */
#define ARCH_CAPABILITIES                                                   \
    (BIT64(0) | BIT64(1) | BIT64(3) | BIT64(4) | BIT64(5) | BIT64(6) |      \
     BIT64(8) | BIT64(13) | BIT64(14) | BIT64(15) | BIT64(20) | BIT64(24) | \
     BIT64(26) | BIT64(27) | BIT64(62))

/* The microcode revision in the upper half. */
#define MICROCODE_REVISION (0x219ull << 32)

struct msr;

typedef uint64_t msr_read_fn(const struct interp *interp, const struct msr *msr,
                             uint32_t index);
/* False: a reserved bit is set. */
typedef bool msr_write_fn(struct interp *interp, const struct msr *msr,
                          uint32_t index, uint64_t value);

struct msr {
    uint32_t first;
    uint32_t last;
    msr_read_fn *read;
    msr_write_fn *write; /* NULL: any write is #GP */
    uint64_t value;      /* a constant, or the offset of a vcpu field */
};

static uint64_t read_constant(const struct interp *interp,
                              const struct msr *msr, uint32_t index)
{
    (void)interp;
    (void)index;
    return msr->value;
}

/* A write that is accepted and forgotten. */
static bool write_ignored(struct interp *interp, const struct msr *msr,
                          uint32_t index, uint64_t value)
{
    (void)interp;
    (void)msr;
    (void)index;
    (void)value;
    return true;
}

static uint64_t read_tsc(const struct interp *interp, const struct msr *msr,
                         uint32_t index)
{
    (void)msr;
    (void)index;
    return tsc_read(interp);
}

static bool write_tsc(struct interp *interp, const struct msr *msr,
                      uint32_t index, uint64_t value)
{
    (void)msr;
    (void)index;
    tsc_write(interp, value);
    return true;
}

/* The TSC and this register move together (SDM 3B 17.17.3 "Time-Stamp Counter
 * Adjustment"), and both start at 0: it is the offset. A guest that finds it
 * trusts its TSC without a watchdog. */
static uint64_t read_tsc_adjust(const struct interp *interp,
                                const struct msr *msr, uint32_t index)
{
    (void)msr;
    (void)index;
    return interp->vcpu->tsc_offset;
}

static bool write_tsc_adjust(struct interp *interp, const struct msr *msr,
                             uint32_t index, uint64_t value)
{
    (void)msr;
    (void)index;
    interp->vcpu->tsc_offset = value;
    return true;
}

static uint64_t read_apic_base(const struct interp *interp,
                               const struct msr *msr, uint32_t index)
{
    (void)msr;
    (void)index;
    return interp->vcpu->apic_base | APIC_BASE_BSP;
}

/* There is no APIC to enable. */
static bool write_apic_base(struct interp *interp, const struct msr *msr,
                            uint32_t index, uint64_t value)
{
    (void)msr;
    (void)index;
    if (value & ~(PHYS_PAGE | APIC_BASE_BSP))
        return false;
    interp->vcpu->apic_base = value;
    return true;
}

/* 32-bit fields: SYSENTER_*. */
static uint64_t read_field32(const struct interp *interp, const struct msr *msr,
                             uint32_t index)
{
    (void)index;
    return *(const uint32_t *)(const void *)((const char *)interp->vcpu +
                                             msr->value);
}

/* Without 64-bit mode the upper half does not exist. */
static bool write_field32(struct interp *interp, const struct msr *msr,
                          uint32_t index, uint64_t value)
{
    (void)index;
    *(uint32_t *)(void *)((char *)interp->vcpu + msr->value) = (uint32_t)value;
    return true;
}

/* Memory types (SDM 3A Table 11-10): UC WC WT WP WB, and for the PAT UC-. */
static bool are_memory_types(uint64_t value, unsigned types)
{
    for (unsigned i = 0; i < 8; i++, value >>= 8)
        if ((value & 0xff) > 7 || !(types & BIT(value & 7)))
            return false;
    return true;
}

#define MTRR_TYPES (BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6))
#define PAT_TYPES  (MTRR_TYPES | BIT(7))

static uint64_t read_pat(const struct interp *interp, const struct msr *msr,
                         uint32_t index)
{
    (void)msr;
    (void)index;
    return interp->vcpu->pat;
}

static bool write_pat(struct interp *interp, const struct msr *msr,
                      uint32_t index, uint64_t value)
{
    (void)msr;
    (void)index;
    if (!are_memory_types(value, PAT_TYPES))
        return false;
    interp->vcpu->pat = value;
    return true;
}

static uint64_t read_misc_enable(const struct interp *interp,
                                 const struct msr *msr, uint32_t index)
{
    (void)msr;
    (void)index;
    return interp->vcpu->misc_enable | MISC_ENABLE_FIXED;
}

static bool write_misc_enable(struct interp *interp, const struct msr *msr,
                              uint32_t index, uint64_t value)
{
    (void)msr;
    (void)index;
    if (value & ~(MISC_ENABLE_FAST | MISC_ENABLE_FIXED))
        return false;
    interp->vcpu->misc_enable = value & MISC_ENABLE_FAST;
    return true;
}

static uint64_t read_def_type(const struct interp *interp,
                              const struct msr *msr, uint32_t index)
{
    (void)msr;
    (void)index;
    return interp->vcpu->mtrr_def_type;
}

static bool write_def_type(struct interp *interp, const struct msr *msr,
                           uint32_t index, uint64_t value)
{
    (void)msr;
    (void)index;
    if ((value & ~(BIT64(11) | BIT64(10) | 0xff)) ||
        !are_memory_types(value & 0xff, MTRR_TYPES))
        return false;
    interp->vcpu->mtrr_def_type = value;
    return true;
}

/* Base and mask registers alternate from 200h on. */
static uint64_t read_variable_mtrr(const struct interp *interp,
                                   const struct msr *msr, uint32_t index)
{
    unsigned n = (index - msr->first) / 2;

    return index & 1 ? interp->vcpu->mtrr_mask[n] : interp->vcpu->mtrr_base[n];
}

static bool write_variable_mtrr(struct interp *interp, const struct msr *msr,
                                uint32_t index, uint64_t value)
{
    unsigned n = (index - msr->first) / 2;

    if (index & 1) {
        if (value & ~(PHYS_PAGE | BIT64(11)))
            return false;
        interp->vcpu->mtrr_mask[n] = value;
    } else {
        if ((value & ~(PHYS_PAGE | 0xff)) ||
            !are_memory_types(value & 0xff, MTRR_TYPES))
            return false;
        interp->vcpu->mtrr_base[n] = value;
    }
    return true;
}

/* MTRRfix64K_00000, fix16K_80000 and _A0000, fix4K_C0000 to _F8000. */
static unsigned fixed_mtrr(uint32_t index)
{
    if (index == 0x250)
        return 0;
    return index < 0x260 ? index - 0x258 + 1 : index - 0x268 + 3;
}

static uint64_t read_fixed_mtrr(const struct interp *interp,
                                const struct msr *msr, uint32_t index)
{
    (void)msr;
    return interp->vcpu->mtrr_fixed[fixed_mtrr(index)];
}

static bool write_fixed_mtrr(struct interp *interp, const struct msr *msr,
                             uint32_t index, uint64_t value)
{
    (void)msr;
    if (!are_memory_types(value, MTRR_TYPES))
        return false;
    interp->vcpu->mtrr_fixed[fixed_mtrr(index)] = value;
    return true;
}

static uint64_t read_efer(const struct interp *interp, const struct msr *msr,
                          uint32_t index)
{
    (void)msr;
    (void)index;
    return interp->vcpu->efer;
}

static bool write_efer(struct interp *interp, const struct msr *msr,
                       uint32_t index, uint64_t value)
{
    struct vcpu *vcpu = interp->vcpu;
    bool is_changed = value != vcpu->efer;

    (void)msr;
    (void)index;
    if (value & ~(uint64_t)EFER_NXE)
        return false;
    vcpu->efer = value;
    if (is_changed)
        paging_mode_changed(interp);
    return true;
}

#define FIELD(name) offsetof(struct vcpu, name)

/* clang-format off */
static const struct msr msrs[] = {
    {0x010, 0x010, read_tsc, write_tsc, 0},
    {0x017, 0x017, read_constant, NULL, 0},               /* PLATFORM_ID */
    {0x01b, 0x01b, read_apic_base, write_apic_base, 0},
    {0x03a, 0x03a, read_constant, NULL, FEATURE_CONTROL},
    {0x03b, 0x03b, read_tsc_adjust, write_tsc_adjust, 0},
    {0x08b, 0x08b, read_constant, write_ignored, MICROCODE_REVISION},
    {0x0fe, 0x0fe, read_constant, NULL, MTRR_CAP},
    {0x10a, 0x10a, read_constant, NULL, ARCH_CAPABILITIES},
    {0x174, 0x174, read_field32, write_field32, FIELD(sysenter_cs)},
    {0x175, 0x175, read_field32, write_field32, FIELD(sysenter_esp)},
    {0x176, 0x176, read_field32, write_field32, FIELD(sysenter_eip)},
    {0x179, 0x179, read_constant, NULL, 0},               /* MCG_CAP: no bank */
    {0x17a, 0x17a, read_constant, write_ignored, 0},      /* MCG_STATUS */
    {0x1a0, 0x1a0, read_misc_enable, write_misc_enable, 0},
    {0x200, 0x20f, read_variable_mtrr, write_variable_mtrr, 0},
    {0x250, 0x250, read_fixed_mtrr, write_fixed_mtrr, 0},
    {0x258, 0x259, read_fixed_mtrr, write_fixed_mtrr, 0},
    {0x268, 0x26f, read_fixed_mtrr, write_fixed_mtrr, 0},
    {0x277, 0x277, read_pat, write_pat, 0},
    {0x2ff, 0x2ff, read_def_type, write_def_type, 0},
    {0xc0000080, 0xc0000080, read_efer, write_efer, 0},
};
/* clang-format on */

static const struct msr *find_msr(uint32_t index)
{
    for (unsigned i = 0; i < ARRAY_COUNT(msrs); i++)
        if (index >= msrs[i].first && index <= msrs[i].last)
            return &msrs[i];
    return NULL;
}

bool msr_read(struct interp *interp, uint32_t index, uint64_t *value)
{
    const struct msr *msr = find_msr(index);

    if (msr == NULL) {
        log_line(LOG_UNIMP, "%08" PRIx32 " rdmsr %" PRIx32,
                 interp->vcpu->seg_base[SEG_CS] + interp->vcpu->eip, index);
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    }
    *value = msr->read(interp, msr, index);
    return true;
}

bool msr_write(struct interp *interp, uint32_t index, uint64_t value)
{
    const struct msr *msr = find_msr(index);

    if (msr != NULL && msr->write != NULL &&
        msr->write(interp, msr, index, value))
        return true;
    log_line(LOG_UNIMP, "%08" PRIx32 " wrmsr %" PRIx32 " value %" PRIx64,
             interp->vcpu->seg_base[SEG_CS] + interp->vcpu->eip, index, value);
    return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
}
