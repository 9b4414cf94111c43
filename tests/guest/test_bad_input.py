#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_bad_input.py TEST POPF ACCEL GUESTS: what popf cannot run.

Everything ends in one line "popf: ..." and status 1, or in the architecture's
own answer: within seconds, and never by a signal. GUESTS is the build's folder
of guests: the self-test kernel, and bad/ with a flat image for each misdeed.
"""
import os
import pathlib
import random
import re
import struct
import sys

import guest
from guest import check

SECONDS = 5
SLOW = 60      # seconds for a whole self-test under the interpreter
PASS, FAIL = 33, 35
EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
RANDOM_GUESTS = 40
SANE = ("-m", "16")

# Options that no machine has, each with what its message has to name.
OPTIONS = [
    (["-m", "0"], "-m 0"), (["-m", "1T"], "-m 1T"), (["-m", "abc"], "-m abc"),
    (["-m", "-1"], "-m -1"), (["-m", "1"], "RAM"), (["-m", ""], "-m"),
    (["-m", "99999999999999999999"], "-m"), (["-m"], "-m"),
    (["-m", "16X"], "-m 16X"),
    (["-nonsense"], "-nonsense"), (["--nonsense=1"], "--nonsense=1"),
    (["disk.img"], "disk.img"), ([""], "option"), (["-"], "option"),
    (["-smp", "2"], "-smp"), (["-cpu", "nonsense"], "nonsense"),
    (["-cpu", "max,+nonsense"], "nonsense"),
    (["-accel", "kvm"], "kvm"), (["-accel", "bt,tb-size=0"], "tb-size"),
    (["-accel", "bt,nonsense=1"], "nonsense"),
    (["-machine", "nonsense"], "nonsense"),
    (["-device", "nonsense"], "nonsense"), (["-device", "isa-debug-exit,x=1"], "x"),
    (["-device", "isa-debug-exit,iobase=0x10000"], "iobase"),
    (["-serial", "nonsense"], "nonsense"),
    (["-serial", "file:/nonexistent/file"], "/nonexistent/file"),
    (["-debugcon", "file:/"], "/"), (["-d", "nonsense"], "nonsense"),
    (["-D", "/nonexistent/log"], "/nonexistent/log"),
    (["-rtc", "base=nonsense"], "nonsense"), (["-stats=xml"], "xml"),
    (["-hda", "disk.img"], "-hda"), (["-gdb", "tcp::1"], "-gdb"),
    (["-initrd", "/nonexistent/initrd"], "/nonexistent/initrd"),
    (["-initrd", "/"], "/"), (["-initrd", "/dev/zero"], "/dev/zero"),
]

# The last words for each image of bad/; None stands for the status alone.
GUESTS = {
    "port": (PASS, None),
    "mmio": (PASS, None),
    "timer_storm": (PASS, None),
    "fetch_mmio": (1, r"triple fault: .* 0010:e0000000"),
    "fetch_wrap": (1, r"triple fault: "),
    "triple_fault": (1, r"triple fault: "),
    "page_tables_nowhere": (1, r"triple fault: "),
    "page_tables_loop": (1, r"triple fault: "),
    "real_mode": (1, r"a return to real mode at .* is not modelled"),
    "vm86": (1, r"IRET to virtual-8086 mode at .* is not modelled"),
    "task_switch": (1, r"a task switch at .* is not modelled"),
    "task_gate": (1, r"a task gate in the IDT at .* is not modelled"),
}
ENDLESS = ["spin", "halt"]


class Case:
    """One run that has to end by itself."""

    def __init__(self, popf, accel, files, *options, seconds=SECONDS):
        with guest.popf(popf, accel, files, *options) as machine:
            machine.process.stdin.close()
            self.status = machine.wait(seconds)
            self.text = machine.text()
        self.what = " ".join(options)[-60:]
        self.said = re.findall(r"^popf: (.*)$", self.text, re.M)

    def expect(self, status, pattern=None):
        """The status, and one line of ours that matches; none without."""
        about = f"{self.what}: status {self.status}, {self.text[-400:]!r}"
        check(self.status == status, about)
        check(len(self.said) == (pattern is not None), about)
        if pattern is not None:
            check(re.search(pattern, self.said[0]), f"{about}, not {pattern!r}")

    def refused(self, pattern):
        """Nothing but the one line: no guest ran."""
        self.expect(1, pattern)
        check(self.text.count("\n") == 1, f"{self.what}: {self.text!r}")


def options(popf, accel, guests):
    """An option that makes no sense is told, and nothing starts."""
    files = {"kernel": pathlib.Path(guests) / "selftest.elf"}
    for words, pattern in OPTIONS:
        Case(popf, accel, files, *EXIT, "-kernel", "{kernel}",
             *words).refused(re.escape(pattern) if "|" not in pattern
                             else pattern)
    print(f"checks: {len(OPTIONS)}")


def cuts(size, count):
    """Lengths to cut at: the first ones, powers of two, and evenly spaced."""
    lengths = set(range(0, 64, 7)) | {1 << n for n in range(6, 30)}
    lengths |= {size * n // count for n in range(count)}
    return sorted(length for length in lengths if length < size)


def loaded_length(elf):
    """Bytes of an ELF file up to the end of its last segment."""
    offset, = struct.unpack_from("<I", elf, 28)
    size, count = struct.unpack_from("<HH", elf, 42)
    ends = [sum(struct.unpack_from("<I", elf, offset + i * size + at)[0]
                for at in (4, 16)) for i in range(count)]
    return max(ends + [offset + size * count])


def kernels(popf, accel, guests):
    """A kernel that is missing, cut short, or none is told in one line."""
    elf = (pathlib.Path(guests) / "selftest.elf").read_bytes()
    loaded = loaded_length(elf)
    run = ("-kernel", "{kernel}")
    checks = 0
    for path in ["/nonexistent/kernel", "/", "/dev/zero", "/dev/null"]:
        Case(popf, accel, {}, "-kernel", path).refused(path)
        checks += 1
    Case(popf, accel, {}, "-kernel").refused("-kernel")
    Case(popf, accel, {}).refused("-kernel")
    for length in cuts(loaded, 30):
        Case(popf, accel, {"kernel": elf[:length]}, *run).refused("kernel")
        checks += 1
    for foreign in [b"#!/bin/sh\n" * 1000, b"\0" * 4096, b"\xff" * (1 << 20),
                    b"\x7fELF" + bytes(60), pathlib.Path(popf)]:
        Case(popf, accel, {"kernel": foreign}, *run).refused("kernel")
        checks += 1
    Case(popf, accel, {"kernel": elf[:loaded]}, *run, *EXIT,
         seconds=SLOW).expect(PASS)
    print(f"checks: {checks + 3}")


def linux(popf, accel, _guests):
    """The same for Debian's kernel and its initrd."""
    kernel, initrd = guest.debian_guest("686")
    image = kernel.read_bytes()
    run = ("-kernel", "{kernel}", "-append", "console=ttyS0 panic=-1 quiet")
    lengths = cuts(len(image) - 64, 20)
    for length in lengths:
        Case(popf, accel, {"kernel": image[:length]}, *run).refused("kernel")
    files = {"kernel": kernel, "initrd": bytes(40 << 20)}
    Case(popf, accel, files, *run, *SANE, "-initrd",
         "{initrd}").refused("initrd")
    Case(popf, accel, files, *run, *SANE, "-initrd",
         "/nonexistent").refused("/nonexistent")
    Case(popf, accel, files, "-kernel", "{kernel}", "-append",
         "x" * 100000).refused("-append")
    # The kernel's own answer: it panics, and restarts as it was told to.
    archive = initrd.read_bytes()
    for broken in [archive[:len(archive) // 2], b"", b"nonsense" * 1000]:
        case = Case(popf, accel, {"kernel": kernel, "initrd": broken}, *run,
                    "-initrd", "{initrd}", seconds=SLOW)
        case.expect(0)
        check("Kernel panic" in case.text, "the kernel did not panic")
    print(f"checks: {len(lengths) + 6}")


def image(guests, name):
    return {"kernel": pathlib.Path(guests) / "bad" / f"{name}.bin"}


def misdeeds(popf, accel, guests):
    """What a guest does that no machine expects ends as GUESTS says."""
    for name, (status, pattern) in GUESTS.items():
        Case(popf, accel, image(guests, name), "-kernel", "{kernel}",
             *EXIT).expect(status, pattern)
    print(f"checks: {len(GUESTS)}")


def quits(machine, name):
    """A guest that goes on for ever still ends on SIGTERM, as QEMU's do."""
    machine.process.terminate()
    status = machine.wait(SECONDS)
    check(status == 0, f"{name}: status {status} after SIGTERM: "
          f"{machine.text()[-400:]}")


def endless(popf, accel, guests):
    """A guest that spins, sleeps or resets for ever can be ended."""
    for name in ENDLESS + ["triple_fault"]:
        command = ["{popf}", "-accel", accel, "-nographic", "-kernel",
                   "{kernel}"]
        files = {"popf": popf, **image(guests, name)}
        with guest.Machine(command, files, name) as machine:
            try:
                machine.expect("popf:", 1)
            except guest.Failure:
                pass
            check(machine.process.poll() is None, f"{name}: ended by itself")
            quits(machine, name)
    print(f"checks: {len(ENDLESS) + 1}")


def mutant(rng, base, header):
    """Random code, or a good kernel with some of its bytes changed."""
    if rng.random() < 0.5:
        return header + rng.randbytes(rng.choice([64, 1024, 16384]))
    data = bytearray(base)
    for _ in range(rng.choice([1, 10, 100, 1000])):
        data[rng.randrange(0x1000, len(data))] = rng.randrange(256)
    return bytes(data)


def random_guests(popf, accel, guests):
    """Whatever the bytes are, popf neither dies of a signal nor hangs."""
    seed = int(os.environ.get("POPF_SEED", random.randrange(1 << 32)))
    print(f"POPF_SEED={seed}")
    rng = random.Random(seed)
    base = (pathlib.Path(guests) / "selftest.elf").read_bytes()
    header = image(guests, "spin")["kernel"].read_bytes()[:-3]  # cli; jmp $
    for number in range(RANDOM_GUESTS):
        files = {"kernel": mutant(rng, base, header)}
        name = f"guest {number}"
        with guest.popf(popf, accel, files, "-kernel", "{kernel}", *SANE,
                        *EXIT) as machine:
            try:
                machine.wait(0.4)
            except guest.Failure:
                machine.process.terminate()  # it may just be ending, too
            status = machine.process.wait(timeout=SECONDS)
            check(status >= 0, f"{name}: died of signal {-status}")
            check("Sanitizer" not in machine.text() and
                  "runtime error" not in machine.text(), machine.text()[-2000:])
    print(f"checks: {RANDOM_GUESTS}")


if __name__ == "__main__":
    sys.exit(guest.main({test.__name__: test for test in (
        options, kernels, linux, misdeeds, endless, random_guests)},
        sys.argv[1:]))
