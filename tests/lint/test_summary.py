#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/summary.py counts checks and judges skipped tests."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARY = pathlib.Path(__file__).resolve().parents[1] / "summary.py"
CASE = '<testcase name="{}" status="{}">{}<system-out>{}</system-out></testcase>'


def passed(output):
    return CASE.format("a", "run", "", output)


def failed():
    return CASE.format("f", "fail", "<failure/>", "")


def skipped(output):
    return CASE.format("s", "notrun", "<skipped/>", output)


def run(*cases, ci=False, cached=False):
    """(status, output) of the summary of one build's cases."""
    with tempfile.TemporaryDirectory() as folder:
        results = pathlib.Path(folder, "results.xml")
        results.write_text(f"<testsuite>{''.join(cases)}</testsuite>")
        if cached:
            guest = pathlib.Path(folder, "popf/guest")
            guest.mkdir(parents=True)
            (guest / "vmlinuz-686").touch()
        done = subprocess.run(
            [sys.executable, SUMMARY, *(["--ci"] if ci else []),
             f"ci={results}"], capture_output=True, text=True, check=False,
            env={**os.environ, "XDG_CACHE_HOME": folder})
        return done.returncode, done.stdout


NETWORK = "SKIP: no guest: needs the network, and the cache is empty"


class Summary(unittest.TestCase):
    def test_checks_are_added_up(self):
        status, text = run(passed("100%: Checks: 34, Failures: 0, Errors: 0"),
                           passed("checks: 200000"), passed("whatever"))
        self.assertEqual(status, 0)
        self.assertIn("3 tests, 0 failed, 0 skipped", text)
        self.assertIn("total checks: 200035", text)

    def test_a_failed_test_fails(self):
        self.assertEqual(run(passed(""), failed())[0], 1)

    def test_nothing_run_fails(self):
        self.assertEqual(run()[0], 1)

    def test_skipped_names_and_reasons_come_last(self):
        status, text = run(passed(""), skipped("SKIP: no QEMU"))
        self.assertEqual(status, 0)
        self.assertEqual(text.splitlines()[-1], "skipped: s (ci): no QEMU")

    def test_in_ci_a_skipped_test_fails(self):
        self.assertEqual(run(passed(""), skipped("SKIP: no QEMU"), ci=True)[0],
                         1)

    def test_in_ci_the_missing_network_excuses(self):
        self.assertEqual(run(passed(""), skipped(NETWORK), ci=True)[0], 0)

    def test_in_ci_a_filled_cache_does_not(self):
        self.assertEqual(
            run(passed(""), skipped(NETWORK), ci=True, cached=True)[0], 1)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    print(f"checks: {result.testsRun}")
    sys.exit(0 if result.wasSuccessful() else 1)
