/* SPDX-License-Identifier: MIT */
#include "monitor/stats.h"

static const struct {
    const char *name;
    const char *help;
} stat_table[STAT_COUNT] = {
#define STAT(id, name, help) {name, help},
#include "monitor/stats.def"
#undef STAT
};

const char *stat_name(enum stat_id id)
{
    return stat_table[id].name;
}

const char *stat_help(enum stat_id id)
{
    return stat_table[id].help;
}
