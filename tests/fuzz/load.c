/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "monitor/load.h"
#include "target.h"

/*
 * The loaders on hostile files. Input: a byte that chooses RAM and initrds, a
 * byte for the length of the command line, then the kernel.
 */
#define CHOICE_RAM  3u /* mask: 1, 2, 4 or 16 MiB */
#define CHOICE_INIT 4u /* an initrd, or a module */
#define CHOICE_TWO  8u /* two */

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint64_t sizes[] = {MIB, 2 * MIB, 4 * MIB, 16 * MIB};
    static const uint8_t initrd[5000];
    static const char *const args[] = {"one a", "two"};
    static char cmdline[256];
    static uint8_t *rams[ARRAY_COUNT(sizes)]; /* what is in them is no matter */
    const struct span spans[] = {
        {initrd, sizeof(initrd)},
        {initrd, 1             }
    };
    struct load_error error = {{0}};
    struct load_entry entry;

    if (len < 2)
        return 0;
    memset(cmdline, 'x', sizeof(cmdline));
    cmdline[data[1] % sizeof(cmdline)] = '\0';
    uint64_t ram_len = sizes[data[0] & CHOICE_RAM];
    uint8_t **kept = &rams[data[0] & CHOICE_RAM];
    uint8_t *ram = *kept != NULL ? *kept : (*kept = calloc(1, ram_len));
    uint8_t *kernel = exact_copy(data + 2, len - 2);
    const struct load_input input = {
        .ram = {ram,    ram_len},
        .kernel = {kernel, len - 2},
        .initrds = spans,
        .initrd_count =
            (data[0] & CHOICE_INIT) ? 1 + !!(data[0] & CHOICE_TWO) : 0,
        .module_args = args,
        .kernel_name = "kernel",
        .cmdline = cmdline,
    };

    if (ram == NULL)
        abort();
    bool loaded = load_kernel(&input, &entry, &error);

    /* It goes well, or one line says why not. An entry point outside of RAM is
     * the guest's own affair. */
    if (!loaded && (error.text[0] == '\0' || strchr(error.text, '\n') != NULL))
        abort();
    free(kernel);
    return 0;
}
