#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_debian.py TEST POPF ACCEL FLAVOUR PROGRAMS: Debian's i386 kernel.

PROGRAMS is the folder of the compute programs that guest and host both run.
"""
import hashlib
import pathlib
import random
import re
import subprocess
import sys

import guest
from guest import check

CONSOLE = "console=ttyS0"
BOOT = 300   # seconds to the shell
WORK = 600   # seconds for the session
# Each of them is the kernel's way to say that something is wrong.
BAD = re.compile(r"cut here|Oops|BUG:|WARNING:|unstable|lockup|segfault|"
                 r"Segmentation fault|Illegal instruction", re.I)


def start(popf, accel, flavour, append, extra=b"", flags=()):
    kernel, initrd = guest.debian_guest(flavour)
    archive = initrd.read_bytes()
    archive += b"\0" * (-len(archive) % 4) + extra  # archives are aligned
    files = {"kernel": kernel, "initrd": archive}
    options = ["-m", "512", "-kernel", "{kernel}", "-initrd", "{initrd}",
               "-append", f"{CONSOLE} {append}".strip()]
    if popf == "qemu":
        return guest.qemu(files, *options)
    return guest.popf(popf, accel, files, *options, *flags)


def shell(popf, accel, flavour, _programs):
    """A shell that answers; poweroff -f ends popf with status 0."""
    with start(popf, accel, flavour, "") as machine:
        machine.expect("popf: guest ready", BOOT)
        machine.expect("guest:~# ", 60)
        machine.send("echo $((6 * 7)) $(uname -m)")
        machine.expect(r"\n42 i686", 60)
        machine.send("poweroff -f")
        status = machine.wait(60)
        check(status == 0, f"exit status {status} after poweroff -f")
        bad = [l for l in machine.text().splitlines() if BAD.search(l)]
        check(not bad, "\n".join(bad))


def reboot(popf, accel, flavour, _programs):
    """reboot -f with -no-reboot ends popf with status 0."""
    with start(popf, accel, flavour, 'quiet popf.run="reboot -f"') as machine:
        status = machine.wait(BOOT)
        check("popf: guest ready" in machine.text(), "did not boot")
        check(status == 0, f"exit status {status} after reboot -f")


def random_data():
    return random.Random(2024).randbytes(1 << 20)


def native(*command):
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return run.stdout.decode().strip()


def host_results(programs):
    """What the session's RESULT lines have to say."""
    pipes = "seq 1 20000 | sort -rn | tail -n 5000 | sort -n | md5sum"
    return {
        "sha256": hashlib.sha256(random_data()).hexdigest() + "  -",
        "forks": "1000",
        "pipes": native("sh", "-c", pipes),
        "gzip": hashlib.sha256(random_data() * 10).hexdigest() + "  -",
        "compute": native(programs / "compute", "200"),
        "end": "",
    }


def errors(text):
    """Error-level kernel messages, without times and addresses."""
    lines = re.findall(r"^DMESG <[0-3]>\[[^]]*\] (.*)$", text, re.M)
    return {re.sub(r"0x[0-9a-f]+|\d+", "#", line) for line in lines}


def run_session(popf, accel, flavour, programs, flags=()):
    """What the console says in the session; None without QEMU."""
    programs = pathlib.Path(programs)
    overlay = guest.cpio({
        "data": (0o644, random_data()),
        "forks": (0o755, (programs / "forks").read_bytes()),
        "compute": (0o755, (programs / "compute").read_bytes()),
        "session.sh": (0o755, (pathlib.Path(__file__).parent /
                               "session.sh").read_bytes()),
    })
    machine = start(popf, accel, flavour, "quiet popf.run=/session.sh", overlay,
                    flags)
    if machine is None:
        return None
    with machine:
        status = machine.wait(WORK)
        check(status == 0, f"exit status {status}")
        check("popf: run finished with status 0" in machine.text(),
              "the session did not finish")
        return machine.text()


def check_session(text, programs):
    """Results equal the host's, and nothing went wrong; the results."""
    bad = [line for line in text.splitlines() if BAD.search(line)]
    check(not bad, "\n".join(bad))
    results = dict(re.findall(r"^RESULT (\w+) ?(.*)$", text, re.M))
    for name, value in host_results(pathlib.Path(programs)).items():
        check(results.get(name) == value,
              f"{name}: {results.get(name)!r}, not {value!r}")
    return results


def check_vulnerabilities(text):
    """Every line says "Not affected": the kernel runs no mitigations."""
    lines = re.findall(r"^VULNERABILITY (.*)$", text, re.M)
    check(len(lines) > 5, "no vulnerabilities folder")
    slow = [line for line in lines if not line.endswith(":Not affected")]
    check(not slow, "\n".join(slow))


def session(popf, accel, flavour, programs):
    """The scripted session, and no error message that QEMU's boot lacks."""
    text = run_session(popf, accel, flavour, programs)
    results = check_session(text, programs)
    check_vulnerabilities(text)
    check("DMESG" in text, "no kernel messages")
    here = errors(text)
    if here:
        reference = run_session("qemu", "", flavour, programs)
        there = errors(reference) if reference else set()
        check(here <= there, "errors that QEMU's boot lacks:\n" +
              "\n".join(here - there))
    print(f"guest time {results['uptime']} s")


if __name__ == "__main__":
    sys.exit(guest.main({"shell": shell, "reboot": reboot,
                         "session": session}, sys.argv[1:]))
