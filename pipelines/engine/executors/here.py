"""Jobs in the calling process, one after the other: for notebooks and scripts, which need no main guard then.

A job that hangs or kills its process takes the caller with it; commands use `local`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success, execute

__all__ = ["HereExecutor", "HereExecutors"]


@dataclass(frozen=True, kw_only=True)
class HereExecutors:
    """Makes executors that do their jobs here."""

    workers: int = 1

    def __call__(self, stage: Stage, num_jobs: int) -> HereExecutor:
        return HereExecutor(stage)


@dataclass
class HereExecutor:
    """See the module. A job is done when its result is waited for."""

    stage: Stage
    _jobs: deque[Job] = field(default_factory=deque)

    def submit(self, job: Job, timeout_s: float) -> None:
        """Take a job; nothing can end it early."""
        self._jobs.append(job)

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        """Do the next job."""
        return [execute(self.stage, self._jobs.popleft())] if self._jobs else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.clear()
