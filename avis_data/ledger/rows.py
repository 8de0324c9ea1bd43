"""What the rows of the ledger hold: what is written as it is, what is read only after a look at it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

from avis_data.errors import Reason
from avis_data.io import sha256_file
from avis_data.ledger.database import damaged
from avis_data.records import ID_PATTERN, Record

__all__ = [
    "Done",
    "Entry",
    "Failed",
    "Lookup",
    "Made",
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
Row = TypeVar("Row")
Facts = TypeVar("Facts", bound=Record)

_READ_ON = 16
"""So many rows are read on to the one that is asked for, before it is asked for by its id."""
_SAFE_ID = re.compile(ID_PATTERN)
_REASONS = {reason.value: reason for reason in Reason}
State = Literal["done", "failed", "replacing"]
_OUTPUT = (str, str, int, int, str, str)
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
    key: str = ""
    """Of its object in the workspace's bucket, below the prefix; empty: it lies in the workspace alone."""
    etag: str = ""
    """Of that object, when it was stored."""

    @property
    def name(self) -> str:
        """The name of the file or folder, without where it lies."""
        return self.path.rpartition("/")[2]

    def values(self) -> list[str | int]:
        """What the ledger keeps: key and ETag only where there is an object."""
        return list(self) if self.key else list(self[:4])

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


class Made(NamedTuple):
    """What the ledger says of a finished item, as text: most of it is compared, and need not be parsed."""

    item_id: str
    facts: str
    """JSON: the whole record, or those values of it that were asked for."""
    left: str
    """JSON: lists of `Output`."""
    ledger: Path
    """The file, for messages."""

    def outputs(self) -> list[Output]:
        """What the item left on disk. Raises DataError."""
        return outputs_of(self.left, self.item_id, self.ledger)

    def parsed(self, kind: type[Facts], stage: str) -> Facts:
        """The facts as the record that the stage gives, where all were asked for. Raises DataError."""
        return parsed(kind.model_validate_json, self.facts, f"facts of {stage} of {self.item_id}", self.ledger)

    def output(self, stage: str, name: str) -> Output:
        """The file or folder of that name. Raises DataError where there is none."""
        for output in self.outputs():
            if output.name == name:
                return output
        raise damaged(self.ledger, f"{stage} of {self.item_id} left no {name}")

    def only_output(self, stage: str) -> Output:
        """The one file that it left. Raises DataError where there is none, or are more."""
        found = self.outputs()
        if len(found) != 1:
            raise damaged(self.ledger, f"{stage} of {self.item_id} left {len(found)} files, not one")
        return found[0]


class Lookup(Generic[Row]):
    """Rows by id without holding them: somebody who asks in the order of ids is read to, else it is asked anew."""

    def __init__(self, rows_from: Callable[[str], Iterator[tuple[str, Row]]]) -> None:
        """`rows_from` gives id and row of all that have this id or a later one, by id."""
        self._rows_from = rows_from
        self._rows: Iterator[tuple[str, Row]] = iter(())
        self._next: tuple[str, Row] | None = None
        self._asked = "\U0010ffff"
        """The id that was asked for last; at first one that comes after all."""

    def get(self, item_id: str) -> Row | None:
        """The row of that id; None where there is none. Raises DataError for a damaged one."""
        if item_id <= self._asked:
            self._begin(item_id)
        found, read = self._next, 0
        while found is not None and found[0] < item_id:
            if read == _READ_ON:
                self._begin(item_id)
                found = self._next
                break
            found, read = next(self._rows, None), read + 1
        self._next, self._asked = found, item_id
        return found[1] if found is not None and found[0] == item_id else None

    def _begin(self, item_id: str) -> None:
        self._rows = self._rows_from(item_id)
        self._next = next(self._rows, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """How many items of a stage, of wanted videos or clips, are in a state (and, for failures, have a reason)."""

    stage: str
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
        good = True
        for output in found:
            if (
                tuple(map(type, output)) != _OUTPUT
                or not is_inside(output[0])
                or (output[4] and not is_inside(output[4]))
            ):
                good = False
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
    return path != "" and path[0] != "/" and (".." not in path or ".." not in path.split("/"))
