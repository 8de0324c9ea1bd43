"""How long a clip may be until memory ends: clips of noise, each in a process of its own, longer and shorter.

A process that the system kills takes only its own try with it.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from avis_data.errors import AvisError, ConfigError, DataError, ExitCode, ToolError
from avis_data.training.device import first_line, is_end_of_memory
from avis_data.training.predict.benchmark import BenchmarkRequest, measure

__all__ = ["FrameTry", "MaxFrames", "find_max_frames", "search"]

_MOST_FRAMES = 1 << 17
"""Where the search ends: 36 hours of one frame a second."""
_EXACT_TO = 100
"""The answer is exact to so many parts of it."""


@dataclass(frozen=True, kw_only=True)
class FrameTry:
    """One try."""

    frames: int
    """Length of the clip."""
    fits: bool
    why: str | None = None
    """What ended it, where it did not fit."""
    peak_memory_mb: float | None = None
    """What it needed, where it did: of tensors on a GPU, else of its process."""


@dataclass(frozen=True, kw_only=True)
class MaxFrames:
    """What the search found."""

    model: str | None
    """As it was asked for."""
    device: str
    max_frames: int
    """The longest clip that was predicted; 0: not even one frame."""
    too_many: int | None
    """The shortest that did not fit; None: the search ended before memory did."""
    tries: list[FrameTry]
    """In their order."""


def find_max_frames(
    request: BenchmarkRequest, *, memory_mb: int | None = None, on_try: Callable[[FrameTry], None] = lambda made: None
) -> MaxFrames:
    """The largest number of frames of a clip that a model predicts before memory ends, to one part in a hundred.

    Args:
        request: the model, the size and the device; `num_frames` is the first try; one clip is predicted each time.
        memory_mb: what a try may use on a CPU beside its libraries and the model, 10^6 bytes; None: what there is.
        on_try: called after each try.

    Raises:
        ConfigError: if the request says nothing that can be done, or this system cannot limit memory.
        DataError: if the weights are not in order.
        ToolError: if the device is missing.

    Source: "Audio-Visual Instance Segmentation", table 5.
    """
    if memory_mb is not None and sys.platform != "linux":
        raise ConfigError("--memory-mb: only Linux holds a process to it", hint="leave it out")
    once = replace(request, repeats=1)
    tries = []

    def fits(frames: int) -> bool:
        made = _tried(replace(once, num_frames=frames), memory_mb)
        tries.append(made)
        on_try(made)
        return made.fits

    most, too_many = search(fits, first=request.num_frames)
    named = request.config_name or request.model_name or (str(request.weights) if request.weights else None)
    return MaxFrames(model=named, device=request.device_name, max_frames=most, too_many=too_many, tries=tries)


def search(fits: Callable[[int], bool], *, first: int, most: int = _MOST_FRAMES) -> tuple[int, int | None]:
    """The largest number that fits, to one part in a hundred, and the least that does not; None where `most` fits.

    Args:
        fits: is true for all numbers from 1 to some, and false from there on.
    """
    low, high = 0, None
    number = min(first, most)
    while high is None:
        if fits(number):
            low = number
            if number == most:
                return low, None
            number = min(2 * number, most)
        else:
            high = number
    while high - low > max(1, low // _EXACT_TO):
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low, high


_Answer = (
    tuple[Literal["fits"], float]
    | tuple[Literal["memory", "fault"], str]
    | tuple[Literal["error"], str, str | None, int]
)
"""What a process says: the memory it needed; what memory ended with; the traceback of a fault of ours; or an error, its
hint and exit code."""


def _tried(request: BenchmarkRequest, memory_mb: int | None) -> FrameTry:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try_alone, args=(request, memory_mb, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        answer: _Answer | None = mine.recv()
    except EOFError:  # it was killed, or crashed in a library
        answer = None
    finally:
        mine.close()
    process.join()
    frames = request.num_frames
    if answer is None:
        return FrameTry(frames=frames, fits=False, why=_end_of(process.exitcode or 0))
    if answer[0] == "fits":
        return FrameTry(frames=frames, fits=True, peak_memory_mb=answer[1])
    if answer[0] == "memory":
        return FrameTry(frames=frames, fits=False, why=answer[1])
    if answer[0] == "fault":
        raise RuntimeError(f"a clip of {frames} frames cannot be predicted; memory did not end:\n{answer[1]}")
    _, message, hint, code = answer
    kinds: dict[int, type[AvisError]] = {ExitCode.USAGE: ConfigError, ExitCode.MISSING_TOOL: ToolError}
    raise kinds.get(code, DataError)(message, hint=hint)


def _end_of(code: int) -> str:
    """Words for a process that ended without an answer."""
    if code < 0:
        name = next((one.name for one in signal.Signals if one == -code), str(-code))
        return f"its process was ended by {name}, as the system does when memory ends"
    return f"its process ended with code {code} and no answer"


def _try_alone(request: BenchmarkRequest, memory_mb: int | None, out: Connection) -> None:
    """Predict one clip in this process, and say what came of it."""
    answer: _Answer
    try:
        answer = ("fits", measure(request, prepared=partial(_limit, memory_mb)).peak_memory_mb)
    except AvisError as error:
        answer = ("error", str(error.args[0]), error.hint, int(error.exit_code))
    except Exception as error:  # whatever it is, it must not be taken for the end of memory
        answer = ("memory", first_line(error)) if is_end_of_memory(error) else ("fault", traceback.format_exc())
    out.send(answer)


def _limit(memory_mb: int | None) -> None:
    """Hold this process to so much more than it has now: its libraries and the model are not part of it."""
    if memory_mb is None or sys.platform != "linux":
        return
    import resource

    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    has_now = int(fields["VmData"].split()[0]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = has_now + memory_mb * 10**6
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
