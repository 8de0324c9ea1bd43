"""Pieces on disk while a command runs: of much data only what is asked again and again is in memory."""

from __future__ import annotations

import tempfile
import threading
from typing import IO, TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from avis_data.records import Record

__all__ = ["RecordSpool", "SpoolFile"]

AnyRecord = TypeVar("AnyRecord", bound="Record")


class SpoolFile:
    """A file that pieces are written to the end of, and read from anywhere, by any thread.

    It has no name, lies in the system's temporary folder, and is gone when nobody holds it any more. It is made for the
    first piece.

    Example:
        >>> file = SpoolFile()
        >>> first, second = file.append(b"a dog"), file.append(b"a cat")
        >>> file.read(second, 5), file.read(first, 1)
        (b'a cat', b'a')
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._size = 0
        self._at_end = True
        """A seek writes what waits: none is made between two pieces that are written one after the other."""

    def append(self, piece: bytes) -> int:
        """Write a piece; gives its place. Raises OSError where there is no room."""
        with self._lock:
            self._file = self._file or tempfile.TemporaryFile()
            place = self._size
            if not self._at_end:
                self._file.seek(place)
            self._at_end = False  # until it is: a write may stop half-way
            self._file.write(piece)
            self._at_end = True
            self._size += len(piece)
        return place

    def read(self, place: int, size: int) -> bytes:
        """So many bytes of what was written there."""
        with self._lock:
            return self._from(place).read(size)

    def read_line(self, place: int) -> bytes:
        """What was written there as far as the end of its line."""
        with self._lock:
            return self._from(place).readline()

    def _from(self, place: int) -> IO[bytes]:
        assert self._file is not None  # something was written
        self._at_end = False
        self._file.seek(place)
        return self._file


class RecordSpool(Generic[AnyRecord]):
    """Records in a `SpoolFile`, which is gone when nobody holds the spool any more.

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
        self._file = SpoolFile()

    def keep(self, record: AnyRecord) -> int:
        """Write a record; gives its place. Raises OSError where there is no room."""
        return self._file.append(record.model_dump_json().encode() + b"\n")

    def read(self, place: int) -> AnyRecord:
        """The record that was written there; any thread may ask."""
        return self._record.model_validate_json(self.read_text(place))

    def read_text(self, place: int) -> bytes:
        """The same as a line of JSON."""
        return self._file.read_line(place)
