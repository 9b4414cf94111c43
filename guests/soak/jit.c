/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "soak.h"

/*
 * Code that is written, run and written again: in a page that is writable and
 * executable, in one that is only ever one of them, through another mapping of
 * the page, next to data that it changes, and in front of its own eip.
 */
#define PAGE      4096u
#define SLOT      64u
#define SLOTS     (16 * PAGE / SLOT)
#define REWRITES  600u
#define ONE_ROUND 40u

typedef uint32_t function(uint32_t argument);

static uint32_t call(const void *code, uint32_t argument)
{
    return ((function *)(uintptr_t)code)(argument);
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, 4);
    return at + 4;
}

/* mov eax, [esp+4]; then some of add, xor, rol with constants; ret. What it
 * makes of the argument is worked out here as well. */
static uint32_t write_function(uint8_t *at, uint32_t argument)
{
    uint32_t value = argument;

    memcpy(at, "\x8b\x44\x24\x04", 4);
    at += 4;
    for (uint32_t n = 1 + soak_random(6); n > 0; n--) {
        uint32_t constant = soak_random(0xffffffff);
        uint32_t kind = soak_random(3);

        if (kind == 0) {
            *at++ = 0x05; /* add eax, imm32 */
            at = put32(at, constant);
            value += constant;
        } else if (kind == 1) {
            *at++ = 0x35; /* xor eax, imm32 */
            at = put32(at, constant);
            value ^= constant;
        } else {
            constant = 1 + constant % 31;
            *at++ = 0xc1; /* rol eax, imm8 */
            *at++ = 0xc0;
            *at++ = (uint8_t)constant;
            value = value << constant | value >> (32 - constant);
        }
    }
    *at = 0xc3;
    return value;
}

static bool check(const char *what, const void *code, uint32_t argument,
                  uint32_t expected)
{
    uint32_t got = call(code, argument);

    return got == expected ||
           soak_fail("%s: %08x, not %08x", what, got, expected);
}

/* Functions all over sixteen pages, some of them rewritten at once, some later
 * than others, all called. */
static bool rewrite(uint8_t *code)
{
    static uint32_t expected[SLOTS];
    bool good = true;

    for (uint32_t i = 0; i < SLOTS; i++)
        expected[i] = write_function(code + i * SLOT, i);
    for (uint32_t i = 0; i < REWRITES && good; i++) {
        uint32_t slot = soak_random(SLOTS);

        good = check("rewritten", code + slot * SLOT, slot, expected[slot]);
        expected[slot] = write_function(code + slot * SLOT, slot);
        good = good && check("new", code + slot * SLOT, slot, expected[slot]);
    }
    for (uint32_t i = 0; i < SLOTS && good; i++)
        good = check("kept", code + i * SLOT, i, expected[i]);
    return good;
}

static bool protect(uint8_t *code)
{
    for (uint32_t i = 0; i < ONE_ROUND; i++) {
        uint32_t expected;

        mprotect(code, PAGE, PROT_READ | PROT_WRITE);
        expected = write_function(code, i);
        mprotect(code, PAGE, PROT_READ | PROT_EXEC);
        if (!check("W^X", code, i, expected))
            return false;
        if (soak_fault((volatile uint32_t *)(void *)code) != code)
            return soak_fail("a store to read-only code was not refused");
    }
    return mprotect(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

static bool alias(void)
{
    int fd = memfd_create("soak", 0);
    uint8_t *writable, *code;
    bool good = fd >= 0 && ftruncate(fd, PAGE) == 0;

    writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    good = good && writable != MAP_FAILED && code != MAP_FAILED;
    if (!good)
        return soak_fail("no alias");
    for (uint32_t i = 0; i < ONE_ROUND && good; i++) {
        uint32_t at = soak_random(PAGE / SLOT) * SLOT;
        uint32_t expected = write_function(writable + at, i);

        good = check("alias", code + at, i, expected);
    }
    munmap(writable, PAGE);
    munmap(code, PAGE);
    close(fd);
    return good;
}

/* inc dword [counter]; mov eax, [counter]; ret, with the counter in the same
 * page, now and then in the same cache line. */
static bool count(uint8_t *page)
{
    uint32_t at = 16 + soak_random(1000) * 4;
    uint8_t *counter = page + (soak_random(2) ? 16 : at);
    uint8_t *p = page;

    *p++ = 0xff;
    *p++ = 0x05;
    p = put32(p, (uint32_t)(uintptr_t)counter);
    *p++ = 0xa1;
    p = put32(p, (uint32_t)(uintptr_t)counter);
    *p = 0xc3;
    put32(counter, at);
    for (uint32_t i = 1; i < 200; i++)
        if (!check("counter", page, 0, at + i))
            return false;
    return true;
}

/* mov eax, [esp+4]; mov [1f], eax; mov eax, imm32 (1: its immediate); ret */
static bool patch_next(uint8_t *code)
{
    uint8_t *p = code;

    memcpy(p, "\x8b\x44\x24\x04\xa3", 5);
    p = put32(p + 5, (uint32_t)(uintptr_t)code + 10);
    *p++ = 0xb8;
    p = put32(p, 0);
    *p = 0xc3;
    for (uint32_t i = 0; i < ONE_ROUND; i++) {
        uint32_t value = soak_random(0xffffffff);

        if (!check("next instruction", code, value, value))
            return false;
    }
    return true;
}

bool soak_jit(void)
{
    uint8_t *code = mmap(NULL, SLOTS * SLOT, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool good;

    if (code == MAP_FAILED)
        return soak_fail("no memory for code");
    good = rewrite(code) && protect(code) && alias() && count(code) &&
           patch_next(code);
    munmap(code, SLOTS * SLOT);
    return good;
}
