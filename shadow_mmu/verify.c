/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pread */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shadow_mmu/mmu_priv.h"

/*
 * The checker. It reads the guest's tables with a walker of its own, written
 * straight from the manual's tables and sharing no code with walk.c, and counts
 * everything anew. Windows are TLBs, so an spte is held against the entries
 * that it derives from (the region's PDE, the leaf's snapshot); that those are
 * the guest's present ones is checked where the rules demand it: for synced
 * leaves always, for all right after a flush.
 */

struct rights {
    gfn_t gfn;
    bool writable;
    bool user;
    bool accessed;
    bool dirty;
};

/* SDM 3A Tables 4-4 to 4-6: 32-bit paging. */
static bool naive_32(const struct mmu *mmu, uint32_t page, uint64_t pde,
                     uint64_t pte, struct rights *rights)
{
    if (!(pde & 1))
        return false;
    if ((pde & 0x80) && (mmu->role & ROLE_PSE)) {
        if (pde & 0x003e0000)
            return false;
        uint64_t gpa = (pde & 0xffc00000) + ((uint64_t)(page & 0x3ff) << 12) +
                       (((pde >> 13) & 15) << 32);
        *rights = (struct rights){gpa >> 12, pde & 2, pde & 4, pde & 0x20,
                                  pde & 0x40};
        return true;
    }
    *rights = (struct rights){pte >> 12 & 0xfffff, (pde & pte) & 2,
                              (pde & pte) & 4, pte & 0x20, pte & 0x40};
    return (pte & 1) != 0;
}

/* SDM 3A Tables 4-9 to 4-11: PAE paging, MAXPHYADDR 36. */
static bool naive_pae(const struct mmu *mmu, uint32_t page, uint64_t pde,
                      uint64_t pte, struct rights *rights)
{
    uint64_t reserved = 0x7ffffff000000000ull;
    if (!(mmu->role & ROLE_NXE))
        reserved |= 1ull << 63;
    if (!(pde & 1) || (pde & reserved))
        return false;
    if (pde & 0x80) {
        if (pde & 0x1fe000)
            return false;
        uint64_t gpa = (pde & 0xfffe00000ull) + ((page & 0x1ffull) << 12);
        *rights = (struct rights){gpa >> 12, pde & 2, pde & 4, pde & 0x20,
                                  pde & 0x40};
        return true;
    }
    *rights = (struct rights){(pte & 0xffffff000ull) >> 12, (pde & pte) & 2,
                              (pde & pte) & 4, pte & 0x20, pte & 0x40};
    return (pte & 1) && !(pte & reserved);
}

static bool naive_decode(const struct mmu *mmu, uint32_t page, uint64_t pde,
                         uint64_t pte, struct rights *rights)
{
    bool ok;
    if (!(mmu->role & ROLE_PG)) {
        *rights = (struct rights){page, true, false, true, true};
        ok = true;
    } else if (is_pae(mmu)) {
        ok = naive_pae(mmu, page, pde, pte, rights);
    } else {
        ok = naive_32(mmu, page, pde, pte, rights);
    }
    if (!(mmu->role & ROLE_A20))
        rights->gfn &= ~(gfn_t)0x100;
    return ok;
}

/* An entry where it lies in guest RAM now; 0 outside RAM. */
static uint64_t naive_entry(const struct mmu *mmu, uint64_t table, uint32_t i)
{
    uint64_t value = 0;
    unsigned width = is_pae(mmu) ? 8 : 4;
    if (!(mmu->role & ROLE_A20))
        table &= ~0x100000ull;
    if (gmem_read(mmu->gmem, table + i * width, &value, width) != 0)
        return 0;
    return value;
}

static uint64_t naive_pde(const struct mmu *mmu, uint32_t region)
{
    if (!is_pae(mmu))
        return naive_entry(mmu, mmu->vcpu->cr3 & 0xfffff000, region);
    uint64_t pdpte = mmu->vcpu->pdpte[region / 512];
    return pdpte & 1 ? naive_entry(mmu, pdpte & 0xffffff000ull, region % 512)
                     : 0;
}

/* Same but for gained R/W, A and D and the bits software owns. */
static bool naive_same(uint64_t old, uint64_t now)
{
    return ((old ^ now) & ~0xe62ull) == 0 && !(old & ~now & 0x62);
}

static const char *check_rights(const struct mmu *mmu,
                                const struct window *window, uint32_t page,
                                struct spte spte)
{
    const struct region *region = &window->region[page >> region_shift(mmu)];
    uint32_t index = page & (BIT(region_shift(mmu)) - 1);
    uint64_t pte = 0;
    struct rights rights;
    if (region->leaf != NULL)
        pte = is_pae(mmu) ? region->leaf->snap64[index]
                          : region->leaf->snap32[index];
    if (!naive_decode(mmu, page, region->pde.v, pte, &rights))
        return "an spte is present where the guest's entries are not";
    if (rights.gfn != spte.v >> PAGE_SHIFT)
        return "an spte has another frame than the guest's entries";
    if (!rights.accessed)
        return "an spte derives from an entry without A";
    if (!(spte.v & SPTE_MAPPED))
        return NULL;
    if (rights.user != window->user && (mmu->role & ROLE_PG))
        return "a window maps a page of the other privilege";
    if (!(spte.v & SPTE_WRITE))
        return NULL;
    if (!rights.dirty)
        return "a clean page is mapped writable";
    if (!rights.writable && (window->user || mmu->wp_seen))
        return "a read-only page is mapped writable";
    return NULL;
}

static const char *check_frame(const struct mmu *mmu, struct spte spte)
{
    gfn_t gfn = spte.v >> PAGE_SHIFT;
    enum gmem_kind kind = gmem_lookup(mmu->gmem, gfn, NULL, NULL);
    if (kind == GMEM_NONE)
        return "an spte names a frame that is not memory";
    if ((spte.v & SPTE_WRITE) && kind == GMEM_ROM)
        return "ROM is mapped writable";
    if ((spte.v & (SPTE_WRITE | SPTE_TRACED)) == SPTE_WRITE &&
        mmu->flags[gfn] != 0)
        return "a traced frame is mapped writable";
    return NULL;
}

static struct spte place_spte(const struct mmu *mmu, place_t place)
{
    return window_spte(&mmu->window[(place >> 20) - 1],
                       place & (WINDOW_PAGES - 1));
}

static const char *check_rmap(const struct mmu *mmu,
                              const struct window *window, uint32_t page,
                              struct spte spte)
{
    static const char *const broken = "the reverse map's links are broken";
    const struct spt *spt = window->spt[page / SPT_PAGES];
    place_t place = (window->index + 1) << 20 | page;
    place_t next = spt->next[page % SPT_PAGES];
    place_t prev = spt->prev[page % SPT_PAGES];
    gfn_t gfn = spte.v >> PAGE_SHIFT;
    if (gfn >= mmu->frame_count)
        return NULL;
    if (prev == 0 && mmu->rmap[gfn] != place)
        return "an spte is not in the reverse map";
    if (prev != 0 && place_spte(mmu, prev).v >> PAGE_SHIFT != gfn)
        return broken;
    if (prev != 0 && mmu->window[(prev >> 20) - 1]
                             .spt[(prev & (WINDOW_PAGES - 1)) / SPT_PAGES]
                             ->next[prev % SPT_PAGES] != place)
        return broken;
    if (next != 0 && mmu->window[(next >> 20) - 1]
                             .spt[(next & (WINDOW_PAGES - 1)) / SPT_PAGES]
                             ->prev[next % SPT_PAGES] != place)
        return broken;
    return NULL;
}

static const char *check_spte(const struct mmu *mmu,
                              const struct window *window, uint32_t page,
                              struct spte spte)
{
    const char *why;
    if (!(spte.v & SPTE_PRESENT) ||
        ((spte.v & (SPTE_WRITE | SPTE_TRACED)) && !(spte.v & SPTE_MAPPED)))
        return "an spte's flags contradict each other";
    if (!region_is_live(window, page >> region_shift(mmu)))
        return "an spte lies in a region that is not live";
    if ((spte.v & SPTE_TRACED) &&
        !window->region[page >> region_shift(mmu)].watched)
        return "a page is protected in a region that is not registered";
    if ((why = check_rights(mmu, window, page, spte)) != NULL ||
        (why = check_frame(mmu, spte)) != NULL)
        return why;
    return check_rmap(mmu, window, page, spte);
}

static const char *check_region(const struct mmu *mmu,
                                const struct window *window, uint32_t index)
{
    const struct region *region = &window->region[index];
    uint32_t first = index << region_shift(mmu), present = 0;
    for (uint32_t i = 0; i < BIT(region_shift(mmu)); i++)
        present += window_spte(window, first + i).v & SPTE_PRESENT;
    for (uint32_t i = 0; i < BIT(region_shift(mmu)); i++) {
        if (!window->user && mmu->thrash[index].is_soft &&
            (window_spte(window, first + i).v & SPTE_MAPPED))
            return "a region that is given up is mapped";
    }
    if (region->watched && mmu->uffd < 0)
        return "a region is registered with a userfaultfd that is not there";
    if (present != region->present)
        return "a region's count of sptes is wrong";
    const struct leaf *leaf = region->leaf;
    if (leaf == NULL)
        return NULL;
    if (mmu->leaf[leaf->gfn] != leaf)
        return "a region names a leaf that is not registered";
    for (uint32_t i = 0; i < BIT(region_shift(mmu)); i++) {
        if (window_spte(window, first + i).v == 0)
            continue;
        if (i < leaf->low || i >= leaf->high)
            return "an spte is outside its leaf's range";
        uint64_t snap = is_pae(mmu) ? leaf->snap64[i] : leaf->snap32[i];
        if (leaf->synced &&
            !naive_same(snap, naive_entry(mmu, leaf->gfn << PAGE_SHIFT, i)))
            return "a synced leaf differs from its snapshot";
    }
    return NULL;
}

/* Mapped VMAs, counted from the first page to the last. */
static unsigned count_vmas(const struct mmu *mmu, const struct window *window)
{
    unsigned count = 0;
    struct spte last = {0};
    for (uint32_t page = 0; page < WINDOW_PAGES; page++) {
        if (window->spt[page / SPT_PAGES] == NULL) {
            page |= SPT_PAGES - 1;
            last.v = 0;
            continue;
        }
        struct spte spte = window_spte(window, page);
        bool joins = (last.v & SPTE_MAPPED) &&
                     !((last.v ^ spte.v) & SPTE_WRITE) &&
                     window->region[(page - 1) >> region_shift(mmu)].watched ==
                         window->region[page >> region_shift(mmu)].watched &&
                     spte.v >> PAGE_SHIFT == (last.v >> PAGE_SHIFT) + 1;
        if ((spte.v & SPTE_MAPPED) && !joins)
            count++;
        last = spte;
    }
    return count;
}

/* Most windows are: nothing is in them that could be wrong. */
static bool is_empty(const struct window *window)
{
    uint64_t any = window->vmas | window->spts;
    for (uint32_t i = 0; i < ARRAY_COUNT(window->live); i++)
        any |= window->live[i];
    for (uint32_t i = 0; i < SPT_COUNT; i++)
        any |= (uintptr_t)window->spt[i];
    return any == 0;
}

static const char *check_window(const struct mmu *mmu,
                                const struct window *window, size_t *in_ram)
{
    const char *why = NULL;
    if (is_empty(window))
        return NULL;
    if (count_vmas(mmu, window) != window->vmas)
        return "a window's count of VMAs is wrong";
    for (uint32_t i = 0; i < REGION_MAX && why == NULL; i++) {
        if (region_is_live(window, i))
            why = check_region(mmu, window, i);
    }
    unsigned spts = 0;
    for (uint32_t i = 0; i < SPT_COUNT; i++) {
        const struct spt *spt = window->spt[i];
        spts += spt != NULL;
        for (uint32_t k = 0; spt != NULL && k < SPT_PAGES; k++) {
            struct spte spte = spt->spte[k];
            if (spte.v == 0 || why != NULL)
                continue;
            *in_ram += spte.v >> PAGE_SHIFT < mmu->frame_count;
            why = check_spte(mmu, window, i * SPT_PAGES + k, spte);
        }
    }
    if (why == NULL && spts != window->spts)
        return "a window's count of shadow page tables is wrong";
    return why;
}

static const char *check_frames(const struct mmu *mmu, size_t in_ram)
{
    size_t listed = 0;
    for (gfn_t gfn = 0; gfn < mmu->frame_count; gfn++) {
        const struct leaf *leaf = mmu->leaf[gfn];
        if ((leaf != NULL && leaf->synced) !=
            ((mmu->flags[gfn] & FRAME_TABLE) != 0))
            return "FRAME_TABLE is not on exactly the synced leaves";
        if (leaf != NULL && leaf->users == 0)
            return "a leaf is registered without users";
        for (place_t place = mmu->rmap[gfn]; place != 0;) {
            listed++;
            place = mmu->window[(place >> 20) - 1]
                        .spt[(place & (WINDOW_PAGES - 1)) / SPT_PAGES]
                        ->next[place % SPT_PAGES];
            if (listed > in_ram)
                return "the reverse map lists more than the sptes";
        }
    }
    return listed == in_ram ? NULL : "the reverse map lists too few sptes";
}

const char *spt_verify(struct mmu *mmu)
{
    size_t in_ram = 0;
    unsigned vmas = 0, spts = 0;
    for (uint32_t i = 0; i < WINDOW_COUNT; i++) {
        const char *why = check_window(mmu, &mmu->window[i], &in_ram);
        if (why != NULL)
            return why;
        vmas += mmu->window[i].vmas;
        spts += mmu->window[i].spts;
    }
    if (vmas != mmu->vmas)
        return "the count of VMAs is wrong";
    if (spts != mmu->spts || spts > SPT_BUDGET)
        return "the count of shadow page tables is wrong";
    return check_frames(mmu, in_ram);
}

static const char *check_touched(struct mmu *mmu)
{
    const char *why = NULL;
    uint64_t checked = UINT64_MAX; /* the region that was looked at last */
    for (uint32_t i = 0; i < mmu->touched_count && why == NULL; i++) {
        const struct window *window = &mmu->window[(mmu->touched[i] >> 20) - 1];
        uint32_t page = mmu->touched[i] & (WINDOW_PAGES - 1);
        uint32_t index = page >> region_shift(mmu);
        struct spte spte = window_spte(window, page);
        if (spte.v != 0)
            why = check_spte(mmu, window, page, spte);
        uint64_t region = (uint64_t)window->index << 32 | index;
        if (why == NULL && region != checked && region_is_live(window, index))
            why = check_region(mmu, window, index);
        checked = region;
    }
    return why;
}

const char *spt_verify_touched(struct mmu *mmu)
{
    const char *why = mmu->touched_count > TOUCHED_COUNT ? spt_verify(mmu)
                                                         : check_touched(mmu);
    mmu->touched_count = 0;
    return why;
}

/* Nothing in a current window may derive from what the guest has changed. */
static const char *check_fresh(const struct mmu *mmu,
                               const struct window *window)
{
    for (uint32_t index = 0; index < REGION_MAX; index++) {
        const struct region *region = &window->region[index];
        if (!region_is_live(window, index) || region->present == 0)
            continue;
        if (!naive_same(region->pde.v, naive_pde(mmu, index)))
            return "a region is stale after a flush";
        const struct leaf *leaf = region->leaf;
        for (uint32_t i = 0; leaf != NULL && i < BIT(region_shift(mmu)); i++) {
            uint32_t page = (index << region_shift(mmu)) + i;
            uint64_t snap = is_pae(mmu) ? leaf->snap64[i] : leaf->snap32[i];
            uint64_t now = naive_entry(mmu, region->pde.v & 0xffffff000ull, i);
            if (window_spte(window, page).v != 0 && !naive_same(snap, now))
                return "an spte is stale after a flush";
        }
    }
    return NULL;
}

const char *spt_verify_flushed(struct mmu *mmu)
{
    const char *why = spt_verify(mmu);
    if (why == NULL && (mmu->role & ROLE_PG))
        why = check_fresh(mmu, kernel_window(mmu));
    if (why == NULL && mmu->current_user != NULL)
        why = check_fresh(mmu, mmu->current_user);
    return why;
}

/* One line of /proc/self/maps that lies in the area. */
static const char *check_mapping(const struct mmu *mmu, uint64_t from,
                                 uint64_t to, bool write, uint64_t offset,
                                 size_t *pages)
{
    for (uint64_t at = from; at < to; at += PAGE_SIZE, offset += PAGE_SIZE) {
        uint64_t slot = (at - mmu->area - WINDOW_LEN) / (2 * WINDOW_LEN);
        uint64_t page =
            (at - mmu->area - WINDOW_LEN) % (2 * WINDOW_LEN) >> PAGE_SHIFT;
        if (slot >= WINDOW_COUNT || page >= WINDOW_PAGES)
            return "a host mapping lies between the windows";
        struct spte spte = window_spte(&mmu->window[slot], (uint32_t)page);
        uint64_t want = 0;
        if (!(spte.v & SPTE_MAPPED) || !(spte.v & SPTE_WRITE) == write)
            return "a host mapping's rights are not the spte's";
        if (gmem_lookup(mmu->gmem, spte.v >> PAGE_SHIFT, NULL, &want) ==
                GMEM_NONE ||
            want != offset)
            return "a host mapping's frame is not the spte's";
        ++*pages;
    }
    return NULL;
}

static size_t mapped_pages(const struct mmu *mmu)
{
    size_t count = 0;
    for (uint32_t w = 0; w < WINDOW_COUNT; w++) {
        for (uint32_t i = 0; i < SPT_COUNT; i++) {
            const struct spt *spt = mmu->window[w].spt[i];
            for (uint32_t k = 0; spt != NULL && k < SPT_PAGES; k++)
                count += (spt->spte[k].v & SPTE_MAPPED) != 0;
        }
    }
    return count;
}

/* What /proc/self/pagemap says of protection by userfaultfd (bit 57), for every
 * mapped page. */
static const char *check_protection(const struct window *window, int pagemap)
{
    for (uint32_t i = 0; i < SPT_COUNT; i++) {
        uint64_t entry[SPT_PAGES];
        uint64_t at = (window->base >> PAGE_SHIFT) + i * SPT_PAGES;
        if (window->spt[i] == NULL)
            continue;
        if (pread(pagemap, entry, sizeof(entry), (off_t)(at * 8)) !=
            (ssize_t)sizeof(entry))
            return "/proc/self/pagemap cannot be read";
        for (uint32_t k = 0; k < SPT_PAGES; k++) {
            struct spte spte = window->spt[i]->spte[k];
            if ((entry[k] >> 57 & 1) != !!(spte.v & SPTE_TRACED))
                return spte.v & SPTE_TRACED
                           ? "the host does not protect a traced page"
                           : "the host protects a page that is not traced";
        }
    }
    return NULL;
}

static const char *check_protections(const struct mmu *mmu)
{
    const char *why = NULL;
    if (mmu->uffd < 0)
        return NULL;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        return "/proc/self/pagemap cannot be opened";
    for (uint32_t w = 0; w < WINDOW_COUNT && why == NULL; w++)
        why = check_protection(&mmu->window[w], pagemap);
    close(pagemap);
    return why;
}

/* What /proc/self/smaps says of the windows' VMAs: not dumped (dd), not
 * inherited (dc), registered with userfaultfd (uw) as the regions say. */
static const char *check_flags(const struct mmu *mmu)
{
    char line[512];
    const char *why = NULL;
    unsigned long long from, to, at = 0;
    const uint64_t end = mmu->area + (2 * WINDOW_COUNT + 2) * WINDOW_LEN;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (smaps == NULL)
        return "/proc/self/smaps cannot be read";
    while (why == NULL && fgets(line, sizeof(line), smaps) != NULL) {
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            at = from;
        if (at <= mmu->area || at >= end || strncmp(line, "VmFlags:", 8) != 0)
            continue;
        uint64_t slot = (at - mmu->area - WINDOW_LEN) / (2 * WINDOW_LEN);
        const struct window *window = &mmu->window[slot];
        const uint64_t page = (at - window->base) >> PAGE_SHIFT;
        if (strstr(line, " dd") == NULL || strstr(line, " dc") == NULL)
            why = "a window would be dumped or inherited";
        else if ((strstr(line, " uw") != NULL) !=
                 window->region[page >> region_shift(mmu)].watched)
            why = "a VMA's registration is not its region's";
    }
    fclose(smaps);
    return why;
}

const char *spt_verify_host(struct mmu *mmu)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return "/proc/self/maps cannot be read";
    char line[512];
    const char *why = NULL;
    size_t pages = 0;
    unsigned vmas = 0;
    const uint64_t end = mmu->area + (2 * WINDOW_COUNT + 2) * WINDOW_LEN;
    while (why == NULL && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long long from, to, offset;
        char rights[8];
        if (sscanf(line, "%llx-%llx %7s %llx", &from, &to, rights, &offset) !=
                4 ||
            from <= mmu->area || from >= end)
            continue;
        vmas++;
        why = check_mapping(mmu, from, to, rights[1] == 'w', offset, &pages);
    }
    fclose(maps);
    if (why == NULL && pages != mapped_pages(mmu))
        why = "the host maps fewer pages than the sptes say";
    if (why == NULL && vmas != mmu->vmas)
        why = "the host has another number of VMAs than counted";
    if (why == NULL)
        why = check_flags(mmu);
    return why == NULL ? check_protections(mmu) : why;
}
