#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""summary.py [--ci] BUILD=RESULTS.xml...: add up what ctest ran.

Reads ctest's JUnit files. A test's number of checks is what its runner says
(Check's "Checks: N", or a line "checks: N"), or 1. Prints the totals and, last,
the names of skipped tests with the reason that each gave ("SKIP: why").

With --ci a skipped test is a failure, unless it needs the network and the
cache has no guest.
"""
import argparse
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

CHECKS = re.compile(r"^(?:\d+%: )?checks:\s+(\d+)", re.I | re.M)
SKIP = re.compile(r"^SKIP: (.*)$", re.M)


def cache_is_empty():
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return not list(pathlib.Path(cache, "popf/guest").glob("vmlinuz-*"))


class Summary:
    """Totals over the builds."""

    def __init__(self):
        self.tests = self.failed = self.checks = 0
        self.skipped = []

    def add(self, build, case):
        output = case.findtext("system-out") or ""
        name = f"{case.get('name')} ({build})"
        self.tests += 1
        if case.find("skipped") is not None or \
                case.get("status") in ("notrun", "disabled"):
            reason = SKIP.search(output)
            self.skipped.append((name, reason[1] if reason else "no reason"))
            return
        if case.get("status") != "run":
            self.failed += 1
        said = sum(int(number) for number in CHECKS.findall(output))
        self.checks += said or 1

    def excused(self, reason):
        return "needs the network" in reason and cache_is_empty()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ci", action="store_true")
    parser.add_argument("results", nargs="+", metavar="BUILD=RESULTS.xml")
    options = parser.parse_args()

    summary = Summary()
    for argument in options.results:
        build, path = argument.split("=", 1)
        if not os.path.exists(path):
            print(f"popf: {build}: ctest left no results")
            return 1
        for case in ElementTree.parse(path).iter("testcase"):
            summary.add(build, case)

    unexcused = [name for name, reason in summary.skipped
                 if options.ci and not summary.excused(reason)]
    print(f"\n{summary.tests} tests, {summary.failed} failed, "
          f"{len(summary.skipped)} skipped")
    print(f"total checks: {summary.checks}")
    for name, reason in summary.skipped:
        print(f"skipped: {name}: {reason}")
    if unexcused:
        print(f"{len(unexcused)} skipped tests count as failed (--ci)")
    return 1 if summary.failed or unexcused or not summary.tests else 0


if __name__ == "__main__":
    sys.exit(main())
