/* SPDX-License-Identifier: MIT */
#include "monitor/stats_report.h"

#include <json-c/json.h>

#include "emu/cpu/interp.h"

#define TOP_MNEMONICS 20u

struct text_report {
    FILE *out;
    unsigned lines;
};

static void print_mnemonic(void *opaque, const char *name, uint64_t count)
{
    struct text_report *report = opaque;

    if (report->lines++ < TOP_MNEMONICS)
        fprintf(report->out, "  %-20s %15llu\n", name,
                (unsigned long long)count);
}

static void report_text(const struct vm *vm, uint64_t run_ns, FILE *out)
{
    struct text_report report = {.out = out};

    fprintf(out, "%-22s %15s\n", "engine", vm->engine->name);
    fprintf(out, "%-22s %15.3f  seconds\n", "run time", (double)run_ns / 1e9);
    fprintf(out, "%-22s %15llu  guest instructions\n", "retired",
            (unsigned long long)vm->vcpu.retired);
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        if (vm->stats.count[i] != 0)
            fprintf(out, "%-22s %15llu  %s\n", stat_name(i),
                    (unsigned long long)vm->stats.count[i], stat_help(i));
    }
    fprintf(out, "interpreted, most frequent first:\n");
    interp_for_each_count(vm->interp, print_mnemonic, &report);
}

static void add_mnemonic(void *opaque, const char *name, uint64_t count)
{
    json_object_object_add(opaque, name, json_object_new_uint64(count));
}

static void report_json(const struct vm *vm, uint64_t run_ns, FILE *out)
{
    struct json_object *root = json_object_new_object();
    struct json_object *counters = json_object_new_object();
    struct json_object *interpreted = json_object_new_object();

    json_object_object_add(root, "engine",
                           json_object_new_string(vm->engine->name));
    json_object_object_add(root, "run_ns", json_object_new_uint64(run_ns));
    json_object_object_add(root, "retired",
                           json_object_new_uint64(vm->vcpu.retired));
    for (unsigned i = 0; i < STAT_COUNT; i++)
        json_object_object_add(counters, stat_name(i),
                               json_object_new_uint64(vm->stats.count[i]));
    json_object_object_add(root, "counters", counters);
    interp_for_each_count(vm->interp, add_mnemonic, interpreted);
    json_object_object_add(root, "interpreted", interpreted);
    fprintf(out, "%s\n",
            json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
    json_object_put(root);
}

void stats_report(const struct vm *vm, uint64_t run_ns, FILE *out)
{
    switch (vm->config.stats) {
    case STATS_NONE: break;
    case STATS_TEXT: report_text(vm, run_ns, out); break;
    case STATS_JSON: report_json(vm, run_ns, out); break;
    }
}
