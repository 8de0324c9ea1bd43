"""What is done, what failed and why, what is left, read from the ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from avis_data.errors import Reason
from avis_data.ledger import Ledger
from avis_data.pipelines.engine.spec import RowKind, StageSpec
from avis_data.pipelines.stages import STAGES
from avis_data.recipe import Recipe

__all__ = ["FailedItem", "StageStatus", "failed_items", "workspace_status"]


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


def workspace_status(ledger: Ledger, recipe: Recipe) -> list[StageStatus]:
    """One row per stage whose items are videos or clips, in the order in which they run.

    Stages that are no part of the usual way from a list to a dataset are listed only where they were used, or have
    something to do.
    """
    wanted = _wanted(ledger)
    found = []
    for spec in STAGES:
        status = _status(ledger, recipe, spec, wanted)
        if spec.covers and (spec.usual or status.done or status.stale or status.failed or _has_own_rows(spec, wanted)):
            found.append(status)
    return found


def failed_items(ledger: Ledger) -> list[FailedItem]:
    """All failures of items that are still wanted, by stage and id."""
    wanted = _wanted(ledger)
    return [
        FailedItem(
            stage=spec.name,
            item_id=entry.item_id,
            reason=entry.reason or Reason.BUG,
            message=entry.message or "",
            attempts=entry.attempts,
        )
        for spec in STAGES
        for entry in sorted(ledger.entries(spec.name).values(), key=lambda entry: entry.item_id)
        if entry.state == "failed" and any(entry.item_id in wanted[kind] for kind in spec.covers)
    ]


def _status(ledger: Ledger, recipe: Recipe, spec: StageSpec, wanted: Mapping[RowKind, set[str]]) -> StageStatus:
    status = StageStatus(stage=spec.name, wanted=sum(len(wanted[kind]) for kind in spec.covers))
    tried = 0
    for count in ledger.counts(spec.name):
        tried += count.count
        if count.state == "done":
            status.done = count.count if spec.up_to_date is None else len(spec.up_to_date(ledger, recipe))
            status.stale = count.count - status.done
            status.size_bytes, status.mean_wall_s = count.size_bytes, count.mean_wall_s
        elif count.reason is not None:
            status.failed[count.reason] += count.count
    if not spec.every_row:
        status.wanted = tried
    return status


def _has_own_rows(spec: StageSpec, wanted: Mapping[RowKind, set[str]]) -> bool:
    """True for a stage of rows that no list asks for: where there are some, it is part of the way."""
    return spec.covers == ("adopted",) and bool(wanted["adopted"])


def _wanted(ledger: Ledger) -> dict[RowKind, set[str]]:
    """Ids of the list's videos and clips, and of the clips of existing sets."""
    rows: dict[RowKind, Iterator[tuple[str, str]]] = {
        "video": ledger.wanted("video"),
        "clip": ledger.wanted("clip"),
        "adopted": ledger.adopted(),
    }
    return {kind: {item_id for item_id, _ in found} for kind, found in rows.items()}
