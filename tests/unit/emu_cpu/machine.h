/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_EMU_CPU_MACHINE_H
#define TESTS_UNIT_EMU_CPU_MACHINE_H

/*
 * PURPOSE: the smallest machine that an interpreter runs in: RAM, one page of
 * ROM, MMIO above, ports that remember. Flat protected mode at CPL 0, paging
 * off, at MACHINE_CODE with ESP at MACHINE_STACK.
 */
#include "emu/cpu/interp_priv.h"

#define MACHINE_RAM   (4u * MIB)
#define MACHINE_ROM   (MACHINE_RAM - PAGE_SIZE) /* the last page of it */
#define MACHINE_MMIO  MACHINE_RAM
#define MACHINE_CODE  0x10000u
#define MACHINE_DATA  0x20000u
#define MACHINE_STACK 0x30800u

struct machine {
    struct vcpu vcpu;
    struct interp *interp;
    struct stop stop;
    struct stats stats;
    uint8_t *ram;
    uint8_t flags[MACHINE_RAM / PAGE_SIZE];
    gpa_t stored_gpa; /* last ram_stored() */
    unsigned stored_len;
    unsigned stored_count;
    gpa_t mmio_gpa; /* last MMIO access */
    unsigned mmio_size;
    uint64_t mmio_value; /* last written; what is read next */
    uint16_t port;       /* last port access */
    uint32_t port_value;
    unsigned port_count;
    bool ferr_on_pin;  /* what set_ferr() was told last */
    bool kick_on_port; /* a port access kicks the vcpu */
};

struct machine *machine_create(void);
void machine_destroy(struct machine *m);

/* Copy code or data into RAM at a physical address. */
void machine_put(struct machine *m, uint32_t gpa, const void *bytes,
                 size_t len);
void machine_put32(struct machine *m, uint32_t gpa, uint32_t value);
void machine_put64(struct machine *m, uint32_t gpa, uint64_t value);
uint32_t machine_get32(const struct machine *m, uint32_t gpa);

/* Put code at eip and run one instruction of it. */
enum vcpu_exit machine_exec(struct machine *m, const char *bytes, size_t len);
#define EXEC(m, bytes) machine_exec((m), (bytes), sizeof(bytes) - 1)

/* Become CPL 3 with flat segments. */
void machine_user(struct machine *m);

#endif /* TESTS_UNIT_EMU_CPU_MACHINE_H */
