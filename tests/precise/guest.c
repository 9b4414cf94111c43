/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/machine/system.h"

#define RAM_LEN (2u * MIB)
#define TC_LEN  (4u * MIB) /* nothing is evicted */

static struct system kernel_for(const struct program *program)
{
    static const uint32_t limit[] = {
        [SEGMENTS_FLAT] = 0,
        [SEGMENTS_LIMITED] = RAM_LEN - 1,
        [SEGMENTS_DOWN] = PAGE_SIZE - 1,
    };

    return (struct system){
        .handler = HANDLER_BAD,
        .kernel_stack = KERNEL_STACK,
        .fs_base = FS_BASE,
        .limit = limit[program->segments],
        .down = program->segments == SEGMENTS_DOWN,
    };
}

/* What a program and its faults store to. */
static const struct {
    uint32_t at;
    uint32_t len;
} stored[] = {
    {DATA,                     DATA_LEN },
    {STACK,                    STACK_LEN},
    {KERNEL_STACK - PAGE_SIZE, PAGE_SIZE},
};

static void put_tables(uint8_t *ram, bool user)
{
    put32(ram, TABLES, PTE_TABLE | PTE_P | PTE_W | PTE_U | PTE_A);
    for (uint32_t at = 0; at < RAM_LEN; at += PAGE_SIZE) {
        bool open = user && at >= CODE && at < STACK + STACK_LEN;

        put32(ram, PTE_TABLE + at / PAGE_SIZE * 4,
              at | PTE_P | PTE_W | PTE_A | PTE_D | (open ? PTE_U : 0));
    }
}

static void put_handlers(uint8_t *ram)
{
    /* hlt; add esp, 4; iret */
    memcpy(ram + HANDLER_PF, (uint8_t[]){0xf4, 0x83, 0xc4, 4, 0xcf}, 5);
    ram[HANDLER_END] = 0xf4;
    ram[HANDLER_BAD] = 0xf4;
    system_put_gate(ram, EXC_PF, HANDLER_PF);
    system_put_gate(ram, END_VECTOR, HANDLER_END);
}

static void put_program(uint8_t *ram, const struct program *program)
{
    uint64_t random = program->random;

    memcpy(ram + CODE, program->code, CODE_LEN);
    for (uint32_t at = 0; at < DATA_LEN; at += 4)
        put32(ram, DATA + at, random_next(&random));
}

static void put_registers(struct vcpu *v, const struct system *kernel,
                          bool user)
{
    system_enter(v, kernel, user);
    v->cr0 |= CR0_PG;
    v->cr3 = TABLES;
    v->eip = CODE;
    v->regs[REG_ESP] = STACK_TOP;
}

/* As if the program's pages had been stored to all the time: CCFs compare their
 * source, for ever. */
static void mix_code(struct bt_vcpu *bt)
{
    for (gfn_t i = 0; i < CODE_LEN / PAGE_SIZE; i++) {
        ENSURE(bt->mixed_count < BT_MIXED_MAX);
        bt->mixed[bt->mixed_count++] = (struct bt_mixed){
            .gfn = (CODE >> PAGE_SHIFT) + i, .until = UINT64_MAX};
    }
}

struct guest *guest_new(const struct program *program, bool bt, bool user)
{
    const struct machine_config config = {
        .ram_len = RAM_LEN,
        .bt = bt,
        .count = true,
        .tc_len = TC_LEN,
        .soft_mode = program->soft ? SOFT_ALL : SOFT_NONE};
    const struct system kernel = kernel_for(program);
    struct guest *g = aligned_alloc(64, (sizeof(*g) + 63) & ~63ul);
    uint8_t *ram;

    ck_assert_ptr_nonnull(g);
    g->m = machine_create(&config);
    ram = machine_ram(g->m, 0);
    system_put(ram, &kernel);
    put_tables(ram, user);
    put_handlers(ram);
    put_program(ram, program);
    put_registers(&g->m->vcpu, &kernel, user);
    machine_set_vcpu(g->m, &g->m->vcpu);
    if (bt && program->checked)
        mix_code(g->m->bt);
    g->start = g->m->vcpu;
    g->image = malloc(IMAGE);
    ck_assert_ptr_nonnull(g->image);
    memcpy(g->image, ram, IMAGE);
    return g;
}

void guest_free(struct guest *g)
{
    machine_destroy(g->m);
    free(g->image);
    free(g);
}

/* The whole vcpu but the soft TLB, which is as good as before. */
static void reset_vcpu(struct guest *g)
{
    const size_t soft = offsetof(struct vcpu, soft_tlb);
    const size_t rest = soft + sizeof(g->start.soft_tlb);
    char *to = (char *)&g->m->vcpu;
    const char *from = (const char *)&g->start;

    memcpy(to, from, soft);
    memcpy(to + rest, from + rest, sizeof(g->start) - rest);
}

/* Tables the shadow knows of are only written by who tells it. */
static void flush_tables(struct guest *g)
{
    machine_stored(g->m, PTE_TABLE, PAGE_SIZE);
    interp_flush_tlb(g->m->interp);
    if (g->m->bt)
        bt_tlb_flushed(g->m->bt, true);
}

void guest_reset(struct guest *g, bool tables)
{
    for (unsigned i = 0; i < ARRAY_COUNT(stored); i++)
        memcpy(machine_ram(g->m, stored[i].at), g->image + stored[i].at,
               stored[i].len);
    g->m->stop.reason = STOP_NONE;
    reset_vcpu(g);
    if (tables) {
        memcpy(machine_ram(g->m, PTE_TABLE), g->image + PTE_TABLE, PAGE_SIZE);
        flush_tables(g);
    }
}

static uint32_t pte_at(uint32_t page)
{
    return PTE_TABLE + page / PAGE_SIZE * 4;
}

uint32_t guest_pte(const struct guest *g, uint32_t page)
{
    return get32(machine_ram(g->m, 0), pte_at(page));
}

uint32_t guest_first_pte(const struct guest *g, uint32_t page)
{
    return get32(g->image, pte_at(page));
}

void guest_set_pte(struct guest *g, uint32_t page, uint32_t pte)
{
    put32(machine_ram(g->m, 0), pte_at(page), pte);
    machine_stored(g->m, pte_at(page), 4);
    if (g->m->bt)
        bt_tlb_flushed_page(g->m->bt, page);
    interp_flush_page(g->m->interp, page);
}

const char *guest_differ(const struct guest *a, const struct guest *b)
{
    const char *what = machine_differ(a->m, b->m);

    if (what)
        return what;
    for (unsigned i = 0; i < ARRAY_COUNT(stored); i++)
        if (!machine_same_ram(a->m, b->m, stored[i].at, stored[i].len))
            return "memory";
    return machine_same_ram(a->m, b->m, 0, KERNEL_STACK) ? NULL : "tables";
}

void guest_copy(struct guest *to, const struct guest *from)
{
    machine_set_vcpu(to->m, &from->m->vcpu);
    memcpy(machine_ram(to->m, 0), machine_ram(from->m, 0), IMAGE);
}
