/* SPDX-License-Identifier: MIT */
#ifndef CACHE_TC_H
#define CACHE_TC_H

/*
 * PURPOSE: the translation cache: owns the memory of the CCFs, finds them by
 * guest address, by host address and by frame, chains them, and takes them
 * back.
 *
 * The code memory is a glue area (common stubs, never evicted) followed by
 * TC_REGIONS equal regions. CCFs are placed one behind the other; when a
 * region is full the next one is emptied and reused (oldest first).
 *
 * Invariants (tc_verify checks them):
 *   - a live CCF is in its hash bucket and in its frame's list, once each;
 *   - CCFs of a region are sorted by address and do not overlap;
 *   - a chained exit's CCF is live, its rel32 leads to that CCF's body, and it
 *     is in that CCF's incoming list; an unchained one leads to its stub;
 *   - a chain that crosses into another page is of the kernel's space, and in
 *     the list of that page;
 *   - a dead CCF has no incoming exits, and its entry and return sites are
 *     jumps to the lookup;
 *   - the frames of a live CCF are traced, and their bytes are what it was made
 *     from, unless it checks them itself; a CCF on the shelf is dead.
 *
 * Threading: the vcpu's thread.
 */
#include "cache/ccf.h"
#include "cache/mcode.h"
#include "monitor/stats.h"

#define TC_REGIONS  16
#define TC_GLUE_LEN 4096u

/* A store that would look at more CCFs of a frame than this drops them all. */
#define TC_FRAME_CROWD 1024u
#define TC_MIN_LEN     (1024u * 1024u)

struct tc;

/* Upcalls. */
struct tc_host {
    void *opaque;
    /* The last live CCF of a frame went: its trace may be released. */
    void (*frame_empty)(void *opaque, gfn_t gfn);
    /* Code memory is about to be reused: no lookup table and no host call
     * stack may lead into it when this returns. */
    void (*region_evicted)(void *opaque);
    /* For tc_verify(), and NULL without: the bytes of a frame; whether stores to
     * it are announced. */
    const uint8_t *(*frame_bytes)(void *opaque, gfn_t gfn);
    bool (*frame_is_traced)(void *opaque, gfn_t gfn);
};

/* Where dead code leads; set once the glue is written. */
struct tc_stubs {
    uint64_t miss;   /* r8d is the target, no CCF under its table slot */
    uint64_t lookup; /* r8d is the target: try the table */
};

/* len bytes of code memory, at least TC_MIN_LEN. 0 or -errno. */
MUST_CHECK int tc_create(struct tc **out, size_t len, struct stats *stats,
                         const struct tc_host *host);
void tc_destroy(struct tc *tc);

const struct mcode *tc_mcode(const struct tc *tc);
void tc_set_stubs(struct tc *tc, const struct tc_stubs *stubs);

/* Find the live CCF for an instruction, or NULL. */
struct ccf *tc_find(const struct tc *tc, gip_t gip, gfn_t gfn, uint32_t mode);

/* The CCF whose host code contains the address, dead ones included; or NULL. */
struct ccf *tc_find_host(const struct tc *tc, uint64_t rx);

/* The point that governs a host address of the CCF; NULL in its entry check or
 * stubs. *exact: the address is the point's own. */
const struct ccf_point *ccf_find_point(const struct ccf *ccf, uint64_t rx,
                                       bool *exact);

/* The first point of the next instruction behind a point's own; NULL when there
 * is none. */
const struct ccf_point *ccf_next_insn(const struct ccf *ccf,
                                      const struct ccf_point *point);

/* Room for at least len bytes of code, evicting a region if need be. The
 * result is an executable address; write through tc_mcode(). 0: the host has no
 * memory for another CCF. */
uint64_t tc_reserve(struct tc *tc, size_t len);

/* Free a CCF that was not inserted; NULL is fine. */
void ccf_free(struct ccf *ccf);

/* Take ownership of a CCF (heap, as its arrays) whose host_len bytes of code
 * are at the address tc_reserve() gave, and make it findable. */
void tc_insert(struct tc *tc, struct ccf *ccf);

/* Chain a JUMP or CALL exit to a live CCF, or undo it. The caller undoes chains
 * that cross into another page before that page's translation changes. */
void tc_chain(struct tc *tc, struct ccf_exit *exit, struct ccf *to);
void tc_unchain(struct tc *tc, struct ccf_exit *exit);

/* The exit is never to be chained: let it use the lookup table by itself. */
void tc_never_chain(struct tc *tc, struct ccf_exit *exit);

/* Undo the chains that cross into a linear page; into any. */
void tc_unchain_page(struct tc *tc, gva_t page);
void tc_unchain_pages(struct tc *tc);

/* The first page with a chain that crosses into it for which the predicate is
 * false, or TC_NO_PAGE. For verifiers. */
#define TC_NO_PAGE 1u
gva_t tc_find_crossed(const struct tc *tc,
                      bool (*is_good)(const void *opaque, gva_t page),
                      const void *opaque);

/* Drop one CCF for good; one whose source has changed, which may be taken back;
 * the CCFs of a frame whose source overlaps bytes
 * [offset, offset + len) of it, or all of a frame, which may be taken back; or
 * all there are, for good. Returns how many. */
void tc_drop(struct tc *tc, struct ccf *ccf);
void tc_drop_changed(struct tc *tc, struct ccf *ccf);
unsigned tc_drop_range(struct tc *tc, gfn_t gfn, uint32_t offset, uint32_t len);
unsigned tc_drop_frame(struct tc *tc, gfn_t gfn);
void tc_drop_all(struct tc *tc);

/* Free all CCFs, as if the cache were new. */
void tc_clear(struct tc *tc);

/* Bring a CCF back to life that was dropped because its source was stored to,
 * if the page now holds the bytes it was made from at gip. It may have been
 * another frame's; it is gfn's from now on. NULL when there is none. */
struct ccf *tc_take_back(struct tc *tc, gip_t gip, gfn_t gfn, uint32_t mode,
                         const uint8_t *page);

/* True while the frame has live CCFs. */
bool tc_frame_has_code(const struct tc *tc, gfn_t gfn);

/* NULL when all invariants hold, else a static string naming the broken one. */
const char *tc_verify(const struct tc *tc);

/* The same of the CCFs that changed since the last call, or of all when there
 * were many. */
const char *tc_verify_touched(struct tc *tc);

#endif /* CACHE_TC_H */
