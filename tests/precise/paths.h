/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_PATHS_H
#define TESTS_PRECISE_PATHS_H

/*
 * PURPOSE: ways through a program that together reach all of its code.
 *
 * The first path is the program's own. On the others branches are sent the
 * other way, at the first arrival at each, by changing the flags or ECX right
 * before it. New paths are tried until no branch has a way that is not taken.
 */
#include "probe.h"
#include "sites.h"

#define PATHS_MAX 64u

struct path {
    struct poke pokes[POKES_MAX];
    unsigned count;
};

struct paths {
    struct path path[PATHS_MAX];
    unsigned count;
};

/* Find paths; marks what they reach in sites, to which new CCFs are added. The
 * check is called after each run, which ended as the program does. */
typedef void path_check_fn(void *opaque, const struct outcome *outcome);
void paths_find(struct paths *paths, struct sites *sites, struct guest *g,
                path_check_fn *check, void *opaque);

#endif /* TESTS_PRECISE_PATHS_H */
