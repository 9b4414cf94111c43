#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_host.py TEST POPF ACCEL ELF: what the host sees of a running machine."""
import os
import re
import sys

import guest
from guest import check

PASS = 33  # 0x10 through isa-debug-exit


def start(popf, accel, elf, *options):
    """The self-test, started with an empty environment: no HOME either."""
    return guest.popf(popf, accel, {"kernel": elf}, "-kernel", "{kernel}",
                      "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
                      *options, env={})


def samples(machine, look):
    """look(folder in /proc) again and again until the process is gone."""
    folder = f"/proc/{machine.process.pid}"
    count = 0
    while machine.process.poll() is None:
        try:
            look(folder)
            count += 1
        except (FileNotFoundError, ProcessLookupError):
            break  # it ended meanwhile
    check(machine.wait(30) == PASS, "the self-test failed")
    return count


def mappings(popf, accel, elf):
    """No mapping is ever writable and executable."""
    seen = set()

    def look(folder):
        with open(f"{folder}/maps", encoding="utf-8") as maps:
            for line in maps:
                mode, name = re.match(r"\S+ (\S+) \S+ \S+ \d+ *(.*)",
                                      line).groups()
                check("w" not in mode or "x" not in mode, line.strip())
                seen.add((mode[:3], "popf" if name.endswith("/popf") else name))

    with start(popf, accel, elf) as machine:
        count = samples(machine, look)
    code = sorted(name for mode, name in seen if mode == "r-x" or mode == "--x")
    print("executable:", ", ".join(code))
    check("popf" in code, "saw no code")
    check(count >= 20, f"only {count} looks at the mappings")
    print(f"checks: {count}")


def dumped(popf, accel, elf, *options):
    """Mappings of guest RAM, and those of them that a core dump would have."""
    found = [0, 0]
    is_ram = False
    with start(popf, accel, elf, "-append", "prompt", *options) as machine:
        machine.expect("selftest> ", 30)
        with open(f"/proc/{machine.process.pid}/smaps",
                  encoding="utf-8") as smaps:
            for line in smaps:
                if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                    is_ram = "memfd:popf-ram" in line
                elif line.startswith("VmFlags:") and is_ram:
                    found[0] += 1
                    found[1] += " dd" not in line
        machine.send("poweroff")
        check(machine.wait(30) == 0, "did not power off")
    return found


def core(popf, accel, elf):
    """A core dump has guest RAM in it if asked for, and then once."""
    for options, expected in (((), 0), (("-machine", "pc"), 0),
                              (("-machine", "dump-guest-core=on"), 1)):
        mapped, shown = dumped(popf, accel, elf, *options)
        print(*options, f"RAM mapped {mapped} times, dumped {shown} times")
        check(mapped >= 2 and shown == expected, f"dumped {shown} times")


def descriptors(popf, accel, elf):
    """Its pipes, its own memory and timers, and nothing that leads out."""
    with start(popf, accel, elf, "-append", "prompt") as machine:
        machine.expect("selftest> ", 30)
        folder = f"/proc/{machine.process.pid}/fd"
        names = {int(number): os.readlink(f"{folder}/{number}")
                 for number in os.listdir(folder)}
        machine.send("poweroff")
        check(machine.wait(30) == 0, "did not power off")
    check({0, 1, 2} <= set(names), "no standard streams")
    for number, name in sorted(names.items()):
        print(number, name)
        check(number <= 2 or name.startswith(("/memfd:", "anon_inode:")),
              f"descriptor {number} is {name}")
    print(f"checks: {len(names)}")


def status_of(popf, accel, elf, *options):
    """The kernel's words about popf while its guest waits at a prompt."""
    with start(popf, accel, elf, "-append", "prompt", *options) as machine:
        machine.expect("selftest> ", 30)
        with open(f"/proc/{machine.process.pid}/status",
                  encoding="utf-8") as status:
            words = dict(line.split(":\t", 1) for line in status
                         if ":\t" in line)
        machine.send("poweroff")
        check(machine.wait(30) == 0, "did not power off")
    return {key: words[key].strip() for key in
            ("Seccomp", "NoNewPrivs", "CapPrm", "CapEff", "Threads")}


def sandbox(popf, accel, elf):
    """A running popf is confined, unless it was told not to be."""
    confined = {"Seccomp": "2", "NoNewPrivs": "1", "CapPrm": "0" * 16,
                "CapEff": "0" * 16, "Threads": "1"}
    found = status_of(popf, accel, elf)
    check(found == confined, f"by default: {found}")
    found = status_of(popf, accel, elf, "-sandbox", "on,spawn=deny")
    check(found == confined, f"-sandbox on: {found}")
    found = status_of(popf, accel, elf, "-sandbox", "off")
    check(found["Seccomp"] == "0" and found["NoNewPrivs"] == "0",
          f"-sandbox off: {found}")
    print("checks: 3")


def jail(popf, accel, elf):
    """nobody, in a root directory with popf's files and libraries alone."""
    files = {"popf": popf, "kernel": elf}
    with guest.popf(popf, accel, files, "-kernel", "{kernel}", "-device",
                    "isa-debug-exit,iobase=0xf4,iosize=0x04", env={},
                    jail=True) as machine:
        check(machine.wait(60) == PASS, "the self-test failed")
    kernel, initrd = guest.debian_guest("686")
    with guest.popf(popf, accel, {"kernel": kernel, "initrd": initrd},
                    "-m", "256", "-kernel", "{kernel}", "-initrd", "{initrd}",
                    "-append", "console=ttyS0", env={}, jail=True) as machine:
        machine.expect("guest:~# ", 120)
        with open(f"/proc/{machine.process.pid}/status",
                  encoding="utf-8") as status:
            check("\nUid:\t0\t" not in status.read(), "runs as root")
        root = os.listdir(f"/proc/{machine.process.pid}/root")
        check("proc" not in root and "dev" not in root, f"holds {root}")
        machine.send("poweroff -f")
        check(machine.wait(60) == 0, "did not power off")
    print("checks: 5")


if __name__ == "__main__":
    sys.exit(guest.main({"mappings": mappings, "core": core,
                         "descriptors": descriptors,
                         "sandbox": sandbox, "jail": jail}, sys.argv[1:]))
