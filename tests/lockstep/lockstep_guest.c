/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/engine.h"
#include "monitor/lockstep.h"

/*
 * lockstep_guest selftest-tu|selftest-chain|selftest-soft ELF
 * lockstep_guest debian KERNEL INITRD
 *
 * Runs a guest under both engines and checks that they agreed all the way, and
 * that enough happened for that to mean something. Debian's boot is billions of
 * instructions: it runs chained, but for the beginning of start_kernel() and
 * from init to the end, where every TU is compared.
 */
#define NOBODY     65534
#define TIMER_IRQ  0x30 /* where Linux maps the 8259A's IRQ 0 */
#define DEBUG_EXIT 0xf4
#define KERNEL_TU  60000000u
#define MIN_KERNEL 50000000u
#define MIN_INIT   20000000u
#define MIN_CALLS  1000u
#define MIN_FAULTS 500u
#define MIN_TICKS  100u
#define PART       1000000u /* between two looks at the console */
#define TAIL_LEN   8192u

static const char command[] =
    "console=ttyS0 earlyprintk=ttyS0 popf.run=\""
    "for i in $(seq 40); do true | cat; done; "
    "dd if=/dev/zero bs=4k count=800 2>/dev/null | sha256sum; ls -lR /sys/bus "
    "| wc -l; awk 'BEGIN{for(;i<9999;)s+=1/++i; print s}'\"";

/* What the guest wrote, as much as the last part of a run can bring. */
struct console {
    char text[TAIL_LEN];
    size_t len;
    bool started;
    bool in_init;
    bool failed;
};

static void look(struct console *c)
{
    c->text[c->len] = '\0';
    c->started |= strstr(c->text, "Linux version") != NULL;
    c->in_init |= strstr(c->text, "Run /init") != NULL;
    c->failed |= strstr(c->text, "not ok") != NULL;
}

static void console_write(void *opaque, const uint8_t *data, size_t len)
{
    struct console *c = opaque;

    fwrite(data, 1, len, stdout);
    for (size_t i = 0; i < len; i++) {
        if (c->len == sizeof(c->text) - 1) {
            look(c);
            memmove(c->text, c->text + TAIL_LEN / 2, TAIL_LEN / 2);
            c->len = TAIL_LEN / 2 - 1;
        }
        c->text[c->len++] = (char)data[i];
    }
}

static uint64_t sum(const uint64_t counts[256])
{
    uint64_t all = 0;

    for (unsigned i = 0; i < 256; i++)
        all += counts[i];
    return all;
}

static void expect(bool *ok, const char *what, uint64_t got, uint64_t least)
{
    fprintf(stderr, "lockstep: %-44s %12llu (at least %llu)%s\n", what,
            (unsigned long long)got, (unsigned long long)least,
            got >= least ? "" : "  FAILED");
    *ok &= got >= least;
}

/* Everything has been opened: go on as an ordinary user. */
static bool drop_root(void)
{
    return geteuid() != 0 || (setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static struct lockstep *create(struct config *config, struct console *console)
{
    struct load_error error;
    struct lockstep *ls;

    config->serial[0] = (struct char_config){
        .kind = CHAR_BACKEND,
        .backend = {.write = console_write, .opaque = console}
    };
    ls = lockstep_create(config, &error);
    if (ls == NULL || !drop_root()) {
        fprintf(stderr, "%s\n", ls == NULL ? error.text : "cannot drop root");
        exit(EXIT_FAILURE);
    }
    return ls;
}

static int selftest(const char *elf, enum lockstep_mode mode,
                    enum soft_mode soft)
{
    struct console console = {.len = 0};
    struct config config;
    struct lockstep *ls;
    bool ok;

    config_init(&config);
    config.kernel = elf;
    config.ram_len = 64 * MIB;
    config.debug_exit_port = DEBUG_EXIT;
    config.soft_mode = soft;
    config.insn_ns = 200; /* much of it waits for timers */
    ls = create(&config, &console);
    lockstep_set_mode(ls, mode);
    ok = lockstep_run(ls, UINT64_MAX) == LOCKSTEP_STOPPED;
    look(&console);
    if (console.failed)
        fprintf(stderr, "the guest's own tests failed\n");
    expect(&ok, "instructions compared", lockstep_counts(ls)->insns[mode],
           1000000);
    expect(&ok, "exceptions", sum(lockstep_counts(ls)->exceptions), 300);
    expect(&ok, "interrupts", sum(lockstep_counts(ls)->interrupts), 30);
    ok &= !console.failed;
    lockstep_destroy(ls);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Run until the flag is set by what the guest writes. */
static enum lockstep_result run_until(struct lockstep *ls,
                                      struct console *console, const bool *flag)
{
    enum lockstep_result result = LOCKSTEP_RUNNING;

    while (result == LOCKSTEP_RUNNING && !*flag) {
        result = lockstep_run(ls, lockstep_vm(ls)->vcpu.retired + PART);
        look(console);
    }
    return result;
}

static uint64_t system_calls(const struct lockstep *ls)
{
    return lockstep_mnemonic(ls, "int") + lockstep_mnemonic(ls, "sysenter");
}

static enum lockstep_result boot(struct lockstep *ls, struct console *console)
{
    enum lockstep_result result;

    lockstep_set_mode(ls, LOCKSTEP_CHAIN);
    result = run_until(ls, console, &console->started);
    lockstep_set_mode(ls, LOCKSTEP_TU);
    if (result == LOCKSTEP_RUNNING)
        result = lockstep_run(ls, lockstep_vm(ls)->vcpu.retired + KERNEL_TU);
    lockstep_set_mode(ls, LOCKSTEP_CHAIN);
    if (result == LOCKSTEP_RUNNING)
        result = run_until(ls, console, &console->in_init);
    lockstep_set_mode(ls, LOCKSTEP_TU);
    return result;
}

static int debian(const char *kernel, const char *initrd)
{
    struct console console = {.len = 0};
    struct lockstep_counts before;
    struct config config;
    struct lockstep *ls;
    uint64_t calls;

    config_init(&config);
    config.kernel = kernel;
    config.initrd = initrd;
    config.append = command;
    config.ram_len = 256 * MIB;
    config.no_reboot = true;
    ls = create(&config, &console);
    bool ok = boot(ls, &console) == LOCKSTEP_RUNNING;
    before = *lockstep_counts(ls);
    calls = system_calls(ls);
    ok = ok && lockstep_run(ls, UINT64_MAX) == LOCKSTEP_STOPPED;

    const struct lockstep_counts *c = lockstep_counts(ls);

    expect(&ok, "instructions chained", c->insns[LOCKSTEP_CHAIN], 1000000000);
    expect(&ok, "instructions in TUs after start_kernel", c->insns[LOCKSTEP_TU],
           MIN_KERNEL);
    expect(&ok, "of these after init started",
           c->insns[LOCKSTEP_TU] - before.insns[LOCKSTEP_TU], MIN_INIT);
    expect(&ok, "TUs", c->compares[LOCKSTEP_TU], MIN_KERNEL / 100);
    expect(&ok, "system calls", system_calls(ls) - calls, MIN_CALLS);
    expect(&ok, "page faults",
           c->exceptions[EXC_PF] - before.exceptions[EXC_PF], MIN_FAULTS);
    expect(&ok, "timer interrupts",
           c->interrupts[TIMER_IRQ] - before.interrupts[TIMER_IRQ], MIN_TICKS);
    ok &= lockstep_vm(ls)->stop.reason == STOP_POWER_OFF;
    lockstep_destroy(ls);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "selftest-tu"))
        return selftest(argv[2], LOCKSTEP_TU, SOFT_YOUNG);
    if (argc == 3 && !strcmp(argv[1], "selftest-chain"))
        return selftest(argv[2], LOCKSTEP_CHAIN, SOFT_YOUNG);
    if (argc == 3 && !strcmp(argv[1], "selftest-soft"))
        return selftest(argv[2], LOCKSTEP_CHAIN, SOFT_ALL);
    if (argc == 4 && !strcmp(argv[1], "debian"))
        return debian(argv[2], argv[3]);
    fprintf(stderr, "usage: lockstep_guest selftest-{tu,chain,soft} ELF\n"
                    "       lockstep_guest debian KERNEL INITRD\n");
    return EXIT_FAILURE;
}
