/* SPDX-License-Identifier: MIT */
#include "monitor/load.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BIOS_START 0xe0000u

bool load_fail(struct load_error *error, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, ap);
    va_end(ap);
    return false;
}

uint16_t load_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

uint32_t load_le32(const uint8_t *at)
{
    return load_le16(at) | (uint32_t)load_le16(at + 2) << 16;
}

uint64_t load_le64(const uint8_t *at)
{
    return load_le32(at) | (uint64_t)load_le32(at + 4) << 32;
}

void store_le32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

void store_le64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

unsigned load_memory_map(uint64_t ram_len, struct memory_range *ranges)
{
    unsigned count = 0;

    ranges[count++] = (struct memory_range){0, LOAD_LOW_END, MEMORY_RAM};
    ranges[count++] = (struct memory_range){
        LOAD_LOW_END, 0xa0000 - LOAD_LOW_END, MEMORY_RESERVED};
    ranges[count++] = (struct memory_range){BIOS_START, LOAD_HIGH - BIOS_START,
                                            MEMORY_RESERVED};
    if (ram_len > LOAD_HIGH)
        ranges[count++] =
            (struct memory_range){LOAD_HIGH, ram_len - LOAD_HIGH, MEMORY_RAM};
    return count;
}

/* SDM 3A 3.4.5 "Segment Descriptors": base 0, limit 4 GiB, DPL 0, accessed. */
void load_gdt(const struct load_ram *ram)
{
    memset(ram->base + LOAD_GDT, 0, LOAD_GDT_LEN);
    store_le64(ram->base + LOAD_GDT + LOAD_CODE_SEL, 0x00cf9b000000ffffull);
    store_le64(ram->base + LOAD_GDT + LOAD_DATA_SEL, 0x00cf93000000ffffull);
}

bool load_kernel(const struct load_input *input, struct load_entry *entry,
                 struct load_error *error)
{
    if (input->ram.len < 2 * MIB)
        return load_fail(error, "a kernel needs at least 2M of RAM");
    load_gdt(&input->ram);
    if (linux_detect(input->kernel))
        return linux_load(input, entry, error);
    if (multiboot_detect(input->kernel))
        return multiboot_load(input, entry, error);
    return load_fail(error, "neither a Linux bzImage nor a Multiboot image");
}
