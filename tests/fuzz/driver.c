/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "monitor/base.h"
#include "target.h"

/*
 * driver CORPUS: each file as it is, then mutations of them for FUZZ_MS ms. The
 * seed is printed (FUZZ_SEED=N repeats a run); the input that is being tried is
 * in the file FUZZ_LAST (fuzz.last), so that it is there after a crash.
 */
#define FILES_MAX 256u
#define INPUT_MAX 65536u

struct file {
    uint8_t *data;
    size_t len;
};

static struct file files[FILES_MAX];
static unsigned file_count;
static uint64_t seed;
static int last;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}

static size_t below(size_t limit)
{
    return limit ? random64() % limit : 0;
}

static void read_file(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    struct file *file = &files[file_count];
    ssize_t got;

    if (fd < 0 || name[0] == '.' || file_count == FILES_MAX)
        return;
    file->data = malloc(INPUT_MAX);
    got = file->data ? read(fd, file->data, INPUT_MAX) : -1;
    close(fd);
    if (got <= 0)
        return;
    file->len = (size_t)got;
    file_count++;
}

static bool read_corpus(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;

    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL)
        read_file(dirfd(folder), entry->d_name);
    closedir(folder);
    return file_count > 0;
}

/* Values at which lengths and addresses turn over. */
static uint32_t edge(void)
{
    static const uint32_t edges[] = {
        0,          1,          0x7f,       0x80,       0xff,     0xffff,
        0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, 0x100000, 0x1000};

    return edges[below(ARRAY_COUNT(edges))] + (uint32_t)below(3) - 1;
}

static size_t mutate_once(uint8_t *data, size_t len)
{
    size_t at = below(len < 1024 || below(4) == 0 ? len : 1024);
    uint32_t value = edge();
    size_t n = below(64);

    switch (below(6)) {
    case 0: data[at] ^= (uint8_t)BIT(below(8)); break;
    case 1: data[at] = (uint8_t)random64(); break;
    case 2:
        if (at + 4 <= len)
            memcpy(data + at, &value, 4);
        break;
    case 3:
        if (at + 2 <= len)
            memcpy(data + at, &value, 2);
        break;
    case 4:
        if (at + n <= len)
            memmove(data + below(len - n + 1), data + at, n);
        break;
    case 5: return len > 1 ? 1 + below(len) : len; /* cut off */
    }
    return len;
}

static void try_input(const uint8_t *data, size_t len)
{
    if (ftruncate(last, 0) != 0 || pwrite(last, data, len, 0) < 0)
        abort();
    (void)LLVMFuzzerTestOneInput(data, len);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
    static uint8_t input[INPUT_MAX];
    const char *path = getenv("FUZZ_LAST");
    uint64_t end = now_ms() + number("FUZZ_MS", 3000);
    uint64_t tried = 0;

    if (argc != 2 || !read_corpus(argv[1])) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return 2;
    seed = number("FUZZ_SEED", seed) | 1;
    printf("FUZZ_SEED=%#llx\n", (unsigned long long)seed);
    fflush(stdout);
    last = open(path ? path : "fuzz.last", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (last < 0)
        return 2;
    for (; tried < file_count; tried++)
        try_input(files[tried].data, files[tried].len);
    for (; now_ms() < end; tried++) {
        const struct file *file = &files[below(file_count)];
        size_t len = file->len;

        memcpy(input, file->data, len);
        for (size_t n = 1 + below(8); n > 0; n--)
            len = mutate_once(input, len);
        try_input(input, len);
    }
    printf("checks: %llu\n", (unsigned long long)tried);
    return 0;
}
