"""The doctor finds what is missing or broken, and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avis_data.doctor import Health, examine, platform_check
from support.shell import avis_data


def test_this_machine_is_well(tmp_path: Path) -> None:
    checks = {check.name: check for check in examine(tmp_path)}
    bad = [check for check in checks.values() if check.health is Health.BAD]
    assert not bad
    assert checks["ffmpeg"].health is checks["ffmpeg encoders"].health is checks["torch"].health is Health.GOOD


def test_a_broken_torchvision_a_missing_program_and_a_silent_server_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "site" / "torchvision"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "AVIS_DATA_FFMPEG": str(tmp_path / "no-such-ffmpeg"),
        "AVIS_DATA_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-m", "avis_data", "doctor", "--label-studio-url", "http://127.0.0.1:9"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 5 and "Traceback" not in ran.stderr
    lines = ran.stdout.splitlines()
    bad = {line[10:26].strip(): line for line in lines if line.startswith("bad")}
    assert "nms does not exist" in bad["torchvision"]
    assert "no-such-ffmpeg" in bad["ffmpeg"]
    assert "127.0.0.1:9" in bad["label studio"]
    assert any("pip uninstall torchvision" in line for line in lines)


@pytest.mark.parametrize(
    ("system", "health", "words"),
    [("linux", Health.GOOD, ""), ("darwin", Health.WARNING, "only Linux is tested"), ("win32", Health.BAD, "Linux or")],
)
def test_what_works_on_this_system_is_said(system: str, health: Health, words: str) -> None:
    check = platform_check(system, "Some-1.0")
    assert check.health is health and "Some-1.0" in check.found and words in check.found
    assert (check.advice is None) == (health is Health.GOOD)
    assert "wsl --install" in (check.advice or "") or system != "win32"


def test_json_is_one_object() -> None:
    found = avis_data("doctor", "--json").json
    assert {"python", "platform", "ffmpeg", "yt-dlp", "torch", "disk", "weights"} <= {
        check["name"] for check in found["checks"]
    }
