/* SPDX-License-Identifier: MIT */
/* forks N: fork and exec this program N times, one after the other, and print
 * how many children came back with the status they were told. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int run_child(char *self, int number)
{
    char status[16];
    char *arguments[] = {self, "-", status, NULL};
    int result;
    pid_t pid;

    snprintf(status, sizeof(status), "%d", number & 63);
    pid = fork();
    if (pid == 0) {
        execv(self, arguments);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &result, 0) != pid)
        return 0;
    return WIFEXITED(result) && WEXITSTATUS(result) == (number & 63);
}

int main(int argc, char **argv)
{
    int good = 0;

    if (argc == 3)
        return atoi(argv[2]);
    if (argc != 2)
        return 2;
    for (int i = 0; i < atoi(argv[1]); i++)
        good += run_child(argv[0], i);
    printf("%d\n", good);
    return 0;
}
