/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* timegm, strptime */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "monitor/cli_priv.h"
#include "monitor/cpu_model.h"
#include "monitor/engine.h"
#include "monitor/log.h"

/*
 * The setters of the option table, one for each option, and the defaults that
 * depend on several of them. "key=value,key=value" lists are taken apart by
 * next_property(); the first property may stand without its key.
 */

struct property {
    char key[32];
    char value[128];
};

/* Take the next property off *list. False at its end, or, with cli->error
 * filled, when it is longer than any that means something. */
static bool next_property(struct cli *cli, const char **list,
                          const char *implied, struct property *property)
{
    size_t len = strcspn(*list, ",");
    const char *equals = memchr(*list, '=', len);
    size_t key_len = equals != NULL ? (size_t)(equals - *list) : 0;
    const char *value = equals != NULL ? equals + 1 : *list;
    size_t value_len = len - (size_t)(value - *list);

    if (**list == '\0')
        return false;
    if (key_len >= sizeof(property->key) ||
        value_len >= sizeof(property->value))
        return cli_fail(cli, "property too long: '%.*s'", (int)len, *list);
    if (equals != NULL)
        snprintf(property->key, sizeof(property->key), "%.*s", (int)key_len,
                 *list);
    else
        snprintf(property->key, sizeof(property->key), "%s", implied);
    snprintf(property->value, sizeof(property->value), "%.*s", (int)value_len,
             value);
    *list += len + ((*list)[len] == ',');
    return true;
}

static bool unknown_property(struct cli *cli, const struct property *property,
                             const char *allowed)
{
    return cli_fail(cli, "unknown property '%s' (allowed: %s)", property->key,
                    allowed);
}

/* Digits with an optional suffix; without one the unit is MiB, as QEMU's. */
static bool parse_size(const char *text, uint64_t *bytes)
{
    char *end;
    unsigned shift;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 0);
    if (errno != 0)
        return false;
    switch (*end) {
    case 'k':
    case 'K': shift = 10; break;
    case '\0':
    case 'm':
    case 'M': shift = 20; break;
    case 'g':
    case 'G': shift = 30; break;
    default: return false;
    }
    if (*end != '\0' && end[1] != '\0')
        return false;
    if (number > UINT64_MAX >> shift)
        return false;
    *bytes = number << shift;
    return true;
}

bool cli_set_ram(struct cli *cli, const char *value)
{
    struct property property;

    if (*value == '\0')
        return cli_fail(cli, "expected a size such as 512M or 1G");
    while (next_property(cli, &value, "size", &property)) {
        if (strcmp(property.key, "size") != 0)
            return unknown_property(cli, &property, "size");
        uint64_t bytes;
        if (!parse_size(property.value, &bytes))
            return cli_fail(cli, "expected a size such as 512M or 1G");
        if (bytes < RAM_LEN_MIN || bytes > RAM_LEN_MAX)
            return cli_fail(cli, "the size must be from 1M to 3G");
        cli->config->ram_len = (bytes + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
    }
    return cli->error[0] == '\0';
}

bool cli_set_cpu(struct cli *cli, const char *value)
{
    char text[160];

    if (!strcmp(value, "help") || !strcmp(value, "?")) {
        cpu_model_list();
        cli->done = true;
        return true;
    }
    if (!cpu_model_parse(value, &cli->config->features, text, sizeof(text)))
        return cli_fail(cli, "%s", text);
    return true;
}

bool cli_set_smp(struct cli *cli, const char *value)
{
    struct property property;

    while (next_property(cli, &value, "cpus", &property)) {
        char *end;
        unsigned long number = strtoul(property.value, &end, 10);

        if (*end != '\0' || property.value[0] < '0' || property.value[0] > '9')
            return cli_fail(cli, "expected a number of CPUs");
        if (number != 1)
            return cli_fail(cli, "only 1 CPU is supported");
    }
    return cli->error[0] == '\0';
}

static bool set_engine(struct cli *cli, const char *name)
{
    const struct engine_ops *engine = engine_find(name);

    cli->config->lockstep.on = !strcmp(name, "lockstep");
    if (cli->config->lockstep.on)
        return true;
    if (!strcmp(name, "tcg") || !strcmp(name, "kvm"))
        return cli_fail(cli, "is QEMU's; popf's own engines are listed by "
                             "-accel help");
    if (engine == NULL)
        return cli_fail(cli, "unknown engine (-accel help lists them)");
    cli->config->engine = engine;
    return true;
}

static bool parse_count(const char *text, uint64_t *count)
{
    char *end;

    *count = strtoull(text, &end, 10);
    return *end == '\0' && text[0] >= '0' && text[0] <= '9';
}

static bool parse_soft(const char *text, enum soft_mode *mode)
{
    static const char *const names[] = {
        [SOFT_YOUNG] = "young", [SOFT_NONE] = "none", [SOFT_ALL] = "all"};

    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        if (!strcmp(text, names[i])) {
            *mode = i;
            return true;
        }
    }
    return false;
}

/* NAME:NAME..., to BIT(enum mechanism). */
static bool parse_off(const char *text, uint32_t *off)
{
    static const char *const names[MECHANISM_COUNT] = {
        [MECHANISM_CHAINING] = "chaining",
        [MECHANISM_HOST_RETURNS] = "host-returns",
        [MECHANISM_REGIONS] = "regions",
        [MECHANISM_OUT_OF_SYNC] = "out-of-sync",
        [MECHANISM_ADAPTIVE_SITES] = "adaptive-sites",
        [MECHANISM_EAGER_INSTALL] = "eager-install",
        [MECHANISM_TAKE_BACK] = "take-back",
        [MECHANISM_SOURCE_CHECKS] = "source-checks",
    };

    for (;; text++) {
        size_t len = strcspn(text, ":");
        unsigned i = 0;

        while (i < MECHANISM_COUNT &&
               (strlen(names[i]) != len || strncmp(names[i], text, len) != 0))
            i++;
        if (i == MECHANISM_COUNT)
            return false;
        *off |= BIT(i);
        text += len;
        if (*text == '\0')
            return true;
    }
}

static bool set_trace(struct cli *cli, const char *name)
{
    if (!strcmp(name, "mprotect"))
        cli->config->trace = MMU_TRACE_MPROTECT;
    else if (!strcmp(name, "userfaultfd"))
        cli->config->trace = MMU_TRACE_USERFAULTFD;
    else
        return cli_fail(cli, "trace is mprotect or userfaultfd");
    return true;
}

/* ENGINE[,tb-size=MiB], the size of the translation cache as QEMU's. For
 * developers: lockstep[,chain-until=COUNT][,insn-ns=NS], monitor/lockstep.h;
 * bt,soft=young|none|all, enum soft_mode; bt,trace=mprotect|userfaultfd,
 * shadow_mmu/trace.h; bt,verify=N, bt_verify_step();
 * bt,off=MECHANISM:MECHANISM..., enum mechanism. */
bool cli_set_accel(struct cli *cli, const char *value)
{
    struct property property;

    if (!strcmp(value, "help")) {
        engine_list();
        cli->done = true;
        return true;
    }
    while (next_property(cli, &value, "accel", &property)) {
        if (!strcmp(property.key, "accel")) {
            if (!set_engine(cli, property.value))
                return false;
        } else if (!strcmp(property.key, "tb-size")) {
            char *end;
            unsigned long mib = strtoul(property.value, &end, 10);

            if (*end != '\0' || mib < 1 || mib > 1024)
                return cli_fail(cli, "tb-size is 1 to 1024 MiB");
            cli->config->tc_len = mib * MIB;
        } else if (!strcmp(property.key, "soft")) {
            if (!parse_soft(property.value, &cli->config->soft_mode))
                return cli_fail(cli, "soft is young, none or all");
        } else if (!strcmp(property.key, "trace")) {
            if (!set_trace(cli, property.value))
                return false;
        } else if (!strcmp(property.key, "off")) {
            if (!parse_off(property.value, &cli->config->off))
                return cli_fail(cli, "off is a list of mechanisms: see "
                                     "docs/TESTING.md");
        } else if (!strcmp(property.key, "verify")) {
            if (!parse_count(property.value, &cli->config->verify_every))
                return cli_fail(cli, "verify is a number of exits");
        } else if (!strcmp(property.key, "chain-until")) {
            if (!parse_count(property.value,
                             &cli->config->lockstep.chain_until))
                return cli_fail(cli, "chain-until is an instruction count");
        } else if (!strcmp(property.key, "sample")) {
            if (!parse_count(property.value, &cli->config->sample.seconds) ||
                cli->config->sample.seconds == 0)
                return cli_fail(cli, "sample is a number of seconds");
            cli->config->sandbox = false; /* samples need what it forbids */
        } else if (!strcmp(property.key, "sample-insns")) {
            if (!parse_count(property.value, &cli->config->sample.insns))
                return cli_fail(cli, "sample-insns is an instruction count");
        } else if (!strcmp(property.key, "insn-ns")) {
            if (!parse_count(property.value, &cli->config->insn_ns))
                return cli_fail(cli, "insn-ns is a number");
        } else {
            return unknown_property(cli, &property, "accel, tb-size");
        }
    }
    return cli->error[0] == '\0';
}

bool cli_set_machine(struct cli *cli, const char *value)
{
    struct property property;

    while (next_property(cli, &value, "type", &property)) {
        if (!strcmp(property.key, "accel")) {
            if (!cli_set_accel(cli, property.value))
                return false;
        } else if (!strcmp(property.key, "dump-guest-core")) {
            cli->config->dump_ram = !strcmp(property.value, "on");
            if (!cli->config->dump_ram && strcmp(property.value, "off") != 0)
                return cli_fail(cli, "dump-guest-core is on or off");
        } else if (strcmp(property.key, "type") != 0) {
            return unknown_property(cli, &property,
                                    "type, accel, dump-guest-core");
        } else if (strcmp(property.value, "pc") != 0 &&
                   strncmp(property.value, "pc-i440fx", 9) != 0) {
            return cli_fail(cli, "the only machine is pc");
        }
    }
    return cli->error[0] == '\0';
}

static bool parse_date(const char *text, int64_t *seconds)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (end == NULL) {
        tm = (struct tm){0};
        end = strptime(text, "%Y-%m-%d", &tm);
    }
    if (end == NULL || *end != '\0')
        return false;
    *seconds = (int64_t)timegm(&tm);
    return true;
}

/* The local time of day, counted as if it were UTC. */
static int64_t local_time(void)
{
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    return (int64_t)timegm(&tm);
}

bool cli_set_rtc(struct cli *cli, const char *value)
{
    struct property property;

    while (next_property(cli, &value, "base", &property)) {
        if (!strcmp(property.key, "clock") || !strcmp(property.key, "driftfix"))
            continue;
        if (strcmp(property.key, "base") != 0)
            return unknown_property(cli, &property, "base, clock, driftfix");
        if (!strcmp(property.value, "utc"))
            cli->config->rtc_base = (int64_t)time(NULL);
        else if (!strcmp(property.value, "localtime"))
            cli->config->rtc_base = local_time();
        else if (!parse_date(property.value, &cli->config->rtc_base))
            return cli_fail(cli, "expected utc, localtime or a date such as "
                                 "2024-01-31T12:00:00");
    }
    return cli->error[0] == '\0';
}

bool cli_set_nodefaults(struct cli *cli, const char *value)
{
    (void)value;
    cli->nodefaults = true;
    return true;
}

bool cli_set_vga(struct cli *cli, const char *value)
{
    if (strcmp(value, "none") != 0)
        return cli_fail(cli, "not supported yet (allowed: none)");
    return true;
}

bool cli_set_network(struct cli *cli, const char *value)
{
    if (strcmp(value, "none") != 0)
        return cli_fail(cli, "not supported yet (allowed: none)");
    return true;
}

bool cli_set_kernel(struct cli *cli, const char *value)
{
    cli->config->kernel = value;
    return true;
}

bool cli_set_initrd(struct cli *cli, const char *value)
{
    cli->config->initrd = value;
    return true;
}

bool cli_set_append(struct cli *cli, const char *value)
{
    cli->config->append = value;
    return true;
}

bool cli_set_name(struct cli *cli, const char *value)
{
    cli->config->name = value;
    return true;
}

bool cli_set_no_reboot(struct cli *cli, const char *value)
{
    (void)value;
    cli->config->no_reboot = true;
    return true;
}

bool cli_set_no_shutdown(struct cli *cli, const char *value)
{
    (void)value;
    cli->config->no_shutdown = true;
    return true;
}

bool cli_set_paused(struct cli *cli, const char *value)
{
    (void)value;
    cli->config->paused = true;
    return true;
}

bool cli_set_nographic(struct cli *cli, const char *value)
{
    (void)value;
    cli->nographic = true;
    return true;
}

bool cli_set_display(struct cli *cli, const char *value)
{
    if (strcmp(value, "none") != 0)
        return cli_fail(cli, "not supported yet (allowed: none)");
    cli->display_none = true;
    return true;
}

/* The devices of -serial, -monitor and -debugcon. */
static bool parse_char(struct cli *cli, const char *value,
                       struct char_config *out)
{
    static const struct {
        const char *name;
        enum char_kind kind;
    } kinds[] = {
        {"none",      CHAR_NONE },
        {"null",      CHAR_NULL },
        {"stdio",     CHAR_STDIO},
        {"mon:stdio", CHAR_MUX  }
    };

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (!strcmp(value, kinds[i].name)) {
            *out = (struct char_config){.kind = kinds[i].kind};
            return true;
        }
    }
    if (!strncmp(value, "file:", 5) && value[5] != '\0') {
        *out = (struct char_config){.kind = CHAR_FILE, .path = value + 5};
        return true;
    }
    return cli_fail(cli, "expected stdio, mon:stdio, file:PATH, null or none");
}

bool cli_set_serial(struct cli *cli, const char *value)
{
    if (cli->serial_count == SERIAL_COUNT)
        return cli_fail(cli, "there are only %u serial ports", SERIAL_COUNT);
    return parse_char(cli, value, &cli->config->serial[cli->serial_count++]);
}

bool cli_set_monitor(struct cli *cli, const char *value)
{
    if (!parse_char(cli, value, &cli->config->monitor))
        return false;
    if (cli->config->monitor.kind == CHAR_FILE)
        return cli_fail(cli, "expected stdio or none");
    cli->monitor_given = true;
    return true;
}

bool cli_set_debugcon(struct cli *cli, const char *value)
{
    return parse_char(cli, value, &cli->config->debugcon);
}

static bool parse_port(const char *text, unsigned *port)
{
    char *end;
    unsigned long number = strtoul(text, &end, 0);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number > 0xffff)
        return false;
    *port = (unsigned)number;
    return true;
}

static bool set_debug_exit(struct cli *cli, const char *list)
{
    struct property property;
    unsigned port = 0x501, size = 2; /* QEMU's defaults */

    while (next_property(cli, &list, "", &property)) {
        unsigned *out = !strcmp(property.key, "iobase")   ? &port
                        : !strcmp(property.key, "iosize") ? &size
                                                          : NULL;
        if (out == NULL)
            return unknown_property(cli, &property, "iobase, iosize");
        if (!parse_port(property.value, out))
            return cli_fail(cli, "%s must be a port number", property.key);
    }
    if (cli->error[0] != '\0')
        return false;
    if (size != 1 && size != 2 && size != 4)
        return cli_fail(cli, "iosize must be 1, 2 or 4");
    cli->config->debug_exit_port = (int)port;
    return true;
}

static bool set_isa_debugcon(struct cli *cli, const char *list)
{
    struct property property;

    while (next_property(cli, &list, "", &property)) {
        unsigned port;

        if (!strcmp(property.key, "chardev"))
            return cli_fail(cli, "chardev is not supported yet; use -debugcon");
        if (strcmp(property.key, "iobase") != 0)
            return unknown_property(cli, &property, "iobase");
        if (!parse_port(property.value, &port) || port != 0xe9)
            return cli_fail(cli, "iobase can only be 0xe9");
    }
    if (cli->config->debugcon.kind == CHAR_NONE)
        cli->config->debugcon.kind = CHAR_NULL;
    return cli->error[0] == '\0';
}

bool cli_set_device(struct cli *cli, const char *value)
{
    static const struct {
        const char *name;
        cli_setter *set;
    } devices[] = {
        {"isa-debug-exit", set_debug_exit  },
        {"isa-debugcon",   set_isa_debugcon}
    };
    size_t len = strcspn(value, ",");

    for (size_t i = 0; i < ARRAY_COUNT(devices); i++) {
        if (strlen(devices[i].name) == len &&
            !memcmp(devices[i].name, value, len))
            return devices[i].set(cli, value + len + (value[len] == ','));
    }
    return cli_fail(cli, "not supported yet (allowed: isa-debug-exit, "
                         "isa-debugcon)");
}

bool cli_set_channels(struct cli *cli, const char *value)
{
    if (!strcmp(value, "help") || !strcmp(value, "?")) {
        printf("Log channels (a comma-separated list, or all):\n");
        log_list_channels();
        cli->done = true;
        return true;
    }
    cli->channels = value;
    return true;
}

bool cli_set_log_file(struct cli *cli, const char *value)
{
    cli->log_file = value;
    return true;
}

bool cli_set_stats(struct cli *cli, const char *value)
{
    if (value == NULL)
        cli->config->stats = STATS_TEXT;
    else if (!strcmp(value, "json"))
        cli->config->stats = STATS_JSON;
    else
        return cli_fail(cli, "expected --stats or --stats=json");
    return true;
}

/* QEMU's properties ask for single groups of calls; here none of those groups
 * is ever allowed. */
bool cli_set_sandbox(struct cli *cli, const char *value)
{
    static const char *const groups[] = {"obsolete", "elevateprivileges",
                                         "spawn", "resourcecontrol"};
    struct property property;

    while (next_property(cli, &value, "enable", &property)) {
        bool is_group = false;

        for (size_t i = 0; i < ARRAY_COUNT(groups); i++)
            is_group |= !strcmp(property.key, groups[i]);
        if (!strcmp(property.key, "enable")) {
            cli->config->sandbox = !strcmp(property.value, "on");
            if (!cli->config->sandbox && strcmp(property.value, "off") != 0)
                return cli_fail(cli, "expected on or off");
        } else if (!is_group) {
            return unknown_property(cli, &property, "enable");
        } else if (strcmp(property.value, "deny") != 0) {
            return cli_fail(cli, "%s can only be 'deny'", property.key);
        }
    }
    return cli->error[0] == '\0';
}

bool cli_set_verify(struct cli *cli, const char *value)
{
    (void)value;
    cli->config->verify = true;
    return true;
}

static bool is_terminal(enum char_kind kind)
{
    return kind == CHAR_STDIO || kind == CHAR_MUX;
}

/* As QEMU: with no -serial and no -display none, COM1 shares the terminal with
 * the monitor, or has it alone when there is a -monitor. There is no display
 * yet, so -nographic changes nothing. */
static void default_serial(struct cli *cli)
{
    struct config *config = cli->config;

    if (cli->serial_count != 0 || cli->nodefaults)
        return;
    if (cli->display_none && !cli->nographic)
        config->serial[0].kind = CHAR_NULL;
    else if (config->monitor.kind == CHAR_STDIO)
        config->serial[0].kind = CHAR_NULL;
    else
        config->serial[0].kind = cli->monitor_given ? CHAR_STDIO : CHAR_MUX;
}

bool cli_finish(struct cli *cli)
{
    const struct config *config = cli->config;
    unsigned users = is_terminal(config->monitor.kind);

    default_serial(cli);
    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        users += is_terminal(config->serial[i].kind);
    cli->option = "-serial";
    cli->value = NULL;
    if (users > 1)
        return cli_fail(cli, "only one device can use the terminal");
    cli->option = "-kernel";
    if (config->kernel == NULL && config->initrd != NULL)
        return cli_fail(cli, "-initrd needs a kernel");
    if (config->kernel == NULL && config->append != NULL)
        return cli_fail(cli, "-append needs a kernel");
    if (config->kernel == NULL)
        return cli_fail(cli, "required: booting from disks or firmware is not "
                             "supported yet");
    return true;
}
