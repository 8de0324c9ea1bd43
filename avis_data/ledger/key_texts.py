"""The texts that the keys of finished items are hashes of, put together by SQLite: a plan or a count of 100,000 items
compares them without making an object of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple

from avis_data.ledger.database import Database
from avis_data.ledger.rows import checked_item

__all__ = ["FinishedItem", "KeyText", "KeyTexts"]

_MOST_OUTPUTS = 4
"""Of what a stage left, so many are looked through for a name."""
_NO_FACT = "NULL"
_NUMBERS = count()
_TABLES = {"wanted": "(SELECT item_id FROM wanted WHERE kind = 'clip')", "adopted": "adopted"}


class FinishedItem(NamedTuple):
    """An item that a stage finished."""

    item_id: str
    key: str
    """With which it was made."""
    fact: str | None
    """Of the item, where one was asked for."""


IsNow = Callable[[str, str | None, str], bool]
"""Whether a key is the one of now, by the key, the fact of the item, and its text (see `KeyText.text`)."""


@dataclass(frozen=True, kw_only=True)
class KeyText:
    """Items that a stage finished, and of each the text of which its key would be the hash if it were made now.

    Nothing is read before it is asked for; items come by id. Methods raise as those of `Ledger`.
    """

    db: Database
    fact: str
    """SQL, as the next two; `NULL` where none is asked for, else it is text."""
    text: str
    """What follows the hash of the stage in what is hashed: the record, then the inputs.

    Only good for a yes. Null, or another text than an item was made from, says nothing: what is spelled otherwise may
    be the same, and whoever makes the item knows.
    """
    tables: str
    values: tuple[str, ...]
    """For its question marks."""

    def told(self, is_now: IsNow) -> Iterator[tuple[FinishedItem, bool]]:
        """All items, and whether their text tells that they are what would be made now."""
        sql = f"SELECT w.item_id, e.key, {self.fact}, {self.text} {self.tables} ORDER BY w.item_id"
        kinds = "ttTT" if self.fact == _NO_FACT else "tttT"
        for item_id, key, fact, text in self.db.rows(sql, self.values, kinds=kinds):
            found = FinishedItem(checked_item(item_id, self.db.path), key, fact)
            yield found, text is not None and is_now(key, fact, text)

    def count(self, is_now: IsNow) -> tuple[int, int]:
        """How many items there are, and of how many their text tells it. SQLite asks, which costs half as much."""
        raised: list[BaseException] = []

        def asked(key: object, fact: object, text: object) -> bool:
            if raised or not isinstance(key, str) or not isinstance(text, str):
                return False  # what is wrong with a row `told` says
            if (fact is None) != (self.fact == _NO_FACT) or not isinstance(fact, str | None):
                return False
            try:
                return is_now(key, fact, text)
            except BaseException as error:  # Ctrl-C too: SQLite would tell of it as of a damaged file
                raised.append(error)
                return False

        name = f"is_now_{next(_NUMBERS)}"  # SQLite changes no function while a query is half read
        self.db.function(name, asked, num_arguments=3)
        sql = f"SELECT 'items', count(*), total({name}(e.key, {self.fact}, {self.text})) {self.tables}"
        ((_, there, told),) = self.db.rows(sql, self.values, kinds="tin")
        if raised:
            raise raised[0]
        return there, round(told)


class KeyTexts:
    """The open file, asked for the texts of items of several kinds."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of_sources(self, stage: str, fetch: str) -> KeyText:
        """Clips of the list that a stage finished, with a record of the `span` of the list and the `media` that the
        stage `fetch` found in the one file it left, which is the input `source`."""
        text = (
            "json_object('span', json_extract(w.record, '$.span'), 'media', json_extract(f.facts, '$.media'))"
            " || char(10) || 'source='"
            " || CASE json_array_length(f.outputs) WHEN 1 THEN json_extract(f.outputs, '$[0][1]') END"
        )
        tables = (
            "FROM wanted w JOIN items e ON e.stage = ? AND e.state = 'done' AND e.item_id = w.item_id"
            " JOIN items f ON f.stage = ? AND f.state = 'done'"
            " AND f.item_id = json_extract(w.record, '$.span.video_id') WHERE w.kind = 'clip'"
        )
        return KeyText(db=self._db, fact=_NO_FACT, text=text, tables=tables, values=(stage, fetch))

    def of_clips(
        self,
        stage: str,
        table: Literal["wanted", "adopted"],
        before: str,
        *,
        facts: Sequence[str],
        inputs: Mapping[str, str],
        fact: str | None = None,
    ) -> KeyText:
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
        tables = (
            f"FROM {_TABLES[table]} w"
            " JOIN items e ON e.stage = ? AND e.state = 'done' AND e.item_id = w.item_id"
            " JOIN items b ON b.stage = ? AND b.state = 'done' AND b.item_id = w.item_id WHERE TRUE"
        )
        return KeyText(
            db=self._db,
            fact=_NO_FACT if fact is None else f"json_extract(e.facts, '$.{fact}')",
            text=f"json_object('clip_id', w.item_id{values}){hashes}",
            tables=tables,
            values=(stage, before),
        )


def _hash_of(name: str) -> str:
    """SQL for the hash of the output of that name among those of `b`."""
    places = range(_MOST_OUTPUTS)
    ends = (f"substr(json_extract(b.outputs, '$[{place}][0]'), -{len(name) + 1})" for place in places)
    cases = (f"WHEN {end} THEN json_extract(b.outputs, '$[{n}][1]')" for n, end in zip(places, ends, strict=True))
    return f"CASE '/{name}' {' '.join(cases)} END"
