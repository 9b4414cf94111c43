/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* gettid, SIGEV_THREAD_ID */
#include "monitor/kick_timer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * No kick is lost. T is the time at which the timer will go off, or did with its
 * signal not handled yet, infinite if there is none. T <= armed, but inside
 * kick_timer_arm(), which is therefore right to do nothing when it is armed for
 * earlier.
 *
 *   - armed becomes UINT64_MAX in the handler, of which the hook's caller hears;
 *     all that is wanted is then armed anew.
 *   - It becomes smaller in kick_timer_arm() only, on this thread, which then
 *     sets the timer. Should the handler come in between, armed is UINT64_MAX,
 *     and the timer is set: the kick is there, and the timer's is one more. The
 *     other order would lose: the new time may have come and gone before it is
 *     written to armed, for ever.
 *   - The timer is set to be earlier than armed, or after the handler ran, when
 *     all is armed anew. If it goes off and is set before the signal is handled,
 *     Linux from 6.13 on drops the signal; but then the time that it is set for is
 *     over, too, or will be when that of the signal is armed again, and it goes
 *     off at once. Before 6.13 the one signal stands for both.
 *   - A timer that has gone off has its entry in the queue since timer_create()
 *     (POSIX "timer_create"; EAGAIN is for there): a full queue, whoever fills
 *     it, does not lose the signal, nor do signals of the same number, whose
 *     entries are apart. It is queued once; what goes off again meanwhile is an
 *     overrun of a signal still to come.
 *   - While the signal is blocked it waits.
 */
#define NS_PER_S 1000000000ull

#ifndef sigev_notify_thread_id
#    define sigev_notify_thread_id _sigev_un._tid
#endif

static void on_kick(int number, siginfo_t *info, void *ucontext)
{
    (void)number;
    if (info->si_code != SI_TIMER || info->si_value.sival_ptr == NULL)
        return; /* somebody else's kill(2) */
    struct kick_timer *timer = info->si_value.sival_ptr;

    timer->armed = UINT64_MAX;
    timer->hook(timer->opaque, ucontext);
}

int kick_timer_init(struct kick_timer *timer,
                    void (*hook)(void *opaque, void *ucontext), void *opaque)
{
    /* SA_ONSTACK: guest code may be running on a stack that is not C's. */
    struct sigaction action = {
        .sa_sigaction = on_kick,
        .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK,
    };
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = KICK_SIGNAL,
        .sigev_value.sival_ptr = timer,
    };

    event.sigev_notify_thread_id = gettid();
    *timer = (struct kick_timer){
        .armed = UINT64_MAX, .hook = hook, .opaque = opaque};
    sigfillset(&action.sa_mask);
    if (sigaction(KICK_SIGNAL, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer->id) != 0)
        return -errno;
    timer->created = true;
    return 0;
}

/* A signal that is already on its way still finds the timer: it is taken here,
 * before the timer's memory can go. */
void kick_timer_fini(struct kick_timer *timer)
{
    sigset_t kick;

    if (!timer->created)
        return;
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    timer_delete(timer->id);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    timer->created = false;
}

void kick_timer_arm(struct kick_timer *timer, uint64_t when)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(when / NS_PER_S),
                     .tv_nsec = (long)(when % NS_PER_S)},
    };

    if (!timer->created || when >= timer->armed)
        return;
    if (when == 0)
        spec.it_value.tv_nsec = 1; /* 0 would disarm */
    timer->armed = when;           /* first: see above */
    timer_settime(timer->id, TIMER_ABSTIME, &spec, NULL);
}
