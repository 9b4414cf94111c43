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

# The counter that shows it at work, and whether it stands still without.
MECHANISMS = {
    "chaining": ("chains", True),
    "host-returns": ("return_sites", True),
    "regions": ("tu_regions", True),
    "out-of-sync": ("leaf_checks", False),  # stores to traced tables count, too
    "adaptive-sites": ("adaptations", True),
    "eager-install": ("prefills", True),
    "take-back": ("taken_back", True),
    "source-checks": ("code_mixed", True),
}


def run(popf, elf, off):
    """The counters of a run that passed."""
    accel = "bt,soft=none" + (",off=" + ":".join(off) if off else "")
    with guest.popf(popf, accel, {"kernel": elf}, "-m", "32", "-kernel",
                    "{kernel}", "-append", WORDS, "--stats=json",
                    *EXIT) as machine:
        status = machine.wait(300)
        text = machine.text()
        check(status == PASS, f"exit status {status} with {accel}")
        passed = re.findall(r"^ok (\w+)$", text, re.M)
        check(len(passed) == 4, f"only {passed} passed with {accel}")
        return json.loads(text[text.index("\n{") + 1:])["counters"]


def check_off(popf, elf, off):
    counters = run(popf, elf, off)
    for name in off:
        counter, stands = MECHANISMS[name]
        check(not stands or counters[counter] == 0,
              f"{counter} is {counters[counter]} without {name}")


def idle(popf, elf):
    """Mechanisms whose counters stood still. What is mixed is also a matter of
    time, and a busy host may take too much of it: there are five tries."""
    still = set(MECHANISMS)
    for _ in range(5):
        counters = run(popf, elf, ())
        still = {name for name in still if not counters[MECHANISMS[name][0]]}
        if not still:
            break
    return still


def single(popf, elf, *unused):
    still = idle(popf, elf) - set(unused)
    check(not still, f"not used when they are on: {still}")
    for name in MECHANISMS:
        check_off(popf, elf, (name,))
    print(f"checks: {2 * len(MECHANISMS)}")


def pairs(popf, elf):
    combinations = list(itertools.combinations(MECHANISMS, 2))
    for off in [*combinations, tuple(MECHANISMS)]:
        check_off(popf, elf, off)
    print(f"checks: {len(combinations) + 1}")


if __name__ == "__main__":
    sys.exit(guest.main({"single": single, "pairs": pairs}, sys.argv[1:]))
