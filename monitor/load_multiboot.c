/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "monitor/load.h"

/*
 * Multiboot Specification version 0.6.96: the header lies 4-byte aligned within
 * the first 8192 bytes; the image is an ELF32 executable, or says itself where
 * it goes (flag 16). Modules follow the kernel, page aligned, and then the
 * information structure and the strings that it points to.
 */

#define HEADER_SEARCH 8192u
#define HEADER_MAGIC  0x1badb002u
#define ENTRY_MAGIC   0x2badb002u
/* Requirements that popf does not know; alignment (0) and memory (1) it always
 * meets, and the kernel checks itself whether it got its video mode (2). */
#define REQUIRE_UNKNOWN 0xfff8u
#define HAS_ADDRESSES   BIT(16)

/* Flags and offsets of the information structure (3.3). */
#define INFO_MEMORY      BIT(0)
#define INFO_CMDLINE     BIT(2)
#define INFO_MODS        BIT(3)
#define INFO_MMAP        BIT(6)
#define INFO_LOADER_NAME BIT(9)
enum {
    INFO_FLAGS = 0,
    INFO_MEM_LOWER = 4,
    INFO_MEM_UPPER = 8,
    INFO_CMDLINE_PTR = 16,
    INFO_MODS_COUNT = 20,
    INFO_MODS_ADDR = 24,
    INFO_MMAP_LEN = 44,
    INFO_MMAP_ADDR = 48,
    INFO_LOADER_PTR = 64,
    INFO_LEN = 120,
    MODULE_LEN = 16,
    MMAP_ENTRY_LEN = 24
};

struct header {
    size_t offset; /* in the file */
    uint32_t flags;
};

/* Bump allocator for what goes behind the kernel. */
struct arena {
    struct load_ram ram;
    uint64_t next;
};

static bool find_header(struct span kernel, struct header *header)
{
    size_t len = kernel.len < HEADER_SEARCH ? kernel.len : HEADER_SEARCH;

    for (size_t at = 0; at + 12 <= len; at += 4) {
        uint32_t flags = load_le32(kernel.data + at + 4);

        if (load_le32(kernel.data + at) == HEADER_MAGIC &&
            HEADER_MAGIC + flags + load_le32(kernel.data + at + 8) == 0) {
            *header = (struct header){.offset = at, .flags = flags};
            return true;
        }
    }
    return false;
}

bool multiboot_detect(struct span kernel)
{
    struct header header;

    return find_header(kernel, &header);
}

/* Copy len bytes of the file to address and zero up to size. Nothing may go
 * where popf puts its own things, nor into the VGA hole and the BIOS area. */
static bool place(const struct load_input *input, uint64_t address,
                  struct span bytes, uint64_t size, struct load_error *error)
{
    uint64_t end = address + size;

    if (size == 0)
        return true;
    if (end > input->ram.len)
        return load_fail(error,
                         "the kernel goes up to %llxh; give more RAM (-m)",
                         (unsigned long long)end);
    if (address < LOAD_GDT + LOAD_GDT_LEN ||
        (address < LOAD_HIGH && end > LOAD_LOW_END))
        return load_fail(error, "a segment at %llxh-%llxh is not in free RAM",
                         (unsigned long long)address, (unsigned long long)end);
    if (bytes.len != 0)
        memcpy(input->ram.base + address, bytes.data, bytes.len);
    memset(input->ram.base + address + bytes.len, 0, size - bytes.len);
    return true;
}

/* Flag 16: the header's own address fields. */
static bool load_addresses(const struct load_input *input,
                           const struct header *header,
                           struct load_entry *entry, uint64_t *end,
                           struct load_error *error)
{
    struct span file = input->kernel;
    const uint8_t *at = file.data + header->offset;

    if (file.len - header->offset < 32)
        return load_fail(error, "the Multiboot header is truncated");
    uint32_t header_addr = load_le32(at + 12);
    uint32_t load_addr = load_le32(at + 16);
    uint32_t load_end = load_le32(at + 20);
    uint32_t bss_end = load_le32(at + 24);

    if (load_addr > header_addr || header_addr - load_addr > header->offset)
        return load_fail(error, "the Multiboot load address is invalid");
    size_t skip = header->offset - (header_addr - load_addr);
    size_t len = file.len - skip;
    if (load_end != 0) {
        if (load_end < load_addr || load_end - load_addr > len)
            return load_fail(error, "truncated, or the Multiboot load end is "
                                    "invalid");
        len = load_end - load_addr;
    }
    uint64_t size = len;
    if (bss_end != 0 && bss_end > load_addr && bss_end - load_addr > size)
        size = bss_end - load_addr;
    *end = load_addr + size;
    entry->eip = load_le32(at + 28);
    return place(input, load_addr, (struct span){file.data + skip, len}, size,
                 error);
}

static bool load_segment(const struct load_input *input, const Elf32_Phdr *ph,
                         struct load_error *error)
{
    struct span file = input->kernel;

    if (ph->p_offset > file.len || ph->p_filesz > file.len - ph->p_offset)
        return load_fail(error, "truncated: a segment ends at byte %llu of %zu",
                         (unsigned long long)ph->p_offset + ph->p_filesz,
                         file.len);
    if (ph->p_filesz > ph->p_memsz)
        return load_fail(error, "a segment is larger in the file than in RAM");
    return place(input, ph->p_paddr,
                 (struct span){file.data + ph->p_offset, ph->p_filesz},
                 ph->p_memsz, error);
}

static bool check_elf(struct span file, const Elf32_Ehdr *ehdr,
                      struct load_error *error)
{
    if (file.len < sizeof(*ehdr) || memcmp(file.data, ELFMAG, SELFMAG) != 0)
        return load_fail(error, "a Multiboot image that is neither ELF nor "
                                "says where it goes");
    if (ehdr->e_ident[EI_CLASS] != ELFCLASS32 || ehdr->e_machine != EM_386 ||
        ehdr->e_ident[EI_DATA] != ELFDATA2LSB)
        return load_fail(error, "an ELF image, but not for 32-bit x86");
    if (ehdr->e_phentsize != sizeof(Elf32_Phdr) || ehdr->e_phoff > file.len ||
        ehdr->e_phnum > (file.len - ehdr->e_phoff) / sizeof(Elf32_Phdr))
        return load_fail(error, "the ELF program headers are invalid");
    return true;
}

static bool load_elf(const struct load_input *input, struct load_entry *entry,
                     uint64_t *end, struct load_error *error)
{
    struct span file = input->kernel;
    Elf32_Ehdr ehdr = {0};

    if (file.len >= sizeof(ehdr))
        memcpy(&ehdr, file.data, sizeof(ehdr));
    if (!check_elf(file, &ehdr, error))
        return false;
    entry->eip = ehdr.e_entry;
    for (unsigned i = 0; i < ehdr.e_phnum; i++) {
        Elf32_Phdr ph;

        memcpy(&ph, file.data + ehdr.e_phoff + i * sizeof(ph), sizeof(ph));
        if (ph.p_type != PT_LOAD)
            continue;
        if (!load_segment(input, &ph, error))
            return false;
        /* The entry point is a linear address; paging is off. */
        if (ehdr.e_entry - ph.p_vaddr < ph.p_memsz)
            entry->eip = ehdr.e_entry - ph.p_vaddr + ph.p_paddr;
        if ((uint64_t)ph.p_paddr + ph.p_memsz > *end)
            *end = (uint64_t)ph.p_paddr + ph.p_memsz;
    }
    if (*end == 0)
        return load_fail(error, "the ELF image has nothing to load");
    return true;
}

/* Room for len bytes, zeroed; its guest-physical address, or 0. */
static uint32_t arena_take(struct arena *arena, uint64_t len, uint64_t align,
                           struct load_error *error)
{
    uint64_t start = (arena->next + align - 1) / align * align;

    if (start > arena->ram.len || len > arena->ram.len - start) {
        load_fail(error, "kernel and modules do not fit; give more RAM (-m)");
        return 0;
    }
    memset(arena->ram.base + start, 0, len);
    arena->next = start + len;
    return (uint32_t)start;
}

static uint32_t put_string(struct arena *arena, const char *first,
                           const char *second, struct load_error *error)
{
    size_t len = strlen(first) + 1 + strlen(second) + 1;
    uint32_t at = arena_take(arena, len, 1, error);

    if (at != 0)
        snprintf((char *)arena->ram.base + at, len, "%s%s%s", first,
                 *first && *second ? " " : "", second);
    return at;
}

static bool put_modules(const struct load_input *input, struct arena *arena,
                        uint8_t *info, struct load_error *error)
{
    unsigned count = input->initrd_count;
    uint32_t list =
        arena_take(arena, (uint64_t)count * MODULE_LEN + 1, 4, error);

    if (list == 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct span module = input->initrds[i];
        uint32_t args = put_string(arena, "", input->module_args[i], error);
        uint32_t at = arena_take(arena, module.len, PAGE_SIZE, error);
        uint8_t *out = arena->ram.base + list + i * MODULE_LEN;

        if (args == 0 || at == 0)
            return false;
        if (module.len != 0)
            memcpy(arena->ram.base + at, module.data, module.len);
        store_le32(out, at);
        store_le32(out + 4, at + (uint32_t)module.len);
        store_le32(out + 8, args);
    }
    store_le32(info + INFO_MODS_COUNT, count);
    store_le32(info + INFO_MODS_ADDR, list);
    return true;
}

static bool put_memory_map(const struct load_input *input, struct arena *arena,
                           uint8_t *info, struct load_error *error)
{
    struct memory_range ranges[MEMORY_RANGES_MAX];
    unsigned count = load_memory_map(input->ram.len, ranges);
    uint32_t at = arena_take(arena, count * MMAP_ENTRY_LEN, 4, error);

    if (at == 0)
        return false;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *out = arena->ram.base + at + i * MMAP_ENTRY_LEN;

        store_le32(out, MMAP_ENTRY_LEN - 4);
        store_le64(out + 4, ranges[i].start);
        store_le64(out + 12, ranges[i].len);
        store_le32(out + 20, ranges[i].type);
    }
    store_le32(info + INFO_MMAP_LEN, count * MMAP_ENTRY_LEN);
    store_le32(info + INFO_MMAP_ADDR, at);
    return true;
}

static bool put_info(const struct load_input *input, struct arena *arena,
                     struct load_entry *entry, struct load_error *error)
{
    uint32_t at = arena_take(arena, INFO_LEN, 4, error);

    if (at == 0)
        return false;
    uint8_t *info = arena->ram.base + at;
    uint32_t cmdline =
        put_string(arena, input->kernel_name, input->cmdline, error);
    uint32_t loader = put_string(arena, "popf", "", error);
    if (cmdline == 0 || loader == 0 ||
        !put_memory_map(input, arena, info, error) ||
        !put_modules(input, arena, info, error))
        return false;
    store_le32(info + INFO_FLAGS, INFO_MEMORY | INFO_CMDLINE | INFO_MODS |
                                      INFO_MMAP | INFO_LOADER_NAME);
    store_le32(info + INFO_MEM_LOWER, LOAD_LOW_END / KIB);
    store_le32(info + INFO_MEM_UPPER,
               (uint32_t)((input->ram.len - LOAD_HIGH) / KIB));
    store_le32(info + INFO_CMDLINE_PTR, cmdline);
    store_le32(info + INFO_LOADER_PTR, loader);
    entry->ebx = at;
    return true;
}

bool multiboot_load(const struct load_input *input, struct load_entry *entry,
                    struct load_error *error)
{
    struct header header;
    uint64_t end = 0;
    struct load_entry result = {.eax = ENTRY_MAGIC};

    if (!find_header(input->kernel, &header))
        return load_fail(error, "no Multiboot header");
    if (header.flags & REQUIRE_UNKNOWN)
        return load_fail(error, "Multiboot requirements %04xh are not known",
                         header.flags & REQUIRE_UNKNOWN);
    bool ok = header.flags & HAS_ADDRESSES
                  ? load_addresses(input, &header, &result, &end, error)
                  : load_elf(input, &result, &end, error);
    if (!ok)
        return false;
    struct arena arena = {.ram = input->ram,
                          .next = end > LOAD_HIGH ? end : LOAD_HIGH};
    arena.next = (arena.next + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
    if (!put_info(input, &arena, &result, error))
        return false;
    *entry = result;
    return true;
}
