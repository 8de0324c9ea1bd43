"""Every public name has an example, and every example that is written down shows what really comes."""

from __future__ import annotations

import doctest
from importlib import import_module
from inspect import getmodule, isfunction
from pathlib import Path

import pytest

import avis_data as avis
from avis_data import metrics
from avis_data.metrics.counting import Mode
from avis_data.metrics.files import evaluate_files
from avis_data.metrics.reading import read_evaluation
from support.places import ROOT

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WITHOUT = {"AvisError", "BusyError", "ConfigError", "DataError", "ProblemsError", "ToolError", "YtvisDataset"}
"""What is raised, and a record of formats, which `read_ytvis` shows."""
KNOWN = {"avis": avis, "Path": Path, "Mode": Mode} | {
    function.__name__: function for function in (evaluate_files, read_evaluation)
}
OPEN_ROOMS = ("formats", "masks")
"""Rooms whose every module is public; `metrics` says itself what of it is."""


def public_functions() -> list[str]:
    """As `masks.rle:encode`."""
    modules = [
        import_module(f"avis_data.{room}.{path.stem}")
        for room in OPEN_ROOMS
        for path in sorted((ROOT / "avis_data" / room).glob("[!_]*.py"))
    ]
    things = [getattr(module, name) for module in (*modules, metrics) for name in module.__all__]
    found = {f"{thing.__module__.removeprefix('avis_data.')}:{thing.__name__}" for thing in things if isfunction(thing)}
    return sorted(found)


@pytest.mark.parametrize("name", sorted(set(avis.__all__) - WITHOUT))
def test_examples_of_the_door(name: str, beside_example: Path) -> None:
    check_examples(getattr(avis, name), f"avis.{name}")


@pytest.mark.parametrize("place", public_functions())
def test_examples_of_public_functions(place: str, beside_example: Path) -> None:
    module, _, name = place.partition(":")
    check_examples(getattr(import_module(f"avis_data.{module}"), name), place)


def check_examples(thing: object, name: str) -> None:
    """Run them in the current folder, with the names of their own module and those that all examples take for known."""
    module = getmodule(thing)
    assert module is not None
    names = {**KNOWN, **vars(module)}
    found = [test for test in doctest.DocTestFinder().find(thing, name, module, names) if test.examples]
    assert any(example.want for test in found for example in test.examples), (
        f"{name} has no example that shows anything"
    )
    runner, said = doctest.DocTestRunner(optionflags=OPTIONS), list[str]()
    for test in found:
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
