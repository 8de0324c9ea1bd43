"""Environments that lack packages: what `pip install 'avis-data[EXTRA]'` does not bring cannot be imported in them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

from support.places import ROOT

__all__ = ["distributions_of", "extras_of_project", "modules_beside", "modules_of", "modules_with", "run_python_with"]

_EVERYWHERE = {"pip", "setuptools", "avis-data"}
"""What a fresh environment holds, and the project itself."""
_HIDE = """
import json, os, sys
from importlib.machinery import PathFinder

with open(os.path.join(os.path.dirname(__file__), "hidden.json")) as file:
    HIDDEN = set(json.load(file))

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if path is None and name in HIDDEN else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""A `sitecustomize`, so that the processes that a command starts lack the packages too."""


def extras_of_project() -> dict[str, list[str]]:
    """The extras of pyproject.toml but that of developers, with their requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {name: lines for name, lines in project["optional-dependencies"].items() if name != "dev"}


@cache
def distributions_of(*chosen: str) -> frozenset[str]:
    """The installed distributions that the project brings with these extras, those that they need in turn included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return _with_needs((*project["dependencies"], *(line for extra in chosen for line in extras_of_project()[extra])))


def modules_beside(*chosen: str) -> list[str]:
    """Installed top-level modules that are not there after `pip install 'avis-data[CHOSEN]'`."""
    there = modules_of(distributions_of(*chosen) | _EVERYWHERE)
    return sorted(set(_owners()) - there)


def modules_of(distributions: Collection[str]) -> set[str]:
    """The top-level modules of distributions."""
    return {module for module, names in _owners().items() if not names.isdisjoint(distributions)}


def modules_with(module: str) -> set[str]:
    """The top-level modules that are there where this one is: those of its distribution and of all that that needs."""
    return modules_of(_with_needs(tuple(_owners().get(module, ())))) | {module}


@cache
def _owners() -> dict[str, set[str]]:
    """Top-level module -> the distributions that it is of."""
    found = importlib.metadata.packages_distributions()
    return {module: {_normal(name) for name in names} for module, names in found.items()}


@cache
def _with_needs(requirements: tuple[str, ...]) -> frozenset[str]:
    open_ = [Requirement(line) for line in requirements]
    found: set[tuple[str, str]] = set()
    while open_:
        requirement = open_.pop()
        name = _normal(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in found and _is_installed(name):
                found.add((name, extra))
                open_ += _needs(name, extra)
    return frozenset(name for name, _ in found)


def run_python_with(
    chosen: Sequence[str], folder: Path, program: Path, *, cwd: Path, stdin: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of Python in an environment with these extras only.

    Args:
        folder: one of its own, which is made.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HIDE)
    (folder / "hidden.json").write_text(json.dumps(modules_beside(*chosen)))
    paths = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, str(program)],
        cwd=cwd,
        input=stdin,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _needs(name: str, extra: str) -> Iterable[Requirement]:
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or (marker.evaluate({"extra": extra}) and (not extra or not marker.evaluate({"extra": ""}))):
            yield requirement


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
