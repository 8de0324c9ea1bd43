"""Masks on disk while a dataset is planned and written: of a large one they do not fit into memory."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import overload

from avis_data.masks.rle import Rle

__all__ = ["MaskSpool", "SpooledMasks"]


class MaskSpool:
    """A file without a name in the system's temporary folder; it is gone when nobody holds masks of it any more.

    Example:
        >>> spool = MaskSpool()
        >>> masks = spool.keep([Rle(height=2, width=2, counts="04"), None])
        >>> len(masks), masks[0], masks.drawn
        (2, Rle(height=2, width=2, counts='04'), (True, False))
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # closed with the last mask of it
        self._lock = threading.Lock()
        self._size = 0
        self._drawn: dict[tuple[bool, ...], tuple[bool, ...]] = {}
        """One object for all that are equal: most tracks of short clips are drawn in every still."""

    def keep(self, masks: Sequence[Rle | None]) -> SpooledMasks:
        """Write masks of one size, one a still. Raises OSError where there is no room."""
        text = "\n".join("" if mask is None else mask.counts for mask in masks).encode()
        first = next((mask for mask in masks if mask is not None), None)
        height, width = (first.height, first.width) if first is not None else (0, 0)
        drawn = tuple(mask is not None for mask in masks)
        with self._lock:
            self._file.seek(self._size)
            self._file.write(text)
            place = self._size
            self._size += len(text)
        return SpooledMasks(self, place, len(text), height, width, self._drawn.setdefault(drawn, drawn))

    def read(self, place: int, size: int) -> str:
        """What was written there; any thread may ask."""
        with self._lock:
            self._file.seek(place)
            return self._file.read(size).decode()


class SpooledMasks(Sequence["Rle | None"]):
    """The masks of a track, one a still, read anew each time that they are asked for: take them all at once."""

    __slots__ = ("_height", "_place", "_size", "_spool", "_width", "drawn")

    def __init__(
        self, spool: MaskSpool, place: int, size: int, height: int, width: int, drawn: tuple[bool, ...]
    ) -> None:
        self._spool, self._place, self._size, self._height, self._width = spool, place, size, height, width
        self.drawn = drawn
        """Whether there is a mask, still by still; nothing is read for it."""

    def __len__(self) -> int:
        return len(self.drawn)

    def __iter__(self) -> Iterator[Rle | None]:
        for counts in self._spool.read(self._place, self._size).split("\n") if self.drawn else ():
            yield Rle(self._height, self._width, counts) if counts else None

    @overload
    def __getitem__(self, index: int) -> Rle | None: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Rle | None, ...]: ...

    def __getitem__(self, index: int | slice) -> Rle | tuple[Rle | None, ...] | None:
        return tuple(self)[index]
