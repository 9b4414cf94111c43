/* SPDX-License-Identifier: MIT */
#include "walk_input.h"

#include <string.h>

uint32_t walk_pick_index(bool pae, uint8_t choice)
{
    static const uint16_t some[] = {
        0,     1,     2,     3,     4,     5,     6,     7,
        8,     14,    15,    16,    62,    63,    64,    65,
        0x80,  0x100, 0x1fe, 0x1ff, 0x200, 0x201, 0x300, 0x301,
        0x302, 0x303, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x9f,  0xa0};

    return some[choice & 31] & (pae ? 511 : 1023);
}

gva_t walk_pick_gva(bool pae, uint8_t a, uint8_t b)
{
    static const uint16_t regions[] = {0, 0x300, 1, 2, 0x3ff, 0x301, 0x3fe, 3};
    static const uint16_t offsets[] = {0,     4,     8,     0x10,  0x123, 0x7fe,
                                       0xffc, 0xffd, 0xffe, 0xfff, 0xff9, 0xffa,
                                       0xc00, 0xc04, 0x800, 0xff8};
    uint32_t region = regions[a & 7];
    uint32_t page = walk_pick_index(pae, a >> 3);

    if (pae) /* regions are of 2 MiB */
        region = (regions[a & 7] * 2u + (b >> 7)) << 9 | (page & 511);
    else
        region = region << 10 | page;
    return region << PAGE_SHIFT | offsets[b & 15];
}

/* Bits of an entry: the low byte as it is, the frame by choice. */
uint64_t walk_pick_entry(bool pae, uint8_t target, uint8_t low)
{
    static const uint32_t odd[] = {0xa0, 0x1ff, 0x200, 0xfffff, 0, 0xc0, 2, 1};
    unsigned choice = target & 31;
    uint64_t entry = low;

    if (choice < WALK_POOL_LEN)
        entry |= (uint64_t)(WALK_POOL + choice) << PAGE_SHIFT;
    else if (choice < WALK_POOL_LEN + WALK_DATA_LEN)
        entry |= (uint64_t)(WALK_DATA + choice - WALK_POOL_LEN) << PAGE_SHIFT;
    else
        entry |= (uint64_t)odd[choice & 7] << PAGE_SHIFT;
    if ((low & 0x80) && (target & 0x20))
        entry &= ~(uint64_t)0x1ff000; /* a large page that is aligned */
    entry |= target & 0x40 ? 0x100 : 0;
    if (target & 0x80)
        entry |= pae ? BIT64(63) : 0x200;
    return entry;
}

static void put(uint8_t *ram, bool pae, unsigned table, unsigned index,
                uint64_t entry)
{
    unsigned width = pae ? 8 : 4;

    memcpy(ram + ((WALK_POOL + table) << PAGE_SHIFT) + index * width, &entry,
           width);
}

static uint64_t frame(unsigned n)
{
    return (uint64_t)n << PAGE_SHIFT;
}

/* Something to begin with: a few tables, a large page, the root in itself.
 * Pages are as rights says, and alike unless it says otherwise. */
static void put_start(uint8_t *ram, bool pae, uint8_t rights)
{
    const uint64_t table = 0x27;
    unsigned last = pae ? 511 : 1023;
    unsigned top = pae ? 4 : 0;

    put(ram, pae, 0, 0, frame(WALK_POOL + 1) | table);
    put(ram, pae, 0, 1, frame(WALK_POOL + 2) | table);
    put(ram, pae, 0, pae ? 4 : 2, 0xe7);
    put(ram, pae, top, pae ? 0 : 0x300, frame(WALK_POOL + 3) | 0x23);
    put(ram, pae, top, last, frame(WALK_POOL + top) | 0x23);
    for (unsigned i = 0; i < WALK_DATA_LEN; i++) {
        uint64_t entry = frame(WALK_DATA + i) | 3 | (rights & 0x64) |
                         (rights & 0x80 ? 0x100 : 0);

        if ((rights & 8) && i % 3 == 0)
            entry ^= 0x60;
        if ((rights & 16) && i % 5 == 0)
            entry ^= 2;
        put(ram, pae, 1, i, entry | 4);
        put(ram, pae, 2, i, frame(WALK_DATA + (i ^ 3)) | 7);
        put(ram, pae, 3, i, entry);
    }
    for (unsigned i = 0; pae && i < 4; i++) {
        static const uint8_t directories[] = {0, 0, 5, 4};

        put(ram, pae, 7, i, frame(WALK_POOL + directories[i]) | 1);
        put(ram, pae, 7, i + 4, frame(WALK_POOL + directories[3 - i]) | 1);
    }
}

void walk_put_tables(uint8_t *ram, const uint8_t *in, const uint8_t *data,
                     size_t len)
{
    bool pae = in[IN_MODE] & 2;

    memset(ram + frame(WALK_POOL), 0, frame(WALK_POOL_LEN));
    for (uint32_t at = 0; at < frame(WALK_DATA_LEN); at += 4) {
        uint32_t word = at * 0x9e3779b1u;

        memcpy(ram + frame(WALK_DATA) + at, &word, 4);
    }
    put_start(ram, pae, in[IN_RIGHTS]);
    for (size_t i = 0; i + 3 <= len; i += 3) {
        uint64_t entry = walk_pick_entry(pae, data[i + 1], data[i + 2]);

        put(ram, pae, data[i] & 7, walk_pick_index(pae, data[i] >> 3), entry);
    }
}
