"""What a process has used, and what is refused on Windows."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from avis_data.errors import ToolError
from avis_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
from avis_data.pipelines.engine.executors.local import LocalExecutors
from avis_data.platforms import map_in_workers, peak_memory_mb, used_cpu_s
from support.toy_stages import ShoutStage


def test_processor_time_grows_with_what_is_used() -> None:
    before_s, until = used_cpu_s(), time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert 0.04 < used_cpu_s() - before_s < 5


@pytest.mark.skipif(sys.platform != "linux", reason="compared with what Linux says elsewhere")
def test_peak_memory_is_what_the_system_says() -> None:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    assert peak_memory_mb() == pytest.approx(int(line.split()[1]) * 1024 / 1e6, rel=0.05)


def test_windows_is_refused_with_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = find_ffmpeg().program
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ToolError, match=r"running stages needs Linux or macOS[\s\S]*wsl --install"):
        LocalExecutors(workers=1)(ShoutStage(), 1)
    with pytest.raises(ToolError, match=r"decoding video and sound needs Linux or macOS"):
        run_ffmpeg([program, "-version"], cwd=tmp_path, timeout_s=5, source="a.mp4")


def _leave(code: int) -> int:
    os._exit(code)


def _die(*_: object) -> None:
    os._exit(7)


def test_a_worker_that_dies_in_its_work_is_told() -> None:
    with pytest.raises(ToolError, match=r"a worker process died \(exit code 3\): no memory, or a crash") as caught:
        list(map_in_workers(_leave, [3], workers=1))
    assert caught.value.hint == "run it again with --workers 1"


def test_workers_that_die_before_they_have_any_work_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avis_data.platforms.become_worker", _die)
    with pytest.raises(ToolError, match="a worker process died"):
        list(map_in_workers(abs, [-1, -2, -3], workers=2))
