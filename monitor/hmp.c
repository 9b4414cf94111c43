/* SPDX-License-Identifier: MIT */
#include "monitor/hmp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/hmp_priv.h"
#include "monitor/vm.h"

#define PROMPT "(popf) "

static hmp_command do_cont;
static hmp_command do_help;
static hmp_command do_info;
static hmp_command do_quit;
static hmp_command do_stop;
static hmp_command do_system_reset;
static hmp_command info_status;
static hmp_command info_name;

struct command {
    const char *name;
    const char *alias;
    const char *args;
    const char *help;
    hmp_command *run;
};

static const struct command commands[] = {
    {"cont",         "c",  "",           "resume emulation",                        do_cont        },
    {"help",         "?",  "",           "show the help",                           do_help        },
    {"info",         NULL, "subcommand", "show information about the system state",
     do_info                                                                                       },
    {"quit",         "q",  "",           "quit the emulator",                       do_quit        },
    {"stop",         "s",  "",           "stop emulation",                          do_stop        },
    {"system_reset", NULL, "",           "reset the system",                        do_system_reset},
    {"x",            NULL, "/fmt addr",  "virtual memory dump starting at 'addr'",  hmp_x          },
    {"xp",           NULL, "/fmt addr",  "physical memory dump starting at 'addr'",
     hmp_xp                                                                                        },
};

static const struct command infos[] = {
    {"mem",       NULL, "", "show the active virtual memory mappings",     hmp_info_mem      },
    {"name",      NULL, "", "show the current VM name",                    info_name         },
    {"registers", NULL, "", "show the cpu registers",                      hmp_info_registers},
    {"status",    NULL, "", "show the current VM status (running|paused)",
     info_status                                                                             },
    {"tlb",       NULL, "", "show virtual to physical memory mappings",    hmp_info_tlb      },
};

void hmp_print(struct hmp *hmp, const char *fmt, ...)
{
    char text[512];
    char out[1024];
    size_t len = 0;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\n')
            out[len++] = '\r';
        out[len++] = *at;
    }
    hmp->write(hmp->vm, out, len);
}

static const struct command *find(const struct command *table, size_t count,
                                  const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        const char *names[] = {table[i].name, table[i].alias};

        for (size_t n = 0; n < ARRAY_COUNT(names); n++) {
            if (names[n] != NULL && strlen(names[n]) == len &&
                !memcmp(names[n], name, len))
                return &table[i];
        }
    }
    return NULL;
}

static void print_commands(struct hmp *hmp, const struct command *table,
                           size_t count, const char *prefix)
{
    for (size_t i = 0; i < count; i++)
        hmp_print(hmp, "%s%s%s%s%s%s -- %s\n", prefix, table[i].name,
                  table[i].alias != NULL ? "|" : "",
                  table[i].alias != NULL ? table[i].alias : "",
                  table[i].args[0] ? " " : "", table[i].args, table[i].help);
}

static void do_help(struct hmp *hmp, const char *args)
{
    if (!strcmp(args, "info"))
        print_commands(hmp, infos, ARRAY_COUNT(infos), "info ");
    else
        print_commands(hmp, commands, ARRAY_COUNT(commands), "");
}

static void do_info(struct hmp *hmp, const char *args)
{
    size_t len = strcspn(args, " ");
    const struct command *info = find(infos, ARRAY_COUNT(infos), args, len);

    if (len == 0)
        print_commands(hmp, infos, ARRAY_COUNT(infos), "info ");
    else if (info == NULL)
        hmp_print(hmp, "unknown command: 'info %s'\n", args);
    else
        info->run(hmp, "");
}

static void do_quit(struct hmp *hmp, const char *args)
{
    (void)args;
    vcpu_stop(&hmp->vm->vcpu, STOP_QUIT, "ended by the user");
}

static void do_stop(struct hmp *hmp, const char *args)
{
    (void)args;
    vm_pause(hmp->vm);
}

static void do_cont(struct hmp *hmp, const char *args)
{
    (void)args;
    vm_continue(hmp->vm);
}

static void do_system_reset(struct hmp *hmp, const char *args)
{
    (void)args;
    hmp->vm->reset_wanted = true;
    hmp->vm->vcpu.kick = 1;
}

static void info_status(struct hmp *hmp, const char *args)
{
    (void)args;
    hmp_print(hmp, "VM status: %s\n", hmp->vm->paused ? "paused" : "running");
}

static void info_name(struct hmp *hmp, const char *args)
{
    (void)args;
    if (hmp->vm->config.name != NULL)
        hmp_print(hmp, "%s\n", hmp->vm->config.name);
}

void hmp_execute(struct hmp *hmp, const char *line)
{
    line += strspn(line, " ");
    size_t len = strcspn(line, " /");
    const struct command *command =
        find(commands, ARRAY_COUNT(commands), line, len);

    if (*line == '\0')
        return;
    if (command == NULL) {
        hmp_print(hmp, "unknown command: '%s'\n", line);
        return;
    }
    line += len;
    command->run(hmp, line + strspn(line, " "));
}

void hmp_show(struct hmp *hmp)
{
    if (!hmp->greeted)
        hmp_print(hmp, "popf monitor - type 'help' for more information\n");
    else
        hmp_print(hmp, "\n");
    hmp->greeted = true;
    hmp->len = 0;
    hmp_print(hmp, PROMPT);
}

static void end_line(struct hmp *hmp)
{
    hmp->line[hmp->len] = '\0';
    hmp->len = 0;
    hmp_print(hmp, "\n");
    hmp_execute(hmp, hmp->line);
    hmp_print(hmp, PROMPT);
}

void hmp_feed(struct hmp *hmp, uint8_t byte)
{
    switch (byte) {
    case '\r':
    case '\n': end_line(hmp); return;
    case '\b':
    case 0x7f: /* DEL */
        if (hmp->len > 0) {
            hmp->len--;
            hmp_print(hmp, "\b \b");
        }
        return;
    case 0x15: /* Ctrl-U */
        while (hmp->len > 0) {
            hmp->len--;
            hmp_print(hmp, "\b \b");
        }
        return;
    default: break;
    }
    if (byte < ' ' || byte > '~' || hmp->len + 1 >= HMP_LINE_LEN)
        return;
    hmp->line[hmp->len++] = (char)byte;
    hmp_print(hmp, "%c", byte);
}

int hmp_create(struct hmp **out, struct vm *vm,
               void (*write)(void *opaque, const char *text, size_t len))
{
    struct hmp *hmp = calloc(1, sizeof(*hmp));

    if (hmp == NULL)
        return -ENOMEM;
    hmp->vm = vm;
    hmp->write = write;
    *out = hmp;
    return 0;
}

void hmp_destroy(struct hmp *hmp)
{
    free(hmp);
}
