/* SPDX-License-Identifier: MIT */
/*
 * Self-modifying and generated code. Processors since the Pentium see a store
 * at the next instruction, whatever address it was made by (SDM Vol.3A
 * "Handling Self- and Cross-Modifying Code"; through another linear address a
 * branch has to come between, as it does here).
 */
#include "code.h"
#include "lib/cpu.h"
#include "lib/desc.h"
#include "lib/lib.h"
#include "lib/machine.h"
#include "lib/trap.h"
#include "stress.h"
#include "stubs.h"

enum {
    AREA_PAGES = 4,
    FUNCTIONS = 12,
    JIT_FUNCTIONS = 512,
    MANY = 10000,
    MANY_LEN = 32, /* of each */
    MANY_PAGES = (MANY + 1) * MANY_LEN / PAGE + 1,
};

/* The same frames at two addresses; ring 3 has the second. */
#define CODE_VA 0x40000000u
#define USER_VA 0x50000000u
#define MANY_VA 0x60000000u

static uint32_t area[AREA_PAGES]; /* frames */
static bool paged;

static uint32_t area_va(void)
{
    return paged ? CODE_VA : area[0]; /* frames of the pool are contiguous */
}

/* An address by which to store to what is at va of the area. */
static uint32_t way_to(uint32_t va)
{
    uint32_t offset = va - area_va();

    switch (paged ? random_below(3) : 0) {
    case 1: stress_note(NOTE_CODE_ALIAS); return USER_VA + offset;
    case 2: stress_note(NOTE_CODE_ALIAS); return area[0] + offset;
    default: return va;
    }
}

/* Whole, or through an alias, or by ring 3. */
static void put_bytes(uint32_t va, const uint8_t *bytes, uint32_t len)
{
    if (!paged || !one_in(4)) {
        bytes_store(way_to(va), bytes, len);
        return;
    }
    stress_note(NOTE_CODE_RING_3);
    for (uint32_t i = 0; i < len; i++) {
        uint32_t at = (va - area_va() + i) & ~3u;
        uint32_t value = *mem32(CODE_VA + at);
        uint32_t shift = 8 * ((va + i) & 3);

        value = (value & ~(0xFFu << shift)) | (uint32_t)bytes[i] << shift;
        CHECK(!stub_run(ACCESS_STORE, true, USER_VA + at, value).fault);
    }
}

static void area_init(uint32_t number)
{
    paged = number % 3 != 0;
    machine_init(number % 3);
    for (uint32_t i = 0; i < AREA_PAGES; i++)
        area[i] = frame_alloc();
    for (uint32_t i = 0; paged && i < AREA_PAGES; i++) {
        map(CODE_VA + i * PAGE, area[i], PG_P | PG_W);
        map(USER_VA + i * PAGE, area[i], PG_P | PG_W | PG_U);
    }
    stubs_make();
}

/* ---- Functions that change between calls ---- */

static struct code functions[FUNCTIONS];
static uint32_t function_va[FUNCTIONS];

/* Each in its own part of the area; the last ones of a page go on in the next,
 * where the first CODE_MAX bytes are left to them. */
static uint32_t function_place(uint32_t i)
{
    const uint32_t per_page = FUNCTIONS / AREA_PAGES;
    const uint32_t room = PAGE / per_page;
    uint32_t page = i / per_page;

    if (i % per_page == per_page - 1 && page + 1 < AREA_PAGES)
        return (page + 1) * PAGE - 1 - random_below(functions[i].len - 1);
    return page * PAGE + i % per_page * room + CODE_MAX +
           random_below(room - 2 * CODE_MAX);
}

static void place_functions(void)
{
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        code_random(&functions[i], OPS_MAX);
        function_va[i] = area_va() + function_place(i);
        put_bytes(function_va[i], functions[i].bytes, functions[i].len);
    }
}

static uint32_t run_in_ring_3(uint32_t va, uint32_t eax)
{
    uint8_t *code = user_page + 3 * PAGE;
    uint32_t rel = USER_VA + (va - area_va()) - (uint32_t)code - 5;

    code[0] = 0xE8; /* call the function; int 80h */
    memcpy(code + 1, &rel, 4);
    code[5] = 0xCD;
    code[6] = 0x80;
    user_run(code, eax);
    CHECK_EQ(last.vector, VECTOR_EXIT);
    return last.eax;
}

static void call_function(uint32_t i)
{
    uint32_t eax = random_u32();
    uint32_t got = paged && one_in(3) ? run_in_ring_3(function_va[i], eax)
                                      : code_call(function_va[i], eax);

    CHECK_EQ(got, code_value(&functions[i], eax));
}

static void changing_functions(void)
{
    stress_doing = "changing functions";
    place_functions();
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t which = random_below(FUNCTIONS);
        uint32_t at, len;

        code_change(&functions[which], &at, &len);
        put_bytes(function_va[which] + at, functions[which].bytes + at, len);
        stress_note(NOTE_FUNCTION_CHANGED);
        if ((function_va[which] ^
             (function_va[which] + functions[which].len - 1)) >= PAGE)
            stress_note(NOTE_FUNCTION_TWO_PAGES);
        for (uint32_t calls = random_below(4); calls; calls--)
            call_function(one_in(2) ? which : random_below(FUNCTIONS));
        call_function(which);
    }
}

/* ---- A compiler that fills a buffer again and again ---- */

static void jit(void)
{
    static struct code code;
    uint32_t va = area_va();
    const uint32_t end = va + AREA_PAGES * PAGE - CODE_MAX;

    stress_doing = "generated functions";
    for (uint32_t i = 0; i < JIT_FUNCTIONS; i++) {
        uint32_t eax = random_u32();

        code_random(&code, 12);
        memcpy((void *)va, code.bytes, code.len);
        __asm__ volatile("" : : : "memory");
        stress_note(NOTE_JIT);
        CHECK_EQ(code_call(va, eax), code_value(&code, eax));
        if (one_in(4))
            CHECK_EQ(code_call(va, ~eax), code_value(&code, ~eax));
        va += code.len + random_below(64);
        if (va > end)
            va = area_va() + random_below(64);
    }
}

/* ---- A compiler that keeps what it makes ---- */

static uint32_t many; /* physical address of function 0 */

/* add eax, imm; xor eax, imm; jmp to a later function; behind the last: ret */
static const uint8_t many_bytes[] = {0x05, 0, 0,    0, 0, 0x35, 0, 0,
                                     0,    0, 0xE9, 0, 0, 0,    0};
enum { MANY_ADD = 1, MANY_XOR = 6, MANY_REL = 11, MANY_END = 15 };

/* By either of two addresses. */
static volatile uint32_t *many_word(uint32_t i, uint32_t offset)
{
    uint32_t start = paged && one_in(2) ? MANY_VA : many;

    return mem32(start + i * MANY_LEN + offset);
}

static void many_lead(uint32_t i)
{
    uint32_t to = i + 1 + random_below(2000);

    if (to > MANY)
        to = MANY;
    *many_word(i, MANY_REL) = (to - i) * MANY_LEN - MANY_END;
}

/* What is in memory is what has to run. */
static uint32_t many_value(uint32_t i, uint32_t eax)
{
    while (i < MANY) {
        const uint32_t at = many + i * MANY_LEN;

        eax = (eax + *mem32(at + MANY_ADD)) ^ *mem32(at + MANY_XOR);
        i += (*mem32(at + MANY_REL) + MANY_END) / MANY_LEN;
    }
    return eax;
}

static void many_call(uint32_t i)
{
    uint32_t eax = random_u32();

    CHECK_EQ(code_call(many + i * MANY_LEN, eax), many_value(i, eax));
}

static void many_make(void)
{
    many = frame_alloc();
    for (uint32_t i = 1; i < MANY_PAGES; i++)
        frame_alloc();
    for (uint32_t i = 0; paged && i < MANY_PAGES; i++)
        map(MANY_VA + i * PAGE, many + i * PAGE, PG_P | PG_W);
    for (uint32_t i = 0; i < MANY; i++) {
        memcpy((void *)(many + i * MANY_LEN), many_bytes, sizeof(many_bytes));
        *many_word(i, MANY_ADD) = random_u32();
        *many_word(i, MANY_XOR) = random_u32();
        many_lead(i);
        stress_note(NOTE_JIT_MANY);
    }
    *mem8(many + MANY * MANY_LEN) = 0xC3;
}

static void many_functions(void)
{
    stress_doing = "10,000 functions";
    many_make();
    for (uint32_t i = 0; i < MANY; i++)
        many_call(i);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t which = random_below(MANY);

        many_lead(which);
        if (one_in(2))
            *many_word(which, MANY_ADD) = random_u32();
        stress_note(NOTE_JIT_PATCHED);
        many_call(which);
        many_call(random_below(MANY));
    }
    for (uint32_t i = 0; i < MANY; i++)
        many_call(i);
}

/* ---- Stores to what comes next ---- */

/* mov dword ptr [imm of the MOV], ecx; some NOPs; mov eax, imm; ret */
static void next_instruction(void)
{
    uint8_t bytes[64];

    stress_doing = "store to a later instruction";
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t nops = one_in(2) ? 0 : random_below(40);
        uint32_t at = area_va() + random_below(3 * PAGE);
        uint32_t operand = at + 6 + nops + 1;
        uint32_t times = 1 + random_below(6);

        memset(bytes, 0x90, sizeof(bytes));
        bytes[0] = 0x89; /* mov [disp32], ecx */
        bytes[1] = 0x0D;
        memcpy(bytes + 2, &operand, 4);
        bytes[6 + nops] = 0xB8;
        bytes[6 + nops + 5] = 0xC3;
        put_bytes(at, bytes, 6 + nops + 6);
        while (times--) {
            uint32_t value = random_u32();
            uint32_t got;

            stress_note(nops ? NOTE_LATER : NOTE_NEXT);
            __asm__ volatile("call %1"
                             : "=a"(got)
                             : "r"(at), "c"(value)
                             : "edx", "memory", "cc");
            CHECK_EQ(got, value);
        }
    }
}

/* add dword ptr [own immediate], imm: it doubles each time. */
static void own_instruction(void)
{
    uint8_t bytes[12] = {0x81, 0x05};
    uint32_t value = random_u32() | 1;

    stress_doing = "store to the instruction itself";
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t at = area_va() + random_below(3 * PAGE);
        uint32_t operand = at + 6;

        memcpy(bytes + 2, &operand, 4);
        memcpy(bytes + 6, &value, 4);
        bytes[10] = 0xC3;
        put_bytes(at, bytes, 11);
        for (uint32_t k = 1; k < 6; k++) {
            stress_note(NOTE_ITSELF);
            code_call(at, 0);
            CHECK_EQ(*mem32(operand), value << k);
        }
    }
}

/* A loop whose body counts its own operand up, ahead of itself. */
static void loop_body(void)
{
    static const uint8_t body[] = {
        0x05, 0,    0, 0, 0,    /* add eax, imm */
        0xFF, 0x05, 0, 0, 0, 0, /* inc dword ptr [that imm] */
        0x49,                   /* dec ecx */
        0x75, 0xF2,             /* jnz to the ADD */
        0xC3,
    };
    uint8_t bytes[sizeof(body)];

    stress_doing = "a loop that changes itself";
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t at = area_va() + random_below(3 * PAGE);
        uint32_t operand = at + 1;
        uint32_t start = random_u32();
        uint32_t count = 1 + random_below(60);
        uint32_t left = count;
        uint32_t sum = 0;

        memcpy(bytes, body, sizeof(body));
        memcpy(bytes + 1, &start, 4);
        memcpy(bytes + 7, &operand, 4);
        put_bytes(at, bytes, sizeof(bytes));
        __asm__ volatile("call %2"
                         : "+a"(sum), "+c"(left)
                         : "r"(at)
                         : "edx", "memory", "cc");
        stress_note(NOTE_LOOP);
        CHECK_EQ(sum, count * start + count * (count - 1) / 2);
        CHECK_EQ(*mem32(operand), start + count);
    }
}

/* A loop that stores to itself what is there already: code and data in one. */
static void loop_of_data(void)
{
    static const uint8_t loop[] = {
        0x81, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, /* xor dword ptr [that imm], 0 */
        0x40,                               /* inc eax */
        0x49,                               /* dec ecx */
        0x75, 0xF2,                         /* jnz to the XOR */
        0xC3,
    };
    uint32_t at = area_va() + random_below(3 * PAGE);
    uint32_t operand = at + 6;
    uint32_t left = 3000;
    uint32_t count = 0;
    uint8_t bytes[sizeof(loop)];

    stress_doing = "a loop that is data, too";
    memcpy(bytes, loop, sizeof(loop));
    memcpy(bytes + 2, &operand, 4);
    put_bytes(at, bytes, sizeof(bytes));
    stress_note(NOTE_LOOP_OF_DATA);
    __asm__ volatile("call %2"
                     : "+a"(count), "+c"(left)
                     : "r"(at)
                     : "edx", "memory", "cc");
    CHECK_EQ(count, 3000);
}

/* call f; mov eax, imm; ret. f: mov [imm], ecx; ret */
static void caller_changes(void)
{
    stress_doing = "a callee that changes its caller";
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t caller = area_va() + random_below(3 * PAGE);
        uint32_t callee =
            one_in(2) ? caller + 32 : area_va() + 3 * PAGE + random_below(999);
        uint32_t rel = callee - (caller + 5);
        uint32_t operand = caller + 6;
        uint8_t a[11] = {0xE8}, b[7] = {0x89, 0x0D};

        memcpy(a + 1, &rel, 4);
        a[5] = 0xB8;
        a[10] = 0xC3;
        memcpy(b + 2, &operand, 4);
        b[6] = 0xC3;
        put_bytes(caller, a, sizeof(a));
        put_bytes(callee, b, sizeof(b));
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t value = random_u32();
            uint32_t got;

            stress_note(NOTE_CALLER);
            __asm__ volatile("call %1"
                             : "=a"(got)
                             : "r"(caller), "c"(value)
                             : "edx", "memory", "cc");
            CHECK_EQ(got, value);
        }
    }
}

/* ---- Where code and data meet ---- */

/* inc dword ptr [counter]; mov eax, [counter]; ret, and the counter: in the
 * same page, mostly in the same cache line. */
static void beside_data(void)
{
    uint8_t bytes[12] = {0xFF, 0x05};

    stress_doing = "data beside code";
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t at = area_va() + random_below(3 * PAGE);
        uint32_t counter = at + 12 + (one_in(2) ? 0 : random_below(100));
        uint32_t count = random_u32();

        memcpy(bytes + 2, &counter, 4);
        bytes[6] = 0xA1;
        memcpy(bytes + 7, &counter, 4);
        bytes[11] = 0xC3;
        put_bytes(at, bytes, sizeof(bytes));
        *mem32(counter) = count;
        for (uint32_t k = 0; k < 60; k++) {
            stress_note((at ^ counter) < 64 ? NOTE_LINE : NOTE_BESIDE);
            CHECK_EQ(code_call(at, 0), ++count);
            if (one_in(8)) {
                count += 5;
                *mem32(way_to(counter)) = count;
            }
        }
    }
}

/* The function on the stack, called there. */
static void on_stack(void)
{
    struct code code;
    uint8_t stack[CODE_MAX + 64];

    stress_doing = "code on the stack";
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t *at = stack + random_below(64);
        uint32_t eax = random_u32();

        code_random(&code, OPS_MAX);
        bytes_store((uint32_t)at, code.bytes, code.len);
        stress_note(NOTE_ON_STACK);
        CHECK_EQ(code_call((uint32_t)at, eax), code_value(&code, eax));
        memset(stack, 0xCC, sizeof(stack));
    }
}

/* ---- Instructions across pages ---- */

/* Flags as an operating system sets them in advance; data must change as well. */
static void map_edge(uint32_t va, uint32_t frame, uint8_t first)
{
    map(va, frame, PG_P | PG_W | PG_A | PG_D);
    CHECK_EQ(*mem8(va), first);
}

/* One function across a boundary, the page behind it one of two frames. */
static void across_pages(void)
{
    static struct code code[2];
    uint32_t frame[2] = {area[1], area[2]};
    uint32_t edge = CODE_VA + PAGE;
    uint32_t at, back;

    if (!paged)
        return;
    stress_doing = "code across pages";
    code_random(&code[0], OPS_MAX);
    code[1] = code[0];
    back = random_below(code[0].len);
    at = edge - back;
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t which = random_below(2);
        uint32_t eax = random_u32();
        uint32_t from, len;

        code_change(&code[which], &from, &len);
        /* What lies in front of the boundary is common to both. */
        for (uint32_t k = 0; k < code[0].count; k++) {
            if (code[which].op[k].at < back)
                code[!which].op[k] = code[which].op[k];
        }
        memcpy(code[!which].bytes, code[which].bytes, back);
        for (uint32_t k = 0; k < code[0].count; k++) {
            const struct code_op *op = &code[which].op[k];

            if (op->at < back && op->at + op->len > back)
                memcpy(code[!which].bytes + back, code[which].bytes + back,
                       op->at + op->len - back);
        }
        for (uint32_t k = 0; k < 2; k++)
            memcpy((void *)frame[k], code[k].bytes + back, code[k].len - back);
        memcpy((void *)(area[0] + PAGE - back), code[which].bytes, back);
        map_edge(edge, frame[which], code[which].bytes[back]);
        CHECK_EQ(code_call(at, eax), code_value(&code[which], eax));
        map_edge(edge, frame[!which], code[!which].bytes[back]);
        stress_note(NOTE_EDGE);
        CHECK_EQ(code_call(at, eax), code_value(&code[!which], eax));
    }
    map(edge, area[1], PG_P | PG_W);
}

void smc_round(uint32_t number)
{
    static void (*const parts[])(void) = {
        changing_functions, jit,         next_instruction,
        own_instruction,    loop_body,   on_stack,
        caller_changes,     beside_data, across_pages,
    };

    area_init(number);
    if (number % 12 == 1)
        many_functions();
    loop_of_data();
    for (uint32_t i = 0; i < 2; i++) {
        jit();
        for (uint32_t k = 0; k < 6; k++)
            parts[random_below(sizeof(parts) / sizeof(parts[0]))]();
    }
}
