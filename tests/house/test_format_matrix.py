"""Every format has a test in every cell of the matrix of formats that it can have, and an empty cell is noticed."""

from __future__ import annotations

import subprocess
import sys

from support.places import ROOT

_COLLECT = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "cell", "--format-matrix")


def matrix(*paths: str) -> tuple[int, str]:
    ran = subprocess.run([*_COLLECT, *paths], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    return ran.returncode, ran.stdout + ran.stderr


def test_every_cell_has_a_test() -> None:
    code, told = matrix("tests/formats", "tests/pipelines/exports/test_every_format.py")
    assert code == 0 and "ava-speaker" in told and "NOT RUN" not in told, told[-3000:]


def test_an_empty_cell_is_told() -> None:
    code, told = matrix("tests/formats/turns")
    assert code == 1 and "NOT RUN" in told
