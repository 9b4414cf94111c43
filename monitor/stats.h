/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_STATS_H
#define MONITOR_STATS_H

/*
 * PURPOSE: event counters, declared once in stats.def, printed by one loop.
 * They belong to a VM; whoever counts holds a pointer to its struct stats.
 */
#include "monitor/base.h"

enum stat_id {
#define STAT(id, name, help) STAT_##id,
#include "monitor/stats.def"
#undef STAT
    STAT_COUNT
};

struct stats {
    uint64_t count[STAT_COUNT];
};

static inline void stat_add(struct stats *stats, enum stat_id id, uint64_t n)
{
    stats->count[id] += n;
}

static inline void stat_inc(struct stats *stats, enum stat_id id)
{
    stats->count[id]++;
}

/* The name and the meaning of a counter, as --stats prints them. */
const char *stat_name(enum stat_id id);
const char *stat_help(enum stat_id id);

#endif /* MONITOR_STATS_H */
