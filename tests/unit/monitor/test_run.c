/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "monitor/sample.h"
#include "monitor/vm.h"
#include "tests/suite/suite.h"

/*
 * No kick is lost: the run loop and the kick timer, as compiled, on a host whose
 * clock and timer are the test's. The signals are real.
 *
 * The engine is the test's, too. Whenever it is entered without a kick, the host
 * timer has to be set for when the run loop is wanted next, or earlier. Between
 * leaving it and entering it again the timer goes off at an instruction: in turn
 * at each that popf has there. Likewise inside each setting of the timer, with both
 * ways in which Linux treats what went off and was not told yet.
 */

#define EFL_TF    0x100
#define NONE      UINT64_MAX
#define PERIOD_NS 250000u /* of the guest's timer */
#define SOON_NS   30000u  /* times up to 7: when it asks for one more */
#define CALL_NS   40u     /* that a look at the clock takes */
#define NS_PER_S  1000000000ull

/* Check's own assertions write to a file, each of them. */
#define REQUIRE(x)                          \
    do {                                    \
        if (!(x))                           \
            ck_abort_msg("not so: %s", #x); \
    } while (0)

/* ---- The host ---- */

static struct {
    bool on; /* Check has a clock and a timer, too */
    uint64_t now;
    uint64_t expiry;    /* of the timer that exists */
    union sigval value; /* that its signal carries */
    bool drops;      /* setting a timer drops what it had queued: Linux 6.13 */
    uint64_t jumped; /* ns in this round */
    volatile unsigned in_kernel; /* not the subject of the test */
} host;

static void post(void)
{
    siginfo_t info = {.si_signo = KICK_SIGNAL, .si_code = SI_TIMER};
    sigset_t pending;

    sigpending(&pending);
    if (sigismember(&pending, KICK_SIGNAL))
        return; /* a timer has one entry in the queue */
    info.si_value = host.value;
    syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), KICK_SIGNAL, &info);
}

static void jump_to(uint64_t when)
{
    if (host.now < when) {
        host.jumped += when - host.now;
        host.now = when;
    }
}

/* The timer goes off, now or, if it is time, earlier. */
static void expire(void)
{
    if (host.expiry == NONE)
        return;
    jump_to(host.expiry);
    host.expiry = NONE;
    post();
}

static void pass(uint64_t ns)
{
    host.now += ns;
    if (host.now >= host.expiry)
        expire();
}

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    if (!host.on)
        return __real_clock_gettime(id, now);
    host.in_kernel++;
    pass(CALL_NS);
    now->tv_sec = (time_t)(host.now / NS_PER_S);
    now->tv_nsec = (long)(host.now % NS_PER_S);
    host.in_kernel--;
    return 0;
}

int __real_timer_create(clockid_t id, struct sigevent *event, timer_t *timer);
int __wrap_timer_create(clockid_t id, struct sigevent *event, timer_t *timer);
int __wrap_timer_create(clockid_t id, struct sigevent *event, timer_t *timer)
{
    if (!host.on)
        return __real_timer_create(id, event, timer);
    REQUIRE(id == CLOCK_MONOTONIC);
    REQUIRE(event->sigev_signo == KICK_SIGNAL);
    host.value = event->sigev_value;
    host.expiry = NONE;
    *timer = NULL;
    return 0;
}

/* Drop the signal that is queued, if it is. */
static void unqueue(void)
{
    static const struct timespec at_once;
    sigset_t kick, old;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &kick, &old);
    sigtimedwait(&kick, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int __real_timer_delete(timer_t timer);
int __wrap_timer_delete(timer_t timer);
int __wrap_timer_delete(timer_t timer)
{
    if (!host.on)
        return __real_timer_delete(timer);
    host.in_kernel++;
    host.expiry = NONE;
    if (host.drops)
        unqueue();
    host.in_kernel--;
    return 0;
}

static struct {
    struct vm *vm;
    struct clock_timer period, soon;
    unsigned fired;
    unsigned rounds;
    unsigned sleeps;
    unsigned samples;
} guest;

/* ---- Injection ---- */

/* Some rounds are single-stepped, to see which instructions popf has in them.
 * Then a breakpoint is written to each in turn, and the timer goes off there. */
#define IMAGE (1u << 25)
#define INT3  0xcc

extern uint8_t __executable_start[], etext[];

static uint8_t *const image = __executable_start;

static struct {
    uint8_t *seen;       /* by offset into the program */
    unsigned kind;       /* of rounds */
    bool recording;      /* in this test */
    bool stepping;       /* now */
    uint32_t at;         /* offset of the breakpoint; 0: none */
    uint8_t under;       /* what was there */
    bool planted;        /* it is there now */
    bool once;           /* end the rounds when it was met */
    bool settings;       /* in this test, at settings of the timer */
    unsigned in_setting; /* in how many; 0: not */
    unsigned long count;
} inject;

static void plant(bool on)
{
    if (inject.at == 0 || inject.planted == on)
        return;
    image[inject.at] = on ? INT3 : inject.under;
    inject.planted = on;
}

static bool is_popf(uint64_t rip)
{
    return rip >= (uint64_t)(uintptr_t)image &&
           rip < (uint64_t)(uintptr_t)etext && host.in_kernel == 0;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)number, (void)info;
    if (inject.planted) {
        plant(false);
        g[REG_RIP]--;
        if (host.in_kernel == 0 && host.expiry != NONE) {
            inject.at = 0;
            inject.count++;
            expire();
        }
        return;
    }
    if (inject.stepping && is_popf((uint64_t)g[REG_RIP]) && host.expiry != NONE)
        inject.seen[(uint64_t)g[REG_RIP] - (uint64_t)(uintptr_t)image] = 1;
    if (inject.stepping)
        g[REG_EFL] |= EFL_TF;
    else
        g[REG_EFL] &= ~(greg_t)EFL_TF;
}

static void begin_injection(void)
{
    inject.stepping = inject.recording;
    if (inject.recording)
        raise(SIGTRAP);
    else if (inject.settings)
        inject.in_setting = 1 + guest.rounds % 2;
    else
        plant(true);
}

static void end_injection(void)
{
    inject.stepping = false;
    inject.in_setting = 0;
    plant(false);
}

/* What goes off during the call is queued before the timer is set. */
int __real_timer_settime(timer_t timer, int flags,
                         const struct itimerspec *spec, struct itimerspec *old);
int __wrap_timer_settime(timer_t timer, int flags,
                         const struct itimerspec *spec, struct itimerspec *old);
int __wrap_timer_settime(timer_t timer, int flags,
                         const struct itimerspec *spec, struct itimerspec *old)
{
    bool queued = false;

    if (!host.on)
        return __real_timer_settime(timer, flags, spec, old);
    host.in_kernel++;
    REQUIRE(flags == TIMER_ABSTIME);
    if (inject.in_setting != 0 && host.expiry != NONE &&
        --inject.in_setting == 0) {
        inject.count++;
        jump_to(host.expiry);
        queued = true;
    }
    if (host.drops) {
        unqueue();
        queued = false;
    }
    host.expiry = (uint64_t)spec->it_value.tv_sec * NS_PER_S +
                  (uint64_t)spec->it_value.tv_nsec;
    if (host.expiry <= host.now) {
        host.expiry = NONE;
        queued = true;
    }
    if (queued)
        post();
    host.in_kernel--;
    return 0;
}

/* ---- The guest ---- */

/* An interrupt: it ends a HLT. */
static void fire(void *opaque)
{
    (void)opaque;
    guest.fired++;
    guest.vm->halted = false;
}

static void fire_again(void *opaque)
{
    fire(opaque);
    clock_arm(guest.vm->clock, &guest.period,
              guest.period.deadline + PERIOD_NS);
}

enum kind { COMPUTE, HALT, KINDS };

/* Sleep until there is a signal that the mask lets through, or to the end. */
int __wrap_ppoll(struct pollfd *fds, nfds_t count,
                 const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count,
                 const struct timespec *timeout, const sigset_t *mask)
{
    uint64_t ns;

    (void)count;
    host.in_kernel++;
    guest.sleeps++;
    REQUIRE(timeout);
    REQUIRE(sigismember(mask, KICK_SIGNAL));
    ns = (uint64_t)timeout->tv_sec * NS_PER_S + (uint64_t)timeout->tv_nsec;
    /* The guest is woken in time, unless the host was away. */
    REQUIRE(host.now + ns <=
            vm_next_deadline(guest.vm) + 16 * CALL_NS + host.jumped);
    pass(ns);
    fds->revents = 0;
    host.in_kernel--;
    return 0;
}

/* The machines of a sample kick, too, and take long. */
static unsigned sample_kicks;

static void on_sample_kick(void *opaque, void *ucontext)
{
    (void)opaque, (void)ucontext;
    sample_kicks++;
}

bool __wrap_sampler_is_due(const struct sampler *sampler, uint64_t now);
bool __wrap_sampler_is_due(const struct sampler *sampler, uint64_t now)
{
    (void)sampler, (void)now;
    return inject.kind == COMPUTE;
}

bool __wrap_sampler_take(struct sampler *sampler, const struct vm *vm,
                         const char **why);
bool __wrap_sampler_take(struct sampler *sampler, const struct vm *vm,
                         const char **why)
{
    static struct kick_timer timer;

    (void)sampler;
    *why = NULL;
    guest.samples++;
    REQUIRE(!vm->timer.created);
    REQUIRE(kick_timer_init(&timer, on_sample_kick, NULL) == 0);
    kick_timer_arm(&timer, host.now + 100);
    pass(1000);
    kick_timer_arm(&timer, host.now + 1000000);
    kick_timer_fini(&timer);
    return true;
}

/* ---- The engine ---- */

static int engine_create(struct vm *vm, void **out)
{
    *out = vm;
    return 0;
}

static void engine_destroy(void *engine)
{
    (void)engine;
}

/* The kick is there or will come, in time. */
static void check_timer(const struct vm *vm)
{
    REQUIRE(host.expiry <= vm->tick);
    REQUIRE(host.expiry <= vm_next_deadline(vm));
}

/* What the guest does before it is kicked, or halts. */
static void run_guest(struct vm *vm)
{
    begin_injection();
    host.in_kernel--;
    clock_arm(vm->clock, &guest.soon,
              clock_now(vm->clock) + guest.rounds % 8 * SOON_NS);
    host.in_kernel++;
    if (!vm->vcpu.kick && inject.kind == COMPUTE) {
        end_injection();
        check_timer(vm);
        expire();
        REQUIRE(vm->vcpu.kick);
        begin_injection();
    }
    if (guest.rounds % 3 == 0)
        vm->tick = 0; /* look at the terminal */
}

static enum vcpu_exit engine_run(void *opaque, uint64_t budget)
{
    struct vm *vm = opaque;
    enum vcpu_exit exit = VCPU_EXIT_INTR;

    (void)budget;
    host.in_kernel++;
    end_injection();
    host.jumped = 0;
    host.drops = guest.rounds % 5 < 2;
    if (!vm->vcpu.kick) {
        check_timer(vm);
        if (guest.rounds-- == 0 || (inject.once && inject.at == 0))
            vcpu_stop(&vm->vcpu, STOP_QUIT, "enough");
        else
            run_guest(vm);
        exit = inject.kind == HALT ? VCPU_EXIT_HLT : VCPU_EXIT_INTR;
    }
    host.in_kernel--;
    return exit;
}

static const struct engine_ops engine = {
    .name = "test",
    .create = engine_create,
    .destroy = engine_destroy,
    .run = engine_run,
};

/* ---- The tests ---- */

static void take_over_traps(void)
{
    struct sigaction action = {.sa_sigaction = on_trap,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)image & ~(page - 1);

    sigfillset(&action.sa_mask);
    sigaction(SIGTRAP, &action, NULL);
    inject.seen = calloc(1, IMAGE);
    ck_assert_ptr_nonnull(inject.seen);
    ck_assert_uint_lt((uintptr_t)(etext - __executable_start), IMAGE);
    ck_assert_int_eq(mprotect((void *)first, (uintptr_t)etext - first,
                              PROT_READ | PROT_WRITE | PROT_EXEC),
                     0);
}

static void create(void)
{
    struct load_error error;
    struct config config;

    config_init(&config);
    config.engine = &engine;
    config.ram_len = 4 * (uint64_t)MIB;
    config.sample.seconds = 1;
    host.on = true;
    host.now = NS_PER_S;
    host.expiry = NONE;
    guest.vm = vm_create(&config, &error);
    ck_assert_msg(guest.vm, "%s", error.text);
    guest.period.fire = fire_again;
    guest.soon.fire = fire;
    clock_arm(guest.vm->clock, &guest.period, PERIOD_NS);
}

static void run_rounds(unsigned rounds)
{
    struct vm *vm = guest.vm;

    guest.rounds = rounds;
    vm->stop = (struct stop){0};
    vm_run(vm);
    ck_assert_str_eq(vm->stop.text, "enough");
}

static void prepare(int i)
{
    inject.kind = (unsigned)i;
    create();
}

static void finish(void)
{
    ck_assert_uint_gt(guest.fired, 100);
    if (inject.kind == HALT)
        ck_assert_uint_gt(guest.sleeps, 50);
    else
        ck_assert_uint_gt(guest.samples, 100);
    vm_destroy(guest.vm);
    host.on = false;
}

/* Rounds that are single-stepped: enough to have seen most that one may be; and
 * which of the places are used. With sanitizers there are many more. */
#if defined(__SANITIZE_ADDRESS__)
#    define ROUNDS 15u
#    define STRIDE 8u
#else
#    define ROUNDS 48u
#    define STRIDE 1u
#endif

START_TEST(a_kick_at_any_instruction_of_the_run_loop_is_not_lost)
{
    unsigned places = 0;
    unsigned seen = 0;

    take_over_traps();
    prepare(_i);
    inject.recording = true;
    run_rounds(ROUNDS);
    inject.recording = false;
    for (uint32_t at = 0; at < IMAGE; at++) {
        if (!inject.seen[at] || seen++ % STRIDE != 0)
            continue;
        places++;
        inject.at = at;
        inject.under = image[at];
        inject.once = true;
        run_rounds(96);
        inject.at = 0;
    }
    printf("kicks=%lu places=%u\n", inject.count, places);
    ck_assert_uint_gt(inject.count, 100);
    ck_assert_uint_ge(inject.count + places / 20, places);
    finish();
}
END_TEST

START_TEST(a_kick_while_the_timer_is_set_anew_is_not_lost)
{
    prepare(_i);
    inject.settings = true;
    run_rounds(2000);
    ck_assert_uint_gt(inject.count, 50);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run");
    TCase *tcase = tcase_create("kicks");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(
        tcase, a_kick_at_any_instruction_of_the_run_loop_is_not_lost, 0, KINDS);
    tcase_add_loop_test(tcase, a_kick_while_the_timer_is_set_anew_is_not_lost,
                        0, KINDS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
