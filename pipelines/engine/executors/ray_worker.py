"""What runs on a node of a Ray cluster, and what the machine of the command knows of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from avis_data.pipelines.engine.executors.local import LocalExecutor
from avis_data.pipelines.engine.executors.ray_cluster import this_node
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success

__all__ = ["ANSWER_EVERY_S", "Actor", "RayWorker", "Running", "first_line"]

ANSWER_EVERY_S = 5.0


class RayWorker:
    """A Ray actor with one worker process below it, which holds the stage, and with it any model, for all its jobs.

    The process has the clock, the end and the failures that it has on one machine; the actor always answers.
    """

    def __init__(self, stage: Stage) -> None:
        self._local = LocalExecutor(stage, workers=1)

    def come_up(self) -> str:
        """The id of the node that it is on."""
        return this_node()

    def get_ready(self) -> bool:
        """Start the process, and load what the stage needs; False where it takes longer.

        Before it has a job, so that an end while it starts is no item's.

        Raises:
            ToolError: if it ends each time before it begins.
        """
        return self._local.come_up(ANSWER_EVERY_S)

    def run(self, job: Job, timeout_s: float) -> Success | Failure | None:
        """Take a job, and see how it goes."""
        self._local.submit(job, timeout_s)
        return self.go_on()

    def go_on(self) -> Success | Failure | None:
        """The result of the job in hand; None where it takes longer."""
        until = time.monotonic() + ANSWER_EVERY_S
        while time.monotonic() < until:
            if results := self._local.wait(0.2):
                return results[0]
        return None


@dataclass(kw_only=True)
class Actor:
    """A worker, as the machine of the command knows it."""

    handle: Any
    node_id: str = ""
    """Once it is up."""
    begun: float = 0.0
    """When it began to get ready."""
    heard: float = 0.0
    """When it last said something."""


@dataclass(kw_only=True)
class Running:
    """A job that a worker has."""

    job: Job
    """As it came."""
    timeout_s: float
    actor: Actor


def first_line(error: Exception) -> str:
    """What an error that Ray raises says, in one line."""
    error = getattr(error, "cause", None) or error  # of a RayTaskError, whose own text begins with colours and places
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
