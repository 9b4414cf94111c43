/* SPDX-License-Identifier: MIT */
#include "emu/cpu/mem.h"

#include <string.h>

#include "emu/cpu/debug.h"
#include "emu/cpu/tlb.h"
#include "emu/cpu/walk.h"

/*
 * Plan. An access passes three stages:
 *
 *   1. segment_check(): offset -> linear address, #GP or #SS;
 *   2. alignment, #AC;
 *   3. fast_pointer(): the TLB knows the page, it is RAM and nobody watches
 *      the frame. Otherwise resolve() cuts the access at the page boundary into
 *      one or two pieces, both of which are translated before either is
 *      touched, and each piece goes to RAM, ROM or MMIO.
 */

/* A data segment without surprises: only the base matters. */
#define FLAT_MASK \
    (SEG_UNUSABLE | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITABLE | SEG_P)
#define FLAT_DATA (SEG_S | SEG_WRITABLE | SEG_P)

struct piece {
    struct tlb_entry page; /* a copy: the second lookup may evict the first */
    unsigned offset;       /* in the page */
    unsigned len;
};

static inline bool is_user(const struct interp *interp)
{
    return interp->vcpu->cpl == 3;
}

/* Segmentation. */

static bool segment_fault(struct interp *interp, enum seg seg)
{
    return vcpu_fault_error(interp->vcpu, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

/* SDM 3A 5.5 "Type Checking": what may be read, what may be written. */
static bool is_type_allowed(const struct segment *segment, bool write)
{
    if (segment->attr & SEG_UNUSABLE)
        return false;
    if (segment->attr & SEG_CODE)
        return !write && (segment->attr & SEG_WRITABLE);
    return !write || (segment->attr & SEG_WRITABLE);
}

/* SDM 3A 5.3 "Limit Checking". An access that wraps at the end of a 4 GiB
 * segment may or may not fault there: it does not here. */
static bool is_inside_limit(const struct segment *segment, uint32_t offset,
                            unsigned size)
{
    uint64_t last = (uint64_t)offset + size - 1;

    if (!(segment->attr & SEG_CODE) && (segment->attr & SEG_DOWN)) {
        uint32_t upper = segment->attr & SEG_DB ? 0xffffffff : 0xffff;

        return offset > segment->limit && last <= upper;
    }
    return last <= segment->limit || segment->limit == 0xffffffff;
}

static inline bool segment_check(struct interp *interp, enum seg seg,
                                 uint32_t offset, unsigned size, bool write,
                                 gva_t *gva)
{
    const struct segment *segment = &interp->vcpu->seg[seg];

    *gva = segment->base + offset;
    if (LIKELY(segment->limit == 0xffffffff &&
               (segment->attr & FLAT_MASK) == FLAT_DATA))
        return true;
    if (!is_type_allowed(segment, write) ||
        !is_inside_limit(segment, offset, size))
        return segment_fault(interp, seg);
    return true;
}

/* Alignment: SDM 3A Table 6-7 "Alignment Requirements by Data Type". For the
 * SIMD forms without a requirement of their own (MOVUPS) #AC is left to the
 * processor: here, as on the tested hosts, it is raised. */
static unsigned required_alignment(unsigned size)
{
    switch (size) {
    case 6: return 4;
    case 10: return 8;
    case 14:           /* FSTENV, 16-bit form */
    case 94: return 2; /* FSAVE, 16-bit form */
    case 28:
    case 108: return 4;
    default: return size <= 16 ? size : 1;
    }
}

static bool is_misaligned(const struct interp *interp, gva_t gva, unsigned size)
{
    const struct vcpu *vcpu = interp->vcpu;

    return (vcpu->eflags & FLAG_AC) && (vcpu->cr0 & CR0_AM) && vcpu->cpl == 3 &&
           (gva & (required_alignment(size) - 1));
}

static inline bool align_check(struct interp *interp, gva_t gva, unsigned size)
{
    if (UNLIKELY(interp->vcpu->eflags & FLAG_AC) &&
        is_misaligned(interp, gva, size))
        return vcpu_fault_error(interp->vcpu, EXC_AC, 0);
    return true;
}

/* RAM, ROM and MMIO. */

static void mmio_read(struct interp *interp, gpa_t gpa, uint8_t *data,
                      unsigned len)
{
    while (len > 0) {
        unsigned size = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
        uint64_t value = interp->host.mmio_read(interp->host.opaque, gpa, size);

        memcpy(data, &value, size);
        gpa += size;
        data += size;
        len -= size;
    }
}

static void mmio_write(struct interp *interp, gpa_t gpa, const uint8_t *data,
                       unsigned len)
{
    while (len > 0) {
        unsigned size = len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
        uint64_t value = 0;

        memcpy(&value, data, size);
        interp->host.mmio_write(interp->host.opaque, gpa, size, value);
        gpa += size;
        data += size;
        len -= size;
    }
}

static inline void copy(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, size); break;
    }
}

static void piece_read(struct interp *interp, const struct piece *piece,
                       uint8_t *data)
{
    if (piece->page.hva != NULL)
        copy(data, piece->page.hva + piece->offset, piece->len);
    else
        mmio_read(interp, piece->page.gpa + piece->offset, data, piece->len);
}

static void piece_write(struct interp *interp, const struct piece *piece,
                        const uint8_t *data)
{
    gpa_t gpa = piece->page.gpa + piece->offset;

    if (piece->page.hva == NULL) {
        mmio_write(interp, gpa, data, piece->len);
        return;
    }
    if (!piece->page.writable)
        return;
    copy(piece->page.hva + piece->offset, data, piece->len);
    if (*piece->page.flags != 0)
        interp->host.ram_stored(interp->host.opaque, gpa, piece->len);
}

/* Linear accesses. */

/* Where the size bytes can be accessed directly, or NULL. */
static inline uint8_t *fast_pointer(const struct interp *interp, gva_t gva,
                                    unsigned size, enum access access,
                                    bool user)
{
    const struct tlb_entry *entry = tlb_peek(interp, gva, access, user);

    if (UNLIKELY(entry == NULL) || UNLIKELY(entry->hva == NULL) ||
        UNLIKELY((gva & PAGE_MASK) + size > PAGE_SIZE))
        return NULL;
    if (access == ACCESS_WRITE && UNLIKELY(!entry->writable || *entry->flags))
        return NULL;
    return entry->hva + (gva & PAGE_MASK);
}

static bool resolve_piece(struct interp *interp, gva_t gva, unsigned len,
                          enum access access, bool user, struct piece *piece)
{
    const struct tlb_entry *entry = tlb_lookup(interp, gva, access, user);

    if (entry == NULL)
        return false;
    *piece =
        (struct piece){.page = *entry, .offset = gva & PAGE_MASK, .len = len};
    return true;
}

/* The number of pieces, or 0 with #PF recorded. */
static unsigned resolve(struct interp *interp, gva_t gva, unsigned size,
                        enum access access, struct piece piece[2])
{
    unsigned room = PAGE_SIZE - (gva & PAGE_MASK);
    unsigned first = size < room ? size : room;
    bool user = is_user(interp);

    if (!resolve_piece(interp, gva, first, access, user, &piece[0]))
        return 0;
    if (first == size)
        return 1;
    if (!resolve_piece(interp, gva + first, size - first, access, user,
                       &piece[1]))
        return 0;
    return 2;
}

static bool linear_read(struct interp *interp, gva_t gva, void *data,
                        unsigned size)
{
    struct piece piece[2];
    unsigned count = resolve(interp, gva, size, ACCESS_READ, piece);

    if (count == 0)
        return false;
    debug_note_access(interp, gva, size, false);
    piece_read(interp, &piece[0], data);
    if (count == 2)
        piece_read(interp, &piece[1], (uint8_t *)data + piece[0].len);
    return true;
}

static bool linear_write(struct interp *interp, gva_t gva, const void *data,
                         unsigned size)
{
    struct piece piece[2];
    unsigned count = resolve(interp, gva, size, ACCESS_WRITE, piece);

    if (count == 0)
        return false;
    debug_note_access(interp, gva, size, true);
    piece_write(interp, &piece[0], data);
    if (count == 2)
        piece_write(interp, &piece[1], (const uint8_t *)data + piece[0].len);
    return true;
}

/* Public. */

bool mem_read(struct interp *interp, enum seg seg, uint32_t offset, void *data,
              unsigned size)
{
    const uint8_t *hva;
    gva_t gva;

    if (!segment_check(interp, seg, offset, size, false, &gva) ||
        !align_check(interp, gva, size))
        return false;
    hva = fast_pointer(interp, gva, size, ACCESS_READ, is_user(interp));
    if (UNLIKELY(hva == NULL))
        return linear_read(interp, gva, data, size);
    copy(data, hva, size);
    return true;
}

bool mem_write(struct interp *interp, enum seg seg, uint32_t offset,
               const void *data, unsigned size)
{
    uint8_t *hva;
    gva_t gva;

    if (!segment_check(interp, seg, offset, size, true, &gva) ||
        !align_check(interp, gva, size))
        return false;
    hva = fast_pointer(interp, gva, size, ACCESS_WRITE, is_user(interp));
    if (UNLIKELY(hva == NULL))
        return linear_write(interp, gva, data, size);
    copy(hva, data, size);
    return true;
}

bool mem_read_uint(struct interp *interp, enum seg seg, uint32_t offset,
                   unsigned size, uint64_t *value)
{
    *value = 0;
    return mem_read(interp, seg, offset, value, size);
}

bool mem_write_uint(struct interp *interp, enum seg seg, uint32_t offset,
                    unsigned size, uint64_t value)
{
    return mem_write(interp, seg, offset, &value, size);
}

bool mem_probe_write(struct interp *interp, enum seg seg, uint32_t offset,
                     unsigned size)
{
    struct piece piece[2];
    gva_t gva;

    if (!segment_check(interp, seg, offset, size, true, &gva) ||
        !align_check(interp, gva, size))
        return false;
    if (LIKELY(tlb_peek(interp, gva, ACCESS_WRITE, is_user(interp)) != NULL &&
               (gva & PAGE_MASK) + size <= PAGE_SIZE))
        return true;
    return resolve(interp, gva, size, ACCESS_WRITE, piece) != 0;
}

unsigned mem_plain_run(struct interp *interp, enum seg seg, uint32_t offset,
                       bool write, unsigned len, uint8_t **hva)
{
    const struct segment *segment = &interp->vcpu->seg[seg];
    gva_t gva = segment->base + offset;
    unsigned room = PAGE_SIZE - (gva & PAGE_MASK);

    if (len > room)
        len = room;
    if (len == 0 || !is_type_allowed(segment, write) ||
        !is_inside_limit(segment, offset, len) ||
        (uint64_t)offset + len > BIT64(32))
        return 0;
    *hva = fast_pointer(interp, gva, len, write ? ACCESS_WRITE : ACCESS_READ,
                        is_user(interp));
    return *hva != NULL ? len : 0;
}

/* Implicit supervisor accesses look like CPL 0 for one access; they are not
 * subject to alignment checks. */
bool sys_read(struct interp *interp, gva_t gva, void *data, unsigned size)
{
    uint8_t cpl = interp->vcpu->cpl;
    bool done;

    interp->vcpu->cpl = 0;
    done = linear_read(interp, gva, data, size);
    interp->vcpu->cpl = cpl;
    return done;
}

bool sys_write(struct interp *interp, gva_t gva, const void *data,
               unsigned size)
{
    uint8_t cpl = interp->vcpu->cpl;
    bool done;

    interp->vcpu->cpl = 0;
    done = linear_write(interp, gva, data, size);
    interp->vcpu->cpl = cpl;
    return done;
}

bool mem_fetch(struct interp *interp, gip_t gip, uint8_t *bytes, unsigned len,
               unsigned *got)
{
    bool user = is_user(interp);

    *got = 0;
    while (*got < len) {
        unsigned room = PAGE_SIZE - ((gip + *got) & PAGE_MASK);
        struct piece piece;

        if (room > len - *got)
            room = len - *got;
        if (!resolve_piece(interp, gip + *got, room, ACCESS_FETCH, user,
                           &piece))
            return *got > 0;
        piece_read(interp, &piece, bytes + *got);
        *got += room;
    }
    return true;
}

/* Physical accesses. */

static gpa_t a20_mask(const struct interp *interp, gpa_t gpa)
{
    return interp->vcpu->a20 ? gpa : gpa & ~BIT64(20);
}

static void phys_piece(struct interp *interp, gpa_t gpa, unsigned size,
                       struct piece *piece)
{
    struct host_page page;

    gpa = a20_mask(interp, gpa);
    page = interp->host.page(interp->host.opaque, gpa >> PAGE_SHIFT);
    *piece = (struct piece){
        .page = {.hva = page.hva,
                 .writable = page.writable,
                 .flags = tlb_frame_flags(interp, gpa),
                 .gpa = gpa & ~(gpa_t)PAGE_MASK},
        .offset = (unsigned)(gpa & PAGE_MASK),
        .len = size
    };
}

uint64_t phys_read(struct interp *interp, gpa_t gpa, unsigned size)
{
    struct piece piece;
    uint64_t value = 0;

    phys_piece(interp, gpa, size, &piece);
    piece_read(interp, &piece, (uint8_t *)&value);
    return value;
}

void phys_write(struct interp *interp, gpa_t gpa, unsigned size, uint64_t value)
{
    struct piece piece;

    phys_piece(interp, gpa, size, &piece);
    piece_write(interp, &piece, (const uint8_t *)&value);
}

bool phys_cmpxchg(struct interp *interp, gpa_t gpa, unsigned size,
                  uint64_t expected, uint64_t value)
{
    struct piece piece;
    bool done;

    phys_piece(interp, gpa, size, &piece);
    if (piece.page.hva == NULL || !piece.page.writable)
        return true;
    if (size == 8) {
        uint64_t *word = (void *)(piece.page.hva + piece.offset);

        done = __atomic_compare_exchange_n(word, &expected, value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint32_t *word = (void *)(piece.page.hva + piece.offset);
        uint32_t old = (uint32_t)expected;

        done = __atomic_compare_exchange_n(word, &old, (uint32_t)value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    if (done && *piece.page.flags != 0)
        interp->host.ram_stored(interp->host.opaque,
                                piece.page.gpa + piece.offset, size);
    return done;
}

bool mem_debug_translate(struct interp *interp, gva_t gva, gpa_t *gpa)
{
    struct walk walk;

    if (!walk_peek(interp, gva, &walk))
        return false;
    *gpa = a20_mask(interp, walk.gpa | (gva & PAGE_MASK));
    return true;
}
