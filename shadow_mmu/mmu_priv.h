/* SPDX-License-Identifier: MIT */
#ifndef SHADOW_MMU_MMU_PRIV_H
#define SHADOW_MMU_MMU_PRIV_H

/*
 * PURPOSE: the structures of the shadow MMU, and what its files call of each
 * other, bottom to top: walk.c, window.c, spt.c, leaf.c, trace.h,
 * thrash.c, fault.c, mmu.c.
 *
 *   struct mmu
 *     window[]            [0] is the kernel window, the rest user windows
 *       region[2048]      what one PDE maps: the PDE it derives from, its leaf
 *         leaf            ... and the leaf table, none for a large page
 *       spt[1024] -------> spte[1024] and the reverse map's links
 *     rmap[gfn]           first of the list of places that map the frame
 *     leaf[gfn]           the leaf table in the frame, if windows derive from
 *                         it, with a snapshot of its entries
 */
#include "shadow_mmu/gmem.h"
#include "shadow_mmu/mmu.h"
#include "shadow_mmu/trace.h"

#define WINDOW_LEN    (4 * GIB)
#define WINDOW_PAGES  BIT(20)
#define SPT_PAGES     1024u /* pages that a struct spt describes */
#define SPT_COUNT     (WINDOW_PAGES / SPT_PAGES)
#define SPT_BUDGET    (3 * SPT_COUNT) /* 36 MiB; the rest is evicted */
#define REGION_MAX    2048u           /* PAE: 2 MiB each; else 1024 of 4 MiB */
#define USER_WINDOWS  (MMU_SPACES - 1)
#define WINDOW_COUNT  MMU_SPACES
#define TOUCHED_COUNT 256u

/* Guest entries and shadow entries cannot be mixed up. */
struct gpde {
    uint64_t v;
};
struct gpte {
    uint64_t v;
};
struct spte {
    uint32_t v; /* frame number << 12, SPTE_* */
};

/* Bits of guest entries (SDM 3A 4.3 "32-Bit Paging", 4.4 "PAE Paging"). */
#define PTE_P  BIT64(0)
#define PTE_W  BIT64(1)
#define PTE_U  BIT64(2)
#define PTE_A  BIT64(5)
#define PTE_D  BIT64(6)
#define PTE_PS BIT64(7) /* PDE: large page */
#define PTE_G  BIT64(8)
#define PTE_NX BIT64(63)

#define SPTE_PRESENT BIT(0) /* a translation is recorded: fills and fetches */
#define SPTE_MAPPED  BIT(1) /* the window maps it */
#define SPTE_WRITE   BIT(2) /* ... by a writable VMA */
#define SPTE_FETCHED BIT(3) /* mmu_fetch() handed it out */
#define SPTE_TRACED  BIT(4) /* ... in which userfaultfd protects the page */

/* A place: (window index + 1) << 20 | page. 0 ends a list. */
typedef uint32_t place_t;

struct spt {
    struct spte spte[SPT_PAGES];
    place_t next[SPT_PAGES]; /* in the list of the frame */
    place_t prev[SPT_PAGES];
};

struct leaf;

/* What a PDE maps in one window. Valid while its bit in live[] is set. */
struct region {
    struct gpde pde;   /* what the sptes derive from */
    struct leaf *leaf; /* NULL for a large page and without paging */
    uint32_t next;     /* in the leaf's list: (window + 1) << 11 | region */
    uint32_t prev;
    uint32_t present; /* sptes with SPTE_PRESENT */
    bool watched;     /* its VMAs are registered with userfaultfd */
};

struct window {
    uint64_t base; /* host address */
    uint32_t index;
    bool user;
    bool in_use;       /* user windows: key is valid */
    uint32_t key;      /* CR3 without flags */
    uint64_t last_use; /* mmu->tick when it was last current */
    unsigned vmas;     /* host mappings */
    unsigned spts;     /* of spt[], that are there */
    uint32_t present;  /* sptes with SPTE_PRESENT */
    uint64_t life;     /* changes when it holds another space's pages */
    uint64_t live[REGION_MAX / 64];
    struct region region[REGION_MAX];
    struct spt *spt[SPT_COUNT];
};

/*
 * A leaf page table that windows derive from. The snapshot's entry i is what
 * the sptes of page i in every user derive from; entries without sptes are
 * free to be anything. An unsynced leaf is compared with its snapshot where the
 * guest flushes; a synced one has FRAME_TABLE, so that stores announce
 * themselves and a flush need not look at it.
 */
struct leaf {
    gfn_t gfn;
    uint32_t users;     /* first region, as struct region.next */
    uint32_t low, high; /* indices with sptes are in [low, high) */
    uint32_t quiet;     /* flushes in a row that found no difference */
    uint32_t patience;  /* quiet flushes before it is synced */
    uint32_t stores;    /* announced since it was synced */
    bool synced;
    bool local; /* an spte without G: CR3 loads flush it */
    union {
        uint32_t snap32[1024];
        uint64_t snap64[512];
    };
};

/* How often a region of the kernel window was dropped because the root maps it
 * otherwise (thrash.c). */
struct thrash {
    uint32_t last;  /* mmu->loads at the last drop */
    uint16_t drops; /* in short order */
    bool is_soft;   /* given up: it is not mapped */
};

/* The pages that INVLPG was executed for, one after the other: [first, next). */
struct flush_range {
    uint32_t first;
    uint32_t next;
};

struct mmu {
    struct gmem *gmem;
    struct vcpu *vcpu;
    struct mmu_host host;
    uint8_t *flags; /* FRAME_* by gfn */
    gfn_t frame_count;
    place_t *rmap;
    struct leaf **leaf;
    uint32_t role; /* ROLE_*: the paging mode that everything derives from */
    int uffd;      /* -1: traces are mprotect */
    bool wp_seen;  /* CR0.WP has been set: windows have WP=1 rights */
    uint64_t map_version;
    uint64_t tick;
    struct flush_range flushed;
    uint32_t loads; /* MOV CR3 */
    struct thrash thrash[REGION_MAX];
    uint64_t lives;              /* windows' lives so far */
    struct window *current_user; /* NULL: none made for this CR3 yet */
    uint64_t area;               /* host address of the claim page */
    unsigned vmas;               /* in all windows */
    unsigned spts;
    struct mmu_limits limits;
    place_t touched[TOUCHED_COUNT]; /* for spt_verify_touched() */
    uint32_t touched_count;         /* more than there is room for: all */
    struct window window[WINDOW_COUNT];
};

#define ROLE_PG  BIT(0)
#define ROLE_PSE BIT(1)
#define ROLE_PAE BIT(2)
#define ROLE_NXE BIT(3)
#define ROLE_A20 BIT(4)

static inline bool is_pae(const struct mmu *mmu)
{
    return (mmu->role & ROLE_PAE) != 0;
}

static inline struct window *kernel_window(struct mmu *mmu)
{
    return &mmu->window[0];
}

/* log2 of the pages in a region. */
static inline unsigned region_shift(const struct mmu *mmu)
{
    return is_pae(mmu) ? 9 : 10;
}

/* ---- walk.c: the guest's tables ---- */

enum walk_status {
    WALK_OK,
    WALK_FAULT,  /* error is the #PF error code */
    WALK_OUTSIDE /* a table is not in RAM: not for the shadow */
};

struct gaccess {
    bool write;
    bool user;
    bool fetch;
};

struct gwalk {
    struct gpde pde;
    struct gpte pte; /* 0 for a large page */
    gfn_t leaf;      /* frame of the page table; not for a large page */
    gfn_t gfn;       /* of the 4 KiB page */
    uint32_t error;
    bool large;
    bool writable; /* R/W of all levels */
    bool user;     /* U/S of all levels */
    bool no_exec;
    bool dirty; /* D of the leaf entry */
    bool accessed;
    bool global;
};

gfn_t gwalk_frame(const struct mmu *mmu, gpa_t gpa);

/* The PDE of a region in the current root; 0 when a PDPTE is not present.
 * False: the page directory is not in RAM. */
bool gwalk_pde(const struct mmu *mmu, uint32_t region, struct gpde *pde);

/* Combine a PDE and a PTE (not looked at for a large page) for a page. False:
 * not present or reserved bits, with walk->error. No effects. */
bool gwalk_decode(const struct mmu *mmu, uint32_t page, struct gpde pde,
                  struct gpte pte, struct gwalk *walk);

/* What a page translates to, without rights and effects. False: nothing, or a
 * table is not in RAM. */
bool gwalk_peek(const struct mmu *mmu, uint32_t page, struct gwalk *walk);

/* Walk for an access, checking rights and setting A and D. */
enum walk_status gwalk(struct mmu *mmu, gva_t gva, struct gaccess access,
                       struct gwalk *walk);

/* ---- window.c: host mappings, VMA accounting ---- */

MUST_CHECK int window_area_claim(struct mmu *mmu);
void window_area_release(struct mmu *mmu);
unsigned window_vma_budget(void);

/* The spte of a page; a zero one where there is no struct spt. */
static inline struct spte window_spte(const struct window *window,
                                      uint32_t page)
{
    const struct spt *spt = window->spt[page / SPT_PAGES];
    return spt == NULL ? (struct spte){0} : spt->spte[page % SPT_PAGES];
}

/* VMAs that begin in [first, first + count], by the sptes. Callers count
 * before and after a change of sptes and book the difference. */
unsigned window_count_vmas(const struct mmu *mmu, const struct window *window,
                           uint32_t first, uint32_t count);
void window_book(struct mmu *mmu, struct window *window, unsigned before,
                 unsigned after);

/* The host calls alone. map and protect: false when the host refuses. */
struct run {
    uint32_t page;
    uint32_t count;
    gfn_t gfn;
    uint32_t touch; /* the page that faulted: its surroundings are populated */
    bool write;
};
bool window_map(struct mmu *mmu, struct window *window, const struct run *run);
bool window_protect(struct window *window, uint32_t page, uint32_t count,
                    bool write);
bool window_unmap(struct window *window, uint32_t page, uint32_t count);

/* ---- spt.c: sptes, reverse map, regions ---- */

/* Make the window's pages map the frames. False: no host memory or VMAs. */
bool spt_fill(struct mmu *mmu, struct window *window, const struct run *run);

/* Record a translation that code was fetched through. */
bool spt_note_fetch(struct mmu *mmu, struct window *window, uint32_t page,
                    gfn_t gfn);

/* Forget the pages' translations and unmap them. */
void spt_drop(struct mmu *mmu, struct window *window, uint32_t page,
              uint32_t count);

/* Unmap a whole window with one host call; the second also forgets its
 * translations and regions. */
void spt_unmap_window(struct mmu *mmu, struct window *window);
void spt_drop_window(struct mmu *mmu, struct window *window);

/* Make mapped pages read-only. */
void spt_protect(struct mmu *mmu, struct window *window, uint32_t page,
                 uint32_t count);

/* Have the host report stores through every mapping of a frame. */
void spt_trace_frame(struct mmu *mmu, gfn_t gfn);

/* Whether what derives from the old value may go on with the new one: A, D and
 * R/W were gained at most, or ignored bits changed. */
bool spt_keeps(uint64_t old, uint64_t now);

/* Bind a region to the entries of a walk, dropping what derived from others;
 * walk is NULL without paging. NULL: no host memory. */
struct region *spt_attach(struct mmu *mmu, struct window *window,
                          uint32_t index, const struct gwalk *walk);
void spt_drop_region(struct mmu *mmu, struct window *window, uint32_t index);

static inline bool region_is_live(const struct window *window, uint32_t index)
{
    return (window->live[index / 64] >> (index % 64)) & 1;
}

/* ---- leaf.c: leaf tables ---- */

bool leaf_attach(struct mmu *mmu, struct window *window, uint32_t index,
                 gfn_t gfn);
void leaf_detach(struct mmu *mmu, struct window *window, uint32_t index);
struct gpte leaf_read(const struct mmu *mmu, const struct leaf *leaf,
                      uint32_t index);
struct gpte leaf_snapshot(const struct mmu *mmu, const struct leaf *leaf,
                          uint32_t index);
/* Take the entry's present value into the snapshot, for an spte to derive from;
 * what derives from another value is dropped. */
void leaf_take(struct mmu *mmu, struct leaf *leaf, uint32_t index);
/* Compare entries with the snapshot; drop what differs. Returns whether any
 * did. */
bool leaf_check(struct mmu *mmu, struct leaf *leaf, uint32_t low,
                uint32_t high);
/* A flush point: check all, unless it is synced; may sync it. */
void leaf_flush(struct mmu *mmu, struct leaf *leaf);
/* The guest is about to store to it: end the trace. */
void leaf_unsync(struct mmu *mmu, struct leaf *leaf);

/* ---- thrash.c ---- */

/* A region of the kernel window was dropped at MOV CR3. */
void thrash_dropped(struct mmu *mmu, uint32_t index);
/* Whether the page lies in a region that is given up. May end that. */
bool thrash_is_soft(struct mmu *mmu, const struct window *window,
                    uint32_t page);
/* The paging mode changed. */
void thrash_forget(struct mmu *mmu);

/* ---- fault.c ---- */

/* Map a page that the guest's tables grant with A set, if it is not mapped so.
 * No effect that the guest could see. */
void fault_prefill(struct mmu *mmu, struct window *window, uint32_t page);

/* ---- mmu.c ---- */

/* The window of the current CR3, made if need be. */
struct window *mmu_user_window(struct mmu *mmu);
/* Bring role and map up to date; drops everything when either changed. */
void mmu_sync_role(struct mmu *mmu);
/* Evict until some more VMAs, and one more struct spt, fit. keep goes last. */
void mmu_make_room(struct mmu *mmu, const struct window *keep);

#endif /* SHADOW_MMU_MMU_PRIV_H */
