"""What a process has used, and what is refused on Windows."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from avis_data.errors import ToolError
from avis_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
from avis_data.pipelines.engine.executors.local import LocalExecutors
from avis_data.platforms import peak_memory_mb, used_cpu_s
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
