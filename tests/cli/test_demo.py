"""The demo is killed while its model trains, run again to its end, and once more: it goes on, and changes nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.shell import avis_data, start

pytestmark = pytest.mark.slow


def test_a_demo_that_was_killed_in_its_training_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = ("demo", "--out", out, "--num-clips", 6, "--iterations", 20)
    process = start(*command)
    while not (out / "runs" / "heed_tiny" / "config.yaml").exists():
        assert process.poll() is None, process.returncode
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (out / "results.json").exists()
    results = []
    for _ in range(2):
        ran = avis_data(*command)
        assert ran.code == 0 and "report.html" in ran.out, ran.err
        results.append((out / "results.json").read_bytes())
    assert results[0] == results[1] and (out / "report.html").is_file()
