"""Every folder with a case in it is a test; `--cases DIR` gives other folders than those in ../shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.parity_cases import Case
from support.places import NEEDS_SHARED, SHARED

_DEFAULT = SHARED / "parity"


_MARKS = ("case.json", "*.safetensors")
"""A folder with one of them is a case; one that lacks the others fails, it is not passed over."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case_dir" not in metafunc.fixturenames:
        return
    asked: Path | None = metafunc.config.getoption("--cases")
    folders = sorted({path.parent for mark in _MARKS for path in (asked or _DEFAULT).rglob(mark)})
    if asked and not folders:
        raise pytest.UsageError(f"--cases {asked}: no folder with a case.json is in it")
    parameters = [pytest.param(folder, id=folder.name) for folder in folders]
    metafunc.parametrize("case_dir", parameters or [pytest.param(_DEFAULT, id="none", marks=NEEDS_SHARED)])


@pytest.fixture
def case(case_dir: Path) -> Case:
    """One case."""
    return Case(case_dir)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How far off each case was."""
    lines = [
        f"{name:36} {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if "parity" in report.nodeid
    ]
    if lines:
        terminalreporter.section("largest |ours - official| / (1 + |official|)")
        terminalreporter.write_line("\n".join(lines))
