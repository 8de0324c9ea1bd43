"""The rows of a CSV list of videos: encoding, comments, quoting, header, and the layouts that are recognised."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data.errors import DataError, Problem

__all__ = ["COLUMNS", "Layout", "Row", "read_rows"]

COLUMNS = (
    *("url", "video_id", "start", "end", "categories", "license", "split", "uploader", "channel", "upload_date"),
    "scenario",
)
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_END_OF_LINK = re.compile(r"[^/?=&%]*[/?=&%].*|.*\.[A-Za-z]\w{1,4}", re.ASCII)
"""What follows a comma in a link, and can be no cell of a list: no id, time, category, licence or split looks so."""
_TEMPLATE_HINT = "manifests/videos-template.csv explains the columns"


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of a list mean."""

    columns: tuple[str | None, ...]
    """Our name of each column; None for one that is passed over."""
    names: tuple[str, ...]
    """The names of the columns in the file, for messages."""
    separators: str = ";|"
    """What parts the categories of one cell; empty: a cell is one category."""
    duration_s: float | None = None
    """Length of every clip, where the layout fixes it."""

    def shown(self, column: str) -> str:
        """The file's own name of one of our columns."""
        return self.names[self.columns.index(column)] if column in self.columns else column

    def categories(self, text: str) -> tuple[str, ...]:
        """The categories of one cell, each once."""
        for mark in self.separators[1:]:
            text = text.replace(mark, self.separators[0])
        parts = text.split(self.separators[0]) if self.separators else [text]
        return tuple(dict.fromkeys(name for part in parts if (name := part.strip())))


_AUDIOSET = Layout(
    ("url", "start", "end", "categories"), ("YTID", "start_seconds", "end_seconds", "positive_labels"), separators=","
)
"""Source: the headers of AudioSet's segment files; labels are parted by commas inside quotes."""
_VGGSOUND = Layout(
    ("url", "start", "categories", "split"), ("id", "start_seconds", "label", "split"), separators="", duration_s=10.0
)
"""Source: VGGSound's list; no header, every clip lasts 10 s, a label may hold a comma."""
_LINKS = Layout(("url",), ("url",))
"""One link a line and no header."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list; a missing trailing cell is empty."""

    line: int
    """Line of the file, from 1; the first one where a quoted cell spans several."""
    cells: dict[str, str]
    """The cells by our column names, without spaces around them."""
    layout: Layout


class _Lines:
    """The lines of a list without its comments; remembers where it is, so that rows know their lines."""

    def __init__(self, text: str) -> None:
        self.number = 0
        self.comments: list[str] = []
        self._lines = io.StringIO(text, newline=None)
        self._quoted = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            if not self._quoted and line.lstrip().startswith("#"):
                self.comments.append(line)
                continue
            self._quoted ^= line.count('"') % 2 == 1
            yield line


def read_rows(path: Path, problems: list[Problem], header: list[Problem]) -> Iterator[Row]:
    """Every row that holds something.

    Args:
        path: the list.
        problems: is given what is wrong with the quoting and the numbers of cells of rows.
        header: is given what is wrong with the columns.

    Raises:
        DataError: if the file is missing, is not UTF-8 text, or has no `url` column.
    """
    lines = _Lines(_decoded(path))
    layout: Layout | None = None
    for line, cells in _records(lines, problems):
        if layout is None:
            layout = _headerless(cells, lines.comments)
            if layout is None:
                layout = _layout_of_header(path, line, cells, header)
                continue
        if layout is _LINKS and (link := _whole_link(cells)):
            cells = [link]
        missing = len(layout.columns) - len(cells)
        if missing < 0 and any(cells[missing:]):
            problems.append(Problem(f"line {line}", "", f"{len(cells)} cells for {len(layout.columns)} columns"))
            continue
        cells += [""] * missing
        yield Row(line, {name: cell for name, cell in zip(layout.columns, cells, strict=False) if name}, layout)


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    hint = "save it as CSV in UTF-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data:
        raise DataError(f"{path}: not UTF-8 text (UTF-16, or no text at all)", hint=hint)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line}: not UTF-8 (byte 0x{data[error.start]:02x})", hint=hint) from None


def _records(lines: _Lines, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of every record that is not blank; broken quoting becomes a problem of its line."""
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    while True:
        before = reader.line_num
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            first = lines.number - (reader.line_num - before) + 1
            problems.append(Problem(f"line {first}", "", f"broken quotes: {error}"))
            continue
        if any(cells):
            yield lines.number - (reader.line_num - before) + 1, cells


def _headerless(cells: Sequence[str], comments: Sequence[str]) -> Layout | None:
    """The layout of a list whose first record is a row already, or None where it is a header."""
    if any("YTID" in comment and "start_seconds" in comment for comment in comments):
        return _AUDIOSET
    if len(cells) == 4 and _ID.fullmatch(cells[0]) and cells[1].isdecimal() and cells[3] in ("train", "test"):
        return _VGGSOUND
    return _LINKS if _whole_link(cells) else None


def _whole_link(cells: Sequence[str]) -> str | None:
    """The one link or YouTube id of a line, where commas of the link itself have parted it; else None."""
    text = ",".join(cells)
    if len(cells) == 1:
        return text if _LINK.fullmatch(text) or _ID.fullmatch(text) else None
    is_one = _LINK.fullmatch(text) and _END_OF_LINK.fullmatch(cells[-1]) and not any(map(_LINK.match, cells[1:]))
    return text if is_one else None


def _layout_of_header(path: Path, line: int, cells: Sequence[str], problems: list[Problem]) -> Layout:
    names = [cell.lower() for cell in cells]
    if "url" not in names:
        found = f"found {', '.join(cells)!r:.120}"
        advice = next((f"; columns must be parted by ',', not {mark!r}" for mark in ";\t" if mark in cells[0]), "")
        if _LINK.fullmatch(cells[0]):
            advice = "; a list of links alone has no other columns, and a link with a comma in it stands in quotes"
        raise DataError(f"{path}: line {line}: no column `url` ({found}{advice})", hint=_TEMPLATE_HINT)
    columns: list[str | None] = []
    for name in names:
        known = name in COLUMNS
        if known and name in columns:
            problems.append(Problem(f"line {line}", name, "this column is there twice"))
        elif not known and name:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(COLUMNS)}"
            problems.append(Problem(f"line {line}", name, f"unknown column; {advice}"))
        columns.append(name if known and name not in columns else None)
    return Layout(tuple(columns), tuple(names))
