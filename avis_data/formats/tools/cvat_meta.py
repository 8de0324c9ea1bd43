"""What the head of a CVAT file says of its tasks: names, sizes, and which frames of the source are stills."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from avis_data.errors import DataError, Problem
from avis_data.formats.tools.cvat_shapes import whole

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["CvatTask", "check_version", "tasks_of"]

_MAX_STILLS = 1_000_000


@dataclass(kw_only=True)
class CvatTask:
    """One task or job."""

    task_id: str = ""
    name: str = ""
    """Empty: a job has none."""
    start: int = 0
    stop: int = -1
    """The last frame, inclusive; below `start`: there is none, or it is not said."""
    step: int = 1
    is_job: bool = False
    size_wh: tuple[int, int] | None = None
    problems: list[Problem] = field(default_factory=list)

    def frames(self, used: Sequence[int]) -> range:
        """The frames of the source that are stills, in the source's own counting.

        A job says its first and last still as the task counts stills, and its shapes say frames of the source.

        Args:
            used: frames that shapes are at.

        Raises:
            DataError: if that does not fit.
        """
        as_source = range(self.start, self.stop + 1, self.step)
        if not self.is_job or self.step == 1:
            return as_source
        as_stills = range(self.start * self.step, self.stop * self.step + 1, self.step)
        first = min(used, default=0) % self.step
        shifted = range(as_stills.start + first, as_stills.stop + first, self.step)
        for frames in (as_stills, shifted, as_source):
            if all(frame in frames for frame in used):
                return frames
        raise DataError(
            f"the job has the stills {self.start} to {self.stop} in steps of {self.step}, and shapes at frames"
            f" {min(used)} to {max(used)} of the source: which still is which is not clear; export the task"
        )


def check_version(element: Element, where: str) -> None:
    """Raises DataError if a file is of a version that is not known."""
    text = (element.text or "").strip()
    if text not in ("1.0", "1.1"):
        raise DataError(f"{where}: is CVAT XML of version {text!r:.20}, 1.1 is read here", hint="export it as CVAT 1.1")


def tasks_of(meta: Element, where: str) -> list[CvatTask]:
    """The tasks of a `<meta>`; of a job, one."""
    found = [node for node in meta.iter("task") if node.find("name") is not None or node.find("size") is not None]
    if found:
        return [_task(node, f"{where}: meta/task", is_job=False) for node in found]
    return [_task(node, f"{where}: meta/job", is_job=True) for node in meta.iter("job")]


def _task(node: Element, where: str, *, is_job: bool) -> CvatTask:
    task = CvatTask(task_id=_text(node, "id"), name=_text(node, "name"), is_job=is_job)
    size = task.start = 0
    task.stop = -1
    for name in ("start_frame", "stop_frame", "size"):
        text = _text(node, name)
        if not text:
            continue
        try:
            value = whole(text)
            if not 0 <= value:
                raise ValueError(f"must be 0 or more (found {text:.40})")
        except ValueError as error:
            task.problems.append(Problem(where, name, str(error)))
            continue
        if name == "start_frame":
            task.start = value
        elif name == "stop_frame":
            task.stop = value
        else:
            size = value
    step = re.fullmatch(r"(?:step\s*=\s*(\d{1,6}))?", _text(node, "frame_filter"))
    if step is None or (step[1] is not None and int(step[1]) < 1):
        message = f"must be step=N (found {_text(node, 'frame_filter')!r:.40})"
        task.problems.append(Problem(where, "frame_filter", message))
    else:
        task.step = int(step[1] or 1)
    if not _text(node, "stop_frame"):
        task.stop = task.start + (size - 1) * task.step
    if (task.stop - task.start) // task.step >= _MAX_STILLS:
        message = f"{(task.stop - task.start) // task.step + 1} stills are too many"
        task.problems.append(Problem(where, "stop_frame", message))
        task.stop = task.start
    task.problems += _read_size(node, where, task)
    return task


def _read_size(node: Element, where: str, task: CvatTask) -> Iterator[Problem]:
    size = node.find("original_size")
    if size is None:
        return
    try:
        task.size_wh = whole(_text(size, "width")), whole(_text(size, "height"))
    except ValueError as error:
        yield Problem(where, "original_size", str(error))


def _text(node: Element, name: str) -> str:
    child = node.find(name)
    return "" if child is None else (child.text or "").strip()
