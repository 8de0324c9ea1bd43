"""An open ledger, with a method for each question that is asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from avis_data import __version__
from avis_data.io import write_lines
from avis_data.ledger.database import Database, damaged, forget
from avis_data.ledger.key_texts import KeyTexts
from avis_data.ledger.rows import (
    Done,
    Entry,
    Failed,
    Lookup,
    Made,
    Output,
    RunInfo,
    checked_item,
    inputs_of,
    outputs_of,
    parsed,
    reason_of,
    state_of,
)
from avis_data.ledger.tallies import Left, Tallies
from avis_data.ledger.text import KeptItem, KeptRecord, KeptSetting, all_rows, text_lines

if TYPE_CHECKING:
    from avis_data.records import Record

__all__ = ["Ledger"]

_TEXT = "text"
"""A setting: there is a text of the ledger in which all that is here stands too."""

Facts = TypeVar("Facts", bound="Record")
Row = TypeVar("Row")


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
            DataError: if the file is no ledger or lacks a table, or the workspace is of another format than this
                version's. Every other method, too, raises it where the file is damaged, with the row.
            ToolError: if it cannot be opened: no rights, a full disk, in use for too long. Every other method, too.
        """
        self._path = path
        self._db = Database(path, read_only=read_only)
        self.tallies = Tallies(self._db)
        """How much of what there is."""
        self.key_texts = KeyTexts(self._db)
        """What finished items would be made from now."""
        self.left = Left(self._db)
        """What is on disk, over all stages."""
        self._has_text: bool | None = None
        """None: not asked yet."""

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
        outputs = json.dumps([output.values() for output in done.outputs])
        with self._changing():
            self._write_item(stage, done, ("done", None, None, json.dumps(done.facts), outputs, size_bytes))

    def commit_failed(self, stage: str, failed: Failed) -> None:
        """Record one failed item; outputs of an earlier success stay on disk but no longer count."""
        with self._changing():
            self._write_item(stage, failed, ("failed", failed.reason.value, failed.message, None, "[]", 0))

    def begin_replacing(self, stage: str, item_id: str) -> None:
        """Say that finished outputs are about to be replaced: a kill half-way then leaves no item that looks done."""
        with self._changing():
            self._db.write(
                "UPDATE items SET state = 'replacing' WHERE stage = ? AND item_id = ? AND state = 'done'",
                (stage, item_id),
            )

    def replace_wanted(self, videos: Iterable[str], clips: Iterable[tuple[str, str]]) -> None:
        """Remember which videos and clips the list asks for: ids, and for clips their record as JSON.

        Addresses are left out on purpose: they may carry passwords or signatures.
        """
        with self._changing():
            self._db.write("DELETE FROM wanted")
            self._db.write_many("INSERT INTO wanted VALUES ('video', ?, '')", ((video_id,) for video_id in videos))
            self._db.write_many("INSERT INTO wanted VALUES ('clip', ?, ?)", clips)

    def wanted(self, kind: Literal["video", "clip"]) -> Iterator[tuple[str, str]]:
        """Id and record (JSON text; empty for videos) of all that the list asks for, by id."""
        sql = "SELECT item_id, record FROM wanted WHERE kind = ? ORDER BY item_id"
        for item_id, record in self._db.rows(sql, (kind,), kinds="tt"):
            yield checked_item(item_id, self._path), record

    def read_wanted(self, parse: Callable[[str], Row]) -> Iterator[tuple[str, Row]]:
        """Id and row of every clip that the list asks for, by id; `parse` raises ValueError for what is no such row."""
        for clip_id, text in self.wanted("clip"):
            yield clip_id, parsed(parse, text, f"row of the list of {clip_id}", self._path)

    def wanted_sources(self, fetch: str) -> Iterator[tuple[str, str, Made | None]]:
        """Clip id, span (JSON text), and what the stage `fetch` made of its video, of every clip of the list, by id.

        Of the video's facts only `media`, `null` where it has none; nothing is parsed. None: it is not there.
        """
        sql = (
            "SELECT w.item_id, json_extract(w.record, '$.span'), f.item_id, json_extract(f.facts, '$.media'), f.outputs"
            " FROM wanted w LEFT JOIN items f ON f.stage = ? AND f.state = 'done'"
            " AND f.item_id = json_extract(w.record, '$.span.video_id') WHERE w.kind = 'clip' ORDER BY w.item_id"
        )
        for clip_id, span, video_id, media, left in self._db.rows(sql, (fetch,), kinds="ttTTT"):
            source = None if video_id is None else Made(video_id, media or "null", left or "null", self._path)
            yield checked_item(clip_id, self._path), span, source

    def wanted_made(self, stage: str, *facts: str) -> Iterator[tuple[str, Made | None]]:
        """Every clip of the list, by id, with what a stage made of it; None where that is not there.

        Args:
            stage: whose items have the ids of clips.
            facts: names of which facts are given, as a JSON list in this order; all, as an object, where none is named.
        """
        yield from self._made_of("(SELECT item_id FROM wanted WHERE kind = 'clip')", stage, facts)

    def adopted_made(self, stage: str, *facts: str) -> Iterator[tuple[str, Made | None]]:
        """The same of every clip that comes from an existing set."""
        yield from self._made_of("adopted", stage, facts)

    def _made_of(self, table: str, stage: str, facts: Sequence[str]) -> Iterator[tuple[str, Made | None]]:
        paths = "".join(f", '$.{name}'" for name in facts)
        sql = (
            f"SELECT w.item_id, i.item_id, {f'json_extract(i.facts{paths})' if facts else 'i.facts'}, i.outputs"
            f" FROM {table} w LEFT JOIN items i ON i.stage = ? AND i.state = 'done' AND i.item_id = w.item_id"
            " ORDER BY w.item_id"
        )
        for clip_id, made, found, left in self._db.rows(sql, (stage,), kinds="tTTT"):
            checked_item(clip_id, self._path)
            yield clip_id, None if made is None else Made(clip_id, found or "null", left or "null", self._path)

    def adopt(self, records: Iterable[tuple[str, str]]) -> None:
        """Remember clips that come from an existing set: ids, and records as JSON. No list makes them unwanted."""
        with self._changing():
            self._db.write_many("INSERT OR REPLACE INTO adopted VALUES (?, ?)", records)

    def adopted(self) -> Iterator[tuple[str, str]]:
        """Id and record (JSON text) of every clip that comes from an existing set, by id."""
        for item_id, record in self._db.rows("SELECT item_id, record FROM adopted ORDER BY item_id", kinds="tt"):
            yield checked_item(item_id, self._path), record

    def read_adopted(self, kind: type[Facts]) -> Iterator[tuple[str, Facts]]:
        """Id and record of every clip that comes from an existing set, by id."""
        for item_id, text in self.adopted():
            yield item_id, parsed(kind.model_validate_json, text, f"record of the adopted {item_id}", self._path)

    def set(self, name: str, value: str) -> None:
        """Remember one value of the workspace, as where its list came from."""
        with self._changing():
            self._db.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def get(self, name: str) -> str | None:
        """A value that `set` remembered."""
        rows = self._db.rows("SELECT name, value FROM settings WHERE name = ?", (name,), kinds="tt")
        return next((value for _, value in rows), None)

    def drop(self, stage: str, item_id: str) -> None:
        """Forget one item of a stage: what it had made is not there any more."""
        self._db.write("DELETE FROM items WHERE stage = ? AND item_id = ?", (stage, item_id))

    def set_keys(self, keys: Mapping[tuple[str, str], str]) -> None:
        """Give items other keys, by stage and id: what they are made from is the same, and has another name."""
        with self._changing():
            rows = ((key, stage, item_id) for (stage, item_id), key in keys.items())
            self._db.write_many("UPDATE items SET key = ? WHERE stage = ? AND item_id = ?", rows)

    def forget(self, is_gone: Callable[[str], bool], without: Callable[[object], object]) -> None:
        """Take all that is known of some videos and clips out of the file, its unused pages and its journal too.

        Args:
            is_gone: whether an id is one of them.
            without: a JSON value without what it says of them; the same object where it says nothing.
        """
        with self._changing():
            pass  # first: a text that still holds them is not the newest
        forget(self._db, is_gone, without)

    def entries(self, stage: str) -> dict[str, Entry]:
        """Everything known of a stage's items, by item id."""
        return dict(self._entries_from(stage, ""))

    def entry_lookup(self, stage: str) -> Lookup[Entry]:
        """What is known of a stage's items, one by one; while it is used nothing is written."""
        return Lookup(lambda item_id: self._entries_from(stage, item_id))

    def key_lookup(self, stage: str) -> Lookup[str]:
        """The key with which a finished item of a stage was made; while it is used nothing is written."""
        return Lookup(lambda item_id: self._done(stage, "key", item_id))

    def _entries_from(self, stage: str, first: str) -> Iterator[tuple[str, Entry]]:
        sql = (
            "SELECT item_id, key, state, reason, message, attempts, outputs FROM items"
            " WHERE stage = ? AND item_id >= ? ORDER BY item_id"
        )
        rows = self._db.rows(sql, (stage, first), kinds="tttTTit")
        for item_id, key, state, reason, message, attempts, left in rows:
            yield (
                item_id,
                Entry(
                    checked_item(item_id, self._path),
                    key,
                    state_of(state, item_id, self._path),
                    reason_of(reason, item_id, self._path),
                    message,
                    attempts,
                    left,
                    self._path,
                ),
            )

    def done_keys(self, stage: str) -> dict[str, str]:
        """The key with which every finished item of a stage was made, by item id."""
        return dict(self._done(stage, "key"))

    def facts(self, stage: str) -> Iterator[tuple[str, str]]:
        """Item id and facts (JSON text, as records parse it fastest) of every finished item of a stage, by id."""
        yield from self._done(stage, "facts")

    def read_facts(self, stage: str, kind: type[Facts]) -> Iterator[tuple[str, Facts]]:
        """Item id and facts, as the record that the stage gives, of every finished item of a stage, by id."""
        for item_id, text in self.facts(stage):
            yield item_id, parsed(kind.model_validate_json, text, f"facts of {stage} of {item_id}", self._path)

    def outputs(self, stage: str) -> dict[str, list[Output]]:
        """What every finished item of a stage left on disk, by item id."""
        return {item_id: outputs_of(text, item_id, self._path) for item_id, text in self._done(stage, "outputs")}

    def set_outputs(self, stage: str, item_id: str, outputs: Iterable[Output]) -> None:
        """Say where what a finished item left is now; its bytes are the same."""
        text = json.dumps([output.values() for output in outputs])
        with self._changing():
            self._db.write("UPDATE items SET outputs = ? WHERE stage = ? AND item_id = ?", (text, stage, item_id))

    def only_output(self, stage: str) -> dict[str, Output]:
        """The one file that every finished item of a stage left, by item id; for stages that leave one."""
        found = {}
        for item_id, left in self.outputs(stage).items():
            if len(left) != 1:
                raise damaged(self._path, f"{stage} of {item_id} left {len(left)} files, not one")
            found[item_id] = left[0]
        return found

    def named_outputs(self, stage: str, *names: str) -> dict[str, dict[str, Output]]:
        """What every finished item of a stage left, by item id and name; `names` are those that must be there."""
        found = {}
        for item_id, left in self.outputs(stage).items():
            found[item_id] = {output.name: output for output in left}
            missing = [name for name in names if name not in found[item_id]]
            if missing:
                raise damaged(self._path, f"{stage} of {item_id} left no {missing[0]}")
        return found

    def inputs(self, stage: str) -> dict[str, dict[str, str]]:
        """The inputs that every finished item of a stage was made from, by item id: name to sha256."""
        return {item_id: inputs_of(text, item_id, self._path) for item_id, text in self._done(stage, "inputs")}

    def start_run(self, command: str, pid: int) -> int:
        """Note that a command begins; gives the id for `finish_run`."""
        with self._db.transaction():
            return self._db.write(
                "INSERT INTO runs (command, version, pid, started_at) VALUES (?, ?, ?, ?)",
                (command, __version__, pid, _now()),
            )

    def finish_run(self, run_id: int, outcome: str) -> None:
        """Note how a command ended."""
        self._db.write("UPDATE runs SET finished_at = ?, outcome = ? WHERE run_id = ?", (_now(), outcome, run_id))

    def latest_run(self) -> RunInfo | None:
        """The command that was started last."""
        rows = self._db.rows("SELECT command, pid, started_at FROM runs ORDER BY run_id DESC LIMIT 1", kinds="tit")
        return next((RunInfo(command=command, pid=pid, started_at=at) for command, pid, at in rows), None)

    @property
    def has_text(self) -> bool:
        """True if nothing was written since `keep_text`."""
        if self._has_text is None:
            self._has_text = self.get(_TEXT) is not None
        return self._has_text

    def keep_text(self, path: Path, stages: Collection[str]) -> None:
        """Write the ledger as text, of which `doctor` makes it anew: what was done and wanted, without times of day.

        The same work gives the same bytes. See `avis_data.ledger.text`.

        Args:
            path: of the file.
            stages: whose items stand in it.
        """
        write_lines(path, self.as_text(stages))
        with self._db.transaction():
            self._db.write("INSERT OR REPLACE INTO settings VALUES (?, '')", (_TEXT,))
        self._has_text = True

    def as_text(self, stages: Collection[str]) -> Iterator[str]:
        """The lines that `keep_text` writes."""
        return text_lines(self._db, stages, without={_TEXT})

    def rows(self) -> Iterator[KeptItem | KeptRecord | KeptSetting]:
        """Every row but those of runs, as `text.write_ledger` takes them. Raises DataError for a damaged one."""
        yield from all_rows(self._db)

    def check(self) -> None:
        """Read the whole file, and every row of it. Raises DataError at the first damage."""
        self._db.check()
        for (stage,) in list(self._db.rows("SELECT DISTINCT stage FROM items", kinds="t")):
            self.inputs(stage)
            for entry in self.entries(stage).values():
                entry.outputs()
        for _ in text_lines(self._db, None, without=()):
            pass  # which fails where a row holds no JSON
        self.latest_run()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction after which the text is not what is here any more."""
        with self._db.transaction():
            if self.has_text:
                self._db.write("DELETE FROM settings WHERE name = ?", (_TEXT,))
            yield
        self._has_text = False

    def _done(
        self, stage: str, column: Literal["key", "facts", "inputs", "outputs"], first: str = ""
    ) -> Iterator[tuple[str, str]]:
        """Item id and one column of every finished item of a stage, by id, from an id on."""
        sql = (
            f"SELECT item_id, {column} FROM items WHERE stage = ? AND item_id >= ? AND state = 'done' ORDER BY item_id"
        )
        for item_id, text in self._db.rows(sql, (stage, first), kinds="tt"):
            yield checked_item(item_id, self._path), text

    def _write_item(self, stage: str, result: Done | Failed, ended: Sequence[str | int | None]) -> None:
        """`ended`: state, reason, message, facts, outputs, size of the outputs."""
        state, reason, message, facts, outputs, size_bytes = ended
        self._db.write(
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
