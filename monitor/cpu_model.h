/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_CPU_MODEL_H
#define MONITOR_CPU_MODEL_H

/*
 * PURPOSE: -cpu: named CPU models and single features as masks of
 * BIT(enum insn_feature). x87, MMX and SSE instructions run on the host's own
 * units, so no guest gets a feature that the host lacks.
 */
#include "monitor/base.h"

/* Everything popf models and this host has. */
uint32_t cpu_model_max(void);

/* Parse "model[,+feature][,-feature][,feature=on|off]...". False, with one line
 * in text, when a name is unknown or the host lacks a feature asked for. */
MUST_CHECK bool cpu_model_parse(const char *spec, uint32_t *features,
                                char *text, size_t text_len);

/* Print models and features, for -cpu help. */
void cpu_model_list(void);

#endif /* MONITOR_CPU_MODEL_H */
