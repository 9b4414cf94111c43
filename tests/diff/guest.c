/* SPDX-License-Identifier: MIT */
#include "tests/diff/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The interpreter runs the instruction as a 32-bit program on Linux sees the
 * machine: CPL 3, flat segments, paging on, IOPL 0, no I/O permission, alignment
 * checks enabled. The regions are user pages; the descriptor tables and the TSS
 * are supervisor pages that no region touches.
 */

/* Physical pages. The regions follow each other from FRAME_REGIONS on. */
enum {
    FRAME_DIRECTORY,
    FRAME_SYSTEM_TABLE, /* page table of SYSTEM_BASE */
    FRAME_GDT,
    FRAME_TSS,
    FRAME_TABLES, /* one page table a region */
    FRAME_REGIONS = FRAME_TABLES + DIFF_REGION_COUNT,
    FRAME_COUNT = FRAME_REGIONS + 16
};

#define SYSTEM_BASE 0xc0000000u
#define LDT_OFFSET  0x400u /* in the GDT's page */

#define PTE_P 0x1u
#define PTE_W 0x2u
#define PTE_U 0x4u
#define PTE_A 0x20u
#define PTE_D 0x40u

#define FLAT_ATTR (SEG_P | SEG_S | SEG_DPL | SEG_DB | SEG_G | SEG_ACCESSED)

struct diff_guest {
    struct vcpu vcpu;
    struct stop stop;
    struct stats *stats;
    struct interp *interp;
    uint8_t *ram;
    uint8_t *memory[DIFF_REGION_COUNT];
};

static uint8_t *frame(struct diff_guest *guest, gfn_t gfn)
{
    return guest->ram + gfn * PAGE_SIZE;
}

static void store32(uint8_t *page, uint32_t index, uint32_t value)
{
    memcpy(page + 4 * (size_t)index, &value, sizeof(value));
}

/* Upcalls of the interpreter. */

static struct host_page guest_page(void *opaque, gfn_t gfn)
{
    struct diff_guest *guest = opaque;

    if (gfn >= FRAME_COUNT)
        return (struct host_page){NULL, false};
    return (struct host_page){frame(guest, gfn), true};
}

static uint64_t no_mmio_read(void *opaque, gpa_t gpa, unsigned size)
{
    (void)opaque;
    (void)gpa;
    (void)size;
    return ~0ull;
}

static void no_mmio_write(void *opaque, gpa_t gpa, unsigned size,
                          uint64_t value)
{
    (void)opaque;
    (void)gpa;
    (void)size;
    (void)value;
}

static uint32_t no_port_in(void *opaque, uint16_t port, unsigned size)
{
    (void)opaque;
    (void)port;
    (void)size;
    return ~0u;
}

static void no_port_out(void *opaque, uint16_t port, unsigned size,
                        uint32_t value)
{
    (void)opaque;
    (void)port;
    (void)size;
    (void)value;
}

static uint64_t no_tsc(void *opaque)
{
    (void)opaque;
    return 0;
}

static void no_ram_stored(void *opaque, gpa_t gpa, unsigned len)
{
    (void)opaque;
    (void)gpa;
    (void)len;
}

static void no_flush_page(void *opaque, gva_t gva)
{
    (void)opaque;
    (void)gva;
}

static void no_flush(void *opaque, bool globals_too)
{
    (void)opaque;
    (void)globals_too;
}

/* Set-up. */

static void map_page(struct diff_guest *guest, unsigned table, gva_t gva,
                     uint32_t gfn, uint32_t rights)
{
    store32(frame(guest, FRAME_DIRECTORY), gva >> 22,
            table << PAGE_SHIFT | PTE_P | PTE_W | PTE_U | PTE_A);
    store32(frame(guest, table), gva >> PAGE_SHIFT & 0x3ff,
            gfn << PAGE_SHIFT | rights);
}

/* The read-only page shares its page table with the data in front of it. */
static unsigned table_of(unsigned region)
{
    for (unsigned i = 0; i < region; i++)
        if (diff_regions[i].address >> 22 == diff_regions[region].address >> 22)
            return FRAME_TABLES + i;
    return FRAME_TABLES + region;
}

static void map_regions(struct diff_guest *guest)
{
    uint32_t gfn = FRAME_REGIONS;

    for (unsigned i = 0; i < DIFF_REGION_COUNT; i++) {
        const struct diff_region *region = &diff_regions[i];
        uint32_t rights = PTE_P | PTE_U | PTE_A | PTE_D;

        if (region->writable)
            rights |= PTE_W;
        guest->memory[i] = frame(guest, gfn);
        for (uint32_t page = 0; page < region->page_count; page++, gfn++)
            map_page(guest, table_of(i), region->address + page * PAGE_SIZE,
                     gfn, rights);
    }
    map_page(guest, FRAME_SYSTEM_TABLE, SYSTEM_BASE, FRAME_GDT,
             PTE_P | PTE_W | PTE_A | PTE_D);
    map_page(guest, FRAME_SYSTEM_TABLE, SYSTEM_BASE + PAGE_SIZE, FRAME_TSS,
             PTE_P | PTE_W | PTE_A | PTE_D);
    memset(guest->memory[0], DIFF_INT3, DIFF_CODE_PAGES * PAGE_SIZE);
}

/* The data segment that selector names. */
static struct segment data_segment(uint16_t selector)
{
    const struct diff_segment *segment;

    if (selector == DIFF_DS)
        return (struct segment){.limit = ~0u,
                                .attr = FLAT_ATTR | SEG_WRITABLE,
                                .selector = DIFF_DS};
    segment = &diff_segments[selector >> 3];
    return (struct segment){.base = segment->base,
                            .limit = segment->limit,
                            .attr = SEG_P | SEG_S | SEG_DPL | SEG_DB |
                                    SEG_ACCESSED |
                                    (segment->expand_down ? SEG_DOWN : 0) |
                                    (segment->writable ? SEG_WRITABLE : 0),
                            .selector = selector};
}

static void set_segments(struct vcpu *vcpu, const uint16_t *selectors)
{
    const struct segment ds = data_segment(selectors[SEG_DS]);
    const struct segment es = data_segment(selectors[SEG_ES]);
    const struct segment data = data_segment(DIFF_DS);
    const struct segment code = {.limit = ~0u,
                                 .attr = FLAT_ATTR | SEG_WRITABLE | SEG_CODE,
                                 .selector = DIFF_CS};
    const struct segment null = {.attr = SEG_UNUSABLE};

    vcpu_set_seg(vcpu, SEG_CS, &code);
    vcpu_set_seg(vcpu, SEG_SS, &data);
    vcpu_set_seg(vcpu, SEG_DS, &ds);
    vcpu_set_seg(vcpu, SEG_ES, &es);
    vcpu_set_seg(vcpu, SEG_GS, &data);
    vcpu_set_seg(vcpu, SEG_FS, &null);
}

/* The code and data entries of Linux' GDT on x86-64, selectors 08h to 30h. */
static void fill_gdt(struct diff_guest *guest)
{
    static const uint64_t entries[] = {
        0x00cf9b000000ffff, /* kernel code, 32-bit */
        0x00af9b000000ffff, /* kernel code, 64-bit */
        0x00cf93000000ffff, /* kernel data */
        0x00cffb000000ffff, /* user code, 32-bit: DIFF_CS */
        0x00cff3000000ffff, /* user data: DIFF_DS */
        0x00affb000000ffff, /* user code, 64-bit */
    };

    memcpy(frame(guest, FRAME_GDT) + 8, entries, sizeof(entries));
}

static void fill_ldt(struct diff_guest *guest)
{
    uint8_t *ldt = frame(guest, FRAME_GDT) + LDT_OFFSET;

    for (unsigned i = 0; i < DIFF_SEGMENT_COUNT; i++) {
        struct segment segment = data_segment(DIFF_LDT_SELECTOR(i));

        store32(ldt, 2 * i, segment.base << 16 | segment.limit);
        store32(ldt, 2 * i + 1,
                (segment.base & 0xff000000) | segment.attr << 8 |
                    (segment.base >> 16 & 0xff));
    }
}

static void set_vcpu(struct diff_guest *guest)
{
    struct vcpu *vcpu = &guest->vcpu;

    vcpu->stop = &guest->stop;
    vcpu->stats = guest->stats;
    vcpu_reset(vcpu);
    vcpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    vcpu->cr3 = FRAME_DIRECTORY << PAGE_SHIFT;
    vcpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    vcpu->gdtr = (struct table_reg){.base = SYSTEM_BASE, .limit = 0x7f};
    vcpu->idtr = (struct table_reg){.base = SYSTEM_BASE + 0x800, .limit = 0};
    vcpu->tr = (struct segment){.base = SYSTEM_BASE + PAGE_SIZE,
                                .limit = 0x67,
                                .attr = SEG_P | 11,
                                .selector = 0x40};
    vcpu->ldtr = (struct segment){.base = SYSTEM_BASE + LDT_OFFSET,
                                  .limit = 8 * DIFF_SEGMENT_COUNT - 1,
                                  .attr = SEG_P | 2,
                                  .selector = 0x50};
    /* No I/O permission bitmap within the limit (SDM 1 19.5.2). */
    store32(frame(guest, FRAME_TSS), 0x64 / 4, 0x8000u << 16);
}

int guest_create(struct diff_guest **out)
{
    struct diff_guest *guest = aligned_alloc(64, (sizeof(*guest) + 63) & ~63ul);
    struct interp_host host = {
        .page = guest_page,
        .mmio_read = no_mmio_read,
        .mmio_write = no_mmio_write,
        .port_in = no_port_in,
        .port_out = no_port_out,
        .tsc = no_tsc,
        .ram_stored = no_ram_stored,
        .tlb_flushed_page = no_flush_page,
        .tlb_flushed = no_flush,
        .features = BIT(FEAT_COUNT) - 1,
    };
    int error;

    if (guest == NULL)
        return -ENOMEM;
    memset(guest, 0, sizeof(*guest));
    guest->ram = calloc(FRAME_COUNT, PAGE_SIZE);
    guest->stats = calloc(1, sizeof(*guest->stats));
    if (guest->ram == NULL || guest->stats == NULL) {
        guest_destroy(guest);
        return -ENOMEM;
    }
    map_regions(guest);
    fill_gdt(guest);
    fill_ldt(guest);
    set_vcpu(guest);
    host.opaque = guest;
    error = interp_create(&guest->interp, &guest->vcpu, &host);
    if (error != 0) {
        guest_destroy(guest);
        return error;
    }
    *out = guest;
    return 0;
}

void guest_destroy(struct diff_guest *guest)
{
    if (guest == NULL)
        return;
    if (guest->interp != NULL)
        interp_destroy(guest->interp);
    free(guest->stats);
    free(guest->ram);
    free(guest);
}

static void load_state(struct vcpu *vcpu, const struct diff_state *state)
{
    memcpy(vcpu->regs, state->regs, sizeof(vcpu->regs));
    memcpy(vcpu->fpu, state->fpu, sizeof(vcpu->fpu));
    vcpu->eip = state->eip;
    vcpu_set_eflags(vcpu, state->eflags);
    vcpu->cpl = 3;
    vcpu->inhibit = INHIBIT_NONE;
    vcpu->kick = 0;
    vcpu->cr2 = 0;
    vcpu->dr[6] = 0xffff0ff0;
    vcpu->exc = (struct exc){.kind = EXC_KIND_NONE};
    set_segments(vcpu, state->seg);
}

static void store_code(struct diff_guest *guest, const struct diff_case *test)
{
    uint8_t *code = guest->memory[0];

    memset(code + DIFF_CODE_END - INSN_MAX_LEN, DIFF_INT3, INSN_MAX_LEN);
    memset(code + DIFF_CODE_CROSS - INSN_MAX_LEN, DIFF_INT3, INSN_MAX_LEN);
    memcpy(code + (test->before.eip - DIFF_CODE), test->insn.bytes,
           test->insn.len);
}

void guest_run(struct diff_guest *guest, const struct diff_case *test,
               struct diff_outcome *outcome)
{
    struct vcpu *vcpu = &guest->vcpu;
    enum vcpu_exit exit;

    store_code(guest, test);
    load_state(vcpu, &test->before);
    guest->stop.reason = STOP_NONE;
    exit = interp_step(guest->interp);

    memcpy(outcome->after.regs, vcpu->regs, sizeof(vcpu->regs));
    memcpy(outcome->after.fpu, vcpu->fpu, sizeof(vcpu->fpu));
    outcome->after.eip = vcpu->eip;
    outcome->after.eflags = vcpu_eflags(vcpu);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        outcome->after.seg[i] = vcpu->seg[i].selector;
    outcome->vector = DIFF_NO_FAULT;
    outcome->error = outcome->cr2 = 0;
    if (exit == VCPU_EXIT_EXC) {
        outcome->vector = vcpu->exc.vector;
        outcome->after.eip = vcpu->exc.return_eip;
        outcome->error = vcpu->exc.has_error ? vcpu->exc.error : 0;
        outcome->cr2 = vcpu->exc.vector == EXC_PF ? vcpu->exc.cr2 : 0;
    } else if (exit != VCPU_EXIT_BUDGET) {
        outcome->vector = DIFF_UNSUPPORTED;
    }
}

uint8_t *guest_memory(struct diff_guest *guest, unsigned region)
{
    return guest->memory[region];
}

const char *guest_stop_text(const struct diff_guest *guest)
{
    return guest->stop.text;
}
