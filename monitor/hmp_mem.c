/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/hmp_priv.h"
#include "monitor/vm.h"
#include "shadow_mmu/gmem.h"
#include "translator/decode/insn.h"

/*
 * Memory as the guest's tables map it, for reading only: a walker that knows
 * no rights, sets no bits and asks no device. Both table formats become calls
 * of one function for each leaf:
 *
 *   32-bit paging   1024 entries of 4 bytes, large pages of 4 MiB (SDM 3A 4.3)
 *   PAE paging      512 entries of 8 bytes, large pages of 2 MiB (SDM 3A 4.4)
 */

#define PTE_P    BIT(0)
#define PTE_W    BIT(1)
#define PTE_U    BIT(2)
#define PTE_PWT  BIT(3)
#define PTE_PCD  BIT(4)
#define PTE_A    BIT(5)
#define PTE_D    BIT(6)
#define PTE_PS   BIT(7)
#define PTE_G    BIT(8)
#define PTE_NX   BIT64(63)
#define PAE_ADDR 0x000ffffffffff000ull

struct leaf {
    gva_t gva;
    uint32_t len;
    gpa_t gpa;
    uint64_t entry;  /* the leaf's own bits */
    uint64_t rights; /* W and U of all levels */
};

typedef void leaf_fn(void *opaque, const struct leaf *leaf);

static uint64_t read_entry(const struct vm *vm, gpa_t gpa, unsigned size)
{
    uint64_t entry = 0;

    if (gmem_read(vm->gmem, gpa, &entry, size) != 0)
        return 0;
    return entry;
}

/* What is looked for: every leaf, or the one of an address. */
struct search {
    leaf_fn *fn;
    void *opaque;
    bool one; /* only the leaf of gva */
    gva_t gva;
};

static bool is_wanted(const struct search *search, gva_t gva, uint32_t len)
{
    return !search->one || search->gva - gva < len;
}

/* A page directory whose first entry maps gva. */
static void walk_directory(const struct vm *vm, gpa_t table, gva_t gva,
                           const struct search *search)
{
    const bool pae = vm->vcpu.cr4 & CR4_PAE;
    const bool large = pae || (vm->vcpu.cr4 & CR4_PSE);
    const unsigned size = pae ? 8 : 4, count = pae ? 512 : 1024;
    const uint32_t span = count * PAGE_SIZE;
    const uint64_t mask = pae ? PAE_ADDR : 0xfffff000u;

    for (unsigned i = 0; i < count; i++, gva += span) {
        uint64_t pde = read_entry(vm, table + i * size, size);

        if (!is_wanted(search, gva, span) || !(pde & PTE_P))
            continue;
        if (large && (pde & PTE_PS)) {
            gpa_t high = pae ? 0 : (pde & 0x1fe000) << 19; /* PSE-36 */
            struct leaf leaf = {gva, span,
                                (pde & mask & ~(uint64_t)(span - 1)) | high,
                                pde, pde};
            search->fn(search->opaque, &leaf);
            continue;
        }
        for (unsigned j = 0; j < count; j++) {
            uint64_t pte = read_entry(vm, (pde & mask) + j * size, size);
            struct leaf leaf = {gva + j * PAGE_SIZE, PAGE_SIZE, pte & mask, pte,
                                pte & pde};

            if ((pte & PTE_P) && is_wanted(search, leaf.gva, PAGE_SIZE))
                search->fn(search->opaque, &leaf);
        }
    }
}

static void walk(const struct vm *vm, const struct search *search)
{
    const struct vcpu *vcpu = &vm->vcpu;

    if (!(vcpu->cr4 & CR4_PAE)) {
        walk_directory(vm, vcpu->cr3 & 0xfffff000u, 0, search);
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (vcpu->pdpte[i] & PTE_P)
            walk_directory(vm, vcpu->pdpte[i] & PAE_ADDR, (gva_t)i << 30,
                           search);
    }
}

static void for_each_leaf(const struct vm *vm, leaf_fn *fn, void *opaque)
{
    walk(vm, &(struct search){.fn = fn, .opaque = opaque});
}

static bool has_paging(struct hmp *hmp)
{
    if (hmp->vm->vcpu.cr0 & CR0_PG)
        return true;
    hmp_print(hmp, "PG disabled\n");
    return false;
}

static void print_tlb_leaf(void *opaque, const struct leaf *leaf)
{
    struct hmp *hmp = opaque;
    uint64_t e = leaf->entry;

    hmp_print(hmp, "%016llx: %016llx %c%c%c%c%c%c%c%c%c\n",
              (unsigned long long)leaf->gva, (unsigned long long)leaf->gpa,
              e & PTE_NX ? 'X' : '-', e & PTE_G ? 'G' : '-',
              leaf->len > PAGE_SIZE ? 'P' : '-', e & PTE_D ? 'D' : '-',
              e & PTE_A ? 'A' : '-', e & PTE_PCD ? 'C' : '-',
              e & PTE_PWT ? 'T' : '-', e & PTE_U ? 'U' : '-',
              e & PTE_W ? 'W' : '-');
}

void hmp_info_tlb(struct hmp *hmp, const char *args)
{
    (void)args;
    if (has_paging(hmp))
        for_each_leaf(hmp->vm, print_tlb_leaf, hmp);
}

/* A run of pages with the same rights. */
struct mem_run {
    struct hmp *hmp;
    uint64_t start;
    uint64_t end;
    uint64_t rights;
};

static void end_run(const struct mem_run *run)
{
    if (run->end != run->start)
        hmp_print(run->hmp, "%016llx-%016llx %016llx %cr%c\n",
                  (unsigned long long)run->start, (unsigned long long)run->end,
                  (unsigned long long)(run->end - run->start),
                  run->rights & PTE_U ? 'u' : '-',
                  run->rights & PTE_W ? 'w' : '-');
}

static void extend_run(void *opaque, const struct leaf *leaf)
{
    struct mem_run *run = opaque;
    uint64_t rights = leaf->rights & (PTE_U | PTE_W);

    if (leaf->gva != run->end || rights != run->rights) {
        end_run(run);
        run->start = leaf->gva;
        run->rights = rights;
    }
    run->end = (uint64_t)leaf->gva + leaf->len;
}

void hmp_info_mem(struct hmp *hmp, const char *args)
{
    struct mem_run run = {.hmp = hmp};

    (void)args;
    if (!has_paging(hmp))
        return;
    for_each_leaf(hmp->vm, extend_run, &run);
    end_run(&run);
}

/* One page of x. Linear to physical without side effects. */
struct find_page {
    gva_t gva;
    gpa_t gpa;
    bool found;
};

static void match_page(void *opaque, const struct leaf *leaf)
{
    struct find_page *find = opaque;

    if (find->gva - leaf->gva < leaf->len) {
        find->gpa = leaf->gpa + (find->gva - leaf->gva);
        find->found = true;
    }
}

static bool read_byte(const struct vm *vm, bool physical, uint64_t address,
                      uint8_t *byte)
{
    struct find_page find = {.gva = (gva_t)address};

    if (physical || !(vm->vcpu.cr0 & CR0_PG))
        return gmem_read(vm->gmem, address, byte, 1) == 0;
    walk(vm, &(struct search){match_page, &find, true, find.gva});
    return find.found && gmem_read(vm->gmem, find.gpa, byte, 1) == 0;
}

/* The bytes from address on that can be read; at most len. */
static size_t read_bytes(const struct vm *vm, bool physical, uint64_t address,
                         uint8_t *bytes, size_t len)
{
    size_t done = 0;

    while (done < len && read_byte(vm, physical, address + done, &bytes[done]))
        done++;
    return done;
}

struct format {
    unsigned long count;
    char letter; /* x d u o c i */
    unsigned size;
};

/* "/4xw": false when it is not one. */
static bool parse_format(const char **args, struct format *format)
{
    static const char sizes[] = "bhwg";
    char *end = (char *)*args;

    *format = (struct format){1, 'x', 4};
    if (*end != '/')
        return true;
    end++;
    if (*end >= '0' && *end <= '9')
        format->count = strtoul(end, &end, 10);
    for (; *end != '\0' && *end != ' '; end++) {
        const char *size = strchr(sizes, *end);

        if (size != NULL)
            format->size = 1u << (size - sizes);
        else if (strchr("xduoci", *end) != NULL)
            format->letter = *end;
        else
            return false;
    }
    if (format->letter == 'c')
        format->size = 1;
    *args = end + strspn(end, " ");
    return true;
}

/* A number, or $ and the name of a register. */
static bool parse_address(const struct vm *vm, const char *text,
                          uint64_t *address)
{
    static const char *const names[REG_COUNT] = {"eax", "ecx", "edx", "ebx",
                                                 "esp", "ebp", "esi", "edi"};
    char *end;

    if (*text == '$') {
        for (unsigned i = 0; i < REG_COUNT; i++) {
            if (!strcmp(text + 1, names[i])) {
                *address = vm->vcpu.regs[i];
                return true;
            }
        }
        *address = vm->vcpu.seg_base[SEG_CS] + vm->vcpu.eip;
        return !strcmp(text + 1, "eip") || !strcmp(text + 1, "pc");
    }
    *address = strtoull(text, &end, 0);
    return end != text && *end == '\0';
}

static void dump_code(struct hmp *hmp, bool physical, uint64_t address,
                      unsigned long count)
{
    const struct vm *vm = hmp->vm;
    struct insn_mode mode = {vm->config.features,
                             vm->vcpu.seg[SEG_CS].attr & SEG_DB};

    for (; count > 0; count--) {
        uint8_t bytes[INSN_MAX_LEN];
        char text[96];
        struct insn in;
        size_t len = read_bytes(vm, physical, address, bytes, sizeof(bytes));

        if (len == 0 || insn_decode(&in, mode, bytes, len) == INSN_SHORT) {
            hmp_print(hmp, "0x%08llx: unable to read memory\n",
                      (unsigned long long)address);
            return;
        }
        insn_format(&in, (gip_t)address, mode.code32, text, sizeof(text));
        hmp_print(hmp, "0x%08llx:  ", (unsigned long long)address);
        for (unsigned i = 0; i < in.len; i++)
            hmp_print(hmp, "%02x ", bytes[i]);
        hmp_print(hmp, "%*s%s\n", in.len < 8 ? 3 * (8 - in.len) : 0, "", text);
        address += in.len ? in.len : 1;
    }
}

static void print_value(struct hmp *hmp, const struct format *format,
                        uint64_t value)
{
    const int digits = (int)format->size * 2;
    const unsigned shift = 64 - format->size * 8;
    unsigned long long v = value;

    switch (format->letter) {
    case 'x': hmp_print(hmp, " 0x%0*llx", digits, v); break;
    case 'd':
        hmp_print(hmp, " %*lld", digits + 1,
                  (long long)(value << shift) >> shift);
        break;
    case 'u': hmp_print(hmp, " %*llu", digits + 1, v); break;
    case 'o': hmp_print(hmp, " 0%0*llo", digits * 3 / 2, v); break;
    default:
        if (v >= ' ' && v <= '~')
            hmp_print(hmp, " '%c'", (char)v);
        else
            hmp_print(hmp, " '\\x%02llx'", v);
    }
}

static void dump(struct hmp *hmp, bool physical, const char *args)
{
    struct format format;
    uint64_t address;

    if (!parse_format(&args, &format) || *args == '\0' ||
        !parse_address(hmp->vm, args, &address)) {
        hmp_print(hmp, "usage: x /fmt addr, such as x /4xw 0x1000 or "
                       "x /8i $eip\n");
        return;
    }
    if (format.letter == 'i') {
        dump_code(hmp, physical, address, format.count);
        return;
    }
    unsigned per_line = format.letter == 'c' ? 8 : 16 / format.size;
    for (unsigned long i = 0; i < format.count; i++) {
        uint64_t value = 0;

        if (i % per_line == 0)
            hmp_print(hmp, "%s%0*llx:", i ? "\n" : "", physical ? 16 : 8,
                      (unsigned long long)address);
        if (read_bytes(hmp->vm, physical, address, (uint8_t *)&value,
                       format.size) != format.size) {
            hmp_print(hmp, " Cannot access memory\n");
            return;
        }
        print_value(hmp, &format, value);
        address += format.size;
    }
    hmp_print(hmp, "\n");
}

void hmp_x(struct hmp *hmp, const char *args)
{
    dump(hmp, false, args);
}

void hmp_xp(struct hmp *hmp, const char *args)
{
    dump(hmp, true, args);
}
