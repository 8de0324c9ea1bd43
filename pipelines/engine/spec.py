"""What a stage's file ends in: how the stage is made, where its items come from, and how it is planned and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from avis_data.errors import ItemError
from avis_data.ledger import FinishedItem, KeyText, Ledger, RowKind
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Item, Stage, has_key, has_key_text, stage_key
from avis_data.recipe import Recipe
from avis_data.records import Record

__all__ = ["Candidates", "Choices", "Current", "RowKind", "Setting", "StageSpec", "made_as_now"]

Chosen = TypeVar("Chosen")


class Choices:
    """What a person says beyond the recipe, at most one object of each kind; a stage asks for the kind it knows."""

    def __init__(self, *chosen: object) -> None:
        self._chosen: dict[type, object] = {type(one): one for one in chosen}

    def of(self, kind: type[Chosen]) -> Chosen:
        """The object of that kind; where none was given, one with its defaults, always the same."""
        found = self._chosen.setdefault(kind, kind())
        assert isinstance(found, kind)
        return found


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the items of a stage are looked for."""

    workspace: Workspace
    ledger: Ledger
    recipe: Recipe
    choices: Choices = field(default_factory=Choices)
    dry_run: bool = False
    """Nothing may be changed."""


@dataclass(kw_only=True)
class Candidates:
    """The items that a stage could do now, and what became of the others."""

    items: Iterable[Item] = ()
    """Mostly made while they are looked at, once: of a large dataset they are never held together."""
    num_waiting: int = 0
    """So many wait for the stage before; known when all items were looked at."""
    nothing_to_do: dict[str, str] = field(default_factory=dict)
    """Item id to why there is nothing to do for it, as `nothing drawn`; that is no failure."""
    unreadable: dict[str, ItemError] = field(default_factory=dict)
    """Items that cannot even be made, as a file that they come from is damaged: they fail at once."""


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """All that the planner, `status` and the command line know of a stage."""

    name: str
    """What the ledger and the command call it."""
    summary: str
    """What the command does, in one sentence."""
    make: Callable[[Recipe, Choices], Stage]
    """The stage, with its parameters from the recipe. Raises AvisError where it cannot be done at all."""
    facts: type[Record] = Record
    """What a run of it gives."""
    items: Callable[[Setting], Candidates] | None = None
    """None: its items are made by another command."""
    covers: tuple[RowKind, ...] = ()
    """An item for each row of these kinds; `status` shows the stages that have some."""
    every_row: bool = True
    """False: only some of the rows have an item, so `status` counts those that were tried."""
    after: tuple[str, ...] = ()
    """Stages that its items are made from; they run before it."""
    then: tuple[StageSpec, ...] = ()
    """What the same command does next, always: steps that nobody asks for by name."""
    usual: bool = False
    """Part of the way from a list to a dataset: `avis-data run` does it, and `status` always shows it."""
    up_to_date: Callable[[Ledger, Recipe], Current | Iterator[str]] | None = None
    """Which finished items are what would be made now; from the ledger alone. None: all."""
    check: Callable[[Setting], None] | None = None
    """Raises AvisError where the items cannot be found; before the folder is made a workspace."""
    workers: int | None = None
    """How many at once where nobody says; None: one for each core."""

    @property
    def parts(self) -> tuple[StageSpec, ...]:
        """The stage and what follows it always."""
        return (self, *self.then)


def made_as_now(ledger: Ledger, stage: Stage, items: Iterable[Item]) -> Iterator[str]:
    """Those of the items that are finished, and were made by this very stage from what they are made from now.

    Only the ledger is read; whether the files are as they were left is for the planner and the export to see.
    """
    keys, stage_hash = ledger.key_lookup(stage.name), stage_key(stage)
    for item in items:
        key = keys.get(item.item_id)
        if key is not None and has_key(stage_hash, item, key):
            yield item.item_id


@dataclass(frozen=True, kw_only=True)
class Current:
    """What `made_as_now` gives, without an object for each item: items are made only from the first on of which the
    ledger's text does not tell that it is what would be made now.

    Iterating gives the ids; `count` costs half as much where all are current.
    """

    parts: Sequence[tuple[KeyText, Callable[[], Iterable[Item]]]]
    """Finished items, and what makes them all; both by id."""
    stage_hash: Callable[[str | None], str]
    """With which an item would be made now, by the fact of it that the ledger was asked for. Does not raise."""

    def __iter__(self) -> Iterator[str]:
        for texts, items in self.parts:
            made = _Made(items)
            for found, is_told in texts.told(self._is_now):
                if is_told or made.has_key(found, self.stage_hash(found.fact)):
                    yield found.item_id

    def count(self) -> int:
        """How many they are."""
        counts = [texts.count(self._is_now) for texts, _ in self.parts]
        if all(told == there for there, told in counts):
            return sum(told for _, told in counts)
        return sum(1 for _ in self)

    def _is_now(self, key: str, fact: str | None, text: str) -> bool:
        return has_key_text(self.stage_hash(fact), text, key)


class _Made:
    """Items, made when the first one is asked for, and then one after the other."""

    def __init__(self, items: Callable[[], Iterable[Item]]) -> None:
        self._items = items
        self._waiting: Iterator[Item] | None = None
        self._item: Item | None = None

    def has_key(self, found: FinishedItem, stage_hash: str) -> bool:
        """Whether an item has the key that it would have now. Those that are asked for come by id."""
        if self._waiting is None:
            self._waiting = iter(self._items())
            self._item = next(self._waiting, None)
        while self._item is not None and self._item.item_id < found.item_id:
            self._item = next(self._waiting, None)
        item = self._item
        return item is not None and item.item_id == found.item_id and has_key(stage_hash, item, found.key)
