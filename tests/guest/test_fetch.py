#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_fetch.py TEST: scripts/fetch-debian-guest against the host's apt."""
import os
import pathlib
import subprocess
import sys
import tempfile

import guest
from guest import check

HOST = ["/etc/apt", "/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg"]
FETCH = guest.ROOT / "scripts/fetch-debian-guest"


def snapshot():
    """Every file of the host's package management: size and time."""
    seen = {}
    for top in HOST:
        for folder, _names, files in os.walk(top):
            for name in files:
                path = pathlib.Path(folder, name)
                if path.is_file():
                    stat = path.stat()
                    seen[str(path)] = (stat.st_size, stat.st_mtime_ns)
    arch = subprocess.run(["dpkg", "--print-foreign-architectures"],
                          stdout=subprocess.PIPE, check=True).stdout
    seen["architectures"] = arch
    return seen


def fetch(cache, **environment):
    return subprocess.run(
        [FETCH, "686"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, check=False,
        env={**os.environ, "XDG_CACHE_HOME": cache, **environment})


def leaves_the_host_alone():
    """Architectures, sources, lists and caches are as they were; the second
    run finds everything and says nothing."""
    with tempfile.TemporaryDirectory(prefix="popf-fetch.") as cache:
        before = snapshot()
        run = fetch(cache)
        check(snapshot() == before, "the host's package state changed")
        if run.returncode:
            print(run.stderr)
            guest.skip("needs the network")
        folder = pathlib.Path(run.stdout.strip())
        for name in ("vmlinuz-686", "initramfs.gz"):
            check((folder / name).stat().st_size > 100000, f"{name} is short")
        check(not list(folder.parent.glob("work.*")), "work is left over")
        again = fetch(cache, http_proxy="http://127.0.0.1:9")
        check(again.returncode == 0 and again.stderr == "",
              f"not cached: {again.stderr}")


def fails_without_a_mirror():
    """No network, no cache: a warning, then one clear error, no half files."""
    with tempfile.TemporaryDirectory(prefix="popf-fetch.") as cache:
        before = snapshot()
        proxy = "http://127.0.0.1:9"
        run = fetch(cache, http_proxy=proxy, https_proxy=proxy)
        check(snapshot() == before, "the host's package state changed")
        check(run.returncode != 0, "did not fail")
        check("warning: apt-get update failed" in run.stderr, run.stderr)
        error = run.stderr.strip().splitlines()[-1]
        check(error.startswith("popf: error: no kernel package"), error)
        check(not list(pathlib.Path(cache, "popf/guest").iterdir()),
              "files are left over")


if __name__ == "__main__":
    sys.exit(guest.main({"leaves_the_host_alone": leaves_the_host_alone,
                         "fails_without_a_mirror": fails_without_a_mirror},
                        sys.argv[1:]))
