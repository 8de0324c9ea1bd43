"""Worker processes on this machine. A worker that dies or hangs costs its item, not the run."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children
from multiprocessing.sharedctypes import RawArray
from multiprocessing.synchronize import Semaphore
from typing import Self

from pebble import ProcessExpired, ProcessPool

from avis_data.errors import Reason, ToolError
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success, execute, prepare
from avis_data.platforms import WorkClock, become_worker, no_interrupt, not_on_windows

__all__ = ["LocalExecutor", "LocalExecutors"]

_MAX_RESTARTS = 3
_START_S = 20.0
_PER_WORKER = 2
"""One job in hand, and one at hand."""

_pids: ctypes.Array[ctypes.c_int] | None = None
"""By the place of a job: which worker has it; 0: none. Written without locks, as a killed worker would keep one."""
_stage: Stage | None = None
"""The stage of this worker process, set once when the worker starts, so that a model is loaded once per worker."""


def _start_worker(stage: Stage, is_up: Semaphore, parent: int, pids: ctypes.Array[ctypes.c_int]) -> None:
    global _stage, _pids
    _stage, _pids = stage, pids
    become_worker(parent)
    is_up.release()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the workers are the parallelism
    prepare(stage)


def _nothing() -> None:
    """What a worker does that shall only come up."""


def _run(job: Job, place: int) -> Success | Failure:
    if _stage is None or _pids is None:
        raise RuntimeError("the worker was not started by LocalExecutor")
    _pids[place] = os.getpid()
    return execute(_stage, job)


@dataclass(frozen=True, kw_only=True)
class LocalExecutors:
    """Makes local executors with so many workers."""

    workers: int

    def __call__(self, stage: Stage, num_jobs: int) -> LocalExecutor:
        return LocalExecutor(stage, workers=min(self.workers, num_jobs))


@dataclass
class _Taken:
    """A job that the pool has."""

    job: Job
    timeout_s: float
    place: int
    clock: WorkClock | None = None
    """None until a worker has it, and is ready."""


class LocalExecutor:
    """See the module. Processes are spawned, not forked: forking is unsafe once torch or threads are about."""

    def __init__(self, stage: Stage, *, workers: int) -> None:
        self._stage = stage
        self._workers = workers
        self._context = multiprocessing.get_context("spawn")
        self._is_up = self._context.Semaphore(0)
        self._pids = RawArray(ctypes.c_int, _PER_WORKER * workers)
        self._free = list(range(_PER_WORKER * workers))
        self._pool = self._new_pool()
        self._restarts = 0
        self._first: Future[None] | None = None
        """What has a worker come up before there is a job."""
        self._waiting: deque[tuple[Job, float]] = deque()
        self._jobs: dict[Future[Success | Failure], _Taken] = {}

    def come_up(self, timeout_s: float) -> bool:
        """Have a worker that is ready before there is a job; False where that takes longer.

        Raises:
            ToolError: if workers end before they begin, several times.
        """
        if self._first is None:
            self._first = self._pool.schedule(_nothing)
        wait([self._first], timeout=timeout_s)
        if self._first.done() and self._first.exception() is None:
            self._restarts = 0
            return True
        if not self._first.done() and self._is_active():
            return False
        self._first = None
        self._restart()
        return False

    def submit(self, job: Job, timeout_s: float) -> None:
        """Queue a job; its limit counts from the moment a worker that is ready takes it."""
        self._waiting.append((job, timeout_s))
        self._schedule()

    def _schedule(self) -> None:
        while self._waiting and self._free:
            (job, timeout_s), place = self._waiting.popleft(), self._free.pop()
            self._pids[place] = 0
            try:
                with no_interrupt():  # the first job starts the workers
                    future = self._pool.schedule(_run, args=(job, place))
            except RuntimeError:  # a worker died that had nothing to do, and the pool with it
                self._waiting.appendleft((job, timeout_s))
                self._free.append(place)
                self._restart()
                return
            self._jobs[future] = _Taken(job, timeout_s, place)

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        """Give what has ended, waiting at most `timeout_s` for the first."""
        if late := self._end_late():
            return late
        ended, _ = wait(self._jobs, timeout=timeout_s, return_when=FIRST_COMPLETED)
        broken = [future for future in ended if _is_broken(future)]
        if broken or (self._jobs and not ended and not self._is_active()):
            self._restart()
        results = [self._result(future) for future in ended if future not in broken]
        self._schedule()
        return results

    def _is_active(self) -> bool:
        """Whether the pool does what it is given: a job that came as it broke may never end."""
        with no_interrupt():
            return self._pool.active

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

    def _end_late(self) -> list[Success | Failure]:
        """End the workers of jobs whose clock has run out."""
        late: list[Success | Failure] = []
        for future, taken in list(self._jobs.items()):
            pid = self._pids[taken.place]
            if taken.clock is None and pid:
                taken.clock = WorkClock(pid, taken.timeout_s, written=partial(_written, taken.job))
            fault = taken.clock.fault() if taken.clock is not None and not future.done() else None
            if fault is not None:
                future.cancel()
                self._give_back(future)
                message = f"{fault}, and was ended"
                late.append(
                    Failure(item_id=taken.job.item_id, reason=Reason.TIMEOUT, message=message, wall_s=taken.timeout_s)
                )
        self._schedule()
        return late

    def _give_back(self, future: Future[Success | Failure]) -> Job:
        taken = self._jobs.pop(future)
        self._free.append(taken.place)
        return taken.job

    def _result(self, future: Future[Success | Failure]) -> Success | Failure:
        job = self._give_back(future)
        error = future.exception()
        if error is None:
            self._restarts = 0
            return future.result()
        if isinstance(error, ProcessExpired):
            message = f"the worker process died (exit code {error.exitcode}); out of memory, or a crash in a library"
            return Failure(item_id=job.item_id, reason=Reason.WORKER_DIED, message=message)
        raise error

    def _end_workers(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]  # pebble declares types for the rest only
        self._pool.join()

    def _restart(self) -> None:
        """Workers that die without a job break the whole pool: start another and queue what is not done again."""
        self._restarts += 1
        if self._restarts > _MAX_RESTARTS:
            raise ToolError(
                f"worker processes of stage {self._stage.name!r} end before they begin", hint="avis-data doctor"
            )
        lost = [future for future in self._jobs if not future.done() or _is_broken(future)]
        jobs = [(self._jobs[future].job, self._jobs[future].timeout_s) for future in lost] + list(self._waiting)
        for future in lost:
            self._give_back(future)
        self._waiting.clear()
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
            initargs=(self._stage, self._is_up, os.getpid(), self._pids),
            context=self._context,
        )


def _is_broken(future: Future[Success | Failure]) -> bool:
    """Whether a job that has ended was never done."""
    return isinstance(future.exception(), BrokenProcessPool)


def _written(job: Job) -> int:
    """How much there is of a job, in bytes."""
    total = 0
    for top in (job.scratch, job.out):
        for folder, _, names in os.walk(top):  # passes over folders that go away meanwhile
            for name in names:
                with suppress(OSError):  # it was renamed or removed meanwhile
                    total += os.lstat(os.path.join(folder, name)).st_size
    return total
