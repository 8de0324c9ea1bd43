"""Addresses of a list that hold secrets: cut wherever they are kept or shown, whole in one file apart."""

from __future__ import annotations

import io
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from avis_data.config import validated
from avis_data.errors import DataError
from avis_data.io import read_json, write_private
from avis_data.log import REDACTED, cut_url, is_secret_parameter
from avis_data.records import Record
from avis_data.video_list.rows import read_rows
from avis_data.video_list.urls import one_spelling

__all__ = ["Cutter", "check_kept", "is_cut", "read_signed", "without_secrets", "write_signed"]

_WEB = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>\\,]+", re.IGNORECASE)
_LOOSE = re.compile(r"(?<=[?&#])([^=&#?,\s'\"<>\\]{1,64})=([^&#,\s'\"<>\\]+)")
"""A name and its value in one cell of a list, where no `http://` stands before it."""
_CUT = re.compile(rf"(?:=|//|/){REDACTED}(?:-\d+)?(?=[@&;~,/]|$)")


class _SignedUrls(Record):
    urls: dict[str, str]
    """The whole address, by the cut one."""


class Cutter:
    """Gives each address with secrets a cut one, by which it is known from then on; equal ones get the same."""

    def __init__(self, kept: Mapping[str, str]) -> None:
        """`kept`: whole addresses by the cut ones of a list that was cut already."""
        self.whole: dict[str, str] = {}
        """The whole address, by the cut one, of all that were met."""
        self.cells: dict[int, list[tuple[str, str]]] = defaultdict(list)
        """By line: cells as they are in the list, and cut."""
        self._kept = kept
        self._cut: dict[str, str] = {}

    def cut(self, cell: str, line: int) -> str:
        """What stands for a cell of the column of addresses; the cell itself if it holds no secret."""
        if cell in self._kept:
            self.whole[cell] = self._kept[cell]
            return cell
        if not _WEB.match(cell) or cut_url(cell) == cell:
            return cell
        whole = one_spelling(cell)
        if whole not in self._cut:
            shown = numbered = cut_url(whole)
            number = 1
            while self.whole.setdefault(numbered, whole) != whole:  # another one that differs in its secrets only
                number += 1
                numbered = shown.replace(REDACTED, f"{REDACTED}-{number}")
            self._cut[whole] = numbered
        self.cells[line].append((cell, self._cut[whole]))
        return self._cut[whole]


def is_cut(url: str) -> bool:
    """Whether an address stands for a whole one that has to be looked up."""
    return _CUT.search(url) is not None


def without_secrets(text: str, cells: Mapping[int, list[tuple[str, str]]]) -> str:
    """The text of a list with its addresses cut, and with no secret in comments, other columns or bad rows."""
    lines = []
    left: list[tuple[str, str]] = []
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        for cell, shown in cells.get(number, ()):
            left += [] if cell in line else [(cell, shown)]  # a row of several lines
            line = line.replace(cell, shown)
        lines.append(line)
    cut = "".join(lines)
    for cell, shown in left:
        cut = cut.replace(cell, shown)
    cut = _ADDRESS.sub(lambda match: cut_url(match.group()), cut)
    return _LOOSE.sub(_cut_loose, cut)


def check_kept(given: Path, kept: Path, signed: Mapping[str, str]) -> None:
    """Read both again and compare what their addresses are.

    Raises:
        DataError: if the list was written in a way in which its addresses could not be cut.
    """
    before, after = Cutter({}), Cutter(signed)
    rows = zip_longest(read_rows(given, [], []), read_rows(kept, [], []))
    for old, new in rows:
        if (
            old is None
            or new is None
            or cut_url(before.cut(old.cells["url"], old.line)) != after.cut(new.cells["url"], new.line)
            or cut_url(new.cells["url"]) != new.cells["url"]
        ):
            line = (old or new).line
            hint = "put the address into double quotes, and nothing else into its cell"
            raise DataError(f"{given}: line {line}: the secret part of this address cannot be kept apart", hint=hint)


def _cut_loose(match: re.Match[str]) -> str:
    name, value = match.groups()
    secret = not value.startswith(REDACTED) and is_secret_parameter(name, value)
    return f"{name}={REDACTED}" if secret else match.group()


def read_signed(path: Path) -> dict[str, str]:
    """The whole addresses by the cut ones; none where there is no such file.

    Raises:
        DataError: if it is damaged, or others may read it.
    """
    if not path.exists():
        return {}
    if sys.platform != "win32" and path.stat().st_mode & 0o077:
        raise DataError(f"{path}: others may read this file", hint=f"chmod 600 {path}")
    return validated(_SignedUrls, read_json(path), where=str(path)).urls


def write_signed(path: Path, urls: Mapping[str, str]) -> None:
    """Keep them, for the owner of the workspace only; no file where there are none."""
    if urls:
        write_private(path, _SignedUrls(urls=dict(urls)).model_dump_json(indent=2) + "\n")
    else:
        path.unlink(missing_ok=True)
