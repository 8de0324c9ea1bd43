"""The runner: maps a stage over items, commits each result as it arrives, and survives any item's failure."""

from __future__ import annotations

import heapq
import logging
import os
import random
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from avis_data.errors import ExitCode, Reason, fault_of, raise_interruption
from avis_data.io import append_lines, flush, move, remove
from avis_data.ledger import Done, Failed, Ledger, Output
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import Bucket, bucket_of
from avis_data.pipelines.engine.executors import Executor, ExecutorFactory
from avis_data.pipelines.engine.planner import Plan, PlannedItem
from avis_data.pipelines.engine.progress import Progress, say
from avis_data.pipelines.engine.stage import Stage
from avis_data.pipelines.engine.worker import Failure, Job, Success

__all__ = ["Policy", "StageReport", "run_stage"]

logger = logging.getLogger(__name__)

RETRIED_IN_RUN = frozenset({Reason.NETWORK, Reason.SERVER_ERROR, Reason.RATE_LIMITED, Reason.BOT_CHECK})
"""Failures that often pass by themselves within minutes."""
THROTTLED = frozenset({Reason.RATE_LIMITED, Reason.BOT_CHECK})
"""The other side asks for fewer requests: all items wait, not only this one."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How patient a run is."""

    retries: int = 5
    """Further tries of an item within the run, for the reasons in `RETRIED_IN_RUN`."""
    retry_wait_s: float = 2.0
    """Before the first further try; doubled for each one after it, up to a minute."""
    throttle_wait_s: float = 30.0
    """Pause of the whole run when the other side throttles; doubled each time, up to ten minutes."""
    max_throttles: int = 6
    """So many pauses in a row without one success end the run."""
    same_failure_limit: int = 12
    """The run ends when its first so many items all fail for one and the same reason."""


@dataclass(kw_only=True)
class StageReport:
    """How a stage went."""

    plan: Plan = field(repr=False)
    done_ids: list[str] = field(default_factory=list)
    failed: Counter[Reason] = field(default_factory=Counter)
    stopped: str | None = None
    """Why the run ended before all items were tried."""
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def stage(self) -> str:
        """Its name."""
        return self.plan.stage

    @property
    def planned(self) -> int:
        """Items that needed work."""
        return len(self.plan.todo)

    @property
    def already_done(self) -> int:
        """Items that needed none."""
        return self.plan.num_done

    @property
    def done(self) -> int:
        """Items that were finished now."""
        return len(self.done_ids)

    @property
    def failed_before(self) -> Counter[Reason]:
        """Failures of earlier runs that were not tried again."""
        return self.plan.failed_before

    @property
    def waiting(self) -> int:
        """Items whose earlier stage has not succeeded."""
        return self.plan.num_waiting

    @property
    def exit_code(self) -> ExitCode:
        """PARTIAL where any item is failed or was left untried."""
        incomplete = self.failed or self.failed_before or self.stopped or self.waiting
        return ExitCode.PARTIAL if incomplete else ExitCode.OK

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "stage": self.stage,
            "planned": self.planned,
            "already_done": self.already_done,
            "done": self.done,
            "failed": {reason.value: count for reason, count in sorted(self.failed.items())},
            "failed_before": {reason.value: count for reason, count in sorted(self.failed_before.items())},
            "waiting": self.waiting,
            "nothing_to_do": len(self.plan.nothing_to_do),
            "stopped": self.stopped,
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
        }


def run_stage(
    workspace: Workspace, ledger: Ledger, stage: Stage, plan: Plan, *, executors: ExecutorFactory, policy: Policy
) -> StageReport:
    """Do the planned items of a stage.

    Every result is committed (files renamed into place, then one ledger transaction) as soon as it arrives, so a kill
    at any moment loses at most the items in the workers' hands. Results do not depend on the number of workers.

    Raises:
        KeyboardInterrupt: after the workers were ended; everything committed stays.
        ToolError: if the workers cannot be started at all, or the bucket cannot be used any more; what was committed
            stays, and no item is held to be failed for it.
    """
    report = StageReport(plan=plan)
    _remove_leftovers(workspace, stage)
    _fail_unreadable(ledger, report)
    logger.info("stage=%s to_do=%d done=%d waiting=%d", stage.name, len(plan.todo), plan.num_done, plan.num_waiting)
    if not plan.todo:
        return report
    started = time.monotonic()
    with Progress(stage.name, total=len(plan.todo)) as progress, executors(stage, len(plan.todo)) as executor:
        _Run(workspace, ledger, stage, executor, executors.workers, policy, report, progress).all(plan.todo)
    report.wall_s = time.monotonic() - started
    logger.info(
        "stage=%s done=%d failed=%d wall_s=%.1f", stage.name, report.done, sum(report.failed.values()), report.wall_s
    )
    return report


class _Run:
    """The state of one run of one stage: what waits, what is in the workers' hands, and how patient we still are."""

    def __init__(
        self,
        workspace: Workspace,
        ledger: Ledger,
        stage: Stage,
        executor: Executor,
        workers: int,
        policy: Policy,
        report: StageReport,
        progress: Progress,
    ) -> None:
        self._workspace, self._ledger, self._stage = workspace, ledger, stage
        self._executor, self._policy, self._report, self._progress = executor, policy, report, progress
        self._allowed = 2 * workers  # one in hand and one at hand for each worker
        self._pending: deque[PlannedItem] = deque()
        self._later: list[tuple[float, str, PlannedItem]] = []
        self._in_hand: dict[str, PlannedItem] = {}
        self._tries: Counter[str] = Counter()
        self._throttles = 0
        self._paused_until = 0.0
        self._bucket = bucket_of(workspace)
        self._seen = workspace.tmp / stage.name / ".here" / f"out-seen-{os.getpid()}"  # as leftovers are named
        if self._bucket is not None:
            self._seen.parent.mkdir(parents=True, exist_ok=True)
            self._seen.touch()

    def all(self, items: Iterable[PlannedItem]) -> None:
        self._pending.extend(items)
        while self._in_hand or ((self._pending or self._later) and not self._report.stopped):
            self._submit()
            for result in self._executor.wait(0.2) if self._in_hand else _nap(0.05):
                self._take(result)
        remove(self._seen.parent)

    def _submit(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._pending.append(heapq.heappop(self._later)[2])
        while self._pending and len(self._in_hand) < self._allowed and now >= self._paused_until:
            if self._report.stopped:
                return
            planned = self._pending.popleft()
            self._tries[planned.item.item_id] += 1
            self._in_hand[planned.item.item_id] = planned
            job = self._job(planned)
            self._executor.submit(job, self._stage.timeout_s(job.record))

    def _job(self, planned: PlannedItem) -> Job:
        item = planned.item
        folder = self._workspace.tmp / self._stage.name / item.item_id
        return Job(
            item_id=item.item_id,
            record=item.parsed_record(),
            root=self._workspace.root,
            inputs=item.inputs,
            secret=item.secret,
            # A name per try: a worker that outlived its killed runner must not write into this one's files.
            out=folder / f"out-{os.getpid()}-{self._tries[item.item_id]}",
            scratch=folder / "scratch",
            home=item.home,
            storage=None if self._bucket is None else self._bucket.settings,
            seen=self._seen,
        )

    def _take(self, result: Success | Failure) -> None:
        planned = self._in_hand.pop(result.item_id)
        self._report.cpu_s += result.cpu_s
        if isinstance(result, Failure) and result.ends_run is not None:
            raise result.ends_run
        if isinstance(result, Success):
            self._succeed(planned, result)
        elif result.reason in RETRIED_IN_RUN and self._tries[result.item_id] <= self._policy.retries:
            self._try_later(planned, result)
        else:
            self._fail(planned, result)

    def _succeed(self, planned: PlannedItem, result: Success) -> None:
        try:
            _commit_success(self._workspace, self._ledger, self._stage.name, planned, result, self._bucket)
            self._trim(planned, result)
        except OSError as error:
            raise_interruption(error)
            fault = fault_of(error)
            message = f"cannot move the result into place: {fault.message if fault else error}"
            reason = fault.reason if fault else Reason.DISK_ERROR
            self._fail(planned, Failure(item_id=result.item_id, reason=reason, message=message))
            self._report.stopped = self._report.stopped or f"{message}; then run again with --retry-failed"
            return
        self._throttles = 0
        self._report.done_ids.append(result.item_id)
        self._progress.step()
        logger.debug("%s done item=%s wall_s=%.2f", self._stage.name, result.item_id, result.wall_s)

    def _trim(self, planned: PlannedItem, success: Success) -> None:
        """Keep local copies within their bounds; what other workers have at hand stays."""
        if self._bucket is None:
            return
        keep = {found.path for other in self._in_hand.values() for found in other.item.inputs.values()}
        fetched = sum(self._size_of(found.path) for found in planned.item.inputs.values() if found.key)
        made = 0 if success.is_elsewhere else sum(output.size_bytes for output in success.outputs)
        self._bucket.trim(self._ledger, added_bytes=made + fetched, keep=keep)

    def _size_of(self, path: str) -> int:
        try:
            return os.stat(self._workspace.root / path).st_size
        except OSError:
            return 0  # it was fetched elsewhere

    def _fail(self, planned: PlannedItem, failure: Failure) -> None:
        self._ledger.commit_failed(
            self._stage.name,
            Failed(
                item_id=failure.item_id,
                key=planned.key,
                reason=failure.reason,
                message=failure.message,
                inputs={name: found.sha256 for name, found in planned.item.inputs.items()},
                wall_s=failure.wall_s,
                cpu_s=failure.cpu_s,
            ),
        )
        self._report.failed[failure.reason] += 1
        self._progress.fail(failure.item_id, failure.reason, failure.message)
        self._stop_if_hopeless(failure)

    def _try_later(self, planned: PlannedItem, failure: Failure) -> None:
        tries = self._tries[failure.item_id]
        wait_s = min(60.0, self._policy.retry_wait_s * 2.0 ** (tries - 1)) * random.uniform(0.8, 1.2)
        logger.debug("%s again item=%s reason=%s in %.1f s", self._stage.name, failure.item_id, failure.reason, wait_s)
        if failure.reason in THROTTLED:
            wait_s += self._throttle(failure)
        heapq.heappush(self._later, (time.monotonic() + wait_s, failure.item_id, planned))

    def _throttle(self, failure: Failure) -> float:
        """Slow everything down; a run that is throttled again and again is ended with advice."""
        self._throttles += 1
        self._allowed = max(1, self._allowed // 2)
        pause_s = min(600.0, self._policy.throttle_wait_s * 2.0 ** (self._throttles - 1))
        self._paused_until = time.monotonic() + pause_s
        self._progress.say(f"{failure.reason}: the site asks for fewer requests; all wait {pause_s:.0f} s")
        if self._throttles >= self._policy.max_throttles:
            self._fail_untried(failure)
            self._report.stopped = (
                f"the site goes on refusing ({failure.reason}): wait some hours, then run again with --retry-failed, "
                "--workers 1, a longer --sleep, and --cookies of a signed-in browser"
            )
        return pause_s

    def _fail_untried(self, failure: Failure) -> None:
        for _, item_id, planned in self._later:
            self._fail(planned, Failure(item_id=item_id, reason=failure.reason, message=failure.message))
        self._later.clear()

    def _stop_if_hopeless(self, failure: Failure) -> None:
        report = self._report
        if report.stopped:
            return
        if failure.reason is Reason.DISK_FULL:
            report.stopped = "the disk is full: make room, then run again with --retry-failed"
        elif failure.reason is Reason.MISSING_TOOL:
            report.stopped = f"{failure.message}; then run again with --retry-failed"
        elif report.done == 0 and report.failed == {failure.reason: self._policy.same_failure_limit}:
            report.stopped = (
                f"the first {self._policy.same_failure_limit} items all failed with {failure.reason} "
                f"(the last: {failure.message.splitlines()[-1]}); mend the cause, then run again with --retry-failed"
            )


def _commit_success(
    workspace: Workspace, ledger: Ledger, stage: str, planned: PlannedItem, success: Success, bucket: Bucket | None
) -> None:
    """Move the outputs of one item into its home and record them; a kill in between leaves an item to do again.

    Raises:
        OSError: if that fails (no permission, disk full).
        StorageError: if the bucket, where there is one, cannot be used.
    """
    item, out = planned.item, success.out
    if planned.replaces:
        ledger.begin_replacing(stage, item.item_id)
    home = workspace.root / item.home
    home.mkdir(parents=True, exist_ok=True)
    made, temporary = list(success.outputs), [output.key for output in success.outputs if output.key]
    if bucket is not None:
        if success.is_elsewhere:
            bucket.fetch_to(out, item.home, made)
        bucket.forget(planned.replaced_keys)
        made = bucket.finish(item.home, made)
    for name, log in item.logs.items():
        append_lines(workspace.root / log, (out / name).read_text(encoding="utf-8"))
    made = [output for output in made if output.path not in item.logs]
    targets = {output.path: home / output.path for output in made}
    for path in {workspace.root / path for path in planned.replaces} - set(targets.values()):
        remove(path)
    outputs = []
    for output in made:
        target = targets[output.path]
        if target.is_dir():
            remove(target)  # a file is replaced at once: what it held may be what the new one was made from
        if success.is_elsewhere and output.key:
            remove(target)  # a copy of what was there before
        else:
            move(out / output.path, target)
            output = output._replace(mtime_ns=target.stat().st_mtime_ns)
        outputs.append(output._replace(path=workspace.relative(target)))
    flush(home)
    ledger.commit_done(stage, _done(planned, success, outputs))
    if bucket is not None:
        bucket.store.delete(temporary)
    remove(workspace.tmp / stage / item.item_id)


def _done(planned: PlannedItem, success: Success, outputs: list[Output]) -> Done:
    return Done(
        item_id=success.item_id,
        key=planned.key,
        facts=success.facts.model_dump(mode="json"),
        inputs={name: found.sha256 for name, found in planned.item.inputs.items()},
        outputs=outputs,
        wall_s=success.wall_s,
        cpu_s=success.cpu_s,
    )


def _fail_unreadable(ledger: Ledger, report: StageReport) -> None:
    for item_id, error in report.plan.unreadable.items():
        ledger.commit_failed(report.stage, Failed(item_id=item_id, key="", reason=error.reason, message=error.message))
        report.failed[error.reason] += 1
        say(report.stage, f"{item_id}: {error.reason}: {error.message}")


def _remove_leftovers(workspace: Workspace, stage: Stage) -> None:
    """Remove what killed runs left half done; partial downloads in `scratch` are kept."""
    for out in (workspace.tmp / stage.name).glob("*/out-*"):
        remove(out)


def _nap(seconds: float) -> list[Success | Failure]:
    time.sleep(seconds)
    return []
