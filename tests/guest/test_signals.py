#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_signals.py TEST POPF ACCEL ELF: signals, the terminal, a debugger.

A guest goes on, or popf ends in an orderly way; the terminal is as it was.
"""
import ctypes
import fcntl
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import termios
import time

import guest
from guest import check

PASS = 33   # 0x10 through isa-debug-exit
KICK = 35   # the signal of popf's timer
PTRACE_CONT, PTRACE_ATTACH, PTRACE_DETACH = 7, 16, 17
# What a shell does while it is disturbed: processes, pages, pipes.
WORK = ("i=0; while [ $i -lt 400 ]; do /bin/true; i=$((i+1)); done; "
        "seq 1 20000 | sort -rn | md5sum; echo work done")
ANSWER = "d29c9b2130d81144350e794f0423148c"


class OnTerminal(guest.Machine):
    """A machine on a terminal of its own, whose other end is self.master."""

    def spawn(self, command, env, become):
        # A sanitizer's handlers would end popf in their own way.
        env = dict(os.environ if env is None else env, ASAN_OPTIONS=":".join(
            f"handle_{name}=0" for name in
            ("segv", "sigbus", "sigill", "sigfpe", "abort")))
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=self.folder,
            env=env, preexec_fn=own_terminal)
        self.slave = slave  # held open, so that the modes can be read later
        process.stdin = os.fdopen(os.dup(self.master), "wb", 0)
        process.stdout = os.fdopen(os.dup(self.master), "rb", 0)
        return process

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def until(self, condition, what, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            check(time.monotonic() < deadline, f"never: {what}")
            time.sleep(0.01)

    def drain(self):
        while select.select([self.master], [], [], 0.2)[0]:
            self.output += os.read(self.master, 65536)

    def wait(self, seconds):
        status = self.process.wait(seconds)
        self.drain()
        return status

    def close(self):
        super().close()
        os.close(self.slave)
        os.close(self.master)


def command(accel, *options):
    return ["{popf}", "-accel", accel, "-nographic", "-no-reboot",
            "-kernel", "{kernel}", *options]


def prompt(popf, accel, elf):
    machine = OnTerminal(command(accel, "-append", "prompt"),
                         {"popf": popf, "kernel": elf}, "popf on a terminal")
    machine.expect("selftest> ", 30)
    check(machine.is_raw(), "the terminal is not raw")
    return machine


def debian(popf, accel, label="popf"):
    """Debian at its shell."""
    kernel, initrd = guest.debian_guest("686")
    machine = guest.popf(popf, accel, {"kernel": kernel, "initrd": initrd},
                         "-m", "256", "-kernel", "{kernel}", "-initrd",
                         "{initrd}", "-append", "console=ttyS0 quiet")
    machine.label = label
    machine.expect("guest:~# ", 120)
    return machine


def finish(machine):
    """It still computes what it did before, and ends by itself."""
    machine.send("seq 1 20000 | sort -rn | md5sum; dmesg -n 1; dmesg | grep "
                 "-cE 'unstable|lockup|stall|BUG:|WARNING:|Oops|cut here'")
    machine.expect(ANSWER, 60)
    count = machine.expect(r"\n[0-9]+\r?\n", 60).strip()
    check(count == "0", f"{count} bad lines in the kernel's log")
    machine.send("poweroff -f")
    check(machine.wait(60) == 0, "did not power off")


def ends(popf, accel, elf):
    """What ends popf leaves the terminal as it was."""
    orderly = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    for number in orderly:
        with prompt(popf, accel, elf) as machine:
            machine.process.send_signal(number)
            status = machine.process.wait(10)
            machine.drain()
            check(status == 0, f"{number.name}: status {status}")
            check(f"terminating on signal {int(number)}" in machine.text(),
                  f"{number.name}: silent")
            check(machine.is_as_before(), f"{number.name}: terminal")
    fatal = [signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE,
             signal.SIGABRT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM,
             signal.SIGTRAP]
    for number in fatal:
        with prompt(popf, accel, elf) as machine:
            machine.process.send_signal(number)
            status = machine.process.wait(10)
            check(status == -number, f"{number.name}: status {status}")
            check(machine.is_as_before(), f"{number.name}: terminal")
    with prompt(popf, accel, elf) as machine:
        os.write(machine.master, b"\x01x")
        check(machine.process.wait(10) == 0, "Ctrl-A x: status")
        check(machine.is_as_before(), "Ctrl-A x: terminal")
    print(f"checks: {3 * len(orderly) + 2 * len(fatal) + 2}")


def stopped(machine):
    with open(f"/proc/{machine.process.pid}/stat", encoding="utf-8") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def stop(popf, accel, elf):
    """Stopped and continued, on a terminal and off it."""
    with prompt(popf, accel, elf) as machine:
        machine.process.send_signal(signal.SIGTSTP)
        machine.until(lambda: stopped(machine), "stopped")
        check(machine.is_as_before(), "raw while popf is stopped")
        machine.process.send_signal(signal.SIGCONT)
        machine.until(machine.is_raw, "raw again")
        for _ in range(100):
            machine.process.send_signal(signal.SIGSTOP)
            machine.process.send_signal(signal.SIGCONT)
        machine.send("poweroff")
        check(machine.wait(30) == 0, "did not power off")
    with debian(popf, accel) as machine:
        machine.send("cut -d. -f1 /proc/uptime")
        begin = int(machine.expect(r"\n[0-9]+\r?\n", 30))
        clock = time.monotonic()
        machine.process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        machine.process.send_signal(signal.SIGCONT)
        machine.send("sleep 1; cut -d. -f1 /proc/uptime")
        passed = int(machine.expect(r"\n[0-9]+\r?\n", 30)) - begin
        real = time.monotonic() - clock
        check(abs(passed - real) < 2.5, f"{passed} s passed in {real:.1f} s")
        machine.send(WORK)
        for _ in range(20):
            machine.process.send_signal(signal.SIGSTOP)
            time.sleep(0.005)
            machine.process.send_signal(signal.SIGCONT)
            time.sleep(0.02)
        machine.expect("\nwork done", 60)
        finish(machine)
    print("checks: 8")


def processor_time(machine):
    with open(f"/proc/{machine.process.pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lose_terminal(machine):
    os.close(machine.slave)
    machine.slave = os.open("/dev/null", os.O_RDONLY)
    for fd in (machine.process.stdin, machine.process.stdout):
        fd.close()
    os.close(machine.master)
    machine.master = os.open("/dev/null", os.O_RDONLY)


def hang_up(popf, accel, elf):
    """The terminal goes away: popf ends, or, told to stay, does not spin."""
    with prompt(popf, accel, elf) as machine:
        lose_terminal(machine)
        check(machine.process.wait(10) == 0, "status of a hang-up")
    kernel, initrd = guest.debian_guest("686")
    nohup = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh",
             *command(accel, "-initrd", "{initrd}", "-m", "256", "-append",
                      "console=ttyS0 quiet")]
    with OnTerminal(nohup, {"popf": popf, "kernel": kernel, "initrd": initrd},
                    "popf told to stay") as machine:
        machine.expect("guest:~# ", 120)
        lose_terminal(machine)
        time.sleep(0.5)
        begin = processor_time(machine)
        time.sleep(2)
        check(machine.process.poll() is None, "ended, though told to stay")
        used = processor_time(machine) - begin
        check(used < 0.5, f"{used:.2f} s of processor time in 2 s")
        machine.process.send_signal(signal.SIGTERM)
        check(machine.process.wait(10) == 0, "status of SIGTERM")
    print("checks: 4")


def eof(popf, accel, elf):
    """Nothing to read: the guest goes on; an idle guest costs nothing."""
    machine = guest.Machine(
        ["sh", "-c", "exec \"$@\" </dev/null", "sh",
         *command(accel, "-append", "prompt")],
        {"popf": popf, "kernel": elf}, "popf without input")
    with machine:
        machine.expect("selftest> ", 30)
        check(machine.process.poll() is None, "ended at the end of its input")
        machine.process.send_signal(signal.SIGTERM)
        check(machine.wait(10) == 0, "status of SIGTERM")
    kernel, initrd = guest.debian_guest("686")
    machine = guest.Machine(
        ["sh", "-c", "exec \"$@\" </dev/null", "sh",
         *command(accel, "-initrd", "{initrd}", "-m", "256", "-append",
                  "console=ttyS0 quiet popf.run=\"echo idle; sleep 2; "
                  "echo awake\"")],
        {"popf": popf, "kernel": kernel, "initrd": initrd}, "popf asleep")
    with machine:
        machine.expect("\nidle", 120)
        begin = processor_time(machine)
        machine.expect("\nawake", 60)
        used = processor_time(machine) - begin if machine.process.poll() is \
            None else 0
        check(used < 1, f"{used:.2f} s of processor time in 2 s of sleep")
        check(machine.wait(60) == 0, "did not power off")
    print("checks: 4")


def streams(popf, accel, elf):
    """Standard streams that are closed, full or without a reader."""
    tests = {
        "all closed": "<&- >&- 2>&-",
        "input closed": "<&-",
        "output closed": ">&-",
        "errors closed": "2>&-",
        "input and output closed": "<&- >&-",
        "a full disk": ">/dev/full 2>/dev/full",
        "an input that is an output": "<>/dev/null >&0",
    }
    self_test = command(accel, "-device",
                        "isa-debug-exit,iobase=0xf4,iosize=0x04")
    for name, streams_of in tests.items():
        machine = guest.Machine(
            ["sh", "-c", f"exec \"$@\" {streams_of}", "sh", *self_test],
            {"popf": popf, "kernel": elf}, f"popf with {name}")
        with machine:
            check(machine.wait(60) == PASS, f"{name}: the self-test failed")
    machine = guest.Machine(
        ["sh", "-c", "{{ \"$@\"; echo $? >&3; }} 3>&1 >/dev/full", "sh",
         *self_test, "-serial", "file:/dev/full"],
        {"popf": popf, "kernel": elf}, "popf with a full serial file")
    with machine:
        machine.wait(60)
        check(machine.text().strip().endswith(str(PASS)), "full serial file")
    machine = guest.Machine(
        ["sh", "-c", "{{ \"$@\"; echo $? >&2; }} | head -c 10", "sh",
         *self_test],
        {"popf": popf, "kernel": elf}, "popf without a reader")
    with machine:
        machine.wait(60)
        check(machine.text().strip().endswith(str(PASS)), "broken pipe")
    print(f"checks: {len(tests) + 2}")


def flood(popf, accel, elf):
    """Signals from outside, thousands of them, and all at once."""
    numbers = [KICK, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG,
               signal.SIGCHLD]
    with debian(popf, accel) as machine:
        machine.send(WORK)
        sent = 0
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            for number in numbers:
                os.kill(machine.process.pid, number)
                sent += 1
            time.sleep(0.0005)
        machine.expect("\nwork done", 60)
        finish(machine)
    check(sent > 1000, f"only {sent} signals")
    with debian(popf, accel) as machine:
        machine.send(WORK)
        for number in numbers * 20 + [signal.SIGTERM, signal.SIGINT,
                                      signal.SIGHUP, signal.SIGTERM]:
            os.kill(machine.process.pid, number)
        check(machine.wait(10) == 0, "status of many signals at once")
    print("checks: 3")


def queued(machine):
    with open(f"/proc/{machine.process.pid}/status", encoding="utf-8") as file:
        return [int(n) for n in
                re.search(r"SigQ:\t(\d+)/(\d+)", file.read()).groups()]


def queue(popf, accel, elf):
    """Its queue of signals is full, again and again: kicks still arrive."""
    full = 0
    kernel, initrd = guest.debian_guest("686")
    machine = guest.Machine(
        ["prlimit", "--sigpending=500:500",
         *command(accel, "-initrd", "{initrd}", "-m", "256", "-append",
                  "console=ttyS0 quiet")],
        {"popf": popf, "kernel": kernel, "initrd": initrd}, "popf flooded")
    with machine:
        machine.expect("guest:~# ", 120)
        pid = machine.process.pid
        machine.send(WORK)
        for _ in range(40):
            machine.process.send_signal(signal.SIGSTOP)
            while not stopped(machine):
                time.sleep(0.001)
            for number in [KICK, signal.SIGWINCH, signal.SIGURG] * 600:
                os.kill(pid, number)
            full += queued(machine)[0] >= queued(machine)[1]
            machine.process.send_signal(signal.SIGCONT)
            time.sleep(0.02)
        machine.expect("\nwork done", 120)
        finish(machine)
    # Other processes of the user share the limit: theirs may have just gone.
    check(full >= 30, f"the queue was full {full} times of 40")
    print("checks: 5")


def attach(libc, pid):
    """Attach as a debugger does; signals that come first go to popf."""
    check(libc.ptrace(PTRACE_ATTACH, pid, None, None) == 0, "cannot attach")
    while True:
        _, status = os.waitpid(pid, 0)
        check(os.WIFSTOPPED(status), f"ended under the debugger: {status:#x}")
        number = os.WSTOPSIG(status)
        if number == signal.SIGSTOP:
            return
        libc.ptrace(PTRACE_CONT, pid, None, number)


def debugger(popf, accel, elf):
    """A debugger comes and goes while the guest works."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                            ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    with debian(popf, accel) as machine:
        pid = machine.process.pid
        machine.send(WORK)
        for _ in range(100):
            attach(libc, pid)
            libc.ptrace(PTRACE_DETACH, pid, None, None)
            time.sleep(0.01)
        machine.expect("\nwork done", 60)
        # One that stays, and passes on every signal.
        machine.send(WORK)
        attach(libc, pid)
        libc.ptrace(PTRACE_CONT, pid, None, None)
        passed = 0
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            seen, status = os.waitpid(pid, os.WNOHANG)
            if seen:
                check(os.WIFSTOPPED(status), "ended under the debugger")
                libc.ptrace(PTRACE_CONT, pid, None, os.WSTOPSIG(status))
                passed += 1
        check(passed > 10, f"only {passed} signals under a debugger")
        os.kill(pid, signal.SIGSTOP)
        while True:
            _, status = os.waitpid(pid, 0)
            check(os.WIFSTOPPED(status), "ended under the debugger")
            if os.WSTOPSIG(status) == signal.SIGSTOP:
                break
            libc.ptrace(PTRACE_CONT, pid, None, os.WSTOPSIG(status))
        libc.ptrace(PTRACE_DETACH, pid, None, None)
        machine.expect("\nwork done", 60)
        finish(machine)
    print("checks: 103")


if __name__ == "__main__":
    sys.exit(guest.main({"ends": ends, "stop": stop, "hang_up": hang_up,
                         "eof": eof, "streams": streams, "flood": flood,
                         "queue": queue,
                         "debugger": debugger}, sys.argv[1:]))
