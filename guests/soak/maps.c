/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soak.h"

/*
 * A storm on the address space: areas of a few pages come, move, grow, shrink,
 * change their rights, lose their pages and go; every page says whose it is, and
 * is asked now and then.
 */
#define PAGE  4096u
#define AREAS 200u
#define MAX   24u /* pages */
#define STEPS 1500u

struct area {
    uint32_t *base; /* NULL: none */
    uint32_t pages;
    uint32_t tag;
    bool read_only;
    bool dropped; /* MADV_DONTNEED: zeroes */
};

static struct area areas[AREAS];

static uint32_t *word(const struct area *a, uint32_t page)
{
    return a->base + page * (PAGE / 4) + page % 1000;
}

static uint32_t expected(const struct area *a, uint32_t page)
{
    return a->dropped ? 0 : a->tag + page * 77;
}

static void fill(const struct area *a, uint32_t from)
{
    for (uint32_t i = from; i < a->pages; i++)
        *word(a, i) = a->tag + i * 77;
}

static bool check(const struct area *a, const char *when)
{
    for (uint32_t i = 0; i < a->pages; i++)
        if (*word(a, i) != expected(a, i))
            return soak_fail("page %u of %u at %p: %08x, not %08x (%s)", i,
                             a->pages, (void *)a->base, *word(a, i),
                             expected(a, i), when);
    return true;
}

static bool create(struct area *a)
{
    void *hint =
        soak_random(2)
            ? (void *)(uintptr_t)(0x40000000 + soak_random(0x30000) * PAGE)
            : NULL;

    *a = (struct area){.pages = 1 + soak_random(MAX),
                       .tag = soak_random(0xffffff)};
    a->base = mmap(hint, a->pages * PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a->base == MAP_FAILED) {
        a->base = NULL;
        return soak_fail("mmap");
    }
    fill(a, 0);
    return true;
}

static bool resize(struct area *a)
{
    uint32_t before = a->pages;
    uint32_t pages = 1 + soak_random(MAX);
    void *base;

    if (a->read_only || a->dropped)
        return true;
    base = mremap(a->base, before * PAGE, pages * PAGE, MREMAP_MAYMOVE);
    if (base == MAP_FAILED)
        return soak_fail("mremap");
    a->base = base;
    a->pages = pages;
    if (pages > before)
        fill(a, before);
    return true;
}

static bool protect(struct area *a)
{
    uint32_t *at = word(a, soak_random(a->pages));

    a->read_only = !a->read_only;
    mprotect(a->base, a->pages * PAGE,
             a->read_only ? PROT_READ : PROT_READ | PROT_WRITE);
    if (a->read_only && soak_fault(at) != at)
        return soak_fail("a store to a read-only page was not refused");
    return true;
}

/* The child's stores must not be seen here. */
static bool copy_on_write(struct area *a)
{
    int status;
    pid_t pid;

    if (a->read_only)
        return true;
    pid = fork();
    if (pid == 0) {
        bool good = check(a, "child");

        for (uint32_t i = 0; i < a->pages; i++)
            *word(a, i) = i;
        _exit(good ? 7 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 7)
        return soak_fail("child of the copy-on-write check");
    return check(a, "after the child");
}

static bool destroy(struct area *a)
{
    uint32_t *at = word(a, 0);
    bool good = check(a, "last");

    munmap(a->base, a->pages * PAGE);
    a->base = NULL;
    return good && (soak_fault(at) == at || soak_fail("unmapped, but there"));
}

static bool step(struct area *a)
{
    if (!a->base)
        return create(a);
    switch (soak_random(16)) {
    case 0:
    case 1:
    case 2: return resize(a) && check(a, "resized");
    case 3:
    case 4: return protect(a) && check(a, "protected");
    case 5:
        a->dropped = madvise(a->base, a->pages * PAGE, MADV_DONTNEED) == 0;
        return check(a, "dropped");
    case 6: return soak_random(8) || copy_on_write(a);
    case 7:
    case 8:
    case 9: return destroy(a);
    default: return check(a, "again");
    }
}

bool soak_maps(void)
{
    for (uint32_t i = 0; i < STEPS; i++)
        if (!step(&areas[soak_random(AREAS)]))
            return false;
    for (uint32_t i = 0; i < AREAS; i++)
        if (areas[i].base && !destroy(&areas[i]))
            return false;
    return true;
}
