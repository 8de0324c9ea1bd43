"""What a stage is: one item in, files in a folder and a few facts out. It knows neither ledger nor executor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from avis_data.errors import DataError
from avis_data.io import canonical_json, sha256_text
from avis_data.ledger import REPAIR, Output
from avis_data.records import Record

__all__ = [
    "Input",
    "Item",
    "Prepared",
    "RecordText",
    "Stage",
    "Workbench",
    "has_key",
    "has_key_text",
    "item_key",
    "params_key",
    "stage_key",
]


class Input(NamedTuple):
    """A file or folder that an item is made from. (A named tuple, as plans look at 100,000s.)"""

    path: str
    """Relative to the workspace; absolute where it lies outside."""
    sha256: str
    """Hash of the file, or of the tree (`io.sha256_tree`); outside the workspace, of names, sizes and times of
    change."""
    mtime_ns: int | None = None
    """When it was last changed, as the ledger knows it: where the disk says otherwise, it is hashed before use."""
    key: str = ""
    """Of its object in the workspace's bucket; empty: it lies on the disk alone."""

    @staticmethod
    def of(output: Output) -> Input:
        """What an earlier stage left."""
        return Input(output.path, output.sha256, output.mtime_ns, output.key)


class RecordText(NamedTuple):
    """A record as the ledger's own JSON text, without spaces: parsed only where it differs from what was done, or is
    worked on. Plans look at hundreds of thousands."""

    kind: type[Record]
    text: str

    @staticmethod
    def of_clip(kind: type[Record], clip_id: str, names: Sequence[str], values: str) -> RecordText:
        """The record of a clip: its id, then fields in the order of the record.

        Args:
            kind: of record.
            clip_id: the clip's id.
            names: of the fields.
            values: of these, as a JSON list as the ledger has it: numbers, and at the end anything.
        """
        said = zip(names, values[1:-1].split(",", len(names) - 1), strict=False)  # what is missing, the parser tells
        return RecordText(kind, f'{{"clip_id":"{clip_id}",' + ",".join(f'"{n}":{value}' for n, value in said) + "}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One piece of work for a stage."""

    item_id: str
    record: Record | RecordText
    """All that the result depends on besides the stage's parameters and the inputs."""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    home: str
    """Folder, relative to the workspace, that the outputs are moved into."""
    logs: Mapping[str, str] = field(default_factory=dict)
    """Files that are no outputs: name in `out` to the file of the workspace that its lines are appended to.

    That is done before the outputs are moved; after a kill in between the lines are there twice.
    """
    secret: str | None = field(default=None, repr=False)
    """What only the work needs, as a signed address: not part of the key, and recorded nowhere."""

    def parsed_record(self) -> Record:
        """The record itself. Raises DataError if the ledger's text, of which it was made, is none."""
        if not isinstance(self.record, RecordText):
            return self.record
        try:
            return self.record.kind.model_validate_json(self.record.text)
        except ValueError as error:
            fault = str(error).splitlines()[0]
            raise DataError(f"the ledger is damaged: what it says of {self.item_id}: {fault}", hint=REPAIR) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Workbench:
    """What a stage is given for one item."""

    item_id: str
    record: Record
    inputs: Mapping[str, Path]
    """Absolute paths, read only."""
    out: Path
    """An empty folder. What the stage leaves at its top level becomes the item's outputs."""
    scratch: Path
    """A folder that survives a failed or killed try of this item, for partial downloads."""
    secret: str | None = field(default=None, repr=False)
    """The item's."""


class Stage(Protocol):
    """One step of the pipeline. Instances are pickled once per worker; load models lazily, in `run`."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    @property
    def version(self) -> int:
        """Raised when the same input would give other bytes; it re-keys everything done before."""

    @property
    def params(self) -> Record:
        """What of the recipe its results depend on."""

    def run(self, bench: Workbench) -> Record:
        """Do one item; gives what was found out about it, which the ledger keeps.

        Raises:
            ItemError: for what is wrong with the item; anything else is a bug of the stage.
        """

    def timeout_s(self, record: Record) -> float:
        """So much processor time may an item take, and for so long may it do nothing; then it fails with `timeout`."""


@runtime_checkable
class Prepared(Protocol):
    """A stage that has something to load. Each worker does so once, before the clock of its first item starts."""

    def prepare(self) -> None:
        """Import and load. What it raises is not told here: `run` meets it again, and it is a failure of the item."""


def stage_key(stage: Stage) -> str:
    """Hash of all that a stage's results depend on besides the item: name, version, parameters."""
    return params_key(stage.name, stage.version, stage.params)


def params_key(name: str, version: int, params: Record) -> str:
    """The `stage_key` of a stage that is not at hand, as one whose weights are somewhere else."""
    return sha256_text(canonical_json([name, version, params.model_dump(mode="json")]))


def item_key(stage_hash: str, item: Item) -> str:
    """Hash that tells whether an item was done with the same stage, parameters, record and inputs."""
    return _key(stage_hash, item.parsed_record().model_dump_json(), item)


def has_key(stage_hash: str, item: Item, key: str) -> bool:
    """True if the item's key is this one; text that gives it is not parsed."""
    if isinstance(item.record, RecordText) and _key(stage_hash, item.record.text, item) == key:
        return True
    return item_key(stage_hash, item) == key


def has_key_text(stage_hash: str, text: str, key: str) -> bool:
    """The same of an item whose record and inputs are one text, as the ledger puts them together (`KeyText`)."""
    return hashlib.sha256(f"{stage_hash}{text}".encode()).hexdigest() == key


def _key(stage_hash: str, record: str, item: Item) -> str:
    digest = hashlib.sha256(f"{stage_hash}{record}".encode())
    for name in sorted(item.inputs):
        digest.update(f"\n{name}={item.inputs[name].sha256}".encode())
    return digest.hexdigest()
