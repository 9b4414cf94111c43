/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* REG_ERR */
#include "guest_model.h"

#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* One access is under way at a time. */
static struct model *faulting;
static uint64_t faulting_base;
static unsigned retries;
static sigjmp_buf leave;

#define PF_HOST_WRITE 2 /* host error code, bit 1 */
#define RETRIES_MAX   8

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    uint64_t at = (uint64_t)(uintptr_t)info->si_addr - faulting_base;
    if (faulting == NULL || at >= 4 * GIB || ++retries > RETRIES_MAX)
        abort();
    if (signal == SIGBUS && !mmu_is_traced(faulting->mmu, (gva_t)at))
        abort();
    enum mmu_result result =
        mmu_fault(faulting->mmu, (gva_t)at,
                  (uc->uc_mcontext.gregs[REG_ERR] & PF_HOST_WRITE) != 0);
    if (result != MMU_RETRY)
        siglongjmp(leave, 1 + (int)result);
}

/* The access itself, out of the sanitizers' sight. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void
touch(uint64_t address, uint32_t *value, bool write)
{
    volatile uint32_t *at = (volatile uint32_t *)(uintptr_t)address;
    if (write)
        *at = *value;
    else
        *value = *at;
}

static enum outcome access_window(struct model *model, gva_t gva,
                                  uint32_t *value, bool write)
{
    faulting = model;
    faulting_base = mmu_window_base(model->mmu);
    retries = 0;
    int left = sigsetjmp(leave, 1);
    if (left == 0)
        touch(faulting_base + gva, value, write);
    faulting = NULL;
    switch (left) {
    case 0: return DONE;
    case 1 + MMU_EMULATE: return EMULATED;
    case 1 + MMU_SOFT: return SOFT;
    default: return TRUE_FAULT;
    }
}

enum outcome model_read(struct model *model, gva_t gva, uint32_t *value)
{
    return access_window(model, gva, value, false);
}

enum outcome model_write(struct model *model, gva_t gva, uint32_t value)
{
    return access_window(model, gva, &value, true);
}

uint32_t model_word(const struct model *model, gpa_t gpa)
{
    uint32_t value;
    memcpy(&value, gmem_base(model->gmem) + gpa, 4);
    return value;
}

void model_store(struct model *model, gpa_t gpa, const void *data, unsigned len)
{
    memcpy(gmem_base(model->gmem) + gpa, data, len);
    if (gmem_frame_flags(model->gmem)[gpa >> PAGE_SHIFT] != 0)
        mmu_ram_stored(model->mmu, gpa, len);
}

/* ---- upcalls ---- */

static void code_unmapped(void *opaque, gva_t page)
{
    struct model *model = opaque;
    model->unmapped++;
    model->fetched_kernel[page >> PAGE_SHIFT] = 0;
    model->fetched_user[page >> PAGE_SHIFT] = 0;
}

static void user_switched(void *opaque)
{
    struct model *model = opaque;
    model->switched++;
    memset(model->fetched_user, 0, sizeof(model->fetched_user));
}

static void code_written(void *opaque, gfn_t gfn, unsigned offset, unsigned len)
{
    struct model *model = opaque;
    (void)gfn;
    ck_assert_uint_le(offset + len, PAGE_SIZE);
    model->code_written++;
}

struct model *model_create(enum mmu_trace trace)
{
    struct model *model = calloc(1, sizeof(*model));
    ck_assert_ptr_nonnull(model);
    model->vcpu.stats = &model->stats;
    model->vcpu.stop = &model->stop;
    vcpu_reset(&model->vcpu);
    ck_assert_int_eq(gmem_create(&model->gmem, MODEL_RAM), 0);
    uint32_t *words = (uint32_t *)(void *)gmem_base(model->gmem);
    for (uint32_t i = 0; i < MODEL_RAM / 4; i++)
        words[i] = i * 2654435761u;
    struct mmu_host host = {.opaque = model,
                            .code_unmapped = code_unmapped,
                            .user_switched = user_switched,
                            .code_written = code_written};
    ck_assert_int_eq(mmu_create(&model->mmu, model->gmem, &model->vcpu, &host),
                     0);
    mmu_set_trace(model->mmu, trace);
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    return model;
}

void model_destroy(struct model *model)
{
    mmu_destroy(model->mmu);
    gmem_destroy(model->gmem);
    free(model);
}

/* ---- what the manual says ---- */

static uint64_t entry(const struct model *model, gpa_t gpa, unsigned width)
{
    uint64_t value = 0;
    memcpy(&value, gmem_base(model->gmem) + gpa, width);
    return value;
}

/* Rights, once the entries are known to be present and well-formed. */
static void expect_rights(const struct model *model, struct expectation *e,
                          uint64_t all, bool write, bool nx)
{
    bool user = model->vcpu.cpl == 3, fetch = (e->error & PF_I) || nx;
    bool wp = model->vcpu.cr0 & CR0_WP;
    bool bad =
        (user && !(all & 4)) || (write && !(all & 2) && (user || wp)) || nx;
    (void)fetch;
    if (bad) {
        e->outcome = TRUE_FAULT;
        e->error |= PF_P;
    } else if (!user &&
               ((all & 4) || (write && !(all & 2) && model->wp_seen))) {
        e->outcome = SOFT;
    }
}

static void expect_fault(struct expectation *e, uint32_t error)
{
    e->outcome = TRUE_FAULT;
    e->error |= error;
}

static bool in_ram(gpa_t gpa)
{
    return gpa < 0xa0000 || (gpa >= 0xc0000 && gpa < MODEL_RAM);
}

static void expect_paged(const struct model *model, struct expectation *e,
                         gva_t gva, bool write, bool fetch)
{
    const struct vcpu *vcpu = &model->vcpu;
    bool pae = vcpu->cr4 & CR4_PAE, nxe = pae && (vcpu->efer & EFER_NXE);
    unsigned width = pae ? 8 : 4, bits = pae ? 9 : 10;
    uint64_t reserved = pae ? 0x7ffffff000000000ull : 0;
    uint64_t frame = pae ? 0xffffff000ull : 0xfffff000ull;
    if (pae && !nxe)
        reserved |= BIT64(63);
    if (fetch && nxe)
        e->error |= PF_I;
    uint64_t root = pae ? vcpu->pdpte[gva >> 30] : vcpu->cr3 | 1;
    if (!(root & 1))
        return expect_fault(e, 0);
    e->leaf = (root & frame) + ((gva >> (12 + bits)) & (BIT(bits) - 1)) * width;
    if (!in_ram(e->leaf)) {
        e->outcome = EMULATED;
        return;
    }
    uint64_t pde = entry(model, e->leaf, width), all = pde, any = pde, last;
    bool large = (pde & 0x80) && (pae || (vcpu->cr4 & CR4_PSE));
    if (!(pde & 1))
        return expect_fault(e, 0);
    if (large)
        reserved |= pae ? 0x1fe000 : 0x3e0000;
    if (pde & reserved)
        return expect_fault(e, PF_P | PF_R);
    if (large) {
        uint64_t mask = pae ? 0xfffe00000ull : 0xffc00000ull;
        last = (pde & mask) | (gva & ~(uint32_t)mask & 0xfffff000u);
        if (!pae)
            last |= ((pde >> 13) & 15) << 32;
    } else {
        e->leaf = (pde & frame) + ((gva >> 12) & (BIT(bits) - 1)) * width;
        if (!in_ram(e->leaf)) {
            e->outcome = EMULATED;
            return;
        }
        uint64_t pte = entry(model, e->leaf, width);
        if (!(pte & 1))
            return expect_fault(e, 0);
        if (pte & reserved)
            return expect_fault(e, PF_P | PF_R);
        all &= pte;
        any |= pte;
        last = pte & frame;
    }
    e->gfn = last >> 12;
    expect_rights(model, e, all, write, fetch && nxe && (any >> 63));
}

struct expectation model_expect(const struct model *model, gva_t gva,
                                bool write, bool fetch)
{
    struct expectation e = {.outcome = DONE, .gfn = gva >> 12};
    if (write)
        e.error |= PF_W;
    if (model->vcpu.cpl == 3)
        e.error |= PF_U;
    if (model->vcpu.cr0 & CR0_PG)
        expect_paged(model, &e, gva, write, fetch);
    /* A fetch is never mapped, so it is never soft. */
    if (e.outcome == SOFT && fetch)
        e.outcome = DONE;
    if (e.outcome == DONE || e.outcome == SOFT)
        e.frame_is_ram = in_ram(e.gfn << PAGE_SHIFT);
    if (e.outcome != DONE)
        return e;
    if (!e.frame_is_ram ||
        (write && (gmem_frame_flags(model->gmem)[e.gfn] & FRAME_CODE)))
        e.outcome = EMULATED;
    return e;
}
