"""What a stage is: one item in, files in a folder and a few facts out. It knows neither ledger nor executor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from avis_data.errors import DataError
from avis_data.io import canonical_json, sha256_text
from avis_data.ledger import REPAIR, Output
from avis_data.records import Record

__all__ = ["Input", "Item", "Prepared", "RecordText", "Stage", "Workbench", "item_key", "params_key", "stage_key"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A file or folder that an item is made from."""

    path: str
    """Relative to the workspace; absolute where it lies outside."""
    sha256: str
    """Hash of the file, or of the tree (`io.sha256_tree`); outside the workspace, of names, sizes and times of
    change."""
    mtime_ns: int | None = None
    """When it was last changed, as the ledger knows it: where the disk says otherwise, it is hashed before use."""

    @staticmethod
    def of(output: Output) -> Input:
        """What an earlier stage left."""
        return Input(path=output.path, sha256=output.sha256, mtime_ns=output.mtime_ns)


class RecordText(NamedTuple):
    """A record as JSON text: hashed as it is, and parsed only if it is worked on. Plans hold hundreds of thousands."""

    kind: type[Record]
    text: str


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
    record = item.record
    text = record.text if isinstance(record, RecordText) else record.model_dump_json()
    digest = hashlib.sha256(f"{stage_hash}{text}".encode())
    for name in sorted(item.inputs):
        digest.update(f"\n{name}={item.inputs[name].sha256}".encode())
    return digest.hexdigest()
