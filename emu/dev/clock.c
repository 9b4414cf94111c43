/* SPDX-License-Identifier: MIT */
#include "emu/dev/clock.h"

#include <errno.h>
#include <stdlib.h>

#include "emu/dev/state.h"

/*
 * Armed timers form one list by deadline; equal deadlines fire in the order in
 * which they were armed. A board has a handful of timers, so a list is enough.
 */
struct clock {
    uint64_t (*source)(void *opaque);
    void *opaque;
    uint64_t last;  /* what clock_now() returned last: time never goes back */
    uint64_t turns; /* given to timers so far */
    unsigned holds; /* clock_hold() calls that were not released */
    bool told;      /* since the first of them */
    int64_t base;
    struct clock_timer *first;
    void (*earlier)(void *opaque);
    void *listener;
};

#define STATE_OF struct clock
static const struct state_field clock_fields[] = {
    STATE_FIELD(last),   STATE_FIELD(turns),   STATE_FIELD(base),
    STATE_SKIP(source),  STATE_SKIP(opaque),   STATE_SKIP(first),
    STATE_SKIP(earlier), STATE_SKIP(listener), STATE_SKIP(holds),
    STATE_SKIP(told),
};
const struct state_table clock_state = STATE_TABLE("clock", clock_fields);
#undef STATE_OF

int clock_create(struct clock **out, uint64_t (*now)(void *opaque),
                 void *opaque)
{
    struct clock *clock = calloc(1, sizeof(*clock));
    if (clock == NULL)
        return -ENOMEM;
    clock->source = now;
    clock->opaque = opaque;
    *out = clock;
    return 0;
}

void clock_destroy(struct clock *clock)
{
    free(clock);
}

uint64_t clock_now(struct clock *clock)
{
    if (clock->holds != 0 && clock->told)
        return clock->last;
    uint64_t now = clock->source(clock->opaque);
    if (now > clock->last)
        clock->last = now;
    clock->told = true;
    return clock->last;
}

void clock_hold(struct clock *clock)
{
    if (clock->holds++ == 0)
        clock->told = false;
}

void clock_release(struct clock *clock)
{
    clock->holds--;
}

void clock_set_base(struct clock *clock, int64_t unix_seconds)
{
    clock->base = unix_seconds;
}

int64_t clock_base(const struct clock *clock)
{
    return clock->base;
}

static void unlink_timer(struct clock *clock, struct clock_timer *timer)
{
    struct clock_timer **link = &clock->first;
    while (*link != NULL && *link != timer)
        link = &(*link)->next;
    if (*link == timer)
        *link = timer->next;
    timer->next = NULL;
    timer->armed = false;
}

static void link_timer(struct clock *clock, struct clock_timer *timer,
                       uint64_t deadline, uint64_t turn)
{
    struct clock_timer **link = &clock->first;
    while (*link != NULL &&
           ((*link)->deadline < deadline ||
            ((*link)->deadline == deadline && (*link)->turn < turn)))
        link = &(*link)->next;
    timer->deadline = deadline;
    timer->turn = turn;
    timer->armed = true;
    timer->next = *link;
    *link = timer;
}

void clock_arm(struct clock *clock, struct clock_timer *timer,
               uint64_t deadline)
{
    if (timer->armed && timer->deadline == deadline)
        return;
    uint64_t before = clock_next(clock);
    if (timer->armed)
        unlink_timer(clock, timer);
    link_timer(clock, timer, deadline, clock->turns++);
    if (deadline < before && clock->earlier != NULL)
        clock->earlier(clock->listener);
}

void clock_restore_timer(struct clock *clock, struct clock_timer *timer,
                         uint64_t deadline, uint64_t turn)
{
    clock_disarm(clock, timer);
    link_timer(clock, timer, deadline, turn);
}

void clock_disarm(struct clock *clock, struct clock_timer *timer)
{
    if (timer->armed)
        unlink_timer(clock, timer);
}

uint64_t clock_next(const struct clock *clock)
{
    return clock->first != NULL ? clock->first->deadline : UINT64_MAX;
}

void clock_set_listener(struct clock *clock, void (*earlier)(void *opaque),
                        void *opaque)
{
    clock->earlier = earlier;
    clock->listener = opaque;
}

/* A timer that re-arms itself in the past waits for the next call: one call
 * fires at most as many timers as were armed when it began. */
static void fire_due(struct clock *clock, uint64_t now)
{
    unsigned count = 0;
    for (struct clock_timer *t = clock->first; t != NULL && t->deadline <= now;
         t = t->next)
        count++;
    for (; count > 0; count--) {
        struct clock_timer *timer = clock->first;
        if (timer == NULL || timer->deadline > now)
            return;
        unlink_timer(clock, timer);
        timer->fire(timer->opaque);
    }
}

void clock_run(struct clock *clock)
{
    clock_hold(clock);
    fire_due(clock, clock_now(clock));
    clock_release(clock);
}
