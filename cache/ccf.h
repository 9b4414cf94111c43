/* SPDX-License-Identifier: MIT */
#ifndef CACHE_CCF_H
#define CACHE_CCF_H

/*
 * PURPOSE: a compiled code fragment (CCF): the host code of one TU and the
 * tables that go with it.
 *
 *   entry:  r8d is compared with the TU's gip; unequal goes to the miss stub
 *   body:   the code; direct exits chain to another CCF's body
 *   stubs:  one per direct exit, where it leads until it is chained, and a
 *           jump through the lookup table, where it leads if it cannot be
 *
 * An invalidated CCF is dead: its entry and its return sites are overwritten
 * with jumps to the lookup, nothing is chained to it, no table finds it. Its
 * memory is reused only when its whole region is. Until then it may be on the
 * shelf, and come back to life when its source bytes do.
 */
#include "monitor/base.h"

struct ccf;

/*
 * Where the guest is at a host instruction. From host_offset up to the next
 * point, guest ESP is r12 + esp_delta and the instruction executing is at
 * gip_offset; exactly at host_offset the guest is between two instructions.
 */
struct ccf_point {
    uint32_t host_offset; /* from the CCF's start */
    uint16_t gip_offset;  /* from the TU's gip */
    int16_t esp_delta;
    uint16_t uncounted; /* instructions of its block, this one included,
                           * that the block's head counted in advance */
    uint8_t flags;      /* POINT_* */
};
#define POINT_FPU  BIT(0) /* the instruction reads or writes the FPU */
#define POINT_SOFT BIT(1) /* its operand is not in the window */

enum exit_kind {
    EXIT_JUMP,    /* to target: chainable, or looked up */
    EXIT_CALL,    /* as JUMP, entered by a host call */
    EXIT_STEP,    /* the interpreter runs the instruction at target; if it
                  * falls through, the CCF goes on at resume_offset */
    EXIT_LOOKUP,  /* r8d is the target; of the common stubs only */
    EXIT_MISS,    /* of the common stubs only: the soft TLB lacks address r8d;
                  * vcpu->soft_pc is in the instruction that accesses it */
    EXIT_DENIED,  /* likewise: a segment does not allow an access */
    EXIT_CHANGED, /* its source, from target on, is not what it was */
    EXIT_CANCEL,  /* of the world switch only: not entered, a kick pends */
    /* Made by signal handlers; the guest's state is saved already. */
    EXIT_KICK,    /* at an instruction boundary */
    EXIT_EXC,     /* vcpu->exc is filled */
    EXIT_EMULATE, /* the interpreter is to run the instruction */
    EXIT_SOFT     /* likewise, and the site will keep trapping */
};

/* A way out of a CCF. Its address is in r9 when the world switch is entered. */
struct ccf_exit {
    struct ccf *ccf;
    enum exit_kind kind;
    gip_t target;
    bool memory;            /* STEP: the instruction has a memory operand */
    bool uses_fpu;          /* STEP: the instruction reads or writes the FPU */
    uint32_t rel_offset;    /* of the rel32 that chaining patches */
    uint32_t stub_offset;   /* where the rel32 points when unchained */
    uint32_t table_offset;  /* where it points if it cannot be; 0: it can */
    uint32_t resume_offset; /* STEP: next host instruction; 0: none */
    uint16_t uncounted;     /* STEP: instructions of its block not done yet,
                             * this one included */
    gip_t resume_gip;       /* STEP: the gip it stands for */
    struct ccf *chained;    /* the CCF it is chained to, or NULL */
    bool tabled;            /* it leads to table_offset, for good */
    struct ccf_exit *next;  /* in chained's list of incoming exits */
    struct ccf_exit *prev;
    struct ccf_exit *page_next; /* among the chains that cross into a page */
    struct ccf_exit *page_prev;
};

/* A range of a frame that the TU was read from, in that frame's list. */
struct ccf_source {
    struct ccf *ccf;
    gfn_t gfn;
    uint32_t start; /* bytes [start, end) of the frame */
    uint32_t end;
    uint8_t *bytes; /* what was read there, or NULL */
    struct ccf_source *next;
    struct ccf_source *prev;
};

struct ccf {
    gip_t gip;
    uint32_t mode;
    struct ccf_source source[2]; /* where its TU was read */
    uint32_t source_count;       /* 2: one instruction that crosses a page */
    uint32_t insn_count;
    uint64_t entry; /* executable addresses */
    uint64_t body;
    uint64_t start;
    uint32_t host_len;
    bool dead;
    bool
        checked; /* its body compares its source bytes itself, in its frame: that
                   * is not traced, and no other can take it over */
    bool shelved; /* dead, but tc_take_back() finds it */

    struct ccf_point *points; /* sorted by host_offset */
    uint32_t point_count;
    struct ccf_exit *exits;
    uint32_t exit_count;
    uint32_t *return_sites; /* host offsets */
    uint32_t return_count;

    struct ccf_exit *incoming; /* exits chained to this CCF */
    struct ccf *hash_next;

    uint8_t *saved;      /* on the shelf: what death overwrote */
    uint64_t bytes_hash; /* on the shelf: of the source bytes */
    struct ccf *shelf_next;
    struct ccf *shelf_prev;
};

#endif /* CACHE_CCF_H */
