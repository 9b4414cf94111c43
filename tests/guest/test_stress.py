#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_stress.py ENGINE POPF ELF TEST SEED [WORD...]: a stress guest.

ENGINE is qemu or what -accel takes; SEED may be "new". Words go to the kernel's
command line, but for -m=MIB, and for options of popf, which begin with "-"."""
import random
import re
import sys

import guest
from guest import check

EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
PASS = 33  # 0x10 through isa-debug-exit
TIME = 1500


def stress(engine, popf, elf, test, seed, *words):
    if seed == "new":
        seed = random.randrange(1 << 32)
    memory = [word[3:] for word in words if word.startswith("-m=")] or ["64"]
    options = [word for word in words
               if word.startswith("-") and not word.startswith("-m=")]
    words = [word for word in words if not word.startswith("-")]
    append = " ".join([test, f"seed={seed}", *words])
    arguments = ["-m", memory[0], "-kernel", "{kernel}", "-append", append,
                 *EXIT]
    if engine == "qemu":
        machine = guest.qemu({"kernel": elf}, *arguments)
        if machine is None:
            guest.skip("qemu-system-i386 is not installed")
    else:
        machine = guest.popf(popf, engine, {"kernel": elf}, *arguments,
                             *options)
    with machine:
        status = machine.wait(TIME)
        check(status == PASS, f"exit status {status} with '{append}'")
        count = re.search(r"^checks: (\d+)$", machine.text(), re.M)
        check(count, "no count of checks")
        print(f"{append}\nchecks: {count[1]}")


if __name__ == "__main__":
    sys.exit(guest.main({"stress": stress}, ["stress", *sys.argv[1:]]))
