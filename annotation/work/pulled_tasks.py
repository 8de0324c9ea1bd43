"""Which state of which task was pulled, so that a pull asks only for what changed; one line each, also after a kill.

annotations/<round>/pulled.jsonl
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from avis_data.annotation.labels.store import round_dir
from avis_data.io import write_lines
from avis_data.paths import Workspace

__all__ = ["PulledTask", "PulledTasks"]


@dataclass(frozen=True, slots=True)
class PulledTask:
    """A task as it was pulled last."""

    project_id: int
    clip_id: str
    updated_at: str
    deleted: bool = False
    """Whether the server has deleted it, which is told once."""


class PulledTasks:
    """The tasks of a round that were pulled, by id; open it as a context."""

    def __init__(self, workspace: Workspace, round_name: str) -> None:
        self._path = round_dir(workspace, round_name) / "pulled.jsonl"
        self._known = _read(self._path)
        self._out: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Written whole first: a line that a kill tore would swallow the next one.
        write_lines(self._path, (_line(task_id, task) for task_id, task in sorted(self._known.items())))
        self._out = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._out is not None:
            os.fsync(self._out.fileno())
            self._out.close()

    def get(self, task_id: int) -> PulledTask | None:
        """The task as it was pulled last, if it was."""
        return self._known.get(task_id)

    def items(self) -> Iterable[tuple[int, PulledTask]]:
        """All of them, by id."""
        return sorted(self._known.items())

    def note(self, task_id: int, task: PulledTask) -> None:
        """Remember a state; call it when all that was made of it is on the disk."""
        assert self._out is not None
        self._known[task_id] = task
        self._out.write(_line(task_id, task) + "\n")
        self._out.flush()


def _line(task_id: int, task: PulledTask) -> str:
    return json.dumps([task_id, task.project_id, task.clip_id, task.updated_at, task.deleted])


def _read(path: Path) -> dict[int, PulledTask]:
    found: dict[int, PulledTask] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                task_id, *values = json.loads(line)
                found[int(task_id)] = PulledTask(*values)
            except (ValueError, TypeError):
                continue  # torn by a kill: that task is asked for again
    return found
