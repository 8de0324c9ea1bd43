"""Rooms stay rooms: no folder too full, no module too long, none so small that it is a part of another."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from support.places import ROOT

TOPS = ("avis_data", "pipelines", "annotation", "training", "schemas")
FULLEST = 16
LONGEST = 400
SMALL = 60
LISTS_OF_THINGS = {"avis_data/cli", "avis_data/metrics"}
"""Folders whose modules are one list: commands, metrics."""

MODULES = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8") for top in TOPS for path in (ROOT / top).rglob("*.py")
}


def dotted(path: Path) -> str:
    """The name that a module is imported by."""
    parts = path.with_suffix("").parts
    return ".".join(parts if parts[0] == "avis_data" else ("avis_data", *parts)).removesuffix(".__init__")


def imported(text: str) -> set[str]:
    """Everything that may be a module among what is imported, also by name from a registry."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.partition(":")[0])
    return found


def test_no_folder_is_a_corridor() -> None:
    count: dict[str, int] = defaultdict(int)
    for path in MODULES:
        count[path.parent.as_posix()] += not path.name.startswith("__")
    assert {name: n for name, n in count.items() if n > FULLEST and name not in LISTS_OF_THINGS} == {}


def test_no_module_is_too_long() -> None:
    assert {str(path): n for path, text in MODULES.items() if (n := text.count("\n")) > LONGEST} == {}


def test_no_small_module_has_its_only_importer_beside_it() -> None:
    importers: dict[str, set[Path]] = defaultdict(set)
    for path, text in MODULES.items():
        for name in imported(text):
            importers[name].add(path)
    alone = []
    for path, text in MODULES.items():
        if text.count("\n") < SMALL and not path.name.startswith("__"):
            users = importers[dotted(path)] - {path}
            if (
                len(users) == 1
                and next(iter(users)).parent == path.parent
                and path.parent.as_posix() != "avis_data/cli"
            ):
                alone.append(str(path))
    assert alone == []


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=str)
def test_every_room_says_what_lives_in_it(path: Path) -> None:
    text = ast.get_docstring(ast.parse(MODULES[path]))
    assert text and len(text) > 40, "a few lines: what is here, and what may not be"


def test_no_two_tests_have_one_name() -> None:
    """Folders of tests are no packages: pytest would load only one of two files of the same name."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert sorted(name for name, count in names.items() if count > 1) == []
