"""What the rows of the ledger hold: what is written as it is, what is read only after a look at it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from avis_data.errors import Reason
from avis_data.io import sha256_file
from avis_data.ledger.database import damaged
from avis_data.records import ID_PATTERN

__all__ = [
    "Done",
    "Entry",
    "Failed",
    "MeanCost",
    "Output",
    "RunInfo",
    "StateCount",
    "checked_item",
    "inputs_of",
    "is_inside",
    "outputs_of",
    "parsed",
    "reason_of",
    "state_of",
]

Parsed = TypeVar("Parsed")

_SAFE_ID = re.compile(ID_PATTERN)
_REASONS = {reason.value: reason for reason in Reason}
State = Literal["done", "failed", "replacing"]
_STATES: tuple[State, ...] = ("done", "failed", "replacing")


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
    state: State
    reason: Reason | None
    """For failures."""
    message: str | None
    attempts: int
    left: str
    """JSON: lists of `Output`."""
    ledger: Path
    """The file, for messages."""

    def outputs(self) -> list[Output]:
        """What the item left on disk, also while it is being replaced; nothing for failures. Raises DataError."""
        return outputs_of(self.left, self.item_id, self.ledger)


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """How many items of a stage are in a state (and, for failures, have a reason)."""

    state: State
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


def outputs_of(text: str, item_id: str, ledger: Path) -> list[Output]:
    """The outputs of a row. A path that leads out of the workspace is damage too: what is replaced is removed.

    Raises:
        DataError: if the text is no list of outputs.
    """
    try:
        found = [Output(*values) for values in json.loads(text)]
        good = all(
            type(path) is str
            and type(sha256) is str
            and type(size) is int
            and type(mtime_ns) is int
            and is_inside(path)
            for path, sha256, size, mtime_ns in found
        )
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise damaged(ledger, f"what {item_id} left is no list of files: {text!r:.60}")
    return found


def inputs_of(text: str, item_id: str, ledger: Path) -> dict[str, str]:
    """The inputs of a row, name to hash. Raises DataError if the text is not that."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise damaged(ledger, f"what {item_id} was made from is no list of hashes: {text!r:.60}")
    return found


def parsed(parse: Callable[[str], Parsed], text: str, what: str, ledger: Path) -> Parsed:
    """A record of a row.

    Args:
        parse: the record's own parser, which raises ValueError.
        text: JSON.
        what: for the message, such as `facts of extract of a-1`.
        ledger: the file.

    Raises:
        DataError: if the text is not such a record.
    """
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        problem = " ".join(line.strip() for line in str(error).splitlines()[:3])
        raise damaged(ledger, f"{what}: {problem:.200}") from None


def checked_item(item_id: str, ledger: Path) -> str:
    """The id itself. Raises DataError if it is none: ids become paths."""
    if _SAFE_ID.fullmatch(item_id) is None:
        raise damaged(ledger, f"{item_id!r:.80} is no id")
    return item_id


def reason_of(text: str | None, item_id: str, ledger: Path) -> Reason | None:
    """The reason of a failure. Raises DataError if there is none of that name."""
    if text is None:
        return None
    if text not in _REASONS:
        raise damaged(ledger, f"{item_id}: there is no reason {text!r:.60}")
    return _REASONS[text]


def state_of(text: str, item_id: str, ledger: Path) -> State:
    """The state of an item. Raises DataError if there is none of that name."""
    for state in _STATES:
        if state == text:
            return state
    raise damaged(ledger, f"{item_id}: there is no state {text!r:.60}")


def is_inside(path: str) -> bool:
    """True if a path, as rows have it, leads to something in the workspace."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")
