/* SPDX-License-Identifier: MIT */
#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "pages.h"
#include "paging.h"
#include "stress.h"

/*
 * Code that maps its own page to another frame, or calls what does, and goes on.
 *
 * A function lies in two frames, the same but for its numbers. Between a change of
 * the page's entry and the next flush of it each instruction, and each load from the
 * page, may come from either (SDM Vol.3A 4.10.2.3 "Details of TLB Use" and 4.10.4.4
 * "Delayed Invalidation"); behind the flush, from the very next instruction on, all
 * come from the frame that the entry says. So do returns into the page. Loads from it and its neighbours
 * make the processor look at the new entry before the flush.
 *
 * The function adds up the numbers that it meets: in EBX those that may be of
 * either frame, in EDX those that must be the new one's.
 */
enum {
    CASES = 30,
    PARTS = 5, /* of a function, at most */
    OWN_REGIONS = 4,
    OWN_PAGES = 24, /* of a region, from which a case takes one */
    NUMBER_AT = 0x800,
    STORE_AT = 0x900,
    HELPER_ROOM = 64,
};

#define OWN_VA    0x34000000u
#define HELPER_VA (OWN_VA + OWN_REGIONS * (4u << 20))
#define NUMBER(n) ((n) ? 0x10000u : 1u)

/* What is being generated: the same in both frames. */
static struct {
    uint32_t frame[2];
    uint32_t helpers;   /* frame of functions elsewhere */
    uint32_t va, slot;  /* of the page, and its entry's address */
    uint32_t at;        /* offset in the page */
    uint32_t current;   /* the frame that the entry says, 0 or 1 */
    uint32_t loose;     /* numbers that may be of either */
    uint32_t strict[2]; /* sums that must be, by the frame at the start */
} own;

/* ---- Code ---- */

static void put8(uint32_t value)
{
    *mem8(own.frame[0] + own.at) = (uint8_t)value;
    *mem8(own.frame[1] + own.at) = (uint8_t)value;
    own.at++;
}

static void put32(uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++)
        put8(value >> 8 * i);
}

/* An operation with two bytes of opcode. */
static void put_op(uint32_t first, uint32_t second, uint32_t operand)
{
    put8(first);
    put8(second);
    put32(operand);
}

/* Its immediate is the frame's number. */
static void put_number(uint32_t modrm)
{
    put_op(0x81, modrm, 0);
    *mem32(own.frame[0] + own.at - 4) = NUMBER(0);
    *mem32(own.frame[1] + own.at - 4) = NUMBER(1);
}

static void put_call(uint32_t to)
{
    put8(0xE8);
    put32(to - (own.va + own.at + 4));
}

/* ---- Functions elsewhere ---- */

enum helper { HELPER_INVLPG, HELPER_CR3, HELPER_ALL, HELPER_NOTHING, HELPERS };

static uint32_t helper_va(enum helper helper)
{
    return HELPER_VA + (uint32_t)helper * HELPER_ROOM;
}

static uint32_t put_bytes(uint32_t at, const char *bytes, uint32_t len,
                          uint32_t operand)
{
    memcpy((void *)at, bytes, len);
    *mem32(at + len) = operand;
    return at + len + 4;
}

static void put_helpers(void)
{
    uint32_t at = own.helpers + HELPER_INVLPG * HELPER_ROOM;

    at = put_bytes(at, "\x0F\x01\x3D", 3, own.va); /* invlpg; ret */
    *mem8(at) = 0xC3;
    at = own.helpers + HELPER_CR3 * HELPER_ROOM; /* mov cr3, its value; ret */
    memcpy((void *)at, "\x0F\x20\xD8\x0F\x22\xD8\xC3", 7);
    at = own.helpers + HELPER_ALL * HELPER_ROOM;
    at = put_bytes(at, "\x81\x35", 2, own.slot); /* xor [slot], frames; */
    *mem32(at) = own.frame[0] ^ own.frame[1];
    at = put_bytes(at + 4, "\x03\x1D", 2, own.va + NUMBER_AT); /* add ebx, */
    at = put_bytes(at, "\x0F\x01\x3D", 3, own.va);
    *mem8(at) = 0xC3;
    *mem8(own.helpers + HELPER_NOTHING * HELPER_ROOM) = 0xC3;
    __asm__ volatile("" : : : "memory");
}

/* ---- Parts of a function ---- */

static void put_change(void)
{
    uint32_t frames = own.frame[0] ^ own.frame[1];

    if (one_in(2)) { /* xor dword [slot], frames */
        put_op(0x81, 0x35, own.slot);
        put32(frames);
        return;
    }
    put8(0xA1); /* mov eax, [slot]; xor eax, frames; xchg [slot], eax */
    put32(own.slot);
    put8(0x35);
    put32(frames);
    put_op(0x87, 0x05, own.slot);
}

/* What may see either frame, or makes the processor look at the entry. */
static void put_loose(void)
{
    uint32_t neighbour = own.va + (one_in(2) ? PAGE : 0u - PAGE);

    switch (random_below(6)) {
    case 0:
    case 1: /* add ebx, n */
        put_number(0xC3);
        own.loose++;
        break;
    case 2:
    case 3: /* add ebx, [own] */
        stress_note(NOTE_OWN_LOAD);
        put_op(0x03, 0x1D, own.va + NUMBER_AT);
        own.loose++;
        break;
    case 4: /* mov eax, [neighbour] */
        stress_note(NOTE_OWN_NEIGHBOUR);
        put8(0xA1);
        put32(neighbour + NUMBER_AT);
        break;
    default:
        if (one_in(4)) { /* mov [own], eax */
            put8(0xA3);
            put32(own.va + STORE_AT);
        } else {
            put_call(helper_va(HELPER_NOTHING));
        }
        break;
    }
}

/* False: there was none. *changes: how often it changes the entry, too. */
static bool put_flush(uint32_t *changes)
{
    switch (random_below(7)) {
    case 0:
    case 1:
        stress_note(NOTE_OWN_INVLPG);
        put8(0x0F);
        put_op(0x01, 0x3D, own.va);
        return true;
    case 2:
        stress_note(NOTE_OWN_CR3);
        put_op(0x0F, 0x20, 0xD8220FD8); /* mov eax, cr3; mov cr3, eax */
        return true;
    case 3:
        stress_note(NOTE_OWN_CALL);
        put_call(helper_va(HELPER_INVLPG));
        return true;
    case 4:
        stress_note(NOTE_OWN_CALL);
        put_call(helper_va(HELPER_CR3));
        return true;
    case 5:
        stress_note(NOTE_OWN_RETURN);
        put_call(helper_va(HELPER_ALL));
        own.loose++;
        *changes = 1;
        return true;
    default: return false;
    }
}

/* Right behind a flush. parity: how often the entry has changed since the start. */
static void put_strict(uint32_t parity)
{
    put_number(0xC2); /* add edx, n */
    own.strict[0] += NUMBER(parity);
    own.strict[1] += NUMBER(!parity);
    if (one_in(2)) { /* add edx, [own] */
        put_op(0x03, 0x15, own.va + NUMBER_AT);
        own.strict[0] += NUMBER(parity);
        own.strict[1] += NUMBER(!parity);
    }
}

/* How often the function changes the entry. */
static uint32_t put_function(void)
{
    uint32_t changes = 0;

    own.loose = own.strict[0] = own.strict[1] = 0;
    for (uint32_t parts = 1 + random_below(PARTS); parts; parts--) {
        uint32_t more = 0;

        if (!one_in(6)) {
            put_change();
            changes++;
        }
        for (uint32_t i = random_below(4); i; i--)
            put_loose();
        if (put_flush(&more))
            put_strict((changes + more) & 1);
        changes += more;
    }
    put8(0xC3);
    return changes;
}

/* ---- Cases ---- */

static uint32_t own_slot(uint32_t va)
{
    uint32_t pde = (uint32_t)entry_read(pde_slot_of(read_cr3(), va));
    uint32_t table = pde & ~(PAGE - 1);

    return pae() ? table + 8 * (va >> 12 & 511) : table + 4 * (va >> 12 & 1023);
}

static void map_case(void)
{
    uint32_t flags = PG_P | PG_W | (one_in(3) ? PG_U : 0);

    flags |= one_in(2) ? PG_A | PG_D : 0;
    own.va = OWN_VA + random_below(OWN_REGIONS) * (4u << 20) +
             (1 + random_below(OWN_PAGES)) * PAGE;
    map(own.va - PAGE, own.helpers + PAGE, flags);
    map(own.va + PAGE, own.frame[one_in(2)] + PAGE, flags);
    own.current = random_below(2);
    map(own.va, own.frame[own.current], flags);
    own.slot = own_slot(own.va);
    for (uint32_t i = 0; i < 3; i++)
        invlpg(own.va + (i - 1) * PAGE);
}

static void run_function(uint32_t at)
{
    uint32_t loose = 0, strict = 0;
    uint32_t to = own.va + at;

    __asm__ volatile("call %2"
                     : "+b"(loose), "+d"(strict), "+S"(to)
                     :
                     : "eax", "ecx", "edi", "memory", "cc");
    CHECK_EQ(strict, own.strict[own.current]);
    CHECK_EQ((loose & 0xFFFF) + (loose >> 16), own.loose);
}

static void own_case(void)
{
    uint32_t start = 16 + random_below(0x200);
    uint32_t changes;

    map_case();
    put_helpers();
    own.at = start;
    changes = put_function();
    for (uint32_t i = 1 + random_below(4); i; i--) {
        run_function(start);
        own.current ^= changes & 1;
        invlpg(own.va);
        stress_note(NOTE_OWN_CODE);
    }
}

void remaps(void)
{
    stress_doing = "code whose own page is mapped elsewhere";
    for (uint32_t i = 0; i < 2; i++) {
        own.frame[i] = frame_alloc();
        frame_alloc(); /* the page behind it, for the neighbour */
        *mem32(own.frame[i] + NUMBER_AT) = NUMBER(i);
    }
    own.helpers = frame_alloc();
    frame_alloc();
    map(HELPER_VA, own.helpers, PG_P | PG_W);
    for (uint32_t i = 0; i < CASES; i++)
        own_case();
}
