/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_LOAD_H
#define MONITOR_LOAD_H

/*
 * PURPOSE: place a kernel in guest RAM and say in which state the CPU enters
 * it, as a boot loader without firmware does.
 *
 * The loaders are pure functions: buffers in, RAM and a struct load_entry out,
 * no files, no VM. Every length and address in an image is hostile until it was
 * checked; a bad image leaves one line of text.
 *
 * Layout of low memory (guest-physical):
 *
 *   00000800h  GDT: null, -, 10h code, 18h data; flat
 *   00010000h  Linux: boot_params           Multiboot: nothing
 *   00020000h  Linux: command line
 *   0009FC00h  end of low RAM (the EBDA's usual place)
 *   000A0000h  VGA hole
 *   000E0000h  ACPI tables; reserved up to 1 MiB
 *   00100000h  kernel
 */
#include "monitor/base.h"

struct span {
    const uint8_t *data;
    size_t len;
};

/* Guest-physical 0 to len; the VGA hole has bytes, but is never loaded to. */
struct load_ram {
    uint8_t *base;
    uint64_t len;
};

struct load_input {
    struct load_ram ram;
    struct span kernel;
    const struct span *initrds; /* Linux: at most one; Multiboot: modules */
    unsigned initrd_count;
    const char *const *module_args; /* command line of each module */
    const char *kernel_name;        /* for the Multiboot command line */
    const char *cmdline;            /* never NULL */
};

/* The CPU: protected mode, paging off, flat segments 10h and 18h, IF=0. */
struct load_entry {
    uint32_t eip;
    uint32_t eax;
    uint32_t ebx;
    uint32_t esi;
};

struct load_error {
    char text[512];
};

/* Record the text; always false. */
bool load_fail(struct load_error *error, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

#define LOAD_GDT         0x800u
#define LOAD_GDT_LEN     32u
#define LOAD_CODE_SEL    0x10u
#define LOAD_DATA_SEL    0x18u
#define LOAD_BOOT_PARAMS 0x10000u
#define LOAD_CMDLINE     0x20000u
#define LOAD_LOW_END     0x9fc00u
#define LOAD_HIGH        0x100000u

/* One entry of the memory map, in the order of addresses. */
enum memory_type { MEMORY_RAM = 1, MEMORY_RESERVED = 2 };

struct memory_range {
    uint64_t start;
    uint64_t len;
    enum memory_type type;
};

#define MEMORY_RANGES_MAX 4

/* Fill ranges (MEMORY_RANGES_MAX of them); the number filled. */
unsigned load_memory_map(uint64_t ram_len, struct memory_range *ranges);

/* Write the flat GDT. */
void load_gdt(const struct load_ram *ram);

/* Little-endian fields of images and of guest RAM. */
uint16_t load_le16(const uint8_t *at);
uint32_t load_le32(const uint8_t *at);
uint64_t load_le64(const uint8_t *at);
void store_le32(uint8_t *at, uint32_t value);
void store_le64(uint8_t *at, uint64_t value);

/* Whether the image claims to be of the kind: the signature alone. */
bool linux_detect(struct span kernel);
bool multiboot_detect(struct span kernel);

/* False with *error filled; RAM may then hold parts of the image. */
MUST_CHECK bool linux_load(const struct load_input *input,
                           struct load_entry *entry, struct load_error *error);
MUST_CHECK bool multiboot_load(const struct load_input *input,
                               struct load_entry *entry,
                               struct load_error *error);

/* Whichever of them the image is for. */
MUST_CHECK bool load_kernel(const struct load_input *input,
                            struct load_entry *entry, struct load_error *error);

#endif /* MONITOR_LOAD_H */
