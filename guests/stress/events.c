/* SPDX-License-Identifier: MIT */
#include "events.h"

#include "lib/machine.h"
#include "stress.h"

void events_round(uint32_t number)
{
    static void (*const parts[])(void) = {pushes_round, strings_round,
                                          shadows_round, gates_round};

    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        machine_init(number & 1 ? PAGING_PAE : PAGING_32);
        parts[i]();
    }
}
