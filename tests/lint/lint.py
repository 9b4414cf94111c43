#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lint.py [--root DIR] RULE...: check house rules that a compiler cannot.

Without a rule it lists them. Prints file:line: what, for each offence, then
`checks: N` (files or references looked at); status 1 if there was an offence.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

import supported

SOURCE = {".c", ".h", ".S", ".asm", ".def", ".ld", ".py", ".sh", ".tst"}
CODE = {".c", ".h", ".S", ".def"}
SKIPPED = {"build", ".git", "__pycache__", ".cache", ".vscode"}
PRODUCT = ("monitor", "translator", "cache", "shadow_mmu", "emu")

# What a folder may include of the others; every folder may include itself.
# BASE are the four leaf headers of monitor/ and the tables they expand.
BASE = {f"monitor/{name}" for name in
        ("base.h", "log.h", "log.def", "stats.h", "stats.def", "vcpu.h")}
MAY_INCLUDE = {
    "translator/decode": set(),
    "emu/cpu": {"translator/decode"},
    "emu/dev": set(),
    "cache": set(),
    "shadow_mmu": set(),
    "translator": {"translator/decode", "cache"},
    "monitor": {"translator/decode", "translator", "cache", "shadow_mmu",
                "emu/cpu", "emu/dev"},
}

# CCFs; the stubs that run single FPU instructions for the interpreter; and the
# filter that forbids it to all others.
MAPS_CODE = {"cache/mcode.c", "cache/mcode.h", "emu/cpu/fpu_code.c",
             "monitor/sandbox.c"}


class Lint:
    """One run: the tree, what was found, how much was looked at."""

    def __init__(self, root):
        self.root = root
        self.offences = []
        self.checks = 0
        self.files = sorted(self._walk())

    def _walk(self):
        for folder, names, files in os.walk(self.root):
            names[:] = [n for n in names if n not in SKIPPED]
            for name in files:
                path = pathlib.Path(folder, name)
                if not path.is_symlink():
                    yield path.relative_to(self.root)

    def of(self, suffixes, folders=None):
        """Files with one of the suffixes, in the folders (default: all)."""
        for path in self.files:
            if path.suffix in suffixes and (not folders or
                                            path.parts[0] in folders):
                yield path

    def lines(self, path):
        text = (self.root / path).read_text(encoding="utf-8",
                                            errors="replace")
        return enumerate(text.splitlines(), 1)

    def offence(self, path, line, what):
        self.offences.append(f"{path}:{line}: {what}")


def folder_of(path):
    """The part of the architecture that a file belongs to."""
    parts = path.parts
    if parts[0] == "emu" or parts[:2] == ("translator", "decode"):
        return "/".join(parts[:2])
    return parts[0]


def include_is_allowed(folder, header):
    target = folder_of(pathlib.PurePosixPath(header))
    if folder == target or header in BASE:
        return True
    if header.endswith("_priv.h") or folder not in MAY_INCLUDE:
        return folder not in MAY_INCLUDE
    return target in MAY_INCLUDE[folder]


def rule_includes(lint):
    """The dependency diagram of docs/ARCHITECTURE.md; Zydis has one user, and
    few files make memory executable."""
    pattern = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]')
    for path in lint.of(CODE, PRODUCT):
        folder = folder_of(path)
        for number, line in lint.lines(path):
            match = pattern.match(line)
            if match and match[1] == '"':
                lint.checks += 1
                if not (lint.root / match[2]).is_file():
                    lint.offence(path, number, f"{match[2]}: name the header "
                                 "by its path from the root")
                elif not include_is_allowed(folder, match[2]):
                    lint.offence(path, number,
                                 f"{folder} must not include {match[2]}")
            if match and match[2].startswith("Zydis/") and \
                    folder != "translator/decode":
                lint.offence(path, number, "only translator/decode uses Zydis")
            if re.search(r"\bPROT_EXEC\b", line) and \
                    str(path) not in MAPS_CODE:
                lint.offence(path, number, "not a file that maps code")


def rule_headers(lint):
    """Each header compiles alone and has a guard named after its path."""
    headers = [p for p in lint.of({".h"}) if p.parts[0] != "guests"]
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
               "-x", "c", f"-I{lint.root}"]

    def compile_alone(path):
        folders = [f"-I{lint.root / path.parent}"] \
            if path.parts[0] == "tests" else []
        source = f'#include "{path}"\ntypedef int lint_is_not_empty;\n'
        return path, subprocess.run(
            [os.environ.get("CC", "cc"), *options, *folders, "-"],
            input=source, capture_output=True, text=True, check=False)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, run in pool.map(compile_alone, headers):
            lint.checks += 1
            if run.returncode:
                first = next((l for l in run.stderr.splitlines()
                              if "error" in l), "")
                lint.offence(path, 1, f"does not compile alone: {first}")
    for path in lint.of({".h"}, PRODUCT):
        guard = re.sub(r"[^A-Z0-9]", "_", str(path).upper())
        short = re.sub(r"^(EMU|TRANSLATOR_DECODE)_", "", guard)
        text = (lint.root / path).read_text()
        match = re.search(r"^#ifndef (\w+)\n#define \1$", text, re.M)
        if not match or match[1] not in (guard, short):
            lint.offence(path, 1, f"the guard is not {guard}")


def rule_format(lint):
    """clang-format has nothing to say. Tables (*.def) are laid out by hand."""
    tool = os.environ.get("CLANG_FORMAT", "clang-format")
    files = [str(p) for p in lint.of({".c", ".h"})]
    run = subprocess.run([tool, "--dry-run", *files], cwd=lint.root,
                         capture_output=True, text=True, check=False)
    lint.checks += len(files)
    for path, line in re.findall(r"^([^:\n]+):(\d+):\d+: warning", run.stderr,
                                 re.M):
        lint.offence(path, line, "clang-format -i changes this")
    if run.returncode and not lint.offences:
        lint.offence(".clang-format", 1, run.stderr.strip())


def rule_marks(lint):
    """No marks of unfinished work but TODO with an issue's number, and none of
    an unfinished merge."""
    words = "XXX", "FIX" + "ME", "HA" + "CK"
    forbidden = re.compile(r"\b(" + "|".join(words) + r")\b")
    todo = re.compile(r"\bTODO\b(?!\(#\d+\))")
    merge = re.compile(r"^(<{7}|>{7}|\|{7}) ")
    for path in lint.of(SOURCE | {".txt", ".md", ""}):
        if path.parts[:2] == ("tests", "lint"):
            continue
        lint.checks += 1
        for number, line in lint.lines(path):
            match = forbidden.search(line)
            if merge.match(line):
                lint.offence(path, number, "an unfinished merge")
            if match:
                lint.offence(path, number, f"{match[1]}: open an issue")
            # TAP has a TODO of its own, written "# TODO".
            if todo.search(line.replace("# TODO", "")) and \
                    path.suffix in CODE | {".asm"}:
                lint.offence(path, number, "write TODO(#issue)")


def rule_spdx(lint):
    """Every source says its licence in its first lines."""
    for path in lint.files:
        text = (lint.root / path).read_bytes()
        if path.suffix not in SOURCE and not text.startswith(b"#!") and \
                path.name != "CMakeLists.txt":
            continue
        lint.checks += 1
        head = b"\n".join(text.split(b"\n")[:3])
        if b"SPDX-License-Identifier: MIT" not in head:
            lint.offence(path, 1, "no SPDX-License-Identifier: MIT")


def rule_words(lint):
    """Words that docs/GLOSSARY.md replaces by others."""
    rules = (
        (re.compile(r"\bt[bB]s?\b(?!-size)"), "say CCF or TU"),
        (re.compile(r"\btranslation block", re.I), "say TU or CCF"),
        (re.compile(r"\bbasic[ -]block", re.I), "say block, within a TU"),
        (re.compile(r"(?<!compiled code )\bfragments?\b", re.I), "say CCF"),
        (re.compile(r"\bcode cache\b", re.I), "say translation cache, TC"),
        (re.compile(r"\bslowpath|\bfastpath", re.I), "say slow path, hot"),
    )
    for path in lint.of(CODE, PRODUCT):
        lint.checks += 1
        for number, line in lint.lines(path):
            for pattern, advice in rules:
                if pattern.search(line):
                    lint.offence(path, number, advice)


def path_exists(lint, doc, name, names):
    """A path from the root, from the document, or a file's bare name."""
    name = name.rstrip("/").split("#")[0]
    if "/" not in name and name in names:
        return True
    return any((base / name).exists() for base in
               (lint.root, (lint.root / doc).parent))


def rule_docs(lint):
    """Documents name only files that exist."""
    suffixes = "c|h|S|def|md|py|tst|txt|asm"
    quoted = re.compile(r"`([\w./-]+\.(?:" + suffixes + r")|"
                        r"(?:" + "|".join(PRODUCT) +
                        r"|docs|tests|scripts|guests|bench)/[\w./-]*)`")
    link = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")
    names = {p.name for p in lint.files}
    for path in lint.of({".md"}):
        for number, line in lint.lines(path):
            for name in quoted.findall(line) + link.findall(line):
                lint.checks += 1
                if not path_exists(lint, path, name, names):
                    lint.offence(path, number, f"{name} does not exist")


def rule_supported(lint):
    """docs/SUPPORTED.md is what the table of instructions says."""
    path = pathlib.Path("docs/SUPPORTED.md")
    text, count = supported.render(lint.root)
    lint.checks += count
    if not (lint.root / path).is_file() or \
            (lint.root / path).read_text() != text:
        lint.offence(path, 1, "is not current: run tests/lint/supported.py")


def rule_readmes(lint):
    """Each folder of the architecture says what it is for."""
    for folder in (*MAY_INCLUDE, "guests", "tests", "tests/diff",
                   "tests/emit_check", "tests/exhaust", "tests/insn", "tests/lint", "tests/precise",
                   "tests/xlat", "bench"):
        if not (lint.root / folder).is_dir():
            continue
        lint.checks += 1
        if not (lint.root / folder / "README.md").is_file():
            lint.offence(folder, 1, "has no README.md")


RULES = {name[5:]: function for name, function in list(globals().items())
         if name.startswith("rule_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("rule", nargs="*", choices=[*RULES, []])
    options = parser.parse_args()
    if not options.rule:
        for name, function in RULES.items():
            print(f"{name:10} {' '.join(function.__doc__.split())}")
        return 0
    lint = Lint(options.root)
    for name in options.rule:
        RULES[name](lint)
    for line in lint.offences:
        print(line)
    print(f"checks: {lint.checks}")
    return 1 if lint.offences else 0


if __name__ == "__main__":
    sys.exit(main())
