"""What the server answers, parsed: only what we use of it, and everything that people put in as `object`, untrusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avis_data.annotation.labels.records import Media
from avis_data.errors import DataError
from avis_data.io import canonical_json

__all__ = [
    "Account",
    "ById",
    "DraftResult",
    "Imported",
    "Invitation",
    "ProjectInList",
    "ServerAnnotation",
    "ServerProject",
    "ServerTask",
    "Store",
    "WholeTask",
    "all_of",
    "fields_of",
    "list_of",
    "page_of",
    "parsed",
    "refusal_words",
]

_VOLATILE = {"created_ago"}
"""What the server reckons anew for each answer; without it the same state is the same text."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


Answer = TypeVar("Answer", bound=_Answer)
Read = TypeVar("Read")


class ById(_Answer):
    """Anything that was made."""

    id: int


class Account(_Answer):
    """Somebody who may log in."""

    id: int
    email: str


class Imported(_Answer):
    """What became of tasks that were sent."""

    task_count: int


class Invitation(_Answer):
    """Where people make their account."""

    invite_url: str


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

    @property
    def clip_id(self) -> str:
        """The clip id that the task's data name; perhaps that of no clip of ours."""
        return str(self.data.get("clip_id"))

    @property
    def media(self) -> Media | None:
        """The stills and the sound that its data name; None where they name none, as in a task made by hand."""
        try:
            return Media.model_validate(self.data.get("media"))
        except ValidationError:
            return None

    @property
    def num_done(self) -> int:
        """Annotations that somebody submitted."""
        return self.total_annotations or 0

    @property
    def num_skipped(self) -> int:
        """How often somebody skipped it."""
        return self.cancelled_annotations or 0


class DraftResult(_Answer):
    """What a page saved by itself."""

    id: int
    result: list[dict[str, object]] | None = None
    user: object = None
    """Whose it is, as the server names people."""


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
        try:
            text = canonical_json(stable)
            text.encode()
        except (ValueError, RecursionError) as error:  # NaN, half a surrogate pair, endless nesting: no file holds it
            raise DataError(f"it cannot be kept ({error})") from None
        return parsed(cls, {**stable, "text": text})


class ServerProject(_Answer):
    """A project."""

    id: int
    label_config: str
    """XML."""
    settings: dict[str, object] = Field(exclude=True)
    """All that the server says of it."""

    @classmethod
    def of(cls, said: object) -> ServerProject:
        """Read an answer. Raises DataError if it is of another form."""
        return parsed(cls, {**fields_of(said), "settings": said})


class ProjectInList(_Answer):
    """A project as the list has it."""

    id: int
    description: str | None = None


def parsed(kind: type[Answer], said: object) -> Answer:
    """An answer as a record. Raises DataError, with the field, if it is of another form."""
    try:
        return kind.model_validate(fields_of(said))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise DataError(f"{where}: {fault['msg']} (found {fault['input']!r:.40})") from None


def fields_of(said: object) -> Mapping[str, object]:
    """The fields of an answer. Raises DataError if it has none."""
    if not isinstance(said, dict):
        raise DataError(f"it must be an object (found {said!r:.40})")
    return said


def list_of(said: object) -> Sequence[object]:
    """The entries of an answer. Raises DataError if it is no list."""
    if not isinstance(said, list):
        raise DataError(f"it must be a list (found {said!r:.40})")
    return said


def all_of(form: Callable[[object], Read]) -> Callable[[object], list[Read]]:
    """The form of a list whose entries have a form, which raises DataError for others."""
    return lambda said: [form(entry) for entry in list_of(said)]


def page_of(said: object, *, field: str, form: Callable[[object], Read]) -> tuple[list[Read], int]:
    """The entries of one page, and how many there are on all pages, as far as it says."""
    fields = fields_of(said)
    total = fields.get("total", fields.get("count"))
    try:
        return all_of(form)(fields.get(field)), total if isinstance(total, int) else 0
    except DataError as error:
        raise DataError(f"{field}: {error.args[0]}") from None


def refusal_words(said: object) -> str:
    """What a refusal in the server's usual form says to people. Raises DataError for another form."""
    found = fields_of(said)
    if "detail" not in found:
        raise DataError("detail: missing")
    groups = fields_of(found.get("validation_errors") or {}).values()
    return "; ".join([str(found["detail"]), *(str(fault) for group in groups for fault in list_of(group))])
