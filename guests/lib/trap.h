/* SPDX-License-Identifier: MIT */
#ifndef LIB_TRAP_H
#define LIB_TRAP_H

/*
 * PURPOSE: provoke exceptions and look at them.
 *
 * A trap goes, in this order, to trap_hook (which may repair and restart), to
 * the end of the user_run() it interrupted when it came from an outer ring, to
 * the end of the TRY() it happened in, or else to the kernel's
 * trap_unexpected(), which fails the running test.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lib/cpu.h"

struct frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
    uint32_t user_esp, user_ss; /* only when it came from an outer ring */
};

struct context {
    uint32_t regs[6];
};

enum { NO_TRAP = 0xFFFF };

extern struct frame last;   /* the last exception; vector NO_TRAP if none */
extern uint32_t last_cr2;   /* CR2 at that time */
extern uint32_t trap_count; /* exceptions since trap_reset() */
extern bool (*trap_hook)(struct frame *frame); /* true: continue at frame */
extern volatile uint32_t irq_count[16];
extern void (*irq_hook)(struct frame *frame); /* called before the EOI */

extern volatile uint32_t try_start, try_end, try_esp;

void trap_init(void);
void trap_reset(void);
void trap_entry(struct frame *frame);

int context_save(struct context *context) __attribute__((returns_twice));
__attribute__((noreturn)) void context_restore(const struct context *context);

/* Every kernel has its own. */
__attribute__((noreturn)) void trap_unexpected(const struct frame *frame,
                                               uint32_t cr2);

/*
 * Run the code at `code` in ring 3 with EAX = eax until it traps; `last` says
 * how it ended. USER_CODE_END as its end hands back its registers.
 */
void user_run(const void *code, uint32_t eax);
/* The same with the ESP given. */
void user_run_stack(const void *code, uint32_t esp, uint32_t eax);
/* The same with the EFLAGS given. */
void user_run_flags(const void *code, uint32_t eax, uint32_t flags);
/* The same with both. */
void user_run_at(const void *code, uint32_t esp, uint32_t flags);
/* The same in ring 1 or 2, on a stack of the supervisor's; takes SLOT_TEST and
 * the next. */
void ring_run(uint32_t ring, const void *code, uint32_t flags);
/* The same with code copied from the bytes given, then int 80h. */
void user_run_bytes(const uint8_t *bytes, uint32_t len);

extern uint8_t user_page[4 * PAGE]; /* ring 3 may read, write, execute it */
extern uint8_t user_stack_end[];

/*
 * One or more instructions with an exception expected among them: control
 * continues behind them. Operands follow as in an asm statement.
 */
#define TRY(insn, ...)                                                     \
    do {                                                                   \
        trap_reset();                                                      \
        __asm__ volatile("mov dword ptr [try_start], offset .Lstart%=\n\t" \
                         "mov dword ptr [try_end], offset .Lend%=\n\t"     \
                         "mov dword ptr [try_esp], esp\n"                  \
                         ".Lstart%=:\n\t" insn "\n"                        \
                         ".Lend%=:\n\t"                                    \
                         "mov esp, dword ptr [try_esp]\n\t"                \
                         "mov dword ptr [try_end], 0" __VA_ARGS__);        \
    } while (0)

/* A function for ring 3, in assembly, ended by USER_END. */
#define USER_FUNCTION(name, text)                                         \
    __asm__(".pushsection .user.text, \"awx\"\n"                          \
            ".intel_syntax noprefix\n" #name ":\n" text "\n.popsection"); \
    extern const char name[]
#define USER_END "\nint 0x80\n"

#endif /* LIB_TRAP_H */
