"""Every public name has an example, and every example that is written down shows what really comes."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import avis_data as avis
from support.places import ROOT

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WITHOUT = {"AvisError", "BusyError", "ConfigError", "DataError", "ProblemsError", "ToolError", "YtvisDataset"}
"""What is raised, and a record of formats, which `read_ytvis` shows."""
ROOMS = ("masks",)


def public_functions() -> list[str]:
    """Functions of the rooms that say what is public, as `masks.rle:encode`."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / "avis_data" / room).glob("[!_]*.py")):
            module = import_module(f"avis_data.{room}.{path.stem}")
            names = [name for name in module.__all__ if inspect.isfunction(getattr(module, name))]
            found += [
                f"{room}.{path.stem}:{name}" for name in names if getattr(module, name).__module__.endswith(path.stem)
            ]
    return found


@pytest.mark.parametrize("name", sorted(set(avis.__all__) - WITHOUT))
def test_examples_of_the_door(name: str, beside_example: Path) -> None:
    check_examples(getattr(avis, name), f"avis.{name}")


@pytest.mark.parametrize("place", public_functions())
def test_examples_of_public_functions(place: str, beside_example: Path) -> None:
    module, _, name = place.partition(":")
    check_examples(getattr(import_module(f"avis_data.{module}"), name), place)


def check_examples(thing: object, name: str) -> None:
    """Run them in the current folder, with the names of their own module, `avis`, and `Path`."""
    module = inspect.getmodule(thing)
    assert module is not None
    names = {**vars(module), "avis": avis, "Path": Path}
    found = [test for test in doctest.DocTestFinder().find(thing, name, module, names) if test.examples]
    assert any(example.want for test in found for example in test.examples), (
        f"{name} has no example that shows anything"
    )
    runner, said = doctest.DocTestRunner(optionflags=OPTIONS), list[str]()
    for test in found:
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
