"""Records on disk while a command runs: of a large manifest only what is asked again and again is in memory."""

from __future__ import annotations

import tempfile
import threading
from typing import IO, Generic, TypeVar

from avis_data.records import Record

__all__ = ["RecordSpool"]

AnyRecord = TypeVar("AnyRecord", bound=Record)


class RecordSpool(Generic[AnyRecord]):
    """A file without a name in the system's temporary folder; it is gone when nobody holds the spool any more.

    Example:
        >>> from avis_data.records import Category
        >>> spool = RecordSpool(Category)
        >>> dog, cat = spool.keep(Category(id=1, name="dog")), spool.keep(Category(id=2, name="cat"))
        >>> spool.read(dog).name, spool.read(cat).name
        ('dog', 'cat')
    """

    def __init__(self, record: type[AnyRecord]) -> None:
        """For records of this type."""
        self._record = record
        self._file: IO[bytes] = tempfile.TemporaryFile()
        self._lock = threading.Lock()
        self._size = 0
        self._at_end = True
        """A seek writes what waits: none is made between two records that are kept."""

    def keep(self, record: AnyRecord) -> int:
        """Write a record; gives its place. Raises OSError where there is no room."""
        line = record.model_dump_json().encode() + b"\n"
        with self._lock:
            place = self._size
            if not self._at_end:
                self._file.seek(place)
            self._at_end = False  # until it is: a write may stop half-way
            self._file.write(line)
            self._at_end = True
            self._size += len(line)
        return place

    def read(self, place: int) -> AnyRecord:
        """The record that was written there; any thread may ask."""
        return self._record.model_validate_json(self.read_text(place))

    def read_text(self, place: int) -> bytes:
        """The same as a line of JSON."""
        with self._lock:
            self._at_end = False
            self._file.seek(place)
            return self._file.readline()
