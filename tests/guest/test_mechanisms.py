#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_mechanisms.py single|pairs POPF ELF [UNUSED...]: what only makes an
engine fast.

With every mechanism on, each one's counter moves, but for the unused ones; with
one off, or two, it does not, and the stress guest sees the same."""
import itertools
import json
import re
import sys

import guest
from guest import check

EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
PASS = 33  # 0x10 through isa-debug-exit
# Rounds 0 and 1 of each: with adaptive-sites off, the others, in which the
# kernel lives in user pages, are one host fault after the other.
WORDS = "paging smc events fpu seed=1 rounds=2"

# The counter that shows it at work, and that stands still without.
MECHANISMS = {
    "chaining": "chains",
    "host-returns": "return_sites",
    "regions": "tu_regions",
    "out-of-sync": "leaf_flushes",
    "adaptive-sites": "adaptations",
    "eager-install": "prefills",
    "take-back": "taken_back",
    "source-checks": "code_mixed",
}


def run(popf, elf, off):
    """The counters of a run that passed, and what the guest said that depends
    on the seed alone."""
    accel = "bt,soft=none" + (",off=" + ":".join(off) if off else "")
    with guest.popf(popf, accel, {"kernel": elf}, "-m", "32", "-kernel",
                    "{kernel}", "-append", WORDS, "--stats=json",
                    *EXIT) as machine:
        status = machine.wait(300)
        text = machine.text()
        check(status == PASS, f"exit status {status} with {accel}")
        passed = re.findall(r"^ok (\w+)$", text, re.M)
        check(len(passed) == 4, f"only {passed} passed with {accel}")
        said = re.search(r"^smc seed=.*?^checks: ", text, re.M | re.S)[0]
        return json.loads(text[text.index("\n{") + 1:])["counters"], said


def check_off(popf, elf, off, expected):
    counters, said = run(popf, elf, off)
    for name in off:
        counter = MECHANISMS[name]
        check(counters[counter] == 0,
              f"{counter} is {counters[counter]} without {name}")
    check(said == expected, f"without {off} the guest said\n{said}")


def idle(popf, elf):
    """Mechanisms whose counters stood still. What is mixed is also a matter of
    time, and a busy host may take too much of it: there are five tries."""
    still = set(MECHANISMS)
    for _ in range(5):
        counters, said = run(popf, elf, ())
        still = {name for name in still if not counters[MECHANISMS[name]]}
        if not still:
            break
    return still, said


def single(popf, elf, *unused):
    still, said = idle(popf, elf)
    still -= set(unused)
    check(not still, f"not used when they are on: {still}")
    for name in MECHANISMS:
        check_off(popf, elf, (name,), said)
    print(f"checks: {3 * len(MECHANISMS)}")


def pairs(popf, elf):
    combinations = list(itertools.combinations(MECHANISMS, 2))
    _, said = run(popf, elf, ())
    for off in [*combinations, tuple(MECHANISMS)]:
        check_off(popf, elf, off, said)
    print(f"checks: {len(combinations) + 1}")


if __name__ == "__main__":
    sys.exit(guest.main({"single": single, "pairs": pairs}, sys.argv[1:]))
