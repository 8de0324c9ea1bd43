"""JSON and text without what they say of removed videos; the same bytes in whatever order videos are removed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from avis_data.pipelines.upkeep.tombstones import Tombstones
from avis_data.video_list.urls import source_from_text

__all__ = ["Redaction"]

_ENTRIES = ("videos", "images")
_OF_ENTRY = ("video_id", "image_id")
_GONE = "(removed)"
_SHAPES = {"segmentation", "segmentations", "counts", "bbox", "bboxes", "areas"}
"""Numbers and masks, which name nothing, and are nearly all of a file of labels."""
_LONGEST = 1000


class Redaction:
    """Takes removed videos out of values; one object for many files."""

    def __init__(self, stones: Tombstones, *, categories: Collection[str] = (), list_folder: str = "/") -> None:
        """Go by the tombstones.

        Args:
            stones: of the removed videos.
            categories: names that mean a category where they stand alone, also where a video was called so.
            list_folder: where relative file names of lists start.
        """
        self._stones, self._categories, self._folder = stones, categories, list_folder

    def value(self, value: object) -> object:
        """A JSON value without keys, strings, paths and entries that name a removed video or clip.

        An entry of a list goes whole with any string of its own that does, also where it lies deeper.
        """
        if isinstance(value, str):
            return _GONE if self.names_gone(value) else value
        if isinstance(value, list):
            return [self.value(entry) for entry in value if not self._is_of_gone(entry)]
        if isinstance(value, dict):
            kept = {key: entry for key, entry in value.items() if not self._stones.is_gone(str(key))}
            return {key: self.value(entry) for key, entry in kept.items()}
        return value

    def received_json(self, value: object) -> object:
        """A file of labels without removed videos, and without what refers to their numbers (YTVIS, COCO)."""
        if not isinstance(value, dict):
            return self.value(value)
        numbers: set[object] = set()
        for name in _ENTRIES:
            entries = value.get(name)
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and self._is_of_gone(entry) and isinstance(entry.get("id"), int | str):
                    numbers.add(entry["id"])
        if numbers:
            value = {name: _without_numbers(entries, numbers) for name, entries in value.items()}
        return self.value(value)

    def lines(self, text: str) -> str:
        """A text without the lines that name a removed video or clip."""
        kept = (line for line in text.splitlines(keepends=True) if not self._stones.words(line))
        return "".join(kept)

    def records(self, text: str) -> str:
        """Lines of JSON without those whose own fields name one."""
        return "".join(line for line in text.splitlines(keepends=True) if not self._is_record_of_gone(line))

    def rows(self, text: str) -> str:
        """A CSV file without the rows of which a cell is the id or the address of a removed video or clip."""
        lines = io.StringIO(text, newline="").readlines()
        return "".join(line for first, last in _spans(lines) for line in self._kept(lines[first:last]))

    def _kept(self, lines: list[str]) -> list[str]:
        comment = lines[0].lstrip().startswith("#")
        try:
            cells = [] if comment else [cell.strip() for cell in next(csv.reader(lines, skipinitialspace=True))]
        except (csv.Error, StopIteration):
            cells = []
        gone = self._stones.words("".join(lines)) if comment else any(map(self.is_cell_of_gone, cells))
        return [] if gone else lines

    def is_cell_of_gone(self, cell: str) -> bool:
        """Whether a cell of a list is the id or the address of a removed video or clip."""
        if self._stones.is_gone(cell):
            return True
        try:
            source = source_from_text(cell, folder=self._folder)
        except ValueError:
            return False
        return self._stones.is_gone(source.video_id) or self._stones.find_url(source.url) is not None

    def _is_record_of_gone(self, line: str) -> bool:
        try:
            record = json.loads(line)
        except ValueError:
            return bool(self._stones.words(line))
        fields = [record.get("clip_id"), record.get("video_id")] if isinstance(record, dict) else record
        return any(isinstance(field, str) and self._stones.is_gone(field) for field in fields or ())

    def _is_of_gone(self, entry: object) -> bool:
        if isinstance(entry, str):
            return self.names_gone(entry)
        if isinstance(entry, dict):
            return any(self._is_of_gone(value) for key, value in entry.items() if key not in _SHAPES)
        return isinstance(entry, list) and any(self._is_of_gone(value) for value in entry)

    def names_gone(self, text: str) -> bool:
        """Whether a string is the id or name of a removed one, a path with it as a part, or a text that quotes it."""
        if len(text) > _LONGEST or text in self._categories:
            return False
        if self._stones.is_gone(text):
            return True
        parts = PurePosixPath(text.replace("\\", "/")).parts
        quoted = (*text.split("'")[1::2], *text.split('"')[1::2])
        names = (*parts, *(part.partition(".")[0] for part in parts), *quoted)
        return any(self._stones.is_gone(name) for name in names)


def _without_numbers(entries: object, numbers: set[object]) -> object:
    if not isinstance(entries, list):
        return entries
    return [
        entry
        for entry in entries
        if not (isinstance(entry, dict) and any(entry.get(name) in numbers for name in _OF_ENTRY))
    ]


def _spans(lines: list[str]) -> Iterator[tuple[int, int]]:
    """(first, after last) of the records of a CSV text: a quoted cell may hold ends of lines."""
    first, quoted = 0, False
    for number, line in enumerate(lines):
        if not quoted and line.lstrip().startswith("#"):
            yield number, number + 1
            first = number + 1
            continue
        quoted ^= line.count('"') % 2 == 1
        if not quoted:
            yield first, number + 1
            first = number + 1
    if first < len(lines):
        yield first, len(lines)
