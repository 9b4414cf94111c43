/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_LOG_H
#define MONITOR_LOG_H

/*
 * PURPOSE: line-oriented logging to one file, in channels that -d selects.
 *
 * A disabled channel costs one load and one branch: test log_on() before
 * building anything expensive. The mask and the stream are process-wide (the
 * one mutable state outside a VM that the style allows).
 */
#include "monitor/base.h"

enum log_channel {
#define CHANNEL(id, name, help) LOG_##id,
#include "monitor/log.def"
#undef CHANNEL
    LOG_CHANNEL_COUNT
};

extern uint32_t log_mask;

static inline bool log_on(enum log_channel channel)
{
    return UNLIKELY(log_mask & BIT(channel));
}

/* Enable the channels of a comma-separated list. False, with *bad pointing at
 * the first unknown name, when there is one. "all" names every channel. */
MUST_CHECK bool log_enable(const char *list, const char **bad);

/* Send log lines to the named file instead of stderr. 0 or -errno. */
MUST_CHECK int log_open(const char *path);

/* Flush and close the log file, if one is open. */
void log_close(void);

/* Write one line "channel: text" if the channel is on. */
void log_line(enum log_channel channel, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Print name and help of every channel, for -d help. */
void log_list_channels(void);

#endif /* MONITOR_LOG_H */
