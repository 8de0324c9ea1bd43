"""Executors run jobs somewhere: `local` in worker processes on this machine, `ray` on a cluster."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success

__all__ = ["Executor", "ExecutorFactory"]


class Executor(Protocol):
    """Runs jobs of one stage. Used as a context manager; leaving it ends all workers at once."""

    def submit(self, job: Job, timeout_s: float) -> None:
        """Take a job; it starts when a worker is free."""
        ...

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        """Give what has ended, waiting at most that long for the first. A dead worker gives a `Failure`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ExecutorFactory(Protocol):
    """Makes an executor for a stage; never with more workers than there are jobs."""

    @property
    def workers(self) -> int:
        """The most that it makes."""

    def __call__(self, stage: Stage, num_jobs: int) -> Executor: ...
