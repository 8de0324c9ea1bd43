"""Worker processes on this machine. A worker that dies or hangs costs its item, not the run."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.synchronize import Semaphore
from typing import Self

from pebble import ProcessExpired, ProcessPool

from avis_data.errors import Reason, ToolError
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success, execute
from avis_data.platforms import become_worker, no_interrupt, not_on_windows

__all__ = ["LocalExecutor", "LocalExecutors"]

_MAX_RESTARTS = 3
_START_S = 20.0

_stage: Stage | None = None
"""The stage of this worker process, set once when the worker starts, so that a model is loaded once per worker."""


def _start_worker(stage: Stage, is_up: Semaphore, parent: int) -> None:
    global _stage
    _stage = stage
    become_worker(parent)
    is_up.release()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the workers are the parallelism


def _run(job: Job) -> Success | Failure:
    if _stage is None:
        raise RuntimeError("the worker was not started by LocalExecutor")
    return execute(_stage, job)


@dataclass(frozen=True, kw_only=True)
class LocalExecutors:
    """Makes local executors with so many workers."""

    workers: int

    def __call__(self, stage: Stage, num_jobs: int) -> LocalExecutor:
        return LocalExecutor(stage, workers=min(self.workers, num_jobs))


class LocalExecutor:
    """See the module. Processes are spawned, not forked: forking is unsafe once torch or threads are about."""

    def __init__(self, stage: Stage, *, workers: int) -> None:
        self._stage = stage
        self._workers = workers
        self._context = multiprocessing.get_context("spawn")
        self._is_up = self._context.Semaphore(0)
        self._pool = self._new_pool()
        self._restarts = 0
        self._jobs: dict[Future[Success | Failure], tuple[Job, float]] = {}

    def submit(self, job: Job, timeout_s: float) -> None:
        """Queue a job; its time limit counts from the moment a worker takes it."""
        with no_interrupt():  # the first job starts the workers
            future = self._pool.schedule(_run, args=(job,), timeout=timeout_s)
        self._jobs[future] = (job, timeout_s)

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        """Give what has ended, waiting at most `timeout_s` for the first."""
        ended, _ = wait(self._jobs, timeout=timeout_s, return_when=FIRST_COMPLETED)
        broken = [future for future in ended if isinstance(future.exception(), BrokenProcessPool)]
        if broken:
            self._restart()
        return [self._result(future) for future in ended if future not in broken]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._await_workers()
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble declares types for the rest only
        if kind is not None:  # pebble would end them one by one, and give each some seconds
            for worker in active_children():
                worker.kill()
        self._pool.join()

    def _await_workers(self) -> None:
        """A worker that is ended while it starts says so with a traceback: give each the time to come up."""
        for _ in range(self._workers):
            if not self._is_up.acquire(timeout=_START_S):
                return

    def _result(self, future: Future[Success | Failure]) -> Success | Failure:
        job, timeout_s = self._jobs.pop(future)
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, TimeoutError):
            message = f"took longer than {timeout_s:.0f} s and was ended"
            return Failure(item_id=job.item_id, reason=Reason.TIMEOUT, message=message, wall_s=timeout_s)
        if isinstance(error, ProcessExpired):
            message = f"the worker process died (exit code {error.exitcode}); out of memory, or a crash in a library"
            return Failure(item_id=job.item_id, reason=Reason.WORKER_DIED, message=message)
        raise error

    def _end_workers(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble declares types for the rest only
        self._pool.join()

    def _restart(self) -> None:
        """Workers that die before they take a job break the whole pool: start another and queue all jobs again."""
        self._restarts += 1
        if self._restarts > _MAX_RESTARTS:
            raise ToolError(
                f"worker processes of stage {self._stage.name!r} end before they begin", hint="avis-data doctor"
            )
        jobs = list(self._jobs.values())
        self._jobs.clear()
        self._end_workers()
        self._pool = self._new_pool()
        for job, timeout_s in jobs:
            self.submit(job, timeout_s)

    def _new_pool(self) -> ProcessPool:
        if sys.platform == "win32":
            raise not_on_windows("running stages")
        return ProcessPool(
            max_workers=self._workers,
            initializer=_start_worker,
            initargs=(self._stage, self._is_up, os.getpid()),
            context=self._context,
        )
