/* SPDX-License-Identifier: MIT */
#include "mmu_fixture.h"

#include <string.h>

struct model *model;
uint32_t value;

void put(gfn_t table, uint32_t index, uint32_t entry)
{
    model_store(model, (table << PAGE_SHIFT) + index * 4, &entry, 4);
}

uint32_t frame(gfn_t gfn)
{
    return (uint32_t)(gfn << PAGE_SHIFT);
}

void load_root(gfn_t root)
{
    model->vcpu.cr3 = frame(root);
    mmu_load_cr3(model->mmu);
}

uint64_t counter(enum stat_id id)
{
    return model->stats.count[id];
}

void ck_sound(void)
{
    ck_assert_pstr_eq(spt_verify(model->mmu), NULL);
    ck_assert_pstr_eq(spt_verify_host(model->mmu), NULL);
}

/* A read that must succeed and show the frame's word. */
void ck_reads(gva_t gva, gfn_t gfn)
{
    ck_assert_int_eq(model_read(model, gva, &value), DONE);
    ck_assert_uint_eq(value, model_word(model, frame(gfn) + (gva & PAGE_MASK)));
}

void ck_read_faults(gva_t gva, uint32_t error)
{
    ck_assert_int_eq(model_read(model, gva, &value), TRUE_FAULT);
    ck_assert_uint_eq(model->vcpu.exc.error, error);
    ck_assert_uint_eq(model->vcpu.exc.cr2, gva);
}

void setup(enum mmu_trace trace)
{
    model = model_create(trace);
    for (gfn_t table = ROOT_A; table <= KERNEL; table++)
        memset(gmem_base(model->gmem) + frame(table), 0, PAGE_SIZE);
    put(ROOT_A, 0, frame(USER_A) | RWX | U);
    put(ROOT_B, 0, frame(USER_B) | RWX | U);
    put(ROOT_A, KERNEL_GVA >> 22, frame(KERNEL) | RWX);
    put(ROOT_B, KERNEL_GVA >> 22, frame(KERNEL) | RWX);
    model->vcpu.cr0 |= CR0_PE | CR0_PG | CR0_WP;
    model->vcpu.cr4 = CR4_PSE | CR4_PGE;
    model->vcpu.cr3 = frame(ROOT_A);
    model->vcpu.cpl = 0;
    model->wp_seen = true;
    mmu_flush(model->mmu);
}

void teardown(void)
{
    ck_sound();
    model_destroy(model);
}
