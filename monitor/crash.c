/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/crash.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "monitor/bt.h"
#include "monitor/terminal.h"
#include "monitor/vcpu.h"

/*
 * A report is written piece by piece, from what is certain to what may fail:
 *
 *   1. the terminal is restored;
 *   2. signal, address, host registers: out of the signal's context;
 *   3. the guest's registers: out of the vcpu;
 *   4. the CCF: the cache's tables are looked at, which may be what is broken;
 *   5. the host's frames: by the unwinder, as the compiler describes them.
 *
 * All signals are blocked meanwhile, and a synchronous one that is blocked kills
 * at once: a report that fails ends early, and popf dies by the signal of that.
 * Only functions that are safe in a handler are called; hence the formatting.
 */
#define STACK_LEN  (64 * KIB)
#define FRAMES_MAX 24u
#define PF_WRITE   2
#define TRAP_PF    14

static const struct vcpu *volatile watched;
static uint8_t signal_stack[STACK_LEN];

extern const char __executable_start[];
extern const char etext[];

/* ---- Text ---- */

struct line {
    char text[240];
    size_t len;
};

static void put(struct line *line, const char *text)
{
    while (*text != '\0' && line->len < sizeof(line->text) - 1)
        line->text[line->len++] = *text++;
}

static void put_hex(struct line *line, uint64_t value, unsigned digits)
{
    static const char digit[] = "0123456789abcdef";

    while (digits < 16 && value >> (4 * digits) != 0)
        digits++;
    while (digits-- > 0) {
        const char one[] = {digit[(value >> (4 * digits)) & 15], '\0'};

        put(line, one);
    }
}

static void put_value(struct line *line, const char *name, uint64_t value,
                      unsigned digits)
{
    put(line, name);
    put(line, "=");
    put_hex(line, value, digits);
}

/* Write the line, and start the next one. */
static void flush(struct line *line)
{
    line->text[line->len++] = '\n';
    (void)!write(STDERR_FILENO, line->text, line->len);
    line->len = 0;
}

/* What addr2line -e popf can make a line of the source of. */
static void put_code(struct line *line, uint64_t address)
{
    const uint64_t start = (uint64_t)(uintptr_t)__executable_start;

    if (address >= start && address < (uint64_t)(uintptr_t)etext) {
        put(line, "popf+0x");
        put_hex(line, address - start, 1);
    } else {
        put(line, "0x");
        put_hex(line, address, 1);
    }
}

/* ---- The parts of a report ---- */

static const char *signal_name(int number)
{
    switch (number) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGABRT: return "SIGABRT";
    case SIGTRAP: return "SIGTRAP";
    default: return "signal";
    }
}

static void tell_signal(int number, const siginfo_t *info, const greg_t *g)
{
    struct line line = {.len = 0};

    put(&line, "popf: internal error: ");
    put(&line, signal_name(number));
    put(&line, " at ");
    put_code(&line, (uint64_t)g[REG_RIP]);
    if (info->si_code <= 0) {
        put(&line, ", sent by a process");
    } else if (g[REG_TRAPNO] == TRAP_PF) {
        put(&line, g[REG_ERR] & PF_WRITE ? ", store to 0x" : ", load from 0x");
        put_hex(&line, (uint64_t)(uintptr_t)info->si_addr, 1);
    }
    flush(&line);
}

static void tell_host(const greg_t *g)
{
    static const struct {
        const char *name;
        int index;
    } registers[] = {
        {"rax", REG_RAX},
        {"rcx", REG_RCX},
        {"rdx", REG_RDX},
        {"rbx", REG_RBX},
        {"rsp", REG_RSP},
        {"rbp", REG_RBP},
        {"rsi", REG_RSI},
        {"rdi", REG_RDI},
        {"r8 ", REG_R8 },
        {"r9 ", REG_R9 },
        {"r10", REG_R10},
        {"r11", REG_R11},
        {"r12", REG_R12},
        {"r13", REG_R13},
        {"r14", REG_R14},
        {"r15", REG_R15},
        {"rip", REG_RIP},
        {"efl", REG_EFL},
    };
    struct line line = {.len = 0};

    for (unsigned i = 0; i < ARRAY_COUNT(registers); i++) {
        put(&line, i % 4 == 0 ? "  host  " : " ");
        put_value(&line, registers[i].name, (uint64_t)g[registers[i].index],
                  16);
        if (i % 4 == 3 || i + 1 == ARRAY_COUNT(registers))
            flush(&line);
    }
}

static void tell_guest(const struct vcpu *vcpu)
{
    static const char *const names[REG_COUNT] = {"eax", "ecx", "edx", "ebx",
                                                 "esp", "ebp", "esi", "edi"};
    struct line line = {.len = 0};

    put_value(&line, "  guest eip", vcpu->eip, 8);
    put_value(&line, " eflags", vcpu_eflags(vcpu), 8);
    put_value(&line, " cpl", vcpu->cpl, 1);
    put_value(&line, " cs", vcpu->seg[SEG_CS].selector, 4);
    put_value(&line, " ss", vcpu->seg[SEG_SS].selector, 4);
    flush(&line);
    for (unsigned i = 0; i < REG_COUNT; i++) {
        put(&line, i % 4 == 0 ? "  guest " : " ");
        put_value(&line, names[i], vcpu->regs[i], 8);
        if (i % 4 == 3)
            flush(&line);
    }
    put_value(&line, "  guest cr0", vcpu->cr0, 8);
    put_value(&line, " cr2", vcpu->cr2, 8);
    put_value(&line, " cr3", vcpu->cr3, 8);
    put_value(&line, " cr4", vcpu->cr4, 8);
    put_value(&line, " efer", vcpu->efer, 1);
    flush(&line);
}

static const char *exit_name(enum exit_kind kind)
{
    switch (kind) {
    case EXIT_JUMP: return "jump";
    case EXIT_CALL: return "call";
    case EXIT_STEP: return "step";
    case EXIT_LOOKUP: return "lookup";
    case EXIT_MISS: return "miss";
    case EXIT_DENIED: return "denied";
    case EXIT_CHANGED: return "changed";
    case EXIT_CANCEL: return "cancel";
    case EXIT_KICK: return "kick";
    case EXIT_EXC: return "exception";
    case EXIT_EMULATE: return "emulate";
    case EXIT_SOFT: return "soft";
    }
    return "?";
}

static void put_ccf(struct line *line, const struct ccf *ccf, uint64_t pc)
{
    bool exact;
    const struct ccf_point *point = ccf_find_point(ccf, pc, &exact);

    put_value(line, " CCF gip", ccf->gip, 8);
    put_value(line, " mode", ccf->mode, 1);
    put_value(line, " +", pc - ccf->start, 1);
    put_value(line, " of", ccf->host_len, 1);
    put(line, ccf->dead ? " (dead)" : "");
    if (point != NULL)
        put_value(line, ", instruction at", ccf->gip + point->gip_offset, 8);
}

/* Inside a CCF the guest's registers are the host's, as in
 * docs/ARCHITECTURE.md, and the vcpu's are old. */
static void tell_translator(const struct bt_vcpu *bt, uint64_t rip)
{
    struct line line = {.len = 0};
    bool inside = mcode_contains(tc_mcode(bt->tc), rip);
    uint64_t pc = inside ? rip : bt->entered;

    put(&line, inside ? "  in   " : "  last entered");
    put_value(&line, " pc", pc, 1);
    put(&line, ", last exit ");
    put(&line, exit_name(bt->last_exit));
    flush(&line);
    const struct ccf *ccf = pc != 0 ? tc_find_host(bt->tc, pc) : NULL;

    if (ccf == NULL)
        return;
    put(&line, inside ? "  in   " : "  last entered");
    put_ccf(&line, ccf, pc);
    flush(&line);
}

struct frames {
    struct line line;
    unsigned count;
};

static _Unwind_Reason_Code tell_frame(struct _Unwind_Context *context,
                                      void *opaque)
{
    struct frames *frames = opaque;

    put(&frames->line, frames->line.len == 0 ? "  frame " : " ");
    put_code(&frames->line, (uint64_t)_Unwind_GetIP(context));
    if (++frames->count % 4 == 0)
        flush(&frames->line);
    return frames->count < FRAMES_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void tell_frames(void)
{
    struct frames frames = {.count = 0};

    _Unwind_Backtrace(tell_frame, &frames);
    if (frames.line.len != 0)
        flush(&frames.line);
}

/* ---- Signals ---- */

static void on_crash(int number, siginfo_t *info, void *context)
{
    const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    const struct vcpu *vcpu = watched;
    sigset_t only;

    terminal_restore();
    tell_signal(number, info, g);
    tell_host(g);
    if (vcpu != NULL)
        tell_guest(vcpu);
    if (vcpu != NULL && vcpu->bt != NULL)
        tell_translator(vcpu->bt, (uint64_t)g[REG_RIP]);
    tell_frames();
    signal(number, SIG_DFL);
    raise(number);
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    _exit(1);
}

/* The unwinder's first use initializes it, with calls that the sandbox does not
 * allow. */
static _Unwind_Reason_Code ignore_frame(struct _Unwind_Context *context,
                                        void *opaque)
{
    (void)context;
    (void)opaque;
    return _URC_NO_REASON;
}

void crash_install(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS,  SIGFPE,
                                SIGILL,  SIGABRT, SIGTRAP};
    const stack_t stack = {.ss_sp = signal_stack,
                           .ss_size = sizeof(signal_stack)};
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old;
    stack_t old_stack;

    _Unwind_Backtrace(ignore_frame, NULL);
    sigfillset(&action.sa_mask);
    if (sigaltstack(NULL, &old_stack) == 0 && (old_stack.ss_flags & SS_DISABLE))
        (void)sigaltstack(&stack, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(fatal); i++) {
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(fatal[i], &action, NULL);
    }
}

void crash_watch(const struct vcpu *vcpu)
{
    watched = vcpu;
}
