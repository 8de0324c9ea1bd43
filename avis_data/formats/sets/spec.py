"""What a format of labelled sets is: what it can say, how it is read and how it is written, without any workspace.

A format is one module that ends in a `SetSpec`. Reader and writer are frozen dataclasses; their fields with an
`Option` are options of the commands. Matching with a workspace, splits, certificates, reading back and names are the
same for all formats (avis_data.pipelines.imports, avis_data.pipelines.exports).

The module with the spec imports nothing heavy at its top (NumPy, Pillow, pyarrow, the RLE code): `--help` lists the
options of all formats. What reads and writes the files is imported inside the methods, from a module beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.options import Declaring

__all__ = ["Clips", "Keeps", "SetFacts", "SetReader", "SetSpec", "SetWriter"]

Clips = Callable[[], Iterator[LabelledClip]]
"""All clips of a set, in the order of their names; each call begins anew, so that none need stay in memory."""


@dataclass(frozen=True, kw_only=True)
class Keeps:
    """What of a clip comes back when the files of a format are read again."""

    masks: Literal["exact", "painted", "union", "boxes", "no"] = "exact"
    """`painted`: each pixel belongs to one object, as `overlap.painted` decides; `union`: one mask for all objects of a
    category (or for all there are); `boxes`: the rectangle around it; `no`: there are only times."""
    identity: bool = True
    category: bool = True
    sounding: Literal["all", "sounding only", "no"] = "all"
    """`sounding only`: what is drawn sounds, and what does not sound is left out; `no`: all masks, without a flag."""
    empty_tracks: bool = False
    """Whether a track without any mask is there."""
    stills: bool = True
    sound: bool = False
    embeddings: bool = False
    split: bool = True
    fps: bool = False
    license: bool = False
    source: bool = False


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """What is said of a whole set when it is written."""

    name: str
    version: str = "1.0.0"
    categories: Mapping[str, int] = field(default_factory=dict)
    """Name to number, from 1, in the order of the category set."""
    fps: float | None = 1.0
    """Stills in one second, where all clips have one rate."""
    description: str = ""
    certificate: Mapping[str, object] = field(default_factory=dict)
    """What the certificate of an export says so far (the part that all formats have); empty for a foreign set."""


class SetReader(Declaring, Protocol):
    """Reads one format."""

    def looks_right(self, path: Path) -> bool:
        """Whether a file or folder seems to be of this format: cheap, by names and the first bytes, never raises."""

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        """The clips of a set, one at a time, in the order of their names.

        Args:
            path: the file, archive or folder that people name.

        Raises:
            DataError: if the whole is not of this format, is of a newer version or is cut off; also ProblemsError.
        """


class SetWriter(Declaring, Protocol):
    """Writes one format. Stills are written by `Media.put`; folders are made by the writer."""

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        """Write the files that are of one clip alone; called in threads, in any order.

        Returns:
            Their paths, relative to the folder.
        """

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        """Write the files that are of several clips, after those of each; equal clips give equal bytes.

        Returns:
            Their paths, relative to the folder.
        """


@dataclass(frozen=True, kw_only=True)
class SetSpec:
    """One format of labelled sets."""

    name: str
    """What people type."""
    summary: str
    """One line for `--help`."""
    keeps: Keeps
    reader: SetReader | None = None
    writer: SetWriter | None = None
    embeds_media: bool = False
    """Whether stills and sound lie inside larger files, so that they are written again and not linked."""
    layout: int = 1
    """Raised when the same clips would give other files."""
    lengths: tuple[int, ...] = ()
    """How many stills a clip of it may have, the preferred first; longer clips are cut. Empty: any number."""
    only_fps: float | None = None
    """The only number of stills per second that it can hold; None: any."""
    unfit: str = "without anything to write"
    """What is wrong with a clip that cannot be written, for messages: "3 clip(s) <unfit>"."""
    fits: Callable[[LabelledClip], str | None] = field(default=lambda _clip: None, compare=False)
    """Why a clip cannot be written in this format (for people); None: it can."""
    expected: Callable[[LabelledClip, SetSpec], LabelledClip] | None = field(default=None, compare=False)
    """What comes back of a clip that this spec's writer wrote, where `keeps` does not say it all; None: what `keeps`
    says."""
    narrows: tuple[str, ...] = ()
    """Formats that a set of this one seems to be too, because it is one with more beside it."""
