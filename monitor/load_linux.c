/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "monitor/load.h"

/*
 * Linux by its 32-bit boot protocol (Documentation/x86/boot.rst of the kernel,
 * "32-bit Boot Protocol"):
 *
 *   1. check the setup header against the file;
 *   2. copy the protected-mode kernel to where code32_start says;
 *   3. place the initrd as high as the header allows;
 *   4. fill boot_params: the header, the command line, the E820 map;
 *   5. enter at the 32-bit entry point with ESI = boot_params.
 */

/* Offsets in the file and, the same, in boot_params ("The Real-Mode Kernel
 * Header"). */
enum {
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4,
    BOOT_FLAG = 0x1fe,
    JUMP_LEN = 0x201,
    MAGIC = 0x202,
    VERSION = 0x206,
    TYPE_OF_LOADER = 0x210,
    LOADFLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMD_LINE_PTR = 0x228,
    INITRD_ADDR_MAX = 0x22c,
    KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE = 0x234,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END_MIN = 0x264
};

/* Offsets in boot_params alone ("struct boot_params"). */
enum {
    EXT_MEM_K = 0x002,
    ALT_MEM_K = 0x1e0,
    E820_ENTRIES = 0x1e8,
    E820_TABLE = 0x2d0,
    E820_ENTRY_LEN = 20,
    BOOT_PARAMS_LEN = 4096
};

#define LOADED_HIGH         BIT(0) /* of loadflags */
#define XLF_KERNEL_64       BIT(0)
#define LOADER_UNDEFINED    0xff
#define SECTOR              512u
#define VERSION_MIN         0x0203 /* initrd_addr_max */
#define VERSION_RELOCATABLE 0x0205
#define VERSION_CMDLINE     0x0206
#define VERSION_PREF        0x020a
#define VERSION_XLOADFLAGS  0x020c

/* The header, checked. */
struct linux_header {
    uint16_t version;
    size_t setup_len; /* file offset of the protected-mode kernel */
    size_t kernel_len;
    uint32_t load_address;
    uint32_t initrd_max; /* highest address an initrd byte may have */
    uint32_t cmdline_max;
    uint64_t run_end; /* end of what the kernel writes before it knows E820 */
};

bool linux_detect(struct span kernel)
{
    return kernel.len >= HEADER_END_MIN &&
           load_le16(kernel.data + BOOT_FLAG) == 0xaa55 &&
           !memcmp(kernel.data + MAGIC, "HdrS", 4);
}

static bool check_kind(const uint8_t *file, uint16_t version,
                       struct load_error *error)
{
    if (version < VERSION_MIN)
        return load_fail(error,
                         "Linux boot protocol %u.%02u is too old (2.03 is "
                         "the oldest supported)",
                         version >> 8, version & 0xffu);
    if (!(file[LOADFLAGS] & LOADED_HIGH))
        return load_fail(error, "a zImage is not supported, only a bzImage");
    if (version >= VERSION_XLOADFLAGS &&
        (load_le16(file + XLOADFLAGS) & XLF_KERNEL_64))
        return load_fail(error, "this is a 64-bit kernel; popf runs 32-bit "
                                "guests");
    return true;
}

/* Where the kernel will run, and how far it writes beyond its image. */
static void find_run_end(const uint8_t *file, struct linux_header *header)
{
    header->run_end = (uint64_t)header->load_address + header->kernel_len;
    if (header->version < VERSION_PREF)
        return;
    uint64_t start = load_le64(file + PREF_ADDRESS);
    uint64_t align = load_le32(file + KERNEL_ALIGNMENT);

    if (file[RELOCATABLE] && align != 0 && align <= GIB) {
        uint64_t moved = (header->load_address + align - 1) / align * align;
        start = moved > start ? moved : start;
    }
    if (start > UINT32_MAX)
        start = UINT32_MAX;
    uint64_t end = start + load_le32(file + INIT_SIZE);
    if (end > header->run_end)
        header->run_end = end;
}

static bool parse_header(struct span kernel, struct linux_header *header,
                         struct load_error *error)
{
    const uint8_t *file = kernel.data;
    unsigned sectors = file[SETUP_SECTS] ? file[SETUP_SECTS] : 4;

    header->version = load_le16(file + VERSION);
    if (!check_kind(file, header->version, error))
        return false;
    header->setup_len = (sectors + 1) * SECTOR;
    if (kernel.len <= header->setup_len)
        return load_fail(error, "truncated: %zu bytes, setup alone is %zu",
                         kernel.len, header->setup_len);
    header->kernel_len = kernel.len - header->setup_len;
    uint64_t stated = (uint64_t)load_le32(file + SYSSIZE) * 16;
    if (stated > ((uint64_t)header->kernel_len + 15) / 16 * 16)
        return load_fail(error,
                         "truncated: the header promises %llu bytes "
                         "after setup, the file has %zu",
                         (unsigned long long)stated, header->kernel_len);
    header->load_address = load_le32(file + CODE32_START);
    header->initrd_max = load_le32(file + INITRD_ADDR_MAX);
    header->cmdline_max = header->version >= VERSION_CMDLINE
                              ? load_le32(file + CMDLINE_SIZE)
                              : 255;
    find_run_end(file, header);
    return true;
}

static bool place_kernel(const struct load_input *input,
                         const struct linux_header *header,
                         struct load_error *error)
{
    const struct load_ram *ram = &input->ram;

    if (header->load_address < LOAD_HIGH)
        return load_fail(error, "load address %08xh is below 1 MiB",
                         header->load_address);
    if (header->load_address > ram->len ||
        header->kernel_len > ram->len - header->load_address ||
        header->run_end > ram->len)
        return load_fail(error, "the kernel needs at least %lluM of RAM (-m)",
                         (unsigned long long)(header->run_end / MIB + 1));
    memcpy(ram->base + header->load_address,
           input->kernel.data + header->setup_len, header->kernel_len);
    return true;
}

static bool place_initrd(const struct load_input *input,
                         const struct linux_header *header, uint8_t *params,
                         struct load_error *error)
{
    if (input->initrd_count == 0)
        return true;
    struct span initrd = input->initrds[0];
    uint64_t top = (uint64_t)header->initrd_max + 1;

    if (top > input->ram.len)
        top = input->ram.len;
    uint64_t start =
        top < initrd.len ? 0 : (top - initrd.len) & ~(uint64_t)PAGE_MASK;
    if (start < header->run_end)
        return load_fail(error,
                         "the initrd (%zu bytes) does not fit between the "
                         "kernel and %lluM; give more RAM (-m)",
                         initrd.len, (unsigned long long)(top / MIB));
    if (initrd.len != 0)
        memcpy(input->ram.base + start, initrd.data, initrd.len);
    store_le32(params + RAMDISK_IMAGE, (uint32_t)start);
    store_le32(params + RAMDISK_SIZE, (uint32_t)initrd.len);
    return true;
}

static bool place_cmdline(const struct load_input *input,
                          const struct linux_header *header, uint8_t *params,
                          struct load_error *error)
{
    size_t len = strlen(input->cmdline);
    size_t max = LOAD_LOW_END - LOAD_CMDLINE - 1;

    if (header->cmdline_max < max)
        max = header->cmdline_max;
    if (len > max)
        return load_fail(error,
                         "-append is %zu bytes long; this kernel takes %zu",
                         len, max);
    memcpy(input->ram.base + LOAD_CMDLINE, input->cmdline, len + 1);
    store_le32(params + CMD_LINE_PTR, LOAD_CMDLINE);
    return true;
}

static void fill_memory_map(uint64_t ram_len, uint8_t *params)
{
    struct memory_range ranges[MEMORY_RANGES_MAX];
    unsigned count = load_memory_map(ram_len, ranges);
    uint64_t above_k = (ram_len - MIB) / KIB;

    for (unsigned i = 0; i < count; i++) {
        uint8_t *at = params + E820_TABLE + i * E820_ENTRY_LEN;

        store_le64(at, ranges[i].start);
        store_le64(at + 8, ranges[i].len);
        store_le32(at + 16, ranges[i].type);
    }
    params[E820_ENTRIES] = (uint8_t)count;
    store_le32(params + ALT_MEM_K, (uint32_t)above_k);
    uint16_t ext = above_k > 0xffff ? 0xffff : (uint16_t)above_k;
    memcpy(params + EXT_MEM_K, &ext, sizeof(ext));
}

bool linux_load(const struct load_input *input, struct load_entry *entry,
                struct load_error *error)
{
    struct linux_header header = {0};
    uint8_t *params = input->ram.base + LOAD_BOOT_PARAMS;
    const uint8_t *file = input->kernel.data;

    if (!parse_header(input->kernel, &header, error))
        return false;
    if (input->initrd_count > 1)
        return load_fail(error, "Linux takes one initrd");
    memset(params, 0, BOOT_PARAMS_LEN);
    /* "The end of setup header can be calculated as follows: 0x0202 + byte
     * value at offset 0x0201". */
    size_t end = MAGIC + (size_t)file[JUMP_LEN];
    if (end > E820_TABLE)
        end = E820_TABLE;
    if (end > input->kernel.len)
        end = input->kernel.len;
    memcpy(params + SETUP_SECTS, file + SETUP_SECTS, end - SETUP_SECTS);
    params[TYPE_OF_LOADER] = LOADER_UNDEFINED;
    fill_memory_map(input->ram.len, params);
    if (!place_kernel(input, &header, error) ||
        !place_initrd(input, &header, params, error) ||
        !place_cmdline(input, &header, params, error))
        return false;
    *entry = (struct load_entry){.eip = header.load_address,
                                 .esi = LOAD_BOOT_PARAMS};
    return true;
}
