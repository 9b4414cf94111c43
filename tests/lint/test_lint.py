#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The lint finds what it is there to find, and nothing in a clean tree."""
import pathlib
import sys
import tempfile
import unittest

import lint

SPDX = "/* SPDX-License-Identifier: MIT */\n"


def run(rule, files):
    """Offences of one rule in a tree of {path: text}."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        checked = lint.Lint(root)
        lint.RULES[rule](checked)
        return checked.offences


HEADERS = {"monitor/base.h": SPDX, "monitor/vm.h": SPDX, "cache/tc.h": SPDX,
           "cache/tc_priv.h": SPDX, "translator/decode/insn.h": SPDX,
           "shadow_mmu/mmu.h": SPDX}


def include(path, header):
    return run("includes", HEADERS | {path: f'#include "{header}"\n'})


class Includes(unittest.TestCase):
    def test_every_folder_may_include_the_base_headers(self):
        self.assertEqual(include("cache/a.c", "monitor/base.h"), [])

    def test_no_folder_may_include_the_monitors_other_headers(self):
        self.assertEqual(len(include("cache/a.c", "monitor/vm.h")), 1)

    def test_the_translator_may_include_the_cache(self):
        self.assertEqual(include("translator/a.c", "cache/tc.h"), [])

    def test_the_cache_may_not_include_the_shadow_mmu(self):
        self.assertEqual(len(include("cache/a.c", "shadow_mmu/mmu.h")), 1)

    def test_the_decoder_may_not_include_the_cache(self):
        self.assertEqual(len(include("translator/decode/a.c", "cache/tc.h")),
                         1)

    def test_private_headers_stay_in_their_folder(self):
        self.assertEqual(len(include("monitor/a.c", "cache/tc_priv.h")), 1)
        self.assertEqual(include("cache/a.c", "cache/tc_priv.h"), [])

    def test_headers_are_named_from_the_root(self):
        self.assertEqual(len(include("cache/a.c", "tc.h")), 1)

    def test_zydis_has_one_user(self):
        text = "#include <Zydis/Zydis.h>\n"
        self.assertEqual(len(run("includes", {"monitor/a.c": text})), 1)
        self.assertEqual(run("includes", {"translator/decode/a.c": text}), [])

    def test_few_files_map_code(self):
        text = "mmap(0, 1, PROT_READ | PROT_EXEC);\n"
        self.assertEqual(len(run("includes", {"monitor/a.c": text})), 1)
        self.assertEqual(run("includes", {"cache/mcode.c": text}), [])


class Headers(unittest.TestCase):
    GUARD = "#ifndef CACHE_A_H\n#define CACHE_A_H\n{}\n#endif\n"

    def test_a_header_that_needs_another_is_found(self):
        text = self.GUARD.format("size_t f(void);")
        self.assertEqual(len(run("headers", {"cache/a.h": text})), 1)

    def test_a_self_contained_header_passes(self):
        text = self.GUARD.format("#include <stddef.h>\nsize_t f(void);")
        self.assertEqual(run("headers", {"cache/a.h": text}), [])

    def test_a_guard_of_another_name_is_found(self):
        text = self.GUARD.format("").replace("_A_", "_B_")
        self.assertEqual(len(run("headers", {"cache/a.h": text})), 1)


class Text(unittest.TestCase):
    def test_marks_of_unfinished_work_are_found(self):
        text = "/* FIX" + "ME: later */\n/* TODO: later */\n"
        self.assertEqual(len(run("marks", {"cache/a.c": text})), 2)

    def test_an_unfinished_merge_is_found(self):
        text = "<" * 7 + " HEAD\n" + ">" * 7 + " abc\n"
        self.assertEqual(len(run("marks", {"a/CMakeLists.txt": text})), 2)

    def test_a_todo_with_an_issue_passes(self):
        self.assertEqual(run("marks", {"cache/a.c": "/* TODO(#3): x */"}), [])

    def test_a_source_without_licence_is_found(self):
        self.assertEqual(len(run("spdx", {"cache/a.c": "int a;\n"})), 1)
        self.assertEqual(len(run("spdx", {"scripts/a": "#!/bin/sh\n"})), 1)
        self.assertEqual(run("spdx", {"cache/a.c": SPDX}), [])

    def test_words_of_other_projects_are_found(self):
        text = "struct tb *tb;\n/* a basic block */\n/* the fragment */\n"
        self.assertEqual(len(run("words", {"cache/a.c": text})), 3)
        text = "/* a compiled code fragment; tb-size= as QEMU's */\n"
        self.assertEqual(run("words", {"cache/a.c": text}), [])

    def test_a_badly_formatted_file_is_found(self):
        style = {".clang-format": "BasedOnStyle: LLVM\n"}
        self.assertTrue(run("format", style | {"a.c": "int   a ;\n"}))
        self.assertEqual(run("format", style | {"a.c": "int a;\n"}), [])


class Documents(unittest.TestCase):
    def test_paths_that_do_not_exist_are_found(self):
        text = "`cache/a.c` [b](docs/B.md) `monitor/gone/` `gone.c`\n"
        self.assertEqual(len(run("docs", {"README.md": text})), 4)

    def test_paths_from_the_root_the_folder_or_by_name_pass(self):
        files = {"cache/a.c": SPDX, "docs/B.md": "`a.c` [a](../cache/a.c)\n",
                 "README.md": "`cache/a.c` [b](docs/B.md) <https://x.org>\n"}
        self.assertEqual(run("docs", files), [])

    def test_a_folder_without_readme_is_found(self):
        self.assertEqual(len(run("readmes", {"cache/a.c": SPDX})), 1)

    def test_a_stale_list_of_instructions_is_found(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        tables = {f"translator/decode/ops/{name}.def":
                  (root / f"translator/decode/ops/{name}.def").read_text()
                  for name, _title in lint.supported.TABLES}
        text, count = lint.supported.render(root)
        self.assertGreater(count, 500)
        current = {"docs/SUPPORTED.md": text}
        self.assertEqual(run("supported", tables | current), [])
        tables["translator/decode/ops/x87.def"] += "OP(X, FEAT_X87, x, x87, 0)\n"
        self.assertEqual(len(run("supported", tables | current)), 1)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    print(f"checks: {result.testsRun}")
    sys.exit(0 if result.wasSuccessful() else 1)
