/* SPDX-License-Identifier: MIT */
#include "monitor/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint32_t log_mask;

static FILE *log_file;

static const struct {
    const char *name;
    const char *help;
} channels[LOG_CHANNEL_COUNT] = {
#define CHANNEL(id, name, help) {name, help},
#include "monitor/log.def"
#undef CHANNEL
};

static FILE *log_stream(void)
{
    return log_file ? log_file : stderr;
}

static bool enable_one(const char *name, size_t len)
{
    if (len == 3 && !memcmp(name, "all", 3)) {
        log_mask = (1u << LOG_CHANNEL_COUNT) - 1;
        return true;
    }
    for (unsigned i = 0; i < LOG_CHANNEL_COUNT; i++) {
        if (strlen(channels[i].name) == len &&
            !memcmp(channels[i].name, name, len)) {
            log_mask |= 1u << i;
            return true;
        }
    }
    return false;
}

bool log_enable(const char *list, const char **bad)
{
    while (*list) {
        size_t len = strcspn(list, ",");

        if (len && !enable_one(list, len)) {
            *bad = list;
            return false;
        }
        list += len + (list[len] == ',');
    }
    return true;
}

int log_open(const char *path)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return -errno;
    log_close();
    log_file = file;
    return 0;
}

void log_close(void)
{
    if (log_file)
        fclose(log_file);
    log_file = NULL;
}

void log_line(enum log_channel channel, const char *fmt, ...)
{
    va_list ap;

    if (!log_on(channel))
        return;
    fprintf(log_stream(), "%s: ", channels[channel].name);
    va_start(ap, fmt);
    vfprintf(log_stream(), fmt, ap);
    va_end(ap);
    fputc('\n', log_stream());
}

void log_list_channels(void)
{
    for (unsigned i = 0; i < LOG_CHANNEL_COUNT; i++)
        printf("  %-8s %s\n", channels[i].name, channels[i].help);
}
