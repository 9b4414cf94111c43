/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_CODE_H
#define DEBUG_CODE_H

/*
 * PURPOSE: put a random program together. Each part is a handful of instructions
 * that need nothing of what is in front of them; ESP is known everywhere, and
 * every instruction is executed once.
 */
#include "debug.h"

extern struct program *put_in; /* the program that is made */
extern uint32_t put_esp;       /* ESP behind its last instruction */

enum { EAX, ECX, EDX, ESI = 6, EDI };

/* Append an instruction. */
struct op *put_bytes(enum op_kind kind, const char *bytes, uint32_t len);
#define PUT(kind, bytes) put_bytes(kind, bytes, sizeof(bytes) - 1)
/* More bytes of the last one. */
void put_u32(uint32_t value);
/* mov reg, value */
void put_mov(uint8_t reg, uint32_t value);

/* What the instruction does to memory, or to memory and ESP, in this order. */
void put_touch(struct op *op, enum touch_base base, uint32_t at, uint32_t size,
               bool write);
void put_pushes(struct op *op, uint32_t size);
void put_pops(struct op *op, uint32_t size);

/* The address behind the last instruction. */
uint32_t put_here(void);
/* Bytes on the stack. */
uint32_t put_depth(void);
bool put_may_touch_if(void);
/* For an access of this size: in a few bytes around a page's end, so that
 * breakpoints are met often, by one address or another; or in a page on demand. */
uint32_t put_address(uint32_t size);

uint32_t debug_random_dr7(void);

/* debug_memory.c */
void part_accesses(void);
void part_segment(void);
void part_string(void);

/* debug_parts.c */
void part_pushes(void);
void part_pops(void);
void part_call(void);
void part_return(void);
void part_jump(void);
void part_frame(void);
void part_interrupt(void);
void part_fault(void);
void part_flags(void);
void part_if(void);
void part_lss(void);
void part_ss(void);
void part_port(void);
void part_dr7(void);

#endif /* DEBUG_CODE_H */
