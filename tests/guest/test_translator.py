#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_translator.py TEST POPF FLAVOUR PROGRAMS: it really is the translator.

A guest that comes up could have been interpreted. These tests read --stats of
Debian's boot and session: what ran in CCFs, and that each mechanism was used.
"""
import json
import pathlib
import re
import sys

import guest
import test_debian
from guest import check

IN_CCFS = 0.99      # of retired instructions
IN_WINDOWS = 0.99   # of memory operands in user mode
SECONDS = 0.5       # that the compute program takes at least
ROUNDS = 5000       # of it, which take a multiple of that


def counters(text):
    """The counters of --stats=json, which popf's output ends with."""
    report = re.search(r"^\{$.*^\}$", text, re.M | re.S)
    check(report, "no statistics")
    return json.loads(report[0])["counters"]


def check_counters(count, used):
    """CCFs retired nearly everything, and each counter in used moved."""
    ran = count["insn_ccf"] / (count["insn_ccf"] + count["insn_interp"])
    print(f"in CCFs: {100 * ran:.3f} % of "
          f"{(count['insn_ccf'] + count['insn_interp']) / 1e9:.2f} G")
    print(*(f"{name}={count[name]}" for name in used))
    check(ran >= IN_CCFS, f"only {100 * ran:.3f} % retired in CCFs")
    idle = [name for name in used if not count[name]]
    check(not idle, f"never used: {', '.join(idle)}")
    print(f"checks: {1 + len(used)}")


def session(popf, flavour, programs):
    """Boot and session: 99 % in CCFs, and every mechanism is at work."""
    text = test_debian.run_session(popf, "bt", flavour, programs,
                                   ["--stats=json"])
    test_debian.check_session(text, programs)
    check_counters(counters(text),
                   ["chains", "traces_set", "adaptations", "smc_faults",
                    "hidden_faults", "true_faults", "fills", "kicks",
                    "soft_spaces", "soft_conversions"])


def small_cache(popf, flavour, programs):
    """The same with a translation cache of 2 MiB, which evicts."""
    text = test_debian.run_session(popf, "bt,tb-size=2", flavour, programs,
                                   ["--stats=json"])
    test_debian.check_session(text, programs)
    check_counters(counters(text), ["tc_evictions", "chains", "traces_set"])


def compute(popf, flavour, programs):
    """A program that runs for seconds reaches its memory by windows."""
    program = pathlib.Path(programs) / "compute"
    overlay = guest.cpio({"compute": (0o755, program.read_bytes())})
    script = (f"cat /proc/uptime; /compute {ROUNDS}; cat /proc/uptime")
    with test_debian.start(popf, "bt", flavour, f'quiet popf.run="{script}"',
                           overlay, ["--stats=json"]) as machine:
        status = machine.wait(test_debian.BOOT)
        text = machine.text()
    check(status == 0, f"exit status {status}")
    found = re.search(r"^([\d.]+) [\d.]+\n([0-9a-f]{8})\n([\d.]+) ", text, re.M)
    check(found, "the program did not run")
    check(found[2] == test_debian.native(program, str(ROUNDS)), "wrong result")
    spent = float(found[3]) - float(found[1])
    check(spent >= SECONDS, f"the program took {spent:.2f} s, which says little")

    # The whole machine's: the few processes of the boot count against it.
    count = counters(text)
    soft, operands = count["user_memops_soft"], count["user_memops"]
    check(operands, "no memory operand was counted")
    print(f"{spent:.2f} s, {operands / 1e9:.2f} G operands, {soft} soft")
    check(1 - soft / operands >= IN_WINDOWS,
          f"{100 * soft / operands:.2f} % of memory operands took the soft path")
    print("checks: 4")


if __name__ == "__main__":
    sys.exit(guest.main({"session": session, "small_cache": small_cache,
                         "compute": compute}, sys.argv[1:]))
