"""What a plain install lacks is asked for by name (`need_extra`) before it is imported.

A module that imports such a package at its top, or such a module, or that imports one in a function without asking,
needs the package itself. No command, no part of the door and nothing below them may be such a module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import cast

import click
import pytest

from avis_data.cli.commands import cli
from avis_data.extras import MODULES, Extra
from avis_data.training.registry import MODELS
from support.hidden_packages import modules_beside, modules_with
from support.places import ROOT
from support.tries import TINY, TRIES, name_of

MAY_NEED = ("avis_data.annotation.", "avis_data.training.")
"""Behind the commands that ask."""


@cache
def trees() -> dict[str, ast.Module]:
    """All modules of the product by their names."""
    found = {}
    for folder in ("avis_data", "pipelines", "annotation", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if folder == "avis_data" else ("avis_data", *parts))
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


def statements(body: list[ast.stmt], *, in_functions: bool) -> Iterator[ast.AST]:
    """What runs when a module is imported, or what runs in its functions; not what only a type checker sees."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if in_functions:
                yield from ast.walk(node)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from statements(node.orelse, in_functions=in_functions)
        else:
            if not in_functions:
                yield node
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(node, part, []), in_functions=in_functions)


def imported(nodes: Iterator[ast.AST]) -> tuple[set[str], set[str]]:
    """Our modules, and the packages that a plain install lacks."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    prefixes = {".".join(part[:length]) for part in parts for length in range(1, len(part) + 1)}
    return prefixes & trees().keys(), {part[0] for part in parts} & lacking()


@cache
def lacking() -> set[str]:
    return set(modules_beside())


def asked_for(tree: ast.Module) -> set[str]:
    """The packages that are there after the calls of `need_extra` in a module."""
    found: set[str] = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "need_extra":
            extra, *modules = (str(ast.literal_eval(argument)) for argument in call.args)
            for module in modules or MODULES[cast(Extra, extra)]:
                found |= modules_with(module)
    return found


def needs() -> dict[str, set[str]]:
    """What each module needs beside a plain install, by itself or by what it imports."""
    at_top = {name: imported(statements(tree.body, in_functions=False)) for name, tree in trees().items()}
    inside = {name: imported(statements(tree.body, in_functions=True)) for name, tree in trees().items()}
    asked = {name: asked_for(tree) for name, tree in trees().items()}
    found = {name: packages | (inside[name][1] - asked[name]) for name, (_, packages) in at_top.items()}
    changed = True
    while changed:
        changed = False
        for name in found:
            more = set().union(*(found[other] for other in at_top[name][0]))
            more |= set().union(*(found[other] for other in inside[name][0])) - asked[name]
            if not more <= found[name]:
                found[name] |= more
                changed = True
    return found


def test_only_what_lies_behind_a_question_needs_an_extra() -> None:
    found = needs()
    wrong = {name: sorted(packages) for name, packages in found.items() if packages and not name.startswith(MAY_NEED)}
    assert not wrong, f"no need_extra() before these are imported: {wrong}"
    assert found["avis_data.training.models.backbones"] == {"transformers"}, "the search finds something"


@pytest.mark.parametrize("asks", [True, False])
def test_a_command_that_does_not_ask_is_found(asks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    question = "need_extra('annotate', 'cv2', what='x')" if asks else ""
    command = f"def command():\n    {question}\n    from avis_data.annotation.segmenters import grabcut"
    monkeypatch.setitem(trees(), "avis_data.cli.new_command", ast.parse(command))
    assert needs()["avis_data.cli.new_command"] == (set() if asks else {"cv2"})


def all_commands(group: click.Group = cli, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_command_and_every_model_is_tried() -> None:
    assert {name_of(item.line) for item in TRIES} == set(all_commands())
    assert set(TINY) == set(MODELS.names())
