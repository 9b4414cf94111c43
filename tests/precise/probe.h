/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PRECISE_PROBE_H
#define TESTS_PRECISE_PROBE_H

/*
 * PURPOSE: breakpoints in the code memory of a translator's machine, and what
 * is done at them.
 *
 * A breakpoint is gone before the instruction under it runs, so that what runs
 * is what the translator made. One probe is in use at a time; it is the state
 * of the process's SIGTRAP handler.
 */
#include "guest.h"

/* Something done to the guest on its way: to the interpreter's it is done at
 * the same retired count. */
enum poke_kind {
    POKE_FLAGS, /* the arithmetic ones become value */
    POKE_ECX,   /* becomes value */
    POKE_IF,    /* becomes value */
    POKE_IRQ    /* IF is cleared, and an interrupt waits */
};

struct poke {
    uint64_t at; /* host address: a boundary */
    enum poke_kind kind;
    uint32_t value;
};

struct poked {
    uint64_t retired;
    enum poke_kind kind;
    uint32_t value;
};

/* Something the guest does not see. */
enum aid_kind {
    AID_NONE,
    AID_DETOUR, /* go to another host address, as a table lookup might */
    AID_RETURN, /* likewise, as a host return from an empty stack */
    AID_FLUSH,  /* empty the soft TLB */
    AID_DENY    /* let every check of a segment fail: the interpreter decides */
};

struct aid {
    uint64_t at;
    enum aid_kind kind;
    uint64_t to;
    uint32_t target; /* what r8d says is wanted */
};

enum event { EVENT_KICK, EVENT_FORGET, EVENT_CHANGE };

/* EVENT_CHANGE: what is done to which of the open pages. */
struct change {
    uint32_t clear;
    uint32_t set;
    uint32_t pages; /* a bit each */
};

#define POKES_MAX 128u

struct plan {
    const struct poke *pokes;
    unsigned poke_count;
    struct aid aid;
    uint64_t at; /* of the event */
    enum event event;
    struct change change;
};

/* What came of it. */
struct outcome {
    bool arrived;
    unsigned steps;   /* of the host, from a kick to a boundary */
    uint64_t retired; /* at arrival */
    struct poked poked[POKES_MAX];
    unsigned poked_count;
};

/* Pages whose entries a change may alter: data, then stack. */
#define DATA_PAGES (DATA_LEN / PAGE_SIZE)
#define OPEN_PAGES (DATA_PAGES + STACK_LEN / PAGE_SIZE)

/* Take SIGTRAP over from the engine; needs a machine with a translator to
 * exist. */
void probe_install(void);

/* Run the guest from where it is. The first arrival at each breakpoint counts;
 * with the event's all are gone. */
enum vcpu_exit probe_run(struct guest *g, const struct plan *plan,
                         struct outcome *outcome);

/* Run it with breakpoints at all these addresses. At the first arrival at each
 * the function gets its index, the guest's arithmetic flags and IF, and its ECX;
 * it may call probe_poke(). */
typedef void probe_fn(void *opaque, unsigned index, uint32_t flags,
                      uint32_t ecx);
struct watch {
    const uint64_t *at;
    unsigned count;
    probe_fn *fn;
    void *opaque;
};
enum vcpu_exit probe_watch(struct guest *g, const struct watch *watch,
                           struct outcome *outcome);
void probe_poke(const struct poke *poke);

/* Instructions retired at a host address where the guest is now. */
uint64_t probe_retired(const struct guest *g, uint64_t at);

void probe_change(struct guest *g, const struct change *change);

/* Do to a guest what was done to the translator's. */
void probe_apply(struct guest *g, const struct poked *poked);

#endif /* TESTS_PRECISE_PROBE_H */
