"""Large JSON files read entry by entry, so that memory does not grow with them.

A set in one file is an object with long lists (`images`, `annotations`, `videos`). Each is gone through once, and where
its entries lie is remembered; those of one clip are then read again when the clip is asked for.
"""

from __future__ import annotations

import codecs
import json
import re
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from avis_data.errors import DataError
from avis_data.io import GZIP, json_bytes, read_json

__all__ = ["JsonTables", "json_tables"]

_CHUNK_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")
Visit = Callable[[int, object], None]
"""Is given each entry of a list, with its place from 0."""


class _BrokenError(Exception):
    """The text is no JSON; what is wrong is said by the parser that reads all of it."""


@contextmanager
def json_tables(file: Path) -> Iterator[JsonTables]:
    """A JSON file, also one that gzip packed, open for as long as the block runs.

    Raises:
        DataError: if it cannot be read.

    Example:
        >>> with json_tables(Path("example/exports/ytvis/val.json")) as tables:
        ...     head = tables.scan({"annotations": lambda place, entry: None})
        ...     tables.entry("annotations", 0)["id"], [video["id"] for video in head["videos"]]
        (1, [1, 2])
    """
    try:
        opened = file.open("rb")
    except OSError:
        _refuse(file)
    with opened, tempfile.TemporaryFile() as unpacked:
        is_packed = opened.read(len(GZIP)) == GZIP
        if is_packed:
            try:
                unpacked.write(json_bytes(file))
            except ValueError:
                _refuse(file)
        yield JsonTables(file, unpacked if is_packed else opened)


def _refuse(file: Path) -> NoReturn:
    read_json(file)
    raise DataError(f"{file}: cannot be read as JSON", hint="get it again")


class JsonTables:
    """The lists of an open JSON file."""

    def __init__(self, file: Path, opened: IO[bytes]) -> None:
        """See `json_tables`."""
        self.file = file
        self._opened = opened
        self._places: dict[str, tuple[array[int], array[int]]] = {}

    def scan(self, visit: Mapping[str, Visit]) -> object:
        """Go through the file.

        Args:
            visit: takes the entries of the lists of these names.

        Returns:
            The whole value without the lists that were gone through (`has` says which); the value itself, if it is no
            object.

        Raises:
            DataError: if it is no JSON, with line and column.
        """
        self._opened.seek(0)
        has_mark = self._opened.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8  # Windows writes it
        text = _Text(self._opened, first=len(codecs.BOM_UTF8) if has_mark else 0)
        try:
            found = self._object(text, visit) if text.peek() == "{" else text.value()[0]
            if text.peek():
                raise _BrokenError
        except _BrokenError:
            _refuse(self.file)
        return found

    def has(self, table: str) -> bool:
        """Whether there is a list of that name, which was gone through."""
        return table in self._places

    def places(self, table: str) -> tuple[array[int], array[int]]:
        """First byte and length of each entry of a list that was gone through, in the unpacked text."""
        return self._places[table]

    def entry(self, table: str, place: int) -> object:
        """One entry, read again."""
        starts, lengths = self._places[table]
        self._opened.seek(starts[place])
        return json.loads(self._opened.read(lengths[place]))

    def _object(self, text: _Text, visit: Mapping[str, Visit]) -> dict[str, object]:
        found: dict[str, object] = {}
        text.take("{")
        while text.peek() != "}":
            name, _, _ = text.value()
            if not isinstance(name, str):
                raise _BrokenError
            text.take(":")
            if name in found or name in self._places:
                raise DataError(f"{self.file}: says {name!r:.60} twice")
            if name in visit and text.peek() == "[":
                self._places[name] = self._list(text, visit[name])
            else:
                found[name] = text.value()[0]
            if text.peek() != "}":
                text.take(",")
                if text.peek() == "}":
                    raise _BrokenError
        text.take("}")
        return found

    @staticmethod
    def _list(text: _Text, visit: Visit) -> tuple[array[int], array[int]]:
        """First byte and length of each entry."""
        starts, lengths = array("Q"), array("Q")
        text.take("[")
        while text.peek() != "]":
            entry, start, length = text.value()
            visit(len(starts), entry)
            starts.append(start)
            lengths.append(length)
            if text.peek() != "]":
                text.take(",")
                if text.peek() == "]":
                    raise _BrokenError
        text.take("]")
        return starts, lengths


class _Text:
    """The text of a file, of which only a part is in memory."""

    def __init__(self, opened: IO[bytes], *, first: int) -> None:
        """Begin at this byte."""
        opened.seek(first)
        self._opened = opened
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._byte = first
        """Where in the file `_at` is."""

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None  # it matches nothing, too
            self._skip(found.end())
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def take(self, character: str) -> None:
        """Go past this character, which must be the next one."""
        if self.peek() != character:
            raise _BrokenError
        self._skip(self._at + 1)

    def value(self) -> tuple[object, int, int]:
        """The next JSON value, its first byte, and how many bytes it has."""
        self.peek()
        while True:
            try:
                found, end = self._json.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise _BrokenError from None
                continue
            if end < len(self._text) or not self._more():  # else a number may go on
                break
        start = self._byte
        self._skip(end)
        return found, start, self._byte - start

    def _skip(self, end: int) -> None:
        self._byte += len(self._text[self._at : end].encode())
        self._at = end

    def _more(self) -> bool:
        """Read on: at least as much as there is, so that long values are not tried too often; False at the end."""
        rest = self._text[self._at :]
        try:
            data = self._opened.read(max(_CHUNK_BYTES, len(rest)))
            self._text = rest + self._utf8.decode(data, final=not data)
        except UnicodeDecodeError:
            raise _BrokenError from None
        self._at = 0
        return bool(data)
