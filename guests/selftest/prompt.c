/* SPDX-License-Identifier: MIT */
#include "prompt.h"

#include "lib/cpu.h"
#include "lib/lib.h"
#include "lib/power.h"
#include "tap.h"

enum { LINE_MAX = 80 };

static uint32_t memory;

static void command_help(const char *argument);

static void command_test(const char *argument)
{
    tap_run(argument);
}

static void command_list(const char *argument)
{
    (void)argument;
    tap_list();
}

static void command_mem(const char *argument)
{
    (void)argument;
    print("%u KiB of memory\n", memory);
}

static void command_cpu(const char *argument)
{
    struct cpuid id = cpuid(0);
    struct cpuid one = cpuid(1);
    uint32_t name[4] = {id.ebx, id.edx, id.ecx, 0};

    (void)argument;
    print("%s, signature %x, features %x %x\n", (const char *)name, one.eax,
          one.edx, one.ecx);
}

static void command_poweroff(const char *argument)
{
    (void)argument;
    power_off();
}

static void command_reboot(const char *argument)
{
    (void)argument;
    reboot();
}

static const struct {
    const char *name;
    void (*run)(const char *argument);
    const char *help;
} commands[] = {
    {"cpu",      command_cpu,      "what CPUID says"                         },
    {"help",     command_help,     "this list"                               },
    {"list",     command_list,     "names of the tests"                      },
    {"mem",      command_mem,      "size of memory"                          },
    {"poweroff", command_poweroff, "turn the machine off"                    },
    {"reboot",   command_reboot,   "reset the machine"                       },
    {"test",     command_test,     "[prefix]: run the tests, or some of them"},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void command_help(const char *argument)
{
    (void)argument;
    for (int i = 0; i < COMMAND_COUNT; i++)
        print("  %s: %s\n", commands[i].name, commands[i].help);
}

static void read_line(char *line)
{
    int len = 0;

    for (;;) {
        char c = get_char();

        if (c == '\r' || c == '\n')
            break;
        if (c == 8 || c == 127) {
            if (len) {
                len--;
                print("\b \b");
            }
        } else if (c >= ' ' && len < LINE_MAX - 1) {
            line[len++] = c;
            put_char(c);
        }
    }
    line[len] = '\0';
    put_char('\n');
}

static void execute(char *line)
{
    char *argument = line;

    while (*argument && *argument != ' ')
        argument++;
    while (*argument == ' ')
        *argument++ = '\0';
    if (!*line)
        return;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (!strcmp(line, commands[i].name)) {
            commands[i].run(argument);
            return;
        }
    }
    print("%s: no such command; try help\n", line);
}

void prompt(uint32_t memory_kib)
{
    char line[LINE_MAX];

    memory = memory_kib;
    print("Type help for the commands.\n");
    for (;;) {
        print("selftest> ");
        read_line(line);
        execute(line);
    }
}
