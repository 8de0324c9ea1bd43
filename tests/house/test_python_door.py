"""`import avis_data` is cheap, gives what it says, and editors see the same names as programs."""

from __future__ import annotations

import ast
import subprocess
import sys

import avis_data
from support.places import ROOT

NAMES = sorted(avis_data.__all__)
FREE = {"__future__", "typing", "_typing", "typing.io", "typing.re", "collections.abc", "avis_data"}
"""What the import may bring; all of it is the standard library's, and there before most programs begin."""


def in_new_python(script: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_import_brings_nothing_heavy() -> None:
    brought = set(in_new_python("import sys; a = set(sys.modules); import avis_data; print(*set(sys.modules) - a)"))
    assert brought <= FREE, f"import avis_data also imports {sorted(brought - FREE)}"


def test_looking_around_brings_nothing_heavy() -> None:
    brought = set(
        in_new_python(
            "import sys; a = set(sys.modules); import avis_data; dir(avis_data); print(*set(sys.modules) - a)"
        )
    )
    assert brought <= FREE


def test_import_takes_less_than_50_ms() -> None:
    """The best of five, in processes of their own: others on the machine only make it longer."""
    script = "import time; t = time.perf_counter(); import avis_data; print(1000 * (time.perf_counter() - t))"
    assert min(float(in_new_python(script)[0]) for _ in range(5)) < 50


def test_every_name_is_there_and_listed() -> None:
    assert 25 <= len(NAMES) <= 40
    assert set(NAMES) <= set(dir(avis_data))
    for name in NAMES:
        assert getattr(avis_data, name).__name__ == name


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse((ROOT / "avis_data" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(seen) == NAMES
    assert {name: f"avis_data.{home}" for name, home in avis_data._HOME.items()} == seen


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(avis_data, "opne")
