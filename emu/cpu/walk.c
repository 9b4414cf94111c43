/* SPDX-License-Identifier: MIT */
#include "emu/cpu/walk.h"

#include <string.h>

#include "emu/cpu/mem.h"

/*
 * Plan. A walk reads one entry per level into a path, checking presence and
 * reserved bits as it goes, and combines the rights. Only when the access is
 * allowed are the accessed and dirty flags set, top down, each by a locked
 * compare-and-exchange against the entry that was read: if a device or another
 * engine changed it meanwhile, the walk starts over (SDM 3A 4.8 "Accessed and
 * Dirty Flags").
 *
 * Both formats are handled as 64-bit entries. Bits 0-8 mean the same in either.
 */
#define PTE_P  BIT64(0)
#define PTE_W  BIT64(1)
#define PTE_U  BIT64(2)
#define PTE_A  BIT64(5)
#define PTE_D  BIT64(6)
#define PTE_PS BIT64(7)
#define PTE_G  BIT64(8)
#define PTE_XD BIT64(63)

#define ADDRESS_MASK ((BIT64(MAXPHYADDR) - 1) & ~(uint64_t)PAGE_MASK)

/* SDM 3A Table 4-4: address bits above 31 of a 4 MiB page, and the bits between
 * them and bit 22 that are reserved with a MAXPHYADDR of 36. */
#define PSE36_HIGH(pde) ((gpa_t)((pde) >> 13 & 0xf) << 32)
#define PSE36_RESERVED  0x3e0000ull

/* SDM 3A Table 4-9 to 4-11: bits 62:36 of every PAE entry. */
#define PAE_RESERVED    ((BIT64(63) - 1) & ~(BIT64(MAXPHYADDR) - 1))
#define PAE_2M_RESERVED 0x1fe000ull
#define PDPTE_RESERVED  (PAE_RESERVED | PTE_XD | 0x1e6)

/* How often a walk starts over before it goes on without A and D: a table in
 * ROM never takes them. */
#define WALK_TRIES 4

struct level {
    gpa_t gpa; /* of the entry */
    uint64_t entry;
};

struct path {
    struct level level[2]; /* PDE, PTE */
    unsigned depth;        /* 1: the PDE maps a large page */
    unsigned entry_len;    /* 4 or 8 */
};

enum walk_result { WALK_OK, WALK_ABSENT, WALK_RESERVED };

/* Read the entry of one level and judge it on its own. */
static enum walk_result read_level(struct interp *interp, struct path *path,
                                   gpa_t gpa, bool *leaf)
{
    const struct vcpu *vcpu = interp->vcpu;
    struct level *level = &path->level[path->depth++];
    bool pae = path->entry_len == 8;
    bool is_pde = path->depth == 1;
    uint64_t reserved = 0;

    level->gpa = gpa;
    level->entry = phys_read(interp, gpa, path->entry_len);
    if (!(level->entry & PTE_P))
        return WALK_ABSENT;
    *leaf =
        !is_pde || ((level->entry & PTE_PS) && (pae || (vcpu->cr4 & CR4_PSE)));
    if (pae)
        reserved |= PAE_RESERVED | (vcpu->efer & EFER_NXE ? 0 : PTE_XD);
    if (is_pde && *leaf)
        reserved |= pae ? PAE_2M_RESERVED : PSE36_RESERVED;
    return level->entry & reserved ? WALK_RESERVED : WALK_OK;
}

/* Follow the tables to the leaf. */
static enum walk_result read_path(struct interp *interp, gva_t gva,
                                  struct path *path)
{
    const struct vcpu *vcpu = interp->vcpu;
    bool pae = (vcpu->cr4 & CR4_PAE) != 0;
    enum walk_result result;
    bool leaf = false;
    gpa_t table;

    *path = (struct path){.entry_len = pae ? 8 : 4};
    if (pae) {
        uint64_t pdpte = vcpu->pdpte[gva >> 30];

        if (!(pdpte & PTE_P))
            return WALK_ABSENT;
        table = (pdpte & ADDRESS_MASK) + (gva >> 21 & 0x1ff) * 8u;
    } else {
        table = (vcpu->cr3 & ~PAGE_MASK) + (gva >> 22) * 4u;
    }
    result = read_level(interp, path, table, &leaf);
    if (result != WALK_OK || leaf)
        return result;
    table = path->level[0].entry & ADDRESS_MASK;
    table += pae ? (gva >> 12 & 0x1ff) * 8u : (gva >> 12 & 0x3ff) * 4u;
    return read_level(interp, path, table, &leaf);
}

static gpa_t leaf_address(const struct path *path, gva_t gva)
{
    uint64_t leaf = path->level[path->depth - 1].entry;

    if (path->depth == 2)
        return leaf & ADDRESS_MASK;
    if (path->entry_len == 8)
        return (leaf & ADDRESS_MASK & ~0x1fffffull) | (gva & 0x1ff000);
    return (leaf & 0xffc00000) | PSE36_HIGH(leaf) | (gva & 0x3ff000);
}

/* SDM 3A 4.6 "Access Rights": a right holds if every level grants it. */
static void describe(const struct vcpu *vcpu, const struct path *path,
                     gva_t gva, struct walk *walk)
{
    uint64_t pde = path->level[0].entry;
    uint64_t leaf = path->level[path->depth - 1].entry;
    bool pae = path->entry_len == 8;

    walk->gpa = leaf_address(path, gva);
    walk->user = (pde & leaf & PTE_U) != 0;
    walk->write = (pde & leaf & PTE_W) != 0;
    walk->no_exec = pae && (vcpu->efer & EFER_NXE) && ((pde | leaf) & PTE_XD);
    walk->global = (vcpu->cr4 & CR4_PGE) && (leaf & PTE_G);
    walk->dirty = (leaf & PTE_D) != 0;
    walk->large = path->depth == 1;
}

static bool is_allowed(const struct vcpu *vcpu, const struct walk *walk,
                       enum access access, bool user)
{
    if (user && !walk->user)
        return false;
    if (access == ACCESS_WRITE)
        return walk->write || (!user && !(vcpu->cr0 & CR0_WP));
    return access != ACCESS_FETCH || !walk->no_exec;
}

/* SDM 3A 4.7 "Page-Fault Exceptions": I/D is reported with PAE and NXE only. */
static uint32_t fault_code(const struct vcpu *vcpu, enum access access,
                           bool user, uint32_t cause)
{
    if (access == ACCESS_WRITE)
        cause |= PF_W;
    if (user)
        cause |= PF_U;
    if (access == ACCESS_FETCH && (vcpu->cr4 & CR4_PAE) &&
        (vcpu->efer & EFER_NXE))
        cause |= PF_I;
    return cause;
}

/* Set bits in an entry that still is what was read. False: it is not. */
static bool set_flags(struct interp *interp, struct level *level,
                      unsigned entry_len, uint64_t flags)
{
    uint64_t wanted = level->entry | flags;

    if (wanted == level->entry)
        return true;
    if (!phys_cmpxchg(interp, level->gpa, entry_len, level->entry, wanted))
        return false;
    level->entry = wanted;
    return true;
}

static bool set_accessed_dirty(struct interp *interp, struct path *path,
                               bool dirty)
{
    for (unsigned i = 0; i < path->depth; i++) {
        bool leaf = i + 1 == path->depth;

        if (!set_flags(interp, &path->level[i], path->entry_len,
                       PTE_A | (leaf && dirty ? PTE_D : 0)))
            return false;
    }
    return true;
}

static void describe_unpaged(gva_t gva, struct walk *walk)
{
    *walk = (struct walk){
        .gpa = gva & ~PAGE_MASK, .user = true, .write = true, .dirty = true};
}

bool walk_translate(struct interp *interp, gva_t gva, enum access access,
                    bool user, struct walk *walk)
{
    struct vcpu *vcpu = interp->vcpu;
    struct path path;

    if (!(vcpu->cr0 & CR0_PG)) {
        describe_unpaged(gva, walk);
        return true;
    }
    for (unsigned try = 0; try < WALK_TRIES; try++) {
        enum walk_result result = read_path(interp, gva, &path);
        uint32_t cause = result == WALK_RESERVED ? PF_P | PF_R : 0;

        if (result == WALK_OK) {
            describe(vcpu, &path, gva, walk);
            cause = is_allowed(vcpu, walk, access, user) ? 0 : PF_P;
        }
        if (result != WALK_OK || cause)
            return vcpu_page_fault(vcpu, gva,
                                   fault_code(vcpu, access, user, cause));
        if (set_accessed_dirty(interp, &path, access == ACCESS_WRITE))
            break;
    }
    walk->dirty |= access == ACCESS_WRITE;
    return true;
}

bool walk_peek(struct interp *interp, gva_t gva, struct walk *walk)
{
    struct path path;

    if (!(interp->vcpu->cr0 & CR0_PG)) {
        describe_unpaged(gva, walk);
        return true;
    }
    if (read_path(interp, gva, &path) != WALK_OK)
        return false;
    describe(interp->vcpu, &path, gva, walk);
    return true;
}

bool walk_load_pdptes(struct interp *interp, uint32_t cr3)
{
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = phys_read(interp, (cr3 & ~0x1fu) + i * 8u, 8);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & PDPTE_RESERVED))
            return false;
    }
    memcpy(interp->vcpu->pdpte, pdpte, sizeof(pdpte));
    return true;
}
