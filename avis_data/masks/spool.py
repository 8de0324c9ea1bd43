"""Masks on disk: those of a dataset while it is planned and written, those of a long video while it is predicted."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import overload

from avis_data.masks.rle import Rle
from avis_data.spools import SpoolFile

__all__ = ["GrowingMasks", "MaskSpool", "SpooledMasks"]

_LETTERS_IN_MEMORY = 2**16
"""Of the counts of a row of masks that grows; empty ones of any size take a few letters."""


class MaskSpool:
    """Masks in a `SpoolFile`, which is gone when nobody holds masks of it any more.

    Example:
        >>> spool = MaskSpool()
        >>> masks = spool.keep([Rle(height=2, width=2, counts="04"), None])
        >>> len(masks), masks[0], masks.drawn
        (2, Rle(height=2, width=2, counts='04'), (True, False))
    """

    def __init__(self) -> None:
        self._file = SpoolFile()
        self._drawn: dict[tuple[bool, ...], tuple[bool, ...]] = {}
        """One object for all that are equal: most tracks of short clips are drawn in every still."""

    def keep(self, masks: Sequence[Rle | None]) -> SpooledMasks:
        """Write masks of one size, one a still. Raises OSError where there is no room."""
        text = "\n".join("" if mask is None else mask.counts for mask in masks).encode()
        first = next((mask for mask in masks if mask is not None), None)
        height, width = (first.height, first.width) if first is not None else (0, 0)
        drawn = tuple(mask is not None for mask in masks)
        place = self._file.append(text)
        return SpooledMasks(self, place, len(text), height, width, self._drawn.setdefault(drawn, drawn))

    def read(self, place: int, size: int) -> bytes:
        """What was written there; any thread may ask."""
        return self._file.read(place, size)


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
        counts_of_all = self._spool.read(self._place, self._size).decode().split("\n") if self.drawn else ()
        for counts in counts_of_all:
            yield Rle(self._height, self._width, counts) if counts else None

    def spelled(self) -> bytes:
        """All of them in one spelling, which tells them apart from all others: for a hash."""
        head = f"{self._height}x{self._width} {len(self.drawn)} {self._size}:".encode()
        return head + (self._spool.read(self._place, self._size) if self.drawn else b"")

    @overload
    def __getitem__(self, index: int) -> Rle | None: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Rle | None, ...]: ...

    def __getitem__(self, index: int | slice) -> Rle | tuple[Rle | None, ...] | None:
        return tuple(self)[index]


class GrowingMasks(Sequence[Rle]):
    """Masks that come one after the other, of a video of any length: the last ones are in memory, those before on disk.

    Where the disk has no room all further ones stay in memory. They are read in order; another process gets a tuple.

    Example:
        >>> masks = GrowingMasks(MaskSpool())
        >>> for counts in ("04", "13"):
        ...     masks.append(Rle(height=2, width=2, counts=counts))
        >>> len(masks), masks[1]
        (2, Rle(height=2, width=2, counts='13'))
    """

    def __init__(self, spool: MaskSpool) -> None:
        self._spool = spool
        self._pieces: list[SpooledMasks] = []
        self._starts: list[int] = []
        self._last: list[Rle] = []
        self._last_start = 0
        self._letters, self._most_letters = 0, float(_LETTERS_IN_MEMORY)
        self._read: tuple[int, Sequence[Rle]] = (-1, ())

    def append(self, mask: Rle) -> None:
        """The next mask, of the size of those before."""
        self._last.append(mask)
        self._letters += len(mask.counts)
        if self._letters < self._most_letters:
            return
        try:
            piece = self._spool.keep(self._last)
        except OSError:
            self._most_letters = math.inf
            return
        self._pieces.append(piece)
        self._starts.append(self._last_start)
        self._last_start += len(self._last)
        self._last, self._letters = [], 0

    def __len__(self) -> int:
        return self._last_start + len(self._last)

    def __iter__(self) -> Iterator[Rle]:
        for piece in self._pieces:
            yield from _all_drawn(piece)
        yield from self._last

    @overload
    def __getitem__(self, index: int) -> Rle: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Rle, ...]: ...

    def __getitem__(self, index: int | slice) -> Rle | tuple[Rle, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        place = range(len(self))[index]  # from the end too; raises
        if place >= self._last_start:
            return self._last[place - self._last_start]
        piece = bisect_right(self._starts, place) - 1
        if self._read[0] != piece:
            self._read = (piece, tuple(_all_drawn(self._pieces[piece])))
        return self._read[1][place - self._starts[piece]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __reduce__(self) -> tuple[type[tuple[Rle, ...]], tuple[tuple[Rle, ...]]]:
        return tuple, (tuple(self),)


def _all_drawn(masks: SpooledMasks) -> Iterator[Rle]:
    return (mask for mask in masks if mask is not None)
