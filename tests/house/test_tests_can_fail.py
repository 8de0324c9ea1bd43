"""Tests that could not fail, found by their form; each rule has a sample that it finds."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from support.places import ROOT, TESTS

Function = ast.FunctionDef | ast.AsyncFunctionDef
GIVEN_FOR_ITS_VALUE = {"tmp_path", "monkeypatch", "capsys", "request", "shared_dir"}
"""Fixtures that do nothing by themselves: a test that asks for one and does not use it meant to."""


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(TESTS.rglob("*.py"))}


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def calls(node: ast.AST) -> Iterator[ast.Call]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Call))


def is_test(function: Function) -> bool:
    return function.name.startswith("test_")


def is_fixture(function: Function) -> bool:
    return any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list)


def asserts(function: Function) -> bool:
    """Whether something in it can fail a test by itself."""
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or any(
        called(call) in ("raises", "fail") or called(call).startswith("assert_") for call in calls(function)
    )


@cache
def asserting() -> frozenset[str]:
    """Names of functions that can fail a test, by what they call too."""
    everything = [function for tree in trees().values() for function in functions(tree)]
    found = {function.name for function in everything if asserts(function)}
    while more := {
        function.name
        for function in everything
        if function.name not in found and any(called(call) in found for call in calls(function))
    }:
        found |= more
    return frozenset(found)


@cache
def signatures() -> frozenset[tuple[str, str]]:
    """Functions of the product and their arguments: a stand-in has them too, used or not."""
    folders = ("avis_data", "pipelines", "annotation", "training")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return frozenset(
        (function.name, name)
        for path in paths
        for function in functions(ast.parse(path.read_text()))
        for name in arguments(function)
    )


def arguments(function: Function) -> list[str]:
    given = function.args
    both = [given.vararg, given.kwarg]
    return [part.arg for part in [*given.posonlyargs, *given.args, *given.kwonlyargs, *both] if part is not None]


def unused(function: Function) -> list[str]:
    used = {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
    return [name for name in arguments(function) if name not in used and not name.startswith("_")]


def parametrized(function: Function) -> set[str]:
    found = set()
    for decorator in function.decorator_list:
        for call in calls(decorator):
            if called(call) == "parametrize" and not any(word.arg == "indirect" for word in call.keywords):
                names = ast.literal_eval(call.args[0])
                found |= set(names.replace(" ", "").split(",") if isinstance(names, str) else names)
    return found


def without_an_assertion(tree: ast.Module) -> Iterator[str]:
    for function in functions(tree):
        if is_test(function) and not asserts(function) and not any(called(c) in asserting() for c in calls(function)):
            yield f"{function.lineno}: {function.name} asserts nothing"


def unused_argument(tree: ast.Module) -> Iterator[str]:
    strangers = {  # of a class that another package calls, and of one that has no say in its arguments
        function
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.bases
        for function in functions(node)
    }
    for function in functions(tree):
        names = set(unused(function)) - {"self", "cls"}
        if is_test(function):
            names &= parametrized(function) | GIVEN_FOR_ITS_VALUE
        elif is_fixture(function):
            names &= GIVEN_FOR_ITS_VALUE
        elif function in strangers or function.name.startswith("__"):
            continue
        for name in sorted(names):
            if (function.name, name) not in signatures():
                yield f"{function.lineno}: {function.name} does not use {name!r}"


def assertion_that_holds_always(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and holds_always(node.test):
            yield f"{node.lineno}: assert {ast.unparse(node.test)}"


def holds_always(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.Tuple | ast.List | ast.Dict | ast.Set | ast.GeneratorExp | ast.Lambda | ast.JoinedStr):
        return True
    if isinstance(test, ast.BoolOp):
        return (any if isinstance(test.op, ast.Or) else all)(holds_always(part) for part in test.values)
    if isinstance(test, ast.Attribute):
        return ast.unparse(test) == "caught.value"
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right = ast.unparse(test.left), ast.unparse(test.comparators[0])
        counts = isinstance(test.left, ast.Call) and called(test.left) in ("len", "abs")
        return left == right or (isinstance(test.ops[0], ast.GtE) and counts and right in ("0", "0.0"))
    return False


def skip_without_a_reason(tree: ast.Module) -> Iterator[str]:
    for call in calls(tree):
        name = called(call)
        words = {word.arg for word in call.keywords}
        if name in ("skipif", "xfail", "importorskip") and "reason" not in words:
            yield f"{call.lineno}: {ast.unparse(call)} says no reason"
        if name == "skip" and not (call.args or "reason" in words):
            yield f"{call.lineno}: {ast.unparse(call)} says no reason"
    for function in functions(tree):
        for decorator in function.decorator_list:
            if ast.unparse(decorator) in ("pytest.mark.skip", "pytest.mark.xfail"):
                yield f"{function.lineno}: {function.name}: {ast.unparse(decorator)} says no reason"


def fault_passed_over(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException", "AssertionError")
            told = any(isinstance(part, ast.Raise | ast.Assert) for part in ast.walk(node))
            if (wide and not told) or all(isinstance(part, ast.Pass) for part in node.body):
                yield f"{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Call) and called(node) in ("raises", "suppress") and node.args:
            if ast.unparse(node.args[0]) in ("Exception", "BaseException", "AssertionError") and not in_parity(node):
                yield f"{node.lineno}: {ast.unparse(node)}: any mistake would do"


def in_parity(call: ast.Call) -> bool:
    """`raises(AssertionError, match=...)` is how a check is checked."""
    return ast.unparse(call.args[0]) == "AssertionError" and any(word.arg == "match" for word in call.keywords)


def loop_over_what_may_not_be_there(tree: ast.Module) -> Iterator[str]:
    """Where a folder is empty or its name wrong, nothing is asserted."""
    for node in ast.walk(tree):
        loops: Iterable[ast.expr] = ()
        if isinstance(node, ast.For) and any(isinstance(part, ast.Assert) for part in ast.walk(node)):
            loops = [node.iter]
        elif isinstance(node, ast.Assert) and isinstance(node.test, ast.Call) and ast.unparse(node.test.func) == "all":
            first = node.test.args[0]
            loops = [part.iter for part in first.generators] if isinstance(first, ast.GeneratorExp) else ()
        for loop in loops:
            if any(called(call) in ("glob", "rglob", "iterdir") for call in calls(loop)):
                yield f"{node.lineno}: nothing is asserted where {ast.unparse(loop)} finds nothing"


def never_run(tree: ast.Module) -> Iterator[str]:
    """A test inside a function, or in a class whose name pytest does not know."""
    for node in ast.walk(tree):
        if isinstance(node, Function) or (isinstance(node, ast.ClassDef) and not node.name.startswith("Test")):
            for inner in node.body:
                if isinstance(inner, Function) and is_test(inner):
                    yield f"{inner.lineno}: {inner.name} is not collected"


RULES: dict[str, tuple[Callable[[ast.Module], Iterator[str]], list[str]]] = {
    "asserts": (without_an_assertion, ["def test_a():\n    work()"]),
    "arguments": (
        unused_argument,
        [
            "def click(x, *, background=False):\n    return x",
            "class Page:\n    def click(self, x, *, background=False):\n        return x",
            "@pytest.mark.parametrize(('a', 'b'), [(1, 2)])\ndef test_a(a, b):\n    assert a",
            "def test_a(tmp_path):\n    assert work()",
        ],
    ),
    "always": (
        assertion_that_holds_always,
        [
            *("assert found or True", "assert (found, 'why')", "assert len(found) >= 0", "assert found == found"),
            *("assert caught.value", "assert (x for x in found)", "assert 1"),
        ],
    ),
    "skips": (
        skip_without_a_reason,
        ["pytest.skip()", "pytest.importorskip('ray')", "@pytest.mark.skip\ndef test_a():\n    assert x"],
    ),
    "faults": (
        fault_passed_over,
        [
            "try:\n    work()\nexcept OSError:\n    pass",
            "try:\n    work()\nexcept Exception as error:\n    told(error)",
            "with pytest.raises(Exception):\n    work()",
            "with suppress(AssertionError):\n    work()",
        ],
    ),
    "loops": (
        loop_over_what_may_not_be_there,
        [
            "for path in sorted(folder.glob('*.json')):\n    assert good(path)",
            "assert all(path.is_file() for path in folder.iterdir())",
        ],
    ),
    "collected": (
        never_run,
        ["class Checks:\n    def test_a(self):\n        assert x", "def f():\n    def test_a():\n        assert x"],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_no_test_is_green_whatever_happens(rule: str) -> None:
    find, _ = RULES[rule]
    wrong = [f"{path.relative_to(ROOT)}:{found}" for path, tree in trees().items() for found in find(tree)]
    assert len(trees()) > 100 and not wrong, "\n".join(wrong)


SAMPLES = [(rule, sample) for rule, (_, samples) in RULES.items() for sample in samples]


@pytest.mark.parametrize(("rule", "sample"), SAMPLES)
def test_each_rule_finds_its_sample(rule: str, sample: str) -> None:
    find, _ = RULES[rule]
    assert list(find(ast.parse(sample)))
