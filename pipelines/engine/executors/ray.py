"""A Ray cluster over a shared file system: the same stages, jobs and results as on one machine."""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Self

from avis_data.errors import Reason, ToolError
from avis_data.extras import need_extra
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success, execute, prepare

__all__ = ["RayExecutor", "RayExecutors"]

_MAX_LOST = 2
"""A job whose worker was lost goes to another one so often (its node may have died), then it fails."""


class _Worker:
    """A Ray actor: holds the stage, and with it any model, for all the jobs that it gets."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def come_up(self) -> None:
        """Answers once the actor is there with its stage, and the stage has loaded what it needs."""
        prepare(self._stage)

    def run(self, job: Job) -> Success | Failure:
        return execute(self._stage, job)


@dataclass(frozen=True, kw_only=True)
class RayExecutors:
    """Makes Ray executors with so many workers, on the cluster at `address` (None: one on this machine)."""

    workers: int
    address: str | None = None

    def __call__(self, stage: Stage, num_jobs: int) -> RayExecutor:
        return RayExecutor(stage, workers=min(self.workers, num_jobs), address=self.address)


@dataclass(kw_only=True)
class _Running:
    job: Job
    timeout_s: float
    actor: Any
    ends_by: float


class RayExecutor:
    """See the module. One actor per worker; a job is sent to an actor only when the actor is idle."""

    def __init__(self, stage: Stage, *, workers: int, address: str | None) -> None:
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            _start(self._ray, address)
        self._actor_class = self._ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._stage = stage
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._queue: deque[tuple[Job, float]] = deque()
        self._running: dict[Any, _Running] = {}
        self._lost: dict[str, int] = {}
        for _ in range(workers):
            self._start_actor()

    def submit(self, job: Job, timeout_s: float) -> None:
        """Queue a job; its time limit counts from the moment an actor gets it."""
        self._queue.append((job, timeout_s))
        self._dispatch()

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        """Give what has ended, waiting at most `timeout_s` for the first."""
        results = self._timed_out()
        if not results:
            ended, _ = self._ray.wait([*self._running, *self._starting], num_returns=1, timeout=timeout_s)
            results = [result for reference in ended if (result := self._ended(reference)) is not None]
        self._dispatch()
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        at_work = [running.actor for running in self._running.values()]
        for actor in (*self._idle, *self._starting.values(), *at_work):
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()

    def _dispatch(self) -> None:
        while self._idle and self._queue:
            actor = self._idle.pop()
            job, timeout_s = self._queue.popleft()
            ends_by = time.monotonic() + timeout_s
            running = _Running(job=job, timeout_s=timeout_s, actor=actor, ends_by=ends_by)
            self._running[actor.run.remote(job)] = running

    def _start_actor(self) -> None:
        """Start a worker. It gets jobs once it has answered, as starting one takes seconds that must not count."""
        actor = self._actor_class.remote(self._stage)
        self._starting[actor.come_up.remote()] = actor

    def _ended(self, reference: Any) -> Success | Failure | None:
        actor = self._starting.pop(reference, None)
        if actor is None:
            return self._result(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            raise ToolError(f"a Ray worker of stage {self._stage.name!r} does not start: {error}") from None
        self._idle.append(actor)
        return None

    def _result(self, reference: Any) -> Success | Failure | None:
        running = self._running.pop(reference)
        try:
            result: Success | Failure = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._start_actor()
            return self._lose(running, error)
        self._idle.append(running.actor)
        return result

    def _lose(self, running: _Running, error: Exception) -> Failure | None:
        item_id = running.job.item_id
        self._lost[item_id] = self._lost.get(item_id, 0) + 1
        if self._lost[item_id] <= _MAX_LOST:
            self._queue.append((running.job, running.timeout_s))
            return None
        message = f"the worker died {_MAX_LOST + 1} times ({type(error).__name__}): no memory, or a crash in a library"
        return Failure(item_id=item_id, reason=Reason.WORKER_DIED, message=message)

    def _timed_out(self) -> list[Success | Failure]:
        now = time.monotonic()
        late = [reference for reference, running in self._running.items() if running.ends_by < now]
        results: list[Success | Failure] = []
        for reference in late:
            running = self._running.pop(reference)
            self._ray.kill(running.actor)
            self._start_actor()
            message = f"took longer than {running.timeout_s:.0f} s and was ended"
            results.append(
                Failure(item_id=running.job.item_id, reason=Reason.TIMEOUT, message=message, wall_s=running.timeout_s)
            )
        return results


def _import_ray() -> Any:
    need_extra("scale", what="--executor ray")
    import ray

    return ray


def _check_answers(address: str | None) -> None:
    """Ray itself waits for minutes, in silence, for a cluster that is not there."""
    match = re.fullmatch(r"(?:ray://)?(\[[^\]]+\]|[^:/]+):(\d+)", address or "")
    if match is None:
        return
    try:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ToolError(f"no Ray cluster answers at {address}: {error}", hint="ray status") from None


def _start(ray: Any, address: str | None) -> None:
    _check_answers(address)
    store = {} if address else {"object_store_memory": 200_000_000}  # jobs and results are small; files carry the rest
    try:
        ray.init(address=address, **store, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ToolError(f"no Ray cluster at {address or 'this machine'}: {error}", hint="ray status") from None
