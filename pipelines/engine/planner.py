"""Which items of a stage need work: the ledger's keys against the items as they would be made now."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from avis_data.cycles import no_cycle_search
from avis_data.errors import ConfigError, ItemError, Reason
from avis_data.io import sha256_tree
from avis_data.ledger import Entry, Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import Bucket, bucket_of
from avis_data.pipelines.engine.spec import Candidates
from avis_data.pipelines.engine.stage import Item, Stage, has_key, item_key, stage_key

__all__ = ["Plan", "PlannedItem", "Selection", "plan_stage"]


_OF_THE_WORKSPACE = frozenset({Reason.SOURCE_MISSING, Reason.TORN_INPUT})
"""Failures that say nothing of the item: what it is made from was damaged here, and is made again before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedItem:
    """An item that needs work."""

    item: Item
    key: str
    replaces: tuple[str, ...] = ()
    """Outputs of an earlier success, relative to the workspace; removed when the new ones are there."""
    replaced_keys: tuple[str, ...] = ()
    """Their objects, in the workspace's bucket."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which items a person wants done, of those that need it or beyond."""

    retry_failed: str | None = None
    """None: failures stay failed. `retryable`, `all`, or a reason: those failures are tried again."""
    force: bool = False
    """Do finished items again as well."""
    verify: bool = False
    """Hash every finished output instead of trusting its size and time."""
    limit: int | None = None
    """The most items that are done."""

    def wants(self, reason: Reason) -> bool:
        """True if items that failed for this reason are to be tried again."""
        if self.force or self.retry_failed == "all":
            return True
        return reason.retryable if self.retry_failed == "retryable" else self.retry_failed == reason

    def __post_init__(self) -> None:
        allowed = {"retryable", "all", *Reason}
        if self.retry_failed is not None and self.retry_failed not in allowed:
            raise ConfigError(
                f"--retry-failed={self.retry_failed}: no such reason; there are {', '.join(sorted(allowed))}"
            )


@dataclass(kw_only=True)
class Plan:
    """What a stage has to do, and why the rest is not in it."""

    stage: str
    todo: list[PlannedItem] = field(default_factory=list)
    """Empty where they are only counted."""
    num_to_do: int = 0
    done: list[str] = field(default_factory=list)
    """Finished items that stay as they are; empty where they are only counted."""
    num_done: int = 0
    num_waiting: int = 0
    """Items whose earlier stage has not succeeded."""
    nothing_to_do: dict[str, str] = field(default_factory=dict)
    """Item id to why."""
    unreadable: dict[str, ItemError] = field(default_factory=dict)
    """Items that fail before they are begun."""
    failed_before: Counter[Reason] = field(default_factory=Counter)
    torn: list[str] = field(default_factory=list)
    """Finished items of which a file is missing or was changed; they are to do again."""
    left_by_limit: int = 0
    expected_s: float | None = None
    """Work of one worker for all of `todo`, from the mean of what was done before; None where nothing was."""
    expected_bytes: int | None = None
    workers: int = 1
    """How many will be at work."""

    def as_dict(self) -> dict[str, object]:
        """What `--dry-run --json` prints."""
        return {
            "stage": self.stage,
            "to_do": self.num_to_do,
            "done": self.num_done,
            "waiting": self.num_waiting,
            "nothing_to_do": len(self.nothing_to_do),
            "unreadable": len(self.unreadable),
            "failed_before": {reason.value: count for reason, count in sorted(self.failed_before.items())},
            "torn": self.torn,
            "left_by_limit": self.left_by_limit,
            "expected_worker_s": None if self.expected_s is None else round(self.expected_s, 1),
            "expected_bytes": self.expected_bytes,
        }


@no_cycle_search()
def plan_stage(
    workspace: Workspace,
    ledger: Ledger,
    stage: Stage,
    candidates: Candidates,
    selection: Selection,
    *,
    only_count: bool = False,
) -> Plan:
    """Compare a stage's items with the ledger and the disk. Reads only.

    An item is done when its key is the ledger's and its outputs are as they were left (size and time, or with
    `verify` the hash).

    Args:
        workspace: where the outputs lie.
        ledger: of the workspace.
        stage: with its parameters.
        candidates: its items.
        selection: which of them are wanted.
        only_count: nobody will do the items, so they are counted and not kept.
    """
    plan = Plan(stage=stage.name, nothing_to_do=candidates.nothing_to_do, unreadable=candidates.unreadable)
    entries, stage_hash = ledger.entry_lookup(stage.name), stage_key(stage)
    places = _Places(str(workspace.root), bucket_of(workspace))
    for item in candidates.items:
        entry = entries.get(item.item_id)
        if not _needs_work(plan, places, item, stage_hash, entry, selection):
            plan.num_done += entry is not None and entry.state == "done"
            if entry is not None and entry.state == "done" and not only_count:
                plan.done.append(item.item_id)
            continue
        if selection.limit is not None and plan.num_to_do >= selection.limit:
            plan.left_by_limit += 1
            continue
        plan.num_to_do += 1
        if not only_count:
            left = entry.outputs() if entry else []
            planned = PlannedItem(
                item=item,
                key=item_key(stage_hash, item),
                replaces=tuple(output.path for output in left),
                replaced_keys=tuple(output.key for output in left if output.key),
            )
            plan.todo.append(planned)
    plan.num_waiting = candidates.num_waiting
    cost = ledger.tallies.mean_cost(stage.name) if plan.num_to_do else None
    if cost is not None:
        plan.expected_s = cost.wall_s * plan.num_to_do
        plan.expected_bytes = round(cost.size_bytes * plan.num_to_do)
    return plan


class _Places(NamedTuple):
    """Where outputs can be."""

    root: str
    bucket: Bucket | None


def _needs_work(
    plan: Plan, places: _Places, item: Item, stage_hash: str, entry: Entry | None, selection: Selection
) -> bool:
    if entry is None or entry.state == "replacing" or not has_key(stage_hash, item, entry.key):
        return True
    if entry.state == "failed":
        reason = entry.reason or Reason.BUG
        if reason in _OF_THE_WORKSPACE or selection.wants(reason):
            return True
        plan.failed_before[reason] += 1
        return False
    if selection.force:
        return True
    if not _intact(places, entry, verify=selection.verify):
        plan.torn.append(item.item_id)
        return True
    return False


def _intact(places: _Places, entry: Entry, *, verify: bool) -> bool:
    """True if all that the item left is as it was left: by time of change, else (or with `verify`) by hash.

    What is in the bucket is known by its ETag, which says as much as a hash; nothing is downloaded.
    """
    for output in entry.outputs():
        if places.bucket is not None and places.bucket.has(output):
            continue
        try:
            found = os.stat(f"{places.root}/{output.path}")
        except OSError:
            return False
        is_in_doubt = verify or found.st_mtime_ns != output.mtime_ns
        if is_in_doubt and sha256_tree(Path(places.root, output.path)) != output.sha256:
            return False
    return True
