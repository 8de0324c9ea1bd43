"""The records that all formats meet in: one clip with its stills, sound and tracks, as a set says it.

A field that a format cannot say is None, never a guess: `category`, `sounding`, `fps`. A mask that is None says that
the set has none there; whether the object is hidden or was not labelled, no format but our own can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from avis_data.errors import DataError, Problem
from avis_data.io import link_or_copy

if TYPE_CHECKING:  # the options of all formats are known without NumPy
    import numpy as np
    from numpy.typing import NDArray

    from avis_data.masks.rle import Rle

__all__ = ["LabelledClip", "LabelledTrack", "Media", "Still", "UnreadClip", "name_fault", "text_fault", "too_many"]


@dataclass(frozen=True, kw_only=True)
class Media:
    """A picture or a sound of a set, read when it is needed."""

    name: str
    """Of the file, without folders: its ending says what it is."""
    path: Path | None = None
    """Where it is a file of its own."""
    load: Callable[[], bytes] | None = field(default=None, compare=False)
    """Where it lies inside another file (an archive, a table)."""
    may_link: bool = field(default=False, compare=False)
    """Whether a written set may hold the very file (a hard link): only of a workspace, whose stills never change."""

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            DataError: if it cannot be read.
        """
        if self.load is not None:
            return self.load()
        if self.path is None:
            raise DataError(f"{self.name}: the set has no such file")
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from None

    def put(self, target: Path) -> None:
        """Make it a file of a set that is being written; the folder is made. Linked where it may be, else copied."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.may_link and self.path is not None:
            link_or_copy(self.path, target)
        else:
            target.write_bytes(self.read())


@dataclass(frozen=True, kw_only=True)
class Still:
    """One labelled frame of a clip, as the set counts it."""

    name: str
    """Of its picture, without folder and ending, or what stands for it: `frame_000012`."""
    number: int | None = None
    """Of the frame in the source, as the set counts; None: it only has an order."""
    time_s: float | None = None
    """The instant that it shows, seconds after the start of the clip; None: not said."""
    picture: Media | None = None
    """None where the set comes without its pictures."""
    is_labelled: bool = True
    """False: nobody looked at it, so that no mask says nothing (S4's training clips)."""


@dataclass(frozen=True, kw_only=True)
class LabelledTrack:
    """One object of a clip."""

    track_id: str
    """As the set names it; unique in the clip."""
    category: str | None
    """None: the format does not say."""
    masks: tuple[Rle | None, ...]
    """One for each still of the clip; None where it has none there."""
    sounding: tuple[bool | None, ...]
    """One for each still: whether it is heard; None where nobody said, or there is no mask."""

    @property
    def frames(self) -> tuple[int, ...]:
        """The stills in which it has a mask."""
        return tuple(number for number, mask in enumerate(self.masks) if mask is not None)


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """One clip of a set. Tracks are sorted by id, all lists over stills are as long as `stills`."""

    name: str
    """Unique in the set; of ours, the clip's id."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    stills: tuple[Still, ...]
    """In the order of time."""
    tracks: tuple[LabelledTrack, ...]
    has_truth: bool = True
    """False: the set says nothing of this clip (hidden labels); True without tracks: there is nothing in it."""
    has_identity: bool = True
    """False: the format does not say which masks are one object; each mask is a track of one still."""
    fps: float | None = None
    """Stills in one second; None: not said."""
    split: str | None = None
    sound: Media | None = None
    embeddings_TD: Callable[[], NDArray[np.float32]] | None = field(default=None, compare=False)
    """Loads the VGGish embeddings, float32 (T, 128); None where the set has none."""
    license: str | None = None
    source: str | None = None
    """Clips of one source must not be divided among splits; None: not said."""
    url: str | None = None
    """Where others find the source video."""
    start_s: float | None = None
    """Where the clip begins in the source video."""
    label_files: tuple[Path, ...] = field(default=(), compare=False)
    """The files that its labels were read from, to keep them as received."""
    remarks: tuple[str, ...] = field(default=(), compare=False)
    """What was read in one of several ways or left out, for people: "2 outlines of fewer than 3 points left out"."""


def name_fault(clip: LabelledClip) -> str | None:
    """Why names of a clip may not be parts of paths: they come from strangers, and writers make files of them."""
    for what, name in (("name", clip.name), ("split", clip.split), *(("still", still.name) for still in clip.stills)):
        if name is not None and (not 0 < len(name) <= _LONGEST or name[0] == "." or set(name) & _UNSAFE):
            return f"the {what} {name!r:.60} cannot be part of a path"
    return None


_LONGEST = 200
_UNSAFE = {*'/\\:*?"<>|', *map(chr, range(32)), "\x7f"}
"""What one file system or another does not take in a name."""


def text_fault(clip: LabelledClip) -> str | None:
    """Which words of a clip no file can hold: JSON may have half of a character in them; None: all can be written."""
    texts = [("licence", clip.license), ("source", clip.source), ("address", clip.url), ("name", clip.name)]
    texts += [("name of a still", still.name) for still in clip.stills]
    texts += [entry for track in clip.tracks for entry in (("track", track.track_id), ("category", track.category))]
    for what, text in texts:
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            return f"the {what} {text!r:.60} holds half of a character, which no file can"
    return None


def too_many(num_objects: int, num_stills: int) -> str | None:
    """Why so many objects in so many stills are not one clip, whose tracks have a place for each still; None: they are.

    A folder of pictures that nobody tracked has as many objects as masks: ten thousand of each would fill the memory.

    Example:
        >>> too_many(500, 1000), too_many(20_000, 10_000) is None
        (None, False)
    """
    if num_objects * num_stills <= _MOST_PLACES:
        return None
    return (
        f"more than {num_objects - 1} objects in {num_stills} stills are no clip: either nothing says which masks are "
        "one object, or these are the pictures of several clips (one folder for each)"
    )


_MOST_PLACES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class UnreadClip:
    """A clip of a set that cannot be taken, with everything that is wrong in it; the others go on."""

    name: str
    problems: tuple[Problem, ...]
