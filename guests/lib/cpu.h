/* SPDX-License-Identifier: MIT */
#ifndef LIB_CPU_H
#define LIB_CPU_H

/*
 * PURPOSE: the processor's instructions as C functions, and its constants.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKED     __attribute__((packed))
#define PAGE       4096u
#define ALIGNED(n) __attribute__((aligned(n)))

enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_XM = 19,
    VECTOR_IRQ0 = 0x20,
    VECTOR_EXIT = 0x80, /* int 80h: how ring 3 code hands back EAX */
};

enum {
    EF_CF = 1 << 0,
    EF_ZF = 1 << 6,
    EF_TF = 1 << 8,
    EF_IF = 1 << 9,
    EF_DF = 1 << 10,
    EF_OF = 1 << 11,
    EF_IOPL = 3 << 12,
    EF_RF = 1 << 16,
    EF_AC = 1 << 18,
    EF_ID = 1 << 21,
};

enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_EM = 1 << 2,
    CR0_TS = 1 << 3,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
};
#define CR0_PG (1u << 31)

enum {
    CR4_TSD = 1 << 2,
    CR4_DE = 1 << 3,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_PGE = 1 << 7,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
};

enum {
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
};
#define MSR_EFER 0xC0000080u
#define EFER_NXE (1u << 11)

#define READ_REG(name, reg)                             \
    static inline uint32_t read_##name(void)            \
    {                                                   \
        uint32_t value;                                 \
        __asm__ volatile("mov %0, " reg : "=r"(value)); \
        return value;                                   \
    }
#define WRITE_REG(name, reg)                                           \
    static inline void write_##name(uint32_t value)                    \
    {                                                                  \
        __asm__ volatile("mov " reg ", %0" : : "r"(value) : "memory"); \
    }
READ_REG(cr0, "cr0")
READ_REG(cr2, "cr2")
READ_REG(cr3, "cr3")
READ_REG(cr4, "cr4")
READ_REG(dr6, "dr6")
READ_REG(dr7, "dr7")
WRITE_REG(cr0, "cr0")
WRITE_REG(cr2, "cr2")
WRITE_REG(cr3, "cr3")
WRITE_REG(cr4, "cr4")
WRITE_REG(dr0, "dr0")
WRITE_REG(dr1, "dr1")
WRITE_REG(dr2, "dr2")
WRITE_REG(dr3, "dr3")
WRITE_REG(dr6, "dr6")
WRITE_REG(dr7, "dr7")

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("out %0, %1" : : "Nd"(port), "a"(value));
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("out %0, %1" : : "Nd"(port), "a"(value));
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("out %0, %1" : : "Nd"(port), "a"(value));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("in %0, %1" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t eflags(void)
{
    uint32_t value;
    __asm__ volatile("pushfd; pop %0" : "=r"(value));
    return value;
}

static inline void set_eflags(uint32_t value)
{
    __asm__ volatile("push %0; popfd" : : "r"(value) : "memory", "cc");
}

static inline void invlpg(uint32_t va)
{
    __asm__ volatile("invlpg [%0]" : : "r"(va) : "memory");
}

static inline void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint64_t value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint64_t value;
    __asm__ volatile("rdmsr" : "=A"(value) : "c"(msr));
    return value;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "A"(value), "c"(msr) : "memory");
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(0));
    return r;
}

/* Memory that code under test changes behind the compiler's back. */
static inline volatile uint32_t *mem32(uint32_t va)
{
    return (volatile uint32_t *)va;
}

static inline volatile uint8_t *mem8(uint32_t va)
{
    return (volatile uint8_t *)va;
}

#endif /* LIB_CPU_H */
