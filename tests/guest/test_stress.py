#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_stress.py ENGINE POPF ELF TEST SEED [WORD...]: a stress guest.

ENGINE is qemu or what -accel takes; SEED may be "new". Words go to the kernel's
command line, but for -m=MIB, and for options of popf, which begin with "-".

The guest fails if it did not do all that it is for (guests/stress/notes.def);
here the counters of bt tell whether the engine did."""
import json
import pathlib
import random
import re
import sys

import guest
from guest import check

EXIT = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
PASS = 33  # 0x10 through isa-debug-exit
TIME = 1500

# Counters that a run moves, by test, unless every operand is on the soft path.
# Ring 3 may stay on that path for as long as the run takes: a young space gets a
# window when it has run for some 0.4 ms, which a fast host does not reach in "fpu".
MOVED = {
    "paging": ("exceptions", "true_faults", "hidden_faults", "drops",
               "leaf_changes", "trace_faults", "region_drops", "smc_drops"),
    "smc": ("smc_faults", "smc_drops", "taken_back", "code_released",
            "traces_set", "chains_crossing", "leaf_changes"),
    "events": ("exceptions", "interrupts", "kicks", "true_faults",
               "hidden_faults"),
    "fpu": ("exceptions", "interrupts", "kicks"),
    "debug": ("exceptions", "interrupts", "callouts", "true_faults"),
    "storm": ("leaf_changes", "window_evictions", "region_drops"),
}
# ... and where ring 3 has a window from the start.
MOVED_IN_WINDOWS = {
    "fpu": ("true_faults",),
}
# ... and by what -accel asks for.
MOVED_BY = {
    "tb-size=1": ("tc_evictions",),
    "verify=": ("verified",),
    "soft=all": ("soft_fills", "user_memops_soft"),
    "off=out-of-sync": ("trace_faults",),
}
SCATTERED = 131072  # VMAs that the storm wants


def vmas_run_out():
    limit = pathlib.Path("/proc/sys/vm/max_map_count").read_text("ascii")
    return int(limit) < SCATTERED


def check_counters(test, accel, text):
    counters = json.loads(text[text.index("\n{") + 1:])["counters"]
    wanted = [name for option, names in MOVED_BY.items() if option in accel
              for name in names]
    if "soft=all" not in accel:
        wanted += MOVED[test]
        if test == "storm" and vmas_run_out():
            wanted.append("vma_evictions")
    if "soft=none" in accel:
        wanted += MOVED_IN_WINDOWS.get(test, ())
        check(counters["user_memops"] > 2 * counters["user_memops_soft"],
              "ring 3 did not use its windows")
    still = [name for name in wanted if not counters[name]]
    check(not still, f"counters that stood still: {still}")
    print(" ".join(f"{name}={count}" for name, count in counters.items()
                   if count))


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
                             *options, "--stats=json")
    with machine:
        status = machine.wait(TIME)
        check(status == PASS, f"exit status {status} with '{append}'")
        text = machine.text()
        count = re.search(r"^checks: (\d+)$", text, re.M)
        check(count, "no count of checks")
        print(append)
        for line in re.findall(r"^\D.*: \d+$", text.partition("\n{")[0], re.M):
            print(line)
        if engine.startswith("bt"):
            check_counters(test, engine, text)


if __name__ == "__main__":
    sys.exit(guest.main({"stress": stress}, ["stress", *sys.argv[1:]]))
