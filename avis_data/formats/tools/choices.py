"""What the specs of all labelling tools share: the options of their readers, and how their files are recognised."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from avis_data.errors import ConfigError
from avis_data.formats.sets.options import Option

__all__ = [
    "CROSSING",
    "IDENTITY",
    "KEEP_COVERED",
    "MISSING_IS_EMPTY",
    "OUTLINES",
    "SOUNDING_ATTRIBUTE",
    "Choices",
    "Crossing",
    "found_in",
]

Crossing = Literal["refuse", "even-odd"]

IDENTITY = Option(
    help="What says that masks of two stills are one object: auto (the usual of the tool), track, group, none, or"
    " attribute:NAME."
)
SOUNDING_ATTRIBUTE = Option(help="The attribute, flag or choice that says whether an object sounds.")
OUTLINES = Option(
    help="Where points of outlines lie: on pixel borders, on pixel centres, or (auto) on centres where OpenCV traced"
    " them."
)
KEEP_COVERED = Option(help="Objects keep the pixels that others, drawn in front of them, cover.")
MISSING_IS_EMPTY = Option(help="A picture without a label file was looked at, and nothing is in it.")
CROSSING = Option(help="An outline whose sides cross is refused, or is inside where an odd number of turns goes round.")

_ATTRIBUTE = "attribute:"
_START_BYTES = 1 << 14
_FILES = 8
"""So many files of a folder or archive are looked at."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was said of one set."""

    identity: str
    """`auto`, `track`, `group`, `none` or `attribute:NAME`."""
    sounding_attribute: str
    crossing_outlines: Crossing = "refuse"

    def checked(self, *known: str) -> Choices:
        """The same.

        Args:
            known: what may say who is who in this format, beside `auto`, `none` and an attribute.

        Raises:
            ConfigError: if `identity` is something else.
        """
        words = ("auto", *known, "none")
        if self.identity not in words and self.attribute is None:
            raise ConfigError(f"--identity {self.identity}: must be {', '.join(words)} or {_ATTRIBUTE}NAME")
        return self

    @property
    def attribute(self) -> str | None:
        """The NAME of `attribute:NAME`."""
        return self.identity.removeprefix(_ATTRIBUTE) or None if self.identity.startswith(_ATTRIBUTE) else None


def found_in(path: Path, ending: str, fits: Callable[[bytes], bool]) -> bool:
    """Whether one of the first files with this ending begins as it should; never raises.

    Args:
        path: a file, a folder or a ZIP archive.
        ending: of names, with the dot, in lower case.
        fits: is given the first 16 kB of a file.
    """
    try:
        if path.is_dir():
            files = (file for file in path.rglob("*") if file.suffix.lower() == ending and file.is_file())
            return any(fits(_start(file)) for file in islice(files, _FILES))
        if path.suffix.lower() == ending:
            return fits(_start(path))
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(ending)][:_FILES]
            return any(fits(_member_start(archive, name)) for name in names)
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, EOFError):
        return False


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_START_BYTES)


def _member_start(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read(_START_BYTES)
