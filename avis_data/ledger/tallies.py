"""What is asked over all stages: how much there is of what, counted by SQLite, and what lies on the disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Literal, NamedTuple

from avis_data.ledger.database import Database
from avis_data.ledger.rows import Entry, MeanCost, Output, StateCount, checked_item, outputs_of, reason_of, state_of

__all__ = ["Left", "RowKind", "Tallies", "UnlistedItem"]

RowKind = Literal["video", "clip", "adopted"]
"""Rows of the ledger: videos and clips of the list, clips of existing sets."""

_OF_KIND: dict[RowKind, str] = {
    "video": "SELECT item_id FROM wanted WHERE kind = 'video'",
    "clip": "SELECT item_id FROM wanted WHERE kind = 'clip'",
    "adopted": "SELECT item_id FROM adopted",
}
_LISTED = " UNION ALL ".join(_OF_KIND.values())


class UnlistedItem(NamedTuple):
    """An item that nobody asks for any more."""

    item_id: str
    stage: str
    state: str
    reason: str | None
    wall_s: float
    size_bytes: int


class Tallies:
    """The open file, asked for numbers. Methods raise as those of `Ledger`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def num_rows(self, kind: RowKind) -> int:
        """How many videos or clips the list asks for, or how many clips come from existing sets."""
        sql = f"SELECT 'rows', count(*) FROM ({_OF_KIND[kind]})"
        return next(int(number) for _, number in self._db.rows(sql, kinds="ti"))

    def counts(self, unlisted: Iterable[UnlistedItem]) -> list[StateCount]:
        """How many items of every stage ended in which way, with their mean cost; all but those that are not listed."""
        fewer: dict[tuple[str, str, str | None], tuple[int, float, int]] = defaultdict(lambda: (0, 0.0, 0))
        for item in unlisted:  # few: all but them is quicker than all wanted
            number, wall, size = fewer[item.stage, item.state, item.reason]
            fewer[item.stage, item.state, item.reason] = (number + 1, wall + item.wall_s, size + item.size_bytes)
        sql = (
            "SELECT stage, state, reason, count(*), sum(wall_s), sum(size_bytes) FROM items"
            " GROUP BY stage, state, reason"
        )
        found = []
        for stage, state, reason, count, wall_s, size_bytes in self._db.rows(sql, kinds="ttTini"):
            less, less_wall_s, less_bytes = fewer[stage, state, reason]
            if left := count - less:
                found.append(
                    StateCount(
                        stage=stage,
                        state=state_of(state, f"an item of {stage}", self._db.path),
                        reason=reason_of(reason, f"an item of {stage}", self._db.path),
                        count=left,
                        mean_wall_s=max(0.0, wall_s - less_wall_s) / left,
                        size_bytes=size_bytes - less_bytes,
                    )
                )
        return found

    def mean_cost(self, stage: str) -> MeanCost | None:
        """What the finished items of a stage cost; None where there are none."""
        sql = "SELECT avg(nullif(wall_s, 0)), avg(size_bytes) FROM items WHERE stage = ? AND state = 'done'"
        for wall_s, size_bytes in self._db.rows(sql, (stage,), kinds="NN"):
            return None if wall_s is None or size_bytes is None else MeanCost(wall_s=wall_s, size_bytes=size_bytes)
        return None

    def failed(self, stage: str, kinds: Collection[RowKind]) -> Iterator[Entry]:
        """The failures of a stage, by id; only of rows of these kinds that are still there."""
        rows = " UNION ALL ".join(_OF_KIND[kind] for kind in kinds) or "SELECT NULL"
        sql = (
            "SELECT item_id, key, reason, message, attempts, outputs FROM items"
            f" WHERE stage = ? AND state = 'failed' AND item_id IN ({rows}) ORDER BY item_id"
        )
        for item_id, key, reason, message, attempts, left in self._db.rows(sql, (stage,), kinds="ttTTit"):
            why = reason_of(reason, item_id, self._db.path)
            yield Entry(
                checked_item(item_id, self._db.path), key, "failed", why, message, attempts, left, self._db.path
            )

    def unlisted(self) -> Iterator[UnlistedItem]:
        """Every item that neither the list nor a set has any more."""
        sql = f"SELECT item_id, stage, state, reason, wall_s, size_bytes FROM items WHERE item_id NOT IN ({_LISTED})"
        for item_id, *rest in self._db.rows(sql, kinds="tttTni"):
            yield UnlistedItem(checked_item(item_id, self._db.path), *rest)


class Left:
    """Of an open ledger; its methods raise DataError for a damaged row."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def rows(self) -> Iterator[tuple[str, str, list[Output]]]:
        """Stage, item id and what it left on disk, of every finished item of every stage."""
        sql = "SELECT stage, item_id, outputs FROM items WHERE state = 'done' ORDER BY stage, item_id"
        for stage, item_id, text in self._db.rows(sql, kinds="ttt"):
            yield stage, checked_item(item_id, self._db.path), outputs_of(text, item_id, self._db.path)

    def all(self) -> Iterator[Output]:
        """What every finished item of every stage left."""
        for _, _, outputs in self.rows():
            yield from outputs

    def by(self, stages: Iterable[str], item_id: str) -> list[Output]:
        """What the finished items of that id of some stages left."""
        sql = "SELECT stage, outputs FROM items WHERE stage = ? AND item_id = ? AND state = 'done'"
        rows = (row for stage in stages for row in self._db.rows(sql, (stage, item_id), kinds="tt"))
        return [output for _, text in rows for output in outputs_of(text, item_id, self._db.path)]
