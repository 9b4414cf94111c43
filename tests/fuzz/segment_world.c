/* SPDX-License-Identifier: MIT */
#include "segment_world.h"

#include <string.h>

#include "tests/machine/system.h"

/* Physical and linear. */
#define CODE    0x1000u
#define GDT     0x2000u
#define LDT     0x2800u
#define IDT     0x3000u
#define TSS     0x4000u
#define POINTER 0x5010u
#define STACKS  0x6000u /* a page for each level */
#define HANDLER 0xa000u
#define TARGET  0xa800u

#define LDT_ENTRIES 8u

bool seg_world_is_ram(uint32_t address)
{
    return address < 0xa0000 || (address >= 0xc0000 && address < WORLD_RAM);
}

/* ---- Tables ---- */

static void put64(uint8_t *image, uint32_t at, uint64_t value)
{
    memcpy(image + at, &value, sizeof(value));
}

/* attr: descriptor bits 40-47, and 52-55 in its high nibble. */
static void put_desc(uint8_t *image, uint32_t at, uint32_t base, uint32_t limit,
                     uint32_t attr)
{
    put64(image, at,
          (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
              (uint64_t)(attr & 0xff) << 40 |
              (uint64_t)(limit >> 16 & 15) << 48 |
              (uint64_t)(attr >> 8 & 15) << 52 | (uint64_t)(base >> 24) << 56);
}

static void put_gate(uint8_t *image, uint32_t at, unsigned type, unsigned dpl,
                     uint32_t selector, uint32_t offset, unsigned count)
{
    put64(image, at,
          (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 |
              (uint64_t)(0x80 | dpl << 5 | type) << 40 |
              (uint64_t)(offset >> 16) << 48);
}

static uint32_t gdt(unsigned index)
{
    return GDT + index * 8;
}

static void put_segments(uint8_t *image)
{
    for (unsigned dpl = 0; dpl < 4; dpl++) {
        uint32_t present = 0xc90 | dpl << 5;

        put_desc(image, gdt(CODE32 + dpl), 0, 0xfffff, present | 10);
        put_desc(image, gdt(DATA32 + dpl), 0, 0xfffff, present | 2);
        put_desc(image, gdt(CONFORM + dpl), 0, 0xfffff, present | 14);
    }
    put_desc(image, gdt(READ_ONLY), 0, 0xffff, 0x4f0);
    put_desc(image, gdt(DOWN), 0, 0x5fff, 0x4f6);
    put_desc(image, gdt(CODE16), 0, 0xffff, 0x09a);
    put_desc(image, gdt(CODE16_3), 0, 0xffff, 0x0fa);
    put_desc(image, gdt(DATA16), 0, 0xffff, 0x092);
    put_desc(image, gdt(DATA16_3), 0, 0xffff, 0x0f2);
    put_desc(image, gdt(BLIND_CODE), 0, 0xffff, 0x498);
    put_desc(image, gdt(SMALL_CODE), 0, 0xa801, 0x4fa);
}

static void put_system(uint8_t *image)
{
    static const struct {
        uint8_t type, dpl, selector, count;
    } gates[] = {
        {12, 3, CODE32,     0 },
        {12, 3, CODE32,     2 },
        {12, 3, CONFORM,    1 },
        {4,  3, CODE32 + 1, 3 },
        {12, 3, CODE32 + 2, 31},
        {12, 3, CODE32 + 3, 0 },
    };

    put_desc(image, gdt(LDT_DESC), LDT, LDT_ENTRIES * 8 - 1, 0x082);
    put_desc(image, gdt(TSS_FREE), TSS, 0x67, 0x089);
    put_desc(image, gdt(TSS_BUSY), TSS, 0x67, 0x08b);
    put_desc(image, gdt(TSS16_FREE), TSS, 0x2b, 0x081);
    put_desc(image, gdt(TSS16_BUSY), TSS, 0x2b, 0x083);
    for (unsigned i = 0; i < ARRAY_COUNT(gates); i++)
        put_gate(image, gdt(GATES + i), gates[i].type, gates[i].dpl,
                 gates[i].selector * 8u, TARGET + i, gates[i].count);
    put_gate(image, gdt(TASK_GATE), 5, 3, TSS_FREE * 8, 0, 0);
    for (unsigned i = 0; i < 4; i++) {
        put_desc(image, LDT + i * 8, 0, 0xfffff,
                 (i & 1 ? 0xc92u : 0xc9au) | (i < 2 ? 3u : 0u) << 5);
        put_gate(image, LDT + 32 + i * 8, i & 1 ? 12u : 4u, 3, (CODE32 + i) * 8,
                 TARGET, i);
    }
}

/* What a gate of the IDT can be, chosen for all exceptions by one byte. */
static void put_interrupt_gate(uint8_t *image, unsigned vector, unsigned kind,
                               unsigned cpl)
{
    static const uint8_t types[] = {14, 15, 6, 7, 14, 14, 15, 5};
    static const uint8_t targets[] = {CODE32,  CODE32,     CODE32,
                                      CODE32,  CODE32 + 1, CODE32 + 2,
                                      CONFORM, TSS_FREE};
    unsigned target = targets[kind & 7];

    if (kind & 8)
        target = CODE32 + cpl;
    put_gate(image, IDT + vector * 8, types[kind & 7], kind & 16 ? 0 : 3,
             target * 8, HANDLER, 0);
}

static void put_tss(uint8_t *image)
{
    for (unsigned level = 0; level < 3; level++) {
        put32(image, TSS + 4 + level * 8, STACKS + (level + 1) * PAGE_SIZE);
        put32(image, TSS + 8 + level * 8, (DATA32 + level) * 8 | level);
    }
}

static void put_tables(struct seg_world *w, const uint8_t *in, unsigned cpl)
{
    memset(w->image, 0, sizeof(w->image));
    put_segments(w->image);
    put_system(w->image);
    for (unsigned v = 0; v < 256; v++)
        put_interrupt_gate(w->image, v, v < 32 ? in[IN_IDT] : v, cpl);
    put_tss(w->image);
    memset(w->image + HANDLER, 0xf4, PAGE_SIZE);
    for (uint32_t at = STACKS; at < HANDLER; at += 4)
        put32(w->image, at, at * 0x10001u);
    memset(w->rights, 7, sizeof(w->rights));
}

/* ---- The instruction ---- */

static uint16_t selector(const uint8_t *in, unsigned index, unsigned cpl)
{
    unsigned low = in[index + 1];
    unsigned table = (low & 12) == 12 ? 4u : 0u;
    unsigned rpl = low & 16 ? low & 3 : cpl;

    return (uint16_t)(in[index] % (table ? 10u : GDT_ENTRIES + 2u) * 8 | table |
                      rpl);
}

static uint32_t offset(uint8_t choice)
{
    static const uint32_t offsets[] = {TARGET,     TARGET, TARGET,  0xa801,
                                       0xffffffff, 0xffff, 0x10000, 0xa802};

    return offsets[choice & 7];
}

static void choose_insn(struct seg_world *w, const uint8_t *in, unsigned cpl,
                        bool code16)
{
    static const enum seg segs[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS,
                                    SEG_GS, SEG_SS, SEG_DS, SEG_ES};
    struct seg_insn *insn = &w->insn;

    *insn = (struct seg_insn){.op = in[IN_OP] % DO_COUNT,
                              .seg = segs[in[IN_SEG] & 7],
                              .size = in[IN_MODE] & 4 ? 2 : 4,
                              .at = POINTER,
                              .offset = offset(in[IN_OFFSET]),
                              .selector = selector(in, IN_INDEX, cpl),
                              .imm = in[IN_IMM]};
    if (insn->op == DO_INT || insn->op == DO_INTERRUPT)
        insn->imm = in[IN_VECTOR];
    seg_insn_encode(insn, w->image + CODE, code16);
    if (insn->op == DO_MOV_MEM) {
        put32(w->image, POINTER, insn->selector);
        return;
    }
    memcpy(w->image + POINTER, &insn->offset, insn->size);
    memcpy(w->image + POINTER + insn->size, &insn->selector, 2);
}

/* ---- Registers ---- */

static struct segment hidden(const struct seg_world *w, unsigned index,
                             unsigned rpl)
{
    struct model_desc d = {0};

    if (index == 0)
        return (struct segment){.attr = SEG_UNUSABLE,
                                .selector = (uint16_t)rpl};
    memcpy(&d.raw, w->image + gdt(index), sizeof(d.raw));
    d.raw |= (uint64_t)desc_is_segment(&d) << 40; /* accessed, as by a load */
    return desc_load(&d, (uint16_t)(index * 8 | rpl));
}

/* Code16 and 16-bit stacks of levels 1 and 2 are those of level 3 with another
 * DPL. */
static struct segment narrow(const struct seg_world *w, unsigned index,
                             unsigned cpl)
{
    struct segment s = hidden(w, index + (cpl != 0), cpl);

    s.attr = (s.attr & ~(uint32_t)SEG_DPL) | cpl << SEG_DPL_SHIFT;
    return s;
}

static void put_segs(struct seg_world *w, const uint8_t *in, unsigned cpl)
{
    static const enum seg data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    unsigned own[] = {DATA32 + 3, DATA32 + cpl, CONFORM, 0};
    struct vcpu *v = &w->start;
    struct segment s = hidden(w, CODE32 + cpl, cpl);

    if (in[IN_MODE] & 0x80)
        s = narrow(w, CODE16, cpl);
    else if (in[IN_FLAGS] & 1)
        s = hidden(w, CONFORM, cpl);
    vcpu_set_seg(v, SEG_CS, &s);
    s = hidden(w, DATA32 + cpl, cpl);
    if (in[IN_MODE] & 8)
        s = narrow(w, DATA16, cpl);
    vcpu_set_seg(v, SEG_SS, &s);
    for (unsigned i = 0; i < 4; i++) {
        s = hidden(w, own[in[IN_DATA] >> 2 * i & 3], cpl);
        vcpu_set_seg(v, data[i], &s);
    }
    v->cpl = (uint8_t)cpl;
    v->ldtr = hidden(w, in[IN_TABLES] & 1 ? 0 : LDT_DESC, 0);
    v->tr = hidden(w, in[IN_TABLES] & 2 ? TSS16_BUSY : TSS_BUSY, 0);
}

static uint32_t flags(const uint8_t *in)
{
    uint32_t value = in[IN_FLAGS] & 2 ? FLAGS_ARITH : FLAG_PF;

    value |= in[IN_FLAGS] & 4 ? FLAG_IF : 0;
    value |= in[IN_FLAGS] & 8 ? FLAG_DF : 0;
    value |= in[IN_FLAGS] & 16 ? FLAG_AC : 0;
    value |= in[IN_FLAGS] & 32 ? FLAG_RF : 0;
    value |= in[IN_FLAGS] & 64 ? FLAG_ID : 0;
    value |= in[IN_MODE] & 16 ? FLAG_NT : 0;
    return value | (in[IN_MODE] >> 5 & 3u) << FLAG_IOPL_SHIFT;
}

/* What RETF and IRET find, below the immediate's gap as well. */
static void put_frame(struct seg_world *w, const uint8_t *in, uint32_t esp,
                      unsigned cpl)
{
    const struct seg_insn *insn = &w->insn;
    uint32_t image = (uint32_t)(in[IN_IMAGE] | in[IN_IMAGE + 1] << 8);
    uint32_t value[5] = {offset(in[IN_OFFSET]), selector(in, IN_CS_INDEX, cpl)};
    unsigned count = 2;
    uint32_t at = esp & 0xffff;

    if (insn->op == DO_POP)
        value[0] = insn->selector;
    if (insn->op == DO_IRET)
        value[count++] = (image & 0x7fff) | (image & 0x8008) << 14;
    value[count++] = STACKS + 3 * PAGE_SIZE + 0x800;
    value[count++] = selector(in, IN_SS_INDEX, value[1] & 3);
    for (unsigned i = 0; i < count && at < WORLD_PD; i++) {
        memcpy(w->image + at, &value[i], insn->size);
        at += insn->size;
        if (i == 1 && insn->op == DO_RETF_IMM)
            at += insn->imm;
    }
}

static void put_registers(struct seg_world *w, const uint8_t *in, unsigned cpl)
{
    static const uint16_t tops[] = {0x800, 0x800, 0x1000, 0xffe,
                                    0xff8, 0,     4,      0x10};
    struct vcpu *v = &w->start;
    uint32_t esp = STACKS + cpl * PAGE_SIZE + tops[in[IN_ESP] & 7];

    for (unsigned i = 0; i < REG_COUNT; i++)
        v->regs[i] = 0x11223344u * (i + 1);
    v->regs[REG_EAX] = 0x56780000u | w->insn.selector;
    v->regs[REG_EBX] = 0;
    v->regs[REG_ESP] = in[IN_ESP] & 8 && in[IN_MODE] & 8 ? esp | 0x7f0000 : esp;
    if (in[IN_ESP] & 16)
        v->regs[REG_ESP] = 0;
    v->eip = CODE;
    vcpu_set_eflags(v, flags(in));
    put_frame(w, in, v->regs[REG_ESP], cpl);
    v->gdtr = (struct table_reg){.base = GDT, .limit = GDT_ENTRIES * 8 - 1};
    v->idtr = (struct table_reg){.base = IDT, .limit = 0x7ff};
    v->sysenter_cs =
        in[IN_CS_INDEX] & 1 ? selector(in, IN_INDEX, cpl) : CODE32 * 8u;
    v->sysenter_esp = STACKS + PAGE_SIZE;
    v->sysenter_eip = HANDLER;
    v->regs[REG_ECX] = STACKS + 4 * PAGE_SIZE;
    v->regs[REG_EDX] = TARGET;
    if (w->insn.op == DO_DIVIDE)
        v->regs[REG_EDX] = 0;
}

/* ---- Patches ---- */

/* The hidden part of a register, as another descriptor would have left it. */
static void patch_hidden(struct vcpu *v, const uint8_t *p)
{
    static const uint32_t limits[] = {0,       1,          0xf,        0x67,
                                      0x6003,  0x8fff,     0xffff,     0x9ffe,
                                      0xfffff, 0x7fffffff, 0xfffffffe, 0x67fe};
    static const uint32_t bases[] = {0,      1,          0x10,   0xfff,
                                     0x1000, 0xfffffff0, 0x8000, 0xfffff000};
    struct segment s;
    unsigned n = p[1] % (SEG_COUNT + 2);

    s = n < SEG_COUNT ? v->seg[n] : n == SEG_COUNT ? v->ldtr : v->tr;
    if (s.attr & SEG_UNUSABLE)
        return;
    switch (p[2] & 3) {
    case 0: s.limit = limits[p[3] % ARRAY_COUNT(limits)]; break;
    case 1: s.base = bases[p[3] % ARRAY_COUNT(bases)]; break;
    case 2: s.limit = p[3]; break;
    default:
        /* Data: which way it grows, how wide. */
        if ((s.attr & (SEG_S | SEG_CODE)) == SEG_S)
            s.attr ^= (p[3] & 1 ? SEG_DOWN : 0) | (p[3] & 2 ? SEG_DB : 0);
        break;
    }
    if (n == SEG_CS && (p[2] & 3) == 1)
        v->eip += v->seg[SEG_CS].base - s.base;
    if (n < SEG_COUNT)
        vcpu_set_seg(v, n, &s);
    else
        *(n == SEG_COUNT ? &v->ldtr : &v->tr) = s;
}

static void patch_register(struct vcpu *v, const uint8_t *p)
{
    uint32_t value = p[3];

    switch (p[1] & 7) {
    case 0: v->gdtr.limit = value | (p[2] & 1u) << 8; break;
    case 1: v->idtr.limit = value | (p[2] & 7u) << 8; break;
    case 2: v->tr.limit = value; break;
    case 3: v->sysenter_cs = value; break;
    case 4: v->regs[REG_ESP] += value - 128; break;
    case 5: v->gdtr.base += (value & 15) << (p[2] & 28); break;
    case 6: v->idtr.base += value & 15; break;
    case 7: v->ldtr.limit = value; break;
    }
}

static void patch(struct seg_world *w, const uint8_t *p)
{
    uint8_t *image = w->image;

    switch (p[0] & 7) {
    case 0: image[gdt(p[1] % GDT_ENTRIES) + (p[2] & 7)] = p[3]; break;
    case 1: image[LDT + p[1] % LDT_ENTRIES * 8 + (p[2] & 7)] = p[3]; break;
    case 2: image[IDT + p[1] * 8 + (p[2] & 7)] = p[3]; break;
    case 3: image[TSS + p[1] % 0x68] = p[3]; break;
    case 4:
        image[STACKS + w->start.cpl * PAGE_SIZE + p[1] + (p[2] & 8) * 0x100] =
            p[3];
        break;
    case 5: w->rights[p[1] % (WORLD_PD / PAGE_SIZE)] = p[3] & 7; break;
    case 6: patch_hidden(&w->start, p); break;
    case 7: patch_register(&w->start, p); break;
    }
}

static void put_paging(struct seg_world *w)
{
    for (unsigned i = WORLD_PD / PAGE_SIZE; i < WORLD_IMAGE / PAGE_SIZE; i++)
        w->rights[i] = 0;
    put32(w->image, WORLD_PD, (WORLD_PD + PAGE_SIZE) | 7);
    for (uint32_t i = 0; i < MODEL_PAGES; i++)
        put32(w->image, WORLD_PD + PAGE_SIZE + i * 4, i << 12 | w->rights[i]);
    w->start.cr3 = WORLD_PD;
    w->start.cr0 |= CR0_PG;
}

void seg_world_make(struct seg_world *w, const uint8_t *data, size_t len)
{
    uint8_t in[IN_PATCHES] = {0};
    unsigned cpl;

    memcpy(in, data, len < sizeof(in) ? len : sizeof(in));
    cpl = in[IN_MODE] & 3;
    vcpu_reset(&w->start);
    w->start.cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_WP;
    put_tables(w, in, cpl);
    choose_insn(w, in, cpl, in[IN_MODE] & 0x80);
    put_segs(w, in, cpl);
    put_registers(w, in, cpl);
    for (size_t at = IN_PATCHES; at + 4 <= len && at < 128; at += 4)
        patch(w, data + at);
    w->paging = in[IN_PAGING] & 1;
    if (w->paging)
        put_paging(w);
}
