/* SPDX-License-Identifier: MIT */
#include "shadow_mmu/mmu_priv.h"

/*
 * The guest's page tables, read where they lie in the memfd (SDM 3A 4.3 "32-Bit
 * Paging", 4.4 "PAE Paging"). The interpreter has a walker of its own, so that
 * verifiers and lockstep runs compare two implementations.
 *
 * A and D are set only when the whole access is allowed (SDM 3A 4.8 "Accessed
 * and Dirty Flags" lets a processor do so), by compare-and-exchange, and are
 * announced like any other store when the frame has flags.
 */

#define MAXPHYADDR_MASK (BIT64(36) - 1)
#define ADDR_4K         (MAXPHYADDR_MASK & ~(uint64_t)PAGE_MASK)
#define ADDR_2M         (MAXPHYADDR_MASK & ~0x1fffffull)
#define PAE_RESERVED    (0x7fffffffffffffffull & ~MAXPHYADDR_MASK)
#define PAE_2M_RESERVED (PAE_RESERVED | 0x1fe000)
/* 4 MiB pages: bits 16:13 are address bits 35:32 (PSE-36), 21:17 reserved
 * (SDM 3A Table 4-4). */
#define PSE_RESERVED 0x3e0000ull

gfn_t gwalk_frame(const struct mmu *mmu, gpa_t gpa)
{
    if (!(mmu->role & ROLE_A20))
        gpa &= ~(gpa_t)MIB;
    return gpa >> PAGE_SHIFT;
}

static uint8_t *entry_hva(const struct mmu *mmu, gfn_t gfn, uint32_t index)
{
    uint8_t *hva;
    if (gfn >= mmu->frame_count ||
        gmem_lookup(mmu->gmem, gfn, &hva, NULL) != GMEM_RAM)
        return NULL;
    return hva + index * (is_pae(mmu) ? 8 : 4);
}

static uint64_t entry_read(const struct mmu *mmu, const uint8_t *hva)
{
    if (is_pae(mmu))
        return __atomic_load_n((const uint64_t *)(const void *)hva,
                               __ATOMIC_RELAXED);
    return __atomic_load_n((const uint32_t *)(const void *)hva,
                           __ATOMIC_RELAXED);
}

/* Frame and index of a region's PDE. False: the PDPTE is not present. */
static bool pde_place(const struct mmu *mmu, uint32_t region, gfn_t *gfn,
                      uint32_t *index)
{
    const struct vcpu *vcpu = mmu->vcpu;
    if (!is_pae(mmu)) {
        *gfn = gwalk_frame(mmu, vcpu->cr3 & ~(gpa_t)PAGE_MASK);
        *index = region;
        return true;
    }
    uint64_t pdpte = vcpu->pdpte[region >> 9];
    *gfn = gwalk_frame(mmu, pdpte & ADDR_4K);
    *index = region & 511;
    return (pdpte & PTE_P) != 0;
}

bool gwalk_pde(const struct mmu *mmu, uint32_t region, struct gpde *pde)
{
    gfn_t gfn;
    uint32_t index;
    pde->v = 0;
    if (!pde_place(mmu, region, &gfn, &index))
        return true;
    const uint8_t *hva = entry_hva(mmu, gfn, index);
    if (hva == NULL)
        return false;
    pde->v = entry_read(mmu, hva);
    return true;
}

static bool is_large(const struct mmu *mmu, struct gpde pde)
{
    return (pde.v & PTE_PS) && (mmu->role & (ROLE_PSE | ROLE_PAE));
}

static uint64_t reserved_bits(const struct mmu *mmu, bool large)
{
    if (!is_pae(mmu))
        return large ? PSE_RESERVED : 0;
    uint64_t nx = mmu->role & ROLE_NXE ? 0 : PTE_NX;
    return nx | (large ? PAE_2M_RESERVED : PAE_RESERVED);
}

/* Presence, then reserved bits: P=0 makes all others ignored. */
static bool check_entry(const struct mmu *mmu, uint64_t entry, bool large,
                        struct gwalk *walk)
{
    if (!(entry & PTE_P))
        return false;
    if (entry & reserved_bits(mmu, large)) {
        walk->error = PF_P | PF_R;
        return false;
    }
    return true;
}

static gpa_t large_address(const struct mmu *mmu, struct gpde pde)
{
    if (is_pae(mmu))
        return pde.v & ADDR_2M;
    return (pde.v & 0xffc00000) | ((pde.v & 0x1e000) << 19);
}

bool gwalk_decode(const struct mmu *mmu, uint32_t page, struct gpde pde,
                  struct gpte pte, struct gwalk *walk)
{
    *walk = (struct gwalk){.pde = pde, .large = is_large(mmu, pde)};
    if (!check_entry(mmu, pde.v, walk->large, walk))
        return false;
    uint64_t leaf = pde.v, all = pde.v;
    gpa_t gpa = large_address(mmu, pde);
    if (walk->large) {
        gpa += (gpa_t)(page & (BIT(region_shift(mmu)) - 1)) << PAGE_SHIFT;
    } else {
        walk->pte = pte;
        walk->leaf = gwalk_frame(mmu, pde.v & ADDR_4K);
        if (!check_entry(mmu, pte.v, false, walk))
            return false;
        leaf = pte.v;
        all &= pte.v;
        gpa = pte.v & ADDR_4K;
    }
    walk->gfn = gwalk_frame(mmu, gpa);
    walk->writable = (all & PTE_W) != 0;
    walk->user = (all & PTE_U) != 0;
    walk->no_exec = ((pde.v | pte.v) & PTE_NX) && is_pae(mmu);
    walk->dirty = (leaf & PTE_D) != 0;
    walk->accessed = (leaf & PTE_A) != 0;
    walk->global = (leaf & PTE_G) && (mmu->vcpu->cr4 & CR4_PGE);
    return true;
}

bool gwalk_peek(const struct mmu *mmu, uint32_t page, struct gwalk *walk)
{
    struct gpde pde;
    struct gpte pte = {0};
    if (!gwalk_pde(mmu, page >> region_shift(mmu), &pde))
        return false;
    if (gwalk_decode(mmu, page, pde, pte, walk))
        return true;
    if (!(pde.v & PTE_P) || walk->error != 0)
        return false;
    const uint8_t *hva =
        entry_hva(mmu, walk->leaf, page & (BIT(region_shift(mmu)) - 1));
    if (hva == NULL)
        return false;
    pte.v = entry_read(mmu, hva);
    return gwalk_decode(mmu, page, pde, pte, walk);
}

/* SDM 3A 4.6.1 "Determination of Access Rights". */
static bool is_allowed(const struct mmu *mmu, const struct gwalk *walk,
                       struct gaccess access)
{
    if (access.user && !walk->user)
        return false;
    if (access.write && !walk->writable &&
        (access.user || (mmu->vcpu->cr0 & CR0_WP)))
        return false;
    return !(access.fetch && walk->no_exec);
}

/* SDM 3A 4.7 "Page-Fault Exceptions". */
static enum walk_status fault(const struct mmu *mmu, struct gaccess access,
                              struct gwalk *walk)
{
    if (access.write)
        walk->error |= PF_W;
    if (access.user)
        walk->error |= PF_U;
    if (access.fetch && is_pae(mmu) && (mmu->role & ROLE_NXE))
        walk->error |= PF_I;
    return WALK_FAULT;
}

/* Set bits in an entry. False: it changed under us. */
static bool mark(struct mmu *mmu, uint8_t *hva, uint64_t *entry, uint64_t bits)
{
    if ((*entry & bits) == bits)
        return true;
    uint64_t now = *entry | bits;
    bool done;
    if (is_pae(mmu)) {
        uint64_t old = *entry;
        done = __atomic_compare_exchange_n((uint64_t *)(void *)hva, &old, now,
                                           false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED);
    } else {
        uint32_t old = (uint32_t)*entry;
        done = __atomic_compare_exchange_n((uint32_t *)(void *)hva, &old,
                                           (uint32_t)now, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    if (!done)
        return false;
    *entry = now;
    gpa_t gpa = (gpa_t)(hva - gmem_base(mmu->gmem));
    if (mmu->flags[gpa >> PAGE_SHIFT] != 0)
        mmu_ram_stored(mmu, gpa, is_pae(mmu) ? 8 : 4);
    return true;
}

/* One try. *again: an entry changed while A and D were being set. */
static enum walk_status walk_once(struct mmu *mmu, gva_t gva,
                                  struct gaccess access, struct gwalk *walk,
                                  bool *again)
{
    const uint32_t page = gva >> PAGE_SHIFT;
    struct gpde pde = {0};
    struct gpte pte = {0};
    uint8_t *pde_hva = NULL, *pte_hva = NULL;
    gfn_t gfn;
    uint32_t index;
    *again = false;

    if (pde_place(mmu, page >> region_shift(mmu), &gfn, &index)) {
        pde_hva = entry_hva(mmu, gfn, index);
        if (pde_hva == NULL)
            return WALK_OUTSIDE;
        pde.v = entry_read(mmu, pde_hva);
    }
    /* Without a PTE yet: tells whether there is a table to look into. */
    if (!gwalk_decode(mmu, page, pde, pte, walk) && walk->error == 0 &&
        (pde.v & PTE_P)) {
        pte_hva =
            entry_hva(mmu, walk->leaf, page & (BIT(region_shift(mmu)) - 1));
        if (pte_hva == NULL)
            return WALK_OUTSIDE;
        pte.v = entry_read(mmu, pte_hva);
    }
    if (!gwalk_decode(mmu, page, pde, pte, walk))
        return fault(mmu, access, walk);
    if (!is_allowed(mmu, walk, access)) {
        walk->error = PF_P;
        return fault(mmu, access, walk);
    }

    uint64_t leaf_bits = PTE_A | (access.write ? PTE_D : 0);
    *again = !mark(mmu, pde_hva, &walk->pde.v, walk->large ? leaf_bits : PTE_A);
    if (!*again && !walk->large)
        *again = !mark(mmu, pte_hva, &walk->pte.v, leaf_bits);
    walk->accessed = true;
    walk->dirty |= access.write;
    return WALK_OK;
}

enum walk_status gwalk(struct mmu *mmu, gva_t gva, struct gaccess access,
                       struct gwalk *walk)
{
    bool again;
    enum walk_status status;
    do {
        status = walk_once(mmu, gva, access, walk, &again);
    } while (again);
    return status;
}
