/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/load.h"
#include "tests/suite/suite.h"

#define RAM_LEN    (8u * MIB)
#define SETUP_LEN  (5u * 512)
#define KERNEL_LEN 4096u

static uint8_t *ram;
static uint8_t file[SETUP_LEN + KERNEL_LEN];
static struct load_input input;
static struct load_entry entry;
static struct load_error error;
static struct span modules[2];
static const char *module_args[2] = {"one a", "two"};

static void put16(size_t at, uint16_t value)
{
    memcpy(file + at, &value, sizeof(value));
}

static void put32(size_t at, uint32_t value)
{
    memcpy(file + at, &value, sizeof(value));
}

static void common_setup(void)
{
    ram = calloc(1, RAM_LEN);
    ck_assert_ptr_nonnull(ram);
    memset(file, 0, sizeof(file));
    input = (struct load_input){
        .ram = {ram,  RAM_LEN     },
        .kernel = {file, sizeof(file)},
        .initrds = modules,
        .module_args = module_args,
        .kernel_name = "kernel",
        .cmdline = "console=ttyS0",
    };
    modules[0] = (struct span){(const uint8_t *)"initrd", 6};
    modules[1] = (struct span){(const uint8_t *)"second", 6};
    error.text[0] = '\0';
}

static void teardown(void)
{
    free(ram);
}

/* A bzImage of protocol 2.15. */
static void linux_setup(void)
{
    common_setup();
    file[0x1f1] = 4;
    put32(0x1f4, KERNEL_LEN / 16);
    put16(0x1fe, 0xaa55);
    file[0x201] = 0x66;
    memcpy(file + 0x202, "HdrS", 4);
    put16(0x206, 0x020f);
    file[0x211] = 1;
    put32(0x214, LOAD_HIGH);
    put32(0x22c, 0x7fffffff);
    put32(0x230, 0x1000);
    file[0x234] = 1;
    put32(0x238, 2047);
    put32(0x258, 0x200000);
    put32(0x260, 0x100000);
    memset(file + SETUP_LEN, 0x5a, KERNEL_LEN);
}

START_TEST(a_bzimage_is_placed_and_described)
{
    const uint8_t *params = ram + LOAD_BOOT_PARAMS;

    input.initrd_count = 1;
    ck_assert_msg(load_kernel(&input, &entry, &error), "%s", error.text);
    ck_assert_uint_eq(entry.eip, LOAD_HIGH);
    ck_assert_uint_eq(entry.esi, LOAD_BOOT_PARAMS);
    ck_assert_mem_eq(ram + LOAD_HIGH, file + SETUP_LEN, KERNEL_LEN);
    ck_assert_uint_eq(params[0x210], 0xff);
    ck_assert_uint_eq(load_le32(params + 0x218), RAM_LEN - PAGE_SIZE);
    ck_assert_uint_eq(load_le32(params + 0x21c), 6);
    ck_assert_mem_eq(ram + RAM_LEN - PAGE_SIZE, "initrd", 6);
    ck_assert_str_eq((char *)ram + load_le32(params + 0x228), input.cmdline);
    ck_assert_uint_eq(params[0x1e8], 4);
    ck_assert_uint_eq(load_le64(params + 0x2d0 + 60), LOAD_HIGH);
    ck_assert_uint_eq(load_le64(params + 0x2d0 + 68), RAM_LEN - LOAD_HIGH);
}
END_TEST

START_TEST(the_gdt_has_flat_segments_at_10h_and_18h)
{
    ck_assert(load_kernel(&input, &entry, &error));
    ck_assert_uint_eq(load_le64(ram + LOAD_GDT), 0);
    ck_assert_uint_eq(load_le64(ram + LOAD_GDT + 0x10), 0x00cf9b000000ffffull);
    ck_assert_uint_eq(load_le64(ram + LOAD_GDT + 0x18), 0x00cf93000000ffffull);
}
END_TEST

START_TEST(an_initrd_stays_below_the_header_s_limit)
{
    put32(0x22c, 0x4fffff);
    input.initrd_count = 1;
    ck_assert(load_kernel(&input, &entry, &error));
    ck_assert_uint_eq(load_le32(ram + LOAD_BOOT_PARAMS + 0x218), 0x4ff000);
}
END_TEST

static const struct {
    size_t at;
    uint32_t value;
    const char *error;
} bad_headers[] = {
    {0x206, 0x01000202,
     "Linux boot protocol 2.02 is too old (2.03 is the "
     "oldest supported)"                                                  },
    {0x211, 0,          "a zImage is not supported, only a bzImage"       },
    {0x236, 1,          "this is a 64-bit kernel; popf runs 32-bit guests"},
    {0x1f1, 0xff,       "truncated: 6656 bytes, setup alone is 131072"    },
    {0x1f4, 0xffffffff,
     "truncated: the header promises 68719476720 bytes "
     "after setup, the file has 4096"                                     },
    {0x214, 0xfffff000, "the kernel needs at least 4097M of RAM (-m)"     },
    {0x214, 0x1000,     "load address 00001000h is below 1 MiB"           },
    {0x260, 0xffffffff, "the kernel needs at least 4098M of RAM (-m)"     },
    {0x25c, 0xffffffff, "the kernel needs at least 4097M of RAM (-m)"     },
    {0x22c, 0x1000,
     "the initrd (6 bytes) does not fit between the kernel and "
     "0M; give more RAM (-m)"                                             },
    {0x238, 5,          "-append is 13 bytes long; this kernel takes 5"   },
};

START_TEST(a_bad_linux_header_is_told_in_one_line)
{
    input.initrd_count = 1;
    put32(bad_headers[_i].at, bad_headers[_i].value);
    ck_assert(!load_kernel(&input, &entry, &error));
    ck_assert_str_eq(error.text, bad_headers[_i].error);
}
END_TEST

/* Any header, and any length of file, is refused or loaded, never worse. */
START_TEST(random_linux_headers_do_no_harm)
{
    srand((unsigned)_i);
    input.initrd_count = 1;
    for (unsigned i = 0; i < 20000; i++) {
        linux_detect(input.kernel);
        put32(0x1f1 + (size_t)(rand() % 0x73), (uint32_t)rand() << 1);
        put16(0x1fe, 0xaa55);
        memcpy(file + 0x202, "HdrS", 4);
        if (i % 4 != 0)
            put16(0x206, 0x020f);
        file[0x211] |= 1;
        file[0x236] = 0;
        input.kernel.len = (size_t)rand() % sizeof(file);
        if (load_kernel(&input, &entry, &error))
            ck_assert_uint_ge(entry.eip, LOAD_HIGH);
    }
}
END_TEST

#define MB_OFFSET 0x80u

static Elf32_Ehdr ehdr;
static Elf32_Phdr phdr;

static void put_elf(void)
{
    memcpy(file, &ehdr, sizeof(ehdr));
    memcpy(file + sizeof(ehdr), &phdr, sizeof(phdr));
}

static void put_header(uint32_t flags)
{
    put32(MB_OFFSET, 0x1badb002);
    put32(MB_OFFSET + 4, flags);
    put32(MB_OFFSET + 8, -(0x1badb002 + flags));
}

/* An ELF with one segment at 1 MiB, linked at C0100000h. */
static void multiboot_setup(void)
{
    common_setup();
    ehdr = (Elf32_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
        .e_type = ET_EXEC,
        .e_machine = EM_386,
        .e_entry = 0xc0100010,
        .e_phoff = sizeof(ehdr),
        .e_phentsize = sizeof(phdr),
        .e_phnum = 1,
    };
    phdr = (Elf32_Phdr){
        .p_type = PT_LOAD,
        .p_offset = 512,
        .p_vaddr = 0xc0100000,
        .p_paddr = 0x100000,
        .p_filesz = 1024,
        .p_memsz = 2048,
    };
    put_elf();
    put_header(0);
    memset(file + 512, 0x5a, 1024);
}

START_TEST(a_multiboot_elf_is_entered_at_its_physical_address)
{
    memset(ram + 0x100000, 0xff, 4096);
    ck_assert_msg(load_kernel(&input, &entry, &error), "%s", error.text);
    ck_assert_uint_eq(entry.eip, 0x100010);
    ck_assert_uint_eq(entry.eax, 0x2badb002);
    ck_assert_mem_eq(ram + 0x100000, file + 512, 1024);
    ck_assert_uint_eq(ram[0x100000 + 1024], 0);
    ck_assert_uint_eq(ram[0x100000 + 2047], 0);
}
END_TEST

START_TEST(multiboot_information_names_memory_modules_and_command_line)
{
    input.initrd_count = 2;
    ck_assert(load_kernel(&input, &entry, &error));
    const uint8_t *info = ram + entry.ebx;
    const uint8_t *list = ram + load_le32(info + 24);

    ck_assert_uint_eq(load_le32(info) & 0x4d, 0x4d);
    ck_assert_uint_eq(load_le32(info + 8), (RAM_LEN - MIB) / KIB);
    ck_assert_str_eq((const char *)ram + load_le32(info + 16),
                     "kernel console=ttyS0");
    ck_assert_uint_eq(load_le32(info + 20), 2);
    ck_assert_mem_eq(ram + load_le32(list + 16), "second", 6);
    ck_assert_uint_eq(load_le32(list + 20) - load_le32(list + 16), 6);
    ck_assert_str_eq((const char *)ram + load_le32(list + 8), "one a");
    ck_assert_uint_eq(load_le32(info + 44), 4 * 24);
    ck_assert_uint_eq(load_le32(ram + load_le32(info + 48)), 20);
}
END_TEST

START_TEST(the_header_s_own_addresses_place_the_image)
{
    put_header(BIT(16));
    put32(MB_OFFSET + 12, 0x200000 + MB_OFFSET);
    put32(MB_OFFSET + 16, 0x200000);
    put32(MB_OFFSET + 20, 0x200600);
    put32(MB_OFFSET + 24, 0x200800);
    put32(MB_OFFSET + 28, 0x200004);
    memset(ram + 0x200000, 0xff, 4096);
    ck_assert_msg(load_kernel(&input, &entry, &error), "%s", error.text);
    ck_assert_uint_eq(entry.eip, 0x200004);
    ck_assert_mem_eq(ram + 0x200000, file, 0x600);
    ck_assert_uint_eq(ram[0x200600], 0);
    ck_assert_uint_eq(ram[0x200800], 0xff);
}
END_TEST

/* An absurd segment: its field, the value, the text. */
static const struct {
    size_t at;
    uint32_t value;
    const char *error;
} bad_segments[] = {
    {4,  0xffffffff, "truncated: a segment ends at byte 4294968319 of 6656"},
    {16, 0xffffffff, "truncated: a segment ends at byte 4294967807 of 6656"},
    {12, 0xffffffff, "the kernel goes up to 1000007ffh; give more RAM (-m)"},
    {20, 0xffffffff, "the kernel goes up to 1000fffffh; give more RAM (-m)"},
    {20, 4,          "a segment is larger in the file than in RAM"         },
    {12, 0xa0000,    "a segment at a0000h-a0800h is not in free RAM"       },
    {12, 0x400,      "a segment at 400h-c00h is not in free RAM"           },
    {0,  PT_NOTE,    "the ELF image has nothing to load"                   },
};

START_TEST(a_bad_segment_is_told_in_one_line)
{
    memcpy((uint8_t *)&phdr + bad_segments[_i].at, &bad_segments[_i].value, 4);
    put_elf();
    ck_assert(!load_kernel(&input, &entry, &error));
    ck_assert_str_eq(error.text, bad_segments[_i].error);
}
END_TEST

START_TEST(a_64_bit_elf_is_refused)
{
    ehdr.e_ident[EI_CLASS] = ELFCLASS64;
    put_elf();
    ck_assert(!load_kernel(&input, &entry, &error));
    ck_assert_str_eq(error.text, "an ELF image, but not for 32-bit x86");
}
END_TEST

START_TEST(a_foreign_file_is_refused)
{
    memset(file, 'x', sizeof(file));
    for (size_t len = 0; len < sizeof(file); len += 97) {
        input.kernel.len = len;
        ck_assert(!load_kernel(&input, &entry, &error));
        ck_assert_str_eq(error.text,
                         "neither a Linux bzImage nor a Multiboot image");
    }
}
END_TEST

START_TEST(random_multiboot_images_do_no_harm)
{
    srand((unsigned)_i);
    input.initrd_count = 2;
    for (unsigned i = 0; i < 20000; i++) {
        if (i % 16 == 0)
            put_elf();
        put32((size_t)rand() % (MB_OFFSET + 32), (uint32_t)rand() << 1);
        put_header(i & 1 ? BIT(16) : 0);
        input.kernel.len = (size_t)rand() % sizeof(file);
        if (load_kernel(&input, &entry, &error))
            ck_assert_uint_lt(entry.ebx, RAM_LEN);
    }
}
END_TEST

static TCase *linux_case(void)
{
    TCase *tcase = tcase_create("linux");

    tcase_add_checked_fixture(tcase, linux_setup, teardown);
    tcase_add_test(tcase, a_bzimage_is_placed_and_described);
    tcase_add_test(tcase, the_gdt_has_flat_segments_at_10h_and_18h);
    tcase_add_test(tcase, an_initrd_stays_below_the_header_s_limit);
    tcase_add_loop_test(tcase, a_bad_linux_header_is_told_in_one_line, 0,
                        (int)ARRAY_COUNT(bad_headers));
    tcase_add_loop_test(tcase, random_linux_headers_do_no_harm, 0, 4);
    return tcase;
}

static TCase *multiboot_case(void)
{
    TCase *tcase = tcase_create("multiboot");

    tcase_add_checked_fixture(tcase, multiboot_setup, teardown);
    tcase_add_test(tcase, a_multiboot_elf_is_entered_at_its_physical_address);
    tcase_add_test(tcase,
                   multiboot_information_names_memory_modules_and_command_line);
    tcase_add_test(tcase, the_header_s_own_addresses_place_the_image);
    tcase_add_loop_test(tcase, a_bad_segment_is_told_in_one_line, 0,
                        (int)ARRAY_COUNT(bad_segments));
    tcase_add_test(tcase, a_64_bit_elf_is_refused);
    tcase_add_test(tcase, a_foreign_file_is_refused);
    tcase_add_loop_test(tcase, random_multiboot_images_do_no_harm, 0, 4);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("load");

    suite_add_tcase(suite, linux_case());
    suite_add_tcase(suite, multiboot_case());
    return run_suite(suite);
}
