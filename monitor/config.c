/* SPDX-License-Identifier: MIT */
#include "monitor/config.h"

#include <time.h>

#include "monitor/cpu_model.h"
#include "monitor/engine.h"

void config_init(struct config *config)
{
    *config = (struct config){
        .ram_len = RAM_LEN_DEFAULT,
        .engine = engine_find("bt"),
        .features = cpu_model_max(),
        .debug_exit_port = -1,
        .rtc_base = (int64_t)time(NULL),
        .sandbox = true,
    };
}
