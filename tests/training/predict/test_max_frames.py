"""The longest clip that memory holds: the search, tries that end in every way, and a real model under a limit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest
import torch

import avis_data.training.predict.max_frames as max_frames
from avis_data.training.device import is_end_of_memory
from avis_data.training.predict.benchmark import BenchmarkRequest
from support.tiny_rcf import TINY_RUN
from support.tiny_training import in_process

REQUEST = BenchmarkRequest(config_name="rcf_tiny", settings=TINY_RUN, size_hw=(64, 96), device_name="cpu")


@pytest.mark.parametrize("first", [1, 10, 999])
@pytest.mark.parametrize("limit", [0, 1, 2, 7, 10, 11, 99, 100, 1416, 2778, 5304])
def test_the_search_ends_at_the_limit(limit: int, first: int) -> None:
    asked = []

    def fits(frames: int) -> bool:
        asked.append(frames)
        return frames <= limit

    most, too_many = max_frames.search(fits, first=first)
    assert too_many is not None and most <= limit < too_many and too_many - most <= max(1, most // 100)
    assert len(asked) == len(set(asked)) and min(asked) >= 1 and len(asked) <= 25


def test_what_always_fits_has_an_end() -> None:
    assert max_frames.search(lambda frames: True, first=10, most=1000) == (1000, None)


def test_memory_that_ends_on_a_cpu_ends_one_try(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2,200 frames of 96 x 64 take 40.5 MB before anything is predicted, 2 next to nothing: the limit is 40 MB."""

    def two_tries(fits: Callable[[int], bool], *, first: int) -> tuple[int, int]:
        assert not fits(first) and fits(2)
        return 2, first

    monkeypatch.setattr(max_frames, "search", two_tries)
    options = [part for setting in TINY_RUN for part in ("--set", setting)]
    ran = in_process(
        capsys, "benchmark-model", "--config", "rcf_tiny", "--size", "96x64", "--num-frames", 2200, "--device", "cpu",
        "--find-max-frames", "--memory-mb", 40, "--json", *options,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["max_frames"], found["too_many"]) == (2, 2200)
    first, last = found["tries"]
    assert (first["frames"], first["fits"]) == (2200, False) and "allocate memory" in first["why"]
    assert (last["frames"], last["fits"]) == (2, True) and last["peak_memory_mb"] > 40
    assert "2200 frames: do not fit" in ran.err and "2 frames: " in ran.err


def dies(request: BenchmarkRequest, _memory_mb: int | None, out: Connection) -> None:
    """As the system ends a process when memory ends, from 4 frames on."""
    if request.num_frames >= 4:
        os.kill(os.getpid(), signal.SIGKILL)
    out.send(("fits", 5.0))


def test_a_try_that_is_killed_is_told_and_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(max_frames, "_try_alone", dies)
    found = max_frames.find_max_frames(replace(REQUEST, num_frames=4))
    assert (found.max_frames, found.too_many) == (3, 4)
    assert [one.frames for one in found.tries] == [4, 2, 3]
    assert "SIGKILL" in (found.tries[0].why or "")


def breaks(_: BenchmarkRequest, *, prepared: Callable[[], None]) -> object:
    prepared()
    raise IndexError("no such frame")


def has_a_fault(request: BenchmarkRequest, memory_mb: int | None, out: Connection) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(max_frames, "measure", breaks)
        TRY_ALONE(request, memory_mb, out)


TRY_ALONE = max_frames._try_alone


def test_a_fault_of_ours_is_not_taken_for_the_end_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(max_frames, "_try_alone", has_a_fault)
    with pytest.raises(RuntimeError, match=r"(?s)10 frames cannot be predicted.*IndexError: no such frame"):
        max_frames.find_max_frames(replace(REQUEST, num_frames=10))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_the_end_of_memory_is_known_by_what_libraries_say(error: Exception, is_one: bool) -> None:
    assert is_end_of_memory(error) is is_one


def test_what_is_wrong_otherwise_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    ran = in_process(capsys, "benchmark-model", "--config", "nobody", "--find-max-frames")
    assert ran.code == 2 and "no config or file 'nobody'" in ran.err
    ran = in_process(capsys, "benchmark-model", "--config", "rcf_tiny", "--memory-mb", 5)
    assert ran.code == 2 and "add --find-max-frames" in ran.err
