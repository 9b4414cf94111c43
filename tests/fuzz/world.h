/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

/*
 * PURPOSE: where hostile code lives: page tables of two address spaces in any
 * paging mode, data, stack, handlers; and the state it starts in.
 *
 * Page tables are mapped nowhere: a table that the guest changes without
 * flushing may act at any later time, and engines may differ. Code that loads
 * other tables, or another paging mode, makes its run *wild*: it must do no harm,
 * but is not compared.
 */
#include "tests/machine/machine.h"

/* Physical; linear is the same, but that DATA is at DATA_B in space B. */
#define ROOT_A   0x1000u
#define ROOT_B   0x8000u
#define KSTACK   0x8000u /* its page is the one before */
#define HANDLER  0x9000u /* of exceptions: HLT */
#define SWITCHER 0x9010u /* of INT 80h and interrupts: the other space */
#define CODE     0x10000u
#define CODE_LEN 0x3000u
#define DATA     0x20000u
#define STACK    0x30000u
#define IMAGE    0x40000u
#define DATA_B   0x40000u
#define DATA_LEN 0x8000u
#define USED     0x50000u  /* end of what is mapped page by page */
#define ALIAS    0x60000u  /* linear: the code, writable */
#define BIG      0x400000u /* a large page, RAM in part */
#define BIG_RAM  0x10000u

#define IRQ_VECTOR 0x20u

enum paging { FLAT, PAGING_32, PAGING_PSE, PAGING_PAE, PAGING_NX, PAGINGS };

struct setup {
    enum paging paging;
    bool user;
    bool count;
    bool write_protect; /* CR0.WP */
    bool global;        /* CR4.PGE */
    enum soft_mode soft;
};

struct setup setup_choose(void);

struct machine *world_machine(const struct setup *setup, bool bt);

/* A new image: tables and data. Returns where its code goes, CODE_LEN bytes that
 * are 0. */
uint8_t *world_build(const struct setup *setup);

/* Put both machines' RAM to the image, *wild: all of it. fresh: the translator
 * forgets everything, else it is told of each page. */
void world_load(struct machine *bt, struct machine *interp, bool wild,
                bool fresh);

/* Keep what a tame run may change of a machine's RAM, and bring it back. */
void world_save(const struct machine *m);
void world_restore(struct machine *m);

/* A linear address of code, anywhere. */
gip_t world_any_gip(const struct setup *setup);

/* A state to start in, at gip. */
void world_start(struct vcpu *vcpu, const struct setup *setup, gip_t gip);

/* Does the vcpu use the tables that the image has, as it has them? */
bool world_is_tame(const struct vcpu *vcpu, const struct setup *setup);

/* NULL when the memory that tame code can store to is the same, else its name;
 * *at: where. */
const char *world_differ(const struct machine *a, const struct machine *b,
                         uint32_t *at);

/* The physical address of an instruction, if it is in the image's code. */
uint32_t world_code_at(uint32_t eip);

#endif /* TESTS_FUZZ_WORLD_H */
