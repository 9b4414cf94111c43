/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_IMAGE_H
#define MONITOR_IMAGE_H

/*
 * PURPOSE: whole files in memory: kernels, initial RAM disks, modules.
 */
#include "monitor/base.h"

struct image {
    uint8_t *data;
    size_t len;
};

/* Read a file of at most max bytes. 0, or -errno (-EFBIG, -EISDIR). */
MUST_CHECK int image_read(struct image *image, const char *path, size_t max);
void image_free(struct image *image);

#endif /* MONITOR_IMAGE_H */
