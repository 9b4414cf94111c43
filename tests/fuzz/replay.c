/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/base.h"
#include "target.h"

/*
 * replay CORPUS: a target's kept inputs, one after the other, without
 * libFuzzer. Each is named before it is tried, so that the last name is that of
 * the one that failed.
 */
#define INPUT_MAX MIB

static unsigned tried;

/* The buffer is the input's size, so that a sanitizer sees what is read
 * beyond it. */
static bool try_file(const char *folder, const char *name)
{
    static uint8_t read[INPUT_MAX];
    char path[4096];
    size_t len;
    FILE *file;
    uint8_t *data;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL)
        return false;
    len = fread(read, 1, sizeof(read), file);
    fclose(file);
    data = malloc(len ? len : 1);
    if (data == NULL)
        return false;
    memcpy(data, read, len);
    printf("%s\n", path);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, len);
    free(data);
    tried++;
    return true;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int count = argc == 2 ? scandir(argv[1], &entries, is_input, alphasort) : 0;

    if (count <= 0) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        if (!try_file(argv[1], entries[i]->d_name)) {
            perror(entries[i]->d_name);
            return 2;
        }
        free(entries[i]);
    }
    free(entries);
    printf("checks: %u\n", tried);
    return 0;
}
