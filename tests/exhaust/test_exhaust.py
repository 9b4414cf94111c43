#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_exhaust.py TEST POPF SHIM ELF: the host runs out of something.

popf is slower then, or ends with one clear line and status 1; its guest never
sees anything wrong, and it never crashes.
"""
import json
import os
import pathlib
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "guest"))
import guest  # noqa: E402  (found through the line above)
from guest import check  # noqa: E402

TIMEOUT = 120
PASS = 33  # 0x10 through isa-debug-exit
EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]


def tiny_kernel(folder):
    """A Multiboot image that leaves at once, by isa-debug-exit."""
    code = b"\x66\xba\xf4\x00\xb0\x10\xee\xf4"
    flags, load = 1 << 16, 0x100000
    header = struct.pack("<8I", 0x1badb002, flags,
                         -(0x1badb002 + flags) & 0xffffffff, load, load, 0, 0,
                         load + 32)
    path = pathlib.Path(folder) / "tiny"
    path.write_bytes(header + code)
    return path


def run(popf, kernel, *options, env=None, limits=None):
    """Exit status, the last words, and the number of calls that were seen."""
    reader, writer = os.pipe()
    env = dict(env or {}, FAIL_REPORT=str(writer))

    def confine():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for limit, value in (limits or {}).items():
            resource.setrlimit(limit, (value, value))

    process = subprocess.run(
        [popf, "-kernel", kernel, "-display", "none", "-no-reboot", "-serial",
         "null", *EXIT, *options], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=TIMEOUT,
        env=env, pass_fds=[writer], preexec_fn=confine, check=False)
    os.close(writer)
    calls = os.read(reader, 64)
    os.close(reader)
    return process.returncode, process.stderr.decode(), int(calls or b"0")


def judge(what, status, words):
    """Survived, or given up in an orderly way."""
    if status == PASS:
        check(words == "", f"{what}: passed, but said {words!r}")
        return True
    check(status == 1, f"{what}: status {status}: {words}")
    check(re.fullmatch(r"popf: [^\n]+\n", words) and "internal" not in words,
          f"{what}: not one clear line: {words!r}")
    return False


def failing(shim, calls, first, count=1, every=1):
    return {"LD_PRELOAD": shim, "FAIL_CALLS": calls, "FAIL_AT": str(first),
            "FAIL_COUNT": str(count), "FAIL_EVERY": str(every)}


def set_up(popf, shim, _elf):
    """Each call of a start and an end fails, alone and with all that follow."""
    checks = survived = 0
    with tempfile.TemporaryDirectory() as folder:
        kernel = tiny_kernel(folder)
        for calls in ("malloc", "mmap", "mprotect", "munmap", "memfd",
                      "ftruncate", "madvise", "ioctl"):
            status, words, total = run(popf, kernel,
                                       env=failing(shim, calls, 1 << 40))
            check(status == PASS, f"{calls}: undisturbed: {status} {words}")
            for count in (1, 1 << 40):
                for first in range(total):
                    status, words, _ = run(
                        popf, kernel, env=failing(shim, calls, first, count))
                    survived += judge(f"{calls} {first} of {total}, {count}",
                                      status, words)
                    checks += 1
            print(f"{calls}: {total} calls")
    print(f"{survived} of {checks} survived")
    check(0 < survived < checks, "the shim does nothing")
    print(f"checks: {checks}")


def run_time(popf, shim, elf):
    """Calls fail while the self-test runs: one, some, or all from then on."""
    seed = int(os.environ.get("SEED", random.SystemRandom().getrandbits(32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    checks = survived = 0
    for calls in ("malloc", "mmap", "mprotect", "munmap", "madvise", "ioctl",
                  "malloc,mmap,mprotect,munmap,madvise,ioctl"):
        status, words, total = run(popf, elf, env=failing(shim, calls, 1 << 40))
        check(status == PASS, f"{calls}: undisturbed: {status} {words}")
        if total == 0:
            continue
        # Every instruction without memory for its code is slow.
        end = 3000 if "malloc" in calls else 1 << 40
        ways = [(1, 1), (50, 1), (end, 7), (end, 2), (end, 1)]
        if "EXHAUST_ALL" not in os.environ:
            ways = chance.sample(ways, 2)
        for count, every in ways:
            first = chance.randrange(total)
            status, words, _ = run(
                popf, elf, env=failing(shim, calls, first, count, every))
            survived += judge(f"{calls} from {first} of {total}, {count} "
                              f"every {every}", status, words)
            checks += 1
    print(f"{survived} of {checks} survived")
    print(f"checks: {checks}")


def scattered(popf, shim, elf):
    """A gigabyte of pages apart, and hardly a mapping to be had for them."""
    for maps in ("1000", "1000000"): # the host has less than a million
        status, words, _ = run(
            popf, elf, "-m", "160", "-append", "storm seed=1", "-accel",
            "bt,soft=none", "--stats=json",
            env={"LD_PRELOAD": shim, "FAIL_MAPS": maps})
        check(status == PASS, f"max_map_count {maps}: {status} {words}")
        counters = json.loads(words)["counters"]
        print(f"max_map_count {maps}: windows emptied "
              f"{counters['vma_evictions']} times, {counters['vmas']} VMAs")
        check(counters["vma_evictions"] > 0 or maps != "1000",
              "a thousand was enough")


def stress(popf, shim, elf):
    """Calls fail while guests make trouble that they check."""
    seed = int(os.environ.get("SEED", random.SystemRandom().getrandbits(32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    checks = survived = 0
    for test in ("paging", "smc", "events", "fpu"):
        guest_options = ("-append", f"{test} seed={seed} rounds=3", "-m", "32",
                         "-accel", "bt,soft=none")
        for calls in ("malloc", "mmap", "mprotect,munmap", "madvise,ioctl"):
            status, words, total = run(popf, elf, *guest_options,
                                       env=failing(shim, calls, 1 << 40))
            check(status == PASS, f"{test} undisturbed: {status} {words}")
            first = chance.randrange(max(total, 1))
            count, every = chance.choice([(1, 1), (50, 1), (3000, 7)])
            status, words, _ = run(
                popf, elf, *guest_options,
                env=failing(shim, calls, first, count, every))
            survived += judge(f"{test}: {calls} from {first} of {total}, "
                              f"{count} every {every}", status, words)
            checks += 1
    print(f"{survived} of {checks} survived")
    scattered(popf, shim, elf)
    print(f"checks: {checks + 4}")


def limits(popf, shim, elf):
    """Limits of the process: address space, files, pending signals, VMAs."""
    checks = 0
    with tempfile.TemporaryDirectory() as folder:
        kernel = tiny_kernel(folder)
        cases = [(resource.RLIMIT_AS, n << 20) for n in
                 (32, 64, 128, 200, 256, 300, 400, 600, 1000, 600000)]
        cases += [(resource.RLIMIT_NOFILE, n) for n in range(4, 16)]
        cases += [(resource.RLIMIT_FSIZE, n) for n in
                  (0, 4096, 1 << 20, 1 << 26, 1 << 30)]
        cases += [(resource.RLIMIT_DATA, n << 20) for n in (1, 8, 64)]
        cases += [(resource.RLIMIT_STACK, n << 10) for n in (64, 256)]
        cases += [(resource.RLIMIT_SIGPENDING, n) for n in (0, 1)]
        for limit, value in cases:
            status, words, _ = run(popf, kernel, limits={limit: value})
            if status == 127:
                continue  # the program loader could not even load it
            judge(f"limit {limit} at {value}", status, words)
            checks += 1
    status, words, _ = run(popf, elf, limits={resource.RLIMIT_SIGPENDING: 1})
    judge("one pending signal", status, words)
    for maps in ("", "1", "1000", "17000"):
        status, words, _ = run(popf, elf, env={"LD_PRELOAD": shim,
                                               "FAIL_MAPS": maps})
        check(status == PASS, f"max_map_count '{maps}': {status} {words}")
    print(f"checks: {checks + 5}")


# Megabytes of popf's own, as docs/ARCHITECTURE.md states it: without guest RAM
# and for a translation cache of 16 MiB.
CACHE = 16
BOUND = 4 * CACHE + 96
SESSION = ("i=0; while [ $i -lt 600 ]; do /bin/true; i=$((i+1)); done; "
           "find / -xdev | sort | gzip -c | gunzip -c | md5sum; "
           "seq 1 20000 | awk '{{ a[$1] = $1 * 2 }} END {{ print a[7] }}'; "
           "(sleep 1 & sleep 1 & sleep 1 & wait); dd if=/dev/zero of=/tmp.0 "
           "bs=1M count=60 2>/dev/null; cp /tmp.0 /tmp.1; rm /tmp.0 /tmp.1; "
           "echo session done")


def own_memory(pid):
    """MiB that are popf's alone, guest RAM left out; and the page tables."""
    own = 0
    counted = False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counted = "memfd:popf-ram" not in line
            elif counted and re.match("(Pss|Swap):", line):
                own += int(line.split()[1])
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        tables = int(re.search(r"VmPTE:\s+(\d+)", status.read()).group(1))
    return own / 1024, tables / 1024


def memory(popf, _shim, _elf):
    """After minutes of a shell's work popf's own memory is bounded and flat."""
    kernel, initrd = guest.debian_guest("686")
    with guest.popf(popf, f"bt,tb-size={CACHE}", {"kernel": kernel,
                    "initrd": initrd}, "-m", "512", "-kernel", "{kernel}",
                    "-initrd", "{initrd}", "-append",
                    "console=ttyS0 quiet") as machine:
        machine.expect("guest:~# ", 120)
        sizes = []
        for _ in range(4):
            machine.send(SESSION.replace("{{", "{").replace("}}", "}"))
            machine.expect("\nsession done", 120)
            sizes.append(own_memory(machine.process.pid))
            print("own %.1f MiB, page tables %.1f MiB" % sizes[-1])
        machine.send("poweroff -f")
        check(machine.wait(60) == 0, "did not power off")
    for own, tables in sizes:
        check(own <= BOUND, f"{own:.0f} MiB of its own, {BOUND} stated")
        check(tables <= 64, f"{tables:.0f} MiB of page tables")
    check(sizes[3][0] < sizes[1][0] * 1.25 + 4, "it grows")
    print(f"checks: {2 * len(sizes) + 1}")


if __name__ == "__main__":
    sys.exit(guest.main({"set_up": set_up, "run_time": run_time,
                         "stress": stress, "limits": limits,
                         "memory": memory}, sys.argv[1:]))
