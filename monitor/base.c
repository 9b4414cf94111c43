/* SPDX-License-Identifier: MIT */
#include "monitor/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void base_assert_fail(const char *file, int line, const char *text)
{
    fprintf(stderr, "popf: internal error at %s:%d: %s\n", file, line, text);
    abort();
}

void base_host_failure(const char *what)
{
    fprintf(stderr, "popf: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

void base_never(const char *file, int line, const char *text)
{
    fprintf(stderr, "popf: unexpected at %s:%d: %s (continuing)\n", file, line,
            text);
}
