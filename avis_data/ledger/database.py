"""The SQLite file of the ledger: opened, asked and written, with every complaint of SQLite as one of our errors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avis_data.errors import AvisError, DataError, ToolError
from avis_data.format_numbers import WORKSPACE
from avis_data.links.check import check_write
from avis_data.paths import Workspace

__all__ = ["COLUMNS", "REPAIR", "DamagedLedger", "Database", "create_tables", "damaged", "forget"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    stage TEXT NOT NULL, item_id TEXT NOT NULL, key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('done', 'failed', 'replacing')),
    reason TEXT, message TEXT, facts TEXT, inputs TEXT NOT NULL, outputs TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, attempts INTEGER NOT NULL,
    wall_s REAL NOT NULL, cpu_s REAL NOT NULL, finished_at TEXT NOT NULL, version TEXT NOT NULL,
    PRIMARY KEY (stage, item_id)
);
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

COLUMNS = {
    "items": "stage item_id key state reason message facts inputs outputs size_bytes attempts wall_s cpu_s finished_at"
    " version",
    "wanted": "kind item_id record",
    "adopted": "item_id record",
    "settings": "name value",
    "runs": "run_id command version pid started_at finished_at outcome",
}
"""Table to its columns."""

REPAIR = "avis-data doctor --workspace --repair rebuilds the ledger from files and manifests; nothing is done again"

_JSON_COLUMNS = ("facts", "inputs", "outputs")
_AT_ONCE = 500
"""Of rows whose items are of many clips, read so many at a time."""

_OF_THE_MACHINE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
"""What SQLite says of the disk and of other processes; all else is about what the file holds."""

_SAID = (sqlite3.Error, UnicodeDecodeError)
"""How SQLite complains; Python itself fails on a complaint that cites damaged text."""

_KINDS: dict[str, tuple[type, ...]] = {
    "t": (str,),
    "T": (str, type(None)),
    "i": (int,),
    "n": (int, float),
    "N": (int, float, type(None)),
}


class DamagedLedger(DataError):
    """The ledger does not hold what a ledger holds, or is gone although the workspace had one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint=REPAIR)


def damaged(path: Path, what: str) -> DamagedLedger:
    """The error for a ledger that does not hold what a ledger holds."""
    return DamagedLedger(f"{path}: the ledger is damaged: {what}")


def create_tables(db: sqlite3.Connection) -> None:
    """All tables and the number of the format, in one transaction: without it they were those of an older version."""
    db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {WORKSPACE.number}; COMMIT;")


class Database:
    """The open file. Methods raise DataError for what it holds and ToolError for what the machine does not let us."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Open, and create where there is none. Raises as `Ledger`."""
        self.path = path
        for side in ("-journal", "-shm", "-wal", *([] if read_only else [""])):  # SQLite writes them in place
            check_write(path.with_name(f"{path.name}{side}"), in_place=True)
        if path.is_dir() or (path.is_symlink() and not path.exists()):
            raise damaged(path, "a folder stands in its place" if path.is_dir() else "a link that leads nowhere")
        try:
            self._db = _connected_to_read(path) if read_only else _connected(path)
        except _SAID as error:
            raise self._error(error, "the ledger cannot be opened") from None
        try:
            if _is_empty(self._db):
                _check_never_was(path)
                create_tables(self._db)
            number = self._db.execute("PRAGMA user_version").fetchone()[0]
            WORKSPACE.check(number or None, path.parent)
            for table, columns in COLUMNS.items():
                self._db.execute(f"SELECT {columns.replace(' ', ', ')} FROM {table} LIMIT 0")
        except _SAID as error:
            self.close()
            raise self._error(error, "the ledger cannot be opened") from None
        except AvisError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def rows(self, sql: str, values: Sequence[object] = (), *, kinds: str) -> Iterator[tuple[Any, ...]]:
        """The rows that a query finds, one by one.

        Args:
            sql: the query; the first column tells a person which row it is.
            values: for its question marks.
            kinds: a letter for each column: `t` text, `i` whole number, `n` number; `T`, `N`: or null.

        Raises:
            DataError: if the file cannot be read as far as that, or a value is of another kind.
            ToolError: if the machine does not let us read it.
        """
        allowed, seen = [_KINDS[kind] for kind in kinds], set()
        try:
            for row in self._db.execute(sql, tuple(values)):
                if (types_of_row := tuple(map(type, row))) not in seen:  # mostly those of the row before
                    for value, types in zip(row, allowed, strict=True):
                        if type(value) not in types:
                            what = f"is {type(value).__name__}: {value!r:.40}"
                            raise damaged(self.path, f"a value of {row[0]!r:.80} {what}")
                    seen.add(types_of_row)
                yield row
        except sqlite3.ProgrammingError:
            raise  # ours: a wrong query, a closed file
        except _SAID as error:
            raise self._error(error, "the ledger cannot be read") from None

    def function(self, name: str, asked: Callable[..., bool], *, num_arguments: int) -> None:
        """Have queries ask this under a name; it gets values of any kind, and must not raise."""
        self._db.create_function(name, num_arguments, asked)

    def check(self) -> None:
        """Read the whole file. Raises DataError if SQLite finds anything wrong in it."""
        for (found,) in self.rows("PRAGMA quick_check(1)", kinds="t"):
            if found != "ok":
                raise damaged(self.path, str(found).replace("\n", " "))

    def write(self, sql: str, values: Sequence[object] = ()) -> int:
        """Do one statement; gives the number of the row that was inserted."""
        with self._writing():
            return int(self._db.execute(sql, tuple(values)).lastrowid or 0)

    def write_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Do one statement with many rows."""
        with self._writing():
            self._db.executemany(sql, (tuple(row) for row in rows))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` on any error, which stays the one that is told."""
        self.write("BEGIN IMMEDIATE")
        try:
            yield
            self.write("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite itself ends a transaction that meets a damaged page
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except _SAID as error:
            raise self._error(error, "the ledger cannot be written") from None

    def _error(self, error: Exception, what: str) -> AvisError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # the low byte tells the kind
        if code in _OF_THE_MACHINE:
            hint = "make room on the disk (or mend its permissions), then run the same command again"
            return ToolError(f"{self.path}: {what}: {error}", hint=hint)
        return DamagedLedger(f"{self.path}: not a readable ledger ({error})")


def _check_never_was(path: Path) -> None:
    """A ledger that is gone is not a new workspace: all that was done would be done once more."""
    text = Workspace(path.parent).ledger_text
    if text.exists():
        raise DamagedLedger(f"{path}: there is no ledger any more, but {text} says what stood in it")


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    except _SAID:
        db.close()
        raise
    return db


def _connected_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        return sqlite3.connect(":memory:", isolation_level=None)
    # Without its -wal file nobody has the ledger open, and it can be read without files beside it, in any folder.
    in_use = path.with_name(f"{path.name}-wal").exists()
    mode = "mode=ro" if in_use else "immutable=1"
    db = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", timeout=30.0, isolation_level=None, uri=True)
    try:
        empty = _is_empty(db)
    except _SAID:
        db.close()
        raise
    if not empty:
        return db
    db.close()  # a command was killed, or is at work, before it wrote anything
    return sqlite3.connect(":memory:", isolation_level=None)


def _is_empty(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def forget(db: Database, is_gone: Callable[[str], bool], without: Callable[[object], object]) -> None:
    """Take videos out: their rows, what other rows say of them, and what SQLite keeps of rows that were deleted.

    See `Ledger.forget`. Killed in between, the next call does the rest.
    """
    db.write("PRAGMA secure_delete = ON")
    with db.transaction():
        for table in ("items", "wanted", "adopted"):
            ids = {item_id for (item_id,) in db.rows(f"SELECT DISTINCT item_id FROM {table}", kinds="t")}
            gone = [(item_id,) for item_id in sorted(ids) if is_gone(item_id)]
            db.write_many(f"DELETE FROM {table} WHERE item_id = ?", gone)
        _rewrite(db, without)
    db.write("VACUUM")  # pages that are free, and ends of pages, still hold what was in them
    list(db.rows("PRAGMA wal_checkpoint(TRUNCATE)", kinds="iii"))


def _rewrite(db: Database, without: Callable[[object], object]) -> None:
    """Row by row, of stages whose items are of many clips."""
    columns = ", ".join(_JSON_COLUMNS)
    last = ("", "")
    while True:
        sql = (
            f"SELECT stage, item_id, {columns}, message FROM items WHERE (stage, item_id) > (?, ?)"
            f" ORDER BY stage, item_id LIMIT {_AT_ONCE}"
        )
        rows = list(db.rows(sql, last, kinds="ttTTTT"))
        if not rows:
            return
        for stage, item_id, *texts in rows:
            last = (stage, item_id)
            found = [_text(db, text, without, item_id) for text in texts[:-1]]
            message = without(texts[-1]) if texts[-1] else texts[-1]
            if [*found, message] != texts:
                sets = ", ".join(f"{name} = ?" for name in (*_JSON_COLUMNS, "message"))
                db.write(f"UPDATE items SET {sets} WHERE stage = ? AND item_id = ?", (*found, message, stage, item_id))


def _text(db: Database, text: str | None, without: Callable[[object], object], item_id: str) -> str | None:
    if not text:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise damaged(db.path, f"what is noted of {item_id} is not JSON: {text!r:.60}") from None
    found = without(value)
    return text if found == value else json.dumps(found)
