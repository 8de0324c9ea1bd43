"""The texts that the keys of finished items are hashes of, put together by SQLite: a plan or a count of 100,000 items
compares them without making an object of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from avis_data.ledger.database import Database
from avis_data.ledger.rows import checked_item

__all__ = ["KeyText", "KeyTexts"]

_MOST_OUTPUTS = 4
"""Of what a stage left, so many are looked through for a name."""
_TABLES = {"wanted": "(SELECT item_id FROM wanted WHERE kind = 'clip')", "adopted": "adopted"}


class KeyText(NamedTuple):
    """A finished item, and what would be done now."""

    item_id: str
    key: str
    """With which it was made."""
    fact: str | None
    """Of the item, where one was asked for."""
    text: str | None
    """What, after the hash of its stage, its key would be the hash of now: its record, then its inputs.

    Only good for a yes. None, or another text than it was made from, says nothing: what is spelled otherwise may be
    the same, and whoever makes the item knows.
    """


class KeyTexts:
    """The open file, asked for texts. Methods raise as those of `Ledger`; all give the items by id."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of_sources(self, stage: str, fetch: str) -> Iterator[KeyText]:
        """Clips of the list that a stage finished, with a record of the `span` of the list and the `media` that the
        stage `fetch` found in the one file it left, which is the input `source`."""
        text = (
            "json_object('span', json_extract(w.record, '$.span'), 'media', json_extract(f.facts, '$.media'))"
            " || char(10) || 'source='"
            " || CASE json_array_length(f.outputs) WHEN 1 THEN json_extract(f.outputs, '$[0][1]') END"
        )
        sql = (
            f"SELECT w.item_id, e.key, NULL, {text} FROM wanted w"
            " JOIN items e ON e.stage = ? AND e.state = 'done' AND e.item_id = w.item_id"
            " JOIN items f ON f.stage = ? AND f.state = 'done'"
            " AND f.item_id = json_extract(w.record, '$.span.video_id') WHERE w.kind = 'clip' ORDER BY w.item_id"
        )
        return self._read(sql, stage, fetch)

    def of_clips(
        self,
        stage: str,
        table: Literal["wanted", "adopted"],
        before: str,
        *,
        facts: Sequence[str],
        inputs: Mapping[str, str],
        fact: str | None = None,
    ) -> Iterator[KeyText]:
        """Clips of the list, or of existing sets, that a stage finished.

        Args:
            stage: whose items have the ids of clips.
            table: which clips.
            before: the stage that their record and inputs are from.
            facts: of that one, in the order of the record, which has the id of the clip before them.
            inputs: names of inputs, and of the outputs of the stage before that they are.
            fact: of the item itself, which is text.
        """
        values = "".join(f", '{name}', json_extract(b.facts, '$.{name}')" for name in facts)
        hashes = "".join(f" || char(10) || '{name}=' || {_hash_of(inputs[name])}" for name in sorted(inputs))
        own = "NULL" if fact is None else f"json_extract(e.facts, '$.{fact}')"
        sql = (
            f"SELECT w.item_id, e.key, {own}, json_object('clip_id', w.item_id{values}){hashes}"
            f" FROM {_TABLES[table]} w"
            " JOIN items e ON e.stage = ? AND e.state = 'done' AND e.item_id = w.item_id"
            " JOIN items b ON b.stage = ? AND b.state = 'done' AND b.item_id = w.item_id ORDER BY w.item_id"
        )
        return self._read(sql, stage, before, kinds="ttTT" if fact is None else "tttT")

    def _read(self, sql: str, stage: str, before: str, *, kinds: str = "ttTT") -> Iterator[KeyText]:
        for item_id, key, fact, text in self._db.rows(sql, (stage, before), kinds=kinds):
            yield KeyText(checked_item(item_id, self._db.path), key, fact, text)


def _hash_of(name: str) -> str:
    """SQL for the hash of the output of that name among those of `b`."""
    places = range(_MOST_OUTPUTS)
    ends = (f"substr(json_extract(b.outputs, '$[{place}][0]'), -{len(name) + 1})" for place in places)
    cases = (f"WHEN {end} THEN json_extract(b.outputs, '$[{n}][1]')" for n, end in zip(places, ends, strict=True))
    return f"CASE '/{name}' {' '.join(cases)} END"
