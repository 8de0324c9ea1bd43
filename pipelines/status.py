"""What is done, what failed and why, what is left, read from the ledger alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from avis_data.errors import Reason
from avis_data.ledger import Ledger
from avis_data.pipelines.stages.up_to_date import current_adopted, current_embedded, current_extracted, current_previews
from avis_data.recipe import Recipe

__all__ = ["FailedItem", "StageStatus", "failed_items", "workspace_status"]

_STAGES = {
    "fetch": ("video",),
    "extract": ("clip",),
    "preview": ("clip",),
    "adopt": ("adopted",),
    "embed": ("clip", "adopted"),
}
_UNUSUAL = ("preview", "adopt")
"""Stages that are no part of the way from a list to a dataset."""
_CURRENT = {
    "extract": current_extracted,
    "preview": current_previews,
    "adopt": current_adopted,
    "embed": current_embedded,
}
"""For each stage, what is still as the recipe, the list and the sources want it. Of downloads only a fetch can say."""


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
    """Of all that the stage has made."""
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
        """For `--json`."""
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
        """For `--json`."""
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

    `preview` and `adopt` are listed only where they were used: they are no part of the way from a list to a dataset.
    """
    wanted = {kind: len(ids) for kind, ids in _wanted(ledger).items()}
    found = []
    for stage, kinds in _STAGES.items():
        status = StageStatus(stage=stage, wanted=sum(wanted[kind] for kind in kinds))
        for count in ledger.counts(stage):
            if count.state == "done":
                status.done = len(_CURRENT[stage](ledger, recipe)) if stage in _CURRENT else count.count
                status.stale = count.count - status.done
                status.size_bytes, status.mean_wall_s = count.size_bytes, count.mean_wall_s
            elif count.reason is not None:
                status.failed[count.reason] += count.count
        used = status.done or status.stale or status.failed or (stage == "adopt" and status.wanted)
        if stage not in _UNUSUAL or used:
            found.append(status)
    return found


def failed_items(ledger: Ledger) -> list[FailedItem]:
    """All failures of items that are still wanted, by stage and id."""
    wanted = set().union(*_wanted(ledger).values())
    return [
        FailedItem(
            stage=stage,
            item_id=entry.item_id,
            reason=Reason(entry.reason or Reason.BUG),
            message=entry.message or "",
            attempts=entry.attempts,
        )
        for stage in _STAGES
        for entry in sorted(ledger.entries(stage).values(), key=lambda entry: entry.item_id)
        if entry.state == "failed" and entry.item_id in wanted
    ]


def _wanted(ledger: Ledger) -> dict[str, set[str]]:
    """Ids of the list's videos and clips, and of the clips of existing sets."""
    rows = {"video": ledger.wanted("video"), "clip": ledger.wanted("clip"), "adopted": ledger.adopted()}
    return {kind: {item_id for item_id, _ in found} for kind, found in rows.items()}
