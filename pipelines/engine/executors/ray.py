"""A Ray cluster over a shared file system: the same stages, jobs and results as on one machine.

Nodes may die, join late, be slow or full: work goes on with what is there, and what a lost worker had is done again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Self

from avis_data.errors import Reason, ToolError
from avis_data.io import ask_folder
from avis_data.pipelines.engine.executors.ray_cluster import Nodes, RayCluster
from avis_data.pipelines.engine.executors.ray_worker import ANSWER_EVERY_S, Actor, RayWorker, Running, first_line
from avis_data.pipelines.engine.progress import say
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success

__all__ = ["RayExecutor", "RayExecutors"]

logger = logging.getLogger(__name__)

_MAX_DEATHS = 2
"""An item at which the process died that did it is tried again so often, then it fails."""
_MAX_LOSSES = 10
"""The same for workers that went with their node, or were ended by something else than the item."""
_SILENT_S = 60.0
"""A worker that says nothing for so long is lost: it was asked to say something every few seconds."""
_DIED = "the worker died {} times: no memory, or a crash in a library"
_LOST = "its worker was lost {} times, with its node or by itself"
_MAX_UNREADY = 10
"""So many workers in a row that do not get ready, while no other one works, end the run."""
_EMPTY_AFTER_S = 120.0
_SILENT = "it said nothing for a minute"
_SAY_EVERY_S = 60.0
_START_PAUSE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class RayExecutors:
    """Makes Ray executors with so many workers, on the cluster at `address` (see `RayCluster`)."""

    workers: int
    address: str | None = None
    gpus_per_worker: float = 0.0
    """A part of one is shared with others."""
    empty_after_s: float = _EMPTY_AFTER_S
    """So long a cluster may have no place for any worker."""

    def __call__(self, stage: Stage, num_jobs: int) -> RayExecutor:
        return RayExecutor(stage, self, workers=min(self.workers, num_jobs))


class RayExecutor:
    """See the module. A job is sent to a worker only when the worker is idle."""

    def __init__(self, stage: Stage, options: RayExecutors, *, workers: int) -> None:
        self._stage, self._options, self._workers = stage, options, workers
        self._cluster = RayCluster(options.address)
        self._nodes: Nodes | None = None
        self._idle: list[Actor] = []
        self._starting: dict[Any, Actor] = {}
        self._unproved: list[Actor] = []
        """They are up, but their node has not yet said what it runs."""
        self._readying: dict[Any, Actor] = {}
        """They may work, and start their process."""
        self._queue: deque[tuple[Job, float]] = deque()
        self._running: dict[Any, Running] = {}
        self._deaths: dict[str, int] = {}
        self._losses: dict[str, int] = {}
        self._start_after = 0.0
        self._not_started = ""
        """Why the last worker that was started did not come up."""
        self._unready: list[str] = []
        """Why workers did not get ready, one after the other; none since one did, or worked."""
        self._unready_at = 0.0
        self._given_up: list[Failure] = []
        """Items, between two calls of `wait`."""
        self._had_place = self._said = time.monotonic()
        self._looked_at = 0.0

    def submit(self, job: Job, timeout_s: float) -> None:
        """Queue a job; its time limit counts from the moment a worker gets it.

        Raises:
            ToolError: at the first job, if nodes of the cluster run something else than this machine.
        """
        if self._nodes is None:
            self._nodes = Nodes(
                cluster=self._cluster,
                stage=self._stage.name,
                folder=job.out.parent.with_name(".nodes"),
                share_workspace=job.storage is None,
            )
            self._nodes.await_first()
            self._had_place = time.monotonic()
        self._queue.append((job, timeout_s))
        self._dispatch()

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        """Give what has ended, waiting at most `timeout_s` for the first.

        Raises:
            ToolError: if the cluster has had no place for any worker for long, or its head is gone.
        """
        self._look()
        if self._given_up:
            given_up, self._given_up = self._given_up, []
            return list(given_up)
        references = [*self._running, *self._readying, *self._starting]
        if not references:
            time.sleep(timeout_s)
            return []
        ended, _ = self._cluster.ray.wait(references, num_returns=1, timeout=timeout_s)
        results = [result for reference in ended if (result := self._ended(reference)) is not None]
        self._dispatch()
        return results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        at_work = [running.actor for running in self._running.values()]
        not_yet = [*self._starting.values(), *self._unproved, *self._readying.values()]
        try:
            answers = self._cluster.head_answers()
        except ToolError:
            answers = False
        if self._nodes is not None:
            self._nodes.close()
        if answers:  # else Ray would wait for it
            for actor in (*self._idle, *not_yet, *at_work):
                self._cluster.ray.kill(actor.handle)
            self._cluster.leave()

    def _dispatch(self) -> None:
        while self._idle and self._queue:
            actor = self._idle.pop()
            job, timeout_s = self._queue.popleft()
            reference = actor.handle.run.remote(self._fresh(job), timeout_s)
            actor.heard = time.monotonic()
            self._running[reference] = Running(job=job, timeout_s=timeout_s, actor=actor)

    def _fresh(self, job: Job) -> Job:
        """The job, with folders that no worker writes to any more: one that was lost may not know it yet."""
        deaths, losses = self._deaths.get(job.item_id, 0), self._losses.get(job.item_id, 0)
        if not deaths + losses:
            return job
        out = job.out.with_name(f"{job.out.name}-{deaths + losses}")
        return replace(job, out=out, scratch=job.scratch.with_name(f"scratch-{losses}") if losses else job.scratch)

    def _look(self) -> None:
        """See what became of the cluster, every second, and have as many workers as there is work for."""
        now = time.monotonic()
        if self._nodes is None or now - self._looked_at < 1.0:
            return
        self._looked_at = now
        self._lose_silent(now)
        if not self._cluster.head_answers():
            return
        self._nodes.look()
        if not self._cluster.hangs_on(self._nodes.up):
            self._rejoin()
            return
        for actor in list(self._unproved):
            self._prove(actor)
        if self._nodes.take_back_full(gpus=self._options.gpus_per_worker):
            self._start_anew()
        self._start_workers(now)
        self._check_place(now)
        self._dispatch()

    def _start_workers(self, now: float) -> None:
        assert self._nodes is not None
        jobs = len(self._queue) + len(self._running)
        there = sum(map(len, (self._idle, self._starting, self._unproved, self._readying, self._running)))
        if now < self._start_after:
            return
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": self._options.gpus_per_worker, "max_restarts": 0}
        if shunned := self._nodes.shunned:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(shunned))})"}
        for _ in range(min(self._workers, jobs) - there):
            handle = self._cluster.ray.remote(**options)(RayWorker).remote(self._stage)
            self._starting[handle.come_up.remote()] = Actor(handle=handle)

    def _start_anew(self) -> None:
        """Workers that wait for a place were asked for on other nodes than may have them now."""
        for actor in self._starting.values():
            self._kill(actor)
        self._starting.clear()
        self._had_place = time.monotonic()

    def _check_place(self, now: float) -> None:
        """Raises ToolError where there has been no place for any worker for long."""
        assert self._nodes is not None
        if self._idle or self._running:
            self._unready.clear()
        if len(self._unready) >= _MAX_UNREADY:
            raise ToolError(
                f"no Ray worker of stage {self._stage.name!r} gets ready: {len(self._unready)} in a row did not; the "
                f"last one: {self._unready[-1]}; what was done is kept",
                hint="avis-data doctor on the nodes; then run the command again",
            )
        if self._idle or self._running or self._unproved or self._readying:
            self._had_place = now
            return
        waited_s = now - self._had_place
        if self._nodes.has_room(self._options.gpus_per_worker):
            if waited_s > self._options.empty_after_s and self._not_started:
                raise ToolError(
                    f"no Ray worker of stage {self._stage.name!r} has come up for {waited_s:.0f} s; the last one: "
                    f"{self._not_started}; what was done is kept",
                    hint="ray status; then run the command again",
                )
            if waited_s > _SAY_EVERY_S and now - self._said > _SAY_EVERY_S:
                self._said = now
                say(self._stage.name, "the Ray cluster is full; waiting for a free place")
        elif waited_s > self._options.empty_after_s:
            gpus = self._options.gpus_per_worker
            need = f"a CPU and {gpus:g} GPUs" if gpus else "a CPU"
            raise ToolError(
                f"the Ray cluster is empty: none of its {len(self._nodes.up)} nodes has {need} for a worker of ours, "
                f"for {waited_s:.0f} s now; what was done is kept",
                hint="add nodes (ray start --address), then run the command again",
            )

    def _ended(self, reference: Any) -> Success | Failure | None:
        if reference in self._running:
            return self._heard(reference)
        is_up = reference in self._readying
        actor = self._readying.pop(reference) if is_up else self._starting.pop(reference)
        try:
            answer = self._cluster.ray.get(reference)
        except Exception as error:  # of many kinds, some made by Ray as it goes
            logger.info("a Ray worker did not come up: %s", error)
            if is_up:
                self._count_unready(actor, first_line(error))
            else:
                self._not_started = first_line(error)
            self._start_after = time.monotonic() + _START_PAUSE_S
            self._kill(actor)
            return None
        if not is_up:
            self._not_started = ""
            actor.node_id = answer
            self._unproved.append(actor)
            self._prove(actor)
        elif answer:
            self._unready.clear()
            self._rest(actor)
        else:
            self._get_ready(actor)
        return None

    def _count_unready(self, actor: Actor, why: str) -> None:
        """Of those that got ready at the same time one counts, and none that went with its node."""
        assert self._nodes is not None
        if actor.begun > self._unready_at and self._nodes.lives(actor.node_id):
            self._unready.append(why)
            self._unready_at = time.monotonic()

    def _prove(self, actor: Actor) -> None:
        assert self._nodes is not None
        may = self._nodes.may_work(actor.node_id)
        if may is None and actor.node_id in self._nodes.up:
            return
        self._unproved.remove(actor)
        if may:
            actor.begun = time.monotonic()
            self._get_ready(actor)
        else:
            self._kill(actor)

    def _get_ready(self, actor: Actor) -> None:
        actor.heard = time.monotonic()
        self._readying[actor.handle.get_ready.remote()] = actor

    def _heard(self, reference: Any) -> Success | Failure | None:
        running = self._running.pop(reference)
        try:
            result: Success | Failure | None = self._cluster.ray.get(reference)
        except Exception as error:  # of many kinds, some made by Ray as it goes
            self._kill(running.actor)
            return self._lose(running, error)
        if result is None:
            running.actor.heard = time.monotonic()
            self._running[running.actor.handle.go_on.remote()] = running
            return None
        if isinstance(result, Failure) and result.reason is Reason.DISK_FULL and self._leave_out(running, result):
            return None
        self._rest(running.actor)
        if isinstance(result, Failure) and result.reason is Reason.WORKER_DIED:
            return self._die(running, result.message)
        return result

    def _rest(self, actor: Actor) -> None:
        """Have a worker wait for its next job, unless its node gets no more."""
        assert self._nodes is not None
        if self._nodes.may_work(actor.node_id) is False:
            self._kill(actor)
        else:
            self._idle.append(actor)

    def _leave_out(self, running: Running, failure: Failure) -> bool:
        """Do a job elsewhere that found a disk full, and give that node no more; False if no other node may work, or it
        is the disk that all of them share."""
        assert self._nodes is not None
        node_id, item_id = running.actor.node_id, running.job.item_id
        try:
            ask_folder(running.job.out.parent)
        except OSError:
            return False
        if not self._nodes.leave_out_full(node_id, failure.message, gpus=self._options.gpus_per_worker):
            return False
        idle, self._idle = [running.actor, *self._idle], []
        for actor in idle:
            self._rest(actor)
        self._losses[item_id] = self._losses.get(item_id, 0) + 1  # so that it gets fresh folders
        self._queue.appendleft((running.job, running.timeout_s))
        return True

    def _lose(self, running: Running, error: Exception) -> Failure | None:
        """Do a job again whose worker is gone; where it ran out of memory or raised, the job may be the cause."""
        assert self._nodes is not None
        node_id = running.actor.node_id
        if not self._nodes.lives(node_id):  # then no other worker of it lives
            self._idle = [actor for actor in self._idle if actor.node_id != node_id]
        raised = self._cluster.ray.exceptions
        is_start = isinstance(getattr(error, "cause", None), ToolError)  # of a process that did not begin
        if isinstance(error, (raised.RayTaskError, raised.OutOfMemoryError)) and not is_start:
            return self._die(running, first_line(error))
        return self._lose_worker(running, first_line(error))

    def _lose_worker(self, running: Running, why: str) -> Failure | None:
        item_id = running.job.item_id
        self._losses[item_id] = self._losses.get(item_id, 0) + 1
        return self._again(running, why, self._losses[item_id], most=_MAX_LOSSES, said=_LOST)

    def _die(self, running: Running, why: str) -> Failure | None:
        item_id = running.job.item_id
        self._deaths[item_id] = self._deaths.get(item_id, 0) + 1
        return self._again(running, why, self._deaths[item_id], most=_MAX_DEATHS, said=_DIED)

    def _again(self, running: Running, why: str, times: int, *, most: int, said: str) -> Failure | None:
        node = self._nodes.name(running.actor.node_id) if self._nodes is not None else ""
        logger.info("lost item=%s node=%s times=%d: %s", running.job.item_id, node, times, why)
        if times <= most:
            self._queue.append((running.job, running.timeout_s))  # last: what ends workers now may be over by then
            return None
        message = f"{said.format(times)}; the last time: {why}"
        return Failure(item_id=running.job.item_id, reason=Reason.WORKER_DIED, message=message)

    def _lose_silent(self, now: float) -> None:
        actors = {reference: running.actor for reference, running in self._running.items()} | self._readying
        silent = [reference for reference, actor in actors.items() if now - actor.heard > _SILENT_S + ANSWER_EVERY_S]
        if not silent:
            return
        answered, _ = self._cluster.ray.wait(
            silent, num_returns=len(silent), timeout=0
        )  # it may be us who did not listen
        for reference in set(silent) - set(answered):
            self._kill(actors[reference])
            if self._readying.pop(reference, None) is not None:
                self._count_unready(actors[reference], _SILENT)
            elif (failure := self._lose_worker(self._running.pop(reference), _SILENT)) is not None:
                self._given_up.append(failure)

    def _rejoin(self) -> None:
        """The node that this process belongs to died: Ray ends all our workers, wherever they are."""
        for running in self._running.values():
            self._losses[running.job.item_id] = self._losses.get(running.job.item_id, 0) + 1
            self._queue.appendleft((running.job, running.timeout_s))
        for held in (self._running, self._readying, self._starting):
            held.clear()
        for actors in (self._idle, self._unproved):
            actors.clear()
        self._unready.clear()
        assert self._nodes is not None
        self._nodes.forget_questions()
        say(self._stage.name, "the Ray node of this machine died; joining the cluster by another one")
        try:
            self._cluster.rejoin()
        except ToolError as error:
            raise ToolError(
                f"the Ray node of this machine died, and there is no other one on it ({error}); what was done is kept",
                hint="ray start --address ADDRESS on this machine, then run the command again",
            ) from None

    def _kill(self, actor: Actor) -> None:
        try:
            self._cluster.ray.kill(actor.handle)
        except Exception as error:  # it is gone, or its owner is no more
            logger.debug("a Ray worker could not be ended: %s", error)
