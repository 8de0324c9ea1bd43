"""What the server answers, parsed: only what we use of it, and everything that people put in as `object`, untrusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avis_data.errors import DataError
from avis_data.io import canonical_json

__all__ = [
    "Account",
    "ById",
    "ServerAnnotation",
    "ServerProject",
    "ServerTask",
    "Store",
    "WholeTask",
    "fields_of",
    "list_of",
    "parsed",
]

_VOLATILE = {"created_ago"}
"""What the server reckons anew for each answer; without it the same state is the same text."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


Answer = TypeVar("Answer", bound=_Answer)


class ById(_Answer):
    """Anything that was made."""

    id: int


class Account(_Answer):
    """Somebody who may log in."""

    id: int
    email: str


class Store(_Answer):
    """A folder whose files the server shows."""

    path: str


class ServerTask(_Answer):
    """One task, without its annotations."""

    id: int
    updated_at: str
    data: dict[str, object]
    """What its page shows, as it was sent."""
    total_annotations: int | None = None
    cancelled_annotations: int | None = None
    total_predictions: int | None = None
    drafts: object = None

    @property
    def clip_id(self) -> str:
        """The clip id that the task's data name; perhaps that of no clip of ours."""
        return str(self.data.get("clip_id"))

    @property
    def num_done(self) -> int:
        """Annotations that somebody submitted."""
        return self.total_annotations or 0

    @property
    def num_skipped(self) -> int:
        """How often somebody skipped it."""
        return self.cancelled_annotations or 0

    @property
    def is_touched(self) -> bool:
        """Whether somebody worked on it."""
        return bool(self.num_done or self.num_skipped or self.drafts)


class _Skippable(_Answer):
    id: int
    was_cancelled: bool | None = None


class WholeTask(_Answer):
    """A task with its annotations, of which only the skipped ones are looked at here."""

    annotations: list[_Skippable]


class ServerAnnotation(_Answer):
    """One annotation: the latest state of what somebody said of a task."""

    id: int
    completed_by: int
    updated_at: str
    updated_by: int | None = None
    was_cancelled: bool | None = None
    """Skipped."""
    result: object = None
    """The regions."""
    lead_time: object = None
    """Working time in seconds."""
    text: str = Field(default="", exclude=True)
    """All of it as canonical JSON, to be kept as received."""

    @classmethod
    def of(cls, entry: object) -> ServerAnnotation:
        """Read an entry as received. Raises DataError if it is of another form."""
        stable = {name: value for name, value in fields_of(entry).items() if name not in _VOLATILE}
        return parsed(cls, {**stable, "text": canonical_json(stable)})


@dataclass(frozen=True)
class ServerProject:
    """A project."""

    id: int
    settings: Mapping[str, object]

    @property
    def label_config(self) -> str:
        """XML."""
        return str(self.settings.get("label_config"))


def parsed(kind: type[Answer], said: object) -> Answer:
    """An answer as a record. Raises DataError if it is of another form."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise DataError(f"Label Studio answers in an unknown form: {where}: {fault['msg']}") from None


def fields_of(said: object) -> Mapping[str, object]:
    """The fields of an answer. Raises DataError if it has none."""
    if not isinstance(said, dict):
        raise DataError(f"Label Studio answers in an unknown form: {said!r:.100}")
    return said


def list_of(said: object) -> Sequence[object]:
    """The entries of an answer. Raises DataError if it is no list."""
    if not isinstance(said, list):
        raise DataError(f"Label Studio answers in an unknown form: {said!r:.100}")
    return said
