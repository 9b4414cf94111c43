/* SPDX-License-Identifier: MIT */
#include "emu/dev/irq.h"

void irq_set(struct irq_line *line, bool level)
{
    if (line->level == level)
        return;
    line->level = level;
    if (line->set != NULL)
        line->set(line->opaque, line->pin, level);
}
