/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* REG_ERR */
#include "walk_subject.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "emu/cpu/mem.h"
#include "emu/cpu/system.h"
#include "shadow_mmu/gmem.h"
#include "shadow_mmu/mmu.h"

#define HOST_WRITE  2 /* host error code, bit 1 */
#define RETRIES_MAX 16u
#define MSR_EFER    0xc0000080u

struct subject {
    struct gmem *gmem;
    struct interp *interp;
    struct mmu *mmu; /* NULL: the interpreter alone */
    struct vcpu vcpu;
    struct stats stats;
    struct stop stop;
};

/* One access is under way at a time. */
static struct subject *faulting;
static uint64_t window;
static unsigned retries;
static sigjmp_buf leave;

/* ---- Upcalls ---- */

static struct host_page page(void *opaque, gfn_t gfn)
{
    struct subject *s = opaque;
    struct host_page p = {0};

    p.writable = gmem_lookup(s->gmem, gfn, &p.hva, NULL) == GMEM_RAM;
    return p;
}

static uint64_t mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    (void)opaque, (void)gpa, (void)size;
    return UINT64_MAX;
}

static void mmio_write(void *opaque, gpa_t gpa, unsigned size, uint64_t value)
{
    (void)opaque, (void)gpa, (void)size, (void)value;
}

static void ram_stored(void *opaque, gpa_t gpa, unsigned len)
{
    struct subject *s = opaque;

    if (s->mmu != NULL)
        mmu_ram_stored(s->mmu, gpa, len);
}

static void flushed_page(void *opaque, gva_t gva)
{
    struct subject *s = opaque;

    if (s->mmu != NULL)
        mmu_invlpg(s->mmu, gva);
}

static void flushed(void *opaque, bool globals_too)
{
    struct subject *s = opaque;

    if (s->mmu != NULL && globals_too)
        mmu_flush(s->mmu);
    else if (s->mmu != NULL)
        mmu_load_cr3(s->mmu);
}

static void code_unmapped(void *opaque, gva_t at)
{
    (void)opaque, (void)at;
}

static void user_switched(void *opaque)
{
    (void)opaque;
}

static void code_written(void *opaque, gfn_t gfn, unsigned offset, unsigned len)
{
    (void)opaque, (void)gfn, (void)offset, (void)len;
}

/* ---- Host faults ---- */

static void on_fault(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    uint64_t at = (uint64_t)(uintptr_t)info->si_addr - window;
    bool write = uc->uc_mcontext.gregs[REG_ERR] & HOST_WRITE;
    enum mmu_result result;

    if (faulting == NULL || at >= 4 * GIB || ++retries > RETRIES_MAX ||
        (signal == SIGBUS && !mmu_is_traced(faulting->mmu, (gva_t)at)))
        abort();
    result = mmu_fault(faulting->mmu, (gva_t)at, write);
    if (result != MMU_RETRY)
        siglongjmp(leave, 1 + (int)result);
}

/* Out of the sanitizers' sight. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void
touch(uint64_t address, bool write, void *data, unsigned size)
{
    void *at = (void *)(uintptr_t)address; /* a window's, not guest RAM's */

    switch (size) {
#define CASE(type)                                \
    case sizeof(type):                            \
        if (write)                                \
            *(volatile type *)at = *(type *)data; \
        else                                      \
            *(type *)data = *(volatile type *)at; \
        break;
        CASE(uint8_t)
        CASE(uint16_t)
        CASE(uint32_t)
        CASE(uint64_t)
#undef CASE
    }
}

/* ---- Life ---- */

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static void create_mmu(struct subject *s, enum subject_kind kind)
{
    const struct mmu_host host = {.opaque = s,
                                  .code_unmapped = code_unmapped,
                                  .user_switched = user_switched,
                                  .code_written = code_written};
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO};

    must(mmu_create(&s->mmu, s->gmem, &s->vcpu, &host) == 0, "mmu_create");
    if (kind == SUBJECT_MPROTECT)
        mmu_set_trace(s->mmu, MMU_TRACE_MPROTECT);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* Little room has windows evicted, and little patience tables traced. */
void subject_set_policy(struct subject *s, unsigned policy)
{
    /* VMAs, user windows, patience, always synced, no prefills */
    static const struct mmu_limits limits[SUBJECT_POLICIES] = {
        {1000, 3, 3,  false, false},
        {1000, 3, 1,  false, false},
        {1000, 1, 1,  false, false},
        {18,   3, 1,  false, false},
        {1000, 2, 3,  true,  false},
        {20,   2, 64, false, false},
        {1000, 1, 2,  false, true },
        {24,   2, 1,  true,  false},
    };

    if (s->mmu != NULL)
        mmu_set_limits(s->mmu, &limits[policy]);
}

struct subject *subject_create(enum subject_kind kind, uint64_t ram_len)
{
    struct subject *s = aligned_alloc(64, (sizeof(*s) + 63) & ~63ul);
    struct interp_host host = {.page = page,
                               .mmio_read = mmio_read,
                               .mmio_write = mmio_write,
                               .ram_stored = ram_stored,
                               .tlb_flushed_page = flushed_page,
                               .tlb_flushed = flushed,
                               .features = UINT32_MAX};

    must(s != NULL, "malloc");
    memset(s, 0, sizeof(*s));
    must(gmem_create(&s->gmem, ram_len) == 0, "gmem_create");
    s->vcpu.stats = &s->stats;
    s->vcpu.stop = &s->stop;
    vcpu_reset(&s->vcpu);
    host.opaque = s;
    host.frame_flags = gmem_frame_flags(s->gmem);
    host.frame_count = gmem_frame_count(s->gmem);
    must(interp_create(&s->interp, &s->vcpu, &host) == 0, "interp_create");
    if (kind != SUBJECT_INTERP)
        create_mmu(s, kind);
    return s;
}

struct vcpu *subject_vcpu(struct subject *s)
{
    return &s->vcpu;
}

uint8_t *subject_ram(const struct subject *s)
{
    return gmem_base(s->gmem);
}

void subject_reset(struct subject *s)
{
    const struct segment flat = {.limit = UINT32_MAX,
                                 .attr = SEG_P | SEG_S | SEG_WRITABLE |
                                         SEG_ACCESSED | SEG_DB | SEG_G,
                                 .selector = 8};

    vcpu_reset(&s->vcpu);
    s->vcpu.cr0 = CR0_PE | CR0_ET;
    vcpu_set_seg(&s->vcpu, SEG_DS, &flat);
    interp_flush_tlb(s->interp);
    if (s->mmu != NULL)
        mmu_forget(s->mmu);
}

/* ---- Accesses ---- */

/* #PF as it is delivered (monitor/bt.c). */
static bool deliver(struct subject *s)
{
    if (s->vcpu.exc.vector != EXC_PF)
        return false;
    interp_page_faulted(s->interp, s->vcpu.exc.cr2);
    if (s->mmu != NULL)
        mmu_page_faulted(s->mmu, s->vcpu.exc.cr2);
    return false;
}

static bool access_memory(struct subject *s, gva_t gva, bool write, void *data,
                          unsigned size)
{
    bool done = write ? mem_write(s->interp, SEG_DS, gva, data, size)
                      : mem_read(s->interp, SEG_DS, gva, data, size);

    return done || deliver(s);
}

bool subject_access(struct subject *s, gva_t gva, bool write, void *data,
                    unsigned size)
{
    int left;

    if (s->mmu == NULL || (uint64_t)gva + size > 4 * GIB)
        return access_memory(s, gva, write, data, size);
    faulting = s;
    window = mmu_window_base(s->mmu);
    retries = 0;
    left = sigsetjmp(leave, 1);
    if (left == 0)
        touch(window + gva, write, data, size);
    faulting = NULL;
    switch (left) {
    case 0: return true;
    case 1 + MMU_TRUE: return deliver(s);
    default: return access_memory(s, gva, write, data, size);
    }
}

bool subject_fetch(struct subject *s, gva_t gva, uint8_t *byte)
{
    enum mmu_result result = MMU_EMULATE;
    uint8_t *hva = NULL;
    unsigned got;
    gfn_t gfn;

    if (s->mmu != NULL)
        result = mmu_fetch(s->mmu, gva, &gfn);
    if (result == MMU_TRUE)
        return deliver(s);
    if (result != MMU_RETRY)
        return mem_fetch(s->interp, gva, byte, 1, &got) || deliver(s);
    must(gmem_lookup(s->gmem, gfn, &hva, NULL) != GMEM_NONE, "frame");
    *byte = hva[gva & PAGE_MASK];
    return true;
}

void subject_store(struct subject *s, gpa_t gpa, const void *data, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        if (walk_in_ram(gpa + i))
            gmem_base(s->gmem)[gpa + i] = ((const uint8_t *)data)[i];
    if (s->mmu != NULL && walk_in_ram(gpa) && walk_in_ram(gpa + len - 1))
        mmu_ram_stored(s->mmu, gpa, len);
}

/* ---- Instructions ---- */

static enum step run(struct subject *s, interp_fn *fn, const uint8_t bytes[3],
                     uint32_t eax)
{
    const struct insn_mode mode = {.features = UINT32_MAX, .code32 = true};
    uint8_t cpl = s->vcpu.cpl;
    struct insn in;
    enum step step;

    must(insn_decode(&in, mode, bytes, 3) == INSN_OK, "decode");
    s->vcpu.regs[REG_EAX] = eax;
    s->vcpu.cpl = 0;
    step = fn(s->interp, &in);
    s->vcpu.cpl = cpl;
    return step;
}

bool subject_load_cr(struct subject *s, unsigned cr, uint32_t value)
{
    const uint8_t mov[3] = {0x0f, 0x22, (uint8_t)(0xc0 | cr << 3)};

    return run(s, interp_mov_cr, mov, value) == STEP_NEXT;
}

void subject_invlpg(struct subject *s, gva_t gva)
{
    static const uint8_t invlpg[3] = {0x0f, 0x01, 0x38}; /* [eax] */

    must(run(s, interp_invlpg, invlpg, gva) == STEP_NEXT, "invlpg");
}

bool subject_set_nxe(struct subject *s, bool on)
{
    return msr_write(s->interp, MSR_EFER, on ? EFER_NXE : 0);
}

const char *subject_verify(struct subject *s)
{
    return s->mmu != NULL ? spt_verify(s->mmu) : NULL;
}
