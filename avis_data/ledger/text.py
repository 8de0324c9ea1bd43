"""The ledger as text, `manifest/ledger.jsonl`: written from it, and read when it must be made anew.

A line for each row but those of runs. Times of day, costs and messages are left out, so the same work gives the same
text. Of downloads the key, the inputs and the facts are left out too: they speak of addresses, of files elsewhere and
of days; `manifest/videos.jsonl` has the facts, and the list gives the rest.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from avis_data import __version__
from avis_data.errors import Reason
from avis_data.ledger.database import COLUMNS, Database, damaged
from avis_data.ledger.rows import is_inside
from avis_data.records import Record, SafeId

__all__ = [
    "KeptItem",
    "KeptLine",
    "KeptRecord",
    "KeptSetting",
    "all_rows",
    "read_text",
    "rows_left",
    "text_lines",
    "write_ledger",
]

DOWNLOADS = "fetch"
_LOST = "the message was lost with the ledger; --retry-failed tries it again"


KeptOutput = tuple[str, str, int, int] | tuple[str, str, int, int, str, str]


class KeptItem(Record):
    """What became of an item of a stage."""

    table: Literal["items"] = "items"
    stage: str
    item_id: SafeId
    state: Literal["done", "failed", "replacing"]
    reason: Reason | None = None
    key: str | None = None
    facts: dict[str, JsonValue] | None = None
    inputs: dict[str, str] | None = None
    outputs: tuple[KeptOutput, ...] = Field(
        description="Path, hash, size, time of change (0: unknown); of what is in a bucket also key and ETag."
    )
    message: str | None = None
    attempts: int = 1
    wall_s: float = 0.0
    cpu_s: float = 0.0
    finished_at: str = ""
    version: str = __version__


class KeptRecord(Record):
    """A clip or a video that the list asks for, or a clip of an existing set."""

    table: Literal["wanted", "adopted"]
    kind: Literal["video", "clip"] | None = None
    item_id: SafeId
    record: str


class KeptSetting(Record):
    """A value of the workspace."""

    table: Literal["settings"] = "settings"
    name: str
    value: str


KeptLine = Annotated[KeptItem | KeptRecord | KeptSetting, Field(discriminator="table")]
_LINE: TypeAdapter[KeptItem | KeptRecord | KeptSetting] = TypeAdapter(KeptLine)

_ITEMS = (
    "SELECT json_object('table', 'items', 'stage', stage, 'item_id', item_id, 'state', state, 'reason', reason,"
    " {of_it} 'outputs', (SELECT json_group_array(json_set(value, '$[3]', 0)) FROM json_each(outputs)))"
    " FROM items WHERE stage {which} ORDER BY stage, item_id"
)
_OF_IT = "'key', key, 'inputs', json(inputs), 'facts', json(facts),"


def text_lines(db: Database, stages: Collection[str] | None, *, without: Collection[str]) -> Iterator[str]:
    """The lines of the text, sorted.

    Args:
        db: the open file.
        stages: whose items stand in it; None: all.
        without: names of settings that are left out.
    """
    chosen = None if stages is None else sorted(stages)
    if chosen is None or DOWNLOADS in chosen:
        yield from _lines(db, _ITEMS.format(of_it="", which="= ?"), (DOWNLOADS,))
    others = "!= ?" if chosen is None else f"!= ? AND stage IN ({', '.join('?' * len(chosen))})"
    yield from _lines(db, _ITEMS.format(of_it=_OF_IT, which=others), (DOWNLOADS, *(chosen or ())))
    of_a_row = "'item_id', item_id, 'record', record)"
    yield from _lines(
        db, f"SELECT json_object('table', 'wanted', 'kind', kind, {of_a_row} FROM wanted ORDER BY kind, item_id"
    )
    yield from _lines(db, f"SELECT json_object('table', 'adopted', {of_a_row} FROM adopted ORDER BY item_id")
    settings = "SELECT json_object('table', 'settings', 'name', name, 'value', value), name FROM settings ORDER BY name"
    yield from (text for text, name in db.rows(settings, kinds="tt") if name not in without)


def _lines(db: Database, sql: str, values: tuple[str, ...] = ()) -> Iterator[str]:
    yield from (text for (text,) in db.rows(sql, values, kinds="t"))


def read_text(path: Path) -> Iterator[tuple[int, KeptItem | KeptRecord | KeptSetting | None]]:
    """The lines of the text by their numbers, None for one that is damaged; nothing where there is no file."""
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            yield number, _parsed(line)


def rows_left(path: Path) -> list[KeptItem | KeptRecord | KeptSetting]:
    """The rows that can still be read in a damaged ledger, from both ends of each table.

    Args:
        path: a copy, with its `-wal` beside it: SQLite writes into what it opens.
    """
    found: list[KeptItem | KeptRecord | KeptSetting] = []
    try:
        with closing(sqlite3.connect(path)) as db:
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            for table, key in (("items", 2), ("wanted", 2), ("adopted", 1), ("settings", 1)):
                names = COLUMNS[table].split()
                rows = {row[:key]: row for row in _readable(db, table, names, key)}
                made = (_from_row(table, dict(zip(names, row, strict=True))) for row in rows.values())
                found += [line for line in made if line is not None]
    except (sqlite3.Error, UnicodeDecodeError):
        pass  # nothing more can be read
    return found


def all_rows(db: Database) -> Iterator[KeptItem | KeptRecord | KeptSetting]:
    """Every row but those of runs, whole. Raises DataError at the first that holds something else."""
    kinds = {"items": "ttttTTTTTiinntt", "wanted": "ttt", "adopted": "tt", "settings": "tt"}
    for table, of_table in kinds.items():
        names = COLUMNS[table].split()
        for row in db.rows(f"SELECT {', '.join(names)} FROM {table} ORDER BY 1, 2", kinds=of_table):
            line = _from_row(table, dict(zip(names, row, strict=True)))
            if line is None:
                raise damaged(db.path, f"{table}: a row of {row[0]!r:.80} holds something else")
            yield line


def write_ledger(path: Path, lines: Iterable[KeptItem | KeptRecord | KeptSetting]) -> None:
    """Make a ledger that holds these rows. Raises as `Ledger`."""
    rows: dict[str, list[tuple[object, ...]]] = {"items": [], "wanted": [], "adopted": [], "settings": []}
    for line in lines:
        rows[line.table].append(_row(line))
    db = Database(path, read_only=False)
    try:
        with db.transaction():
            for table, found in rows.items():
                marks = ", ".join("?" * len(COLUMNS[table].split()))
                db.write_many(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", found)
    finally:
        db.close()


def _parsed(line: bytes) -> KeptItem | KeptRecord | KeptSetting | None:
    try:
        found = _LINE.validate_json(line)
    except (ValidationError, ValueError):
        return None
    return None if isinstance(found, KeptItem) and not all(is_inside(path) for path in _paths(found)) else found


def _paths(item: KeptItem) -> list[str]:
    """All that are paths in what it left, keys of objects included."""
    return [path for output in item.outputs for path in (output[0], *output[4:5])]


def _readable(db: sqlite3.Connection, table: str, names: list[str], key: int) -> Iterator[tuple[Any, ...]]:
    for order in ("ASC", "DESC"):
        sorting = ", ".join(f"{name} {order}" for name in names[:key])
        try:
            yield from db.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {sorting}")
        except (sqlite3.Error, UnicodeDecodeError):
            continue


def _from_row(table: str, row: dict[str, Any]) -> KeptItem | KeptRecord | KeptSetting | None:
    try:
        if table == "items":
            row = {name: value for name, value in row.items() if name != "size_bytes"}
            for name in ("facts", "inputs", "outputs"):
                row[name] = None if row[name] is None else json.loads(row[name])
        return _parsed(json.dumps({"table": table, **row}).encode())
    except (ValueError, TypeError, RecursionError):
        return None


def _row(line: KeptItem | KeptRecord | KeptSetting) -> tuple[object, ...]:
    if isinstance(line, KeptSetting):
        return (line.name, line.value)
    if isinstance(line, KeptRecord):
        return (line.kind, line.item_id, line.record) if line.table == "wanted" else (line.item_id, line.record)
    message = line.message or (_LOST if line.state == "failed" else None)
    facts = json.dumps(line.facts) if line.facts is not None else None
    size_bytes = sum(output[2] for output in line.outputs)
    return (
        *(line.stage, line.item_id, line.key or "", line.state, line.reason, message, facts),
        *(json.dumps(line.inputs or {}), json.dumps(line.outputs), size_bytes, line.attempts),
        *(line.wall_s, line.cpu_s, line.finished_at, line.version),
    )
