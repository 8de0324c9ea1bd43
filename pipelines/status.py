"""What is done, what failed and why, what is left, read from the ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from avis_data.errors import Reason
from avis_data.ledger import Ledger, StateCount, UnlistedItem
from avis_data.pipelines.engine.spec import Current, RowKind, StageSpec
from avis_data.pipelines.stages import STAGES
from avis_data.recipe import Recipe

__all__ = ["FailedItem", "StageStatus", "Unlisted", "failed_items", "overview", "unlisted", "workspace_status"]

_KINDS: tuple[RowKind, ...] = ("video", "clip", "adopted")


@dataclass(kw_only=True)
class StageStatus:
    """How far one stage is."""

    stage: str
    wanted: int
    done: int = 0
    stale: int = 0
    """Finished once, but with another recipe or from another source or list: part of what is to do."""
    failed: Counter[Reason] = field(default_factory=Counter)
    size_bytes: int = 0
    """Size of all that the stage has made."""
    mean_wall_s: float | None = None
    """Per finished item and worker; None where nothing is finished."""

    @property
    def to_do(self) -> int:
        """Neither done nor failed."""
        return max(0, self.wanted - self.done - sum(self.failed.values()))

    @property
    def left_s(self) -> float | None:
        """Work left for one worker, in seconds."""
        return None if self.mean_wall_s is None else self.mean_wall_s * self.to_do

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "stage": self.stage,
            "wanted": self.wanted,
            "done": self.done,
            "stale": self.stale,
            "failed": {reason.value: count for reason, count in sorted(self.failed.items())},
            "to_do": self.to_do,
            "bytes": self.size_bytes,
            "left_worker_s": None if self.left_s is None else round(self.left_s, 1),
        }


@dataclass(frozen=True, kw_only=True)
class FailedItem:
    """One failure, for `status --failed`."""

    stage: str
    item_id: str
    reason: Reason
    message: str
    attempts: int

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "stage": self.stage,
            "item_id": self.item_id,
            "reason": self.reason.value,
            "retryable": self.reason.retryable,
            "attempts": self.attempts,
            "message": self.message,
        }


@dataclass(frozen=True, kw_only=True)
class Unlisted:
    """What was made, by the ledger, and the list does not want any more."""

    videos: list[str]
    clips: list[str]

    def __bool__(self) -> bool:
        return bool(self.videos or self.clips)

    def said(self) -> str:
        """For people."""
        some = [f"{len(ids)} {what}(s)" for ids, what in ((self.videos, "video"), (self.clips, "clip")) if ids]
        return f"the list no longer wants {' and '.join(some)} that are here: avis-data prune says which"


def workspace_status(ledger: Ledger, recipe: Recipe) -> list[StageStatus]:
    """One row per stage whose items are videos or clips, in the order in which they run.

    Stages that are no part of the usual way from a list to a dataset are listed only where they were used, or have
    something to do.
    """
    return overview(ledger, recipe)[0]


def overview(ledger: Ledger, recipe: Recipe) -> tuple[list[StageStatus], Unlisted]:
    """What `workspace_status` and `unlisted` give, for less than both take."""
    made: dict[bool, set[str]] = {True: set(), False: set()}
    stages = _stages(ledger, recipe, _noting(ledger.tallies.unlisted(), made))
    return stages, Unlisted(videos=sorted(made[True]), clips=sorted(made[False]))


def _stages(ledger: Ledger, recipe: Recipe, unlisted_items: Iterable[UnlistedItem]) -> list[StageStatus]:
    wanted: dict[RowKind, int] = {kind: ledger.tallies.num_rows(kind) for kind in _KINDS}
    counts: dict[str, list[StateCount]] = {}
    for count in ledger.tallies.counts(unlisted_items):
        counts.setdefault(count.stage, []).append(count)
    found = []
    for spec in STAGES:
        if not spec.covers:
            continue
        status = _status(ledger, recipe, spec, wanted, counts.get(spec.name, ()))
        if spec.usual or status.done or status.stale or status.failed or _has_own_rows(spec, wanted):
            found.append(status)
    return found


def failed_items(ledger: Ledger, stages: Iterable[StageStatus]) -> list[FailedItem]:
    """All failures of items that are still wanted, by stage and id; only stages that count some are looked through."""
    failing = {status.stage for status in stages if status.failed}
    return [
        FailedItem(
            stage=spec.name,
            item_id=entry.item_id,
            reason=entry.reason or Reason.BUG,
            message=entry.message or "",
            attempts=entry.attempts,
        )
        for spec in STAGES
        if spec.name in failing
        for entry in ledger.tallies.failed(spec.name, spec.covers)
    ]


def unlisted(ledger: Ledger) -> Unlisted:
    """What stages made of videos and clips that the list does not want any more; only the ledger is read."""
    made: dict[bool, set[str]] = {True: set(), False: set()}
    for _ in _noting(ledger.tallies.unlisted(), made):
        pass
    return Unlisted(videos=sorted(made[True]), clips=sorted(made[False]))


def _noting(items: Iterable[UnlistedItem], made: dict[bool, set[str]]) -> Iterator[UnlistedItem]:
    """Items one by one; the ids go to those of videos, or not."""
    of_video = {spec.name: "video" in spec.covers for spec in STAGES}
    for item in items:
        if item.stage in of_video:
            made[of_video[item.stage]].add(item.item_id)
        yield item


def _status(
    ledger: Ledger, recipe: Recipe, spec: StageSpec, wanted: Mapping[RowKind, int], counts: Iterable[StateCount]
) -> StageStatus:
    status = StageStatus(stage=spec.name, wanted=sum(wanted[kind] for kind in spec.covers))
    tried = 0
    for count in counts:
        tried += count.count
        if count.state == "done":
            status.done = count.count if spec.up_to_date is None else _count(spec.up_to_date(ledger, recipe))
            status.stale = count.count - status.done
            status.size_bytes, status.mean_wall_s = count.size_bytes, count.mean_wall_s
        elif count.reason is not None:
            status.failed[count.reason] += count.count
    if not spec.every_row:
        status.wanted = tried
    return status


def _count(current: Current | Iterator[str]) -> int:
    return current.count() if isinstance(current, Current) else sum(1 for _ in current)


def _has_own_rows(spec: StageSpec, wanted: Mapping[RowKind, int]) -> bool:
    """True for a stage of rows that no list asks for: where there are some, it is part of the way."""
    return spec.covers == ("adopted",) and wanted["adopted"] > 0
