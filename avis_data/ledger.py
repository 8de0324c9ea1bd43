"""The ledger: what was done to which item, with which result. One SQLite file per workspace."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from avis_data import __version__
from avis_data.errors import DataError, Reason, ToolError
from avis_data.format_numbers import WORKSPACE
from avis_data.io import sha256_file

if TYPE_CHECKING:
    from avis_data.records import Record

Facts = TypeVar("Facts", bound="Record")

__all__ = ["Done", "Entry", "Failed", "Ledger", "MeanCost", "Output", "RunInfo", "StateCount"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    stage TEXT NOT NULL, item_id TEXT NOT NULL, key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('done', 'failed', 'replacing')),
    reason TEXT, message TEXT, facts TEXT, inputs TEXT NOT NULL, outputs TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, attempts INTEGER NOT NULL,
    wall_s REAL NOT NULL, cpu_s REAL NOT NULL, finished_at TEXT NOT NULL, version TEXT NOT NULL,
    PRIMARY KEY (stage, item_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wanted (
    kind TEXT NOT NULL CHECK (kind IN ('video', 'clip')), item_id TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (kind, item_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS adopted (item_id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    run_id INTEGER PRIMARY KEY, command TEXT NOT NULL, version TEXT NOT NULL, pid INTEGER NOT NULL,
    started_at TEXT NOT NULL, finished_at TEXT, outcome TEXT
);
"""


class Output(NamedTuple):
    """One file or folder that an item produced. (A named tuple, kept as a JSON list: a plan reads 100,000s.)"""

    path: str
    """Relative to the workspace."""
    sha256: str
    """Hash of the file, or of the tree (`io.sha256_tree`)."""
    size_bytes: int
    """Size of the file, or of all files in the folder together."""
    mtime_ns: int = 0
    """When the file, or the folder's list of names, was last changed; a cheap sign of tampering."""

    @property
    def name(self) -> str:
        """The name of the file or folder, without where it lies."""
        return self.path.rpartition("/")[2]

    @staticmethod
    def of_file(path: Path, *, root: Path) -> Output:
        """A file as it is now; `root` is the workspace's folder."""
        found = path.stat()
        return Output(path.relative_to(root).as_posix(), sha256_file(path), found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """An item that ended well."""

    item_id: str
    key: str
    facts: Mapping[str, object]
    inputs: dict[str, str]
    """Name to sha256."""
    outputs: Sequence[Output]
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An item that ended badly."""

    item_id: str
    key: str
    reason: Reason
    message: str
    inputs: dict[str, str] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Entry(NamedTuple):
    """What the ledger says of one item of a stage, as it stands there."""

    item_id: str
    key: str
    state: Literal["done", "failed", "replacing"]
    reason: str | None
    """A `Reason`, for failures."""
    message: str | None
    attempts: int
    left: str
    """JSON: lists of `Output`."""

    def outputs(self) -> list[Output]:
        """What the item left on disk, also while it is being replaced; nothing for failures."""
        return [Output(*values) for values in json.loads(self.left)]


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """How many items of a stage are in a state (and, for failures, have a reason)."""

    state: Literal["done", "failed", "replacing"]
    reason: Reason | None
    count: int
    mean_wall_s: float
    size_bytes: int
    """Size of all outputs of the stage; 0 for other states than done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanCost:
    """What one finished item of a stage costs on average."""

    wall_s: float
    size_bytes: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """A command that changes, or changed, the workspace."""

    command: str
    pid: int
    started_at: str


class Ledger:
    """An open ledger. Only the process that holds the workspace's lock writes; any may read meanwhile.

    Commits survive a kill of the process at any moment. After a power cut the last few may be missing;
    their items are then done again, which gives the same bytes.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open, and create where there is none.

        Args:
            path: `ledger.sqlite`.
            read_only: nothing on the disk is changed; an absent file is an empty ledger.

        Raises:
            DataError: if the file is no ledger, or the workspace is of another format than this version's.
            ToolError: if it cannot be opened: no rights, a full disk, in use for too long.
        """
        try:
            self._db = _connected_to_read(path) if read_only else _connected(path)
            if _is_empty(self._db):
                # In one transaction: tables without a number would be those of an older version.
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {WORKSPACE.number}; COMMIT;")
            number = self._db.execute("PRAGMA user_version").fetchone()[0]
            WORKSPACE.check(number or None, path.parent)
        except sqlite3.OperationalError as error:
            hint = "look at the rights of the folder and at the free space of the disk"
            raise ToolError(f"{path}: the ledger cannot be opened: {error}", hint=hint) from None
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{path}: not a readable ledger ({error})",
                hint="move the file away and run the command again: finished files are then made once more",
            ) from None

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit_done(self, stage: str, done: Done) -> None:
        """Record one finished item and its outputs in one transaction."""
        size_bytes = sum(output.size_bytes for output in done.outputs)
        outputs = json.dumps([list(output) for output in done.outputs])
        with self._transaction():
            self._write_item(stage, done, ("done", None, None, json.dumps(done.facts), outputs, size_bytes))

    def commit_failed(self, stage: str, failed: Failed) -> None:
        """Record one failed item; outputs of an earlier success stay on disk but no longer count."""
        with self._transaction():
            self._write_item(stage, failed, ("failed", failed.reason.value, failed.message, None, "[]", 0))

    def begin_replacing(self, stage: str, item_id: str) -> None:
        """Say that finished outputs are about to be replaced: a kill half-way then leaves no item that looks done."""
        with self._transaction():
            self._db.execute(
                "UPDATE items SET state = 'replacing' WHERE stage = ? AND item_id = ? AND state = 'done'",
                (stage, item_id),
            )

    def replace_wanted(self, videos: Iterable[str], clips: Iterable[tuple[str, str]]) -> None:
        """Remember which videos and clips the list asks for: ids, and for clips their record as JSON.

        Addresses are left out on purpose: they may carry passwords or signatures.
        """
        with self._transaction():
            self._db.execute("DELETE FROM wanted")
            self._db.executemany("INSERT INTO wanted VALUES ('video', ?, '')", ((video_id,) for video_id in videos))
            self._db.executemany("INSERT INTO wanted VALUES ('clip', ?, ?)", clips)

    def wanted(self, kind: Literal["video", "clip"]) -> Iterator[tuple[str, str]]:
        """Id and record (JSON text; empty for videos) of all that the list asks for, by id."""
        yield from self._db.execute("SELECT item_id, record FROM wanted WHERE kind = ? ORDER BY item_id", (kind,))

    def wanted_spans(self) -> Iterator[tuple[str, str, str]]:
        """Clip id, video id and span (JSON text) of every clip that the list asks for, by clip id; without parsing."""
        yield from self._db.execute(
            "SELECT item_id, json_extract(record, '$.span.video_id'), json_extract(record, '$.span') FROM wanted"
            " WHERE kind = 'clip' ORDER BY item_id"
        )

    def adopt(self, records: Iterable[tuple[str, str]]) -> None:
        """Remember clips that come from an existing set: ids, and records as JSON. No list makes them unwanted."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO adopted VALUES (?, ?)", records)

    def adopted(self) -> Iterator[tuple[str, str]]:
        """Id and record (JSON text) of every clip that comes from an existing set, by id."""
        yield from self._db.execute("SELECT item_id, record FROM adopted ORDER BY item_id")

    def set(self, name: str, value: str) -> None:
        """Remember one value of the workspace, as where its list came from."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def get(self, name: str) -> str | None:
        """A value that `set` remembered."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def entries(self, stage: str) -> dict[str, Entry]:
        """Everything known of a stage's items, by item id."""
        rows = self._db.execute(
            "SELECT item_id, key, state, reason, message, attempts, outputs FROM items WHERE stage = ?", (stage,)
        )
        return {row[0]: Entry(*row) for row in rows}

    def done_keys(self, stage: str) -> dict[str, str]:
        """The key with which every finished item of a stage was made, by item id."""
        rows = self._db.execute("SELECT item_id, key FROM items WHERE stage = ? AND state = 'done'", (stage,))
        return dict(rows.fetchall())

    def facts(self, stage: str) -> Iterator[tuple[str, str]]:
        """Item id and facts (JSON text, as records parse it fastest) of every finished item of a stage, by id."""
        rows = self._db.execute(
            "SELECT item_id, facts FROM items WHERE stage = ? AND state = 'done' ORDER BY item_id", (stage,)
        )
        yield from rows

    def read_facts(self, stage: str, kind: type[Facts]) -> Iterator[tuple[str, Facts]]:
        """Item id and facts, as the record that the stage gives, of every finished item of a stage, by id.

        Raises:
            DataError: if they are not what this version of the stage gives.
        """
        for item_id, text in self.facts(stage):
            try:
                found = kind.model_validate_json(text)
            except ValueError as error:
                hint = "move the ledger away and run the command again: finished files are then made once more"
                raise DataError(f"ledger: {stage} of {item_id}: {str(error).splitlines()[0]}", hint=hint) from None
            yield item_id, found

    def outputs(self, stage: str) -> dict[str, list[Output]]:
        """What every finished item of a stage left on disk, by item id."""
        rows = self._db.execute("SELECT item_id, outputs FROM items WHERE stage = ? AND state = 'done'", (stage,))
        return {item_id: [Output(*values) for values in json.loads(text)] for item_id, text in rows}

    def inputs(self, stage: str) -> dict[str, dict[str, str]]:
        """The inputs that every finished item of a stage was made from, by item id: name to sha256."""
        rows = self._db.execute("SELECT item_id, inputs FROM items WHERE stage = ? AND state = 'done'", (stage,))
        return {item_id: json.loads(text) for item_id, text in rows}

    def mean_cost(self, stage: str) -> MeanCost | None:
        """What the finished items of a stage cost; None where there are none."""
        row = self._db.execute(
            "SELECT avg(wall_s), avg(size_bytes) FROM items WHERE stage = ? AND state = 'done'", (stage,)
        ).fetchone()
        return None if row[0] is None else MeanCost(wall_s=row[0], size_bytes=row[1])

    def counts(self, stage: str) -> list[StateCount]:
        """How many items of a stage ended in which way, with their mean cost; only items that are still wanted."""
        rows = self._db.execute(
            "SELECT state, reason, count(*), avg(wall_s), sum(size_bytes) FROM items"
            " WHERE stage = ? AND item_id IN (SELECT item_id FROM wanted UNION SELECT item_id FROM adopted)"
            " GROUP BY state, reason",
            (stage,),
        )
        return [
            StateCount(
                state=state,
                reason=Reason(reason) if reason else None,
                count=count,
                mean_wall_s=mean_wall_s,
                size_bytes=size_bytes,
            )
            for state, reason, count, mean_wall_s, size_bytes in rows
        ]

    def start_run(self, command: str, pid: int) -> int:
        """Note that a command begins; gives the id for `finish_run`."""
        with self._transaction():
            cursor = self._db.execute(
                "INSERT INTO runs (command, version, pid, started_at) VALUES (?, ?, ?, ?)",
                (command, __version__, pid, _now()),
            )
        return int(cursor.lastrowid or 0)

    def finish_run(self, run_id: int, outcome: str) -> None:
        """Note how a command ended."""
        self._db.execute("UPDATE runs SET finished_at = ?, outcome = ? WHERE run_id = ?", (_now(), outcome, run_id))

    def latest_run(self) -> RunInfo | None:
        """The command that was started last."""
        row = self._db.execute("SELECT command, pid, started_at FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
        return RunInfo(command=row[0], pid=row[1], started_at=row[2]) if row else None

    def _write_item(self, stage: str, result: Done | Failed, ended: Sequence[str | int | None]) -> None:
        """`ended`: state, reason, message, facts, outputs, size of the outputs."""
        state, reason, message, facts, outputs, size_bytes = ended
        self._db.execute(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)"
            " ON CONFLICT (stage, item_id) DO UPDATE SET"
            " key = excluded.key, state = excluded.state, reason = excluded.reason, message = excluded.message,"
            " facts = excluded.facts, inputs = excluded.inputs, outputs = excluded.outputs,"
            " size_bytes = excluded.size_bytes,"
            " attempts = CASE WHEN items.key = excluded.key THEN items.attempts + 1 ELSE 1 END,"
            " wall_s = excluded.wall_s, cpu_s = excluded.cpu_s, finished_at = excluded.finished_at,"
            " version = excluded.version",
            (
                *(stage, result.item_id, result.key, state, reason, message, facts, json.dumps(result.inputs)),
                *(outputs, size_bytes, round(result.wall_s, 4), round(result.cpu_s, 4), _now(), __version__),
            ),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` on any error."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            hint = "make room on the disk (or mend its permissions), then run the same command again"
            raise ToolError(f"the ledger cannot be written: {error}", hint=hint) from None


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _connected_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        return sqlite3.connect(":memory:", isolation_level=None)
    # Without its -wal file nobody has the ledger open, and it can be read without files beside it, in any folder.
    in_use = path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro" if in_use else "immutable=1"
    db = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", timeout=30.0, isolation_level=None, uri=True)
    if not _is_empty(db):
        return db
    db.close()  # a command was killed, or is at work, before it wrote anything
    return sqlite3.connect(":memory:", isolation_level=None)


def _is_empty(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
