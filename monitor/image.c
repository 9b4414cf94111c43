/* SPDX-License-Identifier: MIT */
#include "monitor/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fill data up to len; the number of bytes that were there, or -errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = read(fd, data + done, len - done);

        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int read_fd(struct image *image, int fd, size_t max)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((uint64_t)st.st_size > max)
        return -EFBIG;
    size_t len = (size_t)st.st_size;
    uint8_t *data = malloc(len ? len : 1);
    if (data == NULL)
        return -ENOMEM;
    ssize_t got = read_all(fd, data, len);
    if (got < 0) {
        free(data);
        return (int)got;
    }
    *image = (struct image){.data = data, .len = (size_t)got};
    return 0;
}

int image_read(struct image *image, const char *path, size_t max)
{
    /* A FIFO without a writer must not hang the open. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    int error = read_fd(image, fd, max);
    close(fd);
    return error;
}

void image_free(struct image *image)
{
    free(image->data);
    *image = (struct image){0};
}
