/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "soak.h"

/*
 * Processes and threads: storms of fork, exec with long argument lists, pipes
 * through a chain of processes, threads that count under a lock and without.
 */
#define CHILDREN 12
#define WORDS    300
#define STAGES   4
#define NUMBERS  4000u
#define THREADS  4
#define TURNS    5000u

int soak_child(int argc, char **argv)
{
    unsigned sum = 0;

    for (int i = 3; i < argc; i++)
        sum += (unsigned)atoi(argv[i]);
    return argc - 3 == atoi(argv[2]) && sum == 300u * 299u / 2 ? 42 : 1;
}

static void exec_child(void)
{
    static char words[WORDS][8];
    static char *arguments[WORDS + 4] = {"/soak", "child", "300"};

    for (int i = 0; i < WORDS; i++) {
        snprintf(words[i], sizeof(words[i]), "%d", i);
        arguments[3 + i] = words[i];
    }
    execv("/proc/self/exe", arguments);
    _exit(127);
}

static bool wait_for(pid_t pid, int expected)
{
    int status = -1;

    return (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
            WEXITSTATUS(status) == expected) ||
           soak_fail("a child ended with status %#x", status);
}

/* A child that forks in turn, or becomes another program. */
static pid_t start(int number)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (number % 2)
        exec_child();
    pid = fork();
    if (pid == 0)
        _exit(number);
    _exit(wait_for(pid, number) ? number : 1);
}

bool soak_forks(void)
{
    pid_t pids[CHILDREN];
    bool good = true;

    for (int i = 0; i < CHILDREN; i++)
        pids[i] = start(i + 10);
    for (int i = 0; i < CHILDREN; i++)
        good &= wait_for(pids[i], i % 2 ? 42 : i + 10);
    return good;
}

/* Adds one to every number that passes. */
static void stage(FILE *from, FILE *to)
{
    uint32_t number;

    while (fread(&number, sizeof(number), 1, from) == 1) {
        number++;
        fwrite(&number, sizeof(number), 1, to);
    }
    fclose(to);
    _exit(0);
}

static void produce(int fd)
{
    FILE *to = fdopen(fd, "w");

    for (uint32_t i = 0; i < NUMBERS; i++) {
        uint32_t number = i * i;

        fwrite(&number, sizeof(number), 1, to);
    }
    fclose(to);
    _exit(0);
}

static bool consume(int fd)
{
    FILE *from = fdopen(fd, "r");
    uint32_t number, count = 0;
    bool good = true;

    while (good && fread(&number, sizeof(number), 1, from) == 1) {
        good = number == count * count + STAGES ||
               soak_fail("number %u of the pipe is %u", count, number);
        count++;
    }
    fclose(from);
    return good && (count == NUMBERS || soak_fail("%u numbers came", count));
}

bool soak_pipes(void)
{
    int in = -1;
    bool good;

    for (int i = 0; i <= STAGES; i++) {
        int ends[2];

        if (pipe(ends) != 0)
            return soak_fail("pipe");
        if (fork() == 0) {
            close(ends[0]);
            if (i == 0)
                produce(ends[1]);
            stage(fdopen(in, "r"), fdopen(ends[1], "w"));
        }
        close(ends[1]);
        if (in >= 0)
            close(in);
        in = ends[0];
    }
    good = consume(in);
    for (int i = 0; i <= STAGES; i++)
        wait(NULL);
    return good;
}

struct counters {
    pthread_mutex_t lock;
    uint32_t locked;
    uint32_t atomic;
};

static void *count(void *opaque)
{
    struct counters *counters = opaque;

    for (uint32_t i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&counters->lock);
        counters->locked++;
        pthread_mutex_unlock(&counters->lock);
        __atomic_fetch_add(&counters->atomic, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

bool soak_threads(void)
{
    struct counters counters = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, count, &counters) != 0)
            return soak_fail("pthread_create");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return (counters.locked == THREADS * TURNS &&
            counters.atomic == THREADS * TURNS) ||
           soak_fail("threads counted %u and %u", counters.locked,
                     counters.atomic);
}
