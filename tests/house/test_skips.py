"""Where a run says for which reasons tests may be skipped, another skip is a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.places import ROOT


@pytest.mark.parametrize(("allowed", "code"), [("has none", 0), ("nothing", 1)])
def test_a_skip_that_is_not_allowed_fails_the_run(allowed: str, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/metrics/test_metric_cases.py", "-p", "no:cacheprovider"]
    command += ["-k", "avs_agrees", "--cases", str(tmp_path), "--may-skip", allowed]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "1 skipped" in ran.stdout and ran.returncode == code, ran.stdout + ran.stderr
