#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_selftest.py TEST POPF ACCEL ELF: the built-in guest under an engine."""
import re
import sys

import guest
from guest import check

EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
PASS = 33  # 0x10 through isa-debug-exit


def selftest(popf, accel, elf):
    """All tests pass, and none is missing from the plan."""
    with guest.popf(popf, accel, {"kernel": elf}, "-kernel", "{kernel}",
                    *EXIT) as machine:
        status = machine.wait(240)
        text = machine.text()
        failed = [line for line in text.splitlines()
                  if line.startswith("not ok") or "# skip" in line]
        check(not failed, "\n".join(failed))
        check(status == PASS, f"exit status {status}")
        plan = re.search(r"^1\.\.(\d+)$", text, re.M)
        passed = len(re.findall(r"^ok \d+ ", text, re.M))
        check(plan and int(plan.group(1)) == passed, "tests are missing")
        print(f"checks: {passed}")


def prompt(popf, accel, elf):
    """The prompt answers, and its poweroff ends popf with status 0."""
    with guest.popf(popf, accel, {"kernel": elf}, "-kernel", "{kernel}",
                    "-append", "prompt") as machine:
        machine.expect("selftest> ", 20)
        machine.send("help")
        machine.expect("poweroff: ", 20)
        machine.expect("selftest> ", 20)
        machine.send("test segment: base")
        machine.expect("# 3 tests, 0 failed", 20)
        machine.send("nonsense")
        machine.expect("no such command", 20)
        machine.send("poweroff")
        status = machine.wait(20)
        check(status == 0, f"exit status {status} after poweroff")


def qemu(_popf, _accel, elf):
    """The guest itself is right: QEMU's translator passes it, too."""
    machine = guest.qemu({"kernel": elf}, "-kernel", "{kernel}", *EXIT)
    if machine is None:
        guest.skip("qemu-system-i386 is not installed")
    with machine:
        status = machine.wait(120)
        failed = [line for line in machine.text().splitlines()
                  if line.startswith("not ok") and "# TODO" not in line]
        check(not failed, "\n".join(failed))
        check(status == PASS, f"exit status {status}")


if __name__ == "__main__":
    sys.exit(guest.main({"selftest": selftest, "prompt": prompt,
                         "qemu": qemu}, sys.argv[1:]))
