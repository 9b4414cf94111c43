# SPDX-License-Identifier: MIT
"""Boot a guest, talk to its serial console, and compare what it says.

The machine always runs as an unprivileged user: started by root, it becomes
nobody, and everything it reads is first copied to a folder that all may read.
"""
import ctypes
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77  # CTest's SKIP_RETURN_CODE
NOBODY = 65534
CLONE_NEWUSER = 0x10000000
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failure(Exception):
    """A test found something that is not as it has to be."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(SKIP)


def debian_guest(flavour):
    """Paths of kernel and initramfs; skips where they cannot be had."""
    run = subprocess.run([ROOT / "scripts/fetch-debian-guest", flavour],
                         stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        skip("no Debian guest: needs the network, and the cache is empty")
    folder = pathlib.Path(run.stdout.strip())
    return folder / f"vmlinuz-{flavour}", folder / "initramfs.gz"


def cpio(files):
    """A newc archive of {name: (mode, bytes)}, to append to an initramfs."""
    out = bytearray()

    def entry(name, mode, data):
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out.extend(b"070701" + b"".join(b"%08X" % f for f in fields))
        out.extend(name.encode() + b"\0")
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(data)
        out.extend(b"\0" * (-len(out) % 4))

    for name, (mode, data) in files.items():
        entry(name, 0o100000 | mode, data)
    entry("TRAILER!!!", 0, b"")
    return bytes(out)


class Machine:
    """One run of popf or QEMU with its console on pipes."""

    def __init__(self, command, files, label, env=None, jail=False):
        self.label = label
        self.output = b""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="popf-guest."))
        self.folder.chmod(0o755)
        names = {key: str(self._stage(key, path))
                 for key, path in files.items()}
        if jail:
            names = {key: f"/{key}" for key in files}
            self._stage_libraries(files["popf"])
        command = [part.format(**names) for part in command]
        become = {}
        if jail:
            become = {"preexec_fn": self._enter_jail}
        elif os.geteuid() == 0:
            become = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.started = time.monotonic()
        self.process = self.spawn(command, env, become)

    def spawn(self, command, env, become):
        # A folder of its own, since the caller's may be closed to nobody.
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.folder, env=env, **become)

    def _stage(self, key, source):
        target = self.folder / key
        if isinstance(source, bytes):
            target.write_bytes(source)
        else:
            shutil.copyfile(source, target)
        target.chmod(0o755)
        return target

    def _stage_libraries(self, binary):
        """All that the program loader opens, at the same place."""
        listing = subprocess.run(["ldd", binary], stdout=subprocess.PIPE,
                                 text=True, check=True).stdout
        for path in re.findall(r"(/\S+) \(0x", listing):
            target = self.folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(0o755)

    def _enter_jail(self):
        """In the child; where it is not root, in a user namespace."""
        if os.geteuid() != 0:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWUSER) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            os.chroot(self.folder)
            os.chdir("/")
            return
        os.chroot(self.folder)
        os.chdir("/")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    def text(self):
        return self.output.decode("utf-8", "replace").replace("\r", "")

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def _read(self, deadline):
        """Reads what there is; False at the end of output."""
        left = max(0, deadline - time.monotonic())
        ready, _, _ = select.select([self.process.stdout], [], [], left)
        if not ready:
            raise Failure(f"{self.label}: no answer in time")
        try:
            data = os.read(self.process.stdout.fileno(), 65536)
        except OSError:  # the end of what a terminal says
            return False
        self.output += data
        return bool(data)

    def listen(self, seconds):
        """Reads for that long; False when the output has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            left = max(0, deadline - time.monotonic())
            if select.select([self.process.stdout], [], [], left)[0] and \
                    not self._read(deadline):
                return False
        return True

    def expect(self, pattern, seconds):
        """Waits for the pattern in what was said since the last match."""
        deadline = time.monotonic() + seconds
        start = getattr(self, "seen", 0)
        while True:
            match = re.search(pattern.encode(), self.output[start:])
            if match:
                self.seen = start + match.end()
                return match.group(0).decode("utf-8", "replace")
            if not self._read(deadline):
                raise Failure(f"{self.label}: ended before {pattern!r}")

    def wait(self, seconds):
        """Reads to the end; the exit status."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(timeout=10)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        self.close()
        if kind is not None:
            tail = self.text().splitlines()[-40:]
            print(f"--- last output of {self.label}:", *tail, sep="\n")


def popf(binary, accel, files, *options, env=None, jail=False):
    """A machine as the tests want it; env replaces the environment. In a jail
    it finds only its files and libraries."""
    return Machine(["{popf}", "-accel", accel, "-nographic", "-no-reboot",
                    *options], {"popf": binary, **files},
                   f"popf -accel {accel}", env, jail)


def qemu(files, *options):
    """QEMU's translator with the same images; None where it is missing."""
    binary = shutil.which("qemu-system-i386")
    if not binary:
        return None
    return Machine([binary, "-accel", "tcg", "-cpu", "max", "-nodefaults",
                    "-vga", "none", "-nographic", "-serial", "stdio",
                    "-no-reboot", *options], files, "qemu")


def main(tests, arguments):
    """Runs the test named first with the rest of the command line."""
    name, *rest = arguments
    begin = time.monotonic()
    try:
        tests[name](*rest)
    except Failure as failure:
        print(f"not ok {name}: {failure}")
        return 1
    print(f"ok {name} ({time.monotonic() - begin:.1f} s)")
    return 0
