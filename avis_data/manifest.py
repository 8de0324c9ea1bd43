"""Manifests say what exists: JSON Lines, one record a line, sorted by id, rewritten whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from avis_data.config import problems_from_validation
from avis_data.errors import DataError, ProblemsError
from avis_data.io import write_lines
from avis_data.records import Record

__all__ = ["read_manifest", "write_manifest"]

_REPAIR = "avis-data doctor --workspace says what can be made anew; --repair does it"

AnyRecord = TypeVar("AnyRecord", bound=Record)

_FIELD_SETS: dict[frozenset[str], set[str]] = {}
"""Which fields a line gave: pydantic keeps a set of them with every record, a third of its size."""


def read_manifest(path: Path, record: type[AnyRecord]) -> Iterator[AnyRecord]:
    """Stream the records of a manifest; an absent file is an empty one.

    Raises:
        ProblemsError: at the first line that is not such a record, with its number.
        DataError: if the file cannot be read as text.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                yield _parse(record, line, where=f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})", hint=_REPAIR) from None


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write records in the order given, one JSON object a line; the file appears whole or not at all."""
    write_lines(path, (record.model_dump_json() for record in records))


def _parse(record: type[AnyRecord], line: str, *, where: str) -> AnyRecord:
    try:
        found = record.model_validate_json(line)
    except ValidationError as error:
        problems = problems_from_validation(error, where=where)
        raise ProblemsError(f"{where}: not a {record.__name__} record", problems, hint=_REPAIR) from None
    given = found.model_fields_set
    shared = _FIELD_SETS.setdefault(frozenset(given), given)
    object.__setattr__(found, "__pydantic_fields_set__", shared)  # nobody changes it: records are frozen
    return found
