/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "monitor/load.h"
#include "target.h"

/*
 * The loaders on hostile files. Input: a byte that chooses RAM, initrds and
 * command line, a byte for the length of the command line, then the kernel.
 */
#define CHOICE_RAM  3u  /* mask: 1, 2, 4 or 16 MiB */
#define CHOICE_INIT 4u  /* an initrd, or a module */
#define CHOICE_TWO  8u  /* two */
#define CHOICE_LONG 16u /* the length is in pages, not in bytes */
#define CHOICE_BIG  32u /* the initrd is larger than some RAM */

/* A buffer without room behind it, so that a sanitizer sees each byte read
 * beyond the end. */
static uint8_t *exact_copy(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, data, len);
    return copy;
}

/* The same memory each time: what is in it is no matter. */
static struct load_ram choose_ram(uint8_t choice)
{
    static const uint64_t sizes[] = {MIB, 2 * MIB, 4 * MIB, 16 * MIB};
    static uint8_t *rams[ARRAY_COUNT(sizes)];
    unsigned i = choice & CHOICE_RAM;

    if (rams[i] == NULL)
        rams[i] = calloc(1, sizes[i]);
    if (rams[i] == NULL)
        abort();
    return (struct load_ram){rams[i], sizes[i]};
}

static const char *choose_cmdline(uint8_t choice, uint8_t length)
{
    static char cmdline[MIB];
    static size_t end;

    if (cmdline[0] == '\0')
        memset(cmdline, 'x', sizeof(cmdline));
    cmdline[end] = 'x';
    end = choice & CHOICE_LONG ? length * (size_t)PAGE_SIZE : length;
    cmdline[end] = '\0';
    return cmdline;
}

static unsigned choose_count(uint8_t choice)
{
    if (!(choice & CHOICE_INIT))
        return 0;
    return choice & CHOICE_TWO ? 2 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t initrd[3 * MIB];
    static const char *const args[] = {"one a", "two"};
    struct load_error error = {{0}};
    struct load_entry entry;

    if (len < 2)
        return 0;
    uint8_t *kernel = exact_copy(data + 2, len - 2);
    const struct span initrds[] = {
        {initrd, data[0] & CHOICE_BIG ? sizeof(initrd) : 5000},
        {initrd, 1                                           }
    };
    const struct load_input input = {
        .ram = choose_ram(data[0]),
        .kernel = {kernel, len - 2},
        .initrds = initrds,
        .initrd_count = choose_count(data[0]),
        .module_args = args,
        .kernel_name = "kernel",
        .cmdline = choose_cmdline(data[0], data[1]),
    };
    bool loaded = load_kernel(&input, &entry, &error);

    /* It goes well, or one line says why not. An entry point outside of RAM is
     * the guest's own affair. */
    if (!loaded && (error.text[0] == '\0' || strchr(error.text, '\n') != NULL))
        abort();
    free(kernel);
    return 0;
}
