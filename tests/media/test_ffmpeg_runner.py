"""The ffmpeg program always ends: on a timeout, on Ctrl-C, and when the process that started it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avis_data.errors import ItemError, Reason, ToolError
from avis_data.media.ffmpeg import FFMPEG_VARIABLE, find_ffmpeg, run_ffmpeg
from support.extracting import PROGRAMS

ENDLESS = ["-re", "-f", "lavfi", "-i", "color=black:s=16x16:r=1", "-f", "null", "-"]
CHILD = """
import sys
from pathlib import Path
from avis_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
run_ffmpeg([find_ffmpeg().program, *sys.argv[1:]], cwd=Path.cwd(), timeout_s=600, source="endless")
"""


def children_of(pid: int) -> list[int]:
    """Process ids, from /proc."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()] if listing.exists() else []


def endless_child(pid: int) -> int | None:
    """The child that plays `ENDLESS` (not the one that was only asked for its version)."""
    for child in children_of(pid):
        try:
            if b"lavfi" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
    return None


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> object:
    """What the condition gives as soon as it holds, or False."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_timeout_kills_it(ffmpeg_program: str, tmp_path: Path) -> None:
    before = set(children_of(os.getpid()))
    with pytest.raises(ItemError) as caught:
        run_ffmpeg([ffmpeg_program, *ENDLESS], cwd=tmp_path, timeout_s=0.5, source="endless.mp4")
    assert caught.value.reason is Reason.TIMEOUT
    assert "endless.mp4" in caught.value.message
    assert set(children_of(os.getpid())) <= before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and PR_SET_PDEATHSIG")
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_dies_with_the_process_that_started_it(blow: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, *ENDLESS]
    parent = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        child = wait_for(lambda: endless_child(parent.pid))
        assert isinstance(child, int), "ffmpeg did not start"
        parent.send_signal(blow)
        parent.wait(20)
        assert wait_for(lambda: not alive(child)), "ffmpeg lives on"
    finally:
        parent.kill()
        parent.wait()


def test_its_last_words_are_in_the_error(ffmpeg_program: str, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="No such file") as caught:
        arguments = [ffmpeg_program, "-i", "gone.mp4", "-f", "null", "-"]
        run_ffmpeg(arguments, cwd=tmp_path, timeout_s=60, source="gone.mp4")
    assert caught.value.reason is Reason.BAD_MEDIA


def test_the_variable_names_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FFMPEG_VARIABLE, PROGRAMS["wheel"])
    assert find_ffmpeg().program == PROGRAMS["wheel"]
    monkeypatch.setenv(FFMPEG_VARIABLE, "no-such-ffmpeg")
    with pytest.raises(ToolError, match="no-such-ffmpeg"):
        find_ffmpeg()
    monkeypatch.setenv(FFMPEG_VARIABLE, sys.executable)
    with pytest.raises(ToolError):
        find_ffmpeg()


def test_the_wheel_is_used_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(FFMPEG_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg().program == PROGRAMS["wheel"]
